// The checks of one dispatch: the monitor that looks at every instruction before it runs.
//
//   registers    values that nothing put there                                    registers.h
//   waits        values whose load is outstanding                                 waits.h
//   memory       bytes that nothing wrote, of global memory, LDS and scratch      shadow.h
//   races        between waves, by happens-before                                 clocks.h, races.h
//   stale reads  with Options::stale                                              stale.h
//   fences       of packets, between dispatches                                   fences.h
//   barriers     that lanes or waves of a workgroup miss
//
// Reports do not stop the dispatch: each defect is reported once for its instruction, and the value that was complained
// about counts as good from then on. What is fatal (addresses outside allocations, unknown instructions) is found by
// the instructions themselves.
//
// Of barriers this can be told: lanes that were off when their wave came to s_barrier, and that execute something
// afterwards, went around it (lanes that returned from the kernel do not come back, and are not complained about);
// waves of a workgroup that wait at different s_barrier instructions; a wave that had passed barriers and ends while
// others wait at one. Waves that end before their first barrier are legal: the hardware does not count them.
#pragma once

#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "emulator/checks/clocks.h"
#include "emulator/checks/fences.h"
#include "emulator/checks/plan.h"
#include "emulator/checks/races.h"
#include "emulator/checks/registers.h"
#include "emulator/checks/relative.h"
#include "emulator/checks/shadow.h"
#include "emulator/checks/stale.h"
#include "emulator/checks/waits.h"
#include "emulator/monitor.h"

namespace wavetile::emu::checks {

class Checks final : public Monitor {
 public:
  Checks(bool stale, const Fences& fences, const View& view) : stale_(stale), fences_(fences), view_(view) {}
  void dispatch_begin(const Launch& l) override;
  void workgroup_begin(Workgroup& g) override;
  void workgroup_end(Workgroup& g) override;
  void wave_begin(Wave& w, const std::vector<RegisterRange>& written) override;
  void wave_end(Wave& w) override;
  void before(Wave& w, const Op& op) override;
  void after(Wave& w, const Op& op) override;
  void access(Wave& w, const Op& op, const Access& a) override;
  bool stale() const override { return stale_; }
  void read(Wave& w, const Op& op, const Access& a, std::uint64_t address, void* to, std::uint32_t bytes) override;
  void wait(Wave& w, const Op& op, const Wait& wait) override;
  void barrier_arrive(Wave& w, const Op& op) override;
  void barrier_release(Workgroup& g) override;
  void cache(Wave& w, const Op& op, CacheOp what, bool sc0, bool sc1) override;

 private:
  struct WaveState {
    WaveState(const Wave& w, const std::vector<RegisterRange>& written, bool flat_in_order)
        : registers(w, written), waits(flat_in_order) {}
    RegisterState registers;
    Waits waits;
    WaveClock* clock = nullptr;
    // The undefined bits of every byte of scratch: registers are spilled there, lane masks of which only some bits are
    // defined among them.
    std::vector<std::uint8_t> scratch;
    std::uint64_t alive = 0;     // lanes at the beginning
    std::uint64_t left_out = 0;  // lanes that were off at a barrier
    const Op *left_out_of = nullptr, *barrier = nullptr;
    int barriers = 0;
    bool indexed = false;  // between s_set_gpr_idx_on and _off
    // Plain loads of what another wave changes atomically. LLVM begins loops of compare-and-swap with them; they are
    // races unless that follows.
    std::vector<std::pair<std::uint64_t, Report>> suspects;
  };
  struct GroupState {
    GroupState(std::size_t lds_bytes, std::uint32_t number) : lds(lds_bytes, false), number(number) {}
    Shadow lds;
    std::uint32_t number;  // in the grid
    KnowPtr start;
    bool acquired = false;  // a wave has acquired at the scope of the agent: how much it may read is not known
    std::vector<std::unique_ptr<WaveState>> waves;
  };
  // Consecutive bytes that lanes from `lane` on access.
  struct Run {
    std::uint64_t begin = 0, end = 0;
    int lane = 0;
  };
  struct Place {
    Shadow* shadow = nullptr;
    std::uint64_t offset = 0;
    bool writable = true;
  };

