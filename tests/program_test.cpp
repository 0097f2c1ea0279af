// Programs: what a verified run finds and what it leaves alone, what a profile adds up, what buffers refuse.
#include "runtime/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "kernels/kernels.h"
#include "kernels/schedules.h"
#include "tests/support/errors.h"
#include "tests/support/run_kernel.h"

namespace wavetile {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;

DevicePtr device() {
  static DevicePtr d = Device::open("cpu", {.threads = 2, .level = {}});
  return d;
}
const Caps& caps() { return caps_of(device()->target()); }

float uniform(double lo, double hi) {
  return static_cast<float>(std::uniform_real_distribution<double>(lo, hi)(random_engine()));
}

// Tensors with buffers of their own; what is not said to be anything else is random.
class Tensors {
 public:
  TensorView add(DType t, std::vector<int64_t> extents, const Packing& p = {}) {
    int64_t n = packed_elements(extents, p);
    auto size = static_cast<size_t>(size_of(t));
    buffers_.push_back(device()->allocate(static_cast<size_t>(n) * size));
    auto* at = static_cast<char*>(buffers_.back()->address());
    for (int64_t i = 0; i < n; ++i, at += size) {
      float x = uniform(-1, 1);
      uint16_t half = t == DType::bf16 ? to_bf16(x) : to_f16(x);
      int32_t integer = static_cast<int32_t>(random_engine()() % 7);
      std::memcpy(at,
                  t == DType::f32 ? static_cast<void*>(&x)
                  : is_float(t)   ? static_cast<void*>(&half)
                                  : &integer,
                  size);
    }
    TensorView v = buffers_.back()->view(t, {n});
    return {t, v.data, extents, p.blocks.empty() ? row_major(extents) : packed_strides(extents, p)};
  }
  TensorView of(const std::vector<int32_t>& values) {
    TensorView v = add(DType::i32, {static_cast<int64_t>(values.size())});
    std::memcpy(v.data, values.data(), values.size() * 4);
    return v;
  }

