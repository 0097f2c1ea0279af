// Every barrier in the code of every kernel is needed, and the emulator's checks see it where it is missing: each is
// left out in turn, and has to be reported. Extents leave blocks at the edge, and folds run more than once. Barriers
// that only a launch in place needs show in such a launch.
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "codegen/testing/dropping_target.h"
#include "dsl/check.h"
#include "kernels/kernels.h"
#include "kernels/sampling.h"
#include "kernels/schedules.h"
#include "runtime/program.h"
#include "tests/support/run_kernel.h"

namespace wavetile {
namespace {

using namespace kernels;

constexpr DType f32 = DType::f32, bf16 = DType::bf16, i32 = DType::i32;

HostTensor x(std::vector<int64_t> extents) { return random_tensor(f32, std::move(extents)); }
HostTensor y(std::vector<int64_t> extents, DType t = f32) { return output(t, std::move(extents)); }

struct Subject {
  Kernel kernel;
  Schedule schedule;
  std::vector<HostTensor> tensors;
  // Barriers that the machine code happens not to need:
  //   permute             without it LLVM moves the load, with whose value nobody computes, to the store of one warp
  //   sampling_threshold  three bools go where the warp that writes them alone has read an f32
  int spare = 0;
  bool fills = false;  // the registers: no other number of warps has enough of them
};

std::vector<Subject> products(const Caps& caps, DType w) {
  const int64_t m = 11, k = 37, n = 300, b = 2;
  auto weights = [&](std::vector<int64_t> e) { return random_tensor(w, std::move(e)); };
  Schedule matrix = matmul_schedule(caps, w, m, n, k), vector = gemv_schedule(caps, w);
  // On matrix units: full blocks and those at the edge, and a step more than is under way.
  Schedule large = matmul_schedule(caps, w, 1 << 14, 1 << 14, 101, w);
  return {{matmul(w, w), large, {random_tensor(w, {139, 101}), weights({101, 150}), y({139, 150})}, 0, true},
          {matmul(w), matrix, {x({m, k}), weights({k, n}), y({m, n})}},
          {batched_matmul(w), matrix, {x({b, m, k}), weights({b, k, n}), y({b, m, n})}},
          {linear(w, Activation::gelu), matrix, {x({m, k}), weights({k, n}), x({n}), y({m, n})}},
          {linear_residual(w), matrix, {x({m, k}), weights({k, n}), x({n}), x({m, n}), y({m, n})}},
          {gemv(w), vector, {x({k}), weights({k, n}), y({n})}},
          {gemv_linear(w), vector, {x({k}), weights({k, n}), x({n}), y({n})}},
          {gemv_residual(w), vector, {x({k}), weights({k, n}), x({n}), x({n}), y({n})}}};
}

std::vector<Subject> attentions(const Caps& caps, DType w) {
  const int64_t heads = 2, rows = 7, keys = 250, d = 16;
  HostTensor start = tensor_of(i32, {1}, {240});
  auto cache = [&](std::vector<int64_t> e) { return random_tensor(w, std::move(e)); };
  std::vector<Subject> all;
  for (bool one : {false, true}) {
    Schedule s = attention_schedule(caps, one);
    if (!one) s.tile["m"] = 4;  // three rows at the edge
    all.push_back(
        {attention(w, 0.25),
         s,
         {x({heads, rows, d}), cache({heads, keys, d}), cache({heads, keys, d}), start, y({heads, rows, d})}});
  }
  all.push_back({batched_attention(w, 0.25),
                 attention_schedule(caps, true, true),
                 {x({2, heads, 1, d}), cache({2, heads, keys, d}), cache({2, heads, keys, d}),
                  tensor_of(i32, {2}, {100, 240}), y({2, heads, 1, d})}});
  all.push_back({append_to_cache(w),
                 append_schedule(caps),
                 {x({heads, rows, d}), x({heads, rows, d}), start, cache({heads, keys, d}), cache({heads, keys, d})}});
  return all;
}

std::vector<Subject> rows(const Caps& caps) {
  const int64_t n = 5;
  Schedule row = rows_schedule(caps);
  std::vector<Subject> all;
  for (int64_t c : {int64_t{131}, int64_t{9001}}) {
    all.push_back({layernorm(), row, {x({n, c}), x({c}), x({c}), y({n, c})}});
    all.push_back({softmax(), row, {x({n, c}), y({n, c})}});
    all.push_back({argmax(), row, {x({n, c}), y({n}, i32)}});
    all.push_back({log_softmax_statistics(), row, {x({n, c}), y({n}), y({n})}});
  }
  all.push_back({causal_softmax(0.25), row, {x({2, n, 700}), tensor_of(i32, {1}, {690}), y({2, n, 700})}});
  all.push_back({gelu(), {}, {x({n, 1031}), y({n, 1031})}});
  all.push_back({add(), {}, {x({n, 1031}), x({n, 1031}), y({n, 1031})}});
  all.push_back({permute(), {}, {x({n, 3, 1031}), y({n, 3, 1031})}, 1});
  all.push_back({copy(f32, bf16), {}, {x({n, 131}), y({n, 131}, bf16)}});
  all.push_back({gather(), {}, {x({9, 131}), random_integers(i32, {n}, 0, 8), y({n, 131})}});
  all.push_back({embedding(bf16),
                 embedding_schedule(caps, bf16),
                 {random_tensor(bf16, {131, 9}), random_tensor(bf16, {20, 131}), random_integers(i32, {n}, 0, 8),
                  tensor_of(i32, {1}, {3}), y({n, 131})}});
  return all;
}

std::vector<Subject> samplers(const Caps& caps) {
  Schedule s = sampling_schedule(caps);
  // Loops go round, and are left in a part of a block; in that of the long rows all warps have a share.
  const int64_t n = 2, block = s.tile.at("col"), v = 2 * block + 88, long_row = 3 * block - 31;
  HostTensor real(f32, {n, 4}), whole(i32, {n, 3}), seen = random_integers(DType::u8, {n, v}, 0, 1);
  for (int64_t r = 0; r < n; ++r) {
    for (int64_t i = 0; i < 4; ++i) real.set(4 * r + i, std::vector<double>{0.9, 0.8, 0.01, 1.3}[size_t(i)]);
    for (int64_t i = 0; i < 3; ++i) whole.set(3 * r + i, std::vector<double>{40, 7, 9}[size_t(i)]);
  }
  HostTensor logits = random_tensor(f32, {n, v}, 10), position = random_integers(i32, {n}, 0, 9);
  return {{mark_seen(), rows_schedule(caps), {random_integers(i32, {n, 3}, 0, v - 1), seen}},
          {adjust_logits(), s, {logits, seen, real, y({n, v})}},
          {weigh_tokens(), s, {x({n, long_row}), real, y({n, long_row}, i32)}},
          {sampling_threshold(), s, {logits, real, whole, random_integers(i32, {n, v}, 0, 1 << 18), y({n})}, 1},
          {draw_token(), s, {logits, tensor_of(f32, {n}, {-3, -50}), real, whole, position, y({n}, i32)}}};
}

// Loops that hold several blocks: shared memory is used in turn. They go round, and are left after the first of them.
std::vector<Subject> pipelines(const Caps& caps) {
  const int64_t m = 35, n = 40;
  std::vector<Subject> all;
  for (int stages : {2, 3}) {
    const int64_t blocks = stages + 1, k = 32 * blocks + 5;
    Schedule products{.tile = {{"m", 32}, {"n", 32}, {"k", 32}}, .warps = 2, .stages = stages};
    all.push_back(
        {matmul(bf16, bf16), products, {random_tensor(bf16, {m, k}), random_tensor(bf16, {k, n}), y({m, n})}});
    Kernel total("total", {"X", "Y"}, [](Tensor<wavetile::f32> X, Tensor<wavetile::f32> Y) {
      Range r = parallel("row", X.dim(0));
      State s = fold(serial("col", X.dim(1)), State{fill(-1e30, r), fill(0, r)}, [=](Range c, const State& s) {
        Tile x = X(r, c), top = max(s[0], max(x, c));
        return State{top, s[1] * exp(s[0] - top) + sum(exp(x - top), c)};
      });
      Y(r) = log(s[1]) + s[0];
    });
    Schedule rows{.tile = {{"row", 1}, {"col", 8 * caps.lanes}}, .warps = 2, .stages = stages};
    all.push_back({total, rows, {x({3, 8 * caps.lanes * blocks + 3}), y({3})}});
    Kernel again("again", {"X", "W", "Y"},
                 [](Tensor<wavetile::f32> X, Tensor<wavetile::f32> W, Tensor<wavetile::f32> Y) {
                   Range r = parallel("row", X.dim(0)), col = serial("col", X.dim(1));
                   Y(r) = fold(serial("o", W.dim(0)), fill(0, r), [=](Range o, Tile acc) {
                     Tile all = fold(col, fill(0, r), [=](Range c, Tile a) { return a + sum(X(r, c), c); });
                     return max(acc, all * sum(W(o), o));
                   });
                 });
    Schedule nested = rows;
    nested.tile["o"] = 1;
    all.push_back({again, nested, {x({3, 8 * caps.lanes * blocks}), x({3}), y({3})}});
  }
  return all;
}

class Barriers : public testing::TestWithParam<std::tuple<const char*, const char*>> {
 protected:
  void SetUp() override {
    auto [chip, group] = GetParam();
    setenv("WAVETILE_EMULATOR", (std::string(chip) + ",checks").c_str(), 1);
    device_ = Device::open("hsa:emulated");
    target_ = amdgpu_target(chip);
  }
  void TearDown() override {
    testing::internal::CaptureStderr();
    device_.reset();
    testing::internal::GetCapturedStderr();  // how many were reported in all
  }

