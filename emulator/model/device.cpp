#include "emulator/model/device.h"

#include <algorithm>
#include <cstddef>
#include <ctime>

#include "emulator/model/copy_queue.h"
#include "emulator/model/dispatch_queue.h"

namespace wavetile::emu::model {

static_assert(offsetof(amd_signal_t, value) == 8 && offsetof(amd_signal_t, event_mailbox_ptr) == 16 &&
              offsetof(amd_signal_t, event_id) == 24 && offsetof(amd_signal_t, start_ts) == 32 &&
              sizeof(amd_signal_t) == 64);

std::uint64_t timestamp() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(t.tv_nsec);
}

Device::Device(const Options& options)
    : emulator(options), host_memory(emulator.memory()), kernel_names(emulator.memory()) {
  emulator.memory().set_resolver(
      [this](std::uint64_t address, std::size_t bytes) { return host_memory.resolve(address, bytes); });
}

Device::~Device() { stop(); }

void Device::exclude(void* base, std::uint64_t bytes) {
  const auto begin = reinterpret_cast<std::uint64_t>(base);
  host_memory.exclude(begin, begin + bytes);
}

void Device::set_set_event(SetEvent set_event, void* data) {
  set_event_ = set_event;
  event_data_ = data;
}

void Device::allocated(void* address, std::uint64_t bytes, std::uint32_t flags) {
  // Kernels access memory where the host does. What the host cannot see (the runtime's scratch) they do not need.
  if ((flags & kDeviceMemory) && !(flags & kHostVisible)) return;
  const auto begin = reinterpret_cast<std::uint64_t>(address);
  host_memory.make_room(begin, begin + bytes);
  // The host writes to all of it without notice, so no byte can be said to be unwritten.
  emulator.memory().add(address, bytes,
                        flags & kDoorbells      ? "doorbells"
                        : flags & kDeviceMemory ? "device memory"
                                                : "host memory of the runtime",
                        (flags & kWritable) != 0, /*initialised=*/true);
  if (flags & kExecutable) emulator.add_code(address, bytes);
}

void Device::forget_code() {
  emulator.invalidate_code();
  kernel_names.forget();
}

void Device::freed(void* address) {
  kernel_names.forget();
  emulator.remove_code(address);
  emulator.memory().remove(address);
}

Queue* Device::register_queue(const QueueInfo& info) {
  std::unique_ptr<Queue> queue;
  if (info.type == kSdmaQueue) {
    queue = std::make_unique<CopyQueue>(*this, info);
  } else {
    queue = std::make_unique<DispatchQueue>(*this, info);
  }
  const std::scoped_lock lock(mutex_);
  queues_.push_back(std::move(queue));
  queues_.back()->start();
  return queues_.back().get();
}

void Device::destroy_queue(Queue* queue) {
  queue->stop();
  const std::scoped_lock lock(mutex_);
  std::erase_if(queues_, [&](const auto& q) { return q.get() == queue; });
}

void Device::stop() {
  const std::scoped_lock lock(mutex_);
  for (auto& queue : queues_) queue->stop();
}

amd_signal_t* Device::find_signal(std::uint64_t handle) {
  if (handle == 0 || handle % alignof(amd_signal_t) != 0 || !emulator.memory().find(handle, sizeof(amd_signal_t)))
    return nullptr;
  auto* signal = reinterpret_cast<amd_signal_t*>(handle);
  return signal->kind == AMD_SIGNAL_KIND_USER ? signal : nullptr;
}

void Device::complete(amd_signal_t& signal, std::uint64_t start) {
  signal.start_ts = start;
  signal.end_ts = timestamp();
  const std::uint32_t event = signal.event_id;
  const std::uint64_t mailbox = signal.event_mailbox_ptr;
  std::atomic_ref(const_cast<std::int64_t&>(signal.value)).fetch_sub(1);
  if (mailbox != 0 && emulator.memory().find(mailbox, 8))
    std::atomic_ref(*reinterpret_cast<std::uint64_t*>(mailbox)).store(event);
  wake(event);
}

void Device::wake(std::uint32_t event) {
  if (event == 0 || !set_event_) return;
  wakes_.fetch_add(1, std::memory_order_relaxed);
  set_event_(event_data_, event);
}

}  // namespace wavetile::emu::model
