#include "emulator/code_object.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "emulator/elf_image.h"

namespace wavetile::emu {
namespace {

using Json = nlohmann::json;

// e_flags, from LLVM's AMDGPU usage document, "ELF Header".
constexpr std::uint32_t kMachMask = 0xff, kXnackMaskV4 = 0x300, kXnackOn = 0x300, kSrameccMaskV4 = 0xc00,
                        kSrameccOff = 0x800;
constexpr std::uint32_t kMetadataNote = 32;  // NT_AMDGPU_METADATA

// Dynamic relocations, ibid., "Relocation Records".
enum : std::uint32_t {
  kNone = 0,
  kAbs32Low = 1,
  kAbs32High = 2,
  kAbs64 = 3,
  kRel32 = 4,
  kRel64 = 5,
  kAbs32 = 6,
  kRel32Low = 10,
  kRel32High = 11,
  kRelative64 = 13,
};

template <typename... T>
[[noreturn]] void refuse(fmt::format_string<T...> text, T&&... values) {
  throw CodeObjectError(fmt::format(text, std::forward<T>(values)...));
}

const Chip* chip_of(std::uint32_t flags) {
  for (const Chip& c : chips()) {
    if (c.elf_mach == (flags & kMachMask)) return &c;
  }
  return nullptr;
}

void check_flags(std::uint32_t flags, const Chip& chip) {
  if ((flags & kMachMask) != chip.elf_mach) {
    const Chip* other = chip_of(flags);
    refuse("made for {} (EF_AMDGPU_MACH 0x{:x}), not for {}", other ? other->name : "another chip", flags & kMachMask,
           chip.name);
  }
  if ((flags & kXnackMaskV4) == kXnackOn) refuse("e_flags 0x{:x}: made for a device with XNACK on", flags);
  if ((flags & kSrameccMaskV4) == kSrameccOff) refuse("e_flags 0x{:x}: made for a device with SRAM ECC off", flags);
  if (const auto unknown = flags & ~(kMachMask | kXnackMaskV4 | kSrameccMaskV4)) {
    refuse("e_flags 0x{:x}: bits 0x{:x} are unknown", flags, unknown);
  }
}

// --- metadata

const Json& member(const Json& map, const char* key) {
  if (!map.is_object()) refuse("metadata: not a map where '{}' should be", key);
  const auto it = map.find(key);
  if (it == map.end()) refuse("metadata: no '{}'", key);
  return *it;
}

std::uint32_t number(const Json& value, const char* key) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > std::numeric_limits<std::uint32_t>::max()) {
    refuse("metadata: '{}' is not a number of 32 bits: {}", key, value.dump());
  }
  return value.get<std::uint32_t>();
}
std::uint32_t number_of(const Json& map, const char* key) { return number(member(map, key), key); }
std::uint32_t number_or_zero(const Json& map, const char* key) { return map.contains(key) ? number_of(map, key) : 0; }
std::string text_of(const Json& map, const char* key) {
  const Json& value = member(map, key);
  if (!value.is_string()) refuse("metadata: '{}' is not a string: {}", key, value.dump());
  return value.get<std::string>();
}
const Json& list_of(const Json& map, const char* key) {
  const Json& value = member(map, key);
  if (!value.is_array()) refuse("metadata: '{}' is not a list", key);
  return value;
}

// Stops where maps and lists lie too deep in each other: reading them recurses. Metadata nests 5 deep.
class DepthLimit : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool key(string_t&) override { return true; }
  bool start_object(std::size_t) override { return ++depth_ <= kDeepest; }
  bool end_object() override { return --depth_, true; }
  bool start_array(std::size_t) override { return ++depth_ <= kDeepest; }
  bool end_array() override { return --depth_, true; }
  bool parse_error(std::size_t, const std::string&, const Json::exception&) override { return false; }
  bool exceeded() const { return depth_ > kDeepest; }

 private:
  static constexpr int kDeepest = 32;
  int depth_ = 0;
};

Json parse_metadata(std::span<const std::byte> note, const Chip& chip) {
  if (note.empty()) refuse("no metadata note (NT_AMDGPU_METADATA)");
  const auto* begin = reinterpret_cast<const std::uint8_t*>(note.data());
  DepthLimit limit;
  if (!Json::sax_parse(begin, begin + note.size(), &limit, Json::input_format_t::msgpack, /*strict=*/true)) {
    refuse("metadata: {}", limit.exceeded() ? "nested too deep" : "not MessagePack");
  }
  Json root = Json::from_msgpack(begin, begin + note.size());
  const Json& version = list_of(root, "amdhsa.version");
  if (version.size() != 2 || version[0] != 1 || !version[1].is_number_unsigned() || version[1] > 2) {
    refuse("metadata: version {} is neither 1.1 (V4) nor 1.2 (V5, V6)", version.dump());
  }
  const std::string target = text_of(root, "amdhsa.target");
  // The triple, then the chip, then its features: "amdgcn-amd-amdhsa--gfx942:sramecc+:xnack-". Compilers after LLVM 22
  // write the architecture and the environment in other words ("amdgpu9.42-amd-amdhsa-unknown-gfx942").
  const std::string processor = target.substr(0, target.find(':'));
  if (!target.starts_with("amd") || processor.find("-amd-amdhsa-") == std::string::npos ||
      !processor.ends_with(fmt::format("-{}", chip.name))) {
    refuse("metadata: target '{}' is not 'amdgcn-amd-amdhsa--{}'", target, chip.name);
  }
  return root;
}