 private:
  std::vector<BufferPtr> buffers_;
};

ModulePtr module_of(const Kernel& k, const std::vector<TensorView>& tensors, const Schedule& s = {}) {
  return device()->load(compile(k, signature_of(tensors), s, device()->target()));
}
// The code of one kernel under the graph of another: a compiler that is wrong.
ModulePtr miscompiled(const Kernel& asked, const Kernel& done, const std::vector<TensorView>& tensors,
                      const Schedule& s = {}) {
  CompiledKernel k = compile(done, signature_of(tensors), s, device()->target());
  k.graph = asked.graph();
  return device()->load(std::move(k));
}
// Runs one verified call.
void verified(const ModulePtr& m, const std::vector<TensorView>& tensors, const VerifyOptions& options = {},
              const std::vector<double>& scalars = {}) {
  Program p(device());
  p.add(m, tensors, scalars, "the call");
  p.verify_next_run(options);
  p.run();
}
// What a verified call finds; an empty text if it finds nothing.
struct Found {
  std::string text;
  VerifyError::Mismatch at;
};
Found found(const ModulePtr& m, const std::vector<TensorView>& tensors, const VerifyOptions& options = {}) {
  try {
    verified(m, tensors, options);
  } catch (const VerifyError& e) {
    return {e.what(), e.mismatch()};
  }
  return {};
}

class VerifiedLibrary : public testing::TestWithParam<DType> {};

// The library's kernels under the schedules that models use: packed, split, in place, sliced.
TEST_P(VerifiedLibrary, IsRight) {
  using namespace kernels;
  const DType w = GetParam(), in = input_type(caps(), w);
  SCOPED_TRACE(seed());
  Tensors t;
  Program p(device());
  auto call = [&](const Kernel& k, const std::vector<TensorView>& tensors, const Schedule& s) {
    p.add(module_of(k, tensors, s), tensors);
  };
  const int64_t m = 13, c = 60, n = 131, heads = 4, d = 15, keys = 77;
  TensorView x = t.add(DType::f32, {m, c}), normal = t.add(in, {m, c}), qkv = t.add(DType::f32, {m, 3 * c});
  TensorView mixed = t.add(in, {m, c}), start = t.of({41});
  auto heads_of = [&](const TensorView& rows, int64_t first) {
    return TensorView{rows.dtype,
                      static_cast<char*>(rows.data) + first * size_of(rows.dtype),
                      {heads, m, d},
                      {d, rows.strides[0], 1}};
  };
  auto packed = [&](const Schedule& s, const char* name) {
    auto it = s.packing.find(name);
    return it == s.packing.end() ? Packing{} : it->second;
  };
  auto vector = [](const TensorView& rows) { return TensorView{rows.dtype, rows.data, {rows.extents[1]}, {1}}; };

  Schedule e = embedding_schedule(caps(), w);
  call(embedding(w),
       {t.add(w, {c, n}, packed(e, "Tokens")), t.add(w, {keys, c}), t.of(std::vector<int32_t>(m, 97)), start, x}, e);
  call(layernorm(1e-5, in), {x, t.add(DType::f32, {c}), t.add(DType::f32, {c}), normal}, rows_schedule(caps()));
  Schedule product = matmul_schedule(caps(), w, m, 3 * c, c);
  call(linear(w, Activation::gelu, in, DType::f32),
       {normal, t.add(w, {c, 3 * c}, packed(product, "B")), t.add(DType::f32, {3 * c}), qkv}, product);
  Schedule append = append_schedule(caps());
  TensorView k = t.add(w, {heads, keys, d}, packed(append, "K")), v = t.add(w, {heads, keys, d}, packed(append, "V"));
  call(append_to_cache(w), {heads_of(qkv, c), heads_of(qkv, 2 * c), start, k, v}, append);
  for (bool one : {false, true})  // the second one splits the keys
    call(attention(w, 0.3, in), {heads_of(qkv, 0), k, v, start, heads_of(mixed, 0)}, attention_schedule(caps(), one));
  call(linear_residual(w, in), {mixed, t.add(w, {c, c}, packed(product, "B")), t.add(DType::f32, {c}), x, x}, product);
  Schedule gemvs = gemv_schedule(caps(), w);
  TensorView logits = t.add(DType::f32, {n});
  call(gemv(w, in), {vector(normal), t.add(w, {c, n}, packed(gemvs, "B")), logits}, gemvs);
  call(softmax(), {qkv, t.add(DType::f32, {m, 3 * c})}, rows_schedule(caps()));
  call(argmax(), {{DType::f32, logits.data, {1, n}, {n, 1}}, t.of({0})}, argmax_schedule(caps()));
  for (double most : {1e9, 2000.0})  // everything, and windows
    for (uint64_t run = 0; run < 5; ++run) {
      p.verify_next_run({most, run});
      ASSERT_NO_THROW(p.run());
    }
}
INSTANTIATE_TEST_SUITE_P(Verify, VerifiedLibrary, testing::Values(DType::f32, DType::bf16, DType::f16),
                         [](const auto& info) { return std::string(name_of(info.param)); });

Kernel product(double factor, int fewer = 0) {
  return Kernel("product", {"A", "B", "C"}, [=](Tensor<f32> A, Tensor<f32> B, Tensor<f32> C) {
    Range m = parallel("m", C.dim(0) - fewer), n = parallel("n", B.dim(1));
    Tile acc =
        fold(serial("k", A.dim(1)), fill(0, m, n), [=](Range k, Tile acc) { return acc + dot(A(m, k), B(k, n), k); });
    C(m, n) = acc * factor;
  });
}

TEST(Verify, AWrongKernelIsNamed) {
  Tensors t;
  std::vector<TensorView> tensors{t.add(DType::f32, {9, 300}), t.add(DType::f32, {300, 21}),
                                  t.add(DType::f32, {9, 21})};
  EXPECT_EQ(found(module_of(product(1), tensors), tensors).text, "");
  // 1 part in 10000: far less than f16 would make of it, more than f32 does.
  Found f = found(miscompiled(product(1), product(1.0001), tensors), tensors);
  EXPECT_THAT(f.text, HasSubstr("program_test.cpp:"));
  EXPECT_THAT(f.text, HasSubstr("kernel 'product' (call 'the call'): C["));
  EXPECT_EQ(f.at.label, "the call");
  EXPECT_EQ(f.at.tensor, "C");
  EXPECT_EQ(f.at.index.size(), 2u);
  EXPECT_GT(f.at.tolerance, 0);
  EXPECT_GT(std::abs(f.at.got - f.at.want), f.at.tolerance);
}

TEST(Verify, TheLineIsThatOfTheStore) {
  int lines[2] = {};
  auto two = [&](double a, double b) {
    return Kernel("two", {"X", "Y"}, [&](Tensor<f32> X, Tensor<f32> Y) {
      Range i = parallel("i", X.dim(0));
      lines[0] = __LINE__ + 1;
      Y(i, 0) = X(i) + a;
      lines[1] = __LINE__ + 1;
      Y(i, 1) = X(i) + b;
    });
  };
  Tensors t;
  std::vector<TensorView> tensors{t.add(DType::f32, {50}), t.add(DType::f32, {50, 2})};
  Kernel right = two(1, 2);
  Found first = found(miscompiled(right, two(1.5, 2), tensors), tensors);
  Found second = found(miscompiled(right, two(1, 2.5), tensors), tensors);
  EXPECT_THAT(first.text, HasSubstr("program_test.cpp:" + std::to_string(lines[0])));
  EXPECT_THAT(first.at.index, ElementsAre(0, 0));
  EXPECT_THAT(second.text, HasSubstr("program_test.cpp:" + std::to_string(lines[1])));
  EXPECT_THAT(second.at.index, ElementsAre(0, 1));
}

TEST(Verify, ElementsThatAreNotWrittenOrWrittenByMistake) {
  Tensors t;
  std::vector<TensorView> tensors{t.add(DType::f32, {9, 30}), t.add(DType::f32, {30, 21}), t.add(DType::f32, {9, 21})};
  verified(module_of(product(1), tensors), tensors);  // what is right already must not pass for written
  Found f = found(miscompiled(product(1), product(1, 1), tensors), tensors);
  EXPECT_THAT(f.at.index, ElementsAre(8, 0));
  EXPECT_TRUE(std::isnan(f.at.got));
  f = found(miscompiled(product(1, 1), product(1), tensors), tensors);
  EXPECT_THAT(f.text, HasSubstr("C[8, 0]"));
  EXPECT_THAT(f.text, HasSubstr("does not write it"));
  // Between the elements: rows of 21 in memory for rows of 20.
  std::vector<TensorView> narrow{
      tensors[0], {DType::f32, tensors[1].data, {30, 20}, {21, 1}}, {DType::f32, tensors[2].data, {9, 20}, {21, 1}}};
  EXPECT_EQ(found(module_of(product(1), narrow), narrow).text, "");
  Kernel asked("edge", {"Y"}, [](Tensor<f32> Y) {
    Range r = parallel("r", Y.dim(0)), c = parallel("c", Y.dim(1));
    Y(r, c) = fill(1, r, c);
  });
  TensorView wide = t.add(DType::f32, {9, 21});
  CompiledKernel k = compile(asked, signature_of(std::vector{wide}), {}, device()->target());
  for (Stage& s : k.stages) s.signature[0].extents[1] = 20;
  k.signature[0].extents[1] = 20;
  f = found(device()->load(k), {{DType::f32, wide.data, {9, 20}, {21, 1}}});
  EXPECT_THAT(f.text, HasSubstr("between the elements"));
}

TEST(Verify, NanIsEqualToNanOnly) {
  auto kernel = [](double least) {
    return Kernel("roots", {"X", "Y"}, [=](Tensor<f32> X, Tensor<f32> Y) {
      Range i = parallel("i", X.dim(0));
      Y(i) = sqrt(max(X(i), least));
    });
  };
  Tensors t;
  std::vector<TensorView> tensors{t.add(DType::f32, {40}), t.add(DType::f32, {40})};
  auto* x = static_cast<float*>(tensors[0].data);
  for (int i = 0; i < 40; ++i) x[i] = uniform(0.5, 1);
  EXPECT_EQ(found(miscompiled(kernel(-2), kernel(0), tensors), tensors).text, "");
  x[17] = -1;
  EXPECT_EQ(found(module_of(kernel(-2), tensors), tensors).text, "");  // NaN in both
  Found f = found(miscompiled(kernel(0), kernel(-2), tensors), tensors);
  EXPECT_THAT(f.at.index, ElementsAre(17));
  EXPECT_TRUE(std::isnan(f.at.got));
  f = found(miscompiled(kernel(-2), kernel(0), tensors), tensors);
  EXPECT_TRUE(std::isnan(f.at.want));
  x[17] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(found(module_of(kernel(0), tensors), tensors).text, "");
}

TEST(Verify, ChoicesThatRoundingDecidesAreLeftOpenOthersAreNot) {
  auto nearest = [](int wrong) {
    return Kernel("nearest", {"X", "Y"}, [=](Tensor<f32> X, Tensor<i32> Y) {
      Range r = parallel("r", X.dim(0)), c = whole("c", X.dim(1));
      Y(r) = cast<i32>(where(sum(X(r, c), c) > 100, 1, 0)) + wrong;
    });
  };
  Tensors t;
  std::vector<TensorView> tensors{t.add(DType::f32, {3, 33}), t.add(DType::i32, {3})};
  EXPECT_EQ(found(module_of(nearest(0), tensors), tensors).text, "");  // sums are far from 100
  EXPECT_NE(found(miscompiled(nearest(0), nearest(1), tensors), tensors).text, "");
  std::fill_n(static_cast<float*>(tensors[0].data), 99, 100.0f / 33);
  EXPECT_EQ(found(miscompiled(nearest(0), nearest(1), tensors), tensors).text, "");
}

// Rounding a factor to bf16 may move it by 2^-8 of itself, whichever factor it is: a product that is off by less
// passes.
TEST(Verify, BoundsOfFactorsReachTheirProduct) {
  for (bool left : {false, true}) {
    auto kernel = [=](double factor) {  // 0: rounded
      return Kernel("rounded_product", {"A", "B", "C"}, [=](Tensor<f32> A, Tensor<f32> B, Tensor<f32> C) {
        Range m = parallel("m", A.dim(0)), n = parallel("n", B.dim(1)), k = whole("k", A.dim(1));
        Tile a = exp(A(m, k)), b = exp(B(k, n));
        Tile& x = left ? a : b;
        x = factor == 0 ? cast<bf16>(x) : x * factor;
        C(m, n) = dot(a, b, k);
      });
    };
    Tensors t;
    std::vector<TensorView> tensors{t.add(DType::f32, {7, 5}), t.add(DType::f32, {5, 19}), t.add(DType::f32, {7, 19})};
    EXPECT_EQ(found(module_of(kernel(0), tensors), tensors).text, "");
    EXPECT_EQ(found(miscompiled(kernel(0), kernel(1.002), tensors), tensors).text, "");
    EXPECT_NE(found(miscompiled(kernel(0), kernel(1.02), tensors), tensors).text, "");
  }
}

TEST(Verify, WindowsFindWhatTheyLandOn) {
  Tensors t;
  std::vector<TensorView> tensors{t.add(DType::f32, {64, 30}), t.add(DType::f32, {30, 40}),
                                  t.add(DType::f32, {64, 40})};
  ModulePtr right = module_of(product(1), tensors), wrong = miscompiled(product(1), product(1, 32), tensors);
  int caught = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    EXPECT_EQ(found(right, tensors, {3000, seed}).text, "");
    caught += !found(wrong, tensors, {3000, seed}).text.empty();
  }
  EXPECT_GT(caught, 2);  // half of the rows are missing
  EXPECT_LT(caught, 20);
}

