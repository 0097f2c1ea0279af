// The run-time half of a virtual target: threads as fibers, rendezvous, and shared memory that checks its users.
//
// A thread runs until it waits (for its warp at a shuffle, for its block at a barrier) or ends. What compiled code
// calls is reached through the context that it is passed, so nothing has to be exported to it; such code cannot be
// unwound, so a failure is noted and the fiber is never resumed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace wavetile {

class VirtualMachine;

/// What a kernel gets as its fourth argument; the order of members is known to the code generator.
struct VirtualContext {
  VirtualMachine* machine = nullptr;
  uint64_t (*shuffle)(VirtualContext*, uint64_t bits, uint32_t from, uint32_t site);
  void (*barrier)(VirtualContext*, uint32_t site);
  uint64_t (*load)(VirtualContext*, uint64_t offset, uint32_t size, uint32_t active, uint32_t bound);
  void (*store)(VirtualContext*, uint64_t offset, uint64_t bits, uint32_t size, uint32_t active, uint32_t bound);
};
using VirtualEntry = void (*)(const int64_t* slots, int64_t begin, int64_t end, VirtualContext*, int64_t warp,
                              int64_t lane);

class VirtualMachine {
 public:
  VirtualMachine(std::string kernel, VirtualEntry entry, int warps, int threads_of_warp, const int64_t* slots);
  ~VirtualMachine();
  VirtualMachine(const VirtualMachine&) = delete;
  void run_block(int64_t block);

 private:
  enum class State { ready, shuffle, barrier, done };
  struct Thread;
  struct Byte {
    uint8_t value = 0;
    int64_t write_epoch = -1, read_epoch = -1;
    int writer = -1, reader = -1;  // reader: several_readers if more than one
    bool written = false;
  };
  static constexpr int several_readers = -2;

  void run_warp(int warp);
  void resolve_shuffle(int warp);
  void resume(Thread& t);
  void wait(State s, uint32_t site);
  [[noreturn]] void fail(std::string&& what);
  void check(uint64_t offset, uint32_t size, uint32_t bound);
  uint64_t load(uint64_t offset, uint32_t size, uint32_t bound);
  void store(uint64_t offset, uint64_t bits, uint32_t size, uint32_t bound);
  std::string who(const Thread& t) const;
  static std::string doing(const Thread& t);
  std::string conflict(std::string_view does, uint64_t offset, int other, std::string_view did) const;

  std::string kernel_;
  VirtualEntry entry_;
  int warps_, threads_of_warp_;
  const int64_t* slots_;
  VirtualContext context_;
  std::vector<std::unique_ptr<Thread>> threads_;
  Thread* current_ = nullptr;
  std::vector<Byte> shared_;
  int64_t block_ = 0, epoch_ = 0;
  std::string problem_;
};

}  // namespace wavetile
