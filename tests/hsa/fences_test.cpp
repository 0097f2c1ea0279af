// The fence scopes of the queue's packets are all needed, and the emulator's checks miss each that is taken out: of
// launches that need each other, of the first after the host wrote, and of what ends a wait.
#include <gmock/gmock.h>

#include "runtime/hsa_device.h"
#include "runtime/hsa_system.h"
#include "runtime/program.h"
#include "tests/hsa/device_fixture.h"

namespace wavetile {
namespace {

using testing::HasSubstr;

constexpr int kAcquire = HSA_PACKET_HEADER_SCACQUIRE_FENCE_SCOPE, kRelease = HSA_PACKET_HEADER_SCRELEASE_FENCE_SCOPE;

// Functions of the emulator, whose packets lose a scope that they have before the doorbell is rung.
struct Altered {
  static inline hsa::Api real;
  static inline hsa_queue_t* queue = nullptr;
  static inline uint64_t seen = 0;
  static inline hsa_packet_type_t type{};
  static inline int fence = 0, scope = 0, instead = 0;

  static void alter(uint16_t& header) {
    if ((header & 0xff) == type && (header >> fence & 3) == scope)
      header = static_cast<uint16_t>((header & ~(3 << fence)) | instead << fence);
  }
  static std::shared_ptr<hsa::Api> api() {
    real = *hsa::Api::load(true);
    auto api = std::make_shared<hsa::Api>(real);
    api->hsa_queue_create = [](hsa_agent_t a, uint32_t size, hsa_queue_type32_t kind,
                               void (*callback)(hsa_status_t, hsa_queue_t*, void*), void* data, uint32_t private_bytes,
                               uint32_t group_bytes, hsa_queue_t** to) {
      const hsa_status_t s = real.hsa_queue_create(a, size, kind, callback, data, private_bytes, group_bytes, to);
      queue = *to;
      seen = 0;
      return s;
    };
    api->hsa_signal_store_screlease = [](hsa_signal_t signal, hsa_signal_value_t value) {
      auto* packets = static_cast<hsa_kernel_dispatch_packet_t*>(queue->base_address);
      if (signal.handle == queue->doorbell_signal.handle)
        for (; seen <= static_cast<uint64_t>(value); ++seen) alter(packets[seen & (queue->size - 1)].header);
      real.hsa_signal_store_screlease(signal, value);
    };
    return api;
  }
};

class FenceScopes : public OnTheEmulator {
 protected:
  // What is reported of: the host writes, y = 2 x, z = 2 y, the host reads; twice.
  std::string reports(hsa_packet_type_t type, int fence, int scope, int instead) {
    Altered::type = type;
    Altered::fence = fence;
    Altered::scope = scope;
    Altered::instead = instead;
    setenv("WAVETILE_EMULATOR", "gfx1100,checks", 1);  // a card: the host copies by calls
    device_ = open_hsa(hsa::System::open(Altered::api()), "hsa:emulated", {});
    std::vector<TensorView> t;
    for (float x : {1.F, 0.F, 0.F}) t.push_back(tensor({x}));
    Kernel twice("twice", {"A", "C"}, [](Tensor<f32> A, Tensor<f32> C) {
      Range i = parallel("i", A.dim(0));
      C(i) = A(i) + A(i);
    });
    const std::vector<TensorView> first_call{t[0], t[1]}, second_call{t[1], t[2]};
    ModulePtr m = load(twice, first_call);
    testing::internal::CaptureStderr();
    {
      Program p(device_);
      p.add(m, first_call);
      p.add(m, second_call);
      for (float x : {1.F, 3.F}) {
        device_->write(*buffers_[0], 0, &x, 4);
        p.run();
        EXPECT_EQ(first(2), 4 * x);
      }
    }
    m.reset();
    buffers_.clear();
    device_.reset();
    return testing::internal::GetCapturedStderr();
  }
};

TEST_F(FenceScopes, AreEnough) { EXPECT_EQ(reports(HSA_PACKET_TYPE_KERNEL_DISPATCH, kAcquire, 0, 0), ""); }
TEST_F(FenceScopes, ALaunchThatWaitsAcquires) {
  EXPECT_THAT(reports(HSA_PACKET_TYPE_KERNEL_DISPATCH, kAcquire, HSA_FENCE_SCOPE_AGENT, HSA_FENCE_SCOPE_NONE),
              HasSubstr("that kernel twice stored, and no packet has acquired at the scope of the agent since"));
}
TEST_F(FenceScopes, ALaunchReleases) {
  EXPECT_THAT(reports(HSA_PACKET_TYPE_KERNEL_DISPATCH, kRelease, HSA_FENCE_SCOPE_AGENT, HSA_FENCE_SCOPE_NONE),
              HasSubstr("that kernel twice stored, and no packet has released it at the scope of the agent since"));
}
TEST_F(FenceScopes, TheFirstLaunchAcquiresWhatTheHostWrote) {
  EXPECT_THAT(reports(HSA_PACKET_TYPE_KERNEL_DISPATCH, kAcquire, HSA_FENCE_SCOPE_SYSTEM, HSA_FENCE_SCOPE_AGENT),
              HasSubstr("that the host wrote, and no packet has acquired at the scope of the system since"));
}
TEST_F(FenceScopes, TheEndOfAWaitReleasesToTheHost) {
  EXPECT_THAT(reports(HSA_PACKET_TYPE_BARRIER_AND, kRelease, HSA_FENCE_SCOPE_SYSTEM, HSA_FENCE_SCOPE_AGENT),
              HasSubstr("the host copies memory that kernel twice stored, and no packet has released it"));
}

}  // namespace
}  // namespace wavetile
