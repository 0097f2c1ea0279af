// Compiled kernels on disk. Whatever happens to the directory, a kernel that is found is the one that compilation
// would give: an entry holds the whole key (graph, signature, schedule, target, versions of LLVM and of Wavetile's own
// code) beside the machine code and a checksum, and anything that does not fit is not there.
//
// Entries hold code that will be run: a directory or an entry that belongs to another user, or that others may write
// to, is not used.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <string>

#include "codegen/compile.h"

namespace wavetile {

struct CacheOptions {
  bool enabled = true;
  /// Made if need be, for its owner alone. Empty: $WAVETILE_CACHE_DIR (set and empty: no cache), else
  /// $XDG_CACHE_HOME/wavetile, else ~/.cache/wavetile.
  std::string directory = {};
  /// Bytes of all entries; what was not used for longest goes first.
  uint64_t limit = uint64_t{256} << 20;
};

struct CacheStats {
  int hits = 0, misses = 0;
  double seconds = 0;   // reading and writing, added up over threads
  std::string problem;  // why kernels could not be kept or found, with the path and what to do; empty: nothing
};

/// What makes a kernel the same on one target.
std::string kernel_key(const Graph& g, const Signature& sig, const Schedule& s);

/// Of one target. Safe to be used from several threads, and by several processes at a time.
class KernelCache {
 public:
  KernelCache(const CacheOptions& options, const Target& target);
  ~KernelCache();
  KernelCache(const KernelCache&) = delete;

  /// The kernel that was kept under a key, with the graph, signature and schedule that the key was made of.
  std::optional<CompiledKernel> find(const std::string& key, const Graph& g, const Signature& sig, const Schedule& s);
  /// Keeps a kernel. Where that fails stats() says why.
  void store(const std::string& key, const CompiledKernel& k);
  CacheStats stats() const;

 private:
  void open(const CacheOptions& options);
  std::string read(const std::string& name) const;
  void write(const std::string& name, const std::string& bytes);
  void evict();
  void note(const std::string& what);

  std::string path_, target_;
  int directory_ = -1;
  uint64_t limit_;
  std::atomic<int> hits_{0}, misses_{0};
  std::atomic<double> seconds_{0};
  mutable std::mutex mutex_;
  std::string problem_;
};

}  // namespace wavetile
