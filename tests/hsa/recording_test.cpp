// Programs as recorded packets: the results of launches one by one, with fewer calls of the runtime, in queues and
// argument blocks that are smaller than the program; and what they ask of the packet processor.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <random>
#include <utility>

#include "runtime/compiler.h"
#include "runtime/hazards.h"
#include "runtime/hsa_device.h"
#include "runtime/hsa_system.h"
#include "runtime/hsa_values.h"
#include "runtime/program.h"
#include "tests/hsa/counting_api.h"

namespace wavetile {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

struct Header {
  int type, waits, acquire, release;
  bool operator==(const Header&) const = default;
};
constexpr int kKernel = HSA_PACKET_TYPE_KERNEL_DISPATCH, kBarrier = HSA_PACKET_TYPE_BARRIER_AND,
              kNone = HSA_FENCE_SCOPE_NONE, kAgent = HSA_FENCE_SCOPE_AGENT, kSystem = HSA_FENCE_SCOPE_SYSTEM;
std::vector<Header> headers() {
  std::vector<Header> all;
  for (const auto& p : Counted::packets)
    all.push_back({p.header & 0xff, p.header >> HSA_PACKET_HEADER_BARRIER & 1,
                   p.header >> HSA_PACKET_HEADER_SCACQUIRE_FENCE_SCOPE & 3,
                   p.header >> HSA_PACKET_HEADER_SCRELEASE_FENCE_SCOPE & 3});
  return all;
}
std::vector<uint64_t> signals() {  // of kernels
  std::vector<uint64_t> all;
  for (const auto& p : Counted::packets)
    if ((p.header & 0xff) == kKernel) all.push_back(p.completion_signal.handle);
  return all;
}

class Recorded : public testing::Test {
 protected:
  void SetUp() override {
    setenv("WAVETILE_EMULATOR", "gfx1100,checks", 1);
    open({});
  }
  void TearDown() override {
    buffers_.clear();
    add_.reset();
    testing::internal::CaptureStderr();
    device_.reset();
    EXPECT_EQ(testing::internal::GetCapturedStderr(), farewell_);
  }
  void open(const DeviceOptions& options, std::shared_ptr<const hsa::Api> api = Counted::api()) {
    device_.reset();
    device_ = open_hsa(hsa::System::open(std::move(api)), "hsa:emulated", options);
  }

  TensorView tensor(const std::vector<float>& values) {
    buffers_.push_back(device_->allocate(values.size() * 4));
    device_->write(*buffers_.back(), 0, values.data(), values.size() * 4);
    return buffers_.back()->view(DType::f32, {static_cast<int64_t>(values.size())});
  }
  float first(size_t buffer) {
    float x = 0;
    device_->read(&x, *buffers_[buffer], 0, 4);
    return x;
  }
  ModulePtr load(const Kernel& k, const std::vector<TensorView>& tensors) {
    return device_->load(compile(k, signature_of(tensors), {}, device_->target()));
  }
  // c = a + b, then a = c + b, and so on: each call needs what the one before it stored.
  Program chain(int calls, std::shared_ptr<Queue> queue = nullptr) {
    if (buffers_.empty())
      for (float x : {0.F, 1.F, 0.F}) tensors_.push_back(tensor({x}));
    if (!add_) add_ = load(add_kernel(), tensors_);
    Program p(device_, std::move(queue));
    for (int i = 0; i < calls; ++i) p.add(add_, {tensors_[i % 2 ? 2 : 0], tensors_[1], tensors_[i % 2 ? 0 : 2]});
    return p;
  }
  static Kernel add_kernel() {
    return Kernel("add", {"A", "B", "C"}, [](Tensor<f32> A, Tensor<f32> B, Tensor<f32> C) {
      Range i = parallel("i", A.dim(0));
      C(i) = A(i) + B(i);
    });
  }

