// Fork-join over a fixed set of threads. One launch at a time: run() returns when every worker has
// returned, so whatever a launch wrote is visible to the caller and to the next launch.
//
//   caller = worker 0   --- run ---+--- fn(0) ---+--- join ---
//   worker 1..N-1       -- wait ---+--- fn(w) ---+--- wait ---   (spin a while, then sleep in the kernel)
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace wavetile {

/// The number of CPUs that this process may run on (its affinity mask, as set by taskset or a container).
int available_cpus();

/// N workers, of which the thread that calls run() is number 0. Threads start in the constructor and stop in the
/// destructor. An idle pool costs no CPU time: after about 100 µs without work its threads sleep. With more threads
/// than CPUs they sleep at once, since a spinning thread would hold the CPU that another one needs.
class ThreadPool {
 public:
  /// Throws Error if `threads` < 1 or the system cannot start as many.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(threads_.size()) + 1; }

  /// Calls fn(ctx, worker) once for each worker in [0, size()), all at the same time, and returns when all have
  /// returned. The first exception thrown by a worker is rethrown here, after the others have finished.
  /// Throws Error if a launch is already running on this pool.
  void run(void (*fn)(void* ctx, int worker), void* ctx) { launch(fn, ctx, true); }

  /// The same for a callable f(int worker).
  template <class F>
  void run(F&& f) {
    run([](void* ctx, int worker) { (*static_cast<std::remove_reference_t<F>*>(ctx))(worker); }, erase(f));
  }

  /// Calls f(0) here, and f(worker) in every other worker that comes along before that returns: for work that any of
  /// them can finish alone. A worker that the system does not run holds nobody up. Otherwise as run().
  template <class F>
  void share(F&& f) {
    launch([](void* ctx, int worker) { (*static_cast<std::remove_reference_t<F>*>(ctx))(worker); }, erase(f), false);
  }

  /// Calls f(int64_t begin, int64_t end, int worker) over consecutive pieces of [0, n), each `grain` long except the
  /// last; workers take the next piece as they become free. Which worker gets which piece differs from call to call.
  /// Throws Error if n < 0 or grain < 1, and as run() does.
  template <class F>
  void parallel_for(std::int64_t n, std::int64_t grain, F&& f) {
    check_range(n, grain);
    if (n == 0) return;
    grain = std::min(grain, n);
    Counter counter;  // of this launch alone, so that a refused nested launch cannot disturb the one that runs
    run([&](int worker) {
      for (;;) {
        const std::int64_t begin = counter.next.fetch_add(grain, std::memory_order_relaxed);
        if (begin >= n) return;
        f(begin, std::min(begin + grain, n), worker);
      }
    });
  }

 private:
  static constexpr std::size_t kCacheLine = 64;

  struct alignas(kCacheLine) Counter {
    std::atomic<std::int64_t> next{0};
  };

  /// What the workers poll, on one cache line: a launch reaches a worker with a single miss. `gate` says who may still
  /// come: epoch << 32 | open << 31 | workers that have entered.
  struct alignas(kCacheLine) Launch {
    std::atomic<std::uint32_t> epoch{0};  // launches published so far; wraps
    std::atomic<std::uint64_t> gate{0};
    void (*fn)(void*, int) = nullptr;  // null: stop
    void* ctx = nullptr;
  };
  static constexpr std::uint64_t kOpen = std::uint64_t{1} << 31;

  struct alignas(kCacheLine) Arrivals {
    std::atomic<std::uint32_t> workers{0};  // that have finished this launch
    std::atomic<bool> failed{false};
    std::exception_ptr error;
  };

  template <class F>
  static void* erase(F& f) {
    return const_cast<void*>(static_cast<const void*>(std::addressof(f)));
  }

  static void check_range(std::int64_t n, std::int64_t grain);
  void launch(void (*fn)(void*, int), void* ctx, bool everyone);
  void publish(void (*fn)(void*, int), void* ctx);
  void work(int worker);
  void call(int worker) noexcept;
  bool enter(std::uint32_t epoch);
  void join(std::uint32_t workers);
  void stop();

  Launch launch_;
  Arrivals arrivals_;
  alignas(kCacheLine) std::atomic<bool> running_{false};
  bool spin_ = true;  // false when there are more threads than CPUs
  std::vector<std::thread> threads_;
};

}  // namespace wavetile
