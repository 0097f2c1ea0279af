// The pool's contract: every worker once a launch, everything visible after run(), errors instead of deadlocks,
// and no CPU time while idle.
#include "runtime/thread_pool.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdlib>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "dsl/error.h"

namespace wavetile {
namespace {

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

template <class F>
std::string error_text(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

class ThreadPoolTest : public testing::TestWithParam<int> {};

TEST_P(ThreadPoolTest, SharedWorkIsDoneOnceByWhoeverComes) {
  ThreadPool pool(GetParam());
  for (int launch = 0; launch < 2000; ++launch) {
    std::vector<int> calls(static_cast<size_t>(pool.size()), 0), done(64, 0);
    std::atomic<int> next{0};
    pool.share([&](int worker) {
      ++calls[static_cast<size_t>(worker)];
      for (int i; (i = next.fetch_add(1)) < 64;) ++done[static_cast<size_t>(i)];
    });
    ASSERT_EQ(calls[0], 1);
    for (int c : calls) ASSERT_LE(c, 1);
    for (int d : done) ASSERT_EQ(d, 1) << "launch " << launch;  // plain writes: all are visible after share()
    if (launch % 16 == 0) pool.run([&](int) {});                // everybody still comes when everybody is asked for
  }
}

TEST_P(ThreadPoolTest, EveryWorkerRunsOnceALaunch) {
  ThreadPool pool(GetParam());
  ASSERT_EQ(pool.size(), GetParam());
  std::vector<int> calls(pool.size(), 0);  // plain ints: run() itself must order the launches
  const int launches = pool.size() > 8 ? 300 : 3000;
  for (int i = 1; i <= launches; ++i) {
    pool.run([&](int worker) { ++calls[worker]; });
    for (int worker = 0; worker < pool.size(); ++worker) ASSERT_EQ(calls[worker], i) << "worker " << worker;
  }
}

TEST_P(ThreadPoolTest, CallerIsWorkerZero) {
  ThreadPool pool(GetParam());
  std::vector<std::thread::id> ids(pool.size());
  pool.run([&](int worker) { ids[worker] = std::this_thread::get_id(); });
  EXPECT_EQ(ids[0], std::this_thread::get_id());
  for (int worker = 1; worker < pool.size(); ++worker) EXPECT_NE(ids[worker], ids[0]);
}

TEST_P(ThreadPoolTest, LaunchSeesWhatTheLastOneWrote) {
  ThreadPool pool(GetParam());
  const int n = pool.size();
  std::vector<int> from(n), to(n);
  std::iota(from.begin(), from.end(), 0);
  for (int i = 0; i < 500; ++i) {  // rotate by one place a launch: each worker reads what another wrote
    pool.run([&](int worker) { to[worker] = from[(worker + 1) % n]; });
    std::swap(from, to);
  }
  for (int worker = 0; worker < n; ++worker) EXPECT_EQ(from[worker], (worker + 500) % n);
}

TEST_P(ThreadPoolTest, ParallelForCoversEachIndexOnce) {
  ThreadPool pool(GetParam());
  for (std::int64_t n : {0, 1, 2, 7, 64, 1000, 4099}) {
    for (std::int64_t grain : {1, 3, 64, 100000}) {
      std::vector<int> hits(n, 0);
      pool.parallel_for(n, grain, [&](std::int64_t begin, std::int64_t end, int worker) {
        ASSERT_EQ(begin % grain, 0);
        ASSERT_LE(end - begin, grain);
        ASSERT_LT(worker, pool.size());
        for (std::int64_t i = begin; i < end; ++i) ++hits[i];
      });
      for (std::int64_t i = 0; i < n; ++i) ASSERT_EQ(hits[i], 1) << i << " of " << n << ", grain " << grain;
    }
  }
}

TEST_P(ThreadPoolTest, ExceptionReachesTheCallerAndThePoolLivesOn) {
  ThreadPool pool(GetParam());
  std::vector<int> calls(pool.size(), 0);
  for (int thrower = 0; thrower < pool.size(); ++thrower) {
    const std::string text = error_text([&] {
      pool.run([&](int worker) {
        ++calls[worker];
        if (worker == thrower) throw Error("from worker " + std::to_string(worker));
      });
    });
    EXPECT_EQ(text, "from worker " + std::to_string(thrower));
  }
  EXPECT_THROW(pool.run([](int) { throw std::runtime_error("all of them"); }), std::runtime_error);
  pool.run([&](int worker) { ++calls[worker]; });
  for (int count : calls) EXPECT_EQ(count, pool.size() + 1);
}

TEST_P(ThreadPoolTest, NestedLaunchIsAnErrorFromEveryWorker) {
  ThreadPool pool(GetParam());
  for (int nester = 0; nester < pool.size(); ++nester) {
    const std::string text = error_text([&] {
      pool.run([&](int worker) {
        if (worker == nester) pool.parallel_for(10, 1, [](std::int64_t, std::int64_t, int) {});
      });
    });
    EXPECT_NE(text.find("a launch may not start another"), std::string::npos) << text;
  }
  ThreadPool other(2);
  std::atomic<int> calls{0};
  pool.run([&](int worker) {
    if (worker == 0) other.run([&](int) { ++calls; });
  });
  EXPECT_EQ(calls, 2);
}

INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolTest, testing::Values(1, 2, 3, 4, 16));  // 16: more than most CPUs have

TEST(ThreadPool, SecondLauncherIsAnError) {
  ThreadPool pool(1);
  pool.run([&](int) {
    std::thread([&] {
      EXPECT_NE(error_text([&] { pool.run([](int) {}); }).find("nor may two threads"), std::string::npos);
    }).join();
  });
}

TEST(ThreadPool, BadArgumentsNameTheirValue) {
  EXPECT_NE(error_text([] { ThreadPool pool(0); }).find("0 threads asked for"), std::string::npos);
  EXPECT_NE(error_text([] { ThreadPool pool(-3); }).find("-3 threads asked for"), std::string::npos);
  ThreadPool pool(2);
  const auto nothing = [](std::int64_t, std::int64_t, int) {};
  EXPECT_NE(error_text([&] { pool.parallel_for(-1, 1, nothing); }).find("n = -1"), std::string::npos);
  EXPECT_NE(error_text([&] { pool.parallel_for(5, 0, nothing); }).find("grain = 0"), std::string::npos);
}

TEST(ThreadPool, PoolsComeAndGo) {
  for (int i = 0; i < 100; ++i) {
    ThreadPool pool(1 + i % 4);
    if (i % 2 == 0) pool.run([](int) {});
  }
}

TEST(ThreadPool, WakesAfterSleeping) {
  ThreadPool pool(3);
  std::vector<int> calls(3, 0);
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    pool.run([&](int worker) {
      ++calls[worker];
      if (worker == i % 3) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // the others' join sleeps too
    });
  }
  for (int count : calls) EXPECT_EQ(count, 20);
}

TEST(ThreadPool, IdleWorkersUseNoCpuTime) {
  ThreadPool pool(4);
  pool.run([](int) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const double before = cpu_seconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_LT(cpu_seconds() - before, 0.1);  // workers that spin would use up to 0.9 s
}

TEST(ThreadPool, AvailableCpusIsPositive) { EXPECT_GE(available_cpus(), 1); }

}  // namespace
}  // namespace wavetile
