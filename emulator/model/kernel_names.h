// Names of kernels, from the code objects that the runtime has placed in memory: their headers and dynamic symbols are
// among what it loads.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "emulator/memory.h"

namespace wavetile::emu::model {

/// The kernel whose descriptor lies at `descriptor`; empty when no code object there says so.
std::string kernel_name(const Memory& memory, std::uint64_t descriptor);

/// Remembers them. Thread-safe.
class KernelNames {
 public:
  explicit KernelNames(const Memory& memory) : memory_(memory) {}
  std::string find(std::uint64_t descriptor);
  /// Code has changed.
  void forget();

 private:
  const Memory& memory_;
  std::mutex mutex_;
  std::map<std::uint64_t, std::string> names_;
};

}  // namespace wavetile::emu::model
