// A device that runs its kernels on the emulator in this process, with counters, and remembers those of each launch in
// order. Their code is what the HSA runtime would load; the HSA calls around it are left out.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "emulator/counters.h"
#include "runtime/device.h"

namespace wavetile::bench {

struct CountedLaunch {
  std::string what;  // the kernel, and the extents of its largest tensor: "gemv [768, 50257]"
  std::shared_ptr<const emu::Counters> counters;
};

class CountingDevice : public Device {
 public:
  /// All launches since the last call, the first one first.
  virtual std::vector<CountedLaunch> take() = 0;
};

/// A kernel on it that is reported, or that was not counted, is an Error of the launch.
/// @throws Error for a chip that the emulator does not have.
std::shared_ptr<CountingDevice> counting_device(const std::string& chip);
/// Whether counting_device() has it.
bool can_count(const std::string& chip);

}  // namespace wavetile::bench
