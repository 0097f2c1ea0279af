#include "emulator/model/kernel_names.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include "emulator/elf_image.h"

namespace wavetile::emu::model {
namespace {

constexpr std::uint64_t kPage = 4096, kFarthest = std::uint64_t{64} << 20;  // code objects begin at a page

// What was loaded to `memory`, as a file in which everything lies at its virtual address. Throws CodeObjectError.
std::vector<std::byte> as_file(std::span<const std::byte> memory) {
  const Elf64_Ehdr header = read_elf_header(memory);
  const std::uint64_t table = header.e_phoff, bytes = std::uint64_t{header.e_phnum} * sizeof(Elf64_Phdr);
  if (header.e_phentsize != sizeof(Elf64_Phdr) || table > memory.size() || bytes > memory.size() - table)
    throw CodeObjectError("program headers");
  std::vector<Elf64_Phdr> segments(header.e_phnum);
  std::memcpy(segments.data(), &memory[table], bytes);
  std::uint64_t end = table + bytes;
  for (Elf64_Phdr& s : segments) {
    s.p_offset = s.p_vaddr;
    if (s.p_vaddr > memory.size() || s.p_filesz > memory.size() - s.p_vaddr) throw CodeObjectError("segment");
    end = std::max(end, s.p_vaddr + s.p_filesz);
  }
  std::vector<std::byte> file(memory.begin(), memory.begin() + static_cast<std::ptrdiff_t>(end));
  std::memcpy(&file[table], segments.data(), bytes);
  return file;
}

}  // namespace

std::string kernel_name(const Memory& memory, std::uint64_t descriptor) {
  const Allocation* a = memory.find(descriptor, 64);
  if (!a) return {};
  const std::uint64_t first = std::max(a->begin, descriptor - std::min(descriptor, kFarthest));
  for (std::uint64_t base = descriptor / kPage * kPage; base >= first; base -= kPage) {
    const std::span loaded(reinterpret_cast<const std::byte*>(base), static_cast<std::size_t>(a->end - base));
    if (loaded.size() < SELFMAG || std::memcmp(loaded.data(), ELFMAG, SELFMAG) != 0) continue;
    try {
      const std::vector<std::byte> file = as_file(loaded);
      const ElfImage image(file);
      for (const ElfSymbol& s : image.symbols()) {
        if (base + s.raw.st_value == descriptor && s.name.ends_with(".kd")) return s.name.substr(0, s.name.size() - 3);
      }
    } catch (const CodeObjectError&) {  // data that looks like a header
    }
    return {};
  }
  return {};
}

std::string KernelNames::find(std::uint64_t descriptor) {
  const std::scoped_lock lock(mutex_);
  const auto [at, fresh] = names_.try_emplace(descriptor);
  if (fresh) at->second = kernel_name(memory_, descriptor);
  return at->second;
}

void KernelNames::forget() {
  const std::scoped_lock lock(mutex_);
  names_.clear();
}

}  // namespace wavetile::emu::model
