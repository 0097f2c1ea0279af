// What watches a dispatch: the checks and the counters. Instructions call it only when there is one.
#pragma once

#include <cstdint>
#include <memory>

#include "emulator/op.h"
#include "emulator/wave.h"

namespace wavetile::emu {

namespace checks {
class Fences;
struct View;
}  // namespace checks

enum class Space : std::uint8_t { global, lds, scratch, constant };  // constant: scalar memory reads
enum class AccessKind : std::uint8_t { load, store, atomic };        // atomic: read-modify-write

/// One memory instruction of one wave. Lanes of `mask` access `bytes` bytes each, at `address[lane]`: a device address,
/// an offset in LDS, or an offset in the lane's scratch. Scalar loads are lane 0 of a mask of 1.
/// An instruction that accesses two places a lane (ds_read2) makes two of these.
struct Access {
  Space space = Space::global;
  AccessKind kind = AccessKind::load;
  std::uint64_t mask = 0;
  const std::uint64_t* address = nullptr;  // [64]
  std::uint32_t bytes = 0;
  bool returns = false;  // an atomic that gives the old value
  // Where the value goes or comes from: `row` is the first vector register (rows of launch.vector_registers), with
  // `half` for the 16 bits that a d16 access uses. Scalar loads: the first scalar register.
  int row = -1;
  Half half = Half::whole;
  // Scope bits as in the instruction: RDNA3 glc, slc, dlc; CDNA3 sc0, sc1, nt.
  bool glc = false, slc = false, dlc = false, sc0 = false, sc1 = false, nt = false;
};

enum class CacheOp : std::uint8_t { gl0_inv, gl1_inv, buffer_inv, buffer_wbl2, dcache_inv, dcache_wb, icache_inv };

class Monitor {
 public:
  virtual ~Monitor() = default;
  virtual void dispatch_begin(const Launch&) {}
  virtual void dispatch_end(const Launch&) {}
  virtual void workgroup_begin(Workgroup&) {}
  virtual void workgroup_end(Workgroup&) {}
  /// After the wave's registers are set up; `written` says which: ranges of registers that the launch initialised.
  virtual void wave_begin(Wave&, const std::vector<RegisterRange>& /*written*/) {}
  virtual void wave_end(Wave&) {}
  /// Around every instruction. Before: nothing is read yet. A monitor that reports may set wave.status = faulted.
  virtual void before(Wave&, const Op&) {}
  virtual void after(Wave&, const Op&) {}
  /// Before the data moves, after addresses are known and inside an allocation (accesses that are not make a fault of
  /// their own; lanes out of range are not in the mask).
  virtual void access(Wave&, const Op&, const Access&) {}
  /// With stale(): loads of global memory and scalar loads read through this instead of memory.
  virtual bool stale() const { return false; }
  virtual void read(Wave&, const Op&, const Access&, std::uint64_t /*address*/, void* /*to*/, std::uint32_t /*bytes*/) {
  }
  /// s_waitcnt and its kin: counters that may have at most so many outstanding; -1: nothing is said of this one.
  struct Wait {
    int vm = -1, vs = -1, lgkm = -1, exp = -1;
  };
  virtual void wait(Wave&, const Op&, const Wait&) {}
  virtual void barrier_arrive(Wave&, const Op&) {}
  virtual void barrier_release(Workgroup&) {}
  virtual void cache(Wave&, const Op&, CacheOp, bool /*sc0*/, bool /*sc1*/) {}
  /// After dispatch_end().
  virtual std::shared_ptr<const Counters> counters() const { return nullptr; }
};

/// The checks and the counters that the options ask for, for one dispatch: nullptr when that is nothing. `view` is what
/// the device's fences let it read; the caller keeps both until the dispatch has ended.
std::shared_ptr<Monitor> make_monitor(const Options& options, const checks::Fences& fences, const checks::View& view);

}  // namespace wavetile::emu
