// One wave, watched: each instruction with what it wrote, and a stop that prints all registers.
#pragma once

#include <cstdio>
#include <optional>
#include <set>

#include "emulator/monitor.h"

namespace wavetile::emu {

class Trace final : public Monitor {
 public:
  struct What {
    std::array<std::uint32_t, 3> workgroup{};
    int wave = 0;
    bool instructions = false;          // print each
    std::optional<std::uint64_t> stop;  // the offset from the kernel's first instruction at which to stop
    int lanes = 4;                      // how many lanes' values are printed
  };
  Trace(What what, std::FILE* out) : what_(what), out_(out) {}
  void before(Wave& w, const Op& op) override;
  void after(Wave& w, const Op& op) override;
  bool stopped() const { return stopped_; }
  /// The wave that was to be watched ran.
  bool seen() const { return seen_; }

 private:
  bool watched(const Wave& w) const { return w.number == what_.wave && w.workgroup->id == what_.workgroup; }
  void print_registers(const Wave& w) const;
  What what_;
  std::FILE* out_;
  bool stopped_ = false, seen_ = false;
};

}  // namespace wavetile::emu
