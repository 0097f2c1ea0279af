#include "emulator/code_object.h"

#include <elf.h>

#include <cstring>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/emulator/compiler.h"

namespace wavetile::emu {
namespace {

using testing::HasSubstr;

using File = std::vector<std::byte>;

// A kernel, a variable with an initial value, and one that holds the address of the other (a relocation).
constexpr const char* kSource = R"(
@value = addrspace(1) global i32 1234, align 4
@pointer = addrspace(1) global ptr addrspace(1) @value, align 8
@lds = internal addrspace(3) global [64 x i32] poison, align 16
define amdgpu_kernel void @kernel(ptr addrspace(1) %p, i32 %n) #0 {
  %i = call i32 @llvm.amdgcn.workitem.id.x()
  %l = getelementptr i32, ptr addrspace(3) @lds, i32 %i
  store volatile i32 %n, ptr addrspace(3) %l
  %a = load ptr addrspace(1), ptr addrspace(1) @pointer
  %v = load i32, ptr addrspace(1) %a
  %o = getelementptr i32, ptr addrspace(1) %p, i32 %i
  store i32 %v, ptr addrspace(1) %o
  ret void
}
define amdgpu_kernel void @second() #1 !reqd_work_group_size !1 { ret void }
attributes #0 = { "amdgpu-flat-work-group-size"="64,64" }
attributes #1 = { "amdgpu-flat-work-group-size"="32,32" }
!1 = !{i32 8, i32 2, i32 2}
!llvm.module.flags = !{!0}
!0 = !{i32 1, !"amdhsa_code_object_version", i32 VERSION}
)";

File compile(std::string_view chip, const char* version = "500") {
  std::string text = kSource;
  text.replace(text.find("VERSION"), 7, version);
  return compile_ir(chip, text);
}

const File& good() {
  static const File file = compile("gfx1151");
  return file;
}

TEST(CodeObject, LoadsWhatLlvmMakes) {
  for (const Chip& chip : chips()) {
    for (const char* version : {"400", "500", "600"}) {
      SCOPED_TRACE(std::string(chip.name) + " " + version);
      Memory memory;
      const File file = compile(chip.name, version);
      EXPECT_EQ(code_object_chip(file), chip.name);
      {
        const CodeObject object(file, chip, memory, "test.hsaco");
        EXPECT_EQ(object.name(), "test.hsaco");
        EXPECT_EQ(object.file().size(), file.size());
        ASSERT_EQ(object.kernels().size(), 2u);
        const KernelInfo* k = object.find_kernel("kernel");
        ASSERT_TRUE(k);
        EXPECT_EQ(k->wavefront, static_cast<std::uint32_t>(chip.native_lanes));
        EXPECT_EQ(k->max_workgroup, 64u);
        EXPECT_EQ(k->group_bytes, 256u);
        EXPECT_GE(k->arguments.size(), 2u);
        EXPECT_EQ(k->arguments[0].kind, "global_buffer");
        EXPECT_EQ(k->arguments[1].offset, 8u);
        EXPECT_EQ(k->arguments[1].bytes, 4u);
        EXPECT_EQ(k->descriptor % 64, 0u);
        EXPECT_TRUE(k->required_workgroup.empty());
        const KernelDescriptor d = read_descriptor(reinterpret_cast<const void*>(k->descriptor));
        EXPECT_EQ(d.group_segment_bytes, 256u);
        const auto text = object.text(k->descriptor + d.entry_offset);
        ASSERT_FALSE(text.empty());
        EXPECT_TRUE(object.text(k->descriptor).empty());
        const Allocation* code = memory.find(k->descriptor + d.entry_offset, 16);
        ASSERT_TRUE(code);
        EXPECT_FALSE(code->writable);
        EXPECT_TRUE(code->initialised);
        EXPECT_EQ(code->what, "code object test.hsaco");
        EXPECT_THAT(object.find_kernel("second")->required_workgroup, testing::ElementsAre(8, 2, 2));
        EXPECT_EQ(object.find_kernel("third"), nullptr);
      }
      EXPECT_TRUE(memory.live().empty());
    }
  }
}

