#include "emulator/elf_image.h"

#include <cstring>
#include <map>

#include <fmt/format.h>

namespace wavetile::emu {
namespace {

constexpr std::uint16_t kMachine = 224;  // EM_AMDGPU
constexpr std::uint8_t kOsAbi = 64;      // ELFOSABI_AMDGPU_HSA
constexpr std::uint8_t kAbiV4 = 2, kAbiV6 = 4;
// Far above any code object and low enough that sums of two fit.
constexpr std::uint64_t kAddressLimit = std::uint64_t{1} << 32;

template <typename... T>
[[noreturn]] void refuse(fmt::format_string<T...> text, T&&... values) {
  throw CodeObjectError(fmt::format(text, std::forward<T>(values)...));
}

template <typename T>
T read_at(std::span<const std::byte> bytes, std::uint64_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

}  // namespace

Elf64_Ehdr read_elf_header(std::span<const std::byte> file) {
  if (file.size() < sizeof(Elf64_Ehdr)) refuse("{} bytes are too few for an ELF header", file.size());
  const auto h = read_at<Elf64_Ehdr>(file, 0);
  if (std::memcmp(h.e_ident, ELFMAG, SELFMAG) != 0) refuse("not an ELF file");
  if (h.e_ident[EI_CLASS] != ELFCLASS64) refuse("ELF class {} is not 64-bit", h.e_ident[EI_CLASS]);
  if (h.e_ident[EI_DATA] != ELFDATA2LSB) refuse("ELF data encoding {} is not little-endian", h.e_ident[EI_DATA]);
  if (h.e_ident[EI_VERSION] != EV_CURRENT || h.e_version != EV_CURRENT) refuse("the ELF version is not 1");
  if (h.e_machine != kMachine) refuse("machine {} is not AMDGPU ({})", h.e_machine, kMachine);
  if (h.e_ident[EI_OSABI] != kOsAbi) refuse("OS ABI {} is not AMDGPU_HSA ({})", h.e_ident[EI_OSABI], kOsAbi);
  if (h.e_ident[EI_ABIVERSION] < kAbiV4 || h.e_ident[EI_ABIVERSION] > kAbiV6) {
    refuse("ABI version {} is none of {} to {} (code objects V4 to V6)", h.e_ident[EI_ABIVERSION], kAbiV4, kAbiV6);
  }
  if (h.e_type != ET_DYN) refuse("ELF type {} is not a shared object ({}): link it with lld", h.e_type, ET_DYN);
  if (h.e_ehsize != sizeof(Elf64_Ehdr)) refuse("the ELF header's size says {}", h.e_ehsize);
  return h;
}

ElfImage::ElfImage(std::span<const std::byte> file) : file_(file), header_(read_elf_header(file)) { read_segments(); }

std::span<const std::byte> ElfImage::slice(std::uint64_t offset, std::uint64_t bytes, const char* what) const {
  if (offset > file_.size() || bytes > file_.size() - offset) {
    refuse("{}: {} bytes at offset 0x{:x} reach beyond the file's {}", what, bytes, offset, file_.size());
  }
  return file_.subspan(offset, bytes);
}

const Elf64_Phdr* ElfImage::segment_of(std::uint64_t address, std::uint64_t bytes) const {
  for (const Elf64_Phdr& p : segments_) {
    if (address >= p.p_vaddr && address - p.p_vaddr <= p.p_memsz && bytes <= p.p_memsz - (address - p.p_vaddr)) {
      return &p;
    }
  }
  return nullptr;
}

std::span<const std::byte> ElfImage::mapped(std::uint64_t address, std::uint64_t bytes, const char* what) const {
  const Elf64_Phdr* p = segment_of(address, bytes);
  if (!p || address - p->p_vaddr + bytes > p->p_filesz) {
    refuse("{}: {} bytes at address 0x{:x} are in no segment of the file", what, bytes, address);
  }
  return file_.subspan(p->p_offset + (address - p->p_vaddr), bytes);
}

void ElfImage::read_segments() {
  if (header_.e_phentsize != sizeof(Elf64_Phdr)) refuse("the size of a program header says {}", header_.e_phentsize);
  const auto table = slice(header_.e_phoff, std::uint64_t{header_.e_phnum} * sizeof(Elf64_Phdr), "program headers");
  std::optional<Elf64_Phdr> dynamic;
  for (unsigned i = 0; i < header_.e_phnum; ++i) {
    const auto p = read_at<Elf64_Phdr>(table, i * sizeof(Elf64_Phdr));
    if (p.p_type == PT_DYNAMIC || p.p_type == PT_NOTE || p.p_type == PT_LOAD) {
      slice(p.p_offset, p.p_filesz, "a segment");
    }
    if (p.p_type == PT_DYNAMIC) {
      if (dynamic) refuse("two dynamic segments");
      dynamic = p;
    }
    if (p.p_type == PT_NOTE) notes_.push_back(p);
    if (p.p_type != PT_LOAD || p.p_memsz == 0) continue;
    if (p.p_filesz > p.p_memsz) refuse("segment {}: more bytes in the file than in memory", i);
    if (p.p_vaddr > kAddressLimit || p.p_memsz > kAddressLimit - p.p_vaddr) {
      refuse("segment {}: {} bytes at address 0x{:x} are beyond 4 GiB", i, p.p_memsz, p.p_vaddr);
    }
    if (p.p_align & (p.p_align - 1)) refuse("segment {}: alignment {} is no power of two", i, p.p_align);
    if (p.p_align > 1 && (p.p_vaddr - p.p_offset) % p.p_align != 0) {
      refuse("segment {}: address 0x{:x} and offset 0x{:x} differ modulo the alignment {}", i, p.p_vaddr, p.p_offset,
             p.p_align);
    }
    if (!segments_.empty() && p.p_vaddr < segments_.back().p_vaddr + segments_.back().p_memsz) {
      refuse("segment {}: overlaps the one before it, or is out of order", i);
    }
    segments_.push_back(p);
  }
  if (segments_.empty()) refuse("no segment to load");
  if (!dynamic) refuse("no dynamic segment");
  read_dynamic(*dynamic);
}

void ElfImage::read_dynamic(const Elf64_Phdr& segment) {
  std::map<std::int64_t, std::uint64_t> entries;
  bool ended = false;
  for (std::uint64_t at = 0; !ended && at + sizeof(Elf64_Dyn) <= segment.p_filesz; at += sizeof(Elf64_Dyn)) {
    const auto d = read_at<Elf64_Dyn>(file_, segment.p_offset + at);
    ended = d.d_tag == DT_NULL;
    if (!ended && !entries.emplace(d.d_tag, d.d_un.d_val).second && d.d_tag != DT_NEEDED) {
      refuse("dynamic section: tag 0x{:x} occurs twice", d.d_tag);
    }
  }
  if (!ended) refuse("dynamic section: no DT_NULL at its end");
  const auto find = [&](std::int64_t tag) -> std::optional<std::uint64_t> {
    const auto it = entries.find(tag);
    return it == entries.end() ? std::nullopt : std::optional(it->second);
  };
  const auto need = [&](std::int64_t tag, const char* name) {
    const auto value = find(tag);
    if (!value) refuse("dynamic section: no {}", name);
    return *value;
  };
  for (const auto& [tag, name] : {std::pair{std::int64_t{DT_NEEDED}, "DT_NEEDED"},
                                  {DT_REL, "DT_REL"},
                                  {DT_TEXTREL, "DT_TEXTREL"},
                                  {DT_INIT, "DT_INIT"},
                                  {DT_RELR, "DT_RELR"}}) {
    if (find(tag)) refuse("dynamic section: {} is not for code objects", name);
  }
  if (need(DT_SYMENT, "DT_SYMENT") != sizeof(Elf64_Sym)) refuse("dynamic section: DT_SYMENT is not 24");
  const auto strings = mapped(need(DT_STRTAB, "DT_STRTAB"), need(DT_STRSZ, "DT_STRSZ"), "DT_STRTAB");
  if (strings.empty() || strings.front() != std::byte{0} || strings.back() != std::byte{0}) {
    refuse("the dynamic string table does not begin and end with a null");
  }
  read_symbols(need(DT_SYMTAB, "DT_SYMTAB"), symbol_count(find(DT_HASH), find(DT_GNU_HASH)),
               {reinterpret_cast<const char*>(strings.data()), strings.size()});
  if (find(DT_RELA)) {
    if (need(DT_RELAENT, "DT_RELAENT") != sizeof(Elf64_Rela)) refuse("dynamic section: DT_RELAENT is not 24");
    read_relocations(*find(DT_RELA), need(DT_RELASZ, "DT_RELASZ"));
  }
  if (find(DT_JMPREL)) {
    if (need(DT_PLTREL, "DT_PLTREL") != DT_RELA) refuse("dynamic section: DT_PLTREL is not DT_RELA");
    read_relocations(*find(DT_JMPREL), need(DT_PLTRELSZ, "DT_PLTRELSZ"));
  }
}

// The dynamic section does not say how many symbols there are; the hash tables do.
std::uint64_t ElfImage::symbol_count(std::optional<std::uint64_t> hash, std::optional<std::uint64_t> gnu_hash) const {
  if (hash) return read_at<std::uint32_t>(mapped(*hash, 8, "DT_HASH"), 4);
  if (!gnu_hash) refuse("dynamic section: neither DT_HASH nor DT_GNU_HASH");
  struct Header {
    std::uint32_t buckets, first, bloom_words, shift;
  };
  const auto h = read_at<Header>(mapped(*gnu_hash, sizeof(Header), "DT_GNU_HASH"), 0);
  const std::uint64_t buckets_at = *gnu_hash + sizeof(Header) + std::uint64_t{h.bloom_words} * 8;
  const auto buckets = mapped(buckets_at, std::uint64_t{h.buckets} * 4, "DT_GNU_HASH");
  std::uint64_t last = 0;
  for (std::uint64_t i = 0; i < h.buckets; ++i)
    last = std::max<std::uint64_t>(last, read_at<std::uint32_t>(buckets, i * 4));
  if (last == 0) return h.first;
  if (last < h.first) refuse("DT_GNU_HASH: a bucket begins before the first hashed symbol");
  // The chain of the last bucket ends with an odd word.
  const std::uint64_t chains = buckets_at + std::uint64_t{h.buckets} * 4;
  while ((read_at<std::uint32_t>(mapped(chains + (last - h.first) * 4, 4, "DT_GNU_HASH"), 0) & 1) == 0) ++last;
  return last + 1;
}

void ElfImage::read_symbols(std::uint64_t table, std::uint64_t count, std::string_view strings) {
  const auto bytes = mapped(table, count * sizeof(Elf64_Sym), "DT_SYMTAB");
  for (std::uint64_t i = 1; i < count; ++i) {
    ElfSymbol s;
    s.raw = read_at<Elf64_Sym>(bytes, i * sizeof(Elf64_Sym));
    if (s.raw.st_name >= strings.size()) refuse("symbol {}: its name is outside the string table", i);
    s.name = strings.data() + s.raw.st_name;
    if (s.raw.st_shndx != SHN_UNDEF && s.raw.st_shndx != SHN_ABS && !segment_of(s.raw.st_value, s.raw.st_size)) {
      refuse("symbol '{}': {} bytes at 0x{:x} are in no segment", s.name, s.raw.st_size, s.raw.st_value);
    }
    symbols_.push_back(std::move(s));
  }
}

void ElfImage::read_relocations(std::uint64_t table, std::uint64_t bytes) {
  if (bytes % sizeof(Elf64_Rela)) refuse("the relocation table's {} bytes are no multiple of 24", bytes);
  const auto entries = mapped(table, bytes, "relocations");
  for (std::uint64_t at = 0; at < bytes; at += sizeof(Elf64_Rela)) {
    const auto r = read_at<Elf64_Rela>(entries, at);
    if (ELF64_R_SYM(r.r_info) > symbols_.size()) refuse("a relocation names symbol {}", ELF64_R_SYM(r.r_info));
    relocations_.push_back(r);
  }
}

std::span<const std::byte> ElfImage::note(std::string_view owner, std::uint32_t type) const {
  const auto padded = [](std::uint64_t n) { return (n + 3) / 4 * 4; };
  for (const Elf64_Phdr& p : notes_) {
    const auto bytes = file_.subspan(p.p_offset, p.p_filesz);
    std::uint64_t at = 0;
    while (at + sizeof(Elf64_Nhdr) <= bytes.size()) {
      const auto n = read_at<Elf64_Nhdr>(bytes, at);
      at += sizeof(Elf64_Nhdr);
      const std::uint64_t description = at + padded(n.n_namesz);
      if (description > bytes.size() || n.n_descsz > bytes.size() - description)
        refuse("a note reaches beyond its segment");
      const std::string_view name(reinterpret_cast<const char*>(bytes.data()) + at, n.n_namesz);
      if (n.n_type == type && name.size() == owner.size() + 1 && name.starts_with(owner) && name.back() == '\0') {
        return bytes.subspan(description, n.n_descsz);
      }
      at = description + padded(n.n_descsz);
    }
  }
  return {};
}

}  // namespace wavetile::emu
