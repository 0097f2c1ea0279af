// A queue of SDMA packets: copies, fills and what synchronises them. Formats: the Linux driver's
// drivers/gpu/drm/amd/amdgpu/vega10_sdma_pkt_open.h, whose packets later chips keep.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "emulator/model/queue.h"

namespace wavetile::emu::model {

class CopyQueue final : public Queue {
 public:
  CopyQueue(Device& device, const QueueInfo& info);
  ~CopyQueue() override { stop(); }

 private:
  static constexpr std::size_t kLongest = 13;  // dwords of a packet
  using Dwords = std::array<std::uint32_t, kLongest>;
  bool step() override;
  /// Does what the packet says; its length in dwords, 0 after stop().
  std::uint32_t process(const Dwords& p);
  void copy(const Dwords& p);
  void copy_window(const Dwords& p);
  void fill(const Dwords& p);
  void atomic(const Dwords& p);
  bool poll(const Dwords& p);
  /// The memory of an operand; ends the process when there is none, as AMD's runtime does after a fault of the GPU.
  template <typename T>
  T* at(std::uint64_t address, std::size_t bytes, bool written, const char* what);
  /// Writes to what may be a signal's value, and wakes who sleeps on it: no packet of its own says so.
  template <typename Write>
  void write_and_wake(std::uint64_t address, Write write);
  [[noreturn]] void fail(const std::string& why) const;
};

}  // namespace wavetile::emu::model