std::vector<KernelArgument> read_arguments(const Json& kernel, std::uint32_t kernarg_bytes) {
  std::vector<KernelArgument> result;
  if (!kernel.contains(".args")) return result;
  for (const Json& arg : list_of(kernel, ".args")) {
    KernelArgument a;
    if (arg.is_object() && arg.contains(".name")) a.name = text_of(arg, ".name");
    a.kind = text_of(arg, ".value_kind");
    a.offset = number_of(arg, ".offset");
    a.bytes = number_of(arg, ".size");
    if (a.offset > kernarg_bytes || a.bytes > kernarg_bytes - a.offset) {
      refuse("metadata: argument '{}' ({} bytes at {}) is outside the kernel's {} bytes", a.name, a.bytes, a.offset,
             kernarg_bytes);
    }
    result.push_back(std::move(a));
  }
  return result;
}

KernelInfo read_kernel(const Json& kernel) {
  KernelInfo k;
  k.name = text_of(kernel, ".name");
  k.kernarg_bytes = number_of(kernel, ".kernarg_segment_size");
  k.kernarg_align = number_of(kernel, ".kernarg_segment_align");
  if (k.kernarg_align == 0 || (k.kernarg_align & (k.kernarg_align - 1))) {
    refuse("metadata: kernel '{}': '.kernarg_segment_align' is no power of two: {}", k.name, k.kernarg_align);
  }
  k.group_bytes = number_of(kernel, ".group_segment_fixed_size");
  k.private_bytes = number_of(kernel, ".private_segment_fixed_size");
  k.max_workgroup = number_of(kernel, ".max_flat_workgroup_size");
  k.wavefront = number_of(kernel, ".wavefront_size");
  k.vgprs = number_of(kernel, ".vgpr_count");
  k.sgprs = number_of(kernel, ".sgpr_count");
  k.agprs = number_or_zero(kernel, ".agpr_count");
  k.vgpr_spills = number_or_zero(kernel, ".vgpr_spill_count");
  k.sgpr_spills = number_or_zero(kernel, ".sgpr_spill_count");
  if (kernel.contains(".reqd_workgroup_size")) {
    for (const Json& n : list_of(kernel, ".reqd_workgroup_size")) {
      k.required_workgroup.push_back(number(n, ".reqd_workgroup_size"));
    }
    if (k.required_workgroup.size() != 3) refuse("metadata: '.reqd_workgroup_size' is not three numbers");
  }
  k.arguments = read_arguments(kernel, k.kernarg_bytes);
  return k;
}

std::uint64_t page_bytes() { return static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)); }
std::uint64_t round_up(std::uint64_t n, std::uint64_t to) { return (n + to - 1) / to * to; }

// What a relocation writes, and how many bytes of it.
struct Patch {
  std::uint64_t value = 0;
  unsigned bytes = 0;
};
Patch patch_of(std::uint32_t type, std::uint64_t s, std::uint64_t a, std::uint64_t p, std::uint64_t base) {
  const std::uint64_t absolute = s + a, relative = s + a - p;
  switch (type) {
    case kNone:
      return {};
    case kAbs32Low:
      return {absolute & 0xffffffff, 4};
    case kAbs32High:
      return {absolute >> 32, 4};
    case kAbs64:
      return {absolute, 8};
    case kRel64:
      return {relative, 8};
    case kRel32Low:
      return {relative & 0xffffffff, 4};
    case kRel32High:
      return {relative >> 32, 4};
    case kRelative64:
      return {base + a, 8};
    case kRel32:
      if (static_cast<std::int64_t>(relative) != static_cast<std::int32_t>(relative)) {
        refuse("R_AMDGPU_REL32: 0x{:x} does not fit 32 bits", relative);
      }
      return {relative & 0xffffffff, 4};
    case kAbs32:
      if (absolute >> 32) refuse("R_AMDGPU_ABS32: 0x{:x} does not fit 32 bits", absolute);
      return {absolute, 4};
    default:
      refuse("relocation type {} is none that a loader applies", type);
  }
}

}  // namespace

