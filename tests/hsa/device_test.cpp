// The HSA device on the emulator: memory, launches in order, full queues, and how failures are told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "runtime/compiler.h"
#include "runtime/device.h"
#include "runtime/program.h"
#include "tests/hsa/device_fixture.h"

namespace wavetile {
namespace {

using testing::HasSubstr;

class Hsa : public OnTheEmulator, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    setenv("WAVETILE_EMULATOR", (std::string(GetParam()) + ",checks").c_str(), 1);
    device_ = Device::open("hsa:emulated");
  }
};
INSTANTIATE_TEST_SUITE_P(Chips, Hsa, testing::Values("gfx1151", "gfx1100", "gfx942"),
                         [](const auto& info) { return std::string(info.param); });

Kernel add_kernel() {
  return Kernel("vector_add", {"A", "B", "C"}, [](Tensor<f32> A, Tensor<f32> B, Tensor<f32> C) {
    Range i = parallel("i", A.dim(0));
    C(i) = A(i) + B(i);
  });
}

TEST_P(Hsa, AddsVectors) {
  std::vector<float> a, b;
  for (int i = 0; i < 1000; ++i) {
    a.push_back(static_cast<float>(i));
    b.push_back(static_cast<float>(i * i));
  }
  std::vector<TensorView> t{tensor(a), tensor(b), tensor(std::vector<float>(1000))};
  Program p(device_);
  p.add(load(add_kernel(), t), t);
  p.run();
  const std::vector<float> c = floats(2, 1000);
  for (size_t i = 0; i < 1000; ++i) ASSERT_EQ(c[i], a[i] + b[i]) << i;
}

TEST_P(Hsa, BuffersAreZeroAlignedAndReadableBehindTheirEnd) {
  for (size_t bytes : {0, 1, 63, 4096, 100'001}) {
    BufferPtr b = device_->allocate(bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(b->address()) % 64, 0u);
    EXPECT_EQ(b->bytes(), bytes);
    std::vector<char> read(bytes, 1);
    device_->read(read.data(), *b, 0, bytes);
    EXPECT_EQ(read, std::vector<char>(bytes));
    EXPECT_THAT(error_of([&] { device_->write(*b, 1, "12", bytes); }),
                bytes ? HasSubstr("leaves a buffer") : HasSubstr(""));
  }
  EXPECT_THAT(error_of([&] { device_->allocate(size_t{1} << 50); }), HasSubstr("the allocation of a buffer"));
}

// An APU reads the host's own memory; a card's copies go through memory that is locked, whatever their size.
TEST_P(Hsa, HostMemoryIsLocked) {
  alignas(64) float a[80] = {};
  std::fill(a, a + 64, 1.5F);
  const BufferPtr borrowed = device_->borrow(a, 64 * 4);
  EXPECT_EQ(borrowed != nullptr, device_->info().shares_memory);
  EXPECT_EQ(device_->info().shares_memory, device_->info().target.find("gfx1151") != std::string::npos);
  EXPECT_THAT(error_of([&] { device_->borrow(a + 1, 4); }), HasSubstr("not 64-byte aligned"));
  if (borrowed) {
    const TensorView in = borrowed->view(DType::f32, {64}), out = tensor(std::vector<float>(64));
    Program p(device_);
    p.add(load(add_kernel(), {in, in, out}), {in, in, out});
    p.run();
    EXPECT_EQ(floats(0, 64), std::vector<float>(64, 3));
  }
  for (size_t count : {1, 5, (1 << 18) + 3, (3 << 18) + 1}) {
    std::vector<float> values(count);
    for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i % 9973);
    tensor(values);
    EXPECT_EQ(floats(buffers_.size() - 1, count), values);
  }
}

