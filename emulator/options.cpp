// Options::parse. A word is a chip, a flag, or name=number; each may occur once.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <limits>
#include <set>
#include <stdexcept>

#include <fmt/format.h>

#include "emulator/emulator.h"

namespace wavetile::emu {
namespace {

std::string known_words() {
  std::string chip_names;
  for (const Chip& c : chips()) chip_names += std::string(c.name) + ", ";
  return "the words are " + chip_names +
         "cus=N, memory=N[K|M|G|T], threads=N, max-instructions=N, deadlock=SECONDS, seed=N, "
         "checks, stale, counters, reorder, strict";
}

[[noreturn]] void refuse(std::string_view word, std::string_view why) {
  throw std::invalid_argument(fmt::format("'{}': {}; {}", word, why, known_words()));
}

std::uint64_t number(std::string_view word, std::string_view digits, std::uint64_t least, std::uint64_t most) {
  std::uint64_t n = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
  if (error != std::errc() || end != digits.data() + digits.size() || n < least || n > most) {
    refuse(word, fmt::format("not a number from {} to {}", least, most));
  }
  return n;
}

std::uint64_t byte_count(std::string_view word, std::string_view text) {
  constexpr std::string_view kUnits = "KMGT";
  unsigned shift = 0;
  if (const auto unit = text.empty() ? std::string_view::npos : kUnits.find(text.back());
      unit != std::string_view::npos) {
    shift = 10 * (static_cast<unsigned>(unit) + 1);
    text.remove_suffix(1);
  }
  constexpr std::uint64_t kLeast = std::uint64_t{1} << 20, kMost = std::uint64_t{1} << 46;
  const std::uint64_t n = number(word, text, 1, kMost >> shift) << shift;
  if (n < kLeast) refuse(word, "less than 1M");
  return n;
}

}  // namespace

Options Options::parse(const std::string& text) {
  Options o;
  std::set<std::string, std::less<>> seen;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view word = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), word.size() + 1));
    const auto equals = word.find('=');
    const std::string_view name = word.substr(0, equals);
    const bool has_value = equals != std::string_view::npos;
    const std::string_view value = has_value ? word.substr(equals + 1) : std::string_view();
    const Chip* named = has_value ? nullptr : find_chip(name);
    if (!seen.emplace(named ? "chip" : name).second) refuse(word, "given twice");
    constexpr int kMostInt = std::numeric_limits<int>::max();
    const auto flag = [&](std::string_view spelled, bool& to) { return !has_value && name == spelled && (to = true); };
    if (named) {
      o.chip = named;
    } else if (has_value && name == "cus") {
      o.compute_units = static_cast<int>(number(word, value, 1, 1024));
    } else if (has_value && name == "memory") {
      o.memory_bytes = byte_count(word, value);
    } else if (has_value && name == "threads") {
      o.threads = static_cast<int>(number(word, value, 1, kMostInt));
    } else if (has_value && name == "max-instructions") {
      o.max_instructions = number(word, value, 1, std::numeric_limits<std::uint64_t>::max());
    } else if (has_value && name == "deadlock") {
      o.deadlock_seconds = static_cast<unsigned>(number(word, value, 0, 1'000'000));
    } else if (has_value && name == "seed") {
      o.seed = number(word, value, 0, std::numeric_limits<std::uint64_t>::max());
    } else if (!flag("checks", o.checks) && !flag("stale", o.stale) && !flag("counters", o.counters) &&
               !flag("reorder", o.reorder) && !flag("strict", o.strict)) {
      refuse(word, "unknown");
    }
  }
  if (o.stale && !o.checks) throw std::invalid_argument("'stale' needs 'checks'; " + known_words());
  return o;
}

void Options::let_host_answer() {
  if (deadlock_seconds) return;
  deadlock_seconds = 10;
  waiting = [seconds = *deadlock_seconds](const Report& r) {
    fmt::print(
        stderr,
        "{}   For {} s. It goes on, for the host may answer; 'deadlock=SECONDS' in $WAVETILE_EMULATOR stops it.\n",
        r.text, seconds);
  };
}

}  // namespace wavetile::emu