KernelDescriptor read_descriptor(const void* bytes) {
  const auto at = [&](std::size_t offset, auto& to) {
    std::memcpy(&to, static_cast<const std::byte*>(bytes) + offset, sizeof to);
  };
  KernelDescriptor d;
  at(0, d.group_segment_bytes);
  at(4, d.private_segment_bytes);
  at(8, d.kernarg_bytes);
  at(16, d.entry_offset);
  at(44, d.rsrc3);
  at(48, d.rsrc1);
  at(52, d.rsrc2);
  at(56, d.properties);
  at(58, d.kernarg_preload);
  return d;
}

std::string code_object_chip(std::span<const std::byte> file) {
  const std::uint32_t flags = read_elf_header(file).e_flags;
  if (const Chip* chip = chip_of(flags)) return std::string(chip->name);
  std::vector<std::string_view> names;
  for (const Chip& c : chips()) names.push_back(c.name);
  refuse("EF_AMDGPU_MACH 0x{:x} is none of {}", flags & kMachMask, fmt::join(names, ", "));
}

CodeObject::CodeObject(std::span<const std::byte> file, const Chip& chip, Memory& memory, std::string name,
                       const ExternalSymbols& externals)
    : name_(std::move(name)), memory_(memory), file_(file.begin(), file.end()) {
  const ElfImage image(file_);
  check_flags(image.header().e_flags, chip);
  place(image);
  try {
    read_symbols(image);
    relocate(image, externals);
    read_kernels(image, chip);
    for (const Elf64_Phdr& p : image.segments()) {
      const auto* begin = reinterpret_cast<const std::byte*>(base_ + p.p_vaddr);
      memory_.add(begin, p.p_memsz, fmt::format("code object {}", name_), (p.p_flags & PF_W) != 0, true);
      registered_.push_back(begin);
      if (p.p_flags & PF_X) text_.emplace_back(begin, p.p_memsz);
    }
  } catch (...) {
    release();
    throw;
  }
}

CodeObject::~CodeObject() { release(); }

void CodeObject::release() {
  for (const void* begin : registered_) memory_.remove(begin);
  munmap(reinterpret_cast<void*>(base_), round_up(size_, page_bytes()));
}

void CodeObject::place(const ElfImage& image) {
  std::uint64_t align = page_bytes();
  for (const Elf64_Phdr& p : image.segments()) align = std::max<std::uint64_t>(align, p.p_align);
  if (align > (std::uint64_t{1} << 30)) refuse("a segment's alignment of {} bytes is too large", align);
  size_ = image.segments().back().p_vaddr + image.segments().back().p_memsz;
  const std::uint64_t needed = round_up(size_, page_bytes()), mapped = needed + align - page_bytes();
  void* at = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) refuse("no memory for {} bytes", needed);
  const auto begin = reinterpret_cast<std::uint64_t>(at);
  base_ = round_up(begin, align);
  if (base_ > begin) munmap(at, base_ - begin);
  if (begin + mapped > base_ + needed) {
    munmap(reinterpret_cast<void*>(base_ + needed), begin + mapped - base_ - needed);
  }
  for (const Elf64_Phdr& p : image.segments()) {
    std::memcpy(reinterpret_cast<void*>(base_ + p.p_vaddr), file_.data() + p.p_offset, p.p_filesz);
  }
}

void CodeObject::read_symbols(const ElfImage& image) {
  for (const ElfSymbol& s : image.symbols()) {
    if (s.raw.st_shndx == SHN_UNDEF || s.raw.st_shndx == SHN_ABS) continue;
    const auto type = ELF64_ST_TYPE(s.raw.st_info);
    if (type != STT_OBJECT && type != STT_FUNC) continue;
    symbols_.push_back({.name = s.name,
                        .address = base_ + s.raw.st_value,
                        .bytes = s.raw.st_size,
                        .global = ELF64_ST_BIND(s.raw.st_info) != STB_LOCAL,
                        .object = type == STT_OBJECT && !s.name.ends_with(".kd")});
  }
}

void CodeObject::relocate(const ElfImage& image, const ExternalSymbols& externals) {
  const auto value_of = [&](std::uint64_t index) -> std::uint64_t {
    if (index == 0) return 0;
    const ElfSymbol& s = image.symbols()[index - 1];
    if (s.raw.st_shndx == SHN_ABS) return s.raw.st_value;
    if (s.raw.st_shndx != SHN_UNDEF) return base_ + s.raw.st_value;
    if (const auto it = externals.find(s.name); it != externals.end()) return it->second;
    if (ELF64_ST_BIND(s.raw.st_info) == STB_WEAK) return 0;
    throw UndefinedSymbolError(fmt::format("symbol '{}' is undefined", s.name));
  };
  // What is undefined is an error even if nothing refers to it.
  for (std::size_t i = 1; i <= image.symbols().size(); ++i) value_of(i);
  for (const Elf64_Rela& r : image.relocations()) {
    const auto type = static_cast<std::uint32_t>(ELF64_R_TYPE(r.r_info));
    const Patch patch = patch_of(type, value_of(ELF64_R_SYM(r.r_info)), static_cast<std::uint64_t>(r.r_addend),
                                 base_ + r.r_offset, base_);
    if (!image.segment_of(r.r_offset, patch.bytes)) {
      refuse("a relocation's {} bytes at 0x{:x} are in no segment", patch.bytes, r.r_offset);
    }
    std::memcpy(reinterpret_cast<void*>(base_ + r.r_offset), &patch.value, patch.bytes);
  }
}

