// Happens-before between waves, as LLVM's memory models of GFX11 and GFX942 make it out of instructions (AMDGPUUsage,
// "Memory Model"). The same rules in our words:
//
//  - An access is ordered before what follows a barrier or a release only once its wave has waited for it. Global
//    accesses of one workgroup are an exception where its waves share one L0: there the order of issue is enough
//    (RDNA3 in CU mode, CDNA3 unless threadgroup split).
//  - Any store or read-modify-write may be a release: a wave that reads its value atomically learns what the storing
//    wave knew when it issued it. A chain of read-modify-writes passes on what all of them knew; a store ends it.
//  - Who has read what an atomic store or read-modify-write left comes after it, fence or no fence: what it stores to
//    the same place then is no race.
//  - What was learnt counts from the cache invalidation that makes an acquire: of the workgroup's waves at
//    buffer_gl0_inv (WGP mode) or at once (shared L0), of other workgroups at buffer_gl1_inv and buffer_gl0_inv, or
//    buffer_inv sc1. The load has to be waited for before.
//  - CDNA3's stores are ordered for other workgroups once buffer_wbl2 followed them and they were waited for.
//  - A barrier orders execution, and LDS; reads of global memory after it need the invalidation in WGP mode. An acquire
//    that one wave made for its workgroup is good for the others after the next barrier.
//
// Dispatches that run at the same time are not ordered, and not checked, against each other.
#pragma once

#include <deque>
#include <memory>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "emulator/checks/shadow.h"
#include "emulator/checks/waits.h"

namespace wavetile::emu::checks {

/// How far a wave is known: of each stream the first `all` accesses, and one more, that which was read last. (What that
/// one's wave stored before it and did not wait for is not known with it.)
struct Known {
  Times all{}, one{};
  bool has(Epoch e) const {
    const auto stream = static_cast<std::size_t>(e.stream());
    return all[stream] >= e.time() || one[stream] == e.time();
  }
};

/// Waves of other workgroups, by their numbers. Sorted.
using Foreign = std::vector<std::pair<std::uint32_t, Known>>;

/// How far a wave knows the others. Immutable once shared.
struct Know {
  std::vector<Known> local;  // waves of its workgroup
  std::shared_ptr<const Foreign> foreign;
};
using KnowPtr = std::shared_ptr<const Know>;

struct Mode {
  bool cdna3 = false;
  bool shared_l0 = false;  // the waves of a workgroup share their L0
};

struct WaveClock {
  std::uint32_t number = 0;  // in the dispatch
  std::uint32_t first = 0;   // of its workgroup's waves
  KnowPtr know;
  // What its caches can no longer hold old data of: as of the invalidations. Waves of a workgroup share the GL1, so
  // that one invalidates it for all of them.
  KnowPtr at_gl0;
  std::shared_ptr<const Foreign> foreign_gl0, foreign_gl1;
  // CDNA3: as of the last buffer_wbl2.
  KnowPtr written_back;
  Times issued_back{};

  /// What the wave had done and knew when it stored.
  struct Past {
    Times issued, done, agent_done;
    KnowPtr know, agent_know;
  };
  std::deque<Past> history;

  /// An atomic read whose acquire is not complete.
  struct Acquire {
    std::uint64_t key = 0;
    int stream = 0;
    std::uint32_t time = 0;
    bool lds = false, local_done = false, read = false;
    std::vector<Epoch> from{};
  };
  std::vector<Acquire> acquires;
  // Program counters of its accesses, for reports. Waves that end leave one copy of equal logs.
  std::array<std::vector<std::uint32_t>, kStreams> log;
  std::array<const std::vector<std::uint32_t>*, kStreams> kept_log{};
};

/// The clocks of one dispatch.
class Clocks {
 public:
  void begin(Mode mode, int waves_per_workgroup);
  WaveClock* wave_begin(std::uint32_t workgroup, int wave, const KnowPtr& start);
  /// What waves of a workgroup know at its beginning.
  KnowPtr nothing(int waves);
  void workgroup_end(std::uint32_t workgroup, int waves);

  bool ordered(const WaveClock& me, Epoch e, bool lds, bool reads) const;
  /// The wave stores: what it knows now may be taken from the location.
  void publish(WaveClock& me, const Waits& waits);
  /// A read-modify-write of the location, which was as in `before`.
  void chain(const WaveClock& me, std::uint64_t key, const Cell& before, Epoch mine);
  /// An atomic read of a location.
  void read_atomically(WaveClock& me, std::uint64_t key, const Cell& cell, int stream, std::uint32_t time, bool lds);

  void waited(WaveClock& me, const Waits& waits);
  void invalidate(WaveClock& me, const Waits& waits, CacheOp op, bool sc1);
  void write_back(WaveClock& me, const Waits& waits, bool sc1);
  void barrier(const std::vector<std::pair<WaveClock*, const Waits*>>& waves);

  const WaveClock* find(std::uint32_t number) const;
  /// The program counter of an access; false where it is not remembered.
  bool where(Epoch e, std::uint64_t& pc) const;
  int waves_per_workgroup() const { return waves_per_workgroup_; }

 private:
  void learn(Know& know, const WaveClock& me, Epoch e, bool local, bool foreign) const;
  static void learn_one(Know& know, const WaveClock& me, Epoch e);
  void acquire(WaveClock& me, const Waits& waits, bool local, bool foreign, bool lds_only);

  Mode mode_;
  int waves_per_workgroup_ = 1;
  std::unordered_map<std::uint32_t, std::unique_ptr<WaveClock>> waves_;
  std::unordered_map<std::uint64_t, std::vector<Epoch>> chains_;
  std::set<std::vector<std::uint32_t>> logs_;
};

}  // namespace wavetile::emu::checks
