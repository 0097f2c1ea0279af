// Preloaded into rocminfo, which before its first HSA call looks whether AMD's driver is there: to whoever opens one of
// the driver's two files, this gives one that says yes.
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <string_view>

namespace {

constexpr std::string_view kState = "/sys/module/amdgpu/initstate", kDevice = "/dev/kfd";

// A file with the text of the driver's state.
int live() {
  int ends[2];
  if (pipe(ends) != 0) return -1;
  constexpr std::string_view kText = "live\n";
  const bool written = write(ends[1], kText.data(), kText.size()) == static_cast<ssize_t>(kText.size());
  close(ends[1]);
  return written ? ends[0] : -1;
}

int open_with(const char* name, const char* path, int flags, mode_t mode) {
  if (path == kState) return live();
  const auto next = reinterpret_cast<int (*)(const char*, int, ...)>(dlsym(RTLD_NEXT, name));
  return next(path == kDevice ? "/dev/null" : path, flags, mode);
}

FILE* fopen_with(const char* name, const char* path, const char* mode) {
  if (path == kState) return fdopen(live(), "r");
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
