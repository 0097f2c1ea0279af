// A queue of AQL packets: kernels, barriers, and the little of PM4 that the runtime sends.
#pragma once

#include <hsa/amd_hsa_queue.h>

#include <optional>

#include "emulator/hsa/packet_format.h"
#include "emulator/model/queue.h"

namespace wavetile::emu::model {

class DispatchQueue final : public Queue {
 public:
  DispatchQueue(Device& device, const QueueInfo& info);
  ~DispatchQueue() override { stop(); }

 private:
  using Error = std::optional<hsa::PacketError>;
  bool step() override;
  void idle(unsigned rests) override;
  Error process(const hsa::Packet& packet, std::uint64_t position);
  Error wait_for(const hsa::Packet& packet);
  Error launch(const hsa::Packet& packet, std::uint64_t position);
  Error run_commands(const hsa::Packet& packet);
  void fail(const hsa::PacketError& error, std::uint64_t position);
  hsa::Packet* packet_at(std::uint64_t position) const;

  amd_queue_t* const queue_;
  bool failed_ = false;
  std::uint64_t wakes_seen_ = 0;
  int reminders_ = 0;
};

}  // namespace wavetile::emu::model
