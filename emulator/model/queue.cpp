#include "emulator/model/queue.h"

#include <chrono>
#include <csignal>

namespace wavetile::emu::model {

Queue::Queue(Device& device, const QueueInfo& info)
    : device_(device),
      info_(info),
      write_pointer_(reinterpret_cast<std::uint64_t*>(info.write_pointer)),
      read_pointer_(reinterpret_cast<std::uint64_t*>(info.read_pointer)) {}

void Queue::start() {
  // The program's signals are handled on the program's threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] {
    for (unsigned rests = 0; !stopping_;) {
      if (step()) {
        rests = 0;
      } else {
        idle(++rests);
        rest(rests);
      }
    }
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Queue::stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

// No doorbell tells of new packets. Who sends one often sends more; who sends none for long may wait half a
// millisecond.
void Queue::rest(unsigned rests) {
  using std::chrono::microseconds;
  if (rests < 200) {
    std::this_thread::yield();
  } else {
    std::this_thread::sleep_for(rests < 2000 ? microseconds(20) : microseconds(500));
  }
}

}  // namespace wavetile::emu::model
