#include "models/gpt2/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "dsl/error.h"

namespace wavetile {
namespace {

const char* remedy(int code) {
  switch (code) {
    case ENOENT:
      return "; check the path";
    case EACCES:
      return "; allow this user to read it";
    default:
      return "";
  }
}

}  // namespace

MappedFile::MappedFile(std::filesystem::path path) : path_(std::move(path)) {
  auto fail = [this](const char* what, int code) {
    throw Error(fmt::format("{}: {}: {}{}", path_.string(), what, std::strerror(code), remedy(code)));
  };
  // O_NONBLOCK: opening a named pipe must not wait for a writer.
  int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) fail("cannot open", errno);
  struct stat info {};
  int code = ::fstat(fd, &info) != 0 ? errno : 0;
  bool regular = S_ISREG(info.st_mode);
  size_ = static_cast<size_t>(info.st_size);
  if (code == 0 && regular && size_ > 0) {
    void* data = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
      code = errno;
    else
      data_ = static_cast<const std::byte*>(data);
  }
  ::close(fd);
  if (code != 0) fail("cannot map", code);
  if (!regular)
    throw Error(fmt::format("{}: {}; give a regular file", path_.string(),
                            S_ISDIR(info.st_mode) ? "is a directory" : "is not a regular file"));
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

// A page at either end that others still use comes back from the system's cache when they read it.
void release_pages(std::span<const std::byte> mapped) {
  if (mapped.empty()) return;
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(mapped.data()), end = begin + mapped.size();
  const uintptr_t first = begin / page * page;
  ::madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);  // advice: nothing depends on it
}

}  // namespace wavetile
