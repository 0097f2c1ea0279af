#include "runtime/hsa_device.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "runtime/hsa_diagnosis.h"
#include "runtime/hsa_queue.h"
#include "runtime/thread_pool.h"

namespace wavetile {
namespace {

using hsa::Agent;
using hsa::System;
using SystemPtr = std::shared_ptr<System>;

constexpr const char* kEmulated = "hsa:emulated";
constexpr size_t kTail = 64;                                       // readable bytes past a buffer's end
constexpr double kPatience = 60, kPatienceWithEmulator = 60 * 60;  // seconds

class HsaBuffer : public Buffer {
 public:
  HsaBuffer(SystemPtr system, const Agent& agent, size_t bytes) : system_(std::move(system)), bytes_(bytes) {
    const hsa::Api& api = system_->api();
    const std::string what = fmt::format("the allocation of a buffer of {} bytes of {}'s memory", bytes, agent.product);
    const std::string hint =
        agent.apu ? "; the firmware's settings say how much memory is the GPU's (see --list-devices --verbose)" : "";
    if (bytes > SIZE_MAX / 2 || bytes + kTail > (agent.apu ? system_->host_bytes() : 0) + agent.memory_bytes)
      throw Error(fmt::format("{} failed: it has {} bytes{}", what, agent.memory_bytes, hint));
    const size_t size = (bytes + kTail + 3) / 4 * 4;
    api.check(api.hsa_amd_memory_pool_allocate(agent.memory, size, 0, &address_), what);
    try {
      if (reinterpret_cast<uintptr_t>(address_) % 64) throw InternalError("a buffer that is not 64-byte aligned");
      if (agent.apu && agent.shared) {
        const hsa_agent_t both[] = {system_->host(), agent.handle};  // the list replaces what was allowed before
        api.check(api.hsa_amd_agents_allow_access(2, both, nullptr, address_), "hsa_amd_agents_allow_access");
      }
      api.check(api.hsa_amd_memory_fill(address_, 0, size / 4), "hsa_amd_memory_fill");
    } catch (...) {
      api.hsa_amd_memory_pool_free(address_);
      throw;
    }
  }
  ~HsaBuffer() override { system_->api().hsa_amd_memory_pool_free(address_); }
  HsaBuffer(const HsaBuffer&) = delete;
  size_t bytes() const override { return bytes_; }
  void* address() const override { return address_; }

 private:
  SystemPtr system_;
  size_t bytes_;
  void* address_ = nullptr;
};

// Memory of the host that the GPU reaches while this exists; not at all where the runtime refuses to lock it.
class Locked {
 public:
  Locked(const System& system, const Agent& agent, void* data, size_t bytes) : system_(system), data_(data) {
    hsa_agent_t a = agent.handle;
    status_ = system.api().hsa_amd_memory_lock(data, bytes, &a, 1, &address_);
  }
  ~Locked() {
    if (status_ == HSA_STATUS_SUCCESS) system_.api().hsa_amd_memory_unlock(data_);
  }
  Locked(const Locked&) = delete;
  hsa_status_t status() const { return status_; }
  void* address() const { return address_; }  // the GPU's

 private:
  const System& system_;
  void* data_;
  void* address_ = nullptr;
  hsa_status_t status_;
};

class LockedBuffer : public Buffer {
 public:
  LockedBuffer(SystemPtr system, const Agent& agent, void* data, size_t bytes)
      : system_(std::move(system)), bytes_(bytes), locked_(*system_, agent, data, bytes + kTail) {
    system_->api().check(locked_.status(), fmt::format("hsa_amd_memory_lock of {} bytes", bytes + kTail));
  }
  size_t bytes() const override { return bytes_; }
  void* address() const override { return locked_.address(); }

 private:
  SystemPtr system_;
  size_t bytes_;
  Locked locked_;
};

// Copies between the host and a GPU with memory of its own. What is small goes through memory that is locked once;
// what is large is locked where it lies.
class Copier {
 public:
  Copier(SystemPtr system, const Agent& agent) : system_(std::move(system)), agent_(agent) {}
  ~Copier() {
    staging_lock_.reset();
    std::free(staging_);
  }
  Copier(const Copier&) = delete;

  void to_device(void* to, const void* from, size_t bytes) {
    if (bytes > kStaging && in_place(const_cast<void*>(from), bytes, [&] { copy(to, from, bytes); })) return;
    const std::lock_guard lock(mutex_);
    parts(bytes, [&](size_t at, size_t n) {
      std::memcpy(staging(), static_cast<const char*>(from) + at, n);
      copy(static_cast<char*>(to) + at, staging_, n);
    });
  }
  void to_host(void* to, const void* from, size_t bytes) {
    if (bytes > kStaging && in_place(to, bytes, [&] { copy(to, from, bytes); })) return;
    const std::lock_guard lock(mutex_);
    parts(bytes, [&](size_t at, size_t n) {
      copy(staging(), static_cast<const char*>(from) + at, n);
      std::memcpy(static_cast<char*>(to) + at, staging_, n);
    });
  }

 private:
  static constexpr size_t kStaging = size_t{1} << 20;

