#include "emulator/hsa/packets.h"

#include <algorithm>

#include <fmt/format.h>

#include "emulator/hsa/signals.h"

namespace wavetile::emu::hsa {
namespace {

using Error = std::optional<PacketError>;

template <typename... T>
PacketError error(hsa_status_t status, fmt::format_string<T...> text, T&&... values) {
  return {status, fmt::format(text, std::forward<T>(values)...)};
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

Error check_packet(const Packet& packet, const Signals& signals) {
  return check_format(packet, [&](hsa_signal_t s) { return signals.find(s) != nullptr; });
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

}  // namespace wavetile::emu::hsa
