// Every kernel of the library at GPT-2's shapes and at large ones, each with its rates and its shares of what this
// machine can do at best.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <functional>
#include <string_view>
#include <utility>

#include "bench/machine.h"
#include "bench/program.h"
#include "bench/support.h"
#include "kernels/kernels.h"
#include "kernels/sampling.h"
#include "kernels/schedules.h"
#include "wavetile_version.h"

namespace wavetile::bench {
namespace {

using kernels::Activation;

constexpr std::int64_t kChannels = 768, kVocabulary = 50257, kPositions = 1024, kHeads = 12, kHeadSize = 64;

/// Cases are made for a device's capabilities when they are about to run: tracing all of them would delay the first.
struct Maker {
  std::string name;
  std::function<Case(const Caps&)> make;
};

std::string with_type(const char* kernel, DType t) { return fmt::format("{}/{}", kernel, name_of(t)); }

// --- products -------------------------------------------------------------------------------------------------------

// As in the model: products read what the machine multiplies best, and the MLP's first half writes it.
bool is_gelu(std::string_view kernel) { return kernel.ends_with("_gelu"); }
DType inputs_of(std::string_view kernel, const Caps& caps, DType weights) {
  return kernel == "matmul" && caps.simd ? DType::f32 : kernels::input_type(caps, weights);
}

void add_products(std::vector<Maker>& all, DType t) {
  const auto matmul = [](DType w, DType inputs) { return kernels::matmul(w, inputs); };
  // Rows, and the weight matrices of a layer: qkv, projection, both halves of the MLP.
  const auto add = [&](const char* title, Kernel (*kernel)(DType weights, DType inputs), std::string extra,
                       std::int64_t m, std::int64_t n, std::int64_t k) {
    const std::string name = fmt::format("{}/M:{}/N:{}/K:{}", with_type(title, t), m, n, k);
    all.push_back({name, [=](const Caps& caps) {
                     const DType inputs = inputs_of(title, caps, t);
                     std::vector<Operand> operands{{inputs, "mk"}, {t, "kn"}};
                     if (extra.find('b') != std::string::npos) operands.push_back({DType::f32, "n"});
                     if (extra.find('r') != std::string::npos) operands.push_back({DType::f32, "mn"});
                     operands.push_back({is_gelu(title) ? inputs : DType::f32, "mn"});
                     return Case{.name = name,
                                 .kernel = kernel(t, inputs),
                                 .schedule = kernels::matmul_schedule(caps, t, m, n, k, inputs),
                                 .extents = {{'m', m}, {'n', n}, {'k', k}},
                                 .operands = operands,
                                 .independent = "mn",
                                 .terms = k,
                                 .flops = 2.0 * static_cast<double>(m * n * k)};
                   }});
  };
  for (std::int64_t m : {std::int64_t{64}, std::int64_t{1024}}) {
    add("matmul", matmul, "", m, 3 * kChannels, kChannels);
    add(
        "linear", [](DType w, DType in) { return kernels::linear(w, Activation::none, in); }, "b", m, 3 * kChannels,
        kChannels);
    add("linear_residual", kernels::linear_residual, "br", m, kChannels, kChannels);
    add(
        "linear_gelu", [](DType w, DType in) { return kernels::linear(w, Activation::gelu, in, in); }, "b", m,
        4 * kChannels, kChannels);
    add("linear_residual", kernels::linear_residual, "br", m, kChannels, 4 * kChannels);
  }
  add("matmul", matmul, "", 61, 3 * kChannels + 3, kChannels + 3);
  add("matmul", matmul, "", 64, kVocabulary, kChannels);
  for (std::int64_t n : {1024, 2048}) add("matmul", matmul, "", n, n, n);
}

void add_vector_products(std::vector<Maker>& all, DType t) {
  const auto add = [&](const char* title, Kernel (*kernel)(DType weights, DType inputs), std::string extra,
                       std::int64_t n, std::int64_t k) {
    const std::string name = fmt::format("{}/M:1/N:{}/K:{}", with_type(title, t), n, k);
    all.push_back({name, [=](const Caps& caps) {
                     const DType inputs = inputs_of(title, caps, t);
                     std::vector<Operand> operands{{inputs, "k"}, {t, "kn"}};
                     for (std::size_t i = 0; i < extra.size(); ++i) operands.push_back({DType::f32, "n"});
                     operands.push_back({is_gelu(title) ? inputs : DType::f32, "n"});
                     return Case{.name = name,
                                 .kernel = kernel(t, inputs),
                                 .schedule = kernels::gemv_schedule(caps, t),
                                 .extents = {{'n', n}, {'k', k}},
                                 .operands = operands,
                                 .independent = "n",
                                 .terms = k,
                                 .flops = 2.0 * static_cast<double>(n * k)};
                   }});
  };
  add("gemv", kernels::gemv, "", kVocabulary, kChannels);
  add(
      "gemv_linear", [](DType w, DType in) { return kernels::gemv_linear(w, Activation::none, in); }, "b",
      3 * kChannels, kChannels);
  add("gemv_residual", kernels::gemv_residual, "br", kChannels, kChannels);
  add(
      "gemv_linear_gelu", [](DType w, DType in) { return kernels::gemv_linear(w, Activation::gelu, in, in); }, "b",
      4 * kChannels, kChannels);
  add("gemv_residual", kernels::gemv_residual, "br", kChannels, 4 * kChannels);
  add("gemv", kernels::gemv, "", 4096, 4096);
}

void add_batched_matmul(std::vector<Maker>& all, DType t, std::int64_t m) {
  const std::string name =
      fmt::format("{}/B:{}/M:{}/N:{}/K:{}", with_type("batched_matmul", t), kHeads, m, kPositions, kHeadSize);
  all.push_back({name, [=](const Caps& caps) {
                   Schedule s = kernels::matmul_schedule(caps, t, m, kPositions, kHeadSize);
                   s.packing.clear();  // its B is an activation, in plain strides
                   s.order.clear();
                   return Case{.name = name,
                               .kernel = kernels::batched_matmul(t),
                               .schedule = s,
                               .extents = {{'b', kHeads}, {'m', m}, {'n', kPositions}, {'k', kHeadSize}},
                               .operands = {{DType::f32, "bmk"}, {t, "bkn"}, {DType::f32, "bmn"}},
                               .independent = "bmn",
                               .terms = kHeadSize,
                               .flops = 2.0 * static_cast<double>(kHeads * m * kPositions * kHeadSize)};
                 }});
}

// --- attention and what surrounds it --------------------------------------------------------------------------------

/// `m` new rows after `start` earlier positions.
void add_attention(std::vector<Maker>& all, DType t, std::int64_t m, std::int64_t start) {
  const std::int64_t keys = start + m;
  const std::string name = fmt::format("{}/M:{}/keys:{}", with_type("attention", t), m, keys);
  all.push_back(
      {name, [=](const Caps& caps) {
         const double from = static_cast<double>(start);
         const DType out = kernels::input_type(caps, t), factors = m == 1 ? DType::f32 : kernels::factor_type(caps, t);
         // Row r sees start + r + 1 keys; each costs two products of the head's size.
         const double seen = static_cast<double>(m) * (from + 0.5 * static_cast<double>(m + 1));
         return Case{.name = name,
                     .kernel = kernels::attention(t, 1 / std::sqrt(static_cast<double>(kHeadSize)), out, factors),
                     .schedule = kernels::attention_schedule(caps, m == 1, false, factors),
                     .extents = {{'h', kHeads}, {'m', m}, {'t', keys}, {'d', kHeadSize}},
                     .operands = {{DType::f32, "hmd", -1, 1, "mhd"},
                                  {t, "htd"},
                                  {t, "htd"},
                                  {DType::i32, "", from, from},
                                  {out, "hmd", -1, 1, "mhd"}},
                     .independent = "hm",
                     .started = 'm',
                     .terms = keys,
                     .flops = 4 * static_cast<double>(kHeads * kHeadSize) * seen};
       }});
}

void add_append(std::vector<Maker>& all, DType t, std::int64_t m) {
  const std::string name = fmt::format("{}/M:{}", with_type("append_to_cache", t), m);
  all.push_back({name, [=](const Caps& caps) {
                   return Case{.name = name,
                               .kernel = kernels::append_to_cache(t),
                               .schedule = kernels::append_schedule(caps),
                               .extents = {{'h', kHeads}, {'m', m}, {'t', kPositions}, {'d', kHeadSize}},
                               .operands = {{DType::f32, "hmd", -1, 1, "mhd"},
                                            {DType::f32, "hmd", -1, 1, "mhd"},
                                            {DType::i32, "", 0, 0},
                                            {t, "htd"},
                                            {t, "htd"}},
                               .independent = "hm",
                               .started = 'm',
                               .bytes = 2.0 * static_cast<double>(m * kChannels * (4 + size_of(t)))};
                 }});
}

void add_embedding(std::vector<Maker>& all, DType t, std::int64_t m) {
  const std::string name = fmt::format("{}/M:{}/C:{}", with_type("embedding", t), m, kChannels);
  all.push_back({name, [=](const Caps& caps) {
                   return Case{.name = name,
                               .kernel = kernels::embedding(t),
                               .schedule = kernels::embedding_schedule(caps, t),
                               .extents = {{'c', kChannels}, {'v', kVocabulary}, {'t', kPositions}, {'m', m}},
                               .operands = {{t, "cv"},
                                            {t, "tc"},
                                            {DType::i32, "m", 0, static_cast<double>(kVocabulary - 1)},
                                            {DType::i32, "", 0, 0},
                                            {DType::f32, "mc"}},
                               .independent = "mc",
                               .started = 'm',
                               .bytes = static_cast<double>(m * kChannels * (4 + 2 * size_of(t)))};
                 }});
}

// --- rows and elements ----------------------------------------------------------------------------------------------

void add_rows(std::vector<Maker>& all, const char* title, Kernel (*kernel)(), std::vector<Operand> operands,
              std::string independent, std::int64_t m, std::int64_t c) {
  const std::string name = fmt::format("{}/f32/M:{}/C:{}", title, m, c);
  all.push_back({name, [=](const Caps& caps) {
                   return Case{.name = name,
                               .kernel = kernel(),
                               .schedule = kernels::rows_schedule(caps),
                               .extents = {{'m', m}, {'c', c}},
                               .operands = operands,
                               .independent = independent,
                               .terms = independent == "m" ? c : 1};
                 }});
}

void add_row_kernels(std::vector<Maker>& all) {
  const Operand x{DType::f32, "mc"}, c{DType::f32, "c"};
  const auto shapes = {
      std::pair<std::int64_t, std::int64_t>{1, kChannels}, {64, kChannels}, {1024, kChannels}, {4096, 4096}};
  for (const auto& [m, n] : shapes) {
    add_rows(
        all, "layernorm", [] { return kernels::layernorm(); }, {x, c, c, x}, "m", m, n);
    add_rows(all, "softmax", kernels::softmax, {x, x}, "m", m, n);
    add_rows(all, "gelu", kernels::gelu, {x, x}, "mc", m, n == kChannels ? 4 * kChannels : n);
    add_rows(all, "add", kernels::add, {x, x, x}, "mc", m, n);
  }
  for (std::int64_t m : {1, 64}) add_rows(all, "argmax", kernels::argmax, {x, {DType::i32, "m"}}, "m", m, kVocabulary);
}

void add_causal_softmax(std::vector<Maker>& all, std::int64_t m) {
  const std::string name = fmt::format("causal_softmax/f32/B:{}/M:{}/C:{}", kHeads, m, kPositions);
  all.push_back({name, [=](const Caps& caps) {
                   const double start = static_cast<double>(kPositions - m);
                   return Case{.name = name,
                               .kernel = kernels::causal_softmax(0.125),
                               .schedule = kernels::rows_schedule(caps),
                               .extents = {{'b', kHeads}, {'m', m}, {'c', kPositions}},
                               .operands = {{DType::f32, "bmc"}, {DType::i32, "", start, start}, {DType::f32, "bmc"}},
                               .independent = "bm",
                               .started = 'm',
                               .terms = kPositions};
                 }});
}

void add_copies(std::vector<Maker>& all, DType from, DType to, std::int64_t m, std::int64_t c) {
  const std::string name = fmt::format("copy/{}-{}/M:{}/C:{}", name_of(from), name_of(to), m, c);
  all.push_back({name, [=](const Caps& caps) {
                   return Case{.name = name,
                               .kernel = kernels::copy(from, to),
                               .schedule = kernels::rows_schedule(caps),
                               .extents = {{'m', m}, {'c', c}},
                               .operands = {{from, "mc"}, {to, "mc"}},
                               .independent = "mc"};
                 }});
}

/// [m, head, d] in memory to [head, m, d]: splits the heads of m rows.
void add_permute(std::vector<Maker>& all, std::int64_t m) {
  const std::string name = fmt::format("permute/f32/M:{}/H:{}/D:{}", m, kHeads, kHeadSize);
  all.push_back({name, [=](const Caps& caps) {
                   return Case{.name = name,
                               .kernel = kernels::permute(),
                               .schedule = kernels::rows_schedule(caps),
                               .extents = {{'h', kHeads}, {'m', m}, {'d', kHeadSize}},
                               .operands = {{DType::f32, "hmd", -1, 1, "mhd"}, {DType::f32, "hmd"}},
                               .independent = "hmd"};
                 }});
}

/// Every row draws without filters, or keeps the top 50 of its logits.
void add_sampling(std::vector<Maker>& all, std::int64_t m) {
  const Operand v{DType::f32, "mv", -10, 10}, settings{DType::f32, "mr", 1, 1}, least{DType::f32, "m", -20, -20};
  const Operand id{DType::i32, "m", 0, 1000};
  const auto add = [&](const char* title, Kernel (*kernel)(), std::vector<Operand> operands) {
    const std::string name = fmt::format("{}/f32/M:{}/V:{}", title, m, kVocabulary);
    all.push_back({name, [=](const Caps& caps) {
                     return Case{.name = name,
                                 .kernel = kernel(),
                                 .schedule = kernels::sampling_schedule(caps),
                                 .extents = {{'m', m}, {'v', kVocabulary}, {'r', 4}, {'w', 3}},
                                 .operands = operands,
                                 .independent = "m"};
                   }});
  };
  add("sampling_threshold", kernels::sampling_threshold,
      {v, settings, {DType::i32, "mw", 50, 50}, {DType::i32, "mv", 0, 1000}, least});
  add("draw_token", kernels::draw_token, {v, least, settings, {DType::i32, "mw", 0, 1000}, id, id});
}

std::vector<Maker> all_cases() {
  std::vector<Maker> all;
  for (DType t : {DType::f32, DType::bf16, DType::f16}) {
    add_vector_products(all, t);
    add_products(all, t);
    for (std::int64_t m : {64, 1024}) add_batched_matmul(all, t, m);
    add_attention(all, t, 1, 127);
    add_attention(all, t, 1, 1023);
    add_attention(all, t, 64, 0);
    add_attention(all, t, 1024, 0);
    for (std::int64_t m : {1, 64, 1024}) {
      add_append(all, t, m);
      add_embedding(all, t, m);
    }
  }
  add_row_kernels(all);
  for (std::int64_t m : {1, 8}) add_sampling(all, m);
  for (std::int64_t m : {1, 64, 1024}) {
    add_causal_softmax(all, m);
    add_permute(all, m);
  }
  for (const auto& [from, to] : {std::pair{DType::f32, DType::f32},
                                 {DType::f32, DType::bf16},
                                 {DType::bf16, DType::f32},
                                 {DType::f32, DType::f16},
                                 {DType::f16, DType::f32}}) {
    add_copies(all, from, to, 64, kChannels);
    add_copies(all, from, to, 4096, 4096);
  }
  return all;
}

// --- measuring ------------------------------------------------------------------------------------------------------

void measure(benchmark::State& state, const Maker& maker, int threads) try {
  const Limits& limit = limits(threads);
  // The library calls this several times with growing numbers of iterations: what was set up last is kept.
  static std::string set_up;
  static std::unique_ptr<Case> c;
  static std::unique_ptr<KernelCall> call;
  if (const std::string key = fmt::format("{}/{}", maker.name, threads); key != set_up) {
    set_up.clear();
    call.reset();
    c = std::make_unique<Case>(maker.make(caps_of(limit.device->target())));
    call = std::make_unique<KernelCall>(*c, limit.device);
    set_up = key;
  }
  call->run();  // wakes the workers
  double time = 0;
  for (auto _ : state) {
    const double start = seconds();
    call->run();
    const double launch = seconds() - start;
    state.SetIterationTime(launch);
    time += launch;
  }
  time /= static_cast<double>(state.iterations());

  const double bytes = bytes_of(*c);
  state.counters["bytes/s"] = bytes / time;
  if (!call->cached()) state.counters["of_bandwidth"] = bytes / time / limit.bytes;
  if (c->flops > 0) {
    state.counters["FLOP/s"] = c->flops / time;
    state.counters["of_f32_peak"] = c->flops / time / limit.flops;
    const bool bf16 =
        std::any_of(c->operands.begin(), c->operands.end(), [](const Operand& o) { return o.dtype == DType::bf16; });
    if (bf16 && limit.bf16_flops > 0) state.counters["of_bf16_peak"] = c->flops / time / limit.bf16_flops;
  }
  state.SetLabel(call->cached() ? "from cache" : fmt::format("from memory, {} copies", call->copies()));
} catch (const std::exception& e) {
  state.SkipWithError(e.what());
}

void print_help() {
  fmt::print(stdout,
             "Times every kernel of the library. Options of its own: --threads N,M,... "
             "(default: 1 and all CPUs).\nOptions of Google Benchmark:\n");
  benchmark::PrintDefaultHelp();
}

int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv, print_help);
  CLI::App app("Times every kernel of the library.");
  std::vector<int> threads = default_threads();
  app.add_option("--threads", threads, "numbers of threads to measure with")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024));
  CLI11_PARSE(app, argc, argv);
  benchmark::AddCustomContext("cpu", cpu_name());
  benchmark::AddCustomContext("wavetile", fmt::format("{} ({})", kVersion, kCommit));
  benchmark::AddCustomContext("last_level_cache", fmt::format("{} MiB", last_level_cache() >> 20));
  const std::vector<Maker> cases = all_cases();
  for (const Maker& maker : cases) {
    for (int t : threads) {
      benchmark::RegisterBenchmark(fmt::format("{}/threads:{}", maker.name, t).c_str(),
                                   [&maker, t](benchmark::State& state) { measure(state, maker, t); })
          ->UseManualTime()
          ->Unit(benchmark::kMicrosecond);
    }
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace
}  // namespace wavetile::bench

int main(int argc, char** argv) {
  return wavetile::bench::run_program("kernels_bench", wavetile::bench::run, argc, argv);
}
