#include "emulator/hsa/queues.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include <fmt/format.h>

#include "emulator/counters.h"
#include "emulator/hsa/runtime.h"
#include "emulator/wave.h"

namespace wavetile::emu::hsa {

Queue::Queue(Runtime& runtime, const Settings& settings, std::uint64_t number)
    : runtime_(runtime),
      settings_(settings),
      number_(number),
      descriptor_(runtime.emulator.memory(), sizeof(amd_queue_t), fmt::format("queue {}", number), true),
      ring_(runtime.emulator.memory(), std::size_t{settings.size} * sizeof(Packet),
            fmt::format("the packets of queue {}", number), true),
      amd_(static_cast<amd_queue_t*>(descriptor_.begin())) {
  for (std::uint32_t i = 0; i < settings.size; ++i) packet_at(i)->header = HSA_PACKET_TYPE_INVALID;
  doorbell_ = settings.doorbell ? *settings.doorbell : runtime.signals.create(-1, /*doorbell=*/true);
  hsa_queue_t& q = amd_->hsa_queue;
  q.type = settings.type;
  q.features = settings.features;
  q.base_address = ring_.begin();
  q.doorbell_signal = doorbell_;
  q.size = settings.size;
  q.id = number;
  amd_->group_segment_aperture_base_hi = kSharedApertureHigh;
  amd_->private_segment_aperture_base_hi = kPrivateApertureHigh;
  amd_->max_cu_id = static_cast<std::uint32_t>(runtime.emulator.compute_units()) - 1;
  amd_->max_wave_id =
      static_cast<std::uint32_t>(runtime.emulator.chip().simds * runtime.emulator.chip().waves_per_simd) - 1;
  amd_->read_dispatch_id_field_base_byte_offset = static_cast<std::uint32_t>(
      reinterpret_cast<std::uintptr_t>(&amd_->read_dispatch_id) - reinterpret_cast<std::uintptr_t>(amd_));
  amd_->queue_properties = AMD_QUEUE_PROPERTIES_IS_PTR64;
  if (!soft()) thread_ = std::thread([this] { loop(); });
}

Queue::~Queue() {
  stop();
  if (thread_.joinable()) thread_.join();
  if (!soft()) runtime_.signals.destroy(doorbell_);
}

void Queue::inactivate() {
  inactive_ = true;
  runtime_.signals.waiters.notify();
}

void Queue::stop() {
  stop_ = true;
  inactivate();
  if (thread_.joinable() && !on_its_thread()) thread_.join();
}

Packet* Queue::packet_at(std::uint64_t position) const {
  return static_cast<Packet*>(ring_.begin()) + position % settings_.size;
}

// A packet is the processor's once the doorbell was rung for it or a later one and its header is no longer INVALID.
bool Queue::ready(std::uint64_t position) const {
  if (runtime_.signals.rung(doorbell_) < static_cast<std::int64_t>(position)) return false;
  const std::uint16_t header = std::atomic_ref(packet_at(position)->header).load(std::memory_order_acquire);
  return packet_type(header) != HSA_PACKET_TYPE_INVALID;
}

// How many packets from this one on may be under way at a time: dispatches that do not wait for those before them. They
// may end in any order, the last one before the first has begun.
std::uint64_t Queue::together(std::uint64_t position) const {
  const auto header = [&](std::uint64_t at) { return packet_at(at)->header; };
  const auto dispatch = [&](std::uint64_t at) { return packet_type(header(at)) == HSA_PACKET_TYPE_KERNEL_DISPATCH; };
  std::uint64_t count = 1;
  if (!runtime_.emulator.options().reorder || !dispatch(position)) return count;
  while (count < settings_.size && ready(position + count) && dispatch(position + count) &&
         (header(position + count) >> HSA_PACKET_HEADER_BARRIER & 1) == 0)
    ++count;
  return count;
}

void Queue::loop() {
  while (true) {
    const std::uint64_t first = read_index().load(std::memory_order_relaxed);
    runtime_.signals.waiters.wait([&] { return inactive_ || ready(first); }, Waiters::Clock::time_point::max());
    if (inactive_) return;
    const std::uint64_t count = together(first);
    for (std::uint64_t position = first + count; position-- > first;) {
      const auto next = position == first ? std::optional(first + count) : std::nullopt;
      if (const auto error = process(position, next)) {
        inactive_ = true;
        if (!stop_) fail(*error, position);
        return;
      }
      if (stop_) return;
    }
  }
}

// `next`: where the read index goes then, if this is the last of those under way.
std::optional<PacketError> Queue::process(std::uint64_t position, std::optional<std::uint64_t> next) try {
  Packet packet;
  std::memcpy(&packet, packet_at(position), sizeof packet);
  if (auto error = check_packet(packet, runtime_.signals)) return error;
  const std::uint64_t start = timestamp();
  const bool dispatch = packet_type(packet.header) == HSA_PACKET_TYPE_KERNEL_DISPATCH;
  if (auto error = dispatch ? launch(packet, position) : wait_for(packet)) return error;
  if (stop_) return std::nullopt;
  if (!dispatch) runtime_.emulator.fence(acquire_of(packet.header), release_of(packet.header));
  std::atomic_ref(packet_at(position)->header).store(HSA_PACKET_TYPE_INVALID, std::memory_order_release);
  if (next) read_index().store(*next, std::memory_order_release);
  const hsa_signal_t done = completion_signal(packet);
  if (done.handle == 0) return std::nullopt;
  if (amd_signal_t* s = runtime_.signals.find(done); s && profiling) {
    s->start_ts = start;
    s->end_ts = timestamp();
  }
  runtime_.signals.subtract_one(done);
  return std::nullopt;
} catch (const std::exception& e) {
  return PacketError{HSA_STATUS_ERROR_OUT_OF_RESOURCES, e.what()};
}

std::optional<PacketError> Queue::wait_for(const Packet& packet) {
  bool destroyed = false;
  const auto value = [&](hsa_signal_t s) {
    amd_signal_t* signal = runtime_.signals.find(s);
    destroyed |= signal == nullptr;
    return signal ? Signals::value(*signal).load(std::memory_order_acquire) : 0;
  };
  const auto ready = [&] { return barrier_passes(packet, value); };
  runtime_.signals.waiters.wait([&] { return inactive_ || ready() || destroyed; }, Waiters::Clock::time_point::max());
  if (inactive_ && !ready()) stop_ = true;  // it will never complete
  if (!destroyed) return std::nullopt;
  return PacketError{HSA_STATUS_ERROR_INVALID_SIGNAL, "a signal was destroyed while a barrier packet waited for it"};
}

std::optional<PacketError> Queue::launch(const Packet& packet, std::uint64_t position) {
  const hsa_kernel_dispatch_packet_t& p = packet.dispatch;
  const Executables::Launchable kernel = runtime_.executables.launchable(p.kernel_object);
  if (auto error = check_dispatch(p, kernel, runtime_.emulator.chip(), runtime_.emulator.memory())) return error;
  Dispatch d = dispatch_of(p, packet_at(position), amd_, position);
  d.name = kernel.kernel.name;
  const Outcome outcome = runtime_.emulator.run(d, &stop_);
  runtime_.reports += outcome.reports.size();
  const Report* fatal = nullptr;
  for (const Report& r : outcome.reports) {
    std::string text = r.text;
    if (const std::string more = runtime_.allocations.explain(r.data); !more.empty()) text += "   " + more + '\n';
    std::fputs(text.c_str(), stderr);
    if (r.fatal && !fatal) fatal = &r;
  }
  if (outcome.counters) std::fputs(outcome.counters->to_text().c_str(), stderr);
  if (!fatal) return std::nullopt;
  const hsa_status_t status = status_of(*fatal);
  if (status == static_cast<hsa_status_t>(HSA_STATUS_ERROR_MEMORY_FAULT)) runtime_.memory_fault(fatal->data);
  return PacketError{status, fmt::format("kernel '{}' was stopped: {}", kernel.kernel.name, fatal->kind)};
}

void Queue::fail(const PacketError& error, std::uint64_t position) {
  fmt::print(stderr, "libhsa-runtime64: queue {} stops at packet {}: {}\n", number_, position, error.text);
  if (settings_.callback) settings_.callback(error.status, handle(), settings_.data);
}

hsa_queue_t* Queues::create(const Queue::Settings& settings) {
  const std::lock_guard lock(mutex_);
  auto queue = std::make_unique<Queue>(runtime_, settings, created_ + 1);
  ++created_;
  hsa_queue_t* handle = queue->handle();
  queues_.emplace(handle, std::move(queue));
  return handle;
}

Queue& Queues::get(const hsa_queue_t* handle) const {
  const std::shared_lock lock(mutex_);
  const auto it = queues_.find(handle);
  require(it != queues_.end(), HSA_STATUS_ERROR_INVALID_QUEUE);
  return *it->second;
}

void Queues::destroy(hsa_queue_t* handle) {
  std::unique_ptr<Queue> gone;
  const std::lock_guard lock(mutex_);
  const auto it = queues_.find(handle);
  require(it != queues_.end(), HSA_STATUS_ERROR_INVALID_QUEUE);
  gone = std::move(it->second);
  queues_.erase(it);
  if (!gone->on_its_thread()) return;
  gone->stop();
  destroyed_by_themselves_.push_back(std::move(gone));
}

void Queues::stop() {
  std::vector<Queue*> all;
  {
    const std::shared_lock lock(mutex_);
    for (auto& [handle, queue] : queues_) all.push_back(queue.get());
    for (auto& queue : destroyed_by_themselves_) all.push_back(queue.get());
  }
  for (Queue* q : all) q->stop();
}

std::vector<std::string> Queues::live() const {
  const std::shared_lock lock(mutex_);
  std::vector<std::string> result;
  for (const auto& [handle, queue] : queues_) {
    result.push_back(fmt::format("queue {} of {} packets", queue->number(), queue->size()));
  }
  std::ranges::sort(result);
  return result;
}

}  // namespace wavetile::emu::hsa
