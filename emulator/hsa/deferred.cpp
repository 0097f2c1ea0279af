#include "emulator/hsa/deferred.h"

#include <algorithm>

namespace wavetile::emu::hsa {

void Deferred::add(Item item) {
  {
    const std::lock_guard lock(mutex_);
    items_.push_back(std::move(item));
    if (!thread_.joinable()) thread_ = std::thread([this] { loop(); });
  }
  waiters_.notify();
}

void Deferred::stop() {
  stop_ = true;
  waiters_.notify();
  if (!thread_.joinable()) return;
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();  // an item ends the process
  } else {
    thread_.join();
  }
}

bool Deferred::any_ready() {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(items_, [](const Item& i) { return i.ready(); });
}

void Deferred::loop() {
  while (!stop_) {
    waiters_.wait([this] { return stop_ || any_ready(); }, Waiters::Clock::time_point::max());
    std::list<Item> taken;
    {
      const std::lock_guard lock(mutex_);
      for (auto it = items_.begin(); it != items_.end();) {
        const auto next = std::next(it);
        if (it->ready()) taken.splice(taken.end(), items_, it);
        it = next;
      }
    }
    while (!taken.empty() && !stop_) {
      const bool keep = taken.front().run();
      const std::lock_guard lock(mutex_);
      if (keep) {
        items_.splice(items_.end(), taken, taken.begin());
      } else {
        taken.pop_front();
      }
    }
  }
}

}  // namespace wavetile::emu::hsa