  template <class F>
  bool in_place(void* host, size_t bytes, F&& f) {  // read-only mappings cannot be locked by every driver
    const Locked locked(*system_, agent_, host, bytes);
    if (locked.status() == HSA_STATUS_SUCCESS) f();
    return locked.status() == HSA_STATUS_SUCCESS;
  }
  template <class F>
  static void parts(size_t bytes, F&& f) {
    for (size_t at = 0; at < bytes; at += kStaging) f(at, std::min(kStaging, bytes - at));
  }
  void copy(void* to, const void* from, size_t bytes) {
    system_->api().check(system_->api().hsa_memory_copy(to, from, bytes), "hsa_memory_copy");
  }
  void* staging() {
    if (staging_) return staging_;
    void* block = std::aligned_alloc(4096, kStaging);
    if (!block) throw std::bad_alloc();
    staging_lock_.emplace(*system_, agent_, block, kStaging);
    if (const hsa_status_t s = staging_lock_->status(); s != HSA_STATUS_SUCCESS) {
      staging_lock_.reset();
      std::free(block);
      system_->api().check(s, "hsa_amd_memory_lock (a block of 1 MiB for copies: see `ulimit -l`)");
    }
    return staging_ = block;
  }

  SystemPtr system_;
  Agent agent_;
  std::mutex mutex_;
  void* staging_ = nullptr;
  std::optional<Locked> staging_lock_;
};

class HsaModule : public hsa::LoadedModule {
 public:
  HsaModule(CompiledKernel k, SystemPtr system, const Agent& agent, int lanes)
      : LoadedModule(std::move(k)), system_(std::move(system)), agent_(agent.handle), lanes_(lanes) {
    try {
      load();
    } catch (...) {
      release();
      throw;
    }
  }
  ~HsaModule() override { release(); }
  HsaModule(const HsaModule&) = delete;
  const hsa::LoadedKernel& stage(size_t i) const override { return stages_[i]; }

 private:
  void check(hsa_status_t s, const char* what) const {
    system_->api().check(s, fmt::format("kernel '{}': {}", kernel().name, what));
  }
  void load() {
    const hsa::Api& api = system_->api();
    // The reader refers to the code object: both stay.
    check(api.hsa_code_object_reader_create_from_memory(kernel().object.data(), kernel().object.size(), &reader_),
          "hsa_code_object_reader_create_from_memory");
    check(
        api.hsa_executable_create_alt(HSA_PROFILE_FULL, HSA_DEFAULT_FLOAT_ROUNDING_MODE_DEFAULT, nullptr, &executable_),
        "hsa_executable_create_alt");
    check(api.hsa_executable_load_agent_code_object(executable_, agent_, reader_, nullptr, nullptr),
          "hsa_executable_load_agent_code_object");
    check(api.hsa_executable_freeze(executable_, nullptr), "hsa_executable_freeze");
    for (const Stage& s : kernel().stages) stages_.push_back(find(s));
  }
  hsa::LoadedKernel find(const Stage& s) const {
    const hsa::Api& api = system_->api();
    hsa::LoadedKernel k;
    k.name = s.symbol;
    k.work_items = int64_t{lanes_} * s.warps;
    hsa_executable_symbol_t symbol{};
    check(api.hsa_executable_get_symbol_by_name(executable_, (s.symbol + ".kd").c_str(), &agent_, &symbol),
          "hsa_executable_get_symbol_by_name");
    auto info = [&](hsa_executable_symbol_info_t what, void* to) {
      check(api.hsa_executable_symbol_get_info(symbol, what, to), "hsa_executable_symbol_get_info");
    };
    info(HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_OBJECT, &k.object);
    info(HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_KERNARG_SEGMENT_SIZE, &k.kernarg_bytes);
    info(HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_GROUP_SEGMENT_SIZE, &k.group_bytes);
    info(HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_PRIVATE_SEGMENT_SIZE, &k.private_bytes);
    return k;
  }
  void release() {
    const hsa::Api& api = system_->api();
    if (executable_.handle != 0) api.hsa_executable_destroy(executable_);
    if (reader_.handle != 0) api.hsa_code_object_reader_destroy(reader_);
  }

