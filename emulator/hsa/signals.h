// Signals. A handle is the address of the signal's amd_signal_t, as in AMD's runtime, inside one reserved stretch of
// addresses, so that any handle can be checked without touching what it points to.
//
// Whoever waits sleeps on one condition variable for all signals. Writes by these functions wake it; a kernel that
// writes through hsa_amd_signal_value_pointer is noticed within kSlice.
#pragma once

#include <hsa/amd_hsa_signal.h>
#include <hsa/hsa.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "emulator/hsa/pages.h"
#include "emulator/memory.h"

namespace wavetile::emu::hsa {

class Waiters {
 public:
  static constexpr std::chrono::milliseconds kSlice{1};
  using Clock = std::chrono::steady_clock;

  void notify();
  /// Until ready() or the deadline; the last ready(). ready() runs under a lock: it must not notify.
  template <typename Ready>
  bool wait(Ready ready, Clock::time_point deadline) {
    if (ready()) return true;
    std::unique_lock lock(mutex_);
    ++waiting_;
    bool is_ready = ready();
    while (!is_ready && Clock::now() < deadline) {
      // By the system's clock: ThreadSanitizer does not know waits by the other one. A jump of it costs a slice.
      condition_.wait_until(lock, std::chrono::system_clock::now() + kSlice);
      is_ready = ready();
    }
    --waiting_;
    return is_ready;
  }

 private:
  std::atomic<int> waiting_{0};
  std::mutex mutex_;
  std::condition_variable condition_;
};

class Signals {
 public:
  explicit Signals(Memory& memory);
  ~Signals();

  /// Throws std::bad_alloc when there are too many.
  hsa_signal_t create(hsa_signal_value_t value, bool doorbell = false);
  /// The signal, or nullptr when the handle is none.
  amd_signal_t* find(hsa_signal_t handle) const;
  /// Throws Refused.
  amd_signal_t& get(hsa_signal_t handle) const;
  void destroy(hsa_signal_t handle);

  static std::atomic_ref<std::int64_t> value(amd_signal_t& s) {
    return std::atomic_ref(*const_cast<std::int64_t*>(&s.value));
  }
  /// After a value was written: wakes whoever waits, and rings a doorbell.
  void wrote(hsa_signal_t handle, hsa_signal_value_t value);
  void subtract_one(hsa_signal_t handle);
  /// The largest value written to a doorbell; -1 before the first.
  std::int64_t rung(hsa_signal_t doorbell) const;

  struct Leak {
    std::uint64_t number;  // in order of creation, from 1
    hsa_signal_value_t value;
  };
  /// Doorbells belong to their queues and are not in here.
  std::vector<Leak> live() const;

  std::uint64_t create_group(std::vector<hsa_signal_t> signals);
  // These throw Refused.
  std::vector<hsa_signal_t> group(std::uint64_t handle) const;
  void destroy_group(std::uint64_t handle);
  /// Handles, which are numbers in order of creation, from 1.
  std::vector<std::uint64_t> live_groups() const;

  Waiters waiters;

 private:
  struct Slot;
  Slot* slot(hsa_signal_t handle) const;

  Memory& memory_;
  void* const reserved_;
  mutable std::mutex mutex_;  // of what follows
  std::size_t used_ = 0;      // slots ever used
  std::deque<std::size_t> free_;
  std::uint64_t created_ = 0, groups_created_ = 0;
  std::map<std::uint64_t, std::vector<hsa_signal_t>> groups_;
};

}  // namespace wavetile::emu::hsa