// More launches than a queue has packets, each of which needs the result of the one before; the host reads and writes
// in between.
TEST_P(Hsa, LaunchesAreInOrderHoweverMany) {
  std::vector<TensorView> t{tensor(std::vector<float>{1}), tensor(std::vector<float>{1}),
                            tensor(std::vector<float>{0})};
  const ModulePtr m = load(add_kernel(), t);
  const std::unique_ptr<Queue> queue = device_->queue();
  auto address = [&](size_t i) { return reinterpret_cast<intptr_t>(t[i].data); };
  for (int round = 1; round <= 2; ++round) {
    for (int i = 0; i < 1500; ++i) {  // a = a + b, by way of c
      for (auto [from, to] : {std::pair<size_t, size_t>{0, 2}, {2, 0}}) {
        const int64_t slots[] = {address(from), 1, 1, address(1), 1, 1, address(to), 1, 1};
        queue->launch(*m, 0, slots, 1);
      }
    }
    queue->wait();
    EXPECT_EQ(floats(0, 1)[0], static_cast<float>(1 + 3000 * round));
  }
}

TEST_P(Hsa, AKernelThatFaultsIsNamed) {
  std::vector<TensorView> t{tensor(std::vector<float>(64)), tensor(std::vector<float>(64)),
                            tensor(std::vector<float>(64))};
  const ModulePtr m = load(add_kernel(), t);
  std::unique_ptr<Queue> queue = device_->queue();
  testing::internal::CaptureStderr();
  auto launch = [&](int64_t a) {
    const int64_t slots[] = {
        a, 64, 1, reinterpret_cast<intptr_t>(t[1].data), 64, 1, reinterpret_cast<intptr_t>(t[2].data), 64, 1};
    queue->launch(*m, 0, slots, 1);
  };
  launch(reinterpret_cast<intptr_t>(t[0].data));
  launch(4096);
  const std::string text = error_of([&] { queue->wait(); });
  EXPECT_THAT(text, HasSubstr("kernel 'vector_add' (launch 2 of 2) was stopped"));
  EXPECT_EQ(error_of([&] { launch(4096); }), text);  // the queue is of no use any more
  queue.reset();
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("out-of-bounds"));
  farewell_ = "libhsa-runtime64: 1 reports on kernels\n";
  Program p(device_);  // another one is
  p.add(m, t);
  p.run();
}

TEST_P(Hsa, AKernelThatHangsIsNamed) {
  const Kernel spin("spin", {"X", "Y"}, [](Tensor<f32> X, Tensor<f32> Y) {
    Range i = parallel("i", X.dim(0));
    Y(i) = repeat(0x7fffffff, X(i), [](Scalar, Tile x) { return x * 1.5 + 1; });
  });
  device_ = Device::open("hsa:emulated", {.threads = 0, .level = {}, .patience = 0.5});
  std::vector<TensorView> t{tensor(std::vector<float>(64)), tensor(std::vector<float>(64))};
  Program p(device_);
  p.add(load(spin, t), t);
  EXPECT_THAT(error_of([&] { p.run(); }), HasSubstr("nothing was finished for 0.5 s by kernel 'spin' (launch 1 of 1)"));
}

TEST(HsaNames, DevicesThatAreNotThere) {
  setenv("WAVETILE_EMULATOR", "gfx1151", 1);
  EXPECT_THAT(error_of([] { Device::open("hsa:x"); }), HasSubstr("there is no device 'hsa:x'"));
  setenv("WAVETILE_HSA_LIBRARY", "/nonexistent/library.so", 1);
  EXPECT_THAT(error_of([] { Device::open("hsa"); }), HasSubstr("install ROCm"));
  EXPECT_THAT(error_of([] { Device::open("hsa:1"); }), HasSubstr("--device hsa:emulated"));
  EXPECT_THAT(Device::diagnose(), HasSubstr("hsa: AMD's HSA runtime"));
  EXPECT_THAT(Device::diagnose(), HasSubstr("hsa:emulated: AMD Radeon"));
}

}  // namespace
}  // namespace wavetile
