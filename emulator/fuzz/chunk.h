// A few programs, from generation to the comparison, on all configurations, in this process.
#pragma once

#include <set>
#include <tuple>

#include "emulator/fuzz/harness.h"
#include "emulator/fuzz/session.h"

namespace wavetile::fuzz {

inline constexpr std::uint64_t kChunk = 16;

/// Where a process is, for whoever finds it dead.
struct Whereabouts {
  enum Phase : int { reference, compiling, running, reducing } phase;
  std::uint64_t number;
  int configuration, level;
};

struct ChunkOrder {
  std::uint64_t first = 0, programs = 0;
  bool alone = false;  // each program in a module of its own, so that whereabouts are exact
  bool reduce = true;
  std::set<std::pair<std::uint64_t, int>> skip;  // programs on configurations that killed a process before
};

/// The level at which a program is compiled for a configuration.
int level_of(std::uint64_t number, int configuration);
Summary run_chunk(const Settings& settings, const ChunkOrder& order, volatile Whereabouts& at);

}  // namespace wavetile::fuzz
