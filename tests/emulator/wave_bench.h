// A wave alone with some memory, for tests of instructions.
#pragma once

#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "emulator/memory.h"
#include "emulator/program.h"

namespace wavetile::emu::testing {

// A wave with 64 words of writable memory, whose address is in s[2:3] and, for each lane, in v[2:3].
struct Bench {
  explicit Bench(const char* chip, int lanes_ = 32, unsigned lds = 4096) : lanes(lanes_), lds_bytes(lds) {
    device = find_chip(chip);
    std::iota(words.begin(), words.end(), 100u);
    allocation = memory.add(words.data(), words.size() * 4, "words");
  }
  std::uint64_t address() const { return reinterpret_cast<std::uint64_t>(words.data()); }
  // Assembles, sets the addresses; then the state may be changed before go().
  Wave& make(const std::string& text) {
    fragment = make_fragment(*device, lanes, assemble(*device, lanes, text + "\ns_endpgm"), memory, lds_bytes, 64);
    Wave& w = fragment->wave();
    w.set_scalar64(2, address());
    for (int i = 0; i < lanes; ++i) {
      w.row(2)[i] = static_cast<std::uint32_t>(address());
      w.row(3)[i] = static_cast<std::uint32_t>(address() >> 32);
    }
    return w;
  }
  bool go() { return run_fragment(*fragment); }
  void lds_word(int at, std::uint32_t value) { std::memcpy(fragment->workgroup.lds.data() + at, &value, 4); }
  std::uint32_t lds_word(int at) const {
    std::uint32_t value = 0;
    std::memcpy(&value, fragment->workgroup.lds.data() + at, 4);
    return value;
  }
  // The report that ended the run; an empty one when there is none.
  Report report() const { return fragment->reports.empty() ? Report{} : fragment->reports[0]; }
  std::string kind() const { return report().kind; }

  const Chip* device;
  int lanes;
  unsigned lds_bytes;
  Memory memory;
  std::vector<std::uint32_t> words = std::vector<std::uint32_t>(64);
  const Allocation* allocation;
  std::unique_ptr<Fragment> fragment;
};

/// Each lane of the row gets 4 * its number more.
inline void by_four(Wave& w, int row) {
  for (int i = 0; i < w.lanes; ++i) w.row(row)[i] += static_cast<std::uint32_t>(4 * i);
}

}  // namespace wavetile::emu::testing
