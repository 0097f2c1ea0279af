// What this machine can do at best, measured in this process: every figure of the benchmarks is also given as a
// share of one of these. A probe is a ceiling, so each tries several loops and reports the fastest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/thread_pool.h"

namespace wavetile {

/// Repeated measurements of one quantity, in the unit that the probe states.
struct Measurement {
  double median = 0;
  double lowest = 0;   // of the repetitions
  double highest = 0;  // of the repetitions
  int repetitions = 0;
  std::string loop;  // the loop that won, such as "avx2, 4 streams, prefetch"
};

struct MachineOptions {
  std::size_t read_bytes = std::size_t{1} << 30;  // size of the buffer that read_bandwidth() reads; at least 64 KiB
  double compute_seconds = 0.005;                 // length of one repetition of a compute peak
  int launches = 1000;                            // launches in one repetition of launch_overhead()
  int repetitions = 11;
};

/// The probes. Each can be called again at any time, for instance interleaved with what it is compared with: the
/// buffer, the threads and the choice of the fastest loops are kept. All throw Error if the threads or the memory
/// cannot be had. Not for use by two threads at once.
class MachineLimits {
 public:
  explicit MachineLimits(MachineOptions options = {});

  /// GB/s (1e9 bytes) at which `threads` threads together read the buffer from memory, each its own part. The first
  /// call for a number of threads tries every loop; later calls repeat the three best.
  Measurement read_bandwidth(int threads);

  /// GFLOP/s (a multiply-add counts as two) of f32 in registers, all threads together.
  Measurement peak_f32(int threads);

  /// GFLOP/s of bf16 dot products with f32 sums (AVX512-BF16); nullopt where the CPU has no such instruction.
  std::optional<Measurement> peak_bf16_dot(int threads);

  /// GOP/s (a multiply-add counts as two) of u8 x i8 dot products with i32 sums (AVX512-VNNI or AVX-VNNI); nullopt
  /// where the CPU has no such instruction.
  std::optional<Measurement> peak_i8_dot(int threads);

  /// Microseconds from the start of an empty ThreadPool launch to its return, while the workers are awake.
  Measurement launch_overhead(int threads);

  /// A loop that reads the `bytes` at `data` in whole rounds over its streams, adds what it read to `sum` as 64-bit
  /// words, and returns the number of bytes read.
  struct Reader {
    std::string name;
    std::size_t (*read)(const std::byte* data, std::size_t bytes, std::uint64_t& sum);
  };

  /// A loop of `rounds` rounds of `ops_per_round` operations; returns something that depends on all of them.
  struct Compute {
    std::string name;
    double ops_per_round;
    float (*compute)(std::int64_t rounds);
  };

 private:
  struct Unmap {
    std::size_t bytes;
    void operator()(std::byte* data) const;
  };

  ThreadPool& pool(int threads);
  void allocate(ThreadPool& pool);
  std::byte* aligned() const;  // start of the buffer's first huge page
  double read_once(const Reader& reader, ThreadPool& pool);
  std::optional<Measurement> peak(const std::vector<Compute>& loops, int threads);

  MachineOptions options_;
  std::map<int, std::unique_ptr<ThreadPool>> pools_;
  std::unique_ptr<std::byte[], Unmap> buffer_{nullptr, Unmap{0}};
  std::map<int, std::vector<Reader>> best_readers_;  // by number of threads
};

/// The name of the CPU as the system gives it, or "unknown CPU".
std::string cpu_name();

}  // namespace wavetile