TEST(Verify, EndsOfBlocksAndTensorsThatNothingReads) {
  Kernel ends("ends", {"X", "Unused", "Y"}, [](Tensor<f32> X, Tensor<f32>, Tensor<f32> Y) {
    Range r = parallel("r", X.dim(0));
    Y(r) = X(r) + cast<f32>(first(r) * 1000 + last(r));
  });
  Tensors t;
  std::vector<TensorView> tensors{t.add(DType::f32, {333}), {DType::f32, nullptr, {5}, {1}}, t.add(DType::f32, {333})};
  for (const Schedule& s : {Schedule{}, Schedule{.tile = {{"r", 7}}}}) {
    EXPECT_EQ(found(module_of(ends, tensors, s), tensors).text, "");
    EXPECT_EQ(found(module_of(ends, tensors, s), tensors, {100, 3}).text, "");
  }
}

TEST(Verify, OnlyTheNextRun) {
  Tensors t;
  std::vector<TensorView> tensors{t.add(DType::f32, {9, 30}), t.add(DType::f32, {30, 21}), t.add(DType::f32, {9, 21})};
  Program p(device());
  p.add(miscompiled(product(1), product(2), tensors), tensors);
  p.run();
  p.verify_next_run();
  EXPECT_THROW(p.run(), VerifyError);
  EXPECT_NO_THROW(p.run());
}

