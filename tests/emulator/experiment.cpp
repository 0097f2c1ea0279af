#include "tests/emulator/experiment.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include <fmt/format.h>

#include "emulator/memory.h"
#include "emulator/program.h"

namespace wavetile::emu::testing {
namespace {

constexpr int kSlot = 256;  // bytes of code for an experiment in a batch

// All that an experiment may change, in one row of words.
struct State {
  std::vector<std::uint32_t> rows;  // VGPRs, then AGPRs
  std::array<std::uint32_t, kScalars> scalars{};
  std::uint32_t scc = 0;
  std::vector<std::uint32_t> lds, memory, scratch;
  int lanes = 32;

  std::uint32_t& at(const Place& p) {
    const auto cell = [&](std::vector<std::uint32_t>& words, int i) -> std::uint32_t& {
      return words.at(static_cast<std::size_t>(i));
    };
    switch (p.space) {
      case Space::vgpr:
        return cell(rows, p.index * lanes + p.lane);
      case Space::agpr:
        return cell(rows, (kVgprs + p.index) * lanes + p.lane);
      case Space::sgpr:
        return scalars.at(static_cast<std::size_t>(p.index));
      case Space::scc:
        return scc;
      case Space::lds:
        return cell(lds, p.index);
      case Space::memory:
        return cell(memory, p.index);
      case Space::scratch:
        return cell(scratch, p.lane * kScratchWords + p.index);
    }
    throw std::logic_error("no such space");
  }
};

State initial_state(const Chip& chip, int lanes) {
  State s;
  s.lanes = lanes;
  s.rows.resize(static_cast<std::size_t>(first_spare_row(chip) * lanes));
  s.lds.resize(kLdsWords);
  s.memory.resize(kMemoryWords);
  s.scratch.resize(static_cast<std::size_t>(kScratchWords * lanes));
  for (int i = 0; i < first_spare_row(chip); ++i) {
    for (int lane = 0; lane < lanes; ++lane) {
      const Place p = i < kVgprs ? Place{Space::vgpr, i, lane} : Place{Space::agpr, i - kVgprs, lane};
      s.at(p) = initial_word(p);
    }
  }
  for (int i = 0; i < kScalars; ++i) s.scalars[static_cast<std::size_t>(i)] = initial_word({Space::sgpr, i, 0});
  s.scalars[kNull] = 0;
  s.scalars[kExec] = 0xffffffff;
  s.scalars[kExec + 1] = lanes == 64 ? 0xffffffff : 0;
  for (int i = 0; i < kLdsWords; ++i) s.at({Space::lds, i, 0}) = initial_word({Space::lds, i, 0});
  for (int i = 0; i < kMemoryWords; ++i) s.at({Space::memory, i, 0}) = initial_word({Space::memory, i, 0});
  for (int lane = 0; lane < lanes; ++lane) {
    for (int i = 0; i < kScratchWords; ++i) s.at({Space::scratch, i, lane}) = initial_word({Space::scratch, i, lane});
  }
  return s;
}

void copy_words(const std::vector<std::uint32_t>& from, void* to) { std::memcpy(to, from.data(), from.size() * 4); }

void put(const State& s, Fragment& f) {
  Wave& w = f.wave();
  copy_words(s.rows, w.vgprs);
  copy_words(s.lds, f.workgroup.lds.data());
  copy_words(s.scratch, f.workgroup.scratch.data());
  for (int i = 0; i < kScalars; ++i) w.set_scalar(i, s.scalars[static_cast<std::size_t>(i)]);
  w.scc = s.scc != 0;
}

void get(State& s, Fragment& f, const std::vector<std::uint32_t>& memory) {
  const Wave& w = f.wave();
  std::memcpy(s.rows.data(), w.vgprs, s.rows.size() * 4);
  std::memcpy(s.lds.data(), f.workgroup.lds.data(), s.lds.size() * 4);
  std::memcpy(s.scratch.data(), f.workgroup.scratch.data(), s.scratch.size() * 4);
  s.memory = memory;
  std::copy(w.s.begin(), w.s.end(), s.scalars.begin());
  s.scc = w.scc;
}

std::string name(const Place& p) {
  switch (p.space) {
    case Space::vgpr:
      return fmt::format("v{} of lane {}", p.index, p.lane);
    case Space::agpr:
      return fmt::format("a{} of lane {}", p.index, p.lane);
    case Space::sgpr:
      return fmt::format("s{}", p.index);
    case Space::scc:
      return "SCC";
    case Space::lds:
      return fmt::format("LDS at {:#x}", p.index * 4);
    case Space::memory:
      return fmt::format("memory at {:#x}", p.index * 4);
    case Space::scratch:
      return fmt::format("scratch of lane {} at {:#x}", p.lane, p.index * 4);
  }
  return "?";
}

std::uint32_t resolve(std::uint32_t value, Base base, bool high, std::uint64_t memory, std::uint64_t code) {
  if (base == Base::none) return value;
  // Offsets are signed.
  const std::uint64_t address = (base == Base::memory ? memory : code) +
                                static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(value)});
  return static_cast<std::uint32_t>(high ? address >> 32 : address);
}