TEST(CodeObject, AppliesRelocations) {
  Memory memory;
  const CodeObject object(good(), *find_chip("gfx1151"), memory, "test");
  const auto symbol = [&](const char* name) {
    for (const Symbol& s : object.symbols()) {
      if (s.name == name) return s;
    }
    return Symbol{};
  };
  const Symbol value = symbol("value"), pointer = symbol("pointer");
  ASSERT_TRUE(value.object && pointer.object && value.global);
  EXPECT_EQ(value.bytes, 4u);
  EXPECT_FALSE(symbol("kernel").object);
  EXPECT_FALSE(symbol("kernel.kd").object);
  EXPECT_EQ(*reinterpret_cast<const std::uint64_t*>(pointer.address), value.address);
  EXPECT_EQ(*reinterpret_cast<const std::uint32_t*>(value.address), 1234u);
  const Allocation* a = memory.find(value.address, 4);
  ASSERT_TRUE(a);
  EXPECT_TRUE(a->writable);
}

// --- each field doubted: a good file with one thing wrong

struct Parts {
  explicit Parts(File& f) : file(f) {
    for (unsigned i = 0; i < header().e_phnum; ++i) {
      Elf64_Phdr& p = at<Elf64_Phdr>(header().e_phoff + i * sizeof(Elf64_Phdr));
      if (p.p_type == PT_LOAD) load.push_back(&p);
      if (p.p_type == PT_NOTE) note = &p;
      if (p.p_type == PT_DYNAMIC) dynamic = &p;
    }
  }
  template <typename T>
  T& at(std::uint64_t offset) {
    return *reinterpret_cast<T*>(file.data() + offset);
  }
  Elf64_Ehdr& header() { return at<Elf64_Ehdr>(0); }
  std::uint64_t offset(std::uint64_t address) {
    for (Elf64_Phdr* p : load) {
      if (address >= p->p_vaddr && address < p->p_vaddr + p->p_filesz) return address - p->p_vaddr + p->p_offset;
    }
    throw std::logic_error("no such address");
  }
  Elf64_Dyn& dyn(std::int64_t tag) {
    for (std::uint64_t o = dynamic->p_offset;; o += sizeof(Elf64_Dyn)) {
      if (at<Elf64_Dyn>(o).d_tag == tag) return at<Elf64_Dyn>(o);
    }
  }
  Elf64_Sym& symbol(std::string_view name) {
    const std::uint64_t strings = offset(dyn(DT_STRTAB).d_un.d_ptr), table = offset(dyn(DT_SYMTAB).d_un.d_ptr);
    for (std::uint64_t i = 1;; ++i) {
      auto& s = at<Elf64_Sym>(table + i * sizeof(Elf64_Sym));
      if (&at<char>(strings + s.st_name) == name) return s;
    }
  }
  Elf64_Rela& relocation() { return at<Elf64_Rela>(offset(dyn(DT_RELA).d_un.d_ptr)); }
  std::byte* descriptor() { return file.data() + offset(symbol("kernel.kd").st_value); }
  // Where `text` stands in the metadata; what follows it is its value.
  std::byte* metadata(std::string_view text) {
    auto* begin = reinterpret_cast<char*>(file.data()) + note->p_offset;
    const auto found = std::string_view(begin, note->p_filesz).find(text);
    return file.data() + note->p_offset + found + text.size();
  }

  File& file;
  std::vector<Elf64_Phdr*> load;
  Elf64_Phdr *note = nullptr, *dynamic = nullptr;
};

struct Wrong {
  const char* name;
  std::function<void(Parts&)> change;
  const char* says;
};