TEST(Verify, ScalarsReachTheInterpreter) {
  auto scaled = [](double extra) {
    return Kernel("scaled", {"X", "Y", "factor"}, [=](Tensor<f32> X, Tensor<f32> Y, Param<f32> factor) {
      Range i = parallel("i", X.dim(0));
      Y(i) = X(i) * factor + extra;
    });
  };
  Tensors t;
  std::vector<TensorView> tensors{t.add(DType::f32, {77}), t.add(DType::f32, {77})};
  EXPECT_NO_THROW(verified(module_of(scaled(0), tensors), tensors, {}, {0.3}));
  EXPECT_THROW(verified(miscompiled(scaled(0), scaled(0.1), tensors), tensors, {}, {0.3}), VerifyError);
}

TEST(Program, AKernelInStagesIsOneCallAndItsWorkIsAskedForEachTime) {
  Tensors t;
  std::vector<TensorView> tensors{t.add(DType::f32, {9, 300}), t.add(DType::f32, {300, 21}),
                                  t.add(DType::f32, {9, 21})};
  ModulePtr m = module_of(product(1), tensors, {.split = {{"k", 4}}});
  ASSERT_EQ(m->kernel().stages.size(), 2u);
  Program p(device());
  double bytes = 0;
  p.add(m, tensors, {}, "split", [&] { return Work{++bytes, 10}; });
  p.add(m, tensors, {}, "split", Work{100, 0});
  EXPECT_EQ(p.calls(), 2u);
  EXPECT_EQ(p.launches(), 4u);
  p.run();
  EXPECT_EQ(bytes, 0);
  p.profile(true);
  for (int i = 0; i < 3; ++i) p.run();
  auto times = p.times();
  ASSERT_EQ(times.size(), 1u);
  EXPECT_EQ(times[0].name, "split");
  EXPECT_EQ(times[0].calls, 6);
  EXPECT_EQ(times[0].work.bytes, 1 + 2 + 3 + 300);
  EXPECT_EQ(times[0].work.flops, 30);
  EXPECT_GT(times[0].seconds, 0);
  EXPECT_GT(times[0].grid, 0);
}

