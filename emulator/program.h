// A stretch of machine code, decoded as it is reached, once for all waves. A program counter is the index of a dword.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "emulator/decode.h"
#include "emulator/op.h"

namespace wavetile::emu {

/// Thread-safe.
struct Program {
  /// `code` must stay where it is; it lies at its own address.
  Program(const Chip& chip, int lanes, std::span<const std::byte> code);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  std::uint64_t base = 0;  // the address of dword 0
  std::uint64_t dwords = 0;
  /// nullptr where nothing decodable lies, or outside.
  const Op* at(std::uint64_t pc) {
    if (pc >= dwords) return nullptr;
    const Op* op = slots[pc].load(std::memory_order_acquire);
    return op ? op : decode(pc);
  }
  std::uint64_t address(std::uint64_t pc) const { return base + pc * 4; }

 private:
  const Op* decode(std::uint64_t pc);
  std::unique_ptr<std::atomic<const Op*>[]> slots;
  struct State;
  std::unique_ptr<State> state_;
};

/// For tests and tools: runs `code` as one wave from its first instruction to s_endpgm, on the state given and left in
/// `wave` (made by make_fragment). LDS is wave.workgroup->lds. Global addresses are looked up in `memory`.
struct Fragment {
  Dispatch dispatch;
  Launch launch;
  Workgroup workgroup;
  std::unique_ptr<Program> program;
  std::vector<std::byte> code;
  ReportSink sink;
  std::vector<Report> reports;  // after run_fragment
  Wave& wave() { return *workgroup.waves[0]; }
};
/// EXEC has all lanes on; registers are 0; `lds_bytes` of LDS and `private_bytes` of scratch a lane, all 0.
std::unique_ptr<Fragment> make_fragment(const Chip& chip, int lanes, std::span<const std::byte> code, Memory& memory,
                                        unsigned lds_bytes = 65536, unsigned private_bytes = 256);
/// Runs to the end, a fault (in fragment.reports) or `limit` instructions; true when it reached s_endpgm.
bool run_fragment(Fragment& fragment, std::uint64_t limit = 100000);

}  // namespace wavetile::emu
