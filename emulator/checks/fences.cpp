#include "emulator/checks/fences.h"

#include <algorithm>

#include <fmt/format.h>

#include "emulator/checks/shadow.h"

namespace wavetile::emu::checks {

bool View::contains(const std::vector<std::uint32_t>& times, std::uint32_t time) {
  return std::ranges::binary_search(times, time);
}

View Fences::begin(Scope scope, const std::string& kernel) {
  const std::scoped_lock lock(mutex_);
  acquire(scope);
  const View view{.begun = ++time_,
                  .dispatches = dispatches_,
                  .host = host_,
                  .unseen = unseen_,
                  .beside = {running_.begin(), running_.end()}};
  running_.insert(view.begun);
  names_.emplace_back(view.begun, &*kernels_.insert(kernel).first);
  return view;
}

void Fences::end(const View& dispatch, Scope scope) {
  const std::scoped_lock lock(mutex_);
  if (running_.erase(dispatch.begun) == 0) return;
  unreleased_.insert(dispatch.begun);
  unreleased_to_host_.insert(dispatch.begun);
  release(scope);
}

void Fences::fence(Scope acquired, Scope released) {
  const std::scoped_lock lock(mutex_);
  acquire(acquired);
  release(released);
}

void Fences::host_wrote(const Allocation& a, std::uint64_t address, std::uint64_t bytes) {
  const std::scoped_lock lock(mutex_);
  Shadow& shadow = shadow_of(a);
  if (!a.initialised) shadow.set_written(address - a.begin, bytes, true);
  shadow.set_author(address - a.begin, bytes, Author::host(++time_));
}

void Fences::acquire(Scope scope) {
  if (scope == Scope::none) return;
  dispatches_ = ++time_;
  if (scope == Scope::system) host_ = time_;
  unseen_.clear();
  std::ranges::set_union(running_, unreleased_, std::back_inserter(unseen_));
}

void Fences::release(Scope scope) {
  if (scope == Scope::none) return;
  unreleased_.clear();
  if (scope == Scope::system) unreleased_to_host_.clear();
}

std::string Fences::name(Author a) const {
  const auto at = std::ranges::lower_bound(names_, a.time(), {}, [](const auto& n) { return n.first; });
  return at != names_.end() && at->first == a.time() ? *at->second : "";
}

std::string Fences::explain(Author a) const {
  const std::scoped_lock lock(mutex_);
  if (a.is_host()) return "that the host wrote, and no packet has acquired at the scope of the system since";
  return fmt::format("that kernel {} stored, and no packet has {} at the scope of the agent since", name(a),
                     unreleased_.contains(a.time()) ? "released it" : "acquired");
}

bool Fences::released_to_host(Author a) const { return a.is_host() || !unreleased_to_host_.contains(a.time()); }

std::string Fences::check_host_read(const Memory& memory, std::uint64_t address, std::uint64_t bytes) const {
  const std::scoped_lock lock(mutex_);
  const Allocation* a = memory.find(address, bytes);
  if (!a) return "";
  Shadow& shadow = shadow_of(*a);
  const std::uint64_t first = address - a->begin, end = first + bytes;
  const std::uint64_t bad = shadow.find_author(first, end, [&](Author who) { return released_to_host(who); });
  if (bad == end) return "";
  return fmt::format(
      "== missing-fence: the host copies memory that kernel {} stored, and no packet has released it at the scope of "
      "the system since\n   in {}\n",
      name(shadow.author(bad)), memory.explain(a->begin + bad, 4));
}

}  // namespace wavetile::emu::checks
