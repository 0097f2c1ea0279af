// What an HSA device lacks on a machine, and what to do next.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "runtime/hsa_system.h"

namespace wavetile::hsa {

/// What a process sees of its machine; tests give their own.
struct Host {
  std::string root;                                      // of the file system; "": this machine's
  std::function<bool(const std::string& path)> may_use;  // read and write it
  std::vector<std::string> groups;                       // that the process is in

  static Host here();
};

/// Why hsa_init fails, or finds no GPU, and what to do.
std::string why_no_gpu(const Host& host = Host::here());
/// What there is of a system, in lines that begin with its name ("hsa", "hsa:emulated").
std::string diagnose(const System& system, const std::string& name, const Host& host = Host::here());

}  // namespace wavetile::hsa
