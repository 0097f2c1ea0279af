#include "emulator/hsa/packet_format.h"

#include <cstddef>

#include <fmt/format.h>

namespace wavetile::emu::hsa {
namespace {

using Error = std::optional<PacketError>;

template <typename... T>
PacketError error(hsa_status_t status, fmt::format_string<T...> text, T&&... values) {
  return {status, fmt::format(text, std::forward<T>(values)...)};
}
template <typename... T>
PacketError malformed(fmt::format_string<T...> text, T&&... values) {
  return error(HSA_STATUS_ERROR_INVALID_PACKET_FORMAT, text, std::forward<T>(values)...);
}

Error check_header(std::uint16_t header) {
  const unsigned acquire = (header >> HSA_PACKET_HEADER_SCACQUIRE_FENCE_SCOPE) & 3,
                 release = (header >> HSA_PACKET_HEADER_SCRELEASE_FENCE_SCOPE) & 3;
  if (acquire > HSA_FENCE_SCOPE_SYSTEM) return malformed("header 0x{:04x}: acquire fence scope {}", header, acquire);
  if (release > HSA_FENCE_SCOPE_SYSTEM) return malformed("header 0x{:04x}: release fence scope {}", header, release);
  if (header >> 13) return malformed("header 0x{:04x}: reserved bits are set", header);
  return std::nullopt;
}

Error check_signal(hsa_signal_t signal, const char* what, const IsSignal& is_signal) {
  if (signal.handle == 0 || is_signal(signal)) return std::nullopt;
  return error(HSA_STATUS_ERROR_INVALID_SIGNAL, "{} 0x{:x} is no signal", what, signal.handle);
}

Error check_barrier(const hsa_barrier_and_packet_t& p, const IsSignal& is_signal, bool any) {
  if (p.reserved0 || p.reserved1 || p.reserved2) return malformed("reserved fields of a barrier packet are not 0");
  for (const hsa_signal_t s : p.dep_signal) {
    if (auto e = check_signal(s, "dep_signal", is_signal)) return e;
  }
  const bool none = std::ranges::all_of(p.dep_signal, [](hsa_signal_t s) { return s.handle == 0; });
  if (any && none) return malformed("a barrier-or packet without a signal would never complete");
  return std::nullopt;
}

Error check_barrier_value(const hsa_amd_barrier_value_packet_t& p, const IsSignal& is_signal) {
  if (p.header.AmdFormat != HSA_AMD_PACKET_TYPE_BARRIER_VALUE) {
    return malformed("vendor-specific packet of format {}", p.header.AmdFormat);
  }
  if (p.header.reserved || p.reserved0 || p.reserved1 || p.reserved2 || p.reserved3) {
    return malformed("reserved fields of a barrier-value packet are not 0");
  }
  if (p.cond > HSA_SIGNAL_CONDITION_GTE) return malformed("barrier-value packet: condition {}", p.cond);
  return check_signal(p.signal, "signal", is_signal);
}

Scope scope_of(std::uint16_t header, int bit) {
  const unsigned scope = header >> bit & 3;
  return scope == HSA_FENCE_SCOPE_NONE ? Scope::none : scope == HSA_FENCE_SCOPE_AGENT ? Scope::agent : Scope::system;
}

}  // namespace

Scope acquire_of(std::uint16_t header) { return scope_of(header, HSA_PACKET_HEADER_SCACQUIRE_FENCE_SCOPE); }
Scope release_of(std::uint16_t header) { return scope_of(header, HSA_PACKET_HEADER_SCRELEASE_FENCE_SCOPE); }

hsa_signal_t completion_signal(const Packet& packet) { return packet.dispatch.completion_signal; }

Error check_format(const Packet& packet, const IsSignal& is_signal) {
  static_assert(offsetof(hsa_kernel_dispatch_packet_t, completion_signal) == 56 &&
                offsetof(hsa_barrier_and_packet_t, completion_signal) == 56 &&
                offsetof(hsa_amd_barrier_value_packet_t, completion_signal) == 56);
  if (auto e = check_header(packet.header)) return e;
  Error e;
  switch (packet_type(packet.header)) {
    case HSA_PACKET_TYPE_KERNEL_DISPATCH:
      if (packet.dispatch.reserved0 || packet.dispatch.reserved2) {
        e = malformed("reserved fields of a kernel dispatch packet are not 0");
      }
      break;
    case HSA_PACKET_TYPE_BARRIER_AND:
      e = check_barrier(packet.barrier, is_signal, false);
      break;
    case HSA_PACKET_TYPE_BARRIER_OR:
      e = check_barrier(packet.barrier, is_signal, true);
      break;
    case HSA_PACKET_TYPE_VENDOR_SPECIFIC:
      e = check_barrier_value(packet.barrier_value, is_signal);
      break;
    case HSA_PACKET_TYPE_AGENT_DISPATCH:
      e = malformed("agent dispatch packets are not for this agent");
      break;
    default:
      e = malformed("packet type {}", packet_type(packet.header));
      break;
  }
  if (!e) e = check_signal(completion_signal(packet), "completion_signal", is_signal);
  return e;
}

Error check_sizes(const hsa_kernel_dispatch_packet_t& p) {
  constexpr auto kDimensions = HSA_STATUS_ERROR_INCOMPATIBLE_ARGUMENTS;
  const unsigned dimensions = p.setup & 3;
  if (p.setup >> 2) return malformed("setup 0x{:04x}: reserved bits are set", p.setup);
  if (dimensions == 0) return error(kDimensions, "a grid of 0 dimensions");
  const std::uint32_t workgroup[3] = {p.workgroup_size_x, p.workgroup_size_y, p.workgroup_size_z};
  const std::uint32_t grid[3] = {p.grid_size_x, p.grid_size_y, p.grid_size_z};
  std::uint64_t items = 1;
  for (unsigned d = 0; d < 3; ++d) {
    const char axis = static_cast<char>('x' + d);
    if (workgroup[d] == 0) return error(kDimensions, "workgroup_size_{} is 0", axis);
    if (grid[d] == 0) return error(kDimensions, "grid_size_{} is 0", axis);
    if (d >= dimensions && (workgroup[d] != 1 || grid[d] != 1)) {
      return error(kDimensions, "a grid of {} dimensions with {} work-items, {} a workgroup, in {}", dimensions,
                   grid[d], workgroup[d], axis);
    }
    if (grid[d] < workgroup[d]) {
      return error(kDimensions, "grid_size_{} {} is less than workgroup_size_{} {}", axis, grid[d], axis, workgroup[d]);
    }
    items *= workgroup[d];
  }
  if (items > kMostWorkgroup) {
    return error(HSA_STATUS_ERROR_INVALID_ARGUMENT, "a workgroup of {} work-items; at most {} are possible", items,
                 kMostWorkgroup);
  }
  return std::nullopt;
}

Dispatch dispatch_of(const hsa_kernel_dispatch_packet_t& p, const void* packet, const void* queue,
                     std::uint64_t position) {
  Dispatch d;
  d.kernel_object = p.kernel_object;
  d.kernarg = reinterpret_cast<std::uint64_t>(p.kernarg_address);
  d.grid = {p.grid_size_x, p.grid_size_y, p.grid_size_z};
  d.workgroup = {p.workgroup_size_x, p.workgroup_size_y, p.workgroup_size_z};
  d.private_bytes = p.private_segment_size;
  d.group_bytes = p.group_segment_size;
  d.packet_address = reinterpret_cast<std::uint64_t>(packet);
  d.queue_address = reinterpret_cast<std::uint64_t>(queue);
  d.dispatch_id = static_cast<std::uint32_t>(position);
  d.acquire = acquire_of(p.header);
  d.release = release_of(p.header);
  return d;
}

bool satisfied(hsa_signal_condition_t condition, hsa_signal_value_t value, hsa_signal_value_t reference) {
  switch (condition) {
    case HSA_SIGNAL_CONDITION_EQ:
      return value == reference;
    case HSA_SIGNAL_CONDITION_NE:
      return value != reference;
    case HSA_SIGNAL_CONDITION_LT:
      return value < reference;
    case HSA_SIGNAL_CONDITION_GTE:
      return value >= reference;
  }
  return false;
}

hsa_status_t status_of(const Report& report) {
  const auto has = [&](const char* word) { return report.kind.find(word) != std::string::npos; };
  if (report.kind == "bad-dispatch") return HSA_STATUS_ERROR_INVALID_PACKET_FORMAT;
  if (report.kind == "out-of-resources") return HSA_STATUS_ERROR_OUT_OF_RESOURCES;
  if (has("unknown-instruction") || has("bad-program-counter") || has("bad-jump") || has("code-end")) {
    return static_cast<hsa_status_t>(HSA_STATUS_ERROR_ILLEGAL_INSTRUCTION);
  }
  if (has("lds") || has("scratch")) return static_cast<hsa_status_t>(HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION);
  if (has("out-of-bounds") || has("after-free") || has("read-only")) {
    return static_cast<hsa_status_t>(HSA_STATUS_ERROR_MEMORY_FAULT);
  }
  return HSA_STATUS_ERROR_EXCEPTION;
}

}  // namespace wavetile::emu::hsa