const Wrong kWrong[] = {
    {"magic", [](Parts& p) { p.file[0] = std::byte{1}; }, "not an ELF"},
    {"class", [](Parts& p) { p.header().e_ident[EI_CLASS] = ELFCLASS32; }, "64-bit"},
    {"data", [](Parts& p) { p.header().e_ident[EI_DATA] = ELFDATA2MSB; }, "little-endian"},
    {"version", [](Parts& p) { p.header().e_version = 2; }, "version"},
    {"machine", [](Parts& p) { p.header().e_machine = EM_X86_64; }, "machine 62"},
    {"os_abi", [](Parts& p) { p.header().e_ident[EI_OSABI] = 65; }, "OS ABI 65"},
    {"abi_v3", [](Parts& p) { p.header().e_ident[EI_ABIVERSION] = 1; }, "ABI version 1"},
    {"abi_v7", [](Parts& p) { p.header().e_ident[EI_ABIVERSION] = 5; }, "ABI version 5"},
    {"type", [](Parts& p) { p.header().e_type = ET_REL; }, "link it with lld"},
    {"mach", [](Parts& p) { p.header().e_flags = 0x41; }, "made for gfx1100"},
    {"other_mach", [](Parts& p) { p.header().e_flags = 0x01; }, "made for another chip"},
    {"xnack", [](Parts& p) { p.header().e_flags |= 0x300; }, "XNACK"},
    {"sramecc", [](Parts& p) { p.header().e_flags |= 0x800; }, "SRAM ECC"},
    {"flags", [](Parts& p) { p.header().e_flags |= 0x1000; }, "bits 0x1000"},
    {"phentsize", [](Parts& p) { p.header().e_phentsize = 32; }, "program header"},
    {"phoff", [](Parts& p) { p.header().e_phoff = ~std::uint64_t{0}; }, "program headers"},
    {"phnum", [](Parts& p) { p.header().e_phnum = 0xffff; }, "program headers"},
    {"no_segment",
     [](Parts& p) {
       for (auto* l : p.load) l->p_type = PT_NULL;
     },
     "no segment to load"},
    {"no_dynamic", [](Parts& p) { p.dynamic->p_type = PT_NULL; }, "no dynamic segment"},
    {"offset", [](Parts& p) { p.load[1]->p_offset += 0x100000; }, "reach beyond the file"},
    {"filesz", [](Parts& p) { p.load[1]->p_filesz = ~std::uint64_t{0}; }, "reach beyond the file"},
    {"memsz", [](Parts& p) { p.load[1]->p_memsz = 4; }, "more bytes in the file"},
    {"vaddr", [](Parts& p) { p.load[1]->p_vaddr = ~std::uint64_t{0} - 4096; }, "beyond 4 GiB"},
    {"huge", [](Parts& p) { p.load.back()->p_memsz = std::uint64_t{1} << 33; }, "beyond 4 GiB"},
    {"overlap", [](Parts& p) { p.load[0]->p_memsz += 0x4000; }, "overlaps"},
    {"align", [](Parts& p) { p.load[1]->p_align = 3; }, "power of two"},
    {"congruence", [](Parts& p) { p.load[1]->p_vaddr += 4; }, "differ modulo"},
    {"dynamic_end", [](Parts& p) { p.dynamic->p_filesz = 16; }, "no DT_NULL"},
    {"symtab", [](Parts& p) { p.dyn(DT_SYMTAB).d_tag = 0x60000000; }, "no DT_SYMTAB"},
    {"symtab_at", [](Parts& p) { p.dyn(DT_SYMTAB).d_un.d_ptr = 0x1000000; }, "DT_SYMTAB"},
    {"syment", [](Parts& p) { p.dyn(DT_SYMENT).d_un.d_val = 23; }, "DT_SYMENT"},
    {"strsz", [](Parts& p) { p.dyn(DT_STRSZ).d_un.d_val = ~std::uint64_t{0}; }, "DT_STRTAB"},
    {"strtab_end", [](Parts& p) { p.dyn(DT_STRSZ).d_un.d_val -= 2; }, "null"},
    {"twice", [](Parts& p) { p.dyn(DT_STRSZ).d_tag = DT_SYMENT; }, "occurs twice"},
    {"needed", [](Parts& p) { p.dyn(DT_GNU_HASH).d_tag = DT_NEEDED; }, "DT_NEEDED"},
    {"hash", [](Parts& p) { p.at<std::uint32_t>(p.offset(p.dyn(DT_HASH).d_un.d_ptr) + 4) = 1u << 31; }, "DT_SYMTAB"},
    {"relaent", [](Parts& p) { p.dyn(DT_RELAENT).d_un.d_val = 16; }, "DT_RELAENT"},
    {"relasz", [](Parts& p) { p.dyn(DT_RELASZ).d_un.d_val -= 8; }, "multiple of 24"},
    {"symbol_name", [](Parts& p) { p.symbol("value").st_name = 1u << 30; }, "string table"},
    {"symbol_value", [](Parts& p) { p.symbol("value").st_value = 1u << 30; }, "'value'"},
    {"symbol_size", [](Parts& p) { p.symbol("value").st_size = 1u << 30; }, "'value'"},
    {"undefined", [](Parts& p) { p.symbol("value").st_shndx = SHN_UNDEF; }, "'value' is undefined"},
    {"relocation_at", [](Parts& p) { p.relocation().r_offset = 1u << 30; }, "no segment"},
    {"relocation_end", [](Parts& p) { p.relocation().r_offset = p.load.back()->p_vaddr + p.load.back()->p_memsz - 4; },
     "no segment"},
    {"relocation_type", [](Parts& p) { p.relocation().r_info = 7; }, "relocation type 7"},
    {"relocation_symbol", [](Parts& p) { p.relocation().r_info |= std::uint64_t{1000} << 32; }, "names symbol"},
    {"relocation_overflow",
     [](Parts& p) { p.relocation().r_info = (p.relocation().r_info & ~std::uint64_t{0xffffffff}) | 6; }, "32 bits"},
    {"no_note", [](Parts& p) { p.note->p_type = PT_NULL; }, "no metadata"},
    {"note_size", [](Parts& p) { p.at<Elf64_Nhdr>(p.note->p_offset).n_descsz = 1u << 30; }, "note"},
    {"note_owner", [](Parts& p) { p.file[p.note->p_offset + 12] = std::byte{'X'}; }, "no metadata"},
    {"messagepack", [](Parts& p) { p.file[p.note->p_offset + 20] = std::byte{0xc1}; }, "MessagePack"},
    {"metadata_depth",
     [](Parts& p) {
       const auto bytes = p.at<Elf64_Nhdr>(p.note->p_offset).n_descsz;
       std::fill_n(p.file.begin() + static_cast<std::ptrdiff_t>(p.note->p_offset + 20), bytes, std::byte{0x91});
     },
     "too deep"},
    {"metadata_version", [](Parts& p) { p.metadata("amdhsa.version")[2] = std::byte{7}; }, "version"},
    {"target", [](Parts& p) { p.metadata("amdgcn-amd-amdhsa--gfx115")[0] = std::byte{'2'}; }, "gfx1152"},
    {"target_tail", [](Parts& p) { p.metadata("amdgcn-amd-amdhsa--gfx11")[0] = std::byte{'0'}; }, "gfx1101"},
    {"missing_field", [](Parts& p) { p.metadata(".sgpr_coun")[0] = std::byte{'x'}; }, "'.sgpr_count'"},
    {"field_type", [](Parts& p) { p.metadata(".wavefront_size")[0] = std::byte{0xc3}; }, "'.wavefront_size'"},
    {"wavefront", [](Parts& p) { p.metadata(".wavefront_size")[0] = std::byte{16}; }, "16 lanes"},
    {"wavefront64", [](Parts& p) { p.metadata(".wavefront_size")[0] = std::byte{64}; }, "lanes of a wave"},
    {"kernarg_align", [](Parts& p) { p.metadata(".kernarg_segment_align")[0] = std::byte{7}; }, "power of two"},
    {"argument", [](Parts& p) { p.metadata(".kernarg_segment_size")[1] = std::byte{0}; }, "outside"},
    {"descriptor_symbol", [](Parts& p) { p.metadata("kernel.k")[0] = std::byte{'e'}; }, "kernel.ke"},
    {"descriptor_absolute", [](Parts& p) { p.symbol("kernel.kd").st_shndx = SHN_ABS; }, "no dynamic symbol"},
    {"descriptor_size", [](Parts& p) { p.symbol("kernel.kd").st_size = 32; }, "64 bytes"},
    {"descriptor_align", [](Parts& p) { p.symbol("kernel.kd").st_value -= 32; }, "64 bytes"},
    {"reserved12", [](Parts& p) { p.descriptor()[12] = std::byte{1}; }, "reserved"},
    {"reserved24", [](Parts& p) { p.descriptor()[24] = std::byte{1}; }, "reserved"},
    {"reserved60", [](Parts& p) { p.descriptor()[63] = std::byte{1}; }, "reserved"},
    {"entry", [](Parts& p) { p.descriptor()[18] = std::byte{0x7f}; }, "entry"},
    {"entry_in_data", [](Parts& p) { std::memset(p.descriptor() + 16, 0, 8); }, "executable"},
    {"entry_align", [](Parts& p) { p.descriptor()[16] ^= std::byte{4}; }, "256"},
    {"wave32", [](Parts& p) { p.descriptor()[57] ^= std::byte{4}; }, "lanes of a wave"},
    {"group", [](Parts& p) { p.descriptor()[0] ^= std::byte{4}; }, "group or private"},
    {"private", [](Parts& p) { p.descriptor()[4] ^= std::byte{4}; }, "group or private"},
    {"kernarg", [](Parts& p) { p.descriptor()[8] ^= std::byte{4}; }, "arguments"},
};

