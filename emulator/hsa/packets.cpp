#include "emulator/hsa/packets.h"

#include <algorithm>
#include <cstddef>

#include <fmt/format.h>

#include "emulator/hsa/signals.h"

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

Error check_signal(hsa_signal_t signal, const char* what, const Signals& signals) {
  if (signal.handle == 0 || signals.find(signal)) return std::nullopt;
  return error(HSA_STATUS_ERROR_INVALID_SIGNAL, "{} 0x{:x} is no signal", what, signal.handle);
}

Error check_barrier(const hsa_barrier_and_packet_t& p, const Signals& signals, bool any) {
  if (p.reserved0 || p.reserved1 || p.reserved2) return malformed("reserved fields of a barrier packet are not 0");
  for (const hsa_signal_t s : p.dep_signal) {
    if (auto e = check_signal(s, "dep_signal", signals)) return e;
  }
  const bool none = std::ranges::all_of(p.dep_signal, [](hsa_signal_t s) { return s.handle == 0; });
  if (any && none) return malformed("a barrier-or packet without a signal would never complete");
  return std::nullopt;
}

Error check_barrier_value(const hsa_amd_barrier_value_packet_t& p, const Signals& signals) {
  if (p.header.AmdFormat != HSA_AMD_PACKET_TYPE_BARRIER_VALUE) {
    return malformed("vendor-specific packet of format {}", p.header.AmdFormat);
  }
  if (p.header.reserved || p.reserved0 || p.reserved1 || p.reserved2 || p.reserved3) {
    return malformed("reserved fields of a barrier-value packet are not 0");
  }
  if (p.cond > HSA_SIGNAL_CONDITION_GTE) return malformed("barrier-value packet: condition {}", p.cond);
  return check_signal(p.signal, "signal", signals);
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

Error check_kernel(const hsa_kernel_dispatch_packet_t& p, const KernelInfo& k, const Chip& chip) {
  const std::uint32_t items = std::uint32_t{p.workgroup_size_x} * p.workgroup_size_y * p.workgroup_size_z;
  if (items > k.max_workgroup) {
    return error(HSA_STATUS_ERROR_INVALID_ARGUMENT, "kernel '{}': a workgroup of {} work-items; it was compiled for {}",
                 k.name, items, k.max_workgroup);
  }
  const std::vector<std::uint32_t> size{p.workgroup_size_x, p.workgroup_size_y, p.workgroup_size_z};
  if (!k.required_workgroup.empty() && size != k.required_workgroup) {
    return error(HSA_STATUS_ERROR_INVALID_ARGUMENT, "kernel '{}': a workgroup of {}x{}x{}; it requires {}x{}x{}",
                 k.name, size[0], size[1], size[2], k.required_workgroup[0], k.required_workgroup[1],
                 k.required_workgroup[2]);
  }
  if (p.group_segment_size < k.group_bytes || p.group_segment_size > chip.lds_bytes) {
    return error(HSA_STATUS_ERROR_INVALID_ALLOCATION,
                 "kernel '{}': group_segment_size {}; it needs {}, and there are {} bytes", k.name,
                 p.group_segment_size, k.group_bytes, chip.lds_bytes);
  }
  if (p.private_segment_size < k.private_bytes) {
    return error(HSA_STATUS_ERROR_INVALID_ALLOCATION, "kernel '{}': private_segment_size {}; it needs {}", k.name,
                 p.private_segment_size, k.private_bytes);
  }
  return std::nullopt;
}

Error check_arguments(const hsa_kernel_dispatch_packet_t& p, const KernelInfo& k, const Memory& memory) {
  if (k.kernarg_bytes == 0) return std::nullopt;
  const auto address = reinterpret_cast<std::uint64_t>(p.kernarg_address);
  const std::uint32_t align = std::max<std::uint32_t>(16, k.kernarg_align);
  if (address % align) {
    return error(HSA_STATUS_ERROR_INVALID_ARGUMENT, "kernel '{}': kernarg_address 0x{:x} is not a multiple of {}",
                 k.name, address, align);
  }
  if (!memory.find(address, k.kernarg_bytes)) {
    return error(HSA_STATUS_ERROR_INVALID_ARGUMENT, "kernel '{}': kernarg_address: {}", k.name,
                 memory.explain(address, k.kernarg_bytes));
  }
  return std::nullopt;
}

}  // namespace

hsa_signal_t completion_signal(const Packet& packet) { return packet.dispatch.completion_signal; }

Error check_packet(const Packet& packet, const Signals& signals) {
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
      e = check_barrier(packet.barrier, signals, false);
      break;
    case HSA_PACKET_TYPE_BARRIER_OR:
      e = check_barrier(packet.barrier, signals, true);
      break;
    case HSA_PACKET_TYPE_VENDOR_SPECIFIC:
      e = check_barrier_value(packet.barrier_value, signals);
      break;
    case HSA_PACKET_TYPE_AGENT_DISPATCH:
      e = malformed("agent dispatch packets are not for this agent");
      break;
    default:
      e = malformed("packet type {}", packet_type(packet.header));
      break;
  }
  if (!e) e = check_signal(completion_signal(packet), "completion_signal", signals);
  return e;
}

Error check_dispatch(const hsa_kernel_dispatch_packet_t& packet, const Executables::Launchable& kernel,
                     const Chip& chip, const Memory& memory) {
  if (auto e = check_sizes(packet)) return e;
  if (!kernel.object) {
    return error(HSA_STATUS_ERROR_INVALID_CODE_OBJECT,
                 "kernel_object 0x{:x} is no kernel descriptor of a loaded "
                 "executable",
                 packet.kernel_object);
  }
  if (!kernel.frozen) {
    return error(HSA_STATUS_ERROR_INVALID_CODE_OBJECT, "kernel '{}': its executable is not frozen", kernel.kernel.name);
  }
  if (auto e = check_kernel(packet, kernel.kernel, chip)) return e;
  return check_arguments(packet, kernel.kernel, memory);
}

hsa_status_t status_of(const Report& report) {
  const auto has = [&](const char* word) { return report.kind.find(word) != std::string::npos; };
  if (report.kind == "bad-dispatch") return HSA_STATUS_ERROR_INVALID_PACKET_FORMAT;
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
