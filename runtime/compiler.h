// Compiles kernels for a device, several at a time, each one once; what was compiled before is taken from the disk.
#pragma once

#include <atomic>
#include <future>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/device.h"
#include "runtime/kernel_cache.h"

namespace wavetile {

/// To be used by one thread.
class Compiler {
 public:
  /// With a dump every kernel is compiled, since the stages of a compilation are what is wanted.
  explicit Compiler(DevicePtr device, DumpTo dump = {}, const CacheOptions& cache = {});
  ~Compiler();
  Compiler(const Compiler&) = delete;

  /// Starts compiling, or finds, a kernel for a signature and a schedule. get() throws what compilation threw.
  std::shared_future<ModulePtr> request(const Kernel& k, const Signature& sig, const Schedule& s);
  ModulePtr get(const Kernel& k, const Signature& sig, const Schedule& s) { return request(k, sig, s).get(); }
  double seconds() const { return seconds_; }  // spent compiling and loading, added up over workers
  size_t compiled() const { return modules_.size(); }
  CacheStats cache() const { return cache_.stats(); }

 private:
  ModulePtr build(const std::string& key, const Kernel& k, const Signature& sig, const Schedule& s);

  DevicePtr device_;
  DumpTo dump_;
  KernelCache cache_;
  std::unordered_map<std::string, std::shared_future<ModulePtr>> modules_;
  std::vector<std::shared_future<ModulePtr>> running_;
  std::atomic<double> seconds_{0};
};

}  // namespace wavetile
