// Caches that keep what they hold until they are told to forget it: a load gives what memory held when its line was
// brought in. Real caches forget sooner, so that a program which is right here is right there.
//
//   L0   64-byte lines; one a compute unit, and in RDNA3's WGP mode two a workgroup, for its even and its odd waves
//   GL1  RDNA3: one for each eight compute units
//   K    scalar data; one for each two compute units
//
// Stores go through and update the lines of the storing wave's own caches; atomics are done in memory and drop them.
// Loads with glc (RDNA3) or sc1 (CDNA3) go to memory. The L2 is coherent in this model.
#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "emulator/monitor.h"

namespace wavetile::emu::checks {

class StaleCaches {
 public:
  void begin(bool cdna3, bool wgp_mode) {
    cdna3_ = cdna3;
    wgp_mode_ = wgp_mode;
  }
  /// Gives `bytes` from `address`; true when that differs from what memory holds.
  bool read(const Wave& w, const Access& a, std::uint64_t address, void* to, std::uint32_t bytes);
  /// A store or an atomic, before the data moves; after() completes it.
  void write(const Wave& w, const Access& a);
  void after(const Wave& w);
  void invalidate(const Wave& w, CacheOp op, bool sc1);

 private:
  static constexpr std::uint64_t kLine = 64;
  struct Line {
    std::array<std::uint8_t, kLine> bytes{};
    std::uint64_t held = 0;  // a bit a byte: allocations may share a line
  };
  using Cache = std::unordered_map<std::uint64_t, Line>;
  struct Range {
    std::uint64_t address;
    std::uint32_t bytes;
  };
  Cache& l0(const Wave& w) { return l0_[w.workgroup->compute_unit * 2 + (wgp_mode_ ? w.number & 1 : 0)]; }
  Cache& gl1(const Wave& w) { return gl1_[w.workgroup->compute_unit / 8]; }
  Cache& scalar(const Wave& w) { return scalar_[w.workgroup->compute_unit / 2]; }
  const Line& line(const Wave& w, const Access& a, std::uint64_t at, std::uint64_t begin, std::uint64_t end);
  static void fill(Line& line, std::uint64_t at, std::uint64_t begin, std::uint64_t end, const Line* from);

  bool cdna3_ = false, wgp_mode_ = false;
  std::unordered_map<int, Cache> l0_, gl1_, scalar_;
  std::vector<Range> stored_;
};

}  // namespace wavetile::emu::checks
