// What is known of every byte of memory: whether anything defined was written to it, and who accessed it last.
//
// The shadow of a range is made of pages for 4096 bytes, which come into being when they are touched. Four dwords that
// are accessed together, as coalesced and wide accesses do, share one record; the first access of a part of them gives
// each its own.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "emulator/checks/fences.h"
#include "emulator/memory.h"

namespace wavetile::emu::checks {

/// An access: by which wave of the dispatch, the how manieth of which stream, which bytes of the dword.
struct Epoch {
  std::uint64_t bits = 0;  // 0: none

  static Epoch make(std::uint32_t wave, int stream, std::uint32_t time, unsigned bytes, unsigned level) {
    return {std::uint64_t{time & 0xfffffff} | std::uint64_t(stream) << 28 | std::uint64_t{bytes} << 30 |
            std::uint64_t{level} << 34 | std::uint64_t{wave + 1} << 36};
  }
  explicit operator bool() const { return bits != 0; }
  std::uint32_t wave() const { return static_cast<std::uint32_t>(bits >> 36) - 1; }
  int stream() const { return static_cast<int>(bits >> 28 & 3); }
  std::uint32_t time() const { return bits & 0xfffffff; }
  unsigned bytes() const { return bits >> 30 & 15; }
  unsigned level() const { return bits >> 34 & 3; }  // 0 plain, 1 perhaps atomic, 2 atomic
  Epoch with_bytes(unsigned bytes) const { return {(bits & ~(std::uint64_t{15} << 30)) | std::uint64_t{bytes} << 30}; }
  bool same_instruction(Epoch o) const { return ((bits ^ o.bits) & ~(std::uint64_t{63} << 30)) == 0; }
};

/// Of one dword, or of every dword of a quad.
struct Cell {
  Epoch write;   // the last store
  Epoch atomic;  // the last read-modify-write since
  Epoch reads[2];
  Epoch last() const { return atomic ? atomic : write; }
};

inline constexpr std::uint64_t kLineBytes = 64, kPageBytes = 4096, kQuadBytes = 16;

struct Quad {
  Cell whole;
  std::unique_ptr<std::array<Cell, kQuadBytes / 4>> split;
  const Cell& at(std::uint64_t offset) const { return split ? (*split)[offset % kQuadBytes / 4] : whole; }
};

struct Page {
  std::array<std::atomic<std::uint64_t>, kPageBytes / kLineBytes> written{};  // a bit a byte
  std::unique_ptr<std::array<Quad, kPageBytes / kQuadBytes>> races;
  std::uint64_t dispatch = 0;  // whose the races are
  // Who wrote last: all of the page, or each dword.
  Author author;
  std::unique_ptr<std::array<Author, kPageBytes / 4>> authors;
};

/// Of a range of memory; offsets are from its beginning. Marking as written is thread-safe, all else needs the
/// dispatches' turn.
class Shadow {
 public:
  Shadow(std::uint64_t bytes, bool written);
  ~Shadow();
  Page& page(std::uint64_t offset) {
    Page* p = pages_[offset / kPageBytes].load(std::memory_order_acquire);
    return p ? *p : make_page(offset / kPageBytes);
  }
  std::atomic<std::uint64_t>& written(std::uint64_t offset) {
    return page(offset).written[offset % kPageBytes / kLineBytes];
  }
  /// The records of 16 bytes, empty for a dispatch that has not touched the page.
  Quad& races(std::uint64_t offset, std::uint64_t dispatch) {
    Page& p = page(offset);
    if (p.dispatch != dispatch || !p.races) forget_races(p, dispatch);
    return (*p.races)[offset % kPageBytes / kQuadBytes];
  }
  /// Bit i: byte offset + i was written. At most 32 bytes.
  std::uint32_t written_bytes(std::uint64_t offset, std::uint32_t bytes);
  bool all_written(std::uint64_t offset, std::uint64_t bytes) {
    const std::uint64_t at = offset % kLineBytes;
    if (bytes >= kLineBytes || at + bytes > kLineBytes) return all_lines_written(offset, bytes);
    const std::uint64_t want = ((std::uint64_t{1} << bytes) - 1) << at;
    return (written(offset).load(std::memory_order_relaxed) & want) == want;
  }
  void set_written(std::uint64_t offset, std::uint64_t bytes, bool written);
  void set_author(std::uint64_t offset, std::uint64_t bytes, Author author);
  /// The first offset in a range whose author is good for nothing: `end` when all are.
  template <typename Good>
  std::uint64_t find_author(std::uint64_t offset, std::uint64_t end, Good good) {
    while (offset < end) {
      const Page& p = page(offset);
      const std::uint64_t next = std::min(end, (offset / kPageBytes + 1) * kPageBytes);
      if (!p.authors) {
        if (!good(p.author)) return offset;
      } else {
        for (std::uint64_t i = offset; i < next; i = (i / 4 + 1) * 4)
          if (!good((*p.authors)[i % kPageBytes / 4])) return i;
      }
      offset = next;
    }
    return end;
  }
  Author author(std::uint64_t offset) {
    const Page& p = page(offset);
    return p.authors ? (*p.authors)[offset % kPageBytes / 4] : p.author;
  }

 private:
  Page& make_page(std::uint64_t index);
  bool all_lines_written(std::uint64_t offset, std::uint64_t bytes);
  static void forget_races(Page& p, std::uint64_t dispatch);
  std::vector<std::atomic<Page*>> pages_;
  bool initially_;
};

/// The shadow of a global allocation; made at the first call, and kept by the allocation.
Shadow& shadow_of(const Allocation& a);

}  // namespace wavetile::emu::checks
