// Queues: a ring of 64-byte packets, two indices, and for queues of the GPU agent a thread that processes the packets,
// each to its end before another begins: in order, or (Options::reorder) in the order that HSA allows and a program
// expects the least.
#pragma once

#include <hsa/amd_hsa_queue.h>
#include <hsa/hsa.h>
#include <hsa/hsa_ext_amd.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "emulator/hsa/packets.h"
#include "emulator/hsa/pages.h"

namespace wavetile::emu::hsa {

class Runtime;

/// Limits of hsa_queue_create.
inline constexpr std::uint32_t kQueueMostPackets = 131072, kQueueLeastPackets = 64, kQueuesMost = 128;

class Queue {
 public:
  using Callback = void (*)(hsa_status_t, hsa_queue_t*, void*);
  struct Settings {
    std::uint32_t size = 0;  // packets
    hsa_queue_type32_t type = HSA_QUEUE_TYPE_MULTI;
    std::uint32_t features = HSA_QUEUE_FEATURE_KERNEL_DISPATCH;
    std::optional<hsa_signal_t> doorbell;  // of a soft queue, which has no thread
    Callback callback = nullptr;
    void* data = nullptr;
  };
  Queue(Runtime& runtime, const Settings& settings, std::uint64_t number);
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  hsa_queue_t* handle() const { return &amd_->hsa_queue; }
  std::uint64_t number() const { return number_; }
  std::uint32_t size() const { return settings_.size; }
  bool soft() const { return settings_.doorbell.has_value(); }
  std::atomic_ref<std::uint64_t> read_index() const { return index(amd_->read_dispatch_id); }
  std::atomic_ref<std::uint64_t> write_index() const { return index(amd_->write_dispatch_id); }
  /// Packets after the one that runs stay where they are.
  void inactivate();
  /// Inactivates, stops the running kernel, and waits for the thread unless this is it.
  void stop();
  bool on_its_thread() const { return thread_.get_id() == std::this_thread::get_id(); }

  std::atomic<bool> profiling{false};
  std::vector<std::uint32_t> cu_mask;  // kept for hsa_amd_queue_cu_get_mask: results do not depend on it
  std::mutex cu_mask_mutex;

 private:
  static std::atomic_ref<std::uint64_t> index(volatile std::uint64_t& field) {
    return std::atomic_ref(const_cast<std::uint64_t&>(field));
  }
  Packet* packet_at(std::uint64_t position) const;
  bool ready(std::uint64_t position) const;
  std::uint64_t together(std::uint64_t position) const;
  void loop();
  std::optional<PacketError> process(std::uint64_t position, std::optional<std::uint64_t> next);
  std::optional<PacketError> wait_for(const Packet& packet);
  std::optional<PacketError> launch(const Packet& packet, std::uint64_t position);
  void fail(const PacketError& error, std::uint64_t position);

  Runtime& runtime_;
  const Settings settings_;
  const std::uint64_t number_;
  SharedPages descriptor_, ring_;
  amd_queue_t* const amd_;
  hsa_signal_t doorbell_{};
  std::atomic<bool> inactive_{false}, stop_{false};
  std::thread thread_;
};

class Queues {
 public:
  explicit Queues(Runtime& runtime) : runtime_(runtime) {}

  hsa_queue_t* create(const Queue::Settings& settings);
  /// Throws Refused.
  void destroy(hsa_queue_t* handle);
  /// Throws Refused when the handle is none.
  Queue& get(const hsa_queue_t* handle) const;
  void stop();
  /// A line for each queue that exists.
  std::vector<std::string> live() const;

 private:
  Runtime& runtime_;
  mutable std::shared_mutex mutex_;
  std::map<const hsa_queue_t*, std::unique_ptr<Queue>> queues_;
  std::vector<std::unique_ptr<Queue>> destroyed_by_themselves_;  // by a callback, on their own thread
  std::uint64_t created_ = 0;
};

}  // namespace wavetile::emu::hsa