  const Plan& plan(const Wave& w, const Op& op) {
    auto& p = plans_[w.pc];
    if (!p) p = make_plan(op, *w.launch);
    return *p;
  }
  /// Where an index may choose the registers.
  const Plan& relative_plan(const Wave& w, const Op& op, const Plan& p);
  static WaveState& state(const Wave& w) { return *static_cast<WaveState*>(w.checks); }
  static GroupState& state(const Workgroup& g) { return *static_cast<GroupState*>(g.checks); }

  // --- checks.cpp
  void report(const Wave& w, const Op& op, const char* kind, const std::string& what, const std::string& more,
              int lane = -1, std::uint64_t data = 0);
  bool first_time(const Wave& w, const Op& op, const char* kind);
  std::string where(const Wave& w, const Op& op) const;
  void report_undefined(const Wave& w, const Op& op, const RegisterState::Finding& f);
  void report_pending(const Wave& w, const Op& op, const Waits::Finding& f);
  void report_left_out(Wave& w, WaveState& s);

  // --- accesses.cpp
  const std::vector<Run>& runs(const Wave& w, const Access& a);
  void add_run(const Access& a, std::uint64_t begin, std::uint64_t bytes, int lane) {
    if (!runs_.empty()) {
      Run& r = runs_.back();
      if (begin == r.end && r.end - r.begin + bytes <= kPageBytes) {
        r.end += bytes;
        return;
      }
      // Lanes that read the same.
      if (a.kind == AccessKind::load && begin >= r.begin && begin + bytes <= r.end) return;
    }
    runs_.push_back({begin, begin + bytes, lane});
  }
  Place place(const Wave& w, const Access& a, const Run& r) {
    if (a.space == Space::lds) return {&state(*w.workgroup).lds, r.begin, true};
    if ((!last_ || r.begin < last_->begin || r.end > last_->end) && !find_place(w, r)) return {};
    return {last_shadow_, r.begin - last_->begin, last_->writable};
  }
  bool find_place(const Wave& w, const Run& r);
  void scratch(const Wave& w, const Op& op, const Access& a);
  void load_undefined(const Wave& w, const Op& op, const Access& a);
  bool store_undefined(const Wave& w, const Op& op, const Access& a);
  void race(const Wave& w, const Op& op, const Access& a, const RaceCheck& check);
  void unfenced(const Wave& w, const Op& op, const Access& a, const Run& r, const Place& at);
  void settle(Wave& w);
  void overlap(const Wave& w, const Op& op, const Access& a);
  unsigned level(const Access& a) const;
  bool changes_nothing(const Wave& w, const Access& a, std::uint64_t dword) const;
  std::uint32_t stored_word(const Wave& w, const Access& a, int lane, std::uint32_t dword) const;
  std::uint64_t shadow_address(const Wave& w, const Access& a, int lane) const;

  bool stale_;
  const Fences& fences_;
  const View& view_;
  const Launch* launch_ = nullptr;
  bool cdna3_ = false;
  std::uint64_t dispatch_ = 0;
  std::vector<std::unique_ptr<Plan>> plans_;  // by program counter
  RelativePlans relative_plans_;
  const Plan* current_ = nullptr;  // of the instruction that runs
  Clocks clocks_;
  StaleCaches caches_;
  std::set<std::pair<const Op*, std::string_view>> reported_;
  std::vector<Run> runs_;
  std::vector<std::unique_ptr<GroupState>> groups_;
  // The last global allocation that was looked up.
  const Allocation* last_ = nullptr;
  Shadow* last_shadow_ = nullptr;
  std::uint64_t last_version_ = 0;
};

}  // namespace wavetile::emu::checks
