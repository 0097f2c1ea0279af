// A code object (an ELF file made by LLVM's AMDGPU back end and lld) brought into memory: segments placed, relocations
// applied, kernel descriptors and metadata read. Everything in the file is doubted before it is used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/chip.h"
#include "emulator/memory.h"

namespace wavetile::emu {

/// The 64 bytes of a kernel descriptor, as fields (LLVM's AMDGPU usage document, "Kernel Descriptor").
struct KernelDescriptor {
  std::uint32_t group_segment_bytes = 0;    // static LDS
  std::uint32_t private_segment_bytes = 0;  // scratch of a work-item
  std::uint32_t kernarg_bytes = 0;
  std::int64_t entry_offset = 0;  // from the descriptor to the first instruction
  std::uint32_t rsrc1 = 0, rsrc2 = 0, rsrc3 = 0;
  std::uint16_t properties = 0;  // which user SGPRs are set up, wave32, dynamic stack
  std::uint16_t kernarg_preload = 0;
};
KernelDescriptor read_descriptor(const void* bytes);

struct KernelArgument {
  std::string name, kind;  // value_kind of the metadata: "global_buffer", "by_value", "hidden_block_count_x", ...
  std::uint32_t offset = 0, bytes = 0;
};

struct KernelInfo {
  std::string name;              // the function's symbol
  std::uint64_t descriptor = 0;  // the address of its descriptor once loaded: an AQL packet's kernel_object
  std::uint32_t kernarg_bytes = 0, kernarg_align = 0, group_bytes = 0, private_bytes = 0;
  std::uint32_t max_workgroup = 0, vgprs = 0, agprs = 0, sgprs = 0, vgpr_spills = 0, sgpr_spills = 0, wavefront = 0;
  std::vector<std::uint32_t> required_workgroup;  // empty, or three numbers
  std::vector<KernelArgument> arguments;
};

struct Symbol {
  std::string name;
  std::uint64_t address = 0, bytes = 0;  // once loaded
  bool global = false;                   // bound STB_GLOBAL or STB_WEAK
  bool object = false;                   // a variable, not a function or a kernel descriptor
};

/// An error in the file: `what()` names the field, and not the path, which the caller knows.
struct CodeObjectError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The chip of the file, by its ELF header, without loading it. Throws CodeObjectError.
std::string code_object_chip(std::span<const std::byte> file);

/// Addresses of variables that code objects refer to and do not define, by name.
using ExternalSymbols = std::map<std::string, std::uint64_t, std::less<>>;

/// The file refers to a symbol that neither it nor its externals define.
struct UndefinedSymbolError : CodeObjectError {
  using CodeObjectError::CodeObjectError;
};

class ElfImage;

class CodeObject {
 public:
  /// Places the file in fresh memory registered with `memory` (text and rodata read-only, the rest writable) until
  /// destruction. The file must be for `chip`. `name` is for reports.
  CodeObject(std::span<const std::byte> file, const Chip& chip, Memory& memory, std::string name,
             const ExternalSymbols& externals = {});
  ~CodeObject();
  CodeObject(const CodeObject&) = delete;
  CodeObject& operator=(const CodeObject&) = delete;

  const std::string& name() const { return name_; }
  const std::vector<KernelInfo>& kernels() const { return kernels_; }
  const KernelInfo* find_kernel(std::string_view name) const;
  const std::vector<Symbol>& symbols() const { return symbols_; }
  /// Where the file's address 0 lies.
  std::uint64_t base() const { return base_; }
  std::uint64_t bytes() const { return size_; }
  /// The executable segment in which `address` lies; empty when none.
  std::span<const std::byte> text(std::uint64_t address) const;
  /// The file as it was given, for line tables and disassembly.
  std::span<const std::byte> file() const { return file_; }

 private:
  void place(const ElfImage& image);
  void read_symbols(const ElfImage& image);
  void relocate(const ElfImage& image, const ExternalSymbols& externals);
  void read_kernels(const ElfImage& image, const Chip& chip);
  void check_descriptor(const ElfImage& image, const KernelInfo& kernel) const;
  void release();

  std::string name_;
  Memory& memory_;
  std::vector<std::byte> file_;
  std::vector<KernelInfo> kernels_;
  std::vector<Symbol> symbols_;
  std::uint64_t base_ = 0, size_ = 0;
  std::vector<const void*> registered_;
  std::vector<std::span<const std::byte>> text_;
};

}  // namespace wavetile::emu
