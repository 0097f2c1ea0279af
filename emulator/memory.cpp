// The live ranges are one sorted table that never changes: writers publish another one. A reader counts itself in for
// as long as it looks at a table, in one of kReaders counters, by thread, so that lookups of different threads touch no
// common cache line. A table that was replaced is deleted once every counter was seen at zero since.
#include "emulator/memory.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <map>
#include <mutex>
#include <stdexcept>

#include <fmt/format.h>

namespace wavetile::emu {
namespace {

constexpr std::size_t kReaders = 64;
// Freed ranges whose shadow is kept: an access that began before the range was removed may still be under way.
constexpr std::size_t kLingering = 32;

struct alignas(64) ReaderCount {
  std::atomic<std::uint64_t> inside{0};
};

std::size_t reader_of_this_thread() {
  static std::atomic<std::size_t> next{0};
  thread_local const std::size_t mine = next.fetch_add(1, std::memory_order_relaxed) % kReaders;
  return mine;
}

std::string describe(const Allocation& a) {
  return fmt::format("{} bytes of {} at [0x{:x}, 0x{:x}), allocation {}", a.end - a.begin, a.what, a.begin, a.end,
                     a.serial);
}

}  // namespace

struct Memory::State {
  struct Range {
    std::uint64_t begin, end;
    Allocation* allocation;
  };
  using Table = std::vector<Range>;  // by address, disjoint
  using TablePtr = std::unique_ptr<const Table>;

  // The first range that begins after `address`.
  static Table::const_iterator after(const Table& table, std::uint64_t address) {
    return std::ranges::upper_bound(table, address, {}, &Range::begin);
  }

  // Needs the mutex.
  void publish(Table next) {
    replaced.push_back(std::move(owned));
    owned = std::make_unique<const Table>(std::move(next));
    table.store(owned.get());
    version.fetch_add(1, std::memory_order_release);
    for (std::size_t i = 0; i < kReaders; ++i) {
      if (readers[i].inside.load() == 0) busy[i] = false;
    }
    if (std::ranges::find(busy, true) != busy.end()) return;
    // Nobody can see the tables that were replaced before the counters were last marked busy.
    doomed = std::move(replaced);
    replaced.clear();
    busy.fill(true);
  }

  WriteListener listener;
  std::function<bool(std::uint64_t, std::size_t)> resolver;
  std::array<ReaderCount, kReaders> readers;
  std::atomic<const Table*> table{nullptr};
  std::atomic<std::uint64_t> version{0};

