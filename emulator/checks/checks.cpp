#include "emulator/checks/checks.h"

#include <algorithm>
#include <atomic>
#include <bit>

#include <fmt/format.h>

#include "emulator/program.h"

namespace wavetile::emu::checks {
namespace {

// Of the descriptor's words: the waves of a workgroup run on both compute units of a WGP; CDNA3: on several.
bool wgp_mode(const Launch& l) { return (l.descriptor.rsrc1 >> 29 & 1) != 0; }
bool split_threadgroup(const Launch& l) { return (l.descriptor.rsrc3 >> 16 & 1) != 0; }

constexpr std::size_t kLongestLog = std::size_t{1} << 20;  // accesses of a wave whose places are remembered

}  // namespace

void Checks::dispatch_begin(const Launch& l) {
  static std::atomic<std::uint64_t> dispatches{0};
  dispatch_ = ++dispatches;
  launch_ = &l;
  cdna3_ = l.chip->family == Family::cdna3;
  plans_.clear();
  plans_.resize(l.program->dwords + 1);
  relative_plans_.clear();
  clocks_.begin({.cdna3 = cdna3_, .shared_l0 = cdna3_ ? !split_threadgroup(l) : !wgp_mode(l)}, l.waves_per_workgroup);
  caches_.begin(cdna3_, !cdna3_ && wgp_mode(l));
}

void Checks::workgroup_begin(Workgroup& g) {
  const auto& n = launch_->workgroups;
  const std::uint32_t number = g.id[0] + n[0] * (g.id[1] + n[1] * g.id[2]);
  auto s = std::make_unique<GroupState>(g.lds.size(), number);
  s->start = clocks_.nothing(static_cast<int>(g.waves.size()));
  g.checks = s.get();
  groups_.push_back(std::move(s));
}

void Checks::workgroup_end(Workgroup& g) {
  GroupState& s = state(g);
  clocks_.workgroup_end(s.number, static_cast<int>(g.waves.size()));
  std::erase_if(groups_, [&](const auto& p) { return p.get() == &s; });
  g.checks = nullptr;
}

void Checks::wave_begin(Wave& w, const std::vector<RegisterRange>& written) {
  GroupState& g = state(*w.workgroup);
  auto s = std::make_unique<WaveState>(w, written, !cdna3_);
  s->clock = clocks_.wave_begin(g.number, w.number, g.start);
  s->alive = w.exec;
  s->scratch.assign(std::size_t{launch_->private_bytes} * static_cast<std::size_t>(w.lanes), 0xff);
  w.checks = s.get();
  g.waves.push_back(std::move(s));
}

void Checks::wave_end(Wave& w) {
  state(w).left_out = 0;
  settle(w);
}

const Plan& Checks::relative_plan(const Wave& w, const Op& op, const Plan& p) {
  WaveState& s = state(w);
  if (p.index == Index::on || p.index == Index::off) s.indexed = p.index == Index::on;
  if (p.index == Index::by_m0) return relative_plans_.plan(w, op, false);
  return s.indexed && op.instruction->mnemonic == "v_mov_b32" ? relative_plans_.plan(w, op, true) : p;
}

void Checks::before(Wave& w, const Op& op) {
  WaveState& s = state(w);
  const Plan& found = plan(w, op);
  const Plan& p = found.index == Index::none && !s.indexed ? found : relative_plan(w, op, found);
  current_ = &p;
  if (!p.out_of_range.empty() && first_time(w, op, "register-out-of-range")) {
    report(w, op, "register-out-of-range", p.out_of_range, "");
  }
  if ((s.left_out & w.exec) != 0 && p.vector) report_left_out(w, s);
  if (Waits::Finding f; s.waits.check(p, f) && first_time(w, op, "missing-wait")) report_pending(w, op, f);
  if (p.counter != Counter::none) {
    s.waits.issue(p);
    auto note = [&](std::size_t stream) {
      auto& log = s.clock->log[stream];
      if (log.size() < kLongestLog) log.push_back(static_cast<std::uint32_t>(w.pc));
    };
    note(static_cast<std::size_t>(stream_of(p.counter)));
    if (p.flat) note(2);
  }
  const std::uint64_t lanes = p.every_lane ? w.all_lanes() : w.exec;
  if (s.registers.clean(p, lanes)) return s.registers.define_written(p, lanes);
  RegisterState::Finding f;
  if (!s.registers.step(w, p, f)) return;
  report_undefined(w, op, f);
  if (f.scc) return;
  if (f.scalar) {
    s.registers.set_scalar(f.reg, 0);
  } else {
    s.registers.define(f.reg, w.all_lanes());
  }
}

void Checks::after(Wave& w, const Op&) {
  if (stale_) caches_.after(w);
}

void Checks::wait(Wave& w, const Op&, const Wait& wait) {
  WaveState& s = state(w);
  s.waits.wait(wait);
  if (!s.clock->acquires.empty()) clocks_.waited(*s.clock, s.waits);
}

void Checks::cache(Wave& w, const Op&, CacheOp what, bool, bool sc1) {
  WaveState& s = state(w);
  if (what == CacheOp::buffer_wbl2) {
    clocks_.write_back(*s.clock, s.waits, sc1);
  } else {
    clocks_.invalidate(*s.clock, s.waits, what, sc1);
    if (cdna3_ ? what == CacheOp::buffer_inv && sc1 : what == CacheOp::gl1_inv) state(*w.workgroup).acquired = true;
  }
  if (stale_) caches_.invalidate(w, what, sc1);
}

// --- barriers

void Checks::barrier_arrive(Wave& w, const Op& op) {
  WaveState& s = state(w);
  s.barrier = &op;
  settle(w);
  ++s.barriers;
  if (const std::uint64_t off = s.alive & ~w.exec; off != 0 && s.left_out == 0) {
    s.left_out = off;
    s.left_out_of = &op;
  }
}

void Checks::barrier_release(Workgroup& g) {
  std::vector<std::pair<WaveClock*, const Waits*>> waves;
  const Wave* first = nullptr;
  for (const auto& w : g.waves) {
    WaveState& s = state(*w);
    if (w->status != Status::barrier) continue;
    waves.emplace_back(s.clock, &s.waits);
    if (!first) first = w.get();
    const WaveState& f = state(*first);
    if (s.barrier != f.barrier && first_time(*w, *s.barrier, "divergent-barrier")) {
      report(*w, *s.barrier, "divergent-barrier", "waves of the workgroup wait at different barriers",
             fmt::format("   wave {} waits at {}\n", first->number, where(*first, *f.barrier)));
    }
  }
  clocks_.barrier(waves);
  for (const auto& w : g.waves) {
    const WaveState& s = state(*w);
    if (w->status != Status::ended || s.barriers == 0 || !first || s.barriers >= state(*first).barriers) continue;
    const WaveState& f = state(*first);
    if (!first_time(*first, *f.barrier, "divergent-barrier")) continue;
    report(
        *first, *f.barrier, "divergent-barrier", "a wave of the workgroup has ended without this barrier",
        fmt::format("   wave {} passed {} barriers and ended; this is number {}\n", w->number, s.barriers, f.barriers));
  }
}

// --- reports

bool Checks::first_time(const Wave& w, const Op& op, const char* kind) {
  if (reported_.emplace(&op, kind).second) return true;
  Report again;
  again.kind = kind;
  again.address = op.instruction->address;
  w.launch->sink->add(std::move(again));
  return false;
}

void Checks::report(const Wave& w, const Op& op, const char* kind, const std::string& what, const std::string& more,
                    int lane, std::uint64_t data) {
  Report r = make_report(w, &op, kind, what, lane, data);
  r.text += more;
  w.launch->sink->add(std::move(r));
}

// An instruction, as the other party of a report.
std::string Checks::where(const Wave& w, const Op& op) const {
  const Instruction& in = *op.instruction;
  std::string text = fmt::format("+ {:#x}: {}", in.address - w.launch->program->base - w.launch->entry_offset, in.text);
  if (w.launch->line) {
    if (const auto line = w.launch->line(in.address)) text += fmt::format(" ({}:{})", line->file, line->line);
  }
  return text;
}

void Checks::report_undefined(const Wave& w, const Op& op, const RegisterState::Finding& f) {
  if (f.scc) {
    if (first_time(w, op, "uninitialised-register"))
      report(w, op, "uninitialised-register", "reads SCC, which nothing set", "");
    return;
  }
  const Origin& o = f.origin;
  const bool loaded = o.op != nullptr;
  const char* kind = loaded ? "uninitialised-memory" : "uninitialised-register";
  if (!first_time(w, op, kind)) return;
  const std::string name = register_name(f.scalar, f.reg);
  std::string what = loaded ? fmt::format("uses {}, loaded from {} that nothing wrote", name, o.space)
                            : fmt::format("reads {}, which nothing wrote", name);
  std::string more;
  if (f.bits != 0xffffffffu) more += fmt::format("   undefined bits {:#010x}\n", f.bits);
  if (f.lanes != 0) more += fmt::format("   in lanes {:#x} of EXEC {:#x}\n", f.lanes, w.exec);
  if (loaded) more += fmt::format("   loaded at {}\n   from {} address {:#x}\n", where(w, *o.op), o.space, o.address);
  report(w, op, kind, what, more, f.lane);
}

void Checks::report_pending(const Wave& w, const Op& op, const Waits::Finding& f) {
  report(w, op, "missing-wait",
         fmt::format("{} {} before its load is waited for ({})", f.overwritten ? "overwrites" : "reads",
                     register_name(f.scalar, f.reg), f.counter),
         f.load ? fmt::format("   loaded at {}\n", where(w, *f.load)) : "");
}

void Checks::report_left_out(Wave& w, WaveState& s) {
  if (first_time(w, *s.left_out_of, "divergent-barrier")) {
    report(w, *s.left_out_of, "divergent-barrier", "lanes went around the barrier that others of their wave waited at",
           fmt::format("   lanes {:#x} were off, and execute {}\n", s.left_out & w.exec, where(w, *current_->op)),
           std::countr_zero(s.left_out & w.exec));
  }
  s.left_out = 0;
}

}  // namespace wavetile::emu::checks
