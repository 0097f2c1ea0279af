// AMD GPUs through the HSA runtime, and the emulator behind the same functions, as devices; see device.h and
// docs/hsa.md.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/device.h"

namespace wavetile {
namespace hsa {
class System;
}

/// "hsa" is the first GPU that there is a target for, "hsa:N" the N-th, "hsa:emulated" the emulator's.
bool is_hsa(const std::string& name);
DevicePtr open_hsa(const std::string& name, const DeviceOptions& options);
/// The same of a system that is open.
DevicePtr open_hsa(std::shared_ptr<hsa::System> system, const std::string& name, const DeviceOptions& options);
/// The GPUs of this machine, then the emulator. What cannot be opened is left out.
std::vector<DeviceInfo> list_hsa();
/// What there is, what is missing, and what to do next: lines of text.
std::string diagnose_hsa();

}  // namespace wavetile
