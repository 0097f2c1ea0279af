// The host CPU as a device; see device.h.
#pragma once

#include "runtime/device.h"

namespace wavetile {

DevicePtr open_cpu(const DeviceOptions& options);
DeviceInfo describe_cpu();

}  // namespace wavetile