  DevicePtr device_;
  std::vector<BufferPtr> buffers_;
  std::vector<TensorView> tensors_;
  ModulePtr add_;
  std::string farewell_;  // what the emulator has to say at the end
};

TEST_F(Recorded, RunsAsLaunchesDoWithOneDoorbellAndOneSignal) {
  Program p = chain(100);
  p.run();
  EXPECT_EQ(first(0), 100);
  Counted::forget();
  p.run();
  EXPECT_EQ(Counted::doorbells(), 1);
  EXPECT_EQ(Counted::total_but_waits(), 4) << "the write index, and once more for the last packet; signal, doorbell";
  EXPECT_THAT(signals(), Each(0u));
  EXPECT_EQ(Counted::packets.size(), 101u);
  EXPECT_NE(Counted::packets.back().completion_signal.handle, 0u);
  EXPECT_EQ(first(0), 200);

  const std::unique_ptr<Queue> queue = device_->queue();
  auto address = [&](size_t i) { return reinterpret_cast<intptr_t>(tensors_[i].data); };
  Counted::forget();
  for (int i = 0; i < 100; ++i) {
    const int64_t slots[] = {address(i % 2 ? 2 : 0), 1, 1, address(1), 1, 1, address(i % 2 ? 0 : 2), 1, 1};
    queue->launch(*add_, 0, slots, 1);
  }
  queue->wait();
  EXPECT_EQ(Counted::doorbells(), 101);
  EXPECT_EQ(Counted::total_but_waits(), 203);
  EXPECT_EQ(first(0), 300);
}

// The queue has 1024 packets, its block of arguments half a megabyte, and a call's arguments take 128 bytes.
TEST_F(Recorded, ProgramsLongerThanTheQueueAndItsArguments) {
  Program p = chain(5000);
  for (int round = 1; round <= 2; ++round) {
    Counted::forget();
    p.run();
    EXPECT_EQ(first(0), static_cast<float>(5000 * round));
    EXPECT_EQ(Counted::doorbells(), 5);
  }
}

TEST_F(Recorded, WrapsAroundTheRingBesideLaunches) {
  const std::shared_ptr<Queue> queue = device_->queue();
  Program some = chain(700, queue), more = chain(400, queue);
  auto address = [&](size_t i) { return reinterpret_cast<intptr_t>(tensors_[i].data); };
  float want = 0;
  for (int round = 0; round < 7; ++round) {
    some.start();  // the second fills the queue, and waits for the first
    for (int i = 0; i < 2; ++i) {
      const int64_t slots[] = {address(i ? 2 : 0), 1, 1, address(1), 1, 1, address(i ? 0 : 2), 1, 1};
      queue->launch(*add_, 0, slots, 1);
    }
    more.run();
    want += 1102;
    ASSERT_EQ(first(0), want) << round;
  }
}

// A launch's arguments stay as they are although the block that holds them is used again and again.
TEST_F(Recorded, LaunchesWithMoreArgumentsThanTheirBlockHolds) {
  const Kernel wide("wide", {"A", "B", "C", "D", "E", "F", "G", "H"},
                    [](Tensor<f32> A, Tensor<f32> B, Tensor<f32> C, Tensor<f32> D, Tensor<f32> E, Tensor<f32> F,
                       Tensor<f32> G, Tensor<f32> H) {
                      Range i = parallel("i", A.dim(0));
                      auto at = [&](Tensor<f32>& t) -> Tile { return t(0, 0, 0, i); };
                      H(0, 0, 0, i) = at(A) + at(B) + at(C) + at(D) + at(E) + at(F) + at(G);
                    });
  std::vector<TensorView> t;
  std::vector<int64_t> slots;
  for (float x : {0.F, 1.F, 0.F, 0.F, 0.F, 0.F, 0.F, 0.F}) {
    t.push_back(tensor({x}));
    t.back() = {DType::f32, t.back().data, {1, 1, 1, 1}, {1, 1, 1, 1}};
    slots.push_back(reinterpret_cast<intptr_t>(t.back().data));
    slots.insert(slots.end(), 8, 1);
  }
  const ModulePtr m = load(wide, t);
  const std::unique_ptr<Queue> queue = device_->queue();
  for (int i = 0; i < 2000; ++i) {
    queue->launch(*m, 0, slots, 1);
    std::swap(slots[0], slots[7 * 9]);
  }
  queue->wait();
  EXPECT_EQ(first(0), 2000);
}

TEST_F(Recorded, OnlyWhatDependsOnAnotherWaits) {
  std::vector<TensorView> t;
  for (float x : {1.F, 2.F, 0.F, 0.F, 0.F}) t.push_back(tensor(std::vector<float>(70, x)));
  const ModulePtr m = load(add_kernel(), {t[0], t[1], t[2]});
  Program p(device_);
  p.add(m, {t[0], t[1], t[2]});
  p.add(m, {t[0], t[1], t[3]});  // beside the first
  p.add(m, {t[2], t[3], t[4]});  // reads both
  p.add(m, {t[0], t[1], t[2]});  // overwrites what the third reads
  p.run();
  EXPECT_EQ(first(4), 6);
  EXPECT_THAT(headers(), ElementsAre(Header{kKernel, 1, kSystem, kAgent}, Header{kKernel, 0, kNone, kAgent},
                                     Header{kKernel, 1, kAgent, kAgent}, Header{kKernel, 1, kAgent, kAgent},
                                     Header{kBarrier, 1, kNone, kSystem}));
}

TEST_F(Recorded, ProfilesByTheDevicesClock) {
  Program p = chain(3000);
  p.profile(true);
  const auto start = std::chrono::steady_clock::now();
  p.run();
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const CallTimes t = p.times().at(0);
  EXPECT_TRUE(t.device_clock);
  EXPECT_EQ(t.calls, 3000);
  EXPECT_GT(t.seconds, 0);
  EXPECT_LT(t.seconds, wall);
  EXPECT_THAT(signals(), Each(testing::Ne(0u)));
  EXPECT_EQ(Counted::calls["hsa_amd_profiling_get_dispatch_time"], 3000);
  p.profile(false);
  Counted::forget();
  p.run();
  EXPECT_THAT(signals(), Each(0u));
  EXPECT_EQ(Counted::calls["hsa_amd_profiling_get_dispatch_time"], 0);
  EXPECT_EQ(p.times().at(0).calls, 3000);
  EXPECT_EQ(first(0), 6000);
}

TEST_F(Recorded, ProfilesByTheHostsClockWhereTheAgentHasNone) {
  auto api = Counted::api();
  api->hsa_agent_get_info = [](hsa_agent_t a, hsa_agent_info_t what, void* value) {
    const hsa_status_t s = Counted::real.hsa_agent_get_info(a, what, value);
    if (what == static_cast<hsa_agent_info_t>(hsa::kAgentInfoTimestampFrequency)) std::memset(value, 0, 8);
    return s;
  };
  open({}, api);
  Program p = chain(5);
  p.profile(true);
  p.run();
  const CallTimes t = p.times().at(0);
  EXPECT_FALSE(t.device_clock);
  EXPECT_EQ(t.calls, 5);
  EXPECT_GT(t.seconds, 0);
  EXPECT_EQ(Counted::calls["hsa_amd_profiling_get_dispatch_time"], 0);
}

TEST_F(Recorded, TheCallThatHangsIsNamed) {
  const Kernel spin("spin", {"X", "Y"}, [](Tensor<f32> X, Tensor<f32> Y) {
    Range i = parallel("i", X.dim(0));
    Y(i) = repeat(0x7fffffff, X(i), [](Scalar, Tile x) { return x * 1.5 + 1; });
  });
  open({.threads = 0, .level = {}, .patience = 0.5});
  Program p = chain(5);
  p.add(load(spin, {tensors_[0], tensors_[2]}), {tensors_[0], tensors_[2]}, {}, "the spinning call");
  p.add(add_, tensors_);
  EXPECT_THAT(error_of([&] { p.run(); }), HasSubstr("nothing was finished for 0.5 s by kernel 'spin' (launch 6 of 7)"));
}

TEST_F(Recorded, TheCallThatFaultsIsNamed) {
  Program p = chain(3);
  p.add(add_, {tensors_[0], {DType::f32, reinterpret_cast<void*>(4096), {1}, {1}}, tensors_[2]});
  p.add(add_, tensors_);
  testing::internal::CaptureStderr();
  const std::string text = error_of([&] { p.run(); });
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("out-of-bounds"));
  EXPECT_THAT(text, HasSubstr("kernel 'add' (launch 4 of 5) was stopped: "));
  EXPECT_EQ(error_of([&] { p.run(); }), text);
  farewell_ = "libhsa-runtime64: 1 reports on kernels\n";
}

