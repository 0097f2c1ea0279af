// The live ranges are one sorted table. Readers take a lock of their own (one of kReaders, by thread), so that lookups
// of different threads touch no common cache line; a writer takes all of them.
#include "emulator/memory.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <stdexcept>

#include <fmt/format.h>

namespace wavetile::emu {
namespace {

constexpr std::size_t kReaders = 64;
// Freed ranges whose shadow is kept: an access that began before the range was removed may still be under way.
constexpr std::size_t kLingering = 32;

struct alignas(64) ReaderLock {
  std::shared_mutex mutex;
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

  // All readers kept out, as long as it lives.
  class Writer {
   public:
    explicit Writer(State& state) : state_(state) {
      for (ReaderLock& l : state_.locks) l.mutex.lock();
    }
    ~Writer() {
      for (ReaderLock& l : state_.locks) l.mutex.unlock();
    }
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

   private:
    State& state_;
  };
  std::shared_lock<std::shared_mutex> read() { return std::shared_lock(locks[reader_of_this_thread()].mutex); }

  // The first live range that begins after `address`.
  std::vector<Range>::iterator after(std::uint64_t address) {
    return std::ranges::upper_bound(table, address, {}, &Range::begin);
  }

  std::array<ReaderLock, kReaders> locks;
  std::atomic<std::uint64_t> version{0};
  std::uint64_t serial = 0;
  std::vector<Range> table;                     // by address, disjoint
  std::map<std::uint64_t, Allocation*> freed;   // by begin, disjoint
  std::deque<Allocation*> lingering;
  std::vector<std::unique_ptr<Allocation>> all;
};

Memory::Memory() : state_(std::make_unique<State>()) {}
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

  const State::Writer lock(*state_);
  const auto next = state_->after(begin);
  if ((next != state_->table.end() && next->begin < end) ||
      (next != state_->table.begin() && std::prev(next)->end > begin)) {
    throw std::logic_error("Memory::add: overlaps a live range");
  }
  auto old = state_->freed.lower_bound(begin);
  if (old != state_->freed.begin() && std::prev(old)->second->end > begin) --old;
  while (old != state_->freed.end() && old->first < end) old = state_->freed.erase(old);

  fresh->serial = ++state_->serial;
  Allocation* result = fresh.get();
  state_->all.push_back(std::move(fresh));
  state_->table.insert(next, {begin, end, result});
  state_->version.fetch_add(1, std::memory_order_relaxed);
  return result;
}

bool Memory::remove(const void* address) {
  const auto begin = reinterpret_cast<std::uint64_t>(address);
  std::shared_ptr<void> shadow;  // outlives the lock: it may be large
  const State::Writer lock(*state_);
  const auto at = std::ranges::lower_bound(state_->table, begin, {}, &State::Range::begin);
  if (at == state_->table.end() || at->begin != begin) return false;
  Allocation* gone = at->allocation;
  state_->table.erase(at);
  gone->freed = true;
  state_->freed[begin] = gone;
  state_->lingering.push_back(gone);
  if (state_->lingering.size() > kLingering) {
    shadow = std::move(state_->lingering.front()->shadow);
    state_->lingering.pop_front();
  }
  state_->version.fetch_add(1, std::memory_order_relaxed);
  return true;
}

const Allocation* Memory::find(std::uint64_t address, std::size_t bytes) const {
  const auto lock = state_->read();
  const auto next = state_->after(address);
  if (next == state_->table.begin()) return nullptr;
  const State::Range& r = *std::prev(next);
  return address < r.end && bytes <= r.end - address ? r.allocation : nullptr;
}

std::string Memory::explain(std::uint64_t address, std::size_t bytes) const {
  const auto lock = state_->read();
  const auto next = state_->after(address);
  const Allocation* before = next == state_->table.begin() ? nullptr : std::prev(next)->allocation;
  const Allocation* behind = next == state_->table.end() ? nullptr : next->allocation;
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

std::uint64_t Memory::version() const { return state_->version.load(std::memory_order_relaxed); }

std::vector<const Allocation*> Memory::live() const {
  const auto lock = state_->read();
  std::vector<const Allocation*> result;
  result.reserve(state_->table.size());
  for (const State::Range& r : state_->table) result.push_back(r.allocation);
  return result;
}

}  // namespace wavetile::emu
