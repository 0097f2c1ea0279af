#include "emulator/checks/shadow.h"

#include <algorithm>
#include <mutex>

namespace wavetile::emu::checks {
namespace {

std::uint64_t byte_bits(std::uint64_t first, std::uint64_t count) {
  return (count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1) << first;
}

}  // namespace

Shadow::Shadow(std::uint64_t bytes, bool written)
    : pages_((bytes + kPageBytes - 1) / kPageBytes + 1), initially_(written) {}

Shadow::~Shadow() {
  for (auto& p : pages_) delete p.load();
}

Page& Shadow::make_page(std::uint64_t index) {
  auto fresh = std::make_unique<Page>();
  for (auto& w : fresh->written) w.store(initially_ ? ~std::uint64_t{0} : 0, std::memory_order_relaxed);
  Page* none = nullptr;
  if (pages_[index].compare_exchange_strong(none, fresh.get())) return *fresh.release();
  return *none;
}

void Shadow::forget_races(Page& p, std::uint64_t dispatch) {
  p.races = std::make_unique<std::array<Quad, kPageBytes / kQuadBytes>>();
  p.dispatch = dispatch;
}

std::uint32_t Shadow::written_bytes(std::uint64_t offset, std::uint32_t bytes) {
  const std::uint64_t at = offset % kLineBytes;
  std::uint64_t mask = written(offset).load(std::memory_order_relaxed) >> at;
  if (at + bytes > kLineBytes) {
    const std::uint64_t next = written(offset - at + kLineBytes).load(std::memory_order_relaxed);
    mask |= next << (kLineBytes - at);
  }
  return static_cast<std::uint32_t>(mask & byte_bits(0, bytes));
}

bool Shadow::all_lines_written(std::uint64_t offset, std::uint64_t bytes) {
  while (bytes > 0) {
    const std::uint64_t at = offset % kLineBytes, n = std::min(bytes, kLineBytes - at);
    const std::uint64_t want = byte_bits(at, n);
    if ((written(offset).load(std::memory_order_relaxed) & want) != want) return false;
    offset += n;
    bytes -= n;
  }
  return true;
}

void Shadow::set_written(std::uint64_t offset, std::uint64_t bytes, bool is_written) {
  while (bytes > 0) {
    const std::uint64_t at = offset % kLineBytes, n = std::min(bytes, kLineBytes - at);
    const std::uint64_t which = byte_bits(at, n);
    auto& word = written(offset);
    const std::uint64_t now = word.load(std::memory_order_relaxed);
    if ((is_written ? now | which : now & ~which) != now) {
      if (is_written) {
        word.fetch_or(which, std::memory_order_relaxed);
      } else {
        word.fetch_and(~which, std::memory_order_relaxed);
      }
    }
    offset += n;
    bytes -= n;
  }
}

void Shadow::set_author(std::uint64_t offset, std::uint64_t bytes, Author author) {
  for (const std::uint64_t end = offset + bytes; offset < end;) {
    Page& p = page(offset);
    const std::uint64_t from = offset % kPageBytes, to = std::min(kPageBytes, from + end - offset);
    if (from == 0 && to == kPageBytes) {
      p.author = author;
      p.authors.reset();
    } else if (p.authors || p.author != author) {
      if (!p.authors) {
        p.authors = std::make_unique<std::array<Author, kPageBytes / 4>>();
        p.authors->fill(p.author);
      }
      std::fill(p.authors->begin() + static_cast<std::ptrdiff_t>(from / 4),
                p.authors->begin() + static_cast<std::ptrdiff_t>((to + 3) / 4), author);
    }
    offset += to - from;
  }
}

Shadow& shadow_of(const Allocation& a) {
  static std::mutex mutex;
  const std::scoped_lock lock(mutex);
  if (!a.shadow) a.shadow = std::make_shared<Shadow>(a.end - a.begin, a.initialised);
  return *static_cast<Shadow*>(a.shadow.get());
}

}  // namespace wavetile::emu::checks
