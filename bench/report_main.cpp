// wavetile-report: what the library's kernels and GPT-2's passes do on AMD GPUs, counted on the emulator.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <regex>

#include "bench/program.h"
#include "bench/report.h"

namespace wavetile::bench {
namespace {

using nlohmann::json;

struct Arguments {
  std::vector<std::string> chips{"gfx1151"};
  std::string weights = "bf16", kernels = ".", model, dtype = "bf16";
  std::vector<int> positions{16, 1000};
  int rows = 64, prefill = 0, tiles = 0;
  bool json = false;
};

constexpr const char* kAbout =
    R"(What the kernels do on AMD GPUs, without one: registers and LDS as LLVM says, instructions, cache lines and
bank conflicts as the emulator counts them, and an ESTIMATE of the time on gfx1151. No time here was measured.

  wavetile-report --chips gfx1151,gfx942 --kernels 'gemv|attention'
  wavetile-report --model DIR --dtype bf16 --positions 16,1000 --prefill 64

Columns: spills are scalar registers kept in lanes of vector registers (a kernel that would spill those, or needs
scratch memory, is refused); moved/least is cache lines read and written over the bytes of all operands, each once;
conflicts are cycles that LDS loses; in flight is what the loads of all resident waves ask for at a time. An estimate
is the largest of its terms, in microseconds, and a launch: memory (distinct cache lines at 212 GB/s), valu, lds,
matrix (59.4 TFLOP/s) and latency (800 ns for each time that what is in flight has to come).)";

DType type_of(const std::string& name) {
  return name == "f32" ? DType::f32 : name == "bf16" ? DType::bf16 : DType::f16;
}
double micro(double seconds) { return seconds * 1e6; }

json to_json(const Resources& r) {
  return {{"vgprs", r.vgprs},
          {"sgprs", r.sgprs},
          {"lds_bytes", r.lds_bytes},
          {"scratch_bytes", r.scratch_bytes},
          {"spilled_vgprs", r.spilled_vgprs},
          {"spilled_sgprs", r.spilled_sgprs}};
}
json to_json(const KernelReport& k) {
  json out = {{"kernel", k.name}, {"chip", k.chip}, {"stages", json::array()}};
  if (!k.refusal.empty()) out["refusal"] = k.refusal;
  if (k.least_bytes > 0) out["least_bytes"] = k.least_bytes;
  for (const StageReport& s : k.stages) {
    json stage = {{"symbol", s.symbol}, {"resources", to_json(s.resources)}};
    if (s.counters) stage["counters"] = json::parse(s.counters->to_json());
    if (s.estimate) stage["estimate"] = json::parse(bench::to_json(*s.estimate));
    out["stages"].push_back(stage);
  }
  return out;
}

// The classes of instructions that occur, by their names.
std::string mix_of(const emu::Counters& c) {
  std::string text;
  for (int i = 0; i < emu::kClasses; ++i)
    if (const auto n = c.by_class[static_cast<size_t>(i)])
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", emu::class_name(static_cast<emu::Class>(i)), n);
  return text;
}
std::string text_of(const Estimate& e) {
  return fmt::format("memory {:.2f}, valu {:.2f}, lds {:.2f}, matrix {:.2f}, latency {:.2f}, launch {:.0f}",
                     micro(e.memory), micro(e.valu), micro(e.lds), micro(e.matrix), micro(e.latency), micro(e.launch));
}

void print(const KernelReport& k) {
  if (!k.refusal.empty()) {
    fmt::print("{:<8} {:<24} {}\n", k.chip, k.name, k.refusal);
    return;
  }
  double moved = 0;
  for (const StageReport& s : k.stages)
    if (s.counters)
      moved += static_cast<double>(s.counters->distinct_lines_read + s.counters->distinct_lines_written) *
               s.counters->line_bytes;
  for (const StageReport& s : k.stages) {
    const bool first = &s == &k.stages.front();
    fmt::print("{:<8} {:<24} {:>5} {:>5} {:>6} {:>6} {:>7}", k.chip, first ? k.name : "  then " + s.symbol,
               s.resources.vgprs, s.resources.sgprs, s.resources.lds_bytes,
               s.resources.spilled_vgprs + s.resources.spilled_sgprs, s.resources.scratch_bytes);
    if (!s.counters) {
      fmt::print("   (not emulated)\n");
      continue;
    }
    const emu::Counters& c = *s.counters;
    fmt::print(" {:>5} {:>12} {:>9} {:>9} {:>6}", c.waves_per_simd, c.instructions, c.distinct_lines_read,
               c.lds_conflict_cycles, first ? fmt::format("{:.2f}", moved / k.least_bytes) : "");
    fmt::print(" {:>9.0f}", bytes_in_flight(c) / 1000);
    if (s.estimate) fmt::print(" {:>10.2f} {}", micro(s.estimate->seconds()), s.estimate->bound());
    fmt::print("\n{:>9}{}\n", "", mix_of(c));
    if (s.estimate) fmt::print("{:>9}estimate, us: {}\n", "", text_of(*s.estimate));
  }
}

bool report_kernels(const Arguments& a) {
  const std::regex wanted(a.kernels);
  std::vector<TargetPtr> targets;  // before anything is printed: a chip may not be known
  for (const std::string& chip : a.chips) targets.push_back(amdgpu_target(chip));
  json all = json::array();
  bool refused = false;
  if (!a.json)
    fmt::print("{:<8} {:<24} {:>5} {:>5} {:>6} {:>6} {:>7} {:>5} {:>12} {:>9} {:>9} {:>6} {:>9} {:>10} bound by\n",
               "chip", "kernel", "VGPR", "SGPR", "LDS B", "spills", "scratch", "waves", "instructions", "lines",
               "conflicts", "moved/", "in flight", "ESTIMATE");
  if (!a.json)
    fmt::print("{:<8} {:<24} {:>5} {:>5} {:>6} {:>6} {:>7} {:>5} {:>12} {:>9} {:>9} {:>6} {:>9} {:>10}\n", "", "", "",
               "", "", "", "", "/SIMD", "of waves", "read", "cycles", "least", "KB", "us");
  for (const TargetPtr& target : targets) {
    const std::string& chip = caps_of(*target).name;
    const auto device = can_count(chip) ? counting_device(chip) : nullptr;
    for (const auto& [name, sample] : library(caps_of(*target), type_of(a.weights), {a.rows, 1})) {
      if (!std::regex_search(name, wanted)) continue;
      const KernelReport k = report_kernel(name, sample, *target, device);
      refused |= !k.refusal.empty();
      if (a.json)
        all.push_back(to_json(k));
      else
        print(k);
    }
  }
  if (a.json) fmt::print("{}\n", json{{"weights", a.weights}, {"rows", a.rows}, {"kernels", all}}.dump(2));
  return !refused;
}

struct Group {  // launches of one kernel
  const LaunchReport* first = nullptr;
  int launches = 0;
  double seconds = 0, lines = 0;
};

void print(const PassReport& p, bool decodes) {
  std::vector<Group> groups;
  for (const LaunchReport& l : p.launches) {
    auto g = std::find_if(groups.begin(), groups.end(), [&](const Group& o) { return o.first->what == l.what; });
    if (g == groups.end()) g = groups.insert(groups.end(), {&l, 0, 0, 0});
    ++g->launches;
    g->seconds += l.estimate.seconds();
    g->lines += static_cast<double>(l.counters->distinct_lines_read);
  }
  fmt::print("{}, {} positions: {} launches\n", p.name, p.positions, p.launches.size());
  fmt::print("  {:<44} {:>8} {:>7} {:>6} {:>6} {:>9} {:>11} {:>9} {:>10} bound by\n", "kernel", "launches", "groups",
             "VGPRs", "waves", "MB each", "in flight", "conflicts", "ESTIMATE");
  for (const Group& g : groups) {
    const emu::Counters& c = *g.first->counters;
    fmt::print("  {:<44} {:>8} {:>7} {:>6} {:>6} {:>9.3f} {:>8.0f} KB {:>9} {:>7.1f} us {}\n", g.first->what,
               g.launches, c.workgroups, c.vgprs, c.waves_per_simd, g.lines * c.line_bytes / g.launches / 1e6,
               bytes_in_flight(c) / 1000, c.lds_conflict_cycles, micro(g.seconds), g.first->estimate.bound());
  }
  fmt::print("  global memory read, distinct lines of each launch: {:.2f} MB", p.bytes_read() / 1e6);
  if (decodes)
    fmt::print(", {:.4f} of weights and cache ({:.2f} MB)", p.bytes_read() / p.least_bytes, p.least_bytes / 1e6);
  fmt::print("; with what caches serve {:.2f} MB\n", p.bytes_touched() / 1e6);
  const MultiplyAdds m = p.products();
  if (m.matrix + m.vector > 0 && !decodes)
    fmt::print("  multiply-adds on matrix instructions: {:.1f} %\n", 100 * m.matrix / (m.matrix + m.vector));
  fmt::print("  bank conflicts: {} cycles; {:.0f} KB in flight cover the latency\n", p.conflict_cycles(),
             bytes_to_cover() / 1000);
  fmt::print("  ESTIMATE for gfx1151: {:.3f} ms, of which launches {:.3f} ms\n\n", p.seconds() * 1e3,
             static_cast<double>(p.launches.size()) * Rates{}.launch * 1e3);
}

json to_json(const PassReport& p) {
  const MultiplyAdds m = p.products();
  json out = {{"pass", p.name},
              {"positions", p.positions},
              {"bytes_read", p.bytes_read()},
              {"bytes_touched", p.bytes_touched()},
              {"least_bytes", p.least_bytes},
              {"conflict_cycles", p.conflict_cycles()},
              {"multiply_adds", {{"matrix", m.matrix}, {"vector", m.vector}}},
              {"estimated_ms", p.seconds() * 1e3},
              {"launches", json::array()}};
  for (const LaunchReport& l : p.launches)
    out["launches"].push_back({{"kernel", l.what},
                               {"bytes_in_flight", bytes_in_flight(*l.counters)},
                               {"counters", json::parse(l.counters->to_json())},
                               {"estimate", json::parse(bench::to_json(l.estimate))}});
  return out;
}

void report_model(const Arguments& a) {
  StepReporter reporter(Checkpoint(a.model), type_of(a.dtype), a.tiles);
  json all = json::array();
  auto report = [&](const PassReport& p, bool decodes) {
    if (a.json)
      all.push_back(to_json(p));
    else
      print(p, decodes);
  };
  for (int p : a.positions) report(reporter.decode(p), true);
  if (a.prefill > 0) report(reporter.prefill(a.prefill), false);
  if (a.json)
    fmt::print("{}\n", json{{"model", a.model}, {"dtype", a.dtype}, {"tiles", a.tiles}, {"passes", all}}.dump(2));
}

int run(int argc, char** argv) {
  Arguments a;
  CLI::App app(kAbout);
  const auto types = CLI::IsMember({"f32", "bf16", "f16"});
  app.add_option("--chips", a.chips, "chips, with commas between; the emulator has gfx1151, gfx1100 and gfx942")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--weights", a.weights, "type of the kernels' weights and caches")
      ->check(types)
      ->capture_default_str();
  app.add_option("--kernels", a.kernels, "regular expression: which kernels of the library")->capture_default_str();
  app.add_option("--rows", a.rows, "rows of activations that the kernels are given")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  auto* model = app.add_option("--model", a.model, "a checkpoint: report passes of GPT-2 instead of kernels");
  app.add_option("--dtype", a.dtype, "type of the model's weights and cache")
      ->check(types)
      ->needs(model)
      ->capture_default_str();
  app.add_option("--positions", a.positions, "decode steps: each position read before, with commas between")
      ->delimiter(',')
      ->needs(model)
      ->capture_default_str();
  app.add_option("--prefill", a.prefill, "also a pass over a prompt of so many tokens; 0: none")
      ->needs(model)
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_option("--tiles", a.tiles,
                 "not the library's schedules: tiles of so many elements, one warp; to compare with")
      ->needs(model)
      ->check(CLI::Range(1, 256));
  app.add_flag("--json", a.json, "print one JSON object");
  CLI11_PARSE(app, argc, argv);
  if (!a.model.empty()) {
    report_model(a);
    return 0;
  }
  return report_kernels(a) ? 0 : 1;
}

}  // namespace
}  // namespace wavetile::bench

int main(int argc, char** argv) {
  return wavetile::bench::run_program("wavetile-report", wavetile::bench::run, argc, argv);
}
