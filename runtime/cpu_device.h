// The host CPU as a device; see device.h.
#pragma once

#include "runtime/device.h"

namespace wavetile {

DevicePtr open_cpu(const DeviceOptions& options);

}  // namespace wavetile
