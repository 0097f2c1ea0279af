// GPT-2 from end to end: decode steps and prefill of a checkpoint, with their shares of what this machine can do.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "bench/machine.h"
#include "bench/program.h"
#include "bench/support.h"
#include "models/gpt2/model.h"
#include "wavetile_version.h"

namespace wavetile::bench {
namespace {

/// Models are large: the one that was used last is kept, and no other.
Model& model_of(const Checkpoint& checkpoint, DType dtype, int threads) {
  static std::unique_ptr<Model> model;
  static DType of_dtype{};
  static int of_threads = 0;
  if (!model || of_dtype != dtype || of_threads != threads) {
    model.reset();
    model = std::make_unique<Model>(checkpoint, limits(threads).device, ModelOptions{.dtype = dtype});
    of_dtype = dtype;
    of_threads = threads;
  }
  return *model;
}

std::vector<std::int32_t> some_tokens(const Config& config, int n) {
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < n; ++i) ids.push_back(static_cast<std::int32_t>((i * 7919 + 1) % config.vocab_size));
  return ids;
}

/// One step an iteration, from 16 positions to the last one, and again.
void decode(benchmark::State& state, const Checkpoint& checkpoint, DType dtype, int threads) try {
  Model& model = model_of(checkpoint, dtype, threads);
  const auto prompt = some_tokens(model.config(), std::min(16, model.config().max_seq_len - 1));
  model.reset();
  model.read(prompt);
  model.step();
  double bytes = 0, time = 0;
  for (auto _ : state) {
    if (model.position() == model.config().max_seq_len) {
      model.reset();
      model.read(prompt);
    }
    const double start = seconds();
    model.step();
    const double step = seconds() - start;
    state.SetIterationTime(step);
    time += step;
    bytes += static_cast<double>(model.bytes_a_step());
  }
  state.counters["bytes/s"] = bytes / time;
  state.counters["of_bandwidth"] = bytes / time / limits(threads).bytes;
} catch (const std::exception& e) {
  state.SkipWithError(e.what());
}

void prefill(benchmark::State& state, const Checkpoint& checkpoint, DType dtype, int threads, int tokens) try {
  Model& model = model_of(checkpoint, dtype, threads);
  const auto prompt = some_tokens(model.config(), std::min(tokens, model.config().max_seq_len));
  model.reset();
  model.read(prompt);  // compiles the kernels for many rows
  double time = 0;
  for (auto _ : state) {
    model.reset();
    const double start = seconds();
    model.read(prompt);
    const double pass = seconds() - start;
    state.SetIterationTime(pass);
    time += pass;
  }
  time /= static_cast<double>(state.iterations());
  // Products with the layers' weights (12 C² a layer and row), and attention; logits are for the last row alone.
  const Config& c = model.config();
  const double rows = static_cast<double>(prompt.size()), channels = c.channels;
  const double a_layer = 24 * rows * channels * channels + 4 * channels * rows * (rows + 1) / 2;
  const double flops = c.num_layers * a_layer + 2 * channels * c.vocab_size;
  state.counters["tokens/s"] = rows / time;
  state.counters["FLOP/s"] = flops / time;
  state.counters["of_f32_peak"] = flops / time / limits(threads).flops;
} catch (const std::exception& e) {
  state.SkipWithError(e.what());
}

void print_help() {
  fmt::print(
      "Times decode steps and prefill of a GPT-2. Options of its own: --model DIR (default: the demo checkpoint), "
      "--threads N,M,...\n(default: 1 and all CPUs), --prefill M (default 512).\nOptions of Google Benchmark:\n");
  benchmark::PrintDefaultHelp();
}

int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv, print_help);
  CLI::App app("Times decode steps and prefill of a GPT-2.");
  std::vector<int> threads = default_threads();
  std::string directory = kSourceDemoDir;
  int tokens = 512;
  app.add_option("--model", directory, "a Hugging Face directory of a GPT-2");
  app.add_option("--threads", threads, "numbers of threads to measure with")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024));
  app.add_option("--prefill", tokens, "length of the prompt")->check(CLI::Range(2, 1 << 20));
  CLI11_PARSE(app, argc, argv);
  const Checkpoint checkpoint(directory);
  benchmark::AddCustomContext("cpu", cpu_name());
  benchmark::AddCustomContext("wavetile", fmt::format("{} ({})", kVersion, kCommit));
  benchmark::AddCustomContext("model", fmt::format("{} parameters", checkpoint.config().total_params()));
  for (DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    for (int t : threads) {
      const std::string type(name_of(dtype));
      benchmark::RegisterBenchmark(
          fmt::format("decode/{}/threads:{}", type, t).c_str(),
          [&checkpoint, dtype, t](benchmark::State& state) { decode(state, checkpoint, dtype, t); })
          ->UseManualTime()
          ->Unit(benchmark::kMillisecond);
      benchmark::RegisterBenchmark(
          fmt::format("prefill/{}/M:{}/threads:{}", type, tokens, t).c_str(),
          [&checkpoint, dtype, t, tokens](benchmark::State& state) { prefill(state, checkpoint, dtype, t, tokens); })
          ->UseManualTime()
          ->Unit(benchmark::kMillisecond);
    }
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace
}  // namespace wavetile::bench

int main(int argc, char** argv) { return wavetile::bench::run_program("gpt2_bench", wavetile::bench::run, argc, argv); }
