// Invariant: the clock runs only while every worker is awake and inside a launch, and each reader's sum is checked,
// so that a figure stands for work that was done.
#include "bench/machine.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <fstream>
#include <utility>

#include "bench/machine_loops.h"
#include "dsl/error.h"

namespace wavetile {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kMinReadBytes = std::size_t{64} << 10;
constexpr std::uint64_t kWord = 0x0101010101010101;  // what the buffer is filled with
constexpr std::size_t kBestReaders = 3;

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

template <class F>
double time_of(F f) {
  const double start = seconds();
  f();
  return seconds() - start;
}

Measurement summarise(std::vector<double> values, std::string loop) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  const double median = n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
  return {median, values.front(), values.back(), static_cast<int>(n), std::move(loop)};
}

/// Takes `repetitions` values of each of n loops, in turn, so that a disturbance meets all of them.
template <class Once>
std::vector<std::vector<double>> interleave(std::size_t n, int repetitions, Once once) {
  std::vector<std::vector<double>> values(n);
  for (int r = 0; r < repetitions; ++r) {
    for (std::size_t i = 0; i < n; ++i) values[i].push_back(once(i));
  }
  return values;
}

bool slower(const Measurement& a, const Measurement& b) { return a.median < b.median; }

/// Worker's part of the buffer, in whole pages of 4 KiB so that parts share no cache line.
std::pair<std::size_t, std::size_t> part(std::size_t bytes, int worker, int workers) {
  constexpr std::size_t kPage = 4096;
  const std::size_t pages = bytes / kPage;
  return {pages * worker / workers * kPage, pages * (worker + 1) / workers * kPage};
}

}  // namespace

void MachineLimits::Unmap::operator()(std::byte* data) const { munmap(data, bytes); }

MachineLimits::MachineLimits(MachineOptions options) : options_(options) {
  if (options_.read_bytes < kMinReadBytes) {
    throw Error("machine probe: read_bytes = " + std::to_string(options_.read_bytes) + "; give at least " +
                std::to_string(kMinReadBytes) + ", and more than the caches hold to measure memory");
  }
  if (options_.repetitions < 1 || options_.launches < 1 || !(options_.compute_seconds > 0)) {
    throw Error("machine probe: repetitions = " + std::to_string(options_.repetitions) +
                ", launches = " + std::to_string(options_.launches) +
                ", compute_seconds = " + std::to_string(options_.compute_seconds) + "; all must be positive");
  }
}

ThreadPool& MachineLimits::pool(int threads) {
  std::unique_ptr<ThreadPool>& pool = pools_[threads];
  if (!pool) pool = std::make_unique<ThreadPool>(threads);
  return *pool;
}

void MachineLimits::allocate(ThreadPool& pool) {
  if (buffer_) return;
  // A page more than asked for, so that the buffer can start at a huge page.
  const std::size_t mapped = options_.read_bytes + kHugePage;
  void* const data = mapped < kHugePage
                         ? MAP_FAILED  // the sum wrapped
                         : mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) {
    throw Error("machine probe: cannot allocate a buffer of " + std::to_string(options_.read_bytes) +
                " bytes; ask for a smaller read_bytes or free memory");
  }
  buffer_ = {static_cast<std::byte*>(data), Unmap{mapped}};
  madvise(data, mapped, MADV_HUGEPAGE);  // advice: without it the figure is lower, and still right
  // Each worker writes its part first, which places the pages near it.
  pool.run([&](int worker) {
    const auto [begin, end] = part(options_.read_bytes, worker, pool.size());
    std::memset(aligned() + begin, 1, end - begin);
  });
}

std::byte* MachineLimits::aligned() const {
  const auto address = reinterpret_cast<std::uintptr_t>(buffer_.get());
  return buffer_.get() + ((address + kHugePage - 1) / kHugePage * kHugePage - address);
}

