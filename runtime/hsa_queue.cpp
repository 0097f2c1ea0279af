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

constexpr uint16_t header_of(hsa_packet_type_t type, hsa_fence_scope_t acquire, hsa_fence_scope_t release) {
  return static_cast<uint16_t>(type << HSA_PACKET_HEADER_TYPE | 1 << HSA_PACKET_HEADER_BARRIER |
                               acquire << HSA_PACKET_HEADER_SCACQUIRE_FENCE_SCOPE |
                               release << HSA_PACKET_HEADER_SCRELEASE_FENCE_SCOPE);
}

}  // namespace

union AqlQueue::Packet {
  hsa_kernel_dispatch_packet_t dispatch;
  hsa_barrier_and_packet_t barrier;
  uint32_t first_word;  // header and setup
};

AqlQueue::AqlQueue(std::shared_ptr<System> system, const Agent& agent, double patience)
    : system_(std::move(system)), patience_(patience), fault_before_(system_->fault_address()) {
  const Api& api = system_->api();
  try {
    check(api.hsa_queue_create(agent.handle, std::min(kPackets, agent.queue_packets), HSA_QUEUE_TYPE_SINGLE, note_error,
                               this, UINT32_MAX, UINT32_MAX, &queue_),
          "hsa_queue_create");
    check(api.hsa_signal_create(0, 0, nullptr, &done_), "hsa_signal_create");
    void* block = nullptr;
    check(api.hsa_amd_memory_pool_allocate(system_->kernarg(), kArgumentBytes, 0, &block),
          "hsa_amd_memory_pool_allocate (kernel arguments)");
    arguments_ = static_cast<char*>(block);
    argument_bytes_ = kArgumentBytes;
    // The list replaces what was allowed before: without the host it would lose its own memory.
    const hsa_agent_t both[] = {system_->host(), agent.handle};
    check(api.hsa_amd_agents_allow_access(2, both, nullptr, block), "hsa_amd_agents_allow_access");
  } catch (...) {
    release();
    throw;
  }
  written_ = first_ = api.hsa_queue_load_write_index_relaxed(queue_);
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
  if (arguments_) api.hsa_amd_memory_pool_free(arguments_);
}

// Called on a thread of the runtime.
void AqlQueue::note_error(hsa_status_t status, hsa_queue_t*, void* self) {
  static_cast<AqlQueue*>(self)->status_ = status;
}

void* AqlQueue::place_arguments(std::span<const int64_t> slots, size_t bytes) {
  const size_t room = (bytes + kArgumentAlignment - 1) / kArgumentAlignment * kArgumentAlignment;
  if (used_ + room > argument_bytes_) wait();
  char* at = arguments_ + used_;
  used_ += room;
  std::memcpy(at, slots.data(), slots.size_bytes());
  return at;
}

AqlQueue::Packet& AqlQueue::next_packet() const {
  return static_cast<Packet*>(queue_->base_address)[written_ & (queue_->size - 1)];
}

// The packet processor may take the packet as soon as its header says that it is one.
void AqlQueue::submit(uint16_t header, uint16_t setup) {
  const Api& api = system_->api();
  api.hsa_queue_store_write_index_screlease(queue_, written_ + 1);
  std::atomic_ref(next_packet().first_word).store(header | uint32_t{setup} << 16, std::memory_order_release);
  api.hsa_signal_store_screlease(queue_->doorbell_signal, static_cast<hsa_signal_value_t>(written_));
  ++written_;
}

void AqlQueue::launch(const Module& m, size_t stage, std::span<const int64_t> slots, int64_t grid) {
  if (!broken_.empty()) throw Error(broken_);
  const LoadedKernel& k = static_cast<const LoadedModule&>(m).stage(stage);
  if (k.kernarg_bytes != slots.size_bytes())
    throw InternalError(fmt::format("kernel '{}' takes {} bytes of arguments and is given {}", k.name, k.kernarg_bytes,
                                    slots.size_bytes()));
  if (grid > UINT32_MAX / k.work_items)
    throw Error(
        fmt::format("kernel '{}' would run {} workgroups of {} work-items; a dispatch has at most 2^32 - 1 of "
                    "them, use larger tiles",
                    k.name, grid, k.work_items));
  // One packet is left for wait().
  if (running_.size() + 1 >= queue_->size) wait();
  void* arguments = place_arguments(slots, k.kernarg_bytes);
  const bool after_host = running_.empty();
  Packet& packet = next_packet();
  auto& d = packet.dispatch;
  d.workgroup_size_x = static_cast<uint16_t>(k.work_items);
  d.workgroup_size_y = d.workgroup_size_z = 1;
  d.reserved0 = 0;
  d.grid_size_x = static_cast<uint32_t>(grid * k.work_items);
  d.grid_size_y = d.grid_size_z = 1;
  d.private_segment_size = k.private_bytes;
  d.group_segment_size = k.group_bytes;
  d.kernel_object = k.object;
  d.kernarg_address = arguments;
  d.reserved2 = 0;
  d.completion_signal = {0};
  running_.push_back(&k);
  // What the host wrote is out of the GPU's caches only after an acquire at the scope of the system.
  submit(header_of(HSA_PACKET_TYPE_KERNEL_DISPATCH, after_host ? HSA_FENCE_SCOPE_SYSTEM : HSA_FENCE_SCOPE_AGENT,
                   HSA_FENCE_SCOPE_AGENT),
         1 << HSA_KERNEL_DISPATCH_PACKET_SETUP_DIMENSIONS);
}

// A packet that does nothing ends what was launched: it releases to the host, and its signal says so.
void AqlQueue::wait() {
  using Clock = std::chrono::steady_clock;
  if (!broken_.empty()) throw Error(broken_);
  if (running_.empty()) return;
  const Api& api = system_->api();
  api.hsa_signal_store_relaxed(done_, 1);
  Packet& packet = next_packet();
  std::memset(reinterpret_cast<char*>(&packet) + sizeof packet.first_word, 0, sizeof packet - sizeof packet.first_word);
  packet.barrier.completion_signal = done_;
  submit(header_of(HSA_PACKET_TYPE_BARRIER_AND, HSA_FENCE_SCOPE_NONE, HSA_FENCE_SCOPE_SYSTEM), 0);

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
  if (failed()) {
    std::string text = system_->api().text_of(
        status_ == HSA_STATUS_SUCCESS ? static_cast<hsa_status_t>(HSA_STATUS_ERROR_MEMORY_FAULT) : status_.load());
    if (const uint64_t address = system_->fault_address(); address != fault_before_)
      text += fmt::format(" (at address 0x{:x})", address);
    give_up(fmt::format("{} was stopped: {}; {}", where(), text,
                        api.emulated
                            ? "the emulator's report on standard error says where"
                            : "the same run on the device hsa:emulated with WAVETILE_EMULATOR=<chip>,checks in "
                              "the environment says where"));
  }
  running_.clear();
  first_ = written_;
  used_ = 0;
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
