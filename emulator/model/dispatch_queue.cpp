#include "emulator/model/dispatch_queue.h"

#include <cstddef>
#include <cstdio>
#include <cstring>

#include <fmt/format.h>

#include "emulator/counters.h"

namespace wavetile::emu::model {
namespace {

using hsa::Packet;
using hsa::PacketError;

static_assert(offsetof(amd_queue_t, write_dispatch_id) == 0x38 && offsetof(amd_queue_t, read_dispatch_id) == 0x80 &&
              offsetof(amd_queue_t, queue_inactive_signal) == 0xc0);

// How an error is written to the queue's inactive signal: bits that the runtime turns into the status again. It has
// none for memory faults, which come to it on a way of their own that the model's interface lacks.
std::int64_t error_bits(hsa_status_t status) {
  switch (static_cast<unsigned>(status)) {
    case HSA_STATUS_ERROR_INCOMPATIBLE_ARGUMENTS:
      return 0x2;
    case HSA_STATUS_ERROR_INVALID_ALLOCATION:
    case HSA_STATUS_ERROR_OUT_OF_RESOURCES:
      return 0x4;
    case HSA_STATUS_ERROR_INVALID_CODE_OBJECT:
      return 0x8;
    case HSA_STATUS_ERROR_INVALID_ARGUMENT:
      return 0x40;
    case HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION:
    case HSA_STATUS_ERROR_MEMORY_FAULT:
      return 0x20000000;
    case HSA_STATUS_ERROR_ILLEGAL_INSTRUCTION:
      return 0x40000000;
    case HSA_STATUS_ERROR_EXCEPTION:
      return 0x80000000;
    default:
      return 0x20;  // HSA_STATUS_ERROR_INVALID_PACKET_FORMAT
  }
}

// Vendor-specific packet with a PM4 indirect buffer, as dwords.
constexpr std::uint8_t kFormatCommands = 1;
struct CommandsPacket {
  std::uint16_t header;
  std::uint8_t format, reserved0;
  std::uint32_t jump[4];  // INDIRECT_BUFFER: header, address, size
  std::uint32_t rest[9];
  hsa_signal_t completion_signal;
};
static_assert(sizeof(CommandsPacket) == 64 && offsetof(CommandsPacket, completion_signal) == 56);

bool has_commands(const Packet& packet) {
  return hsa::packet_type(packet.header) == HSA_PACKET_TYPE_VENDOR_SPECIFIC &&
         packet.barrier_value.header.AmdFormat == kFormatCommands;
}

// HIP numbers its dispatches in a reserved field, and does not write those of packets that wait for a value: it works
// on hardware, which so cannot look at them.
Packet without_leftovers(Packet packet) {
  if (hsa::packet_type(packet.header) == HSA_PACKET_TYPE_KERNEL_DISPATCH) packet.dispatch.reserved2 = 0;
  if (hsa::packet_type(packet.header) == HSA_PACKET_TYPE_VENDOR_SPECIFIC) {
    auto& p = packet.barrier_value;
    p.reserved0 = p.reserved1 = p.reserved2 = p.reserved3 = 0;
  }
  return packet;
}

template <typename... T>
PacketError error(hsa_status_t status, fmt::format_string<T...> text, T&&... values) {
  return {status, fmt::format(text, std::forward<T>(values)...)};
}

}  // namespace

DispatchQueue::DispatchQueue(Device& device, const QueueInfo& info)
    : Queue(device, info),
      queue_(reinterpret_cast<amd_queue_t*>(info.write_pointer - offsetof(amd_queue_t, write_dispatch_id))) {}

Packet* DispatchQueue::packet_at(std::uint64_t position) const {
  return reinterpret_cast<Packet*>(info_.ring) + position % (info_.ring_bytes / sizeof(Packet));
}

bool DispatchQueue::step() {
  const std::uint64_t position = read();
  if (failed_ || position >= written()) return false;
  Packet* const place = packet_at(position);
  const std::uint16_t header = std::atomic_ref(place->header).load(std::memory_order_acquire);
  if (hsa::packet_type(header) == HSA_PACKET_TYPE_INVALID) return false;  // reserved, and not yet written
  Packet packet;
  std::memcpy(&packet, place, sizeof packet);
  const std::uint64_t start = timestamp();
  const auto wrong = process(packet, position);
  if (stopping()) return false;
  if (wrong) {
    fail(*wrong, position);
    return false;
  }
  std::atomic_ref(place->header).store(HSA_PACKET_TYPE_INVALID, std::memory_order_release);
  set_read(position + 1);
  if (amd_signal_t* done = device_.find_signal(hsa::completion_signal(packet).handle)) device_.complete(*done, start);
  return true;
}

// The runtime's event may be set in the moment between a thread's look at its signal and its sleep: such a thread
// sleeps on. Any other event makes all threads look again.
void DispatchQueue::idle(unsigned rests) {
  if (failed_) return;
  if (device_.wakes() != wakes_seen_) reminders_ = 2;
  wakes_seen_ = device_.wakes();
  if (reminders_ == 0 || rests % 300 != 0) return;
  --reminders_;
  if (amd_signal_t* inactive = device_.find_signal(queue_->queue_inactive_signal.handle)) {
    device_.wake(inactive->event_id);
    wakes_seen_ = device_.wakes();
  }
}

DispatchQueue::Error DispatchQueue::process(const Packet& packet, std::uint64_t position) try {
  if (has_commands(packet)) return run_commands(packet);
  const auto is_signal = [this](hsa_signal_t s) { return device_.find_signal(s.handle) != nullptr; };
  if (auto wrong = hsa::check_format(without_leftovers(packet), is_signal)) return wrong;
  const bool dispatch = hsa::packet_type(packet.header) == HSA_PACKET_TYPE_KERNEL_DISPATCH;
  if (dispatch) return launch(packet, position);
  auto wrong = wait_for(packet);
  device_.emulator.fence(hsa::acquire_of(packet.header), hsa::release_of(packet.header));
  return wrong;
} catch (const std::exception& e) {
  return error(HSA_STATUS_ERROR_OUT_OF_RESOURCES, "{}", e.what());
}

DispatchQueue::Error DispatchQueue::wait_for(const Packet& packet) {
  bool destroyed = false;
  const auto value = [&](hsa_signal_t s) -> hsa_signal_value_t {
    amd_signal_t* signal = device_.find_signal(s.handle);
    destroyed |= signal == nullptr;
    return signal ? std::atomic_ref(const_cast<std::int64_t&>(signal->value)).load(std::memory_order_acquire) : 0;
  };
  wait_until([&] { return hsa::barrier_passes(packet, value) || destroyed; });
  if (!destroyed) return std::nullopt;
  return error(HSA_STATUS_ERROR_INVALID_SIGNAL, "a signal was destroyed while a barrier packet waited for it");
}

DispatchQueue::Error DispatchQueue::launch(const Packet& packet, std::uint64_t position) {
  const hsa_kernel_dispatch_packet_t& p = packet.dispatch;
  if (auto wrong = hsa::check_sizes(p)) return wrong;
  if (p.group_segment_size > device_.emulator.chip().lds_bytes) {
    return error(HSA_STATUS_ERROR_INVALID_ALLOCATION, "group_segment_size {}; there are {} bytes", p.group_segment_size,
                 device_.emulator.chip().lds_bytes);
  }
  if (!device_.emulator.memory().find(p.kernel_object, 64)) {
    return error(HSA_STATUS_ERROR_INVALID_CODE_OBJECT, "kernel_object {:#x} is no kernel descriptor", p.kernel_object);
  }
  device_.host_memory.refresh();
  Dispatch d = hsa::dispatch_of(p, packet_at(position), queue_, position);
  d.name = device_.kernel_names.find(p.kernel_object);
  const Outcome outcome = device_.emulator.run(d, &stopping());
  const Report* fatal = nullptr;
  for (const Report& r : outcome.reports) {
    std::fputs(r.text.c_str(), stderr);
    if (r.fatal && !fatal) fatal = &r;
  }
  if (outcome.counters) std::fputs(outcome.counters->to_text().c_str(), stderr);
  if (!fatal) return std::nullopt;
  return error(hsa::status_of(*fatal), "kernel '{}' was stopped: {}", fatal->kernel, fatal->kind);
}

// The runtime makes instruction caches forget code that it has loaded, and does nothing else in this way.
DispatchQueue::Error DispatchQueue::run_commands(const Packet& packet) {
  constexpr std::uint32_t kNop = 0x10, kAcquireMemory = 0x58;
  CommandsPacket p;
  std::memcpy(&p, &packet, sizeof p);
  const std::uint64_t address = (p.jump[1] & ~3u) | std::uint64_t{p.jump[2] & 0xffff} << 32;
  const std::uint32_t dwords = p.jump[3] & 0xfffff;
  if (!device_.emulator.memory().find(address, std::size_t{dwords} * 4))
    return error(HSA_STATUS_ERROR_INVALID_PACKET_FORMAT, "{} dwords of PM4 commands at {:#x}", dwords, address);
  const auto* commands = reinterpret_cast<const std::uint32_t*>(address);
  for (std::uint32_t i = 0; i < dwords;) {
    const std::uint32_t header = commands[i], opcode = header >> 8 & 0xff, length = (header >> 16 & 0x3fff) + 2;
    if (header >> 30 != 3 || (opcode != kNop && opcode != kAcquireMemory) || length > dwords - i)
      return error(HSA_STATUS_ERROR_INVALID_PACKET_FORMAT, "PM4 command {:#010x}", header);
    if (opcode == kAcquireMemory) device_.forget_code();
    i += length;
  }
  return std::nullopt;
}

void DispatchQueue::fail(const PacketError& wrong, std::uint64_t position) {
  failed_ = true;
  fmt::print(stderr, "wavetile-rocm-model: queue at {:#x} stops at packet {}: {}\n", info_.ring, position, wrong.text);
  amd_signal_t* inactive = device_.find_signal(queue_->queue_inactive_signal.handle);
  if (!inactive) return;
  const std::uint32_t event = inactive->event_id;
  std::atomic_ref(const_cast<std::int64_t&>(inactive->value)).store(error_bits(wrong.status));
  device_.wake(event);
}

}  // namespace wavetile::emu::model
