#include "emulator/hsa/pages.h"

#include <sys/mman.h>

#include <new>
#include <utility>

namespace wavetile::emu::hsa {
namespace {

std::size_t mapped_bytes(std::size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

}  // namespace

Pages::Pages(std::size_t bytes) : bytes_(bytes) {
  if (bytes > SIZE_MAX / 2) throw std::bad_alloc();
  const std::size_t mapped = mapped_bytes(bytes);
  begin_ = mmap(nullptr, mapped + kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (begin_ == MAP_FAILED) throw std::bad_alloc();
  if (mprotect(begin_, mapped, PROT_READ | PROT_WRITE) != 0) {
    munmap(begin_, mapped + kPage);
    throw std::bad_alloc();
  }
}

Pages::Pages(Pages&& other) noexcept : begin_(std::exchange(other.begin_, nullptr)), bytes_(other.bytes_) {}

Pages::~Pages() {
  if (begin_) munmap(begin_, mapped_bytes(bytes_) + kPage);
}

void Pages::discard() { madvise(begin_, mapped_bytes(bytes_), MADV_DONTNEED); }

SharedPages::SharedPages(Memory& memory, std::size_t bytes, std::string what, bool writable)
    : memory_(memory), pages_(bytes) {
  memory_.add(pages_.begin(), bytes, std::move(what), writable, /*initialised=*/true);
}

SharedPages::~SharedPages() { memory_.remove(pages_.begin()); }

}  // namespace wavetile::emu::hsa
