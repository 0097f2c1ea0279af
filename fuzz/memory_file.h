// Files in memory for readers that take paths, and what every fuzz target checks with.
#pragma once

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "dsl/error.h"

namespace wavetile {

/// Ends the run if a promise is broken.
#define FUZZ_CHECK(condition)                                                      \
  do {                                                                             \
    if (!(condition)) {                                                            \
      std::fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                \
    }                                                                              \
  } while (false)

/// What a user is told is one line of text.
inline void check_message(const Error& e) {
  const std::string_view text = e.what();
  FUZZ_CHECK(!text.empty() && text.size() < 1000);
  for (unsigned char c : text) FUZZ_CHECK(c >= ' ');
}

class MemoryFile {
 public:
  MemoryFile() : fd_(memfd_create("fuzz", MFD_CLOEXEC)) { FUZZ_CHECK(fd_ >= 0); }
  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(fd_); }
  void set(std::string_view bytes) {
    FUZZ_CHECK(ftruncate(fd_, 0) == 0);
    FUZZ_CHECK(pwrite(fd_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  }

 private:
  int fd_;
};

/// A directory whose files are in memory; without set() a file is not there.
class MemoryDirectory {
 public:
  MemoryDirectory() {
    FUZZ_CHECK(mkdtemp(path_));
    std::atexit([] {
      std::error_code ignored;
      std::filesystem::remove_all(path_, ignored);
    });
  }
  std::filesystem::path path() const { return path_; }
  void set(const std::string& name, std::string_view bytes) {
    MemoryFile& file = files_[name];
    file.set(bytes);
    std::error_code there;
    std::filesystem::create_symlink(file.path(), path() / name, there);
  }
  void remove(const std::string& name) {
    std::error_code ignored;
    std::filesystem::remove(path() / name, ignored);
  }

 private:
  static inline char path_[] = "/tmp/wavetile-fuzz-XXXXXX";
  std::map<std::string, MemoryFile> files_;
};

inline std::string_view text_of(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace wavetile
