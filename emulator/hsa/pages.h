// Host pages that kernels may see, with a page behind them that nobody may touch.
#pragma once

#include <cstddef>
#include <string>

#include "emulator/memory.h"

namespace wavetile::emu::hsa {

inline constexpr std::size_t kPage = 4096;

class Pages {
 public:
  /// `bytes` zero bytes at the front of fresh pages. Throws std::bad_alloc.
  explicit Pages(std::size_t bytes);
  ~Pages();
  Pages(Pages&& other) noexcept;
  Pages& operator=(Pages&&) = delete;

  void* begin() const { return begin_; }
  std::size_t bytes() const { return bytes_; }
  /// Gives the memory back to the system and keeps the addresses; reads give zero.
  void discard();

 private:
  void* begin_;
  std::size_t bytes_;
};

/// Pages that kernels can read, and write if asked for, as long as this lives; their content is the host's.
class SharedPages {
 public:
  SharedPages(Memory& memory, std::size_t bytes, std::string what, bool writable);
  ~SharedPages();
  SharedPages(const SharedPages&) = delete;
  SharedPages& operator=(const SharedPages&) = delete;
  void* begin() const { return pages_.begin(); }

 private:
  Memory& memory_;
  Pages pages_;
};

}  // namespace wavetile::emu::hsa