TEST(CodeObject, RefusesEachWrongField) {
  for (const Wrong& w : kWrong) {
    SCOPED_TRACE(w.name);
    File file = good();
    Parts parts(file);
    w.change(parts);
    ASSERT_NE(file, good());
    Memory memory;
    try {
      const CodeObject object(file, *find_chip("gfx1151"), memory, "test");
      ADD_FAILURE() << "loaded";
    } catch (const CodeObjectError& e) {
      EXPECT_THAT(e.what(), HasSubstr(w.says));
    }
    EXPECT_TRUE(memory.live().empty());
  }
}

TEST(CodeObject, RefusesEveryTruncation) {
  Memory memory;
  std::uint64_t last = 0;  // of what is loaded; sections behind it are not
  File copy = good();
  for (const auto* p : Parts(copy).load) last = std::max(last, p->p_offset + p->p_filesz);
  for (std::size_t n = 0; n < last; n += n < 1024 ? 1 : 7) {
    const std::span part(good().data(), n);
    EXPECT_THROW(CodeObject(part, *find_chip("gfx1151"), memory, "test"), CodeObjectError) << n;
  }
}

// Whatever one byte says, the file loads or is refused; the sanitizers see to the rest.
TEST(CodeObject, SurvivesAnyByte) {
  Memory memory;
  for (std::size_t i = 0; i < good().size(); ++i) {
    File file = good();
    for (const int value : {0x00, 0x7f, 0x80, 0xff}) {
      file[i] = static_cast<std::byte>(value);
      try {
        const CodeObject object(file, *find_chip("gfx1151"), memory, "test");
      } catch (const CodeObjectError&) {
      }
    }
  }
  EXPECT_TRUE(memory.live().empty());
}

