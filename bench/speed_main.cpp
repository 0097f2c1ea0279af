// wavetile-speed: what the project promises about its speed, each beside the machine's own limit in the same round.
// Rounds interleave everything that is compared, so that a disturbance meets both sides. A limit is measured before and
// after what is compared with it, and a ratio is formed inside its round with the mean of the two; the table shows the
// median of these ratios.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "bench/machine.h"
#include "bench/program.h"
#include "bench/support.h"
#include "kernels/kernels.h"
#include "kernels/schedules.h"
#include "models/gpt2/model.h"
#include "wavetile_version.h"

namespace wavetile::bench {
namespace {

using nlohmann::json;

struct Options {
  int rounds = 11;
  int steps = 24;  // decode steps of one model in a round
  std::string model;
  std::vector<int> threads = default_threads();
  bool json = false;
};

/// One line of the table: a value a round.
struct Quantity {
  std::string name, unit;
  std::optional<double> bar = {};
  bool at_most = false;  // of the bar: the value shall not exceed it
  std::vector<double> values = {};

  bool reached() const { return at_most ? median(values) <= *bar : median(values) >= *bar; }
};

class Table {
 public:
  void add(const std::string& name, const std::string& unit, double value) { row(name, unit).values.push_back(value); }
  void add_barred(const std::string& name, const std::string& unit, double value, double bar, bool at_most = false) {
    Quantity& q = row(name, unit);
    q.bar = bar;
    q.at_most = at_most;
    q.values.push_back(value);
  }
  void print() const {
    fmt::print("{:<52} {:>10} {:>10} .. {:<10} {:<8} bar\n", "", "median", "lowest", "highest", "");
    for (const Quantity& q : rows_) {
      const auto [lowest, highest] = std::minmax_element(q.values.begin(), q.values.end());
      std::string bar;
      if (q.bar) bar = fmt::format("{} {} {}", q.at_most ? "<=" : ">=", *q.bar, q.reached() ? "reached" : "MISSED");
      fmt::print("{:<52} {:>10.3f} {:>10.3f} .. {:<10.3f} {:<8} {}\n", q.name, median(q.values), *lowest, *highest,
                 q.unit, bar);
    }
  }
  json to_json() const {
    json all = json::array();
    for (const Quantity& q : rows_) {
      json row = {{"name", q.name}, {"unit", q.unit}, {"median", median(q.values)}, {"values", q.values}};
      if (q.bar) {
        row[q.at_most ? "bar_at_most" : "bar_at_least"] = *q.bar;
        row["reached"] = q.reached();
      }
      all.push_back(row);
    }
    return all;
  }

