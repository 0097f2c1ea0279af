#include "emulator/hsa/signals.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "emulator/hsa/status.h"

namespace wavetile::emu::hsa {

// Two cache lines: what kernels may see and what they may not.
struct alignas(64) Signals::Slot {
  amd_signal_t signal;
  std::atomic<bool> live;
  bool doorbell;
  std::uint64_t number;
  std::atomic<std::int64_t> rung;
};

namespace {

constexpr std::size_t kSlotBytes = 128, kMost = std::size_t{1} << 20;
constexpr std::size_t kBlock = 64;  // slots that become visible to kernels together
// Slots are used again only when many others are free, so that a late use of a destroyed signal is noticed.
constexpr std::size_t kResting = 1024;

}  // namespace

void Waiters::notify() {
  if (waiting_.load() == 0) return;
  { const std::lock_guard lock(mutex_); }
  condition_.notify_all();
}

Signals::Signals(Memory& memory)
    : memory_(memory),
      reserved_(mmap(nullptr, kMost * kSlotBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                     -1, 0)) {
  static_assert(sizeof(Slot) == kSlotBytes && sizeof(amd_signal_t) == 64);
  if (reserved_ == MAP_FAILED) throw std::bad_alloc();
}

Signals::~Signals() {
  for (std::size_t i = 0; i < used_; i += kBlock) memory_.remove(static_cast<char*>(reserved_) + i * kSlotBytes);
  munmap(reserved_, kMost * kSlotBytes);
}

Signals::Slot* Signals::slot(hsa_signal_t handle) const {
  const std::uint64_t offset = handle.handle - reinterpret_cast<std::uint64_t>(reserved_);
  if (offset >= kMost * kSlotBytes || offset % kSlotBytes) return nullptr;
  auto* s = reinterpret_cast<Slot*>(static_cast<char*>(reserved_) + offset);
  return s->live.load(std::memory_order_acquire) ? s : nullptr;
}

hsa_signal_t Signals::create(hsa_signal_value_t value, bool doorbell) {
  const std::lock_guard lock(mutex_);
  std::size_t index;
  if (free_.size() > kResting || used_ == kMost) {
    if (free_.empty()) throw std::bad_alloc();
    index = free_.front();
    free_.pop_front();
  } else {
    index = used_;
    char* at = static_cast<char*>(reserved_) + index * kSlotBytes;
    if (index % kBlock == 0) memory_.add(at, kBlock * kSlotBytes, "signals", true, true);
    ++used_;
  }
  auto* s = reinterpret_cast<Slot*>(static_cast<char*>(reserved_) + index * kSlotBytes);
  std::memset(&s->signal, 0, sizeof s->signal);
  s->signal.kind = doorbell ? AMD_SIGNAL_KIND_DOORBELL : AMD_SIGNAL_KIND_USER;
  Signals::value(s->signal).store(value, std::memory_order_relaxed);
  s->doorbell = doorbell;
  s->number = doorbell ? 0 : ++created_;
  s->rung.store(-1, std::memory_order_relaxed);
  s->live.store(true, std::memory_order_release);
  return {reinterpret_cast<std::uint64_t>(&s->signal)};
}

amd_signal_t* Signals::find(hsa_signal_t handle) const {
  Slot* s = slot(handle);
  return s ? &s->signal : nullptr;
}

amd_signal_t& Signals::get(hsa_signal_t handle) const {
  amd_signal_t* s = find(handle);
  require(s != nullptr, HSA_STATUS_ERROR_INVALID_SIGNAL);
  return *s;
}

void Signals::destroy(hsa_signal_t handle) {
  const std::lock_guard lock(mutex_);
  Slot* s = slot(handle);
  require(s != nullptr, HSA_STATUS_ERROR_INVALID_SIGNAL);
  s->live.store(false, std::memory_order_release);
  free_.push_back(static_cast<std::size_t>(reinterpret_cast<char*>(s) - static_cast<char*>(reserved_)) / kSlotBytes);
}

void Signals::wrote(hsa_signal_t handle, hsa_signal_value_t value) {
  if (Slot* s = slot(handle); s && s->doorbell) {
    std::int64_t before = s->rung.load();
    while (before < value && !s->rung.compare_exchange_weak(before, value)) {
    }
  }
  waiters.notify();
}

void Signals::subtract_one(hsa_signal_t handle) {
  amd_signal_t* s = find(handle);
  if (!s) return;  // destroyed meanwhile
  wrote(handle, value(*s).fetch_sub(1) - 1);
}

std::int64_t Signals::rung(hsa_signal_t doorbell) const {
  const Slot* s = slot(doorbell);
  return s ? s->rung.load() : -1;
}

std::vector<Signals::Leak> Signals::live() const {
  const std::lock_guard lock(mutex_);
  std::vector<Leak> result;
  for (std::size_t i = 0; i < used_; ++i) {
    auto* s = reinterpret_cast<Slot*>(static_cast<char*>(reserved_) + i * kSlotBytes);
    if (s->live && !s->doorbell) result.push_back({s->number, value(s->signal).load()});
  }
  std::ranges::sort(result, {}, &Leak::number);
  return result;
}

std::uint64_t Signals::create_group(std::vector<hsa_signal_t> signals) {
  const std::lock_guard lock(mutex_);
  groups_.emplace(++groups_created_, std::move(signals));
  return groups_created_;
}

std::vector<hsa_signal_t> Signals::group(std::uint64_t handle) const {
  const std::lock_guard lock(mutex_);
  const auto it = groups_.find(handle);
  require(it != groups_.end(), HSA_STATUS_ERROR_INVALID_SIGNAL_GROUP);
  return it->second;
}

void Signals::destroy_group(std::uint64_t handle) {
  const std::lock_guard lock(mutex_);
  require(groups_.erase(handle) == 1, HSA_STATUS_ERROR_INVALID_SIGNAL_GROUP);
}

std::vector<std::uint64_t> Signals::live_groups() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::uint64_t> result;
  for (const auto& [handle, signals] : groups_) result.push_back(handle);
  return result;
}

}  // namespace wavetile::emu::hsa