// Of a float's bits, in an order in which neighbours are 1 apart.
std::int64_t ordered(std::uint64_t bits, int width) {
  const std::uint64_t sign = std::uint64_t{1} << (width - 1);
  return bits & sign ? -static_cast<std::int64_t>(bits & (sign - 1)) : static_cast<std::int64_t>(bits);
}

bool good_float(const Expected& e, std::uint64_t want, std::uint64_t got) {
  if (e.kind == Expected::Kind::any) return true;
  const int mantissa = e.bits - 1 - e.exponent_bits;
  const std::uint64_t magnitude = got & ((std::uint64_t{1} << (e.bits - 1)) - 1);
  const std::uint64_t infinity = ((std::uint64_t{1} << e.exponent_bits) - 1) << mantissa;
  if (e.kind == Expected::Kind::nan) return magnitude >= (infinity | std::uint64_t{1} << (mantissa - 1));
  if (magnitude > infinity) return false;
  const std::int64_t off = ordered(want, e.bits) - ordered(got, e.bits);
  return static_cast<std::uint64_t>(off < 0 ? -off : off) <= e.ulps;
}

// Puts what is expected into `want`. Where a result may be one of several, and is, `want` takes what is there.
void expect(const Expected& e, State& want, State& got, std::uint64_t memory, std::uint64_t code) {
  if (e.bits == 16) {
    std::uint32_t& word = want.at(e.place);
    const int shift = e.upper ? 16 : 0;
    std::uint32_t value = e.value[0];
    const std::uint32_t there = got.at(e.place) >> shift & 0xffff;
    if (e.kind != Expected::Kind::exact && good_float(e, value, there)) value = there;
    word = (word & ~(0xffffu << shift)) | value << shift;
    return;
  }
  const int words = e.bits / 32;
  if (e.kind != Expected::Kind::exact) {
    std::uint64_t value = 0, there = 0;
    for (int i = 0; i < words; ++i) {
      value |= std::uint64_t{e.value[static_cast<std::size_t>(i)]} << (32 * i);
      there |= std::uint64_t{got.at({e.place.space, e.place.index + i, e.place.lane})} << (32 * i);
    }
    if (good_float(e, value, there)) {
      for (int i = 0; i < words; ++i) {
        const Place p{e.place.space, e.place.index + i, e.place.lane};
        want.at(p) = got.at(p);
      }
      return;
    }
  }
  for (int i = 0; i < words; ++i) {
    want.at({e.place.space, e.place.index + i, e.place.lane}) =
        resolve(e.value[static_cast<std::size_t>(i)], e.base, e.high, memory, code);
  }
}

class Differences {
 public:
  void compare(const Place& p, std::uint32_t want, std::uint32_t got, std::uint32_t before) {
    if (want == got) return;
    if (++count_ > 6) return;
    text_ += fmt::format("    {}: {:08x}, expected {:08x}{}\n", name(p), got, want,
                         want == before ? " as before" : fmt::format(" (before: {:08x})", before));
  }
  std::string take() {
    if (count_ > 6) text_ += fmt::format("    and {} more\n", count_ - 6);
    return text_;
  }

 private:
  std::string text_;
  int count_ = 0;
};

std::string compare(const State& before, const State& want, const State& got) {
  if (want.rows == got.rows && want.scalars == got.scalars && want.scc == got.scc && want.lds == got.lds &&
      want.memory == got.memory && want.scratch == got.scratch) {
    return "";
  }
  Differences d;
  const auto all = [&](const std::vector<std::uint32_t>& a, const std::vector<std::uint32_t>& b,
                       const std::vector<std::uint32_t>& c, auto place) {
    for (std::size_t i = 0; i < a.size(); ++i) d.compare(place(static_cast<int>(i)), a[i], b[i], c[i]);
  };
  all(want.rows, got.rows, before.rows, [&](int i) {
    const int row = i / want.lanes, lane = i % want.lanes;
    return row < kVgprs ? Place{Space::vgpr, row, lane} : Place{Space::agpr, row - kVgprs, lane};
  });
  for (int i = 0; i < kScalars; ++i) {
    const auto k = static_cast<std::size_t>(i);
    d.compare({Space::sgpr, i, 0}, want.scalars[k], got.scalars[k], before.scalars[k]);
  }
  d.compare({Space::scc, 0, 0}, want.scc, got.scc, before.scc);
  all(want.lds, got.lds, before.lds, [](int i) { return Place{Space::lds, i, 0}; });
  all(want.memory, got.memory, before.memory, [](int i) { return Place{Space::memory, i, 0}; });
  all(want.scratch, got.scratch, before.scratch, [](int i) {
    return Place{Space::scratch, i % kScratchWords, i / kScratchWords};
  });
  return d.take();
}

