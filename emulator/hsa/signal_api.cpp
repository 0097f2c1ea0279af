// hsa_signal_*. Functions without a status, when their handle is no signal, print that and abort: the specification
// leaves the case undefined, and there is nothing right to return.
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

#include "emulator/hsa/runtime.h"

using namespace wavetile::emu;
using namespace wavetile::emu::hsa;

namespace {

[[noreturn]] void misuse(const char* function, const std::string& what) {
  fmt::print(stderr, "libhsa-runtime64: {}: {}\n", function, what);
  std::abort();
}

struct Found {
  Runtime& runtime;
  std::atomic_ref<std::int64_t> value;
};
Found find(hsa_signal_t signal, const char* function) {
  Runtime* runtime = current();
  if (!runtime) misuse(function, "outside of hsa_init and hsa_shut_down");
  amd_signal_t* s = runtime->signals.find(signal);
  if (!s) misuse(function, fmt::format("0x{:x} is no signal", signal.handle));
  return {*runtime, Signals::value(*s)};
}

Waiters::Clock::time_point deadline_after(std::uint64_t timeout) {
  constexpr std::uint64_t kForever = std::uint64_t{1} << 62;
  if (timeout >= kForever) return Waiters::Clock::time_point::max();
  return Waiters::Clock::now() + std::chrono::nanoseconds(timeout);
}

hsa_signal_value_t wait(hsa_signal_t signal, hsa_signal_condition_t condition, hsa_signal_value_t reference,
                        std::uint64_t timeout, std::memory_order order, const char* function) {
  Found f = find(signal, function);
  if (condition < HSA_SIGNAL_CONDITION_EQ || condition > HSA_SIGNAL_CONDITION_GTE) {
    misuse(function, fmt::format("condition {}", static_cast<int>(condition)));
  }
  hsa_signal_value_t seen = 0;
  f.runtime.signals.waiters.wait(
      [&] {
        seen = f.value.load(order);
        return satisfied(condition, seen, reference);
      },
      deadline_after(timeout));
  return seen;
}

// The index of the first that is satisfied; `count` after the timeout.
std::uint32_t wait_any(Runtime& runtime, std::uint32_t count, const hsa_signal_t* signals,
                       const hsa_signal_condition_t* conditions, const hsa_signal_value_t* values,
                       std::uint64_t timeout, std::memory_order order, hsa_signal_value_t* satisfying) {
  std::uint32_t index = count;
  hsa_signal_value_t seen = 0;
  const auto ready = [&] {
    for (index = 0; index < count; ++index) {
      amd_signal_t* s = runtime.signals.find(signals[index]);
      if (!s) continue;
      seen = Signals::value(*s).load(order);
      if (satisfied(conditions[index], seen, values[index])) return true;
    }
    return false;
  };
  runtime.signals.waiters.wait(ready, deadline_after(timeout));
  if (index < count && satisfying) *satisfying = seen;
  return index;
}

void check_consumers(std::uint32_t count, const hsa_agent_t* consumers) {
  require(count == 0 || consumers != nullptr);
  for (std::uint32_t i = 0; i < count; ++i) {
    is_gpu(consumers[i]);
    for (std::uint32_t j = 0; j < i; ++j) require(consumers[j].handle != consumers[i].handle);
  }
}

hsa_status_t wait_group(hsa_signal_group_t group, const hsa_signal_condition_t* conditions,
                        const hsa_signal_value_t* values, std::memory_order order, hsa_signal_t* signal,
                        hsa_signal_value_t* value) {
  return call([&](Runtime& r) {
    const std::vector<hsa_signal_t> signals = r.signals.group(group.handle);
    require(conditions && values && signal && value);
    const auto count = static_cast<std::uint32_t>(signals.size());
    const std::uint32_t index = wait_any(r, count, signals.data(), conditions, values, UINT64_MAX, order, value);
    *signal = signals[index];
  });
}

}  // namespace

