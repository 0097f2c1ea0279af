// Dispatches run to their end: workgroups over host threads, waves of a workgroup in turns.
//
// A thread works on one workgroup as long as that ends by itself. One that does not end within its turn may be waiting
// for another (a grid barrier, a flag), so another is admitted, up to as many as the compute units hold at a time, and
// all of them take turns. Every wave that is resident runs again and again, as on hardware; one that is not resident
// may be waited for in vain, as on hardware.
#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <optional>
#include <thread>

#include <fmt/format.h>

#include "emulator/checks/fences.h"
#include "emulator/emulator.h"
#include "emulator/launch.h"
#include "emulator/monitor.h"
#include "emulator/monitors.h"
#include "emulator/program.h"

namespace wavetile::emu {

void run_wave(Wave& w, std::uint64_t budget) {
  Program& program = *w.launch->program;
  Monitor* monitor = w.launch->monitor;
  const std::uint64_t stop = w.executed + budget;
  while (w.executed < stop) {
    const Op* op = program.at(w.pc);
    if (!op) {
      Op nothing;
      fault(w, nothing, "bad-program-counter", "no instruction lies where the wave went");
      return;
    }
    ++w.executed;
    if (monitor) {
      monitor->before(w, *op);
      if (w.status == Status::faulted) return;
      w.pc += op->dwords;
      op->run(w, *op);
      monitor->after(w, *op);
    } else {
      w.pc += op->dwords;
      op->run(w, *op);
    }
    if (w.status != Status::ready) return;
  }
}

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::uint64_t kTurn = 4096;  // instructions of a wave before the next wave's turn
constexpr int kTurnsAlone = 8;         // of a workgroup before another is admitted

// FNV-1a over 64-bit words, of the whole state that decides what a wave does next.
std::uint64_t state_hash(const Wave& w) {
  std::uint64_t h = 0xcbf29ce484222325;
  auto mix = [&](std::uint64_t v) { h = (h ^ v) * 0x100000001b3; };
  mix(w.pc);
  mix(w.scc);
  mix(w.mode.raw);
  for (std::uint32_t s : w.s) mix(s);
  for (int r = 0; r < w.launch->vgprs; ++r) {
    for (int i = 0; i < w.lanes; ++i) mix(w.row(r)[i]);
  }
  for (int r = 0; r < w.launch->agprs; ++r) {
    for (int i = 0; i < w.lanes; ++i) mix(w.row(kVgprs + r)[i]);
  }
  return h;
}

// Whether a wave goes round in a circle: its state was the same some turns ago, and comes back ever since. Brent's way:
// compare with a state that is put aside at turns 1, 2, 4, 8, …
struct Circle {
  std::uint64_t seen = 0, turns = 0, next = 1;
  std::uint64_t met = 0;     // the turn of `seen`, and later the last turn at which it came back
  std::uint64_t period = 0;  // in turns; 0: not closed
  bool closed(const Wave& w) {
    const std::uint64_t h = state_hash(w);
    ++turns;
    if (met != 0 && h == seen) {
      period = turns - met;
      met = turns;
    } else if (period != 0 && turns - met >= period) {
      *this = {};  // it went on
    } else if (period == 0 && turns == next) {
      seen = h;
      met = turns;
      next *= 2;
    }
    return period != 0;
  }
};

struct Resident {
  std::unique_ptr<Workgroup> group;
  int turns = 0;
  std::uint64_t changes = 0;
  std::vector<Circle> circles;
  bool circling = false;  // every wave repeats itself or waits at the barrier, and none stores
};

// One dispatch on its way.
struct Execution {
  Execution(const Launch& l, const Options& o, std::atomic<std::uint64_t>& p) : launch(l), options(o), progress(p) {}
  const Launch& launch;
  const Options& options;
  std::atomic<std::uint64_t>& progress;  // of all dispatches: moves whenever anything but waiting happens
  std::mutex* turn = nullptr;            // held for a turn when there are checks: dispatches do not mix within one
  const std::atomic<bool>* cancel = nullptr;
  std::uint64_t total = 0;
  int resident_limit = 1;  // of all threads
  int compute_units = 1;
  std::atomic<std::uint64_t> next{0}, ended{0}, instructions{0};
  std::atomic<int> resident{0};
  std::atomic<bool> stop{false};
  std::atomic<bool> told{false};  // Options::waiting was