TEST(Program, TensorsThatAreOnlyAskedForTheirSize) {
  Kernel filled("filled", {"Like", "Y"}, [](Tensor<f32> Like, Tensor<f32> Y) {
    Range i = parallel("i", Like.dim(1));
    Y(i) = fill(7, i);
  });
  Tensors t;
  TensorView like{DType::f32, nullptr, {3, 10}, {10, 1}}, y = t.add(DType::f32, {12});
  Signature sig = signature_of(std::vector{like, y});
  for (bool known : {true, false}) {
    if (!known) sig[0].extents[1].reset();
    std::fill_n(static_cast<float*>(y.data), 12, 0.0f);
    Program p(device());
    p.add(device()->load(compile(filled, sig, {}, device()->target())), {like, y});
    p.verify_next_run();
    EXPECT_NO_THROW(p.run());
    EXPECT_EQ(static_cast<float*>(y.data)[9], 7);
    EXPECT_EQ(static_cast<float*>(y.data)[10], 0);
  }
  sig[0] = {DType::f32, {3}, {1}};
  const std::string text = error_of([&] { compile(filled, sig, {}, device()->target()); });
  EXPECT_THAT(text, HasSubstr("program_test.cpp:"));
  EXPECT_THAT(text, HasSubstr("dim(1) of tensor 'Like'"));
  EXPECT_THAT(text, HasSubstr("compiled for one of 1 dimensions"));
}

TEST(Device, ViewsThatDoNotFit) {
  BufferPtr b = device()->allocate(100);
  EXPECT_NO_THROW(b->view(DType::f32, {25}));
  EXPECT_NO_THROW(b->view(DType::f32, {0, 1 << 30}));
  EXPECT_THROW(b->view(DType::f32, {26}), Error);
  EXPECT_THROW(b->view(DType::f32, {25}, 1), Error);
  EXPECT_THROW(b->view(DType::f32, {1}, -1), Error);
  EXPECT_THROW(b->view(DType::f32, {-5, -5}), Error);
  EXPECT_THROW(b->view(DType::f32, {int64_t{1} << 32, int64_t{1} << 32}), Error);
  EXPECT_THROW(b->view(DType::f32, {1}, std::numeric_limits<int64_t>::max()), Error);
}
TEST(Device, MoreMemoryThanThereIs) {
  for (size_t bytes : {std::numeric_limits<size_t>::max(), size_t{1} << 60})
    EXPECT_THROW(device()->allocate(bytes), Error);
}
TEST(Device, TheListSaysWhatCanBeOpened) {
  auto all = Device::list();
  ASSERT_FALSE(all.empty());
  for (const DeviceInfo& d : all) {
    EXPECT_EQ(identity_of(Device::open(d.name, {.threads = 1, .level = {}})->target()), d.target);
    EXPECT_GT(d.cpus + d.compute_units, 0);
    EXPECT_GT(d.memory_bytes, uint64_t{1} << 20);
  }
}

}  // namespace
}  // namespace wavetile