  // What the emulator reports where the last tensor has the memory of another, if any.
  std::string launch(const ModulePtr& m, const std::vector<HostTensor>& tensors, size_t last_is) {
    std::vector<BufferPtr> buffers;
    std::vector<TensorView> views;
    for (const HostTensor& t : tensors) {
      buffers.push_back(device_->allocate(t.bytes.size()));
      device_->write(*buffers.back(), 0, t.bytes.data(), t.bytes.size());
      views.push_back({t.dtype, buffers.back()->address(), t.extents, t.strides});
    }
    if (last_is < tensors.size()) views.back().data = views[last_is].data;
    testing::internal::CaptureStderr();
    try {
      Program p(device_);
      p.add(m, views);
      p.run();
    } catch (const Error& e) {
      return testing::internal::GetCapturedStderr() + e.what();
    }
    return testing::internal::GetCapturedStderr();
  }
  // In any launch; and how many barriers there are.
  std::pair<std::string, int> run(const Subject& s, int dropped) {
    Dropping without = dropping_target(target_, dropped);
    Signature sig;
    for (HostTensor t : s.tensors) {
      sig.push_back(signature_of(std::vector{t.view()})[0]);
      sig.back().alignment = 64;
    }
    const Graph& g = s.kernel.graph();
    ModulePtr m = device_->load(compile(g, sig, s.schedule, *without.target));
    const int last = static_cast<int>(s.tensors.size()) - 1;
    std::string text = launch(m, s.tensors, s.tensors.size());
    for (int t = 0; t < last && text.empty(); ++t)
      if (may_share(g, last, t) && s.tensors[size_t(t)].extents == s.tensors.back().extents)
        text = launch(m, s.tensors, static_cast<size_t>(t));
    return {text, *without.emitted};
  }

