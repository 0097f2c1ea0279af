#include "runtime/hsa_queue.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include <fmt/format.h>

namespace wavetile::hsa {
namespace {

constexpr uint32_t kPackets = 1024;
constexpr size_t kArgumentBytes = size_t{512} << 10;
constexpr size_t kArgumentAlignment = 64;  // kernarg segments are 16-byte aligned at least; a cache line each

constexpr uint16_t header_of(hsa_packet_type_t type, bool waits, hsa_fence_scope_t acquire, hsa_fence_scope_t release) {
  return static_cast<uint16_t>(type << HSA_PACKET_HEADER_TYPE | int{waits} << HSA_PACKET_HEADER_BARRIER |
                               acquire << HSA_PACKET_HEADER_SCACQUIRE_FENCE_SCOPE |
                               release << HSA_PACKET_HEADER_SCRELEASE_FENCE_SCOPE);
}

// What a launch that waits stored before it is seen after an acquire; one that does not wait runs after the acquire of
// one that did, and touches nothing that was written since.
constexpr uint16_t header_of_launch(bool waits) {
  return header_of(HSA_PACKET_TYPE_KERNEL_DISPATCH, waits, waits ? HSA_FENCE_SCOPE_AGENT : HSA_FENCE_SCOPE_NONE,
                   HSA_FENCE_SCOPE_AGENT);
}
// What the host wrote is out of the GPU's caches only after an acquire at the scope of the system.
constexpr uint16_t kFirstHeader =
    header_of(HSA_PACKET_TYPE_KERNEL_DISPATCH, true, HSA_FENCE_SCOPE_SYSTEM, HSA_FENCE_SCOPE_AGENT);
constexpr uint16_t kLastHeader =
    header_of(HSA_PACKET_TYPE_BARRIER_AND, true, HSA_FENCE_SCOPE_NONE, HSA_FENCE_SCOPE_SYSTEM);

Packet packet_of(const LoadedKernel& k, size_t slots, int64_t grid, bool waits, void* arguments) {
  if (k.kernarg_bytes != slots * sizeof(int64_t))
    throw InternalError(fmt::format("kernel '{}' takes {} bytes of arguments and is given {}", k.name, k.kernarg_bytes,
                                    slots * sizeof(int64_t)));
  if (grid > UINT32_MAX / k.work_items)
    throw Error(
        fmt::format("kernel '{}' would run {} workgroups of {} work-items; a dispatch has at most 2^32 - 1 of "
                    "them, use larger tiles",
                    k.name, grid, k.work_items));
  Packet packet{};
  auto& d = packet.dispatch;
  d.header = header_of_launch(waits);
  d.setup = 1 << HSA_KERNEL_DISPATCH_PACKET_SETUP_DIMENSIONS;
  d.workgroup_size_x = static_cast<uint16_t>(k.work_items);
  d.workgroup_size_y = d.workgroup_size_z = 1;
  d.grid_size_x = static_cast<uint32_t>(grid * k.work_items);
  d.grid_size_y = d.grid_size_z = 1;
  d.private_segment_size = k.private_bytes;
  d.group_segment_size = k.group_bytes;
  d.kernel_object = k.object;
  d.kernarg_address = arguments;
  return packet;
}

}  // namespace

ArgumentBlock::ArgumentBlock(const System& system, const Agent& agent, size_t bytes) : system_(system), bytes_(bytes) {
  const Api& api = system.api();
  void* block = nullptr;
  api.check(api.hsa_amd_memory_pool_allocate(system.kernarg(), std::max<size_t>(bytes, 1), 0, &block),
            "hsa_amd_memory_pool_allocate (kernel arguments)");
  begin_ = static_cast<char*>(block);
  // The list replaces what was allowed before: without the host it would lose its own memory.
  const hsa_agent_t both[] = {system.host(), agent.handle};
  if (const hsa_status_t s = api.hsa_amd_agents_allow_access(2, both, nullptr, block); s != HSA_STATUS_SUCCESS) {
    api.hsa_amd_memory_pool_free(block);
    api.check(s, "hsa_amd_agents_allow_access");
  }
}

ArgumentBlock::~ArgumentBlock() { system_.api().hsa_amd_memory_pool_free(begin_); }

size_t ArgumentBlock::room_for(std::span<const int64_t> slots) {
  return (slots.size_bytes() + kArgumentAlignment - 1) / kArgumentAlignment * kArgumentAlignment;
}

void* ArgumentBlock::place(std::span<const int64_t> slots) {
  if (bytes_ - used_ < room_for(slots)) return nullptr;
  char* at = begin_ + used_;
  used_ += room_for(slots);
  std::memcpy(at, slots.data(), slots.size_bytes());
  return at;
}

class AqlQueue::AqlRecording : public Recording {
 public:
  AqlRecording(AqlQueue& queue, const std::vector<Launch>& launches)
      : queue_(queue), arguments_(std::make_unique<ArgumentBlock>(*queue.system_, queue.agent_, room_for(launches))) {
    for (const Launch& l : launches) {
      const LoadedKernel& k = static_cast<const LoadedModule&>(*l.module).stage(l.stage);
      packets_.push_back(packet_of(k, l.slots.size(), l.grid, l.waits || kernels_.empty(), arguments_->place(l.slots)));
      kernels_.push_back(&k);
    }
  }
  // Until its kernels are done they read its arguments: one that hangs until its queue is gone.
  ~AqlRecording() override {
    try {
      if (queue_.broken_.empty()) queue_.wait();
    } catch (const Error&) {  // whoever wanted the results has waited for them
    }
    if (!queue_.broken_.empty()) queue_.still_read_.push_back(std::move(arguments_));
  }
  void run() override { queue_.append(packets_, kernels_); }