extern "C" {

hsa_status_t hsa_signal_create(hsa_signal_value_t initial_value, uint32_t num_consumers, const hsa_agent_t* consumers,
                               hsa_signal_t* signal) {
  return hsa_amd_signal_create(initial_value, num_consumers, consumers, 0, signal);
}

hsa_status_t hsa_amd_signal_create(hsa_signal_value_t initial_value, uint32_t num_consumers,
                                   const hsa_agent_t* consumers, uint64_t attributes, hsa_signal_t* signal) {
  return call([&](Runtime& r) {
    require(signal != nullptr);
    require((attributes & ~std::uint64_t{HSA_AMD_SIGNAL_AMD_GPU_ONLY | HSA_AMD_SIGNAL_IPC}) == 0);
    check_consumers(num_consumers, consumers);
    *signal = r.signals.create(initial_value);
  });
}

hsa_status_t hsa_signal_destroy(hsa_signal_t signal) {
  return call([&](Runtime& r) {
    require(signal.handle != 0);
    require(r.signals.get(signal).kind == AMD_SIGNAL_KIND_USER, HSA_STATUS_ERROR_INVALID_SIGNAL);
    r.signals.destroy(signal);
  });
}

hsa_status_t hsa_amd_signal_value_pointer(hsa_signal_t signal, volatile hsa_signal_value_t** value_ptr) {
  return call([&](Runtime& r) {
    require(value_ptr != nullptr);
    amd_signal_t& s = r.signals.get(signal);
    require(s.kind == AMD_SIGNAL_KIND_USER, HSA_STATUS_ERROR_INVALID_SIGNAL);
    *value_ptr = &s.value;
  });
}

hsa_status_t hsa_amd_signal_async_handler(hsa_signal_t signal, hsa_signal_condition_t cond, hsa_signal_value_t value,
                                          hsa_amd_signal_handler handler, void* arg) {
  return call([&](Runtime& r) {
    require(handler != nullptr);
    require(cond >= HSA_SIGNAL_CONDITION_EQ && cond <= HSA_SIGNAL_CONDITION_GTE);
    r.signals.get(signal);
    // A signal that is destroyed takes its handlers with it.
    const auto ready = [&r, signal, cond, value] {
      amd_signal_t* s = r.signals.find(signal);
      return !s || satisfied(cond, Signals::value(*s).load(std::memory_order_acquire), value);
    };
    const auto run = [&r, signal, cond, value, handler, arg] {
      amd_signal_t* s = r.signals.find(signal);
      if (!s) return false;
      const hsa_signal_value_t seen = Signals::value(*s).load(std::memory_order_acquire);
      return !satisfied(cond, seen, value) || handler(seen, arg);
    };
    r.handlers.add({ready, run});
  });
}

hsa_status_t hsa_amd_async_function(void (*callback)(void* arg), void* arg) {
  return call([&](Runtime& r) {
    require(callback != nullptr);
    r.handlers.add({[] { return true; },
                    [callback, arg] {
                      callback(arg);
                      return false;
                    }});
  });
}

uint32_t hsa_amd_signal_wait_any(uint32_t signal_count, hsa_signal_t* signals, hsa_signal_condition_t* conds,
                                 hsa_signal_value_t* values, uint64_t timeout_hint, hsa_wait_state_t,
                                 hsa_signal_value_t* satisfying_value) {
  Runtime* runtime = current();
  if (!runtime) misuse(__func__, "outside of hsa_init and hsa_shut_down");
  if (signal_count == 0 || !signals || !conds || !values) misuse(__func__, "no signals, conditions or values");
  for (uint32_t i = 0; i < signal_count; ++i) find(signals[i], __func__);
  const uint32_t index = wait_any(*runtime, signal_count, signals, conds, values, timeout_hint,
                                  std::memory_order_relaxed, satisfying_value);
  return index < signal_count ? index : UINT32_MAX;
}

hsa_status_t hsa_signal_group_create(uint32_t num_signals, const hsa_signal_t* signals, uint32_t num_consumers,
                                     const hsa_agent_t* consumers, hsa_signal_group_t* signal_group) {
  return call([&](Runtime& r) {
    require(num_signals != 0 && signals && num_consumers != 0 && consumers && signal_group);
    check_consumers(num_consumers, consumers);
    for (uint32_t i = 0; i < num_signals; ++i) r.signals.get(signals[i]);
    signal_group->handle = r.signals.create_group({signals, signals + num_signals});
  });
}

hsa_status_t hsa_signal_group_destroy(hsa_signal_group_t signal_group) {
  return call([&](Runtime& r) {
    require(signal_group.handle != 0);
    r.signals.destroy_group(signal_group.handle);
  });
}

// --- the variants by memory order. Stores, loads and waits exist in some of them, and each under two names.

#define WAVETILE_LOAD(name, order) \
  hsa_signal_value_t hsa_signal_load_##name(hsa_signal_t signal) { return find(signal, __func__).value.load(order); }
WAVETILE_LOAD(relaxed, std::memory_order_relaxed)
WAVETILE_LOAD(acquire, std::memory_order_acquire)
WAVETILE_LOAD(scacquire, std::memory_order_seq_cst)

// A silent store does not wake who waits, says the specification; they notice it within a slice of time.
#define WAVETILE_STORE(function, order, wake)                    \
  void function(hsa_signal_t signal, hsa_signal_value_t value) { \
    Found f = find(signal, __func__);                            \
    f.value.store(value, order);                                 \
    if (wake) f.runtime.signals.wrote(signal, value);            \
  }
WAVETILE_STORE(hsa_signal_store_relaxed, std::memory_order_relaxed, true)
WAVETILE_STORE(hsa_signal_store_release, std::memory_order_release, true)
WAVETILE_STORE(hsa_signal_store_screlease, std::memory_order_seq_cst, true)
WAVETILE_STORE(hsa_signal_silent_store_relaxed, std::memory_order_relaxed, false)
WAVETILE_STORE(hsa_signal_silent_store_screlease, std::memory_order_seq_cst, false)

#define WAVETILE_WAIT(name, order)                                                                   \
  hsa_signal_value_t hsa_signal_wait_##name(hsa_signal_t signal, hsa_signal_condition_t condition,   \
                                            hsa_signal_value_t compare_value, uint64_t timeout_hint, \
                                            hsa_wait_state_t) {                                      \
    return wait(signal, condition, compare_value, timeout_hint, order, __func__);                    \
  }
