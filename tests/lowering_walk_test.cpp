// Ranges too long for the registers, walked in pieces: what a kernel loads, it loads again where it is needed, and sees
// no store that comes later there.
#include <gtest/gtest.h>

#include "dsl/interpret.h"
#include "runtime/device.h"
#include "runtime/program.h"
#include "tests/support/errors.h"
#include "tests/support/run_kernel.h"

namespace wavetile {
namespace {

constexpr Known open{false, Known::innermost, false};
constexpr int64_t columns = 2503;

HostTensor rows() { return random_tensor(DType::f32, {2, columns}); }
HostTensor sums() { return output(DType::f32, {2}); }

TEST(LoweringWalk, ReductionOfWhatIsOverwritten) {
  Kernel k("overwrite", {"T", "S"}, [](Tensor<f32> T, Tensor<f32> S) {
    Range r = parallel("row", T.dim(0)), c = whole("col", T.dim(1));
    Tile x = T(r, c);
    T(r, c) = x + 100;
    S(r) = sum(x, c);
  });
  check_everywhere(k, {}, {rows(), sums()}, summation(columns, 3), {}, open);
}

TEST(LoweringWalk, ReductionsBetweenTwoStores) {
  Kernel k("twice", {"T", "S", "U"}, [](Tensor<f32> T, Tensor<f32> S, Tensor<f32> U) {
    Range r = parallel("row", T.dim(0)), c = whole("col", T.dim(1));
    Tile x = T(r, c);
    T(r, c) = x + 100;
    S(r) = sum(x, c);
    Tile y = T(r, c);
    T(r, c) = y * 2;
    U(r) = sum(y, c);
  });
  check_everywhere(k, {}, {rows(), sums(), sums()}, summation(columns, 300), {}, open);
}

// What a kernel stores anywhere in a row comes after what it stored to the whole of it.
TEST(LoweringWalk, StoresToOneTensorKeepTheirOrder) {
  Kernel k("corner", {"X", "Y", "S"}, [](Tensor<f32> X, Tensor<f32> Y, Tensor<f32> S) {
    Range r = parallel("row", X.dim(0)), c = whole("col", X.dim(1));
    Tile x = X(r, c);
    Y(r, c) = x;
    Tile s = sum(x, c);
    Y(r, 0) = s;
    S(r) = s;
  });
  check_everywhere(k, {}, {rows(), output(DType::f32, {2, columns}), sums()}, summation(columns, 3), {}, open);
}

// T has to be stored before its sum, Y must not be: X, which is needed afterwards, may have Y's memory.
TEST(LoweringWalk, StoresThatMayOverwriteAnInputWait) {
  Kernel k("wait", {"X", "T", "Z", "Y"}, [](Tensor<f32> X, Tensor<f32> T, Tensor<f32> Z, Tensor<f32> Y) {
    Range r = parallel("row", X.dim(0)), c = whole("col", X.dim(1));
    Tile x = X(r, c);
    Y(r, c) = x * 3;
    T(r, c) += 1;
    Z(r, c) = x + sum(T(r, c), c);
  });
  std::vector<HostTensor> want{rows(), rows(), output(DType::f32, {2, columns}), output(DType::f32, {2, columns})};
  check_everywhere(k, {}, want, summation(columns, 5), {}, open);
  std::vector<HostTensor> got = want;
  std::vector<TensorView> apart, in_place;
  for (HostTensor& t : want) apart.push_back(t.view());
  for (HostTensor& t : got) in_place.push_back(t.view());
  in_place[3] = in_place[0];
  interpret(k.graph(), apart, {}, {});
  const DevicePtr cpu = Device::open("cpu");
  Program p(cpu);
  p.add(cpu->load(compile(k, signature_of(in_place), {}, cpu->target())), in_place);
  p.run();
  got[3] = got[0];
  for (size_t i = 1; i < 4; ++i)
    for (int64_t e = 0; e < got[i].elements(); ++e)
      ASSERT_TRUE(within(DType::f32, got[i].get(e), want[i].get(e), summation(columns, 5)))
          << k.name() << " tensor " << i;
}

// A loop stores to the row, and its next step needs what was read before the loop: only registers could hold that.
TEST(LoweringWalk, LoopsThatOverwriteWhatTheyNeed) {
  int loaded = 0, stored = 0;
  Kernel k("loop", {"T", "S"}, [&](Tensor<f32> T, Tensor<f32> S) {
    Range r = parallel("row", T.dim(0)), c = whole("col", T.dim(1));
    loaded = __LINE__ + 1;
    Tile x = T(r, c);
    S(r) = repeat(3, fill(0, r), [&](Scalar, Tile s) {
      stored = __LINE__ + 1;
      T(r, c) = x + sum(x, c);
      return s + sum(x, c);
    });
  });
  std::vector<HostTensor> tensors{rows(), sums()};
  for (const Machine& m : machines())
    expect(error_of([&] { run_on(m, k, {}, tensors); }), loaded,
           {"'T' read here after", at(stored), "'col' is too long"});
}

TEST(LoweringWalk, PartsThatNeedWhatIsStoredBefore) {
  int loaded = 0, stored = 0;
  Kernel k("parts", {"X", "T", "Y"}, [&](Tensor<f32> X, Tensor<f32> T, Tensor<f32> Y) {
    Range r = parallel("row", X.dim(0));
    stored = __LINE__ + 1;
    T(r) = exp(T(r));
    loaded = __LINE__ + 1;
    Tile t = T(r);
    Y(r) = fold(serial("k", X.dim(1)), fill(0, r), [=](Range k, Tile acc) { return acc + sum(X(r, k) * t, k); });
  });
  std::vector<HostTensor> tensors{rows(), random_tensor(DType::f32, {2}), sums()};
  for (const Machine& m : machines())
    expect(error_of([&] {
             run_on(m, k, {.split = {{"k", 2}}}, tensors);
           }),
           loaded, {"splits range 'k'", "'T' read here after", at(stored)});
}

}  // namespace
}  // namespace wavetile
