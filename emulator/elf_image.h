// An ELF file as AMDGPU code objects are: header, segments, dynamic section and notes, each checked against the file's
// bounds as it is read, so that whoever uses the result need not doubt it again.
#pragma once

#include <elf.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/code_object.h"

namespace wavetile::emu {

/// Checks the header's identification, machine, OS ABI and version. Throws CodeObjectError.
Elf64_Ehdr read_elf_header(std::span<const std::byte> file);

struct ElfSymbol {
  std::string name;
  Elf64_Sym raw{};
};

class ElfImage {
 public:
  /// `file` must outlive the image. Throws CodeObjectError.
  explicit ElfImage(std::span<const std::byte> file);

  const Elf64_Ehdr& header() const { return header_; }
  /// PT_LOAD segments that are not empty, ascending and disjoint in virtual addresses.
  const std::vector<Elf64_Phdr>& segments() const { return segments_; }
  /// Of the dynamic symbol table, without its null entry.
  const std::vector<ElfSymbol>& symbols() const { return symbols_; }
  const std::vector<Elf64_Rela>& relocations() const { return relocations_; }
  /// The descriptor of the note of this owner and type; empty when there is none.
  std::span<const std::byte> note(std::string_view owner, std::uint32_t type) const;
  /// The segment in which all of [address, address + bytes) lies, or nullptr.
  const Elf64_Phdr* segment_of(std::uint64_t address, std::uint64_t bytes) const;

 private:
  std::span<const std::byte> slice(std::uint64_t offset, std::uint64_t bytes, const char* what) const;
  std::span<const std::byte> mapped(std::uint64_t address, std::uint64_t bytes, const char* what) const;
  void read_segments();
  void read_dynamic(const Elf64_Phdr& segment);
  void read_symbols(std::uint64_t table, std::uint64_t count, std::string_view strings);
  std::uint64_t symbol_count(std::optional<std::uint64_t> hash, std::optional<std::uint64_t> gnu_hash) const;
  void read_relocations(std::uint64_t table, std::uint64_t bytes);

  std::span<const std::byte> file_;
  Elf64_Ehdr header_{};
  std::vector<Elf64_Phdr> segments_, notes_;
  std::vector<ElfSymbol> symbols_;
  std::vector<Elf64_Rela> relocations_;
};

}  // namespace wavetile::emu