WAVETILE_WAIT(relaxed, std::memory_order_relaxed)
WAVETILE_WAIT(acquire, std::memory_order_acquire)
WAVETILE_WAIT(scacquire, std::memory_order_seq_cst)

#define WAVETILE_GROUP_WAIT(name, order)                                                                             \
  hsa_status_t hsa_signal_group_wait_any_##name(                                                                     \
      hsa_signal_group_t signal_group, const hsa_signal_condition_t* conditions,                                     \
      const hsa_signal_value_t* compare_values, hsa_wait_state_t, hsa_signal_t* signal, hsa_signal_value_t* value) { \
    return wait_group(signal_group, conditions, compare_values, order, signal, value);                               \
  }
WAVETILE_GROUP_WAIT(relaxed, std::memory_order_relaxed)
WAVETILE_GROUP_WAIT(scacquire, std::memory_order_seq_cst)

#define WAVETILE_UPDATE(operation, fetch, operator_, name, order)                       \
  void hsa_signal_##operation##_##name(hsa_signal_t signal, hsa_signal_value_t value) { \
    Found f = find(signal, __func__);                                                   \
    f.runtime.signals.wrote(signal, f.value.fetch(value, order) operator_ value);       \
  }
#define WAVETILE_EXCHANGE(name, order)                                                           \
  hsa_signal_value_t hsa_signal_exchange_##name(hsa_signal_t signal, hsa_signal_value_t value) { \
    Found f = find(signal, __func__);                                                            \
    const hsa_signal_value_t before = f.value.exchange(value, order);                            \
    f.runtime.signals.wrote(signal, value);                                                      \
    return before;                                                                               \
  }
#define WAVETILE_CAS(name, order)                                                                        \
  hsa_signal_value_t hsa_signal_cas_##name(hsa_signal_t signal, hsa_signal_value_t expected,             \
                                           hsa_signal_value_t value) {                                   \
    Found f = find(signal, __func__);                                                                    \
    if (f.value.compare_exchange_strong(expected, value, order)) f.runtime.signals.wrote(signal, value); \
    return expected;                                                                                     \
  }
#define WAVETILE_ALL_UPDATES(name, order)              \
  WAVETILE_UPDATE(add, fetch_add, +, name, order)      \
  WAVETILE_UPDATE(subtract, fetch_sub, -, name, order) \
  WAVETILE_UPDATE(and, fetch_and, &, name, order)      \
  WAVETILE_UPDATE(or, fetch_or, |, name, order)        \
  WAVETILE_UPDATE(xor, fetch_xor, ^, name, order)      \
  WAVETILE_EXCHANGE(name, order)                       \
  WAVETILE_CAS(name, order)
WAVETILE_ALL_UPDATES(relaxed, std::memory_order_relaxed)
WAVETILE_ALL_UPDATES(acquire, std::memory_order_acquire)
WAVETILE_ALL_UPDATES(release, std::memory_order_release)
WAVETILE_ALL_UPDATES(acq_rel, std::memory_order_acq_rel)
WAVETILE_ALL_UPDATES(scacquire, std::memory_order_seq_cst)
WAVETILE_ALL_UPDATES(screlease, std::memory_order_seq_cst)
WAVETILE_ALL_UPDATES(scacq_screl, std::memory_order_seq_cst)

}  // extern "C"
