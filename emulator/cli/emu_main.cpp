// wavetile-emu: runs a kernel of a code object on the emulated GPU.
//
// Exit codes: 0 the kernel ran and nothing was found; 1 the call or a file is wrong; 2 the emulator found something.
#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "emulator/cli/arguments.h"
#include "emulator/cli/trace.h"
#include "emulator/counters.h"
#include "emulator/emulator.h"
#include "wavetile_version.h"

namespace wavetile::emu {
namespace {

struct Settings {
  std::string file, kernel, counters;
  std::vector<std::uint32_t> grid{1}, block{1}, workgroup{0};
  std::vector<std::string> arguments;
  std::string chip;
  int compute_units = 0, threads = 0, wave = 0, lanes = 4;
  unsigned lds = 0, seed = 1;
  std::uint64_t limit = 0;
  std::size_t print = 16;
  bool list = false, checks = false, stale = false, trace = false;
  std::optional<std::uint64_t> stop;
};

std::vector<std::byte> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw ArgumentError(fmt::format("{}: cannot be read", path));
  std::vector<char> chars((std::istreambuf_iterator<char>(in)), {});
  const auto* bytes = reinterpret_cast<const std::byte*>(chars.data());
  return {bytes, bytes + chars.size()};
}

std::string kernel_names(const CodeObject& object) {
  std::string names;
  for (const KernelInfo& k : object.kernels()) names += (names.empty() ? "" : ", ") + k.name;
  return names.empty() ? "none" : names;
}

const KernelInfo& pick_kernel(const CodeObject& object, const std::string& name) {
  if (name.empty() && object.kernels().size() == 1) return object.kernels()[0];
  if (name.empty()) throw ArgumentError(fmt::format("--kernel is needed: the file has {}", kernel_names(object)));
  const KernelInfo* k = object.find_kernel(name);
  if (!k) throw ArgumentError(fmt::format("no kernel '{}': the file has {}", name, kernel_names(object)));
  return *k;
}

void print_list(const CodeObject& object) {
  for (const KernelInfo& k : object.kernels()) {
    fmt::print("{}: {} VGPRs, {} AGPRs, {} SGPRs, {} bytes LDS, {} bytes scratch, wave{}, spills {}\n", k.name, k.vgprs,
               k.agprs, k.sgprs, k.group_bytes, k.private_bytes, k.wavefront, k.vgpr_spills + k.sgpr_spills);
    for (const KernelArgument& a : k.arguments)
      fmt::print("  +{}: {} bytes, {} {}\n", a.offset, a.bytes, a.kind, a.name);
  }
}

int run(const Settings& s) {
  const std::vector<std::byte> file = read_file(s.file);
  Options options;
  try {
    options.chip = find_chip(s.chip.empty() ? code_object_chip(file) : s.chip);
  } catch (const CodeObjectError& e) {
    throw ArgumentError(fmt::format("{}: {}", s.file, e.what()));
  }
  if (!options.chip) {
    std::string names;
    for (const Chip& c : chips()) names += fmt::format(" {}", c.name);
    throw ArgumentError(fmt::format("{} is for {}; the emulator knows{}", s.file,
                                    s.chip.empty() ? code_object_chip(file) : s.chip, names));
  }
  options.compute_units = s.compute_units;
  options.threads = s.trace || s.stop ? 1 : s.threads;
  options.checks = s.checks || s.stale;
  options.stale = s.stale;
  options.counters = !s.counters.empty();
  options.max_instructions = s.limit;
  options.seed = s.seed;
  Emulator emulator(options);
  std::shared_ptr<CodeObject> object;
  try {
    object = emulator.load(file, s.file);
  } catch (const CodeObjectError& e) {
    throw ArgumentError(fmt::format("{}: {}", s.file, e.what()));
  }
  struct Unload {
    Emulator& emulator;
    std::shared_ptr<CodeObject>& object;
    ~Unload() { emulator.unload(object); }
  } unload{emulator, object};
  if (s.list) {
    print_list(*object);
    return 0;
  }
  const KernelInfo& kernel = pick_kernel(*object, s.kernel);
  Dispatch d;
  d.name = kernel.name;
  d.kernel_object = kernel.descriptor;
  for (std::size_t i = 0; i < 3; ++i) {
    d.grid[i] = i < s.grid.size() ? s.grid[i] : 1;
    const std::uint32_t block = i < s.block.size() ? s.block[i] : 1;
    if (block > 1024) throw ArgumentError(fmt::format("--block {}: a workgroup has at most 1024 work-items", block));
    d.workgroup[i] = static_cast<std::uint16_t>(block);
  }
  if (s.lds > emulator.chip().lds_bytes) {
    throw ArgumentError(
        fmt::format("--lds {}: {} has {} bytes", s.lds, emulator.chip().name, emulator.chip().lds_bytes));
  }
  d.group_bytes = kernel.group_bytes + s.lds;
  d.private_bytes = kernel.private_bytes;
  std::mt19937 random(s.seed);
  std::vector<std::unique_ptr<Argument>> arguments;
  for (const std::string& text : s.arguments) {
    arguments.push_back(std::make_unique<Argument>(text, emulator.memory(), random));
  }
  const std::vector<std::byte> segment = kernarg_segment(kernel, arguments, d);
  // From the beginning of a cache line on, so that counters are the same in every run.
  std::vector<std::byte> room(segment.size() + static_cast<std::size_t>(options.chip->cache_line));
  std::size_t space = room.size();
  void* aligned = room.data();
  std::align(room.size() - segment.size(), segment.size(), aligned, space);
  std::ranges::copy(segment, static_cast<std::byte*>(aligned));
  struct Registered {
    Memory& memory;
    const void* p;
    Registered(Memory& m, const void* at, std::size_t bytes) : memory(m), p(bytes ? at : nullptr) {
      if (p) memory.add(p, bytes, "kernel arguments", /*writable=*/false, /*initialised=*/true);
    }
    ~Registered() {
      if (p) memory.remove(p);
    }
  } registered{emulator.memory(), aligned, segment.size()};
  d.kernarg = reinterpret_cast<std::uint64_t>(aligned);

  Trace::What what;
  for (std::size_t i = 0; i < 3 && i < s.workgroup.size(); ++i) what.workgroup[i] = s.workgroup[i];
  what.wave = s.wave;
  what.lanes = s.lanes;
  what.instructions = s.trace;
  what.stop = s.stop;
  auto trace = std::make_shared<Trace>(what, stderr);
  if (s.trace || what.stop) emulator.attach(trace);

  const Outcome outcome = emulator.run(d);
  for (const Report& r : outcome.reports) fmt::print(stderr, "{}\n", r.text);
  if (!outcome.reports.empty() && outcome.reports[0].kind == "bad-dispatch") return 1;
  if ((s.trace || what.stop) && !trace->seen()) throw ArgumentError("--workgroup, --wave: the grid has no such wave");
  if (what.stop && !trace->stopped()) {
    throw ArgumentError(fmt::format("--stop {:#x}: the wave never came there", *what.stop));
  }
  for (const auto& a : arguments) {
    if (a->is_output() && outcome.completed) fmt::print("{}", a->result(s.print));
  }
  if (outcome.counters) {
    fmt::print("{}\n", s.counters == "json" ? outcome.counters->to_json() : outcome.counters->to_text());
  }
  if (!outcome.reports.empty()) {
    fmt::print(stderr, "wavetile-emu: {} report{}\n", outcome.reports.size(), outcome.reports.size() == 1 ? "" : "s");
    return 2;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Settings s;
  CLI::App app(
      "Runs a kernel of an AMD code object on an emulated GPU (gfx1151, gfx1100, gfx942).\n\n"
      "  wavetile-emu k.hsaco --list\n"
      "  wavetile-emu k.hsaco --kernel scale --grid 1024 --block 256 --arg in:f32:1024 --arg out:f32:1024 "
      "--arg i32:1024 --checks\n\n"
      "Outputs and counters go to standard output, reports and traces to standard error. The exit code is 0 when "
      "nothing was found, 1 when the call or a file is wrong, 2 when there are reports.");
  app.set_version_flag("--version", fmt::format("wavetile-emu {} ({})", kVersion, kCommit));
  app.add_option("file", s.file, "the code object (.hsaco, .co, .o linked by lld)")->required();
  app.add_flag("--list", s.list, "print the kernels of the file and their arguments, run nothing");
  app.add_option("--kernel", s.kernel, "its name; not needed when the file has one");
  app.add_option("--grid", s.grid, "work-items of the grid: X or X,Y or X,Y,Z")->delimiter(',')->expected(1, 3);
  app.add_option("--block", s.block, "work-items of a workgroup")->delimiter(',')->expected(1, 3);
  app.add_option("--arg", s.arguments,
                 "an argument, in the kernel's order: i32:7, in:f32:FILE, in:f32:COUNT (random), in:i32:=1,2,3, "
                 "out:f32:COUNT[:FILE], inout:f32:FILE[:FILE]")
      ->allow_extra_args(false);
  app.add_option("--lds", s.lds, "dynamic LDS of a workgroup, bytes");
  app.add_option("--chip", s.chip, "gfx1151, gfx1100 or gfx942; the file says it otherwise");
  app.add_option("--cus", s.compute_units, "compute units of the emulated chip")->check(CLI::Range(1, 1024));
  app.add_option("--threads", s.threads, "host threads")->check(CLI::Range(1, 256));
  app.add_option("--seed", s.seed, "of random inputs and of what uninitialised registers hold");
  app.add_flag("--checks", s.checks, "look for races, missing waits, uninitialised reads, accesses out of bounds, …");
  app.add_flag("--stale", s.stale, "with the checks: caches keep old lines until they are invalidated");
  app.add_option("--counters", s.counters, "print counters of the dispatch")->check(CLI::IsMember({"text", "json"}));
  app.add_option("--max-instructions", s.limit, "stop a wave that executes more");
  app.add_flag("--trace", s.trace, "print each instruction of one wave and what it wrote");
  app.add_option("--stop", s.stop,
                 "stop where the wave reaches this offset in the kernel (0x1c8), and print registers");
  app.add_option("--workgroup", s.workgroup, "the traced wave's workgroup: X,Y,Z")->delimiter(',')->expected(1, 3);
  app.add_option("--wave", s.wave, "… and its number in the workgroup");
  app.add_option("--lanes", s.lanes, "lanes whose values are printed")->check(CLI::Range(1, 64));
  app.add_option("--print", s.print, "elements of an output that are printed");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 1;
  }
  try {
    return run(s);
  } catch (const std::exception& e) {
    fmt::print(stderr, "wavetile-emu: {}\n", e.what());
    return 1;
  }
}

}  // namespace wavetile::emu

int main(int argc, char** argv) { return wavetile::emu::main(argc, argv); }
