// Memory of the process that kernels use and the runtime does not tell of: whatever was locked or is shared virtual
// memory. It is registered when it is first touched, a mapping of the process at a time, as the mapping allows it.
//
// Ranges registered here never overlap what the runtime told of; they grow when their mapping does, and end before the
// next dispatch when it has ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "emulator/memory.h"

namespace wavetile::emu::model {

/// Thread-safe.
class HostMemory {
 public:
  explicit HostMemory(Memory& memory) : memory_(memory) {}
  HostMemory(const HostMemory&) = delete;
  HostMemory& operator=(const HostMemory&) = delete;

  /// Mappings that begin in [begin, end) are the runtime's.
  void exclude(std::uint64_t begin, std::uint64_t end);
  /// As Memory::set_resolver wants it.
  bool resolve(std::uint64_t address, std::size_t bytes);
  /// Ends ranges that are no longer mapped as they were.
  void refresh();
  /// Ends ranges that overlap [begin, end), which is about to be registered by someone else.
  void make_room(std::uint64_t begin, std::uint64_t end);

 private:
  struct Range {
    std::uint64_t end;
    bool writable;
  };
  void end_overlapping(std::uint64_t begin, std::uint64_t end);

  Memory& memory_;
  std::mutex mutex_;
  std::map<std::uint64_t, Range> ranges_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> excluded_;
};

}  // namespace wavetile::emu::model
