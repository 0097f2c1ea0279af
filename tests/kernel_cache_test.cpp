// Kernels on disk: whatever was done to the directory, what runs is the kernel asked for, and nothing fails.
#include "runtime/kernel_cache.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>
#include <vector>

#include "runtime/archive.h"
#include "runtime/compiler.h"
#include "runtime/program.h"
#include "tests/support/child.h"

namespace wavetile {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// Y[row] = factor * (sum of X[row,:]); the sum can be split: two stages and a workspace.
Kernel scaled_sum(double factor) {
  return Kernel("scaled_sum", {"X", "Y"}, [=](Tensor<f32> X, Tensor<f32> Y) {
    Range row = parallel("row", X.dim(0));
    Tile s = fold(serial("k", X.dim(1)), fill(0, row), [=](Range k, Tile acc) { return acc + sum(X(row, k), k); });
    Y(row) = s * factor;
  });
}

constexpr int64_t kRows = 5, kColumns = 37;
const Schedule kSplit{.tile = {{"row", 2}, {"k", 8}}, .split = {{"k", 3}}};

DevicePtr device() {
  static DevicePtr d = Device::open("cpu", {.threads = 1, .level = {}});
  return d;
}

Signature signature() {
  auto spec = [](std::vector<std::optional<int64_t>> extents, std::vector<std::optional<int64_t>> strides) {
    return TensorSpec{DType::f32, std::move(extents), std::move(strides), 16};
  };
  return {spec({kRows, kColumns}, {kColumns, 1}), spec({kRows}, {1})};
}

// Whether the kernel computes what it should.
bool works(const ModulePtr& m, double factor) {
  BufferPtr x = device()->allocate(kRows * kColumns * 4), y = device()->allocate(kRows * 4);
  std::vector<float> in(kRows * kColumns), out(kRows);
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i % 11) - 3;
  device()->write(*x, 0, in.data(), in.size() * 4);
  Program p(device());
  p.add(m, {x->view(DType::f32, {kRows, kColumns}), y->view(DType::f32, {kRows})});
  p.run();
  device()->read(out.data(), *y, 0, out.size() * 4);
  for (size_t row = 0; row < kRows; ++row) {
    float sum = 0;  // of small integers: exact in any order
    for (size_t k = 0; k < kColumns; ++k) sum += in[row * kColumns + k];
    if (out[row] != sum * static_cast<float>(factor)) return false;
  }
  return true;
}

struct Outcome {
  bool right = false;
  CacheStats stats;
};
Outcome use(const CacheOptions& options, double factor = 2, const DumpTo& dump = {}) {
  Compiler compiler(device(), dump, options);
  Outcome o;
  o.right = works(compiler.get(scaled_sum(factor), signature(), kSplit), factor);
  o.stats = compiler.cache();
  return o;
}

class KernelCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "wavetile-cache-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
    ASSERT_EQ(chmod(root_.c_str(), 0777), 0);  // nobody's directories go in here too
    options_.directory = root_ / "cache";
  }
  void TearDown() override { fs::remove_all(root_); }

  std::vector<fs::path> entries() const {
    std::vector<fs::path> all;
    for (const auto& e : fs::directory_iterator(options_.directory)) all.push_back(e.path());
    return all;
  }
  static std::string bytes_of(const fs::path& p) {
    std::ifstream in(p, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void put(const fs::path& p, const std::string& bytes) {
    std::ofstream(p, std::ios::binary | std::ios::trunc) << bytes;
  }

  fs::path root_;
  CacheOptions options_;
};

TEST_F(KernelCacheTest, TheSecondTimeItIsFound) {
  Outcome first = use(options_), second = use(options_), other = use(options_, 3);
  EXPECT_TRUE(first.right && second.right && other.right);
  EXPECT_EQ(first.stats.hits, 0);
  EXPECT_EQ(first.stats.misses, 1);
  EXPECT_EQ(second.stats.hits, 1);
  EXPECT_EQ(second.stats.misses, 0);
  EXPECT_GT(second.stats.seconds, 0);
  EXPECT_EQ(other.stats.hits, 0);  // another constant in the kernel
  EXPECT_EQ(other.stats.problem, "");
  struct stat s;
  ASSERT_EQ(stat(options_.directory.c_str(), &s), 0);
  EXPECT_EQ(s.st_mode & 0777, 0700u);
  ASSERT_EQ(entries().size(), 2u);
  ASSERT_EQ(stat(entries()[0].c_str(), &s), 0);
  EXPECT_EQ(s.st_mode & 0777, 0600u);
}

TEST_F(KernelCacheTest, EverythingOfAKernelComesBack) {
  Kernel k = scaled_sum(2);
  KernelCache cache(options_, device()->target());
  CompiledKernel before = compile(k, signature(), kSplit, device()->target());
  std::string key = kernel_key(k.graph(), signature(), kSplit);
  cache.store(key, before);
  auto after = cache.find(key, k.graph(), signature(), kSplit);
  ASSERT_TRUE(after);
  ASSERT_EQ(after->stages.size(), 2u);
  auto text = [](const CompiledKernel& c) {
    return archive::Writer()(c.name, c.graph, c.signature, c.schedule, c.stages, c.workspaces, c.object).take();
  };
  EXPECT_EQ(text(*after), text(before));
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(print(after->stages[i].graph), print(before.stages[i].graph));
  EXPECT_EQ(after->stages[1].graph.ops[0].loc.str(), k.graph().loc.str());
}

TEST_F(KernelCacheTest, AShortArchiveIsBroken) {
  std::string whole = kernel_key(scaled_sum(2).graph(), signature(), kSplit);
  for (size_t n = 0; n <= whole.size(); ++n) {
    Graph g;
    Signature sig;
    Workspace w;
    archive::Reader reader(std::string_view(whole).substr(0, n), {});
    if (n == whole.size())
      EXPECT_NO_THROW(reader(g, sig));
    else
      EXPECT_THROW(reader(g, sig, w, w, w, w, w, w, w, w, w), archive::Broken) << n;
  }
}

TEST_F(KernelCacheTest, TheKeyTellsKernelsApart) {
  Kernel k = scaled_sum(2), same = scaled_sum(2);
  auto key = [&](const Signature& sig, const Schedule& s) { return kernel_key(k.graph(), sig, s); };
  std::string base = key(signature(), kSplit);
  EXPECT_EQ(kernel_key(same.graph(), signature(), kSplit), base);
  EXPECT_NE(kernel_key(scaled_sum(2.0000001).graph(), signature(), kSplit), base);
  Signature sig = signature();
  sig[0].extents[0].reset();
  EXPECT_NE(key(sig, kSplit), base);
  sig = signature();
  sig[1].alignment = 32;
  EXPECT_NE(key(sig, kSplit), base);
  Schedule s = kSplit;
  s.split.clear();
  EXPECT_NE(key(signature(), s), base);
  s = kSplit;
  s.packing = {{"X", {{{1, 16}}}}};
  EXPECT_NE(key(signature(), s), base);
}

TEST_F(KernelCacheTest, AnotherMachineFindsNothing) {
  Kernel k = scaled_sum(2);
  std::string key = kernel_key(k.graph(), signature(), kSplit);
  KernelCache(options_, device()->target()).store(key, compile(k, signature(), kSplit, device()->target()));
  auto found = [&](const Target& t) {
    return KernelCache(options_, t).find(key, k.graph(), signature(), kSplit).has_value();
  };
  EXPECT_TRUE(found(*cpu_target()));
  EXPECT_FALSE(found(*cpu_target("baseline")));
  EXPECT_FALSE(found(*amdgpu_target("gfx1151")));
}

TEST_F(KernelCacheTest, AnAlteredEntryIsNotFound) {
  Kernel k = scaled_sum(2);
  std::string key = kernel_key(k.graph(), signature(), kSplit);
  KernelCache cache(options_, device()->target());
  cache.store(key, compile(k, signature(), kSplit, device()->target()));
  auto found = [&] { return cache.find(key, k.graph(), signature(), kSplit).has_value(); };
  ASSERT_TRUE(found());
  fs::path entry = entries().at(0);
  const std::string whole = bytes_of(entry);
  for (size_t i = 0; i < whole.size(); i += i < 40 ? 1 : 61) {  // the checksum, the key's length, samples of the rest
    std::string bad = whole;
    bad[i] = static_cast<char>(bad[i] ^ (1 << i % 8));
    put(entry, bad);
    ASSERT_FALSE(found()) << "a bit of byte " << i;
    put(entry, whole.substr(0, i));
    ASSERT_FALSE(found()) << i << " bytes";
  }
  put(entry, whole + "x");
  EXPECT_FALSE(found());
  put(entry, whole);
  EXPECT_TRUE(found());
}

TEST_F(KernelCacheTest, EqualHashesOfDifferentKeysDoNotMatter) {
  ASSERT_TRUE(use(options_, 2).right);
  fs::path two = entries().at(0);
  ASSERT_TRUE(use(options_, 3).right);
  fs::path three = entries()[0] == two ? entries()[1] : entries()[0];
  fs::copy_file(two, three, fs::copy_options::overwrite_existing);
  Outcome o = use(options_, 3);
  EXPECT_TRUE(o.right);
  EXPECT_EQ(o.stats.hits, 0);
  EXPECT_EQ(use(options_, 3).stats.hits, 1);  // it was written anew
}

// What may stand where an entry should.
struct Damage {
  const char* name;
  std::function<void(const fs::path& entry)> act;
};
TEST_F(KernelCacheTest, WhatIsNotAnEntryOfOursIsNotFound) {
  const Damage damages[] = {
      {"removed", [](const fs::path& e) { fs::remove(e); }},
      {"empty", [](const fs::path& e) { put(e, ""); }},
      {"other bytes", [](const fs::path& e) { put(e, std::string(5000, 'x')); }},
      {"writable by others", [](const fs::path& e) { chmod(e.c_str(), 0602); }},
      {"writable by the group", [](const fs::path& e) { chmod(e.c_str(), 0620); }},
      {"a link",
       [](const fs::path& e) {
         fs::rename(e, e.string() + ".kept");
         fs::create_symlink(e.string() + ".kept", e);
       }},
      {"a folder",
       [](const fs::path& e) {
         fs::remove(e);
         fs::create_directory(e);
       }},
      {"a pipe",
       [](const fs::path& e) {
         fs::remove(e);
         ASSERT_EQ(mkfifo(e.c_str(), 0600), 0);
       }},
  };
  for (const Damage& d : damages) {
    SCOPED_TRACE(d.name);
    fs::remove_all(options_.directory);
    ASSERT_TRUE(use(options_).right);
    d.act(entries().at(0));
    Outcome o = use(options_);
    EXPECT_TRUE(o.right);
    EXPECT_EQ(o.stats.hits, 0);
    EXPECT_EQ(o.stats.misses, 1);
  }
}

TEST_F(KernelCacheTest, ADirectoryThatCannotBeUsedIsNamed) {
  fs::path file = root_ / "file", shared = root_ / "shared";
  put(file, "x");
  fs::create_directory(shared);
  chmod(shared.c_str(), 0777);
  const std::pair<fs::path, const char*> cases[] = {{file, "Not a directory"},
                                                    {file / "below", "Not a directory"},
                                                    {shared, "others may write"},
                                                    {"/proc/self/no/such", "WAVETILE"},
                                                    {std::string(5000, 'x'), "name too long"}};
  for (const auto& [path, words] : cases) {
    Outcome o = use({.directory = path});
    EXPECT_TRUE(o.right);
    EXPECT_THAT(o.stats.problem, HasSubstr(words));
    EXPECT_THAT(o.stats.problem, HasSubstr(path.string()));
    EXPECT_THAT(o.stats.problem, HasSubstr("WAVETILE_CACHE_DIR"));
  }
}

TEST_F(KernelCacheTest, RightsThatAreMissing) {
  auto child = [&](const char* name, auto f) {
    EXPECT_EQ(in_child([&]() -> std::string {
                if (!drop_rights()) return "cannot become nobody";
                CacheOptions mine{.directory = root_ / name};
                if (Outcome o = use(mine); !o.right || !o.stats.problem.empty()) return "first: " + o.stats.problem;
                return f(mine);
              }),
              "")
        << name;
  };
  child("read-only", [&](const CacheOptions& mine) -> std::string {
    chmod(mine.directory.c_str(), 0500);
    Outcome kept = use(mine), fresh = use(mine, 3);
    if (!kept.right || kept.stats.hits != 1) return "what is there was not found";
    if (!fresh.right || fresh.stats.misses != 1) return "a new kernel";
    return fresh.stats.problem.find("Permission denied") == std::string::npos ? fresh.stats.problem + "?" : "";
  });
  child("unreadable", [&](const CacheOptions& mine) -> std::string {
    chmod(mine.directory.c_str(), 0);
    Outcome o = use(mine);
    return o.right && o.stats.problem.find("Permission denied") != std::string::npos ? "" : o.stats.problem + "?";
  });
  child("an entry that cannot be read", [&](const CacheOptions& mine) -> std::string {
    chmod(fs::directory_iterator(mine.directory)->path().c_str(), 0);
    Outcome o = use(mine);
    return o.right && o.stats.misses == 1 ? "" : "it was found";
  });
  EXPECT_EQ(in_child([&]() -> std::string {
              if (!drop_rights()) return "cannot become nobody";
              Outcome o = use({.directory = "/"});  // root's
              return o.right && o.stats.problem.find("another user") != std::string::npos ? "" : o.stats.problem + "?";
            }),
            "");
}

TEST_F(KernelCacheTest, AFullDisk) {
  ASSERT_TRUE(use(options_).right);
  uintmax_t size = fs::file_size(entries().at(0));
  for (uintmax_t room : {uintmax_t{0}, uintmax_t{1}, uintmax_t{4096}, size - 1}) {
    EXPECT_EQ(in_child([&]() -> std::string {
                std::signal(SIGXFSZ, SIG_IGN);
                rlimit limit{room, room};  // writing past it fails as on a full disk, after a part was written
                if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return "no limit";
                Outcome o = use(options_, 3);
                if (!o.right) return "wrong result";
                if (o.stats.problem.find("cannot keep compiled kernels") == std::string::npos) return "not told";
                return entries().size() == 1 ? "" : "something was left behind";
              }),
              "")
        << room;
  }
  EXPECT_EQ(use(options_).stats.hits, 1);
  EXPECT_EQ(use(options_, 3).stats.hits, 0);
}

TEST_F(KernelCacheTest, ACompilerThatGetsNoThread) {
  EXPECT_EQ(in_child([&]() -> std::string {
              if (!drop_rights()) return "cannot become nobody";
              rlimit none{0, 0};
              if (setrlimit(RLIMIT_NPROC, &none) != 0) return "no limit";
              return use(options_).right ? "" : "wrong result";
            }),
            "");
}

TEST_F(KernelCacheTest, ThreadsAtOnce) {
  std::vector<CompiledKernel> kernels;
  std::vector<std::string> keys;
  for (double factor : {2.0, 3.0, 4.0}) {
    Kernel k = scaled_sum(factor);
    kernels.push_back(compile(k, signature(), kSplit, device()->target()));
    keys.push_back(kernel_key(k.graph(), signature(), kSplit));
  }
  KernelCache cache(options_, device()->target());
  for (size_t i = 0; i < kernels.size(); ++i) cache.store(keys[i], kernels[i]);
  std::vector<std::thread> threads;
  std::atomic<int> found{0}, wrong{0};
  for (unsigned t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (unsigned i = 0; i < 60; ++i) {
        size_t which = (t + i) % 3;
        const CompiledKernel& k = kernels[which];
        if (i % 4 == 0) cache.store(keys[which], k);
        auto kept = cache.find(keys[which], k.graph, k.signature, k.schedule);
        found += kept.has_value();
        wrong += kept && kept->object != k.object;
      }
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(found, 240);  // it is replaced, and never away
  EXPECT_EQ(cache.stats().hits, 240);
  EXPECT_EQ(cache.stats().problem, "");
}

TEST_F(KernelCacheTest, ProcessesAtOnce) {
  std::vector<pid_t> children;
  for (unsigned c = 0; c < 4; ++c) {
    pid_t child = fork();
    if (child == 0) {
      std::mt19937 random(c);
      bool right = true;
      for (int i = 0; i < 12 && right; ++i) {
        right = use(options_, 2 + random() % 3).right;
        std::error_code gone;
        for (const auto& e : fs::directory_iterator(options_.directory, gone))  // and somebody tidies up
          if (random() % 3 == 0) fs::remove(e.path(), gone);
      }
      _exit(right ? 0 : 1);
    }
    children.push_back(child);
  }
  for (pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  for (const fs::path& e : entries()) EXPECT_EQ(e.extension(), ".kernel");
}

TEST_F(KernelCacheTest, TheOldestUsedGoFirst) {
  ASSERT_TRUE(use(options_, 2).right);
  uintmax_t size = fs::file_size(entries().at(0));
  options_.limit = size * 5 / 2;  // two entries
  fs::path abandoned = fs::path(options_.directory) / ".new-1-0", fresh = fs::path(options_.directory) / ".new-2-0";
  put(abandoned, "x");
  put(fresh, "x");
  fs::last_write_time(abandoned, fs::file_time_type::clock::now() - std::chrono::hours(2));
  auto age = [&] {
    for (const fs::path& e : entries())
      if (e.extension() == ".kernel") fs::last_write_time(e, fs::last_write_time(e) - std::chrono::minutes(1));
  };
  age();
  EXPECT_EQ(use(options_, 3).stats.hits, 0);
  age();
  EXPECT_EQ(use(options_, 2).stats.hits, 1);  // used again: now it is younger than 3
  EXPECT_EQ(use(options_, 4).stats.hits, 0);
  EXPECT_EQ(use(options_, 2).stats.hits, 1);
  EXPECT_EQ(use(options_, 4).stats.hits, 1);
  EXPECT_EQ(use(options_, 3).stats.hits, 0);
  EXPECT_FALSE(fs::exists(abandoned));
  EXPECT_TRUE(fs::exists(fresh));
  options_.limit = size / 2;
  Outcome o = use(options_, 5);
  EXPECT_TRUE(o.right);
  EXPECT_EQ(o.stats.hits, 0);
}

TEST_F(KernelCacheTest, OffAndWithADump) {
  CacheOptions off = options_;
  off.enabled = false;
  Outcome o = use(off);
  EXPECT_TRUE(o.right);
  EXPECT_EQ(o.stats.misses, 0);
  EXPECT_FALSE(fs::exists(options_.directory));
  ASSERT_TRUE(use(options_).right);
  o = use(options_, 2, {root_ / "dump"});
  EXPECT_TRUE(o.right);
  EXPECT_EQ(o.stats.hits, 0);
  EXPECT_FALSE(fs::is_empty(root_ / "dump"));
}

TEST_F(KernelCacheTest, WhereTheDirectoryIs) {
  struct Case {
    const char *own, *xdg, *home;
    fs::path expected;  // empty: none
    const char* problem;
  };
  std::string a = root_ / "a", b = root_ / "b", c = root_ / "c";
  const Case cases[] = {
      {a.c_str(), b.c_str(), c.c_str(), root_ / "a", ""},
      {nullptr, b.c_str(), c.c_str(), root_ / "b/wavetile", ""},
      {nullptr, nullptr, c.c_str(), root_ / "c/.cache/wavetile", ""},
      {nullptr, "relative", c.c_str(), root_ / "c/.cache/wavetile", ""},  // the XDG specification: to be ignored
      {"", b.c_str(), c.c_str(), {}, ""},
      {nullptr, nullptr, nullptr, {}, "no place"},
  };
  for (const Case& x : cases) {
    fs::remove_all(a), fs::remove_all(b), fs::remove_all(c);
    EXPECT_EQ(in_child([&]() -> std::string {
                auto set = [](const char* name, const char* v) { v ? setenv(name, v, 1) : unsetenv(name); };
                set("WAVETILE_CACHE_DIR", x.own), set("XDG_CACHE_HOME", x.xdg), set("HOME", x.home);
                Outcome o = use({});
                if (!o.right || o.stats.problem.find(x.problem) == std::string::npos) return "wrong";
                if ((o.stats.problem == "") != (std::string(x.problem) == "")) return o.stats.problem;
                for (const fs::path& made : {a, b, c})
                  if (fs::exists(made) != (!x.expected.empty() && x.expected.string().starts_with(made.string())))
                    return made.string();
                return x.expected.empty() || !fs::is_empty(x.expected) ? "" : "nothing was kept";
              }),
              "");
  }
}

}  // namespace
}  // namespace wavetile