void CodeObject::read_kernels(const ElfImage& image, const Chip& chip) {
  const Json root = parse_metadata(image.note("AMDGPU", kMetadataNote), chip);
  std::size_t descriptors = 0;
  for (const ElfSymbol& s : image.symbols()) descriptors += s.name.ends_with(".kd") && s.raw.st_shndx != SHN_UNDEF;
  if (root.contains("amdhsa.kernels")) {
    for (const Json& kernel : list_of(root, "amdhsa.kernels")) {
      KernelInfo k = read_kernel(kernel);
      const std::string symbol = text_of(kernel, ".symbol");
      const auto it = std::ranges::find(image.symbols(), symbol, &ElfSymbol::name);
      if (it == image.symbols().end() || it->raw.st_shndx == SHN_UNDEF || it->raw.st_shndx == SHN_ABS) {
        refuse("kernel '{}': no dynamic symbol '{}'", k.name, symbol);
      }
      if (it->raw.st_size != 64 || it->raw.st_value % 64 != 0 || !image.segment_of(it->raw.st_value, 64)) {
        refuse("kernel '{}': its descriptor is not 64 bytes of a segment at a multiple of 64", k.name);
      }
      if (find_kernel(k.name)) refuse("metadata: two kernels '{}'", k.name);
      k.descriptor = base_ + it->raw.st_value;
      if (k.wavefront != 64 && !(k.wavefront == 32 && chip.wave32)) {
        refuse("kernel '{}': waves of {} lanes, which {} does not have", k.name, k.wavefront, chip.name);
      }
      check_descriptor(image, k);
      kernels_.push_back(std::move(k));
    }
  }
  if (descriptors != kernels_.size()) {
    refuse("{} kernel descriptors among the symbols, {} kernels in the metadata", descriptors, kernels_.size());
  }
}

void CodeObject::check_descriptor(const ElfImage& image, const KernelInfo& k) const {
  const auto* bytes = reinterpret_cast<const std::byte*>(k.descriptor);
  const KernelDescriptor d = read_descriptor(bytes);
  const auto zero = [](std::byte b) { return b == std::byte{0}; };
  if (!std::all_of(bytes + 12, bytes + 16, zero) || !std::all_of(bytes + 24, bytes + 44, zero) ||
      !std::all_of(bytes + 60, bytes + 64, zero)) {
    refuse("kernel '{}': reserved bytes of its descriptor are not zero", k.name);
  }
  const std::uint64_t entry = k.descriptor - base_ + static_cast<std::uint64_t>(d.entry_offset);
  const Elf64_Phdr* segment = image.segment_of(entry, 4);
  if (!segment || !(segment->p_flags & PF_X)) refuse("kernel '{}': its entry is in no executable segment", k.name);
  if (entry % 256 != 0) refuse("kernel '{}': its entry is not at a multiple of 256", k.name);
  constexpr std::uint16_t kWave32 = 1 << 10;
  if (((d.properties & kWave32) != 0) != (k.wavefront == 32)) {
    refuse("kernel '{}': descriptor and metadata differ on the lanes of a wave", k.name);
  }
  if (d.kernarg_bytes != 0 && d.kernarg_bytes != k.kernarg_bytes) {
    refuse("kernel '{}': {} bytes of arguments in the descriptor, {} in the metadata", k.name, d.kernarg_bytes,
           k.kernarg_bytes);
  }
  if (d.group_segment_bytes != k.group_bytes || d.private_segment_bytes != k.private_bytes) {
    refuse("kernel '{}': descriptor and metadata differ on group or private bytes", k.name);
  }
}

const KernelInfo* CodeObject::find_kernel(std::string_view name) const {
  const auto it = std::ranges::find(kernels_, name, &KernelInfo::name);
  return it == kernels_.end() ? nullptr : &*it;
}

std::span<const std::byte> CodeObject::text(std::uint64_t address) const {
  const auto at = reinterpret_cast<const std::byte*>(address);
  for (const auto& t : text_) {
    if (at >= t.data() && at < t.data() + t.size()) return t;
  }
  return {};
}

}  // namespace wavetile::emu
