// wavetile-peer: what scripts/bench-triton needs of us to set our kernels beside another compiler's.
//
// `object` leaves a kernel's code object and says how to launch it, so that both sides run from the same files, through
// the same program; `estimate` makes the same estimate of whatever that program counted.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "bench/estimate.h"
#include "bench/program.h"
#include "codegen/compile.h"
#include "dsl/error.h"
#include "kernels/kernels.h"
#include "kernels/schedules.h"

namespace wavetile::bench {
namespace {

using nlohmann::json;

// Rows differ from launch to launch; the other extents are known when the kernel is compiled.
struct Peer {
  Kernel kernel;
  Schedule schedule;
  std::vector<TensorView> tensors;
  std::vector<bool> has_rows;  // of each tensor: whether a dimension of it is that of rows, and which one
  size_t rows_at = 0;
};

constexpr double kScale = 0.125;  // of attention, whose heads have 64 columns

TensorView view(DType t, std::vector<int64_t> extents) { return dense<char>(t, nullptr, std::move(extents)); }

Peer peer(const std::string& name, const std::vector<int64_t>& shape, const Caps& caps) {
  using namespace kernels;
  constexpr DType f = DType::f32, w = DType::f16;
  auto shaped = [&](size_t n, const char* what) {
    if (shape.size() != n) throw Error(fmt::format("--shape of {} is {}", name, what));
  };
  if (name == "softmax") {
    shaped(2, "ROWS,COLUMNS");
    return {softmax(), rows_schedule(caps), {view(f, shape), view(f, shape)}, {true, true}};
  }
  if (name == "layernorm") {
    shaped(2, "ROWS,COLUMNS");
    const TensorView vector = view(f, {shape[1]});
    return {layernorm(1e-5, w),
            rows_schedule(caps),
            {view(f, shape), vector, vector, view(w, shape)},
            {true, false, false, true}};
  }
  if (name == "linear_gelu") {
    shaped(3, "ROWS,COLUMNS,DEPTH");
    const auto [m, n, k] = std::tuple(shape[0], shape[1], shape[2]);
    return {linear(w, Activation::gelu, w, w),
            matmul_schedule(caps, w, m, n, k, w),
            {view(w, {m, k}), view(w, {k, n}), view(f, {n}), view(w, {m, n})},
            {true, false, false, true}};
  }
  if (name == "attention") {
    shaped(3, "ROWS,HEADS,KEYS");
    const auto [m, heads, keys] = std::tuple(shape[0], shape[1], shape[2]);
    constexpr int64_t d = 64;
    const TensorView cache = view(w, {heads, keys, d});
    return {attention(w, kScale, w, w),
            attention_schedule(caps, false, false, w),
            {{f, nullptr, {heads, m, d}, {d, 3 * heads * d, 1}},
             cache,
             cache,
             view(DType::i32, {1}),
             {w, nullptr, {heads, m, d}, {d, heads * d, 1}}},
            {true, false, false, false, true},
            1};
  }
  throw Error(fmt::format("no kernel '{}'; there are softmax, layernorm, linear_gelu and attention", name));
}

json object(const Peer& p, const TargetPtr& target, const std::string& file) {
  Signature signature;
  for (size_t i = 0; i < p.tensors.size(); ++i) {
    const TensorView& t = p.tensors[i];
    TensorSpec s{t.dtype, {t.extents.begin(), t.extents.end()}, {t.strides.begin(), t.strides.end()}, 16};
    if (p.has_rows[i]) s.extents[p.rows_at] = std::nullopt;
    signature.push_back(std::move(s));
  }
  const CompiledKernel k = compile(p.kernel, signature, p.schedule, *target);
  if (k.stages.size() != 1) throw Error(fmt::format("kernel '{}' has {} stages", k.name, k.stages.size()));
  std::ofstream out(file, std::ios::binary);
  out.write(k.object.data(), static_cast<std::streamsize>(k.object.size()));
  out.close();
  if (!out) throw Error(fmt::format("{}: cannot be written", file));
  const Stage& s = k.stages[0];
  json tensors = json::array();
  for (size_t i = 0; i < p.tensors.size(); ++i)
    tensors.push_back({{"name", k.graph.tensors[i].name},
                       {"dtype", name_of(p.tensors[i].dtype)},
                       {"extents", p.tensors[i].extents},
                       {"strides", p.tensors[i].strides}});
  return {{"symbol", s.symbol},
          {"block", s.warps * caps_of(*target).lanes},
          {"blocks", grid_of(s, p.tensors, {})},
          {"tensors", tensors}};
}

emu::Counters read_counters(std::istream& in) try {
  return emu::Counters::from_json({std::istreambuf_iterator<char>(in), {}});
} catch (const std::runtime_error& e) {
  throw Error(fmt::format("standard input: {}; it has to be what `wavetile-emu --counters json` prints", e.what()));
}

int run(int argc, char** argv) {
  std::string name, file;
  std::vector<int64_t> shape;
  CLI::App app("What scripts/bench-triton needs to set our kernels beside another compiler's.");
  app.require_subcommand(1);
  auto* make = app.add_subcommand("object",
                                  "write a kernel's code object for gfx1151, weights in f16; print how it is launched");
  make->add_option("kernel", name, "softmax, layernorm, linear_gelu or attention")->required();
  make->add_option("--shape", shape, "ROWS,COLUMNS; linear_gelu: and DEPTH; attention: ROWS,HEADS,KEYS")
      ->delimiter(',')
      ->required()
      ->check(CLI::Range(1, 1 << 20));
  make->add_option("--out", file, "the code object")->required();
  auto* judge = app.add_subcommand("estimate", "read counters of wavetile-emu (JSON), print an ESTIMATE for gfx1151");
  CLI11_PARSE(app, argc, argv);
  if (judge->parsed()) {
    fmt::print("{}\n", to_json(estimate(read_counters(std::cin))));
    return 0;
  }
  const TargetPtr target = amdgpu_target(std::string(Rates{}.chip));
  fmt::print("{}\n", object(peer(name, shape, caps_of(*target)), target, file).dump(2));
  return 0;
}

}  // namespace
}  // namespace wavetile::bench

int main(int argc, char** argv) {
  return wavetile::bench::run_program("wavetile-peer", wavetile::bench::run, argc, argv);
}
