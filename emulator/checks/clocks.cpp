#include "emulator/checks/clocks.h"

#include <algorithm>
#include <utility>

namespace wavetile::emu::checks {
namespace {

constexpr std::size_t kHistory = 256, kHistoryAfterEnd = 16;

Times greatest(const Times& a, const Times& b) {
  Times t;
  for (int i = 0; i < kStreams; ++i)
    t[static_cast<std::size_t>(i)] = std::max(a[static_cast<std::size_t>(i)], b[static_cast<std::size_t>(i)]);
  return t;
}

Known greatest(const Known& a, const Known& b) { return {greatest(a.all, b.all), greatest(a.one, b.one)}; }

std::shared_ptr<const Foreign> join(const std::shared_ptr<const Foreign>& a, const std::shared_ptr<const Foreign>& b) {
  if (!b || a == b || b->empty()) return a;
  if (!a || a->empty()) return b;
  auto sum = std::make_shared<Foreign>();
  sum->reserve(a->size() + b->size());
  auto x = a->begin(), y = b->begin();
  while (x != a->end() || y != b->end()) {
    if (y == b->end() || (x != a->end() && x->first < y->first)) {
      sum->push_back(*x++);
    } else if (x == a->end() || y->first < x->first) {
      sum->push_back(*y++);
    } else {
      sum->emplace_back(x->first, greatest(x->second, y->second));
      ++x, ++y;
    }
  }
  return sum;
}

bool knows(const std::shared_ptr<const Foreign>& foreign, Epoch e) {
  if (!foreign) return false;
  const auto at = std::ranges::lower_bound(*foreign, e.wave(), {}, [](const auto& f) { return f.first; });
  return at != foreign->end() && at->first == e.wave() && at->second.has(e);
}

}  // namespace

void Clocks::begin(Mode mode, int waves_per_workgroup) {
  mode_ = mode;
  waves_per_workgroup_ = waves_per_workgroup;
}

KnowPtr Clocks::nothing(int waves) {
  auto k = std::make_shared<Know>();
  k->local.resize(static_cast<std::size_t>(waves));
  return k;
}

WaveClock* Clocks::wave_begin(std::uint32_t workgroup, int wave, const KnowPtr& start) {
  auto clock = std::make_unique<WaveClock>();
  clock->first = workgroup * static_cast<std::uint32_t>(waves_per_workgroup_);
  clock->number = clock->first + static_cast<std::uint32_t>(wave);
  clock->know = clock->at_gl0 = clock->written_back = start;
  WaveClock* const result = clock.get();
  waves_[clock->number] = std::move(clock);
  return result;
}

void Clocks::workgroup_end(std::uint32_t workgroup, int waves) {
  // Its stores may still be read as releases: mostly the last ones.
  for (int i = 0; i < waves; ++i) {
    const auto found =
        waves_.find(workgroup * static_cast<std::uint32_t>(waves_per_workgroup_) + static_cast<std::uint32_t>(i));
    if (found == waves_.end()) continue;
    WaveClock& w = *found->second;
    while (w.history.size() > kHistoryAfterEnd) w.history.pop_front();
    w.history.shrink_to_fit();
    w.acquires = {};
    for (std::size_t k = 0; k < w.log.size(); ++k) {
      w.kept_log[k] = &*logs_.insert(std::move(w.log[k])).first;
      w.log[k] = {};
    }
  }
}

const WaveClock* Clocks::find(std::uint32_t number) const {
  const auto found = waves_.find(number);
  return found == waves_.end() ? nullptr : found->second.get();
}

bool Clocks::ordered(const WaveClock& me, Epoch e, bool lds, bool reads) const {
  const std::uint32_t other = e.wave();
  if (other == me.number) return true;
  const bool fresh = reads && !lds;  // what caches hold has to be new, too
  if (const std::uint32_t i = other - me.first; i < me.know->local.size()) {
    const Know& k = fresh && !mode_.shared_l0 ? *me.at_gl0 : *me.know;
    return k.local[i].has(e);
  }
  if (!fresh) return knows(me.know->foreign, e);
  return knows(me.foreign_gl0, e) && knows(me.foreign_gl1, e);
}

bool Clocks::where(Epoch e, std::uint64_t& pc) const {
  const WaveClock* w = find(e.wave());
  if (!w) return false;
  const auto stream = static_cast<std::size_t>(e.stream());
  const std::vector<std::uint32_t>& log = w->kept_log[stream] ? *w->kept_log[stream] : w->log[stream];
  if (e.time() == 0 || e.time() > log.size()) return false;
  pc = log[e.time() - 1];
  return true;
}

void Clocks::publish(WaveClock& me, const Waits& waits) {
  WaveClock::Past past{waits.issued, waits.done, waits.done, me.know, me.know};
  if (mode_.cdna3) {
    past.agent_know = me.written_back;
    past.agent_done[0] = std::min(waits.done[0], me.issued_back[0]);
  }
  if (me.history.size() == kHistory) me.history.pop_front();
  me.history.push_back(std::move(past));
}

void Clocks::chain(const WaveClock& me, std::uint64_t key, const Cell& before, Epoch mine) {
  std::vector<Epoch>& epochs = chains_[key];
  if (!before.atomic) {
    epochs.clear();
    if (before.write) epochs.push_back(before.write);
  }
  // A wave's later release knows all that its earlier one did.
  std::erase_if(epochs, [&](Epoch e) { return e.wave() == me.number; });
  epochs.push_back(mine);
}

void Clocks::read_atomically(WaveClock& me, std::uint64_t key, const Cell& cell, int stream, std::uint32_t time,
                             bool lds) {
  if (!cell.last()) return;
  WaveClock::Acquire a{.key = key, .stream = stream, .time = time, .lds = lds};
  const auto chained = chains_.find(key);
  if (cell.atomic && chained != chains_.end()) {
    a.from = chained->second;
  } else {
    a.from = {cell.last()};
  }
  std::erase_if(a.from, [&](Epoch e) { return e.wave() == me.number; });
  if (a.from.empty()) return;
  const auto same = std::ranges::find(me.acquires, key, &WaveClock::Acquire::key);
  if (same != me.acquires.end()) {
    *same = std::move(a);
  } else {
    me.acquires.push_back(std::move(a));
  }
}

void Clocks::learn(Know& know, const WaveClock& me, Epoch e, bool local, bool foreign) const {
  const WaveClock* other = find(e.wave());
  if (!other || other->history.empty()) return;
  // The last thing it published that is not after the epoch; the oldest that is remembered otherwise.
  const auto stream = static_cast<std::size_t>(e.stream());
  auto at = std::ranges::upper_bound(other->history, e.time(), {},
                                     [&](const WaveClock::Past& p) { return p.issued[stream]; });
  if (at != other->history.begin()) --at;
  const WaveClock::Past& past = *at;
  const std::uint32_t index = e.wave() - me.first;
  if (index < know.local.size()) {
    if (!local) return;
    Times times = past.done;
    if (mode_.shared_l0) times[0] = past.issued[0], times[1] = past.issued[1];
    know.local[index].all = greatest(know.local[index].all, times);
    for (std::size_t i = 0; i < know.local.size(); ++i) know.local[i] = greatest(know.local[i], past.know->local[i]);
    know.foreign = join(know.foreign, past.know->foreign);
    return;
  }
  if (!foreign) return;
  auto theirs = std::make_shared<Foreign>();
  for (std::size_t i = 0; i < past.agent_know->local.size(); ++i) {
    const std::uint32_t number = other->first + static_cast<std::uint32_t>(i);
    theirs->emplace_back(number, number == e.wave() ? Known{past.agent_done, {}} : past.agent_know->local[i]);
  }
  know.foreign = join(join(know.foreign, theirs), past.agent_know->foreign);
}

void Clocks::learn_one(Know& know, const WaveClock& me, Epoch e) {
  if (e.level() == 0) return;
  Known one;
  one.one[static_cast<std::size_t>(e.stream())] = e.time();
  if (const std::uint32_t i = e.wave() - me.first; i < know.local.size()) {
    know.local[i] = greatest(know.local[i], one);
  } else if (!knows(know.foreign, e)) {
    know.foreign = join(know.foreign, std::make_shared<Foreign>(Foreign{{e.wave(), one}}));
  }
}

void Clocks::acquire(WaveClock& me, const Waits& waits, bool local, bool foreign, bool lds_only) {
  if (me.acquires.empty()) return;
  std::shared_ptr<Know> know;
  for (WaveClock::Acquire& a : me.acquires) {
    if (waits.done[static_cast<std::size_t>(a.stream)] < a.time) continue;
    const bool acquires = !lds_only || a.lds;
    if (!acquires && a.read) continue;
    if (!know) know = std::make_shared<Know>(*me.know);
    if (!std::exchange(a.read, true)) {
      for (const Epoch e : a.from) learn_one(*know, me, e);
    }
    if (!acquires) continue;
    for (const Epoch e : a.from) learn(*know, me, e, local && !a.local_done, foreign);
    a.local_done |= local;
  }
  if (!know) return;
  me.know = std::move(know);
  std::erase_if(me.acquires, [&](const WaveClock::Acquire& a) {
    const bool waited = waits.done[static_cast<std::size_t>(a.stream)] >= a.time;
    return waited && (a.lds ? a.local_done : foreign && a.local_done);
  });
}

void Clocks::waited(WaveClock& me, const Waits& waits) { acquire(me, waits, true, false, !mode_.shared_l0); }

void Clocks::invalidate(WaveClock& me, const Waits& waits, CacheOp op, bool sc1) {
  switch (op) {
    case CacheOp::gl0_inv:
      acquire(me, waits, true, false, false);
      me.at_gl0 = me.know;
      me.foreign_gl0 = me.know->foreign;
      break;
    case CacheOp::gl1_inv:
      acquire(me, waits, false, true, false);
      me.foreign_gl1 = me.know->foreign;
      break;
    case CacheOp::buffer_inv:
      acquire(me, waits, true, sc1, false);
      me.at_gl0 = me.know;
      if (sc1) me.foreign_gl0 = me.foreign_gl1 = me.know->foreign;
      break;
    default:
      break;
  }
}

void Clocks::write_back(WaveClock& me, const Waits& waits, bool sc1) {
  if (!sc1) return;
  me.written_back = me.know;
  me.issued_back = waits.issued;
}

void Clocks::barrier(const std::vector<std::pair<WaveClock*, const Waits*>>& waves) {
  if (waves.empty()) return;
  auto sum = std::make_shared<Know>(*waves[0].first->know);
  for (const auto& [w, waits] : waves) {
    if (w->know != waves[0].first->know) {
      for (std::size_t i = 0; i < sum->local.size(); ++i) sum->local[i] = greatest(sum->local[i], w->know->local[i]);
      sum->foreign = join(sum->foreign, w->know->foreign);
    }
    Times times = waits->done;
    if (mode_.shared_l0) times[0] = waits->issued[0], times[1] = waits->issued[1];
    Times& mine = sum->local[w->number - w->first].all;
    mine = greatest(mine, times);
  }
  std::shared_ptr<const Foreign> gl0, gl1;
  for (const auto& [w, waits] : waves) {
    gl0 = join(gl0, w->foreign_gl0);
    gl1 = join(gl1, w->foreign_gl1);
  }
  for (const auto& [w, waits] : waves) {
    w->know = sum;
    w->foreign_gl1 = gl1;
    if (mode_.shared_l0) w->foreign_gl0 = gl0;
  }
}

}  // namespace wavetile::emu::checks
