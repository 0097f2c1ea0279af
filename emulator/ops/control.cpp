// SOPP and what else steers a wave: ends, branches, calls, waits, barriers, messages, hints and cache control.
// Registers of the hardware are in hardware_registers.cpp.
//
// When an op runs, the program counter is already that of the next instruction. Memory instructions finish where they
// stand, so that waits only tell the monitor.
#include <algorithm>

#include <fmt/format.h>

#include "emulator/monitor.h"
#include "emulator/ops/scalar.h"
#include "emulator/program.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
void add_hardware_registers(Table& t);
namespace {

Entry plain(Class cls, Run run) {
  return {cls, [run](const Instruction& in, Op& op, const BindContext&) {
            op.imm = simm16(in);
            op.run = run;
          }};
}
void run_nothing(Wave&, const Op&) {}
Entry hint() { return plain(Class::other, run_nothing); }

// --- branches

void jump(Wave& w, const Op& op) { w.pc += static_cast<std::uint64_t>(op.imm); }

template <class F>
Entry branch(F) {
  return {Class::branch, [](const Instruction& in, Op& op, const BindContext&) {
            op.imm = static_cast<std::int16_t>(simm16(in));
            op.run = [](Wave& w, const Op& o) {
              if (F{}(w)) jump(w, o);
            };
          }};
}

// VCCZ and EXECZ are of the wave's lanes.
bool vcc_zero(const Wave& w) { return w.lane_mask(kVcc) == 0; }

std::uint64_t next_address(const Wave& w) { return w.launch->program->address(w.pc); }
void go_to(Wave& w, const Op& op, std::uint64_t address) {
  const Program& program = *w.launch->program;
  const std::uint64_t offset = address - program.base;
  if ((offset & 3) != 0 || offset / 4 >= program.dwords) {
    return fault(w, op, "bad-jump", fmt::format("a jump to {:#x}, where no code of the program lies", address), -1,
                 address);
  }
  w.pc = offset / 4;
}

Entry jump_entry(Run run, bool destination_first, bool source_last) {
  return {Class::branch, [=](const Instruction& in, Op& op, const BindContext& c) {
            expect_modifiers(in, {});
            if (destination_first) op.dst[0] = destination(in, 0, c);
            if (source_last) op.src[0] = source(in, destination_first ? 1 : 0, Type::b64, c);
            op.imm = static_cast<std::int16_t>(simm16(in));
            op.run = run;
          }};
}

void add_branches(Table& t) {
  t.add("s_branch", branch([](const Wave&) { return true; }));
  t.add("s_cbranch_scc0", branch([](const Wave& w) { return !w.scc; }));
  t.add("s_cbranch_scc1", branch([](const Wave& w) { return w.scc; }));
  t.add("s_cbranch_vccz", branch([](const Wave& w) { return vcc_zero(w); }));
  t.add("s_cbranch_vccnz", branch([](const Wave& w) { return !vcc_zero(w); }));
  t.add("s_cbranch_execz", branch([](const Wave& w) { return w.exec == 0; }));
  t.add("s_cbranch_execnz", branch([](const Wave& w) { return w.exec != 0; }));
  // No debugger is there to set the flags that these look at.
  for (std::string_view name : {"sys", "user", "sys_or_user", "sys_and_user"}) {
    t.add(fmt::format("s_cbranch_cdbg{}", name), branch([](const Wave&) { return false; }));
  }
  t.add("s_getpc_b64",
        jump_entry([](Wave& w, const Op& op) { w.set_scalar64(op.dst[0].reg, next_address(w)); }, true, false));
  t.add(
      "s_setpc_b64",
      jump_entry([](Wave& w, const Op& op) { go_to(w, op, scalar_value<std::uint64_t>(w, op.src[0])); }, false, true));
  t.add("s_swappc_b64", jump_entry(
                            [](Wave& w, const Op& op) {
                              const auto to = scalar_value<std::uint64_t>(w, op.src[0]);
                              w.set_scalar64(op.dst[0].reg, next_address(w));
                              go_to(w, op, to);
                            },
                            true, true));
  t.add("s_call_b64", jump_entry(
                          [](Wave& w, const Op& op) {
                            w.set_scalar64(op.dst[0].reg, next_address(w));
                            jump(w, op);
                          },
                          true, false));
}

// --- waits

// imm: the counts, a byte each, 255 where the instruction has none: vm, vs, lgkm, exp. The most that a field can say is
// no wait, and true all the same: a counter has no room for more, so that what is older has ended, as LLVM takes it.
constexpr std::int64_t kNotWaited = 255;
std::int64_t counts(std::int64_t vm, std::int64_t vs, std::int64_t lgkm, std::int64_t exp) {
  return vm | vs << 8 | lgkm << 16 | exp << 24;
}

void run_wait(Wave& w, const Op& op) {
  Monitor* const monitor = w.launch->monitor;
  if (!monitor) return;
  const auto at = [&](int shift) {
    const auto v = static_cast<int>(op.imm >> shift & 255);
    return v == kNotWaited ? -1 : v;
  };
  monitor->wait(w, op, {.vm = at(0), .vs = at(8), .lgkm = at(16), .exp = at(24)});
}

std::int64_t waitcnt(const Chip& chip, std::int64_t bits) {
  if (chip.family == Family::rdna3) {
    return counts(bits >> 10 & 63, kNotWaited, bits >> 4 & 63, bits & 7);
  }
  const std::int64_t vm = (bits & 15) | (bits >> 14 & 3) << 4;
  return counts(vm, kNotWaited, bits >> 8 & 15, bits >> 4 & 7);
}

template <class F>
Entry wait(F) {
  return {Class::wait, [](const Instruction& in, Op& op, const BindContext& c) {
            op.imm = F{}(c.chip, std::int64_t{simm16(in)});
            op.run = run_wait;
          }};
}

// s_waitcnt_vscnt null, 2: at most the register's value plus the constant.
template <int Monitor::Wait::*Field>
void run_wait_sum(Wave& w, const Op& op) {
  if (!w.launch->monitor) return;
  const auto most = static_cast<int>((scalar_value<std::uint32_t>(w, op.src[0]) & 63) + (op.imm & 63));
  Monitor::Wait wait;
  wait.*Field = std::min(most, 63);
  w.launch->monitor->wait(w, op, wait);
}

Entry wait_one(Run run) {
  return {Class::wait, [run](const Instruction& in, Op& op, const BindContext& c) {
            op.src[0] = source(in, 0, Type::b32, c);
            op.imm = simm16(in);
            op.run = run;
          }};
}

void add_waits(Table& t) {
  t.add("s_waitcnt", wait([](const Chip& chip, std::int64_t bits) { return waitcnt(chip, bits); }));
  t.add("s_wait_idle", wait([](const Chip&, std::int64_t) { return counts(0, 0, 0, 0); }));
  t.add("s_waitcnt_vmcnt", wait_one(run_wait_sum<&Monitor::Wait::vm>));
  t.add("s_waitcnt_vscnt", wait_one(run_wait_sum<&Monitor::Wait::vs>));
  t.add("s_waitcnt_lgkmcnt", wait_one(run_wait_sum<&Monitor::Wait::lgkm>));
  t.add("s_waitcnt_expcnt", wait_one(run_wait_sum<&Monitor::Wait::exp>));
  t.add("s_barrier", plain(Class::barrier, [](Wave& w, const Op& op) {
          w.status = Status::barrier;
          if (w.launch->monitor) w.launch->monitor->barrier_arrive(w, op);
        }));
  t.add("s_sleep", plain(Class::other, [](Wave& w, const Op&) { w.status = Status::yielded; }));
}

// --- ends and messages

void run_trap(Wave& w, const Op& op) {
  // Trap 3 is the debugger's; without one its handler returns at once.
  if ((op.imm & 255) == 3) return;
  fault(w, op, "trap", fmt::format("s_trap {}", op.imm & 255));
}

void run_halt(Wave& w, const Op& op) {
  if ((op.imm & 1) != 0) fault(w, op, "halt", "s_sethalt: the wave stops for good");
}

void run_realtime(Wave& w, const Op& op) { w.set_scalar64(op.dst[0].reg, w.executed); }

Entry message() {
  return {Class::other, [](const Instruction& in, Op& op, const BindContext& c) {
            // Registers that are given back early are not missed: only s_endpgm follows.
            constexpr int kDeallocateVgprs = 3;
            if (c.chip.family != Family::rdna3 || (simm16(in) & 255) != kDeallocateVgprs) {
              throw Unsupported(fmt::format("a message in '{}'", in.text));
            }
            op.run = run_nothing;
          }};
}

Entry message_with_answer() {
  return {Class::other, [](const Instruction& in, Op& op, const BindContext& c) {
            constexpr int kGetRealtime = 0x83;
            if (in.raw.at(0) != kGetRealtime || in.mnemonic != "s_sendmsg_rtn_b64") {
              throw Unsupported(fmt::format("a message in '{}'", in.text));
            }
            op.dst[0] = destination(in, 0, c);
            op.run = run_realtime;
          }};
}

void add_ends(Table& t) {
  t.add("s_endpgm", plain(Class::branch, [](Wave& w, const Op&) { w.status = Status::ended; }));
  t.add("s_trap", plain(Class::other, run_trap));
  t.add("s_sethalt", plain(Class::other, run_halt));
  t.add("s_code_end", plain(Class::other, [](Wave& w, const Op& op) {
          fault(w, op, "code-end", "the wave ran past the end of its code");
        }));
  t.add("s_sendmsg", message());
  t.add("s_sendmsg_rtn_b32", message_with_answer());
  t.add("s_sendmsg_rtn_b64", message_with_answer());
}

// --- hints and caches

// Scheduling, prefetching, tracing, and hazards that an emulator without a pipeline does not have.
constexpr std::string_view kHints[] = {
    "s_nop",        "s_setprio",        "s_clause",       "s_inst_prefetch", "s_set_inst_prefetch_distance",
    "s_version",    "s_waitcnt_depctr", "s_delay_alu",    "s_wait_event",    "s_wakeup",
    "s_ttracedata", "s_ttracedata_imm", "s_incperflevel", "s_decperflevel"};

template <CacheOp Cache>
Entry cache() {
  return {Class::cache, [](const Instruction& in, Op& op, const BindContext&) {
            expect_modifiers(in, {"sc0", "sc1", "nt", "glc", "slc", "dlc"});
            op.imm = in.has("sc0") ? 1 : 0;
            op.imm2 = in.has("sc1") ? 1 : 0;
            op.run = [](Wave& w, const Op& o) {
              if (w.launch->monitor) w.launch->monitor->cache(w, o, Cache, o.imm != 0, o.imm2 != 0);
            };
          }};
}

void add_caches(Table& t) {
  t.add("s_icache_inv", cache<CacheOp::icache_inv>());
  t.add("s_dcache_inv", cache<CacheOp::dcache_inv>());
  t.add("s_dcache_inv_vol", cache<CacheOp::dcache_inv>());
  t.add("s_dcache_wb", cache<CacheOp::dcache_wb>());
  t.add("s_dcache_wb_vol", cache<CacheOp::dcache_wb>());
  t.add(Family::rdna3, "s_gl1_inv", cache<CacheOp::gl1_inv>());
  t.add(Family::rdna3, "buffer_gl0_inv", cache<CacheOp::gl0_inv>());
  t.add(Family::rdna3, "buffer_gl1_inv", cache<CacheOp::gl1_inv>());
  t.add(Family::cdna3, "buffer_inv", cache<CacheOp::buffer_inv>());
  t.add(Family::cdna3, "buffer_wbl2", cache<CacheOp::buffer_wbl2>());
}

}  // namespace

void add_control(Table& t) {
  add_branches(t);
  add_waits(t);
  add_ends(t);
  for (std::string_view name : kHints) t.add(name, hint());
  add_caches(t);
  add_hardware_registers(t);
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