  std::mutex mutex;  // of what follows
  TablePtr owned = std::make_unique<const Table>();
  std::vector<TablePtr> replaced;  // since the counters were marked busy
  std::vector<TablePtr> doomed;    // before that; in sight until every counter was at zero
  std::array<bool, kReaders> busy{};
  std::uint64_t serial = 0;
  std::map<std::uint64_t, Allocation*> freed;  // by begin, disjoint
  std::deque<Allocation*> lingering;
  std::vector<std::unique_ptr<Allocation>> all;
};

Memory::Memory() : state_(std::make_unique<State>()) { state_->table = state_->owned.get(); }
Memory::~Memory() = default;

const Allocation* Memory::add(const void* address, std::size_t bytes, std::string what, bool writable,
                              bool initialised) {
  const auto begin = reinterpret_cast<std::uint64_t>(address);
  if (!address || !bytes || begin + bytes < begin) throw std::logic_error("Memory::add: an empty or wrapping range");
  const std::uint64_t end = begin + bytes;
  auto fresh = std::make_unique<Allocation>();
  fresh->begin = begin;
  fresh->end = end;
  fresh->what = std::move(what);
  fresh->writable = writable;
  fresh->initialised = initialised;

  const std::lock_guard lock(state_->mutex);
  State::Table table = *state_->owned;
  const auto next = State::after(table, begin);
  if ((next != table.end() && next->begin < end) || (next != table.begin() && std::prev(next)->end > begin)) {
    throw std::logic_error("Memory::add: overlaps a live range");
  }
  auto old = state_->freed.lower_bound(begin);
  if (old != state_->freed.begin() && std::prev(old)->second->end > begin) --old;
  while (old != state_->freed.end() && old->first < end) old = state_->freed.erase(old);

  fresh->serial = ++state_->serial;
  Allocation* result = fresh.get();
  state_->all.push_back(std::move(fresh));
  table.insert(next, {begin, end, result});
  state_->publish(std::move(table));
  return result;
}

bool Memory::remove(const void* address) {
  const auto begin = reinterpret_cast<std::uint64_t>(address);
  std::shared_ptr<void> shadow;  // outlives the lock: it may be large
  const std::lock_guard lock(state_->mutex);
  State::Table table = *state_->owned;
  const auto at = std::ranges::lower_bound(table, begin, {}, &State::Range::begin);
  if (at == table.end() || at->begin != begin) return false;
  Allocation* gone = at->allocation;
  table.erase(at);
  state_->publish(std::move(table));
  gone->freed = true;
  state_->freed[begin] = gone;
  state_->lingering.push_back(gone);
  if (state_->lingering.size() > kLingering) {
    shadow = std::move(state_->lingering.front()->shadow);
    state_->lingering.pop_front();
  }
  return true;
}

void Memory::set_resolver(std::function<bool(std::uint64_t, std::size_t)> resolver) {
  state_->resolver = std::move(resolver);
}

const Allocation* Memory::find(std::uint64_t address, std::size_t bytes) const {
  const Allocation* result = look_up(address, bytes);
  if (!result && state_->resolver && state_->resolver(address, bytes)) result = look_up(address, bytes);
  return result;
}

const Allocation* Memory::look_up(std::uint64_t address, std::size_t bytes) const {
  std::atomic<std::uint64_t>& inside = state_->readers[reader_of_this_thread()].inside;
  inside.fetch_add(1);
  const State::Table& table = *state_->table.load();
  const Allocation* result = nullptr;
  if (const auto next = State::after(table, address); next != table.begin()) {
    const State::Range& r = *std::prev(next);
    if (address < r.end && bytes <= r.end - address) result = r.allocation;
  }
  inside.fetch_sub(1, std::memory_order_release);
  return result;
}

std::string Memory::explain(std::uint64_t address, std::size_t bytes) const {
  const std::lock_guard lock(state_->mutex);
  const State::Table& table = *state_->owned;
  const auto next = State::after(table, address);
  const Allocation* before = next == table.begin() ? nullptr : std::prev(next)->allocation;
  const Allocation* behind = next == table.end() ? nullptr : next->allocation;
  const auto gone = state_->freed.upper_bound(address);
  const Allocation* freed = gone == state_->freed.begin() ? nullptr : std::prev(gone)->second;

  const std::string what = fmt::format("0x{:x} ({} bytes) ", address, bytes);
  if (before && address < before->end) {
    const std::uint64_t offset = address - before->begin;
    if (bytes <= before->end - address) return what + fmt::format("is {} bytes inside {}", offset, describe(*before));
    return what + fmt::format("runs {} bytes past the end of {}", bytes - (before->end - address), describe(*before));
  }
  if (freed && address < freed->end) {
    return what + fmt::format("is {} bytes inside {}, which was freed", address - freed->begin, describe(*freed));
  }
  if (address < 4096) return what + "is near the null pointer";
  // The nearer of the two neighbours.
  if (before && (!behind || address - before->end <= behind->begin - address)) {
    return what + fmt::format("is {} bytes past the end of {}", address - before->end, describe(*before));
  }
  if (behind) return what + fmt::format("is {} bytes before {}", behind->begin - address, describe(*behind));
  return what + "is in no allocation; there is none";
}

std::uint64_t Memory::version() const { return state_->version.load(std::memory_order_acquire); }

void Memory::set_write_listener(WriteListener listener) { state_->listener = std::move(listener); }

void Memory::host_wrote(std::uint64_t address, std::size_t bytes) const {
  if (!state_->listener) return;
  if (const Allocation* a = find(address, bytes)) state_->listener(*a, address, bytes);
}

std::vector<const Allocation*> Memory::live() const {
  const std::lock_guard lock(state_->mutex);
  std::vector<const Allocation*> result;
  result.reserve(state_->owned->size());
  for (const State::Range& r : *state_->owned) result.push_back(r.allocation);
  return result;
}

}  // namespace wavetile::emu
