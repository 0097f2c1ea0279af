// Kernels that a launch lets work in place, with all of the emulator's checks: what one lane loads, no other may have
// stored. Extents leave blocks at the edge, and few enough columns that warps hold the same elements.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "dsl/interpret.h"
#include "kernels/kernels.h"
#include "kernels/schedules.h"
#include "runtime/device.h"
#include "runtime/program.h"
#include "tests/support/run_kernel.h"

namespace wavetile {
namespace {

class InPlace : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    // A report, or anything that is left at the end, makes the process fail.
    setenv("WAVETILE_EMULATOR", (std::string(GetParam()) + ",checks,strict").c_str(), 1);
    device_ = Device::open("hsa:emulated");
  }

  static constexpr size_t none = 99;
  // The last tensor takes the memory of `tensors[with]`.
  void check(const Kernel& k, Schedule s, const std::vector<HostTensor>& tensors, size_t with) {
    std::vector<HostTensor> want = tensors;
    std::vector<TensorView> views;
    for (HostTensor& t : want) views.push_back(t.view());
    interpret(k.graph(), views, {}, {});
    for (int warps : {1, 2, 4}) {
      SCOPED_TRACE(k.name() + " with " + std::to_string(warps) + " warps");
      s.warps = warps;
      std::vector<BufferPtr> buffers;
      for (size_t i = 0; i < tensors.size(); ++i) {
        const HostTensor& t = tensors[i];
        if (i + 1 == tensors.size() && with != none) {
          views[i].data = views[with].data;
          break;
        }
        buffers.push_back(device_->allocate(t.bytes.size()));
        device_->write(*buffers[i], 0, t.bytes.data(), t.bytes.size());
        views[i].data = buffers[i]->address();
      }
      Program p(device_);
      p.add(device_->load(compile(k, signature_of(views), s, device_->target())), views);
      p.run();
      for (size_t i = 0; i < tensors.size(); ++i) {
        HostTensor got = tensors[i];
        const HostTensor& expected = want[i == with ? tensors.size() - 1 : i];
        device_->read(got.bytes.data(), *buffers[std::min(i, buffers.size() - 1) == i ? i : with], 0, got.bytes.size());
        for (int64_t e = 0; e < got.elements(); ++e)
          ASSERT_TRUE(within(got.dtype, got.get(e), expected.get(e), {1e-5, 1e-5}))
              << "tensor " << i << ", element " << e << ": " << got.get(e) << ", not " << expected.get(e);
      }
    }
  }
  HostTensor x(std::vector<int64_t> extents) { return random_tensor(DType::f32, std::move(extents)); }
  HostTensor y(std::vector<int64_t> extents) { return output(DType::f32, std::move(extents)); }

  DevicePtr device_;
};
INSTANTIATE_TEST_SUITE_P(Chips, InPlace, testing::Values("gfx1151", "gfx1100", "gfx942"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(InPlace, Library) {
  const Caps& caps = caps_of(device_->target());
  const int64_t m = 9, n = 131, k = 37;
  check(kernels::linear_residual(DType::f32), kernels::matmul_schedule(caps, DType::f32, m, n, k),
        {x({m, k}), x({k, n}), x({n}), x({m, n}), y({m, n})}, 3);
  check(kernels::gemv_residual(DType::f32), kernels::gemv_schedule(caps, DType::f32),
        {x({k}), x({k, n}), x({n}), x({n}), y({n})}, 3);
  check(kernels::gelu(), {}, {x({m, n}), y({m, n})}, 0);
  check(kernels::add(), {}, {x({m, n}), x({m, n}), y({m, n})}, 1);
  for (int64_t columns : {int64_t{5}, n, int64_t{771}}) {
    check(kernels::softmax(), kernels::rows_schedule(caps), {x({m, columns}), y({m, columns})}, 0);
    check(kernels::layernorm(), kernels::rows_schedule(caps),
          {x({m, columns}), x({columns}), x({columns}), y({m, columns})}, 0);
  }
}

// Every warp holds all of x, and one of them stores it while the others may not have read it yet.
TEST_P(InPlace, WarpsThatHoldTheSame) {
  const Kernel outer("outer", {"X", "W", "Z", "Y"}, [](Tensor<f32> X, Tensor<f32> W, Tensor<f32> Z, Tensor<f32> Y) {
    Range r = parallel("r", X.dim(0)), c = whole("c", W.dim(0));
    Tile t = X(r);
    Y(r) = t + 1;
    Z(r, c) = t * W(c);
  });
  check(outer, {.tile = {{"r", 4}}}, {x({11}), x({300}), y({11, 300}), y({11})}, 0);
}

// What the kernel itself stored comes back to other lanes and warps.
TEST_P(InPlace, StoredAndLoadedAgain) {
  const Kernel twice("twice", {"X", "B", "C", "T"}, [](Tensor<f32> X, Tensor<f32> B, Tensor<f32> C, Tensor<f32> T) {
    Range m = parallel("m", X.dim(0)), k = whole("k", X.dim(1)), n = whole("n", B.dim(1));
    T(m, k) = exp(X(m, k));
    C(m, n) = dot(T(m, k), B(k, n), k);
  });
  check(twice, {.tile = {{"m", 4}}}, {x({11, 37}), x({37, 70}), y({11, 70}), y({11, 37})}, none);
}

}  // namespace
}  // namespace wavetile