// LLVM's words quote the lines that it refuses.
bool refused(const std::string& words, const std::string& text) {
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    if (end > begin && (words + ';').find(": " + text.substr(begin, end - begin) + ';') != std::string::npos)
      return true;
    begin = end + 1;
  }
  return false;
}

std::string batch(const std::vector<std::string>& texts, const std::vector<bool>& wanted) {
  std::string all;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (wanted[i]) all += fmt::format("{}\ns_endpgm\n.p2align 8\n", texts[i]);
  }
  return all;
}

}  // namespace

std::uint32_t initial_word(const Place& p) {
  const auto i = static_cast<std::uint32_t>(p.index), lane = static_cast<std::uint32_t>(p.lane);
  switch (p.space) {
    case Space::vgpr:
      return 0x9e3779b1u * (i * 64 + lane + 1);
    case Space::agpr:
      return 0x27d4eb2fu * (i * 64 + lane + 1);
    case Space::sgpr:
      return 0x165667b1u * (i + 1);
    case Space::scc:
      return 0;
    case Space::lds:
      return 0x85ebca6bu * (i + 1);
    case Space::memory:
      return 0xc2b2ae35u * (i + 1);
    case Space::scratch:
      return 0x01000193u * (lane * 64 + i + 1);
  }
  return 0;
}

std::vector<std::string> data_files(const std::string& prefix) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(WAVETILE_SOURCE_DIR "/tests/emulator/instructions")) {
    if (entry.path().filename().string().starts_with(prefix)) out.push_back(entry.path().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<std::vector<std::byte>> assemble_all(const Chip& chip, int lanes, const std::vector<std::string>& texts,
                                                 std::string* why) {
  std::vector<bool> wanted(texts.size(), true);
  std::vector<std::byte> code;
  // What is refused is taken out; LLVM sees some errors only when there are no others.
  for (bool good = false; !good;) {
    try {
      code = assemble(chip, lanes, batch(texts, wanted));
      good = true;
    } catch (const std::invalid_argument& e) {
      bool progress = false;
      for (std::size_t i = 0; i < texts.size(); ++i) {
        if (!wanted[i] || !refused(e.what(), texts[i])) continue;
        wanted[i] = false;
        progress = true;
      }
      if (why) *why += e.what();
      if (!progress) throw;
    }
  }
  std::vector<std::vector<std::byte>> out(texts.size());
  std::size_t slot = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (!wanted[i]) continue;
    const auto begin = code.begin() + static_cast<std::ptrdiff_t>(slot++ * kSlot);
    const std::size_t left = static_cast<std::size_t>(code.end() - begin);
    out[i].assign(begin, begin + static_cast<std::ptrdiff_t>(std::min<std::size_t>(kSlot, left)));
  }
  return out;
}

std::string run(const Experiment& x, const std::vector<std::byte>& code) {
  Memory memory;
  State before = initial_state(*x.chip, x.lanes);
  std::vector<std::uint32_t> words = before.memory;
  memory.add(words.data(), words.size() * 4, "the test's memory", true, true);
  const auto memory_base = std::bit_cast<std::uintptr_t>(words.data());
  const auto fragment = make_fragment(*x.chip, x.lanes, code, memory, kLdsWords * 4, kScratchWords * 4);
  const auto code_base = fragment->program->base;
  for (const Word& w : x.before) before.at(w.place) = resolve(w.value, w.base, w.high, memory_base, code_base);
  copy_words(before.memory, words.data());
  put(before, *fragment);
  const bool ended = run_fragment(*fragment);
  State got = before, want = before;
  get(got, *fragment, words);
  memory.remove(words.data());
  const std::string title = fmt::format("{} ({}, wave{}): {}\n", x.where, x.chip->name, x.lanes, x.text);
  if (!x.fault.empty()) {
    if (!ended && !fragment->reports.empty() && fragment->reports[0].kind == x.fault) return "";
    return title + "    expected a report of kind " + x.fault + "\n";
  }
  if (!ended) {
    return title + (fragment->reports.empty() ? "    did not end\n" : "    " + fragment->reports[0].text + "\n");
  }
  for (const Expected& e : x.after) expect(e, want, got, memory_base, code_base);
  const std::string differences = compare(before, want, got);
  return differences.empty() ? "" : title + differences;
}

}  // namespace wavetile::emu::testing
