#include "bench/estimate.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "dsl/error.h"

namespace wavetile::bench {
namespace {

using emu::Class;

double of_class(const emu::Counters& c, Class k) {
  return static_cast<double>(c.by_class[static_cast<std::size_t>(k)]);
}

// A SIMD issues an instruction of 32 lanes a cycle, a transcendental one in four (RDNA3 ISA, "Transcendental unit").
double issue_cycles(const emu::Counters& c) {
  constexpr double kTranscendental = 4;
  const double passes = c.lanes / 32.0;
  return passes * (of_class(c, Class::valu) + of_class(c, Class::vopd) + of_class(c, Class::packed) +
                   of_class(c, Class::dot) + kTranscendental * of_class(c, Class::trans));
}

// Of one lane and one instruction.
double vector_multiply_adds(std::string_view mnemonic) {
  if (mnemonic.find("dot4") != mnemonic.npos) return 4;
  if (mnemonic.find("dot2") != mnemonic.npos || mnemonic.starts_with("v_pk_fma") || mnemonic.starts_with("v_pk_mul"))
    return 2;
  for (const char* one : {"v_fma", "v_mul_f", "v_dual_fma", "v_dual_mul_f", "v_mad"})
    if (mnemonic.starts_with(one)) return 1;
  return 0;
}

}  // namespace

double Estimate::seconds() const { return launch + std::max({memory, valu, lds, matrix, latency}); }

std::string_view Estimate::bound() const {
  const std::array<std::pair<double, std::string_view>, 5> terms{
      {{memory, "memory"}, {latency, "latency"}, {valu, "valu"}, {lds, "lds"}, {matrix, "matrix"}}};
  return std::max_element(terms.begin(), terms.end(), [](auto& a, auto& b) { return a.first < b.first; })->second;
}

std::string to_json(const Estimate& e) {
  auto micro = [](double seconds) { return seconds * 1e6; };
  const nlohmann::json j = {{"unit", "us"},
                            {"is", "an estimate for gfx1151, not a measurement"},
                            {"total", micro(e.seconds())},
                            {"bound", e.bound()},
                            {"memory", micro(e.memory)},
                            {"valu", micro(e.valu)},
                            {"lds", micro(e.lds)},
                            {"matrix", micro(e.matrix)},
                            {"latency", micro(e.latency)},
                            {"launch", micro(e.launch)}};
  return j.dump(2);
}

double bytes_in_flight(const emu::Counters& c, const Rates& r) {
  const double fit = static_cast<double>(c.waves_per_simd) * r.simds;
  return static_cast<double>(c.bytes_in_flight) * std::min(static_cast<double>(c.waves), fit);
}

MultiplyAdds multiply_adds(const emu::Counters& c) {
  constexpr double kTile = 16 * 16 * 16;  // every WMMA of RDNA3
  MultiplyAdds m;
  for (const auto& [names, times] : c.by_mnemonic) {
    std::string_view rest = names;
    while (!rest.empty()) {  // a dual instruction is two names
      const auto end = std::min(rest.find(" :: "), rest.size());
      const std::string_view name = rest.substr(0, end);
      rest.remove_prefix(std::min(rest.size(), end + 4));
      if (name.starts_with("v_wmma_"))
        m.matrix += kTile * static_cast<double>(times);
      else
        m.vector += vector_multiply_adds(name) * c.lanes * static_cast<double>(times);
    }
  }
  return m;
}

Estimate estimate(const emu::Counters& c, const Rates& r) {
  if (c.chip != r.chip)
    throw Error(fmt::format("an estimate for {} cannot be made of counters of {}", r.chip,
                            c.chip.empty() ? "nothing" : c.chip));
  if (c.instructions == 0 || c.waves == 0 || c.line_bytes == 0)
    throw Error(fmt::format("kernel '{}': the counters of its dispatch are empty; nothing can be estimated", c.kernel));
  const double waves = static_cast<double>(c.waves), groups = static_cast<double>(c.workgroups);
  const double read = static_cast<double>(c.distinct_lines_read) * c.line_bytes;
  const double written = static_cast<double>(c.distinct_lines_written) * c.line_bytes;
  Estimate e;
  e.launch = r.launch;
  e.memory = (read + written) / r.bandwidth;
  e.valu = issue_cycles(c) / (std::min(waves, static_cast<double>(r.simds)) * r.clock);
  e.lds = static_cast<double>(c.lds_passes + c.lds_conflict_cycles) /
          (std::min(groups, static_cast<double>(r.compute_units)) * r.clock);
  e.matrix = 2 * multiply_adds(c).matrix / r.matrix_rate;
  if (const double in_flight = bytes_in_flight(c, r); in_flight > 0)
    e.latency = std::max(1.0, read / in_flight) * r.latency;
  return e;
}

}  // namespace wavetile::bench