TEST_F(Recorded, NothingToRun) {
  Program p(device_);
  p.run();
  std::vector<TensorView> t{tensor({1}), tensor({1}), tensor({0})};
  for (TensorView& v : t) v.extents = {0};
  p.add(load(add_kernel(), t), t);
  p.run();
  EXPECT_EQ(p.launches(), 0u);
  EXPECT_EQ(Counted::doorbells(), 0);
}

// Against the definition: launches between two that wait never meet, and none waits without one before it to meet.
TEST(Hazards, RandomListsOfLaunches) {
  std::mt19937_64 random(1);
  auto number = [&](int below) { return static_cast<uintptr_t>(random() % static_cast<uint64_t>(below)); };
  for (int list = 0; list < 300; ++list) {
    Hazards hazards;
    std::vector<std::vector<Touched>> since;
    for (int i = 0; i < 30; ++i) {
      std::vector<Touched> launch;
      for (uintptr_t n = 1 + number(3); n > 0; --n) {
        const uintptr_t begin = number(60);
        launch.push_back({begin, begin + number(6), number(3) == 0});
      }
      bool meets = since.empty();
      for (const auto& before : since)
        for (const Touched& a : before)
          for (const Touched& b : launch)
            for (uintptr_t byte = a.begin; byte < a.end; ++byte)
              meets |= (a.written || b.written) && byte >= b.begin && byte < b.end;
      ASSERT_EQ(hazards.waits(launch), meets) << "list " << list << ", launch " << i;
      if (meets) since.clear();
      since.push_back(launch);
    }
  }
}

}  // namespace
}  // namespace wavetile
