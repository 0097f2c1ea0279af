#include "tests/emulator/kernel_run.h"

#include <elf.h>

#include <cstring>
#include <stdexcept>

#include <fmt/format.h>

#include "tests/emulator/compiler.h"

namespace wavetile::emu::testing {
namespace {

std::string module_asm(const std::string& text) {
  std::string ir;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string line;
    for (char c : text.substr(begin, end - begin)) line += c == '"' ? std::string("\\22") : std::string(1, c);
    ir += "module asm \"" + line + "\"\n";
    begin = end + 1;
  }
  return ir;
}

}  // namespace

std::vector<std::byte> assemble_kernel(std::string_view chip, const AsmKernel& k) {
  const bool cdna = chip == "gfx942";
  std::string text = fmt::format(
      ".text\n.globl k\n.p2align 8\n.type k,@function\nk:\n{}\ns_endpgm\n.Lend:\n.size k, .Lend-k\n", k.body);
  text += fmt::format(
      ".section .rodata,\"a\",@progbits\n.p2align 6\n.amdhsa_kernel k\n"
      ".amdhsa_group_segment_fixed_size {}\n.amdhsa_private_segment_fixed_size {}\n.amdhsa_kernarg_size 128\n"
      ".amdhsa_user_sgpr_count 2\n.amdhsa_user_sgpr_kernarg_segment_ptr 1\n.amdhsa_system_sgpr_workgroup_id_x 1\n"
      ".amdhsa_next_free_vgpr {}\n.amdhsa_next_free_sgpr 64\n{}.end_amdhsa_kernel\n",
      k.lds, k.scratch, k.vgprs,
      cdna ? fmt::format(".amdhsa_accum_offset {}\n", (k.vgprs + 3) / 4 * 4)
           : fmt::format(".amdhsa_wavefront_size32 1\n.amdhsa_workgroup_processor_mode {}\n", k.wgp_mode ? 1 : 0));
  text += fmt::format(
      ".amdgpu_metadata\namdhsa.version:\n  - 1\n  - 2\namdhsa.target: amdgcn-amd-amdhsa--{}\namdhsa.kernels:\n  - "
      ".name: k\n    .symbol: k.kd\n"
      "    .kernarg_segment_size: 128\n    .group_segment_fixed_size: {}\n    .private_segment_fixed_size: {}\n"
      "    .kernarg_segment_align: 8\n    .wavefront_size: {}\n    .sgpr_count: 64\n    .vgpr_count: {}\n"
      "    .max_flat_workgroup_size: 1024\n.end_amdgpu_metadata\n",
      chip, k.lds, k.scratch, cdna ? 64 : 32, k.vgprs);
  return compile_ir(chip, module_asm(text));
}

CodeRange code_range(const std::vector<std::byte>& file, const std::string& kernel) {
  Elf64_Ehdr header;
  std::memcpy(&header, file.data(), sizeof header);
  std::vector<Elf64_Shdr> sections(header.e_shnum);
  std::memcpy(sections.data(), file.data() + header.e_shoff, sections.size() * sizeof(Elf64_Shdr));
  for (const Elf64_Shdr& table : sections) {
    if (table.sh_type != SHT_DYNSYM && table.sh_type != SHT_SYMTAB) continue;
    const char* names = reinterpret_cast<const char*>(file.data() + sections[table.sh_link].sh_offset);
    for (std::size_t i = 0; i < table.sh_size / sizeof(Elf64_Sym); ++i) {
      Elf64_Sym s;
      std::memcpy(&s, file.data() + table.sh_offset + i * sizeof s, sizeof s);
      if (kernel != names + s.st_name || s.st_shndx >= sections.size()) continue;
      const Elf64_Shdr& text = sections[s.st_shndx];
      const std::size_t begin = text.sh_offset + (s.st_value - text.sh_addr);
      return {begin, begin + s.st_size, s.st_value};
    }
  }
  throw std::runtime_error("no symbol " + kernel);
}

Outcome run_kernel(KernelRun& r) {
  Options options;
  options.chip = find_chip(r.chip);
  options.checks = r.checks;
  options.stale = r.stale;
  options.counters = r.counters;
  options.max_instructions = r.max_instructions;
  options.seed = r.seed;
  options.threads = 1;
  Emulator emulator(options);
  const auto object = emulator.load(r.file, "k.hsaco");
  alignas(64) std::uint64_t arguments[16] = {};
  std::size_t n = 0;
  for (Buffer& b : r.buffers) {
    emulator.memory().add(b.words.data(), b.words.size() * 4, fmt::format("buffer {}", n), true, b.initialised);
    arguments[n++] = reinterpret_cast<std::uint64_t>(b.words.data());
  }
  if (!r.scalars.empty()) std::memcpy(arguments + n, r.scalars.data(), r.scalars.size() * 4);
  emulator.memory().add(arguments, sizeof arguments, "kernel arguments", false, true);
  const KernelInfo* kernel = object->find_kernel(r.kernel);
  if (!kernel) throw std::runtime_error("no kernel " + r.kernel);
  Dispatch d;
  d.kernel_object = kernel->descriptor;
  d.kernarg = reinterpret_cast<std::uint64_t>(arguments);
  d.workgroup = {r.items, 1, 1};
  d.grid = {r.groups * r.items, 1, 1};
  d.group_bytes = kernel->group_bytes;
  d.private_bytes = kernel->private_bytes;
  d.name = r.kernel;
  Outcome outcome = emulator.run(d);
  emulator.unload(object);
  return outcome;
}

std::string texts(const Outcome& outcome) {
  std::string all;
  for (const Report& r : outcome.reports) all += r.text;
  return all;
}

std::string instruction_of(const Report& report) {
  const auto at = report.text.find("   at kernel ");
  if (at == std::string::npos) return {};
  const auto colon = report.text.find(": ", at);
  return report.text.substr(colon + 2, report.text.find('\n', colon) - colon - 2);
}

std::vector<std::string> found(const Outcome& outcome) {
  std::vector<std::string> all;
  for (const Report& r : outcome.reports) all.push_back(r.kind + ": " + instruction_of(r));
  return all;
}

}  // namespace wavetile::emu::testing
