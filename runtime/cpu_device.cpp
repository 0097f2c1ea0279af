// The blocks of a launch are dealt out to workers in equal runs, the same ones at every launch, so that a core finds
// in its cache what it read there before; a worker that is done helps the others. Which worker runs a block never
// shows in a result: no block depends on another.
#include "runtime/cpu_device.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <new>

#include <fmt/format.h>

#include "runtime/thread_pool.h"

namespace wavetile {
namespace {

class CpuBuffer : public Buffer {
 public:
  explicit CpuBuffer(size_t bytes) : bytes_(bytes) {
    if (bytes > PTRDIFF_MAX / 2) fail(ENOMEM);  // what follows cannot overflow
    mapped_ = (bytes + 64 + page - 1) / page * page;
    // Fresh pages are zero. Huge ones spare the TLB when weights are streamed.
    void* p = mmap(nullptr, mapped_ + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) fail(errno);
    start_ = p;
    auto a = reinterpret_cast<uintptr_t>(p);
    address_ = mapped_ >= huge ? reinterpret_cast<void*>((a + huge - 1) / huge * huge) : p;
    if (mapped_ >= huge) madvise(address_, mapped_, MADV_HUGEPAGE);
  }
  ~CpuBuffer() override { munmap(start_, mapped_ + huge); }
  size_t bytes() const override { return bytes_; }
  void* address() const override { return address_; }

 private:
  [[noreturn]] void fail(int error) const {
    throw Error(fmt::format("there is no memory for a buffer of {} bytes: {}", bytes_, std::strerror(error)));
  }
  static constexpr size_t page = 4096, huge = size_t{2} << 20;
  size_t bytes_, mapped_ = 0;
  void* start_ = nullptr;
  void* address_ = nullptr;
};

class BorrowedBuffer : public Buffer {
 public:
  BorrowedBuffer(void* data, size_t bytes) : data_(data), bytes_(bytes) {}
  size_t bytes() const override { return bytes_; }
  void* address() const override { return data_; }

 private:
  void* data_;
  size_t bytes_;
};

class CpuModule : public Module {
 public:
  explicit CpuModule(CompiledKernel k) : Module(std::move(k)), code_(load_code(kernel().object)) {
    for (const Stage& s : kernel().stages) entries_.push_back(reinterpret_cast<CpuEntry>(code_->symbol(s.symbol)));
  }
  CpuEntry entry(size_t stage) const { return entries_[stage]; }

 private:
  std::unique_ptr<Code> code_;
  std::vector<CpuEntry> entries_;
};

struct alignas(64) Share {
  std::atomic<int64_t> next{0};
  int64_t end = 0;
};

class CpuQueue : public Queue {
 public:
  explicit CpuQueue(ThreadPool& pool) : pool_(pool), shares_(static_cast<size_t>(pool.size())) {}

  void launch(const Module& m, size_t stage, std::span<const int64_t> slots, int64_t grid) override {
    CpuEntry entry = static_cast<const CpuModule&>(m).entry(stage);
    auto workers = static_cast<int64_t>(shares_.size());
    if (workers == 1 || grid == 1) return entry(slots.data(), 0, grid);
    for (int64_t w = 0; w < workers; ++w) {
      shares_[static_cast<size_t>(w)].next.store(grid * w / workers, std::memory_order_relaxed);
      shares_[static_cast<size_t>(w)].end = grid * (w + 1) / workers;
    }
    int64_t grain = std::max<int64_t>(1, grid / (workers * 16));
    pool_.share([&](int worker) {
      for (int64_t i = 0; i < workers; ++i) {
        Share& s = shares_[static_cast<size_t>((worker + i) % workers)];
        for (;;) {
          int64_t begin = s.next.fetch_add(grain, std::memory_order_relaxed);
          if (begin >= s.end) break;
          entry(slots.data(), begin, std::min(begin + grain, s.end));
        }
      }
    });
  }
  void wait() override {}  // launches return when they are done

 private:
  ThreadPool& pool_;
  std::vector<Share> shares_;
};

class CpuDevice : public Device {
 public:
  explicit CpuDevice(const DeviceOptions& o)
      : target_(cpu_target(o.level)), pool_(o.threads > 0 ? o.threads : available_cpus()) {}
  const std::string& name() const override { return name_; }
  const Target& target() const override { return *target_; }
  DeviceInfo info() const override { return describe_cpu(); }
  int threads() const override { return pool_.size(); }
  bool host_memory() const override { return true; }
  BufferPtr allocate(size_t bytes) override { return std::make_shared<CpuBuffer>(bytes); }
  BufferPtr borrow(void* data, size_t bytes) override {
    check_borrowed(data);
    return std::make_shared<BorrowedBuffer>(data, bytes);
  }
  void write(const Buffer& to, size_t offset, const void* from, size_t bytes) override {
    check_copy(to, offset, bytes);
    std::memcpy(static_cast<char*>(to.address()) + offset, from, bytes);
  }
  void read(void* to, const Buffer& from, size_t offset, size_t bytes) override {
    check_copy(from, offset, bytes);
    std::memcpy(to, static_cast<const char*>(from.address()) + offset, bytes);
  }
  ModulePtr load(CompiledKernel k) override { return std::make_shared<CpuModule>(std::move(k)); }
  std::unique_ptr<Queue> queue() override { return std::make_unique<CpuQueue>(pool_); }

 private:
  std::string name_ = "cpu";
  TargetPtr target_;
  ThreadPool pool_;
};

}  // namespace

DeviceInfo describe_cpu() {
  auto memory = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  DeviceInfo info{"cpu", identity_of(*cpu_target()), available_cpus(), memory};
  info.shares_memory = true;
  return info;
}

DevicePtr open_cpu(const DeviceOptions& options) {
  if (options.threads < 0 || options.threads > 1024)
    throw Error(fmt::format("{} threads; use 1 to 1024, or 0 for one a CPU", options.threads));
  return std::make_shared<CpuDevice>(options);
}

}  // namespace wavetile