  bool stopped() const {
    return stop.load(std::memory_order_relaxed) || (cancel && cancel->load(std::memory_order_relaxed)) ||
           launch.sink->fatal();
  }
  std::array<std::uint32_t, 3> id(std::uint64_t n) const {
    const auto& g = launch.workgroups;
    return {static_cast<std::uint32_t>(n % g[0]), static_cast<std::uint32_t>(n / g[0] % g[1]),
            static_cast<std::uint32_t>(n / (std::uint64_t{g[0]} * g[1]))};
  }
};

void release_barrier(Execution& run, Workgroup& g) {
  if (g.arrived == 0 || g.arrived + g.ended < static_cast<int>(g.waves.size())) return;
  if (run.launch.monitor) run.launch.monitor->barrier_release(g);
  for (auto& w : g.waves) {
    if (w->status == Status::barrier) w->status = Status::ready;
  }
  g.arrived = 0;
  ++g.phase;
}

// A turn of each wave. True when the workgroup has ended.
bool take_turn(Execution& run, Resident& r) {
  Workgroup& g = *r.group;
  Monitor* monitor = run.launch.monitor;
  bool yielded = false, long_turn = false;
  for (auto& wave : g.waves) {
    Wave& w = *wave;
    if (w.status == Status::yielded) w.status = Status::ready;
    if (w.status != Status::ready) continue;
    const std::uint64_t before = w.executed;
    run_wave(w, kTurn);
    run.instructions.fetch_add(w.executed - before, std::memory_order_relaxed);
    yielded |= w.status == Status::yielded;
    long_turn |= w.status == Status::ready;
    if (run.options.max_instructions != 0 && w.executed > run.options.max_instructions && w.status != Status::ended) {
      const Op* op = run.launch.program->at(w.pc);
      Op nothing;
      fault(w, op ? *op : nothing, "too-long",
            fmt::format("the wave has executed {} instructions and has not ended", w.executed));
    }
    if (w.status == Status::faulted) {
      run.stop = true;
      return false;
    }
    if (w.status == Status::barrier) ++g.arrived;
    if (w.status == Status::ended) {
      ++g.ended;
      if (monitor) monitor->wave_end(w);
    }
    release_barrier(run, g);
  }
  // Waves that come to their barriers in time wait for nobody else; who sleeps does.
  r.turns += yielded ? kTurnsAlone : long_turn ? 1 : 0;
  return g.ended == static_cast<int>(g.waves.size());
}

// After a turn that did not end the workgroup: has it done anything but wait?
void watch(Execution& run, Resident& r) {
  std::uint64_t changes = 0;
  for (const auto& w : r.group->waves) changes += w->changes;
  if (changes != r.changes || r.circles.empty()) {
    r.changes = changes;
    r.circles.assign(r.group->waves.size(), {});
    r.circling = false;
    run.progress.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  if (r.turns < 4 * kTurnsAlone) return;  // hashing costs; most waits are short
  bool all = true;
  for (std::size_t i = 0; i < r.circles.size(); ++i) {
    const Wave& w = *r.group->waves[i];
    if (w.status == Status::ended || w.status == Status::barrier) continue;
    all &= r.circles[i].closed(w);
  }
  r.circling = all;
}

bool admit(Execution& run, std::vector<Resident>& mine) {
  // The first of a thread always fits: there are no more threads than residents.
  if (run.resident.fetch_add(1) >= run.resident_limit) {
    --run.resident;
    return false;
  }
  const std::uint64_t n = run.next.fetch_add(1);
  if (n >= run.total) {
    --run.resident;
    return false;
  }
  Resident r;
  r.group = make_workgroup(run.launch, run.id(n), run.options.seed);
  r.group->compute_unit = static_cast<int>(n % static_cast<std::uint64_t>(run.compute_units));
  if (Monitor* monitor = run.launch.monitor) {
    monitor->workgroup_begin(*r.group);
    const auto written = initial_registers(run.launch);
    for (auto& w : r.group->waves) monitor->wave_begin(*w, written);
  }
  mine.push_back(std::move(r));
  run.progress.fetch_add(1, std::memory_order_relaxed);
  return true;
}

// Nothing but waiting for Options::deadlock_seconds. Workgroups that find no place wait for those that hold one; else
// the host may still answer, where Options::waiting says so.
void report_deadlock(Execution& run, const std::vector<Resident>& mine) {
  std::string where;
  const Wave* first = nullptr;
  for (const Resident& r : mine) {
    for (const auto& w : r.group->waves) {
      if (w->status == Status::ended) continue;
      if (!first) first = w.get();
      const Op* op = run.launch.program->at(w->pc);
      where +=
          fmt::format("   workgroup ({}, {}, {}), wave {}: {} {}\n", r.group->id[0], r.group->id[1], r.group->id[2],
                      w->number, w->status == Status::barrier ? "waits at the barrier before" : "repeats itself at",
                      op ? op->instruction->text : "?");
    }
  }
  if (!first) return;
  const std::uint64_t waiting = run.total - std::min(run.total, run.next.load());
  Report r = make_report(*first, run.launch.program->at(first->pc), "deadlock",
                         fmt::format("no wave of the grid gets on: each waits for what none of them does{}",
                                     waiting == 0 ? ""
                                                  : fmt::format(" ({} workgroups cannot start: {} fit at a time)",
                                                                waiting, run.resident_limit)));
  r.text += where;
  if (waiting == 0 && run.options.waiting) {
    if (!run.told.exchange(true)) run.options.waiting(r);
    return;
  }
  r.fatal = true;
  run.launch.sink->add(std::move(r));
  run.stop = true;
}

void work_on(Execution& run) {
  const std::chrono::seconds limit(run.options.deadlock_seconds.value_or(kDeadlockSeconds));
  std::vector<Resident> mine;
  std::uint64_t seen = ~std::uint64_t{0};
  Clock::time_point since{};
  while (!run.stopped()) {
    if (mine.empty() && !admit(run, mine)) {
      if (run.next.load() >= run.total) return;
      std::this_thread::yield();  // others hold all places
      continue;
    }
    bool ended = false, all_circle = true;
    std::unique_lock<std::mutex> lock;
    if (run.turn) lock = std::unique_lock(*run.turn);
    for (Resident& r : mine) {
      if (take_turn(run, r)) {
        ended = true;
        if (run.launch.monitor) run.launch.monitor->workgroup_end(*r.group);
        r.group.reset();
      } else {
        watch(run, r);
        all_circle &= r.circling;
      }
      if (run.stopped()) return;
    }
    if (ended) {
      const auto gone = std::erase_if(mine, [](const Resident& r) { return !r.group; });
      run.resident -= static_cast<int>(gone);
      run.ended += gone;
      ++run.progress;
      continue;
    }
    if (std::ranges::all_of(mine, [](const Resident& r) { return r.turns >= kTurnsAlone; }) && admit(run, mine))
      continue;
    if (lock) lock.unlock();
    if (!all_circle) ++run.progress;
    const std::uint64_t progress = run.progress.load();
    if (!all_circle || progress != seen) {
      seen = progress;
      since = Clock::now();
    } else if (limit.count() != 0 && Clock::now() - since > limit) {
      report_deadlock(run, mine);
    }
    if (all_circle) std::this_thread::yield();
  }
}

// What the host fails at (memory for scratch or registers, threads) stops the dispatch, not the process.
void give_up(Execution& run, const std::exception& e) {
  Report r;
  r.kind = "out-of-resources";
  r.text = fmt::format("== out-of-resources: kernel {}: the host cannot run it: {}\n", run.launch.kernel, e.what());
  r.kernel = run.launch.kernel;
  r.fatal = true;
  run.launch.sink->add(std::move(r));
  run.stop = true;
}

void work(Execution& run) try { work_on(run); } catch (const std::exception& e) {
  give_up(run, e);
}

}  // namespace

struct Emulator::State {
  Options options;
  Memory memory;
  struct Code {
    std::weak_ptr<CodeObject> object;
    bool foreign = false;  // given to add_code(): there is no object
    std::uint64_t begin = 0, end = 0;
    std::shared_ptr<Lines> lines;
    std::shared_ptr<Program> programs[2];  // of 32 and 64 lanes
  };
  std::mutex mutex;                     // of codes
  std::map<std::uint64_t, Code> codes;  // by their first address
  std::vector<std::shared_ptr<Monitor>> attached;
  std::mutex turn;                         // see Execution::turn
  checks::Fences fences;                   // of the checks
  std::atomic<std::uint64_t> progress{0};  // see Execution::progress

