// Work that waits for signals: a thread that runs whatever is ready, in the order in which it was added.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <mutex>
#include <thread>

#include "emulator/hsa/signals.h"

namespace wavetile::emu::hsa {

class Deferred {
 public:
  struct Item {
    std::function<bool()> ready;  // cheap; must not notify
    std::function<bool()> run;    // true: to be kept, and run again when ready
  };

  explicit Deferred(Waiters& waiters) : waiters_(waiters) {}
  ~Deferred() { stop(); }
  /// Starts the thread with the first item.
  void add(Item item);
  /// Waits for the item that is running; items that never became ready are dropped.
  void stop();

 private:
  void loop();
  bool any_ready();

  Waiters& waiters_;
  std::mutex mutex_;  // of items_ and thread_
  std::list<Item> items_;
  std::thread thread_;
  std::atomic<bool> stop_{false};
};

}  // namespace wavetile::emu::hsa