 private:
  Quantity& row(const std::string& name, const std::string& unit) {
    const auto it = std::find_if(rows_.begin(), rows_.end(), [&](const Quantity& q) { return q.name == name; });
    if (it != rows_.end()) return *it;
    return rows_.emplace_back(Quantity{name, unit});
  }
  std::vector<Quantity> rows_;
};

Case matmul_case(const Caps& caps, std::int64_t m, std::int64_t n, std::int64_t k) {
  return {.name = fmt::format("matmul f32 {}x{}x{}", m, n, k),
          .kernel = kernels::matmul(DType::f32),
          .schedule = kernels::matmul_schedule(caps, DType::f32, m, n, k),
          .extents = {{'m', m}, {'n', n}, {'k', k}},
          .operands = {{DType::f32, "mk"}, {DType::f32, "kn"}, {DType::f32, "mn"}},
          .independent = "mn",
          .terms = k,
          .flops = 2.0 * static_cast<double>(m * n * k)};
}

/// GFLOP/s of one launch, the median of a few.
double rate(KernelCall& call, double flops) {
  constexpr int kLaunches = 7;
  std::vector<double> rates;
  call.run();
  for (int i = 0; i < kLaunches; ++i) {
    const double start = seconds();
    call.run();
    rates.push_back(1e-9 * flops / (seconds() - start));
  }
  return median(rates);
}

void measure_products(MachineLimits& machine, int rounds, Table& table) {
  const DevicePtr device = Device::open("cpu", {.threads = 1, .level = {}});
  const Caps& caps = caps_of(device->target());
  const Case even = matmul_case(caps, 64, 2304, 768), odd = matmul_case(caps, 61, 2307, 771);
  KernelCall even_call(even, device, From::cache), odd_call(odd, device, From::cache);
  for (int r = 0; r < rounds; ++r) {
    const double before = machine.peak_f32(1).median;
    const double even_rate = rate(even_call, even.flops), odd_rate = rate(odd_call, odd.flops);
    const double peak = (before + machine.peak_f32(1).median) / 2;
    table.add("f32 multiply-add peak, 1 thread", "GFLOP/s", peak);
    table.add(even.name, "GFLOP/s", even_rate);
    table.add(odd.name, "GFLOP/s", odd_rate);
    table.add_barred(even.name + " of the peak", "", even_rate / peak, 0.8);
    table.add_barred(odd.name + " of the even one's rate", "", odd_rate / even_rate, 0.8);
  }
}

void measure_launches(MachineLimits& machine, const Options& options, Table& table) {
  constexpr int kCalls = 64, kRuns = 20;
  for (int t : options.threads) {
    std::vector<BufferPtr> buffers;
    const DevicePtr device = Device::open("cpu", {.threads = t, .level = {}});
    const auto program = empty_program(device, kCalls, buffers);
    for (int r = 0; r < options.rounds; ++r) {
      program->run();  // wakes the workers
      std::vector<double> times;
      for (int i = 0; i < kRuns; ++i) {
        const double start = seconds();
        program->run();
        times.push_back(1e6 * (seconds() - start) / kCalls);
      }
      table.add(fmt::format("thread pool alone, {} threads", t), "us", machine.launch_overhead(t).median);
      table.add_barred(fmt::format("launch and join, {} threads", t), "us", median(times), 5, true);
    }
  }
}

/// GB/s of each decode step, the median; and milliseconds.
struct Steps {
  double gbytes = 0, milliseconds = 0;
};
Steps decode(Model& model, int steps) {
  model.reset();
  model.read(std::vector<std::int32_t>{model.config().vocab_size - 1});
  std::vector<double> rates, times;
  for (int i = 0; i < steps && model.position() < model.config().max_seq_len; ++i) {
    const double start = seconds();
    model.step();
    const double time = seconds() - start;
    times.push_back(1e3 * time);
    rates.push_back(1e-9 * static_cast<double>(model.bytes_a_step()) / time);
  }
  return {median(rates), median(times)};
}

void measure_decode(MachineLimits& machine, const Options& options, Table& table) {
  const Checkpoint checkpoint(options.model);
  struct Entry {
    int threads;
    DType dtype;
    std::unique_ptr<Model> model;
  };
  std::vector<Entry> entries;
  for (int t : options.threads) {
    for (DType dtype : {DType::f32, DType::bf16}) {
      const DevicePtr device = Device::open("cpu", {.threads = t, .level = {}});
      entries.push_back({t, dtype, std::make_unique<Model>(checkpoint, device, ModelOptions{.dtype = dtype})});
    }
  }
  for (int t : options.threads) machine.read_bandwidth(t);  // finds the best loops
  for (int r = 0; r < options.rounds; ++r) {
    for (const Entry& e : entries) {
      const double before = machine.read_bandwidth(e.threads).median;
      const Steps steps = decode(*e.model, options.steps);
      const double bandwidth = (before + machine.read_bandwidth(e.threads).median) / 2;
      const std::string what = fmt::format("decode {}, {} threads", name_of(e.dtype), e.threads);
      table.add(fmt::format("read bandwidth, {} threads", e.threads), "GB/s", bandwidth);
      table.add(what + ", a step", "ms", steps.milliseconds);
      table.add(what, "GB/s", steps.gbytes);
      table.add_barred(what + " of the bandwidth", "", steps.gbytes / bandwidth, 0.85);
    }
  }
}

int run(int argc, char** argv) {
  CLI::App app("Measures what the project promises about its speed, beside the machine's own limits.");
  Options options;
  app.add_option("--model", options.model, "a Hugging Face directory of GPT-2 124M; without it decode is left out");
  app.add_option("--rounds", options.rounds, "interleaved rounds")->check(CLI::Range(1, 10000))->capture_default_str();
  app.add_option("--steps", options.steps, "decode steps of a model in a round")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--threads", options.threads, "numbers of threads for decode and launches")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_flag("--json", options.json, "print one JSON object, with the values of all rounds");
  CLI11_PARSE(app, argc, argv);

  MachineLimits machine({.repetitions = 3});
  Table table;
  measure_products(machine, options.rounds, table);
  measure_launches(machine, options, table);
  if (!options.model.empty()) measure_decode(machine, options, table);
  if (options.json) {
    const json all = {{"cpu", cpu_name()},
                      {"available_cpus", available_cpus()},
                      {"version", kVersion},
                      {"commit", kCommit},
                      {"rounds", options.rounds},
                      {"steps", options.steps},
                      {"quantities", table.to_json()}};
    fmt::print("{}\n", all.dump(2));
    return 0;
  }
  fmt::print("{}, {} CPUs, wavetile {} ({}), {} rounds\n", cpu_name(), available_cpus(), kVersion, kCommit,
             options.rounds);
  table.print();
  return 0;
}

}  // namespace
}  // namespace wavetile::bench

int main(int argc, char** argv) {
  return wavetile::bench::run_program("wavetile-speed", wavetile::bench::run, argc, argv);
}