TEST(CodeObject, TakesUndefinedSymbolsFromOutside) {
  File file = good();
  Parts parts(file);
  // The address of `value` is then filled in by a relocation against the symbol.
  auto& value = parts.symbol("value");
  value.st_shndx = SHN_UNDEF;
  Memory memory;
  const Chip& chip = *find_chip("gfx1151");
  EXPECT_THROW(CodeObject(file, chip, memory, "test"), UndefinedSymbolError);
  EXPECT_THROW(CodeObject(file, chip, memory, "test", {{"valu", 1}, {"value2", 2}}), UndefinedSymbolError);
  const CodeObject object(file, chip, memory, "test", {{"value", 0x1234567890}});
  bool found = false;
  for (const Symbol& s : object.symbols()) {
    EXPECT_NE(s.name, "value");
    if (s.name != "pointer") continue;
    found = true;
    EXPECT_EQ(*reinterpret_cast<const std::uint64_t*>(s.address), 0x1234567890u);
  }
  EXPECT_TRUE(found);
  value.st_info = ELF64_ST_INFO(STB_WEAK, STT_OBJECT);
  const CodeObject weak(file, chip, memory, "test");
}

TEST(CodeObject, CountsSymbolsByTheGnuHashWhenThereIsNoOther) {
  File file = good();
  Parts(file).dyn(DT_HASH).d_tag = 0x60000000;
  Memory memory;
  const CodeObject object(file, *find_chip("gfx1151"), memory, "test");
  const CodeObject usual(good(), *find_chip("gfx1151"), memory, "test");
  EXPECT_EQ(object.symbols().size(), usual.symbols().size());
  EXPECT_EQ(object.kernels().size(), 2u);
}

TEST(CodeObject, ChipByTheHeaderAlone) {
  EXPECT_EQ(code_object_chip(good()), "gfx1151");
  File file = good();
  Parts(file).header().e_flags = 0x52;
  try {
    code_object_chip(file);
    ADD_FAILURE();
  } catch (const CodeObjectError& e) {
    EXPECT_THAT(e.what(), HasSubstr("0x52 is none of gfx1151, gfx1100, gfx942"));
  }
  EXPECT_THROW(code_object_chip({}), CodeObjectError);
}

}  // namespace
}  // namespace wavetile::emu