  SystemPtr system_;
  hsa_agent_t agent_;
  int lanes_;  // of a wave
  hsa_code_object_reader_t reader_{};
  hsa_executable_t executable_{};
  std::vector<hsa::LoadedKernel> stages_;
};

DeviceInfo info_of(const std::string& name, const System& system, const Agent& a) {
  DeviceInfo info{name, identity_of(*amdgpu_target(a.chip)), 0, a.memory_bytes};
  info.product = a.product;
  info.compute_units = static_cast<int>(a.compute_units);
  info.isa = a.isa;
  info.runtime = fmt::format("HSA {}, {}", system.version(), system.api().path);
  info.shares_memory = a.apu;
  return info;
}

class HsaDevice : public Device {
 public:
  HsaDevice(std::string name, SystemPtr system, const Agent& agent, const DeviceOptions& options)
      : name_(std::move(name)),
        system_(std::move(system)),
        agent_(agent),
        target_(amdgpu_target(agent.chip)),
        copier_(system_, agent),
        threads_(options.threads > 0 ? options.threads : available_cpus()),
        patience_(options.patience > 0      ? options.patience
                  : system_->api().emulated ? kPatienceWithEmulator
                                            : kPatience) {}
  const std::string& name() const override { return name_; }
  const Target& target() const override { return *target_; }
  DeviceInfo info() const override { return info_of(name_, *system_, agent_); }
  int threads() const override { return threads_; }
  bool host_memory() const override { return agent_.apu && agent_.shared; }
  BufferPtr allocate(size_t bytes) override { return hsa::make_held<HsaBuffer>(system_, system_, agent_, bytes); }
  BufferPtr borrow(void* data, size_t bytes) override {
    check_borrowed(data);
    return agent_.apu ? hsa::make_held<LockedBuffer>(system_, system_, agent_, data, bytes) : nullptr;
  }
  void write(const Buffer& to, size_t offset, const void* from, size_t bytes) override {
    check_copy(to, offset, bytes);
    if (bytes == 0) return;
    void* at = static_cast<char*>(to.address()) + offset;
    if (host_memory())
      std::memcpy(at, from, bytes);
    else
      copier_.to_device(at, from, bytes);
  }
  void read(void* to, const Buffer& from, size_t offset, size_t bytes) override {
    check_copy(from, offset, bytes);
    if (bytes == 0) return;
    const void* at = static_cast<const char*>(from.address()) + offset;
    if (host_memory())
      std::memcpy(to, at, bytes);
    else
      copier_.to_host(to, at, bytes);
  }
  ModulePtr load(CompiledKernel k) override {
    return hsa::make_held<HsaModule>(system_, std::move(k), system_, agent_, caps_of(*target_).lanes);
  }
  std::unique_ptr<Queue> queue() override { return std::make_unique<hsa::AqlQueue>(system_, agent_, patience_); }

 private:
  std::string name_;
  SystemPtr system_;
  Agent agent_;
  TargetPtr target_;
  Copier copier_;
  int threads_;
  double patience_;
};

}  // namespace

constexpr const char* kTryEmulator = "\n--device hsa:emulated runs the same code on the emulator, without a GPU";

bool is_hsa(const std::string& name) { return name == "hsa" || name.starts_with("hsa:"); }

// Which of the GPUs is meant; -1: the first that there is a target for.
static int64_t number_in(const std::string& name) {
  if (name == "hsa" || name == kEmulated) return -1;
  const char *begin = name.data() + std::string_view("hsa:").size(), *end = name.data() + name.size();
  int64_t wanted = -1;
  const auto [stop, error] = std::from_chars(begin, end, wanted);
  if (error != std::errc() || stop != end || wanted < 0)
    throw Error(fmt::format("there is no device '{}'; say hsa, hsa:0 (and so on) or {}", name, kEmulated));
  return wanted;
}

DevicePtr open_hsa(const std::string& name, const DeviceOptions& options) {
  const bool emulated = name == kEmulated;
  number_in(name);
  SystemPtr system;
  try {
    system = System::open(emulated);
  } catch (const Error& e) {
    throw Error(fmt::format("device '{}': {}{}", name, e.what(), emulated ? "" : kTryEmulator));
  }
  return open_hsa(std::move(system), name, options);
}

DevicePtr open_hsa(SystemPtr system, const std::string& name, const DeviceOptions& options) {
  const int64_t wanted = number_in(name);
  const std::vector<Agent>& gpus = system->gpus();
  if (gpus.empty()) throw Error(fmt::format("device '{}': {}{}", name, hsa::why_no_gpu(), kTryEmulator));
  size_t i = 0;
  if (wanted < 0)
    while (i + 1 < gpus.size() && !gpus[i].known) ++i;
  else
    i = static_cast<size_t>(wanted);
  if (i >= gpus.size())
    throw Error(fmt::format("there is no device '{}': this machine has {} of them, from hsa:0 on", name, gpus.size()));
  if (!gpus[i].known) try {
      amdgpu_target(gpus[i].chip);
    } catch (const Error& e) {
      throw Error(fmt::format("device '{}' ({}, {}): {}", name, gpus[i].product, gpus[i].isa, e.what()));
    }
  if (gpus[i].memory.handle == 0)
    throw Error(fmt::format("device '{}' ({}): it has no memory to allocate", name, gpus[i].product));
  const Agent agent = gpus[i];
  return std::make_shared<HsaDevice>(name, std::move(system), agent, options);
}

std::vector<DeviceInfo> list_hsa() {
  std::vector<DeviceInfo> all;
  for (bool emulated : {false, true}) try {
      const auto system = System::open(emulated);
      for (size_t i = 0; i < system->gpus().size(); ++i)
        if (const Agent& a = system->gpus()[i]; a.known)
          all.push_back(info_of(emulated ? kEmulated : fmt::format("hsa:{}", i), *system, a));
    } catch (const Error&) {  // diagnose_hsa() says why
    }
  return all;
}

}  // namespace wavetile
