// The emulator's functions, each call of which is counted, and whose packets are kept as they stand when the doorbell
// is rung: before the packet processor may take them.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/hsa_api.h"

namespace wavetile {

struct Counted {
  static inline hsa::Api real;
  static inline std::map<std::string, int> calls;
  static inline std::vector<hsa_kernel_dispatch_packet_t> packets;  // of all kinds
  static inline hsa_queue_t* queue = nullptr;                       // the one created last
  static inline uint64_t seen = 0;                                  // of its packets

  static void forget() {
    calls.clear();
    packets.clear();
  }
  /// How often a wait looks at the queue is a matter of time.
  static int total_but_waits() {
    int n = 0;
    for (const auto& [name, count] : calls)
      if (name != "hsa_signal_wait_scacquire" && name != "hsa_queue_load_read_index_scacquire") n += count;
    return n;
  }
  static int doorbells() { return calls["hsa_signal_store_screlease"]; }

  static std::shared_ptr<hsa::Api> api();

 private:
  template <class F>
  struct Wrap;
  template <class R, class... A>
  struct Wrap<R (*)(A...)> {
    template <R (*hsa::Api::*M)(A...), const char* Name>
    static R call(A... a) {
      ++calls[Name];
      return (real.*M)(a...);
    }
  };
#define WAVETILE_NAME(name) static constexpr char text_##name[] = #name;
  WAVETILE_HSA_FUNCTIONS(WAVETILE_NAME)
#undef WAVETILE_NAME
};

inline std::shared_ptr<hsa::Api> Counted::api() {
  real = *hsa::Api::load(true);
  auto api = std::make_shared<hsa::Api>(real);
#define WAVETILE_COUNT(name) api->name = Wrap<decltype(&::name)>::call<&hsa::Api::name, text_##name>;
  WAVETILE_HSA_FUNCTIONS(WAVETILE_COUNT)
#undef WAVETILE_COUNT
  api->hsa_queue_create = [](hsa_agent_t a, uint32_t size, hsa_queue_type32_t type,
                             void (*callback)(hsa_status_t, hsa_queue_t*, void*), void* data, uint32_t private_bytes,
                             uint32_t group_bytes, hsa_queue_t** to) {
    ++calls["hsa_queue_create"];
    const hsa_status_t s = real.hsa_queue_create(a, size, type, callback, data, private_bytes, group_bytes, to);
    queue = *to;
    seen = 0;
    return s;
  };
  api->hsa_signal_store_screlease = [](hsa_signal_t signal, hsa_signal_value_t value) {
    ++calls["hsa_signal_store_screlease"];
    if (queue && signal.handle == queue->doorbell_signal.handle)
      for (; seen <= static_cast<uint64_t>(value); ++seen)
        packets.push_back(static_cast<hsa_kernel_dispatch_packet_t*>(queue->base_address)[seen & (queue->size - 1)]);
    real.hsa_signal_store_screlease(signal, value);
  };
  forget();
  return api;
}

}  // namespace wavetile
