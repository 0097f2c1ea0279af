// A queue of packets and the thread that works on them in order, each to its end before the next begins.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#include "emulator/model/device.h"
#include "emulator/model/interface.h"

namespace wavetile::emu::model {

/// Derived classes stop() in their destructors: the thread calls their functions.
class Queue {
 public:
  Queue(Device& device, const QueueInfo& info);
  virtual ~Queue() = default;
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  void start();
  /// Waits for the thread, which leaves the packet at hand unfinished if it cannot be finished soon.
  void stop();

 protected:
  /// Works on the packet at the read pointer; false when there is none.
  virtual bool step() = 0;
  /// Called when step() has found nothing for the `rests`-th time on end.
  virtual void idle(unsigned /*rests*/) {}
  /// Waits until ready() or stop(); false in that case.
  template <typename Ready>
  bool wait_until(Ready ready) {
    for (unsigned rests = 0; !ready(); rest(++rests)) {
      if (stopping_) return false;
    }
    return true;
  }
  const std::atomic<bool>& stopping() const { return stopping_; }
  std::uint64_t written() const { return std::atomic_ref(*write_pointer_).load(std::memory_order_acquire); }
  std::uint64_t read() const { return std::atomic_ref(*read_pointer_).load(std::memory_order_relaxed); }
  void set_read(std::uint64_t value) { std::atomic_ref(*read_pointer_).store(value, std::memory_order_release); }

  Device& device_;
  const QueueInfo info_;

 private:
  static void rest(unsigned rests);
  std::uint64_t *const write_pointer_, *const read_pointer_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace wavetile::emu::model
