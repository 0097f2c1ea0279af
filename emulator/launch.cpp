// The initial state of a kernel's registers: LLVM's AMDGPU usage document, "Initial Kernel Execution State", for
// GFX942 and GFX11 on AMDHSA, where the flat scratch base is architected and work-item ids are packed into v0.
#include "emulator/launch.h"

#include <algorithm>

#include <fmt/format.h>

#include "emulator/program.h"

namespace wavetile::emu {
namespace {

std::uint32_t bits(std::uint32_t word, int first, int count) { return (word >> first) & ((1u << count) - 1); }

// kernel_code_properties
enum : std::uint16_t {
  kPrivateSegmentBuffer = 1 << 0,
  kDispatchPtr = 1 << 1,
  kQueuePtr = 1 << 2,
  kKernargSegmentPtr = 1 << 3,
  kDispatchId = 1 << 4,
  kFlatScratchInit = 1 << 5,
  kPrivateSegmentSize = 1 << 6,
  kWavefrontSize32 = 1 << 10,
};

constexpr std::uint32_t kMostScratch = 256 * 1024;  // bytes of a work-item: SPI_TMPRING_SIZE's field, for 32 lanes
constexpr std::uint32_t kPreloadPrologue = 256;     // bytes that firmware which preloads kernel arguments skips

std::uint32_t preload_dwords(const Launch& l) { return l.descriptor.kernarg_preload & 0x7f; }

std::uint64_t noise(std::uint64_t& state) {
  state += 0x9e3779b97f4a7c15;
  std::uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

void fill_noise(std::vector<std::uint8_t>& bytes, std::uint64_t& state) {
  const std::uint64_t word = noise(state);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(word >> (8 * (i % 8)));
}

// The extent of the workgroup in each dimension: at the edge of a grid that is no multiple, it is cut.
std::array<std::uint32_t, 3> extent(const Launch& l, const std::array<std::uint32_t, 3>& id) {
  std::array<std::uint32_t, 3> e{};
  for (int d = 0; d < 3; ++d) {
    const std::uint32_t size = l.dispatch->workgroup[d];
    e[d] = std::min<std::uint32_t>(size, l.dispatch->grid[d] - id[d] * size);
  }
  return e;
}

// What v0 holds: the ids that the descriptor asks for, 10 bits each. LLVM does not mask what it did not ask for.
std::uint32_t item_ids(const Launch& l, std::uint32_t item, const std::array<std::uint32_t, 3>& size) {
  const std::uint32_t asked = bits(l.descriptor.rsrc2, 11, 2);
  std::uint32_t ids = item % size[0];
  if (asked >= 1) ids |= item / size[0] % size[1] << 10;
  if (asked >= 2) ids |= item / (size[0] * size[1]) << 20;
  return ids;
}

// What user SGPRs hold, in the descriptor's order.
std::vector<std::uint32_t> user_scalars(const Launch& l) {
  std::vector<std::uint32_t> s;
  const std::uint16_t p = l.descriptor.properties;
  auto pointer = [&](std::uint64_t value) {
    s.push_back(static_cast<std::uint32_t>(value));
    s.push_back(static_cast<std::uint32_t>(value >> 32));
  };
  if (p & kPrivateSegmentBuffer) s.insert(s.end(), 4, 0);
  if (p & kDispatchPtr) pointer(l.dispatch->packet_address);
  if (p & kQueuePtr) pointer(l.dispatch->queue_address);
  if (p & kKernargSegmentPtr) pointer(l.dispatch->kernarg);
  if (p & kDispatchId) pointer(l.dispatch->dispatch_id);
  if (p & kFlatScratchInit) pointer(0);
  if (p & kPrivateSegmentSize) s.push_back(l.private_bytes);
  const auto* arguments = reinterpret_cast<const std::uint32_t*>(l.dispatch->kernarg);
  const std::uint32_t first = l.descriptor.kernarg_preload >> 7;
  for (std::uint32_t i = 0; i < preload_dwords(l); ++i) s.push_back(arguments[first + i]);
  return s;
}

void set_mode(Wave& w, std::uint32_t rsrc1) {
  w.mode.round32 = static_cast<std::uint8_t>(bits(rsrc1, 12, 2));
  w.mode.round64 = static_cast<std::uint8_t>(bits(rsrc1, 14, 2));
  w.mode.denorm32 = static_cast<std::uint8_t>(bits(rsrc1, 16, 2));
  w.mode.denorm64 = static_cast<std::uint8_t>(bits(rsrc1, 18, 2));
  w.mode.dx10_clamp = bits(rsrc1, 21, 1) != 0;
  w.mode.ieee = bits(rsrc1, 23, 1) != 0;
  w.mode.raw = bits(rsrc1, 12, 8) | bits(rsrc1, 21, 1) << 8 | bits(rsrc1, 23, 1) << 9;
  w.mode_plain = w.mode.plain();
}

void set_scalars(Wave& w, const Launch& l, const std::vector<std::uint32_t>& user) {
  std::copy(user.begin(), user.end(), w.s.begin());
  // The ids follow the user SGPRs that the descriptor counts, filled or not.
  std::size_t next = bits(l.descriptor.rsrc2, 1, 5);
  for (int d = 0; d < 3; ++d) {
    if (bits(l.descriptor.rsrc2, 7 + d, 1)) w.s[next++] = w.workgroup->id[d];
  }
  if (bits(l.descriptor.rsrc2, 10, 1)) {
    w.s[next++] = static_cast<std::uint32_t>(l.waves_per_workgroup) | (w.number == 0 ? 0x80000000u : 0);
  }
}

}  // namespace

std::uint64_t entry_address(const Launch& l) {
  const std::uint64_t entry = l.dispatch->kernel_object + static_cast<std::uint64_t>(l.descriptor.entry_offset);
  return entry + (preload_dwords(l) != 0 ? kPreloadPrologue : 0);
}

bool reads_packet(const Launch& l) { return (l.descriptor.properties & kDispatchPtr) != 0; }

DispatchPacket::DispatchPacket(Memory& memory, const Dispatch& d) : memory_(memory) {
  const auto low = [](std::uint64_t v) { return static_cast<std::uint32_t>(v); };
  words_ = {0x0003'0002,  // three dimensions; a kernel's dispatch
            d.workgroup[0] | std::uint32_t{d.workgroup[1]} << 16,
            d.workgroup[2],
            d.grid[0],
            d.grid[1],
            d.grid[2],
            d.private_bytes,
            d.group_bytes,
            low(d.kernel_object),
            low(d.kernel_object >> 32),
            low(d.kernarg),
            low(d.kernarg >> 32)};
  memory_.add(words_.data(), sizeof words_, "dispatch packet", /*writable=*/false, /*initialised=*/true);
}
DispatchPacket::~DispatchPacket() { memory_.remove(words_.data()); }

std::string prepare_launch(Launch& l, const Dispatch& d, const Chip& chip, Memory& memory) {
  l.dispatch = &d;
  l.chip = &chip;
  l.memory = &memory;
  if (!memory.find(d.kernel_object, 64)) {
    return fmt::format("kernel_object {:#x} is no kernel descriptor of a loaded code object", d.kernel_object);
  }
  l.descriptor = read_descriptor(reinterpret_cast<const void*>(d.kernel_object));
  l.kernel = d.name;
  l.lanes = chip.wave32 && (l.descriptor.properties & kWavefrontSize32) ? 32 : 64;
  const std::uint32_t granules = bits(l.descriptor.rsrc1, 0, 6) + 1;
  if (chip.accumulation_vgprs) {
    // One file for both: accumulation registers begin at an offset in fours.
    const int total = static_cast<int>(granules) * 8;
    l.vgprs = std::min(total, static_cast<int>(bits(l.descriptor.rsrc3, 0, 6) + 1) * 4);
    l.agprs = total - l.vgprs;
  } else {
    l.vgprs = static_cast<int>(granules) * (l.lanes == 32 ? 8 : 4);
  }
  l.sgprs = chip.sgprs;
  if (l.vgprs > kVgprs || l.agprs > kVgprs)
    return fmt::format("the descriptor asks for {} vector registers", l.vgprs + l.agprs);
  l.private_bytes = std::max(d.private_bytes, l.descriptor.private_segment_bytes);
  l.group_bytes = std::max(d.group_bytes, l.descriptor.group_segment_bytes);
  if (l.group_bytes > chip.lds_bytes) {
    return fmt::format("{} bytes of LDS a workgroup; {} has {}", l.group_bytes, chip.name, chip.lds_bytes);
  }
  std::uint64_t items = 1;
  for (int i = 0; i < 3; ++i) {
    if (d.grid[i] == 0 || d.workgroup[i] == 0) return "a grid or workgroup of size 0";
    items *= d.workgroup[i];
    l.workgroups[i] = static_cast<std::uint32_t>((std::uint64_t{d.grid[i]} + d.workgroup[i] - 1) / d.workgroup[i]);
  }
  if (items > 1024) return fmt::format("{} work-items a workgroup; at most 1024 are possible", items);
  l.waves_per_workgroup =
      static_cast<int>((items + static_cast<std::uint64_t>(l.lanes) - 1) / static_cast<std::uint64_t>(l.lanes));
  if (l.private_bytes > kMostScratch) {
    return fmt::format("{} bytes of scratch a work-item; at most {} are possible", l.private_bytes, kMostScratch);
  }
  if (bits(l.descriptor.rsrc1, 26, 1) != 0 || bits(l.descriptor.rsrc2, 24, 7) != 0) {
    return "the descriptor asks for f16 overflow to the largest number, or for floating-point exceptions: not emulated";
  }
  if (l.descriptor.kernarg_bytes != 0 && !memory.find(d.kernarg, l.descriptor.kernarg_bytes)) {
    return fmt::format("kernel arguments at {:#x}: {}", d.kernarg,
                       memory.explain(d.kernarg, l.descriptor.kernarg_bytes));
  }
  const std::uint32_t preloaded = preload_dwords(l), first = l.descriptor.kernarg_preload >> 7;
  if (preloaded != 0 && (chip.family != Family::cdna3 || (first + preloaded) * 4 > l.descriptor.kernarg_bytes)) {
    return fmt::format("the descriptor preloads dwords {} to {} of {} bytes of arguments", first, first + preloaded - 1,
                       l.descriptor.kernarg_bytes);
  }
  if (user_scalars(Launch{l}).size() > bits(l.descriptor.rsrc2, 1, 5)) {
    return "the descriptor counts fewer user SGPRs than it asks for";
  }
  return {};
}

std::unique_ptr<Workgroup> make_workgroup(const Launch& l, std::array<std::uint32_t, 3> id, std::uint64_t seed) {
  auto group = std::make_unique<Workgroup>();
  group->id = id;
  std::uint64_t state = seed ^ (id[0] * 0x9e3779b1u + id[1] * 0x85ebca77u + id[2] * 0xc2b2ae3du);
  group->lds.resize(l.group_bytes);
  fill_noise(group->lds, state);
  const auto size = extent(l, id);
  const std::uint32_t items = size[0] * size[1] * size[2];
  const auto lanes = static_cast<std::uint32_t>(l.lanes);
  const std::uint32_t waves = (items + lanes - 1) / lanes;
  const std::size_t rows = static_cast<std::size_t>(first_spare_row(*l.chip) + kSpareRows);
  group->registers = Rows(rows * lanes * waves);
  group->scratch.resize(std::size_t{l.private_bytes} * lanes * waves);
  fill_noise(group->scratch, state);
  const auto user = user_scalars(l);
  const std::uint64_t entry = (entry_address(l) - l.program->base) / 4;
  for (std::uint32_t n = 0; n < waves; ++n) {
    auto w = std::make_unique<Wave>();
    w->vgprs = group->registers.data() + n * rows * lanes;
    w->scratch = group->scratch.data() + std::size_t{n} * l.private_bytes * lanes;
    w->launch = &l;
    w->workgroup = group.get();
    w->number = static_cast<int>(n);
    w->lanes = l.lanes;
    w->pc = entry;
    set_mode(*w, l.descriptor.rsrc1);
    for (int r = 0; r < l.vgprs; ++r) std::fill_n(w->row(r), lanes, static_cast<std::uint32_t>(noise(state)));
    for (int r = 0; r < l.agprs; ++r) std::fill_n(w->row(kVgprs + r), lanes, static_cast<std::uint32_t>(noise(state)));
    for (std::uint32_t& s : w->s) s = static_cast<std::uint32_t>(noise(state));
    w->s[kNull] = 0;
    set_scalars(*w, l, user);
    const std::uint32_t first = n * lanes, here = std::min(lanes, items - first);
    for (std::uint32_t i = 0; i < here; ++i) {
      const std::uint32_t item = first + i;
      w->row(0)[i] = item_ids(l, item, size);
    }
    w->set_scalar64(kExec, here == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << here) - 1);
    group->waves.push_back(std::move(w));
  }
  return group;
}

std::vector<RegisterRange> initial_registers(const Launch& l) {
  const auto user = static_cast<std::uint8_t>(user_scalars(l).size());
  const auto counted = static_cast<std::uint16_t>(bits(l.descriptor.rsrc2, 1, 5));
  std::uint8_t ids = 0;
  for (int bit = 7; bit <= 10; ++bit) ids = static_cast<std::uint8_t>(ids + bits(l.descriptor.rsrc2, bit, 1));
  return {{File::sgpr, 0, user},
          {File::sgpr, counted, ids},
          {File::vgpr, 0, 1},
          {File::sgpr, kExec, 2},
          {File::sgpr, kNull, 1}};
}

namespace {

int waves_by_registers(const Launch& l) {
  const Chip& c = *l.chip;
  // Registers are counted at the native wave size; a wave64 on a chip of 32 lanes takes two of each.
  const int scale = l.lanes / c.native_lanes;
  const int used = std::max(1, (l.vgprs + l.agprs) * std::max(1, scale));
  const int granule = c.vgpr_granule;
  const int allocated = (used + granule - 1) / granule * granule;
  return std::clamp(c.vgprs_per_simd / allocated, 1, c.waves_per_simd);
}

}  // namespace

int waves_per_simd(const Launch& l) {
  const int waves = workgroups_per_compute_unit(l) * l.waves_per_workgroup;
  return std::min(waves_by_registers(l), std::max(1, (waves + l.chip->simds - 1) / l.chip->simds));
}

int workgroups_per_compute_unit(const Launch& l) {
  const int waves = std::max(1, waves_by_registers(l) * l.chip->simds / std::max(1, l.waves_per_workgroup));
  const int by_lds = l.group_bytes == 0 ? waves : static_cast<int>(l.chip->lds_bytes / l.group_bytes);
  return std::max(1, std::min(waves, by_lds));
}

}  // namespace wavetile::emu
