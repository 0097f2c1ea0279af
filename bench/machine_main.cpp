// wavetile-machine: the limits of this machine as a table, or as JSON, for 1..N threads.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "bench/machine.h"

namespace {

using nlohmann::json;
using wavetile::MachineLimits;
using wavetile::Measurement;

struct Row {
  const char* key;
  const char* title;
  const char* unit;
  std::optional<Measurement> (*measure)(MachineLimits&, int threads);
};

constexpr Row kRows[] = {
    {"read_bandwidth", "read bandwidth", "GB/s",
     [](MachineLimits& m, int t) { return std::optional(m.read_bandwidth(t)); }},
    {"peak_f32", "f32 multiply-add", "GFLOP/s", [](MachineLimits& m, int t) { return std::optional(m.peak_f32(t)); }},
    {"peak_bf16_dot", "bf16 dot", "GFLOP/s", [](MachineLimits& m, int t) { return m.peak_bf16_dot(t); }},
    {"peak_i8_dot", "u8 x i8 dot", "GOP/s", [](MachineLimits& m, int t) { return m.peak_i8_dot(t); }},
    {"launch_overhead", "launch and join", "us",
     [](MachineLimits& m, int t) { return std::optional(m.launch_overhead(t)); }},
};

json to_json(const std::optional<Measurement>& m, const char* unit) {
  if (!m) return nullptr;
  return {{"unit", unit},          {"median", m->median},           {"lowest", m->lowest},
          {"highest", m->highest}, {"repetitions", m->repetitions}, {"loop", m->loop}};
}

void print_row(int threads, const Row& row, const std::optional<Measurement>& m) {
  if (!m) {
    fmt::print("{:>7}  {:<17} {:>10}\n", threads, row.title, "none");
    return;
  }
  fmt::print("{:>7}  {:<17} {:>10.2f} {:<8} {:>10.2f} .. {:<10.2f} {}\n", threads, row.title, m->median, row.unit,
             m->lowest, m->highest, m->loop);
}

int run(int argc, char** argv) {
  CLI::App app("Measures what this machine can do at best: memory bandwidth, arithmetic peaks, launch overhead.");
  int threads = wavetile::available_cpus();
  wavetile::MachineOptions options;
  bool as_json = false;
  app.add_option("--threads", threads, "measure with 1 to N threads")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--bytes", options.read_bytes, "size of the buffer that is read")
      ->check(CLI::Range(std::size_t{1} << 16, std::size_t{1} << 40))
      ->capture_default_str();
  app.add_option("--repetitions", options.repetitions, "measurements of each quantity")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_flag("--json", as_json, "print one JSON object");
  CLI11_PARSE(app, argc, argv);

  MachineLimits machine(options);
  json by_threads = json::object();
  if (!as_json) {
    fmt::print("{}, {} CPUs\n", wavetile::cpu_name(), wavetile::available_cpus());
    fmt::print("{:>7}  {:<17} {:>10} {:<8} {:>10} .. {:<10} {}\n", "threads", "", "median", "", "lowest", "highest",
               "fastest loop");
  }
  for (int t = 1; t <= threads; ++t) {
    for (const Row& row : kRows) {
      const std::optional<Measurement> m = row.measure(machine, t);
      if (as_json)
        by_threads[std::to_string(t)][row.key] = to_json(m, row.unit);
      else
        print_row(t, row, m);
    }
  }
  if (as_json) {
    const json out = {{"cpu", wavetile::cpu_name()},
                      {"available_cpus", wavetile::available_cpus()},
                      {"read_bytes", options.read_bytes},
                      {"threads", by_threads}};
    fmt::print("{}\n", out.dump(2));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& e) {
    fmt::print(stderr, "wavetile-machine: {}\n", e.what());
    return 1;
  }
}
