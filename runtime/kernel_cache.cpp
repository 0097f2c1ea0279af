// An entry is a file <hash of the key>.kernel:
//
//   XXH3-128 of the rest | the key | stages, workspaces, object
//
// It is written under a name of its own in the same directory and then renamed, so that a reader sees all of it or
// none; the checksum is for what a crash or a full disk leaves behind.
#include "runtime/kernel_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <xxhash.h>

#include "runtime/archive.h"
#include "wavetile_build_id.h"

namespace wavetile {
namespace {

constexpr std::string_view kSuffix = ".kernel", kUnfinished = ".new-";
constexpr time_t kAbandoned = 3600;  // seconds after which an unfinished entry has lost its writer
constexpr size_t kHashSize = sizeof(XXH128_canonical_t);

std::string hash_of(std::string_view bytes) {
  XXH128_canonical_t c;
  XXH128_canonicalFromHash(&c, XXH3_128bits(bytes.data(), bytes.size()));
  return {reinterpret_cast<const char*>(c.digest), kHashSize};
}

std::string name_of_entry(std::string_view key) {
  std::string name;
  for (unsigned char c : hash_of(key)) name += fmt::format("{:02x}", c);
  return name.append(kSuffix);
}

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() { close(); }
  File(const File&) = delete;
  int fd() const { return fd_; }
  bool close() { return fd_ < 0 || ::close(std::exchange(fd_, -1)) == 0; }

 private:
  int fd_;
};

bool is_ours(const struct stat& s) { return s.st_uid == geteuid() && (s.st_mode & (S_IWGRP | S_IWOTH)) == 0; }

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

// Null: no cache is wanted; empty: there is no place for one.
std::optional<std::string> directory_of(const CacheOptions& options) {
  if (!options.directory.empty()) return options.directory;
  auto variable = [](const char* name) {
    const char* v = secure_getenv(name);
    return std::string(v ? v : "");
  };
  if (secure_getenv("WAVETILE_CACHE_DIR")) {
    std::string own = variable("WAVETILE_CACHE_DIR");
    return own.empty() ? std::nullopt : std::optional(own);
  }
  if (std::string xdg = variable("XDG_CACHE_HOME"); xdg.starts_with('/')) return xdg + "/wavetile";
  if (std::string home = variable("HOME"); home.starts_with('/')) return home + "/.cache/wavetile";
  return "";
}

struct Timer {
  explicit Timer(std::atomic<double>& sum) : sum(sum) {}
  ~Timer() { sum += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); }
  std::atomic<double>& sum;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
};

}  // namespace

std::string kernel_key(const Graph& g, const Signature& sig, const Schedule& s) {
  return archive::Writer()(g, sig, s).take();
}

KernelCache::KernelCache(const CacheOptions& options, const Target& target)
    : target_(archive::Writer()(std::string(kBuildId), identity_of(target), caps_of(target)).take()),
      limit_(options.limit) {
  if (options.enabled) open(options);
}

KernelCache::~KernelCache() {
  if (directory_ >= 0) close(directory_);
}

void KernelCache::open(const CacheOptions& options) {
  auto path = directory_of(options);
  if (!path) return;
  path_ = *path;
  if (path_.empty())
    return note("there is no place to keep compiled kernels: set HOME, or WAVETILE_CACHE_DIR to a directory");
  for (size_t end = 0; end != std::string::npos;) {  // each folder on the way; what exists stays as it is
    end = path_.find('/', end + 1);
    mkdir(path_.substr(0, end).c_str(), 0700);
  }
  int fd = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return note(
        fmt::format("{}: {}; set WAVETILE_CACHE_DIR to a directory that can be written", path_, std::strerror(errno)));
  struct stat s;
  if (fstat(fd, &s) != 0 || !is_ours(s)) {
    close(fd);
    return note(
        fmt::format("{}: it belongs to another user, or others may write to it, so code in it is not to be "
                    "trusted; set WAVETILE_CACHE_DIR to a directory that only you can write to",
                    path_));
  }
  directory_ = fd;
}

void KernelCache::note(const std::string& what) {
  std::lock_guard lock(mutex_);
  if (problem_.empty()) problem_ = what;
}