  int units() const { return options.compute_units > 0 ? options.compute_units : options.chip->compute_units; }
  int threads() const {
    if (options.checks || options.counters || !attached.empty()) return 1;
    return options.threads > 0 ? options.threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  }
  // The program that holds the address, kept alive for the run, and what knows its lines.
  struct Found {
    std::shared_ptr<Program> program;
    std::shared_ptr<Lines> lines;
    std::shared_ptr<CodeObject> object;
    std::uint64_t base = 0;
  };
  Found find(std::uint64_t address, int lanes) {
    const std::scoped_lock lock(mutex);
    auto at = codes.upper_bound(address);
    if (at == codes.begin()) return {};
    Code& code = std::prev(at)->second;
    if (address >= code.end) return {};
    auto object = code.object.lock();
    if (!object && !code.foreign) return {};
    auto& program = code.programs[lanes == 64];
    if (!program) {
      program = std::make_shared<Program>(
          *options.chip, lanes,
          std::span(reinterpret_cast<const std::byte*>(code.begin), static_cast<std::size_t>(code.end - code.begin)));
    }
    if (code.foreign) return {program, nullptr, nullptr, 0};
    if (!code.lines) code.lines = std::make_shared<Lines>(object->file());
    return {program, code.lines, object, object->base()};
  }
};

Emulator::Emulator(Options options) : state_(std::make_unique<State>()) {
  state_->options = options;
  if (!options.checks) return;
  state_->memory.set_write_listener([s = state_.get()](const Allocation& a, std::uint64_t address, std::size_t bytes) {
    const std::scoped_lock lock(s->turn);
    s->fences.host_wrote(a, address, bytes);
  });
}
Emulator::~Emulator() = default;
const Options& Emulator::options() const { return state_->options; }
const Chip& Emulator::chip() const { return *state_->options.chip; }
int Emulator::compute_units() const { return state_->units(); }
Memory& Emulator::memory() { return state_->memory; }

std::shared_ptr<CodeObject> Emulator::load(std::span<const std::byte> file, std::string name,
                                           const ExternalSymbols& externals) {
  auto object = std::make_shared<CodeObject>(file, chip(), state_->memory, std::move(name), externals);
  const std::scoped_lock lock(state_->mutex);
  State::Code& code = state_->codes[object->base()];
  code = {};
  code.object = object;
  code.begin = object->base();
  code.end = object->base() + object->bytes();
  return object;
}

void Emulator::add_code(const void* address, std::size_t bytes) {
  const std::scoped_lock lock(state_->mutex);
  State::Code& code = state_->codes[reinterpret_cast<std::uint64_t>(address)];
  code = {};
  code.foreign = true;
  code.begin = reinterpret_cast<std::uint64_t>(address);
  code.end = code.begin + bytes;
}

void Emulator::remove_code(const void* address) {
  const std::scoped_lock lock(state_->mutex);
  state_->codes.erase(reinterpret_cast<std::uint64_t>(address));
}

void Emulator::invalidate_code() {
  const std::scoped_lock lock(state_->mutex);
  for (auto& [begin, code] : state_->codes) {
    if (code.foreign) code.programs[0] = code.programs[1] = nullptr;
  }
}

void Emulator::attach(std::shared_ptr<Monitor> monitor) { state_->attached.push_back(std::move(monitor)); }

void Emulator::unload(const std::shared_ptr<CodeObject>& object) {
  const std::scoped_lock lock(state_->mutex);
  state_->codes.erase(object->base());
}

Outcome Emulator::run(const Dispatch& given, const std::atomic<bool>* cancel) {
  State& s = *state_;
  Dispatch dispatch = given;
  Outcome outcome;
  ReportSink sink;
  Launch launch;
  auto refuse = [&](const std::string& why) {
    Report report;
    report.kind = "bad-dispatch";
    report.text = fmt::format("== bad-dispatch: {}\n", why);
    report.kernel = dispatch.name;
    report.fatal = true;
    outcome.reports.push_back(std::move(report));
    return outcome;
  };
  if (const std::string why = prepare_launch(launch, dispatch, chip(), s.memory); !why.empty()) return refuse(why);
  std::optional<DispatchPacket> packet;
  if (dispatch.packet_address == 0 && reads_packet(launch)) {
    packet.emplace(s.memory, dispatch);
    dispatch.packet_address = packet->address();
  }
  const std::uint64_t entry = entry_address(launch);
  const State::Found code = s.find(entry, launch.lanes);
  if (!code.program)
    return refuse(fmt::format("kernel_object {:#x} belongs to no loaded code object", dispatch.kernel_object));
  if (code.object) {
    for (const KernelInfo& k : code.object->kernels()) {
      if (k.descriptor == dispatch.kernel_object && launch.kernel.empty()) launch.kernel = k.name;
    }
    launch.line = [&](std::uint64_t address) { return code.lines->find(address - code.base); };
  } else if (launch.kernel.empty()) {
    launch.kernel = fmt::format("{:#x}", dispatch.kernel_object);
  }
  launch.program = code.program.get();
  launch.entry_offset = entry - code.program->base;
  launch.sink = &sink;
  launch.checks = s.options.checks;
  Monitors monitors;
  const auto view = s.options.checks ? s.fences.begin(dispatch.acquire, launch.kernel) : checks::View{};
  monitors.add(make_monitor(s.options, s.fences, view));
  for (const auto& m : s.attached) monitors.add(m);
  Monitor* const monitor = monitors.monitor();
  launch.monitor = monitor;
  Execution run(launch, s.options, s.progress);
  run.cancel = cancel;
  run.turn = monitor ? &s.turn : nullptr;
  run.total = std::uint64_t{launch.workgroups[0]} * launch.workgroups[1] * launch.workgroups[2];
  run.compute_units = s.units();
  run.resident_limit = std::max(1, s.units() * workgroups_per_compute_unit(launch));
  const int threads = static_cast<int>(std::min<std::uint64_t>(
      {static_cast<std::uint64_t>(s.threads()), run.total, static_cast<std::uint64_t>(run.resident_limit)}));
  if (monitor) monitor->dispatch_begin(launch);
  std::vector<std::jthread> others;
  try {
    for (int i = 1; i < threads; ++i) others.emplace_back([&] { work(run); });
  } catch (const std::exception& e) {
    give_up(run, e);
  }
  work(run);
  others.clear();
  if (monitor) monitor->dispatch_end(launch);
  s.fences.end(view, dispatch.release);
  if (monitor) outcome.counters = monitor->counters();
  outcome.completed = run.ended == run.total;
  outcome.instructions = run.instructions;
  outcome.reports = sink.take();
  return outcome;
}

void Emulator::fence(Scope acquire, Scope release) { state_->fences.fence(acquire, release); }

std::string Emulator::check_host_read(std::uint64_t address, std::size_t bytes) const {
  const std::scoped_lock lock(state_->turn);
  return state_->options.checks ? state_->fences.check_host_read(state_->memory, address, bytes) : "";
}

}  // namespace wavetile::emu
