#include "emulator/monitor.h"

#include "emulator/checks/checks.h"
#include "emulator/counters.h"
#include "emulator/monitors.h"

namespace wavetile::emu {

std::shared_ptr<Monitor> make_monitor(const Options& options, const checks::Fences& fences, const checks::View& view) {
  std::shared_ptr<Monitor> checks, counters;
  if (options.checks) checks = std::make_shared<checks::Checks>(options.stale, fences, view);
  if (options.counters) counters = make_counting_monitor();
  if (!checks || !counters) return checks ? checks : counters;
  auto both = std::make_shared<Monitors>();
  both->add(checks);
  both->add(counters);
  return both;
}

}  // namespace wavetile::emu