CacheStats KernelCache::stats() const {
  std::lock_guard lock(mutex_);
  return {hits_, misses_, seconds_, problem_};
}

// The bytes of an entry behind its checksum; empty where it cannot be used.
std::string KernelCache::read(const std::string& name) const {
  // O_NONBLOCK: a pipe of that name must hold nobody up.
  File f(openat(directory_, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  struct stat s;
  if (f.fd() < 0 || fstat(f.fd(), &s) != 0 || !S_ISREG(s.st_mode) || !is_ours(s)) return {};
  auto size = static_cast<size_t>(s.st_size);
  if (size <= kHashSize || size > limit_) return {};
  std::string bytes(size, 0);
  for (size_t done = 0; done < size;) {
    ssize_t n = ::read(f.fd(), bytes.data() + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return {};
    done += static_cast<size_t>(n);
  }
  std::string sum = bytes.substr(0, kHashSize);
  bytes.erase(0, kHashSize);
  if (hash_of(bytes) != sum) return {};
  futimens(f.fd(), nullptr);  // used now; on a read-only disk it stays as old as it was
  return bytes;
}

std::optional<CompiledKernel> KernelCache::find(const std::string& key, const Graph& g, const Signature& sig,
                                                const Schedule& s) {
  if (directory_ < 0) return {};
  Timer timer(seconds_);
  std::string full = target_ + key;
  try {
    std::string bytes = read(name_of_entry(full)), kept;
    archive::Reader reader(bytes, g.loc);
    CompiledKernel k{g.name, g, sig, s, {}, {}, {}};
    reader(kept);
    if (kept == full) {
      reader(k.stages, k.workspaces, k.object);
      if (reader.done()) {
        ++hits_;
        return k;
      }
    }
  } catch (const archive::Broken&) {
  }
  ++misses_;
  return {};
}

void KernelCache::store(const std::string& key, const CompiledKernel& k) {
  if (directory_ < 0) return;
  Timer timer(seconds_);
  std::string full = target_ + key, rest = archive::Writer()(full, k.stages, k.workspaces, k.object).take();
  write(name_of_entry(full), hash_of(rest) + rest);
  evict();
}

void KernelCache::write(const std::string& name, const std::string& bytes) {
  if (bytes.size() > limit_) return;
  std::random_device random;
  std::string unfinished = fmt::format("{}{}-{:08x}{:08x}", kUnfinished, getpid(), random(), random());
  File f(openat(directory_, unfinished.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (f.fd() >= 0 && write_all(f.fd(), bytes) && f.close() &&
      renameat(directory_, unfinished.c_str(), directory_, name.c_str()) == 0)
    return;
  note(
      fmt::format("{}: cannot keep compiled kernels: {}; free some space, or set WAVETILE_CACHE_DIR to a directory "
                  "that can be written",
                  path_, std::strerror(errno)));
  unlinkat(directory_, unfinished.c_str(), 0);
}

// Several processes may be at this at once: a file that is gone already is as good as removed.
void KernelCache::evict() {
  struct Entry {
    timespec used;
    uint64_t bytes;
    std::string name;
  };
  std::vector<Entry> entries;
  uint64_t sum = 0;
  int fd = openat(directory_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* listing = fd < 0 ? nullptr : fdopendir(fd);
  if (!listing) {
    if (fd >= 0) close(fd);
    return;
  }
  while (dirent* d = readdir(listing)) {
    std::string name = d->d_name;
    struct stat s;
    bool unfinished = name.starts_with(kUnfinished);
    if ((!unfinished && !name.ends_with(kSuffix)) || fstatat(directory_, name.c_str(), &s, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(s.st_mode))
      continue;
    if (unfinished) {
      if (time(nullptr) - s.st_mtime > kAbandoned) unlinkat(directory_, name.c_str(), 0);
      continue;
    }
    entries.push_back({s.st_mtim, static_cast<uint64_t>(s.st_size), name});
    sum += entries.back().bytes;
  }
  closedir(listing);
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.used.tv_sec, a.used.tv_nsec) < std::pair(b.used.tv_sec, b.used.tv_nsec);
  });
  for (const Entry& e : entries) {
    if (sum <= limit_) break;
    unlinkat(directory_, e.name.c_str(), 0);
    sum -= e.bytes;
  }
}

}  // namespace wavetile
