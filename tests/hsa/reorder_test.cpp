// Programs whose packets run in the least expected order that their barrier bits allow: the emulator's `reorder`.
#include <cstdlib>
#include <random>

#include "runtime/program.h"
#include "tests/hsa/device_fixture.h"

namespace wavetile {
namespace {

class Reordered : public OnTheEmulator {
 protected:
  static constexpr int64_t kLength = 70;
  void SetUp() override {
    setenv("WAVETILE_EMULATOR", "gfx1100,reorder", 1);
    device_ = Device::open("hsa:emulated");
    const Kernel add("add", {"A", "B", "C"}, [](Tensor<f32> A, Tensor<f32> B, Tensor<f32> C) {
      Range i = parallel("i", A.dim(0));
      C(i) = A(i) + B(i);
    });
    Signature sig(3, {DType::f32, {kLength}, {1}, 4});
    add_ = device_->load(compile(add, sig, {}, device_->target()));
  }
  void TearDown() override {
    add_.reset();
    OnTheEmulator::TearDown();
  }
  Launch launch(const TensorView& a, const TensorView& b, const TensorView& c, bool waits) const {
    Launch l{add_.get(), 0, {}, 1, waits};
    for (const TensorView& t : {a, b, c}) {
      l.slots.push_back(reinterpret_cast<intptr_t>(t.data));
      l.slots.insert(l.slots.end(), {kLength, 1});
    }
    std::vector<TensorView> all{a, b, c};
    l.grid = grid_of(add_->kernel().stages[0], all, {});
    return l;
  }

  ModulePtr add_;
};

// A launch that does not wait is done before the one before it has begun.
TEST_F(Reordered, WhatDoesNotWaitGoesFirst) {
  std::vector<TensorView> t;
  for (float x : {1.F, 2.F, 0.F, 0.F}) t.push_back(tensor(std::vector<float>(kLength, x)));
  const std::unique_ptr<Queue> queue = device_->queue();
  for (bool waits : {false, true}) {
    auto recording = queue->record({launch(t[0], t[1], t[2], true), launch(t[2], t[1], t[3], waits)});
    recording->run();
    queue->wait();
    EXPECT_EQ(first(2), 3);
    EXPECT_EQ(first(3), waits ? 5 : 2);
  }
}

// Calls on slices of one buffer, which meet in part or not at all.
TEST_F(Reordered, ProgramsWaitForWhatTheyNeed) {
  constexpr int64_t size = 400;
  std::mt19937_64 random(1);
  auto number = [&](int64_t lo, int64_t hi) { return std::uniform_int_distribution<int64_t>(lo, hi)(random); };
  for (int round = 0; round < 20; ++round) {
    std::vector<float> want(size);
    for (float& x : want) x = static_cast<float>(number(0, 9));
    tensor(want);
    Program p(device_);
    for (int call = 0; call < 30; ++call) {
      int64_t at[3];
      do
        for (int64_t& a : at) a = number(0, size - kLength);
      while (std::abs(at[2] - at[0]) < kLength || std::abs(at[2] - at[1]) < kLength);
      std::vector<TensorView> t;
      for (int64_t a : at) t.push_back(buffers_.back()->view(DType::f32, {kLength}, a));
      p.add(add_, t);
      for (int64_t i = 0; i < kLength; ++i) want[size_t(at[2] + i)] = want[size_t(at[0] + i)] + want[size_t(at[1] + i)];
    }
    p.run();
    ASSERT_EQ(floats(buffers_.size() - 1, size), want) << round;
  }
}

}  // namespace
}  // namespace wavetile
