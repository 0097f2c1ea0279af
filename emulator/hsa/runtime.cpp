// The life of the library: the count of hsa_init, what is printed at its end.
#include "emulator/hsa/runtime.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <limits>
#include <stdexcept>

#include <fmt/format.h>

namespace wavetile::emu::hsa {
namespace {

std::mutex init_mutex;
std::int32_t init_count = 0;
std::atomic<Runtime*> runtime{nullptr};
bool strict_failure = false;

// The process ends, perhaps without a last hsa_shut_down. The Runtime is not destroyed then: threads of the program may
// still use it.
void at_exit() {
  const std::lock_guard lock(init_mutex);
  if (Runtime* r = current()) {
    r->stop();
    fmt::print(stderr, "libhsa-runtime64: the process ends before its last hsa_shut_down\n");
    if (!r->print_leaks() && r->emulator.options().strict) strict_failure = true;
  }
  if (!strict_failure) return;
  std::fflush(nullptr);
  _exit(kStrictStatus);
}

}  // namespace

Runtime* current() { return runtime.load(std::memory_order_acquire); }

std::uint64_t timestamp() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * kTimestampFrequency + static_cast<std::uint64_t>(now.tv_nsec);
}

Runtime::Runtime(Options options)
    : emulator(options),
      signals(emulator.memory()),
      allocations(emulator.memory(), options.memory_bytes),
      executables(emulator),
      queues(*this),
      handlers(signals.waiters),
      copies(signals.waiters) {}

void Runtime::stop() {
  queues.stop();
  copies.stop();
  handlers.stop();
}

bool Runtime::print_leaks() const {
  std::string text;
  for (const Allocations::Leak& l : allocations.live()) {
    text += fmt::format("  allocation {}: {} bytes of {} at {}\n", l.number, l.bytes, l.what, l.address);
  }
  for (const Signals::Leak& l : signals.live())
    text += fmt::format("  signal {}: its value is {}\n", l.number, l.value);
  for (const std::uint64_t n : signals.live_groups()) text += fmt::format("  signal group {}\n", n);
  for (const std::string& l : queues.live()) text += fmt::format("  {}\n", l);
  for (const std::string& l : executables.live()) text += fmt::format("  {}\n", l);
  if (!text.empty()) {
    fmt::print(stderr, "libhsa-runtime64: not freed (numbers are the order of creation):\n{}", text);
  }
  if (reports != 0) fmt::print(stderr, "libhsa-runtime64: {} reports on kernels\n", reports.load());
  return text.empty() && reports == 0;
}

hsa_status_t Runtime::set_event_handler(hsa_amd_system_event_callback_t callback, void* data) {
  const std::lock_guard lock(event_mutex_);
  if (event_callback_) return HSA_STATUS_ERROR;
  event_callback_ = callback;
  event_data_ = data;
  return HSA_STATUS_SUCCESS;
}

void Runtime::memory_fault(std::uint64_t address) {
  hsa_amd_system_event_callback_t callback;
  void* data;
  {
    const std::lock_guard lock(event_mutex_);
    callback = event_callback_;
    data = event_data_;
  }
  if (!callback) return;
  hsa_amd_event_t event{};
  event.event_type = HSA_AMD_GPU_MEMORY_FAULT_EVENT;
  event.memory_fault.agent = kGpuAgent;
  event.memory_fault.virtual_address = address;
  const Allocation* a = emulator.memory().find(address, 1);
  event.memory_fault.fault_reason_mask =
      a && !a->writable ? HSA_AMD_MEMORY_FAULT_READ_ONLY : HSA_AMD_MEMORY_FAULT_PAGE_NOT_PRESENT;
  callback(&event, data);
}

}  // namespace wavetile::emu::hsa

using namespace wavetile::emu;
using namespace wavetile::emu::hsa;

extern "C" {

hsa_status_t hsa_init() {
  const std::lock_guard lock(init_mutex);
  if (init_count == std::numeric_limits<std::int32_t>::max()) return HSA_STATUS_ERROR_REFCOUNT_OVERFLOW;
  if (init_count == 0) {
    const char* text = std::getenv("WAVETILE_EMULATOR");
    try {
      Options options = Options::parse(text ? text : "");
      options.let_host_answer();
      runtime = new Runtime(options);
    } catch (const std::invalid_argument& e) {
      fmt::print(stderr, "libhsa-runtime64: WAVETILE_EMULATOR: {}\n", e.what());
      return HSA_STATUS_ERROR;
    } catch (const std::exception& e) {
      fmt::print(stderr, "libhsa-runtime64: {}\n", e.what());
      return HSA_STATUS_ERROR_OUT_OF_RESOURCES;
    }
    static const bool registered = std::atexit(at_exit) == 0;
    if (!registered) fmt::print(stderr, "libhsa-runtime64: leaks will not be reported at the end of the process\n");
  }
  ++init_count;
  return HSA_STATUS_SUCCESS;
}

hsa_status_t hsa_shut_down() {
  const std::lock_guard lock(init_mutex);
  if (init_count == 0) return HSA_STATUS_ERROR_NOT_INITIALIZED;
  if (--init_count > 0) return HSA_STATUS_SUCCESS;
  Runtime* r = current();
  r->stop();
  if (!r->print_leaks() && r->emulator.options().strict) strict_failure = true;
  runtime = nullptr;
  delete r;
  return HSA_STATUS_SUCCESS;
}

}  // extern "C"
