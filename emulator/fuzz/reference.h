// The reference: a program's host function, run for all work-items. Each work-item is a fiber, so that it can stop in
// the middle where it meets others: at a barrier, or at an operation across the lanes that took the same branches.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "emulator/fuzz/generate.h"
#include "emulator/fuzz/text.h"

namespace wavetile::fuzz {

/// What a program leaves behind.
struct Result {
  std::vector<std::uint8_t> out, own, shared;
};

/// Runs one program at a time, as waves of a number of lanes. Not thread-safe; one in a process.
class Reference {
 public:
  Reference();
  ~Reference();
  /// `half_permute`: see exchange().
  Result run(HostFunction function, const Program& program, const Data& data, int lanes, bool half_permute);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Called by host functions, for the work-item that runs.
int current_lane();
std::uint64_t lanes_exchange(std::uint32_t kind, std::uint64_t value, std::uint64_t other, std::uint64_t a,
                             std::uint64_t b);
/// From here to lanes_join(), meets only those that give the same `which`.
void lanes_branch(std::uint32_t which);
/// At the head of a loop that began with lanes_branch(): meets those that go on; the others join the rest outside.
void lanes_continue(std::uint32_t more);
void lanes_join();
void lanes_barrier();

}  // namespace wavetile::fuzz
