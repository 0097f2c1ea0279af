// Compiles kernels for a device, several at a time, each one once.
#pragma once

#include <atomic>
#include <future>
#include <map>
#include <string>
#include <vector>

#include "runtime/device.h"

namespace wavetile {

class Compiler {
 public:
  explicit Compiler(DevicePtr device, DumpTo dump = {}) : device_(std::move(device)), dump_(std::move(dump)) {}
  ~Compiler();

  /// Starts compiling, or finds, a kernel for a signature and a schedule. get() throws what compilation threw.
  std::shared_future<ModulePtr> request(const Kernel& k, const Signature& sig, const Schedule& s);
  ModulePtr get(const Kernel& k, const Signature& sig, const Schedule& s) { return request(k, sig, s).get(); }
  double seconds() const { return seconds_; }  // spent waiting for compilations, added up over workers
  size_t compiled() const { return modules_.size(); }

 private:
  DevicePtr device_;
  DumpTo dump_;
  std::map<std::string, std::shared_future<ModulePtr>> modules_;
  std::vector<std::shared_future<ModulePtr>> running_;
  std::atomic<double> seconds_{0};
};

}  // namespace wavetile