  DevicePtr device_;
  TargetPtr target_;
};
INSTANTIATE_TEST_SUITE_P(Chips, Barriers,
                         testing::Combine(testing::Values("gfx1151", "gfx1100", "gfx942"),
                                          testing::Values("products", "attention", "rows", "sampling", "pipelines")),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param)) + "_" + std::get<1>(info.param);
                         });

TEST_P(Barriers, EachIsMissedWhereItIsLeftOut) {
  const Caps& caps = caps_of(*target_);
  const std::string group = std::get<1>(GetParam());
  std::vector<Subject> all = group == "products"    ? products(caps, bf16)
                             : group == "attention" ? attentions(caps, bf16)
                             : group == "rows"      ? rows(caps)
                             : group == "pipelines" ? pipelines(caps)
                                                    : samplers(caps);
  int barriers = 0;
  for (Subject& s : all)
    for (int warps : s.fills ? std::set{s.schedule.warps} : std::set{s.schedule.warps, 2, 4}) {
      s.schedule.warps = warps;
      SCOPED_TRACE("kernel '" + s.kernel.name() + "' with " + std::to_string(warps) + " warps");
      auto [reported, n] = run(s, -1);
      EXPECT_EQ(reported, "");
      std::vector<int> unseen;
      for (int i = 0; i < n; ++i) {
        auto [text, emitted] = run(s, i);
        EXPECT_EQ(emitted, n);
        if (text.find("== race") == std::string::npos && text.find("== uninitialised") == std::string::npos)
          unseen.push_back(i);
      }
      EXPECT_LE(unseen.size(), static_cast<size_t>(s.spare))
          << "of " << n << " barriers, nothing was reported without these: " << testing::PrintToString(unseen);
      barriers += n;
    }
  std::printf("%d barriers, each of them missed\n", barriers);
}

}  // namespace
}  // namespace wavetile
