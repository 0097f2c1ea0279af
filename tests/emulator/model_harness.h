// The part of AMD's runtime that talks to the model: loads the plug-in, hands it memory and queues, and keeps signals.
#pragma once

#include <hsa/amd_hsa_queue.h>
#include <hsa/amd_hsa_signal.h>
#include <hsa/hsa.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "emulator/code_object.h"
#include "emulator/hsa/packet_format.h"
#include "emulator/model/interface.h"

namespace wavetile::emu::model {

/// The library's table; the library stays loaded.
const Functions& library();
/// The topology folder of a chip.
std::string topology_folder(std::string_view chip);

inline std::atomic_ref<std::int64_t> value_of(amd_signal_t& s) {
  return std::atomic_ref(const_cast<std::int64_t&>(s.value));
}
inline hsa_signal_t handle_of(const amd_signal_t* s) { return {reinterpret_cast<std::uint64_t>(s)}; }

inline constexpr std::uint32_t kHostFlags = kHostMemory | kWritable | kExecutable;
inline constexpr std::uint32_t kDeviceFlags = kDeviceMemory | kHostVisible | kWritable;

class Harness {
 public:
  explicit Harness(std::string_view chip, const std::string& options = "");
  ~Harness();
  Harness(const Harness&) = delete;
  Harness& operator=(const Harness&) = delete;

  /// nullptr when the plug-in refuses.
  Device* device() const { return device_; }
  /// Zeroed pages that the plug-in is told of, until the end.
  void* allocate(std::size_t bytes, std::uint32_t flags = kHostFlags);
  void free(void* address);
  amd_signal_t* signal(std::int64_t value = 1);
  /// Brings a code object into memory as the runtime would; the address of a kernel's descriptor.
  std::uint64_t load(const std::vector<std::byte>& file, std::string_view kernel);
  std::uint64_t events() const { return events_.load(); }

 private:
  static void set_event(void* data, unsigned event);
  struct Pages {
    void* address;
    std::size_t bytes;
  };
  const Chip& chip_;
  Device* device_ = nullptr;
  void* aperture_ = nullptr;
  std::atomic<std::uint64_t> events_{0};
  std::vector<Pages> pages_;
  Memory places_;  // of code objects: the plug-in has a memory of its own
  std::vector<std::unique_ptr<CodeObject>> objects_;
};

/// An AQL queue of 64 packets.
class AqlQueue {
 public:
  explicit AqlQueue(Harness& harness);
  ~AqlQueue();
  AqlQueue(const AqlQueue&) = delete;
  AqlQueue& operator=(const AqlQueue&) = delete;

  /// Appends a packet, whose type is that of its header.
  void submit(const hsa::Packet& packet);
  std::uint64_t read_index() const {
    return std::atomic_ref(const_cast<std::uint64_t&>(amd_->read_dispatch_id)).load();
  }
  /// What the plug-in wrote in error.
  std::int64_t error() const { return value_of(*inactive_).load(); }
  std::uint16_t header(std::uint64_t position) const { return std::atomic_ref(ring_[position % 64].header).load(); }
  void destroy();

 private:
  Harness& harness_;
  hsa::Packet* ring_;
  amd_queue_t* amd_;
  amd_signal_t* inactive_;
  Queue* queue_;
};

/// An SDMA queue of one page.
class SdmaQueue {
 public:
  explicit SdmaQueue(Harness& harness);
  ~SdmaQueue();
  SdmaQueue(const SdmaQueue&) = delete;
  SdmaQueue& operator=(const SdmaQueue&) = delete;
  void submit(std::initializer_list<std::uint32_t> dwords);
  std::uint64_t read_bytes() const { return std::atomic_ref(pointers_[1]).load(); }
  std::uint64_t written_bytes() const { return std::atomic_ref(pointers_[0]).load(); }

 private:
  Harness& harness_;
  std::uint32_t* ring_;
  std::uint64_t* pointers_;  // write, read
  Queue* queue_;
};

/// Waits up to 20 s.
bool eventually(const std::function<bool()>& condition);

/// A dispatch of `items` work-items in workgroups of 64, with everything else at its simplest.
hsa::Packet dispatch(std::uint64_t kernel, const void* arguments, std::uint32_t items, const amd_signal_t* done);

}  // namespace wavetile::emu::model