 private:
  static size_t room_for(const std::vector<Launch>& launches) {
    size_t bytes = 0;
    for (const Launch& l : launches) bytes += ArgumentBlock::room_for(l.slots);
    return bytes;
  }

  AqlQueue& queue_;
  std::unique_ptr<ArgumentBlock> arguments_;
  std::vector<Packet> packets_;
  std::vector<const LoadedKernel*> kernels_;
};

AqlQueue::AqlQueue(std::shared_ptr<System> system, const Agent& agent, double patience)
    : system_(std::move(system)), agent_(agent), patience_(patience), fault_before_(system_->fault_address()) {
  const Api& api = system_->api();
  try {
    check(api.hsa_queue_create(agent.handle, std::min(kPackets, agent.queue_packets), HSA_QUEUE_TYPE_SINGLE, note_error,
                               this, UINT32_MAX, UINT32_MAX, &queue_),
          "hsa_queue_create");
    check(api.hsa_signal_create(0, 0, nullptr, &done_), "hsa_signal_create");
    arguments_.emplace(*system_, agent, kArgumentBytes);
  } catch (...) {
    release();
    throw;
  }
  written_ = announced_ = first_ = api.hsa_queue_load_write_index_relaxed(queue_);
}

AqlQueue::~AqlQueue() {
  try {
    if (broken_.empty()) wait();
  } catch (const Error&) {  // whoever wanted the results has waited for them
  }
  release();
}

// The queue goes first: then nothing reads the arguments any more.
void AqlQueue::release() {
  const Api& api = system_->api();
  if (queue_) api.hsa_queue_destroy(queue_);
  if (done_.handle != 0) api.hsa_signal_destroy(done_);
  for (hsa_signal_t s : signals_) api.hsa_signal_destroy(s);
  arguments_.reset();
  still_read_.clear();
}

// Called on a thread of the runtime.
void AqlQueue::note_error(hsa_status_t status, hsa_queue_t*, void* self) {
  static_cast<AqlQueue*>(self)->status_ = status;
}

// The packet processor may take the packet as soon as its header says that it is one.
void AqlQueue::write(const Packet& packet) {
  Packet& to = static_cast<Packet*>(queue_->base_address)[written_ & (queue_->size - 1)];
  constexpr size_t body = sizeof to.first_word;
  std::memcpy(reinterpret_cast<char*>(&to) + body, reinterpret_cast<const char*>(&packet) + body, sizeof to - body);
  std::atomic_ref(to.first_word).store(packet.first_word, std::memory_order_release);
  ++written_;
}

// One doorbell serves all packets up to the last.
void AqlQueue::announce() {
  if (announced_ == written_) return;
  system_->api().hsa_signal_store_screlease(queue_->doorbell_signal, static_cast<hsa_signal_value_t>(written_ - 1));
  announced_ = written_;
}

hsa_signal_t AqlQueue::signal_of(size_t launch) {
  const Api& api = system_->api();
  while (signals_.size() <= launch) {
    hsa_signal_t s{};
    check(api.hsa_signal_create(1, 0, nullptr, &s), "hsa_signal_create");
    signals_.push_back(s);
  }
  api.hsa_signal_store_relaxed(signals_[launch], 1);
  return signals_[launch];
}

// One packet of the queue is left for wait(). More than fit run in parts.
void AqlQueue::append(std::span<const Packet> packets, std::span<const LoadedKernel* const> kernels) {
  if (!broken_.empty()) throw Error(broken_);
  for (size_t done = 0; done < packets.size();) {
    if (running_.size() + 1 >= queue_->size) wait();
    const size_t count = std::min(packets.size() - done, queue_->size - 1 - running_.size());
    system_->api().hsa_queue_store_write_index_screlease(queue_, written_ + count);
    for (size_t i = done; i < done + count; ++i) {
      Packet packet = packets[i];
      if (running_.empty()) packet.dispatch.header = kFirstHeader;
      if (timed_) packet.dispatch.completion_signal = signal_of(running_.size());
      running_.push_back(kernels[i]);
      write(packet);
    }
    done += count;
  }
}

void AqlQueue::launch(const Module& m, size_t stage, std::span<const int64_t> slots, int64_t grid) {
  if (!broken_.empty()) throw Error(broken_);
  const LoadedKernel* k = &static_cast<const LoadedModule&>(m).stage(stage);
  // Before the arguments are placed: a wait gives their block back.
  if (running_.size() + 1 >= queue_->size) wait();
  void* arguments = arguments_->place(slots);
  if (!arguments) {
    wait();
    arguments = arguments_->place(slots);
  }
  if (!arguments) throw InternalError(fmt::format("kernel '{}' takes {} arguments", k->name, slots.size()));
  const Packet packet = packet_of(*k, slots.size(), grid, true, arguments);
  append({&packet, 1}, {&k, 1});
  announce();
}

std::unique_ptr<Recording> AqlQueue::record(std::vector<Launch> launches) {
  return std::make_unique<AqlRecording>(*this, launches);
}

bool AqlQueue::time_launches(bool on) {
  if (!agent_.clock) return false;
  if (on != timed_)
    check(system_->api().hsa_amd_profiling_set_profiler_enabled(queue_, on), "hsa_amd_profiling_set_profiler_enabled");
  timed_ = on;
  times_.clear();
  return true;
}

void AqlQueue::read_times() {
  const double tick = 1 / static_cast<double>(system_->ticks_a_second());
  for (size_t i = 0; timed_ && i < running_.size(); ++i) {
    hsa_amd_profiling_dispatch_time_t t{};
    check(system_->api().hsa_amd_profiling_get_dispatch_time(agent_.handle, signals_[i], &t),
          "hsa_amd_profiling_get_dispatch_time");
    times_.push_back(static_cast<double>(t.end - t.start) * tick);
  }
}

// A packet that does nothing ends what was launched: it releases to the host, and its signal says so.
void AqlQueue::wait() {
  if (!broken_.empty()) throw Error(broken_);
  if (running_.empty()) return;
  const Api& api = system_->api();
  api.hsa_signal_store_relaxed(done_, 1);
  Packet last{};
  last.barrier.header = kLastHeader;
  last.barrier.completion_signal = done_;
  api.hsa_queue_store_write_index_screlease(queue_, written_ + 1);
  write(last);
  announce();
  await();
  read_times();
  running_.clear();
  first_ = written_;
  arguments_->clear();
}

void AqlQueue::await() {
  using Clock = std::chrono::steady_clock;
  const Api& api = system_->api();
  const uint64_t soon = system_->ticks_a_second() / 1000, slice = system_->ticks_a_second() / 10;
  auto ended = [&](uint64_t ticks, hsa_wait_state_t how) {
    return api.hsa_signal_wait_scacquire(done_, HSA_SIGNAL_CONDITION_LT, 1, ticks, how) < 1;
  };
  bool done = ended(soon, HSA_WAIT_STATE_ACTIVE);
  uint64_t read = first_;
  for (auto last = Clock::now(); !done; done = ended(slice, HSA_WAIT_STATE_BLOCKED)) {
    if (failed()) break;
    if (const uint64_t now = api.hsa_queue_load_read_index_scacquire(queue_); now != read) {
      read = now;
      last = Clock::now();
    }
    if (std::chrono::duration<double>(Clock::now() - last).count() > patience_)
      give_up(
          fmt::format("nothing was finished for {:g} s by {}; the kernel hangs, or it needs longer than that: see "
                      "DeviceOptions::patience",
                      patience_, where()));
  }
  if (failed()) give_up(why_failed());
}

std::string AqlQueue::why_failed() const {
  const Api& api = system_->api();
  std::string text = api.text_of(
      status_ == HSA_STATUS_SUCCESS ? static_cast<hsa_status_t>(HSA_STATUS_ERROR_MEMORY_FAULT) : status_.load());
  if (const uint64_t address = system_->fault_address(); address != fault_before_)
    text += fmt::format(" (at address 0x{:x})", address);
  return fmt::format("{} was stopped: {}; {}", where(), text,
                     api.emulated ? "the emulator's report on standard error says where"
                                  : "the same run on the device hsa:emulated with WAVETILE_EMULATOR=<chip>,checks in "
                                    "the environment says where");
}

// Which launch the packet processor is at. It may have taken the packet that it waits to start.
std::string AqlQueue::where() const {
  const uint64_t read = system_->api().hsa_queue_load_read_index_scacquire(queue_);
  const size_t at = std::min(static_cast<size_t>(std::max(read, first_) - first_), running_.size() - 1);
  std::string text = fmt::format("kernel '{}' (launch {} of {})", running_[at]->name, at + 1, running_.size());
  if (!system_->api().emulated && at > 0) text += fmt::format(", or '{}' before it,", running_[at - 1]->name);
  return text;
}

void AqlQueue::give_up(const std::string& why) {
  broken_ = why;
  system_->api().hsa_queue_inactivate(queue_);
  throw Error(broken_);
}

}  // namespace wavetile::hsa
