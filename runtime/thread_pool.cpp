// Invariant: fn and ctx of a launch are read by workers that have entered its gate, and the launch ends only when all
// of those have finished; a worker that comes later finds the gate closed. Only the thread inside launch() changes
// them.
#include "runtime/thread_pool.h"

#include <sched.h>

#include <chrono>
#include <string>
#include <system_error>

#include "dsl/error.h"

namespace wavetile {
namespace {

// Longer than the gap between the launches of a decode step, shorter than anyone notices as load. Waking a
// sleeping thread costs 5 to 50 µs.
constexpr std::chrono::microseconds kSpin(100);

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

template <class Done>
void spin_until(Done done) {
  if (done()) return;
  const auto deadline = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 64; ++i) {
      if (done()) return;
      pause();
    }
    std::this_thread::yield();  // the thread waited for may be on this CPU
  } while (std::chrono::steady_clock::now() < deadline);
}

}  // namespace

int available_cpus() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));  // more CPUs than cpu_set_t holds
}

ThreadPool::ThreadPool(int threads) {
  if (threads < 1) {
    throw Error("thread pool: " + std::to_string(threads) +
                " threads asked for; ask for at least 1 (this process may " + "use " +
                std::to_string(available_cpus()) + " CPUs)");
  }
  spin_ = threads <= available_cpus();
  try {
    threads_.reserve(threads - 1);
    for (int worker = 1; worker < threads; ++worker) threads_.emplace_back(&ThreadPool::work, this, worker);
  } catch (const std::exception& e) {
    const std::string started = std::to_string(size());
    stop();
    throw Error("thread pool: the system gave " + started + " of " + std::to_string(threads) + " threads (" + e.what() +
                "); ask for fewer threads or raise the limit (ulimit -u)");
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  publish(nullptr, nullptr);
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::check_range(std::int64_t n, std::int64_t grain) {
  if (n >= 0 && grain >= 1) return;
  throw Error("thread pool: parallel_for over n = " + std::to_string(n) + " with grain = " + std::to_string(grain) +
              "; n must be at least 0 and grain at least 1");
}

void ThreadPool::publish(void (*fn)(void*, int), void* ctx) {
  launch_.fn = fn;
  launch_.ctx = ctx;
  arrivals_.workers.store(0, std::memory_order_relaxed);
  const std::uint32_t epoch = launch_.epoch.load(std::memory_order_relaxed) + 1;
  launch_.gate.store(std::uint64_t{epoch} << 32 | kOpen, std::memory_order_release);
  // Sequentially consistent: notify_all() must not look for sleepers before the new epoch is visible.
  launch_.epoch.store(epoch);
  launch_.epoch.notify_all();
}

void ThreadPool::launch(void (*fn)(void*, int), void* ctx, bool everyone) {
  if (running_.exchange(true, std::memory_order_acquire)) {
    throw Error(
        "thread pool: a launch is already running on this pool; a launch may not start another (nor may two threads "
        "launch at once): start it after the first has returned, or on a pool of its own");
  }
  publish(fn, ctx);
  call(0);
  if (everyone) join(static_cast<std::uint32_t>(threads_.size()));
  const std::uint64_t gate = launch_.gate.fetch_and(~kOpen, std::memory_order_acq_rel);
  join(static_cast<std::uint32_t>(gate & (kOpen - 1)));
  std::exception_ptr error;
  if (arrivals_.failed.load(std::memory_order_relaxed)) {
    error = std::move(arrivals_.error);
    arrivals_.error = nullptr;
    arrivals_.failed.store(false, std::memory_order_relaxed);
  }
  running_.store(false, std::memory_order_release);
  if (error) std::rethrow_exception(error);
}

void ThreadPool::call(int worker) noexcept {
  try {
    launch_.fn(launch_.ctx, worker);
  } catch (...) {
    if (!arrivals_.failed.exchange(true, std::memory_order_relaxed)) arrivals_.error = std::current_exception();
  }
}

bool ThreadPool::enter(std::uint32_t epoch) {
  std::uint64_t gate = launch_.gate.load(std::memory_order_acquire);
  while (gate >> 32 == epoch && (gate & kOpen))
    if (launch_.gate.compare_exchange_weak(gate, gate + 1, std::memory_order_acquire)) return true;
  return false;
}

void ThreadPool::work(int worker) {
  for (std::uint32_t seen = 0;;) {
    if (spin_) spin_until([&] { return launch_.epoch.load(std::memory_order_relaxed) != seen; });
    launch_.epoch.wait(seen, std::memory_order_acquire);
    seen = launch_.epoch.load(std::memory_order_acquire);
    if (!enter(seen)) continue;
    if (launch_.fn == nullptr) return;
    call(worker);
    arrivals_.workers.fetch_add(1);
    arrivals_.workers.notify_one();
  }
}

void ThreadPool::join(std::uint32_t workers) {
  std::atomic<std::uint32_t>& done = arrivals_.workers;
  if (spin_) spin_until([&] { return done.load(std::memory_order_relaxed) == workers; });
  for (std::uint32_t now; (now = done.load(std::memory_order_acquire)) != workers;) done.wait(now);
}

}  // namespace wavetile