double MachineLimits::read_once(const Reader& reader, ThreadPool& pool) {
  struct alignas(64) Result {
    std::size_t bytes = 0;
    std::uint64_t sum = 0;
  };
  std::vector<Result> results(pool.size());
  pool.run([](int) {});  // wakes the workers
  const double time = time_of([&] {
    pool.run([&](int worker) {
      const auto [begin, end] = part(options_.read_bytes, worker, pool.size());
      results[worker].bytes = reader.read(aligned() + begin, end - begin, results[worker].sum);
    });
  });
  std::size_t bytes = 0;
  for (const Result& r : results) {
    bytes += r.bytes;
    if (r.sum != r.bytes / sizeof(kWord) * kWord) throw InternalError("machine probe: wrong sum from " + reader.name);
  }
  return 1e-9 * static_cast<double>(bytes) / time;
}

Measurement MachineLimits::read_bandwidth(int threads) {
  ThreadPool& workers = pool(threads);
  allocate(workers);
  std::vector<Reader>& best = best_readers_[threads];
  const auto measure = [&](int repetitions) {
    const auto values =
        interleave(best.size(), repetitions, [&](std::size_t i) { return read_once(best[i], workers); });
    std::vector<Measurement> found;
    for (std::size_t i = 0; i < best.size(); ++i) found.push_back(summarise(values[i], best[i].name));
    return found;
  };
  if (best.empty()) {
    best = readers();
    std::vector<Measurement> found = measure(3);
    std::sort(found.rbegin(), found.rend(), slower);
    found.resize(std::min(found.size(), kBestReaders));
    const auto is_slow = [&](const Reader& reader) {
      return std::none_of(found.begin(), found.end(), [&](const Measurement& m) { return m.loop == reader.name; });
    };
    best.erase(std::remove_if(best.begin(), best.end(), is_slow), best.end());
  }
  const std::vector<Measurement> found = measure(options_.repetitions);
  return *std::max_element(found.begin(), found.end(), slower);
}

std::optional<Measurement> MachineLimits::peak(const std::vector<Compute>& loops, int threads) {
  if (loops.empty()) return std::nullopt;
  ThreadPool& workers = pool(threads);
  struct alignas(64) Result {
    float value = 0;
  };
  std::vector<Result> results(threads);  // keeps the loops from being optimised away
  const auto time_rounds = [&](const Compute& loop, std::int64_t rounds) {
    workers.run([](int) {});  // wakes the workers
    return time_of([&] { workers.run([&](int worker) { results[worker].value = loop.compute(rounds); }); });
  };
  std::vector<std::int64_t> rounds;
  for (const Compute& loop : loops) {
    std::int64_t n = 1000;
    double time = time_rounds(loop, n);
    // The least of three: a calibration that was preempted would leave too little to measure.
    for (; time < options_.compute_seconds / 4;
         time = std::min({time_rounds(loop, n), time_rounds(loop, n), time_rounds(loop, n)}))
      n *= 2;
    rounds.push_back(std::max<std::int64_t>(1, std::llround(static_cast<double>(n) * options_.compute_seconds / time)));
  }
  const auto values = interleave(loops.size(), options_.repetitions, [&](std::size_t i) {
    const double ops = loops[i].ops_per_round * static_cast<double>(rounds[i]) * threads;
    return 1e-9 * ops / time_rounds(loops[i], rounds[i]);
  });
  std::vector<Measurement> found;
  for (std::size_t i = 0; i < loops.size(); ++i) found.push_back(summarise(values[i], loops[i].name));
  return *std::max_element(found.begin(), found.end(), slower);
}

Measurement MachineLimits::peak_f32(int threads) { return *peak(f32_loops(), threads); }
std::optional<Measurement> MachineLimits::peak_bf16_dot(int threads) { return peak(bf16_dot_loops(), threads); }
std::optional<Measurement> MachineLimits::peak_i8_dot(int threads) { return peak(i8_dot_loops(), threads); }

Measurement MachineLimits::launch_overhead(int threads) {
  ThreadPool& workers = pool(threads);
  const auto values = interleave(1, options_.repetitions, [&](std::size_t) {
    workers.run([](int) {});  // wakes the workers
    const double time = time_of([&] {
      for (int i = 0; i < options_.launches; ++i) workers.run([](int) {});
    });
    return 1e6 * time / options_.launches;
  });
  return summarise(values[0], "empty launch");
}

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown CPU";
}

}  // namespace wavetile
