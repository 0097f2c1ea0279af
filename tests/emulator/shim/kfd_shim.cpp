// Preloaded into rocminfo, which before its first HSA call looks whether AMD's driver is there (the version of Debian
// 12 by lsmod, which inherits this): to whoever opens the list of modules, the driver's state or its device, this gives
// a file that says yes.
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <string_view>

namespace {

constexpr std::string_view kModules = "/proc/modules", kState = "/sys/module/amdgpu/initstate", kDevice = "/dev/kfd";

// What the file holds; empty: it is none of these.
std::string_view content(std::string_view path) {
  if (path == kModules) return "amdgpu 1 0 - Live 0x0000000000000000\n";
  return path == kState ? "live\n" : "";
}

int file_with(std::string_view text) {
  int ends[2];
  if (pipe(ends) != 0) return -1;
  const bool written = write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size());
  close(ends[1]);
  return written ? ends[0] : -1;
}

int open_with(const char* name, const char* path, int flags, mode_t mode) {
  if (!content(path).empty()) return file_with(content(path));
  const auto next = reinterpret_cast<int (*)(const char*, int, ...)>(dlsym(RTLD_NEXT, name));
  return next(path == kDevice ? "/dev/null" : path, flags, mode);
}

FILE* fopen_with(const char* name, const char* path, const char* mode) {
  if (!content(path).empty()) return fdopen(file_with(content(path)), "r");
  const auto next = reinterpret_cast<FILE* (*)(const char*, const char*)>(dlsym(RTLD_NEXT, name));
  return next(path == kDevice ? "/dev/null" : path, mode);
}

}  // namespace

#define WAVETILE_OPEN(name)                                                          \
  extern "C" int name(const char* path, int flags, ...) {                            \
    va_list rest;                                                                    \
    va_start(rest, flags);                                                           \
    const bool creates = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE; \
    const mode_t mode = creates ? va_arg(rest, mode_t) : 0;                          \
    va_end(rest);                                                                    \
    return open_with(#name, path, flags, mode);                                      \
  }
WAVETILE_OPEN(open)
WAVETILE_OPEN(open64)

extern "C" FILE* fopen(const char* path, const char* mode) { return fopen_with("fopen", path, mode); }
extern "C" FILE* fopen64(const char* path, const char* mode) { return fopen_with("fopen64", path, mode); }
