#include "tests/emulator/state_cases.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <fmt/format.h>

namespace wavetile::emu::testing {
namespace {

[[noreturn]] void bad(const StateLine& line, const std::string& what) {
  throw std::runtime_error(fmt::format("{}: cannot read '{}'", line.where, what));
}

struct Value {
  std::vector<std::uint32_t> words;  // low first
  Base base = Base::none;
  bool affine = false;
  std::uint32_t step = 0;
  Expected::Kind kind = Expected::Kind::exact;
  std::uint64_t ulps = 0;
};

std::uint32_t number(const std::string& hex) { return static_cast<std::uint32_t>(std::stoull(hex, nullptr, 16)); }

Value parse_value(std::string text) {
  Value v;
  if (text == "nan") {
    v.kind = Expected::Kind::nan;
    v.words = {0};
    return v;
  }
  if (const auto tilde = text.find('~'); tilde != std::string::npos) {
    v.kind = Expected::Kind::near;
    v.ulps = number(text.substr(tilde + 1));
    text.resize(tilde);
  }
  if (text[0] == '&' || text[0] == '$') {
    v.base = text[0] == '&' ? Base::memory : Base::code;
    text.erase(0, 1);
  }
  if (text[0] == '#') {
    const auto plus = text.find('+');
    v.affine = true;
    v.step = number(text.substr(1, plus - 1));
    text = text.substr(plus + 1);
  }
  for (std::size_t end = text.size(); end > 0;) {
    const std::size_t begin = end > 8 ? end - 8 : 0;
    v.words.push_back(number(text.substr(begin, end - begin)));
    end = begin;
  }
  return v;
}

std::uint32_t word(const Value& v, int k, int lane) {
  // An address's offset stands for both its halves.
  if (v.base != Base::none) return v.words[0] + v.step * static_cast<std::uint32_t>(lane);
  const std::uint32_t value = static_cast<std::size_t>(k) < v.words.size() ? v.words[static_cast<std::size_t>(k)] : 0;
  return v.affine && k == 0 ? value + v.step * static_cast<std::uint32_t>(lane) : value;
}

// What an item names: a first place, how many words a value has, and whether there is one for each lane.
struct Target {
  Place place;
  int words = 1;
  bool vector = false, memory = false;
  int lane = -1;  // vector: the first; -1: all
};

int scalar_number(const std::string& name) {
  if (name == "vcc" || name == "vcc_lo") return kVcc;
  if (name == "vcc_hi") return kVcc + 1;
  if (name == "exec" || name == "exec_lo") return kExec;
  if (name == "exec_hi") return kExec + 1;
  if (name == "m0") return kM0;
  return -1;
}

Target parse_target(const StateLine& line, const std::string& name) {
  Target t;
  if (const auto at = name.find('@'); at != std::string::npos) {
    t.memory = true;
    const std::string what = name.substr(0, at);
    t.place.space = what == "lds" ? Space::lds : what == "mem" ? Space::memory : Space::scratch;
    t.place.index = static_cast<int>(number(name.substr(at + 1)) / 4);
    if (t.place.space == Space::scratch) t.place.lane = std::stoi(what.substr(4));
    return t;
  }
  if (name == "scc") {
    t.place.space = Space::scc;
    return t;
  }
  if (const int s = scalar_number(name); s >= 0) {
    t.place = {Space::sgpr, s, 0};
    t.words = name == "vcc" || name == "exec" ? 2 : 1;
    return t;
  }
  static constexpr std::string_view kFiles = "sva";
  const auto file = kFiles.find(name[0]);
  if (file == std::string_view::npos || name.size() < 2) bad(line, name);
  t.place.space = file == 0 ? Space::sgpr : file == 1 ? Space::vgpr : Space::agpr;
  t.vector = file != 0;
  const auto close = name.find(']');
  if (name[1] == '[') {
    t.place.index = std::stoi(name.substr(2));
    t.words = std::stoi(name.substr(name.find(':') + 1)) - t.place.index + 1;
  } else {
    t.place.index = std::stoi(name.substr(1));
  }
  const auto dot = name.find('.', close == std::string::npos ? 0 : close);
  if (dot != std::string::npos) t.lane = std::stoi(name.substr(dot + 1));
  return t;
}

class Builder {
 public:
  Builder(const StateLine& line, Experiment& x) : line_(line), x_(x) {}

  void before(const std::string& item) {
    each(item, [&](const Place& p, const Value& v, int k) {
      x_.before.push_back({p, word(v, k, p.lane), v.base, k == 1});
      if (p.space == Space::sgpr && p.index == kExec)
        exec_ = (exec_ & ~std::uint64_t{0xffffffff}) | x_.before.back().value;
      if (p.space == Space::sgpr && p.index == kExec + 1) {
        exec_ = (exec_ & 0xffffffff) | std::uint64_t{x_.before.back().value} << 32;
      }
    });
  }
  void after(const std::string& item) {
    after_ = true;
    each(item, [&](const Place& p, const Value& v, int k) {
      Expected e;
      e.place = p;
      e.value[0] = word(v, k, p.lane);
      e.kind = v.kind;
      e.ulps = v.ulps;
      e.base = v.base;
      e.high = k == 1;
      x_.after.push_back(e);
    });
  }

 private:
  template <class F>
  void each(const std::string& item, F&& f) {
    const auto equals = item.find('=');
    if (equals == std::string::npos) bad(line_, item);
    Target t = parse_target(line_, item.substr(0, equals));
    if (t.words == 2 && t.place.space == Space::sgpr && t.place.index >= kVcc && x_.lanes == 32) t.words = 1;
    std::vector<Value> values;
    std::istringstream in(item.substr(equals + 1));
    for (std::string text; std::getline(in, text, ',');) values.push_back(parse_value(text));
    if (values.empty()) bad(line_, item);
    if (t.vector && t.lane < 0 && values.size() == 1) {
      for (int lane = 0; lane < x_.lanes; ++lane) {
        if (!after_ || (exec_ >> lane & 1)) one(t, values[0], lane, f);
      }
      return;
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
      const int n = static_cast<int>(i);
      if (t.memory) {
        f(Place{t.place.space, t.place.index + n, t.place.lane}, values[i], 0);
      } else {
        one(t, values[i], t.vector ? std::max(0, t.lane) + n : 0, f);
      }
    }
  }
  template <class F>
  void one(const Target& t, const Value& v, int lane, F&& f) {
    for (int k = 0; k < t.words; ++k) f(Place{t.place.space, t.place.index + k, lane}, v, k);
  }

  const StateLine& line_;
  Experiment& x_;
  std::uint64_t exec_ = ~std::uint64_t{0};
  bool after_ = false;
};

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(' ');
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

}  // namespace

bool StateLine::fits(const Chip& chip, int lanes) const {
  bool named = false, chip_fits = false, sized = false, size_fits = false;
  for (const std::string& t : targets) {
    if (t == "32" || t == "64") {
      sized = true;
      size_fits |= std::stoi(t) == lanes;
    } else {
      named = true;
      chip_fits |= t == chip.name || t == (chip.family == Family::rdna3 ? "rdna3" : "cdna3");
    }
  }
  return (!named || chip_fits) && (!sized || size_fits);
}

std::vector<StateLine> read_state_lines(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error("cannot read " + path);
  std::vector<StateLine> out;
  StateLine line;
  int count = 0;
  const std::string name = path.substr(path.rfind('/') + 1);
  for (std::string text; std::getline(in, text);) {
    line.where = fmt::format("{}:{}", name, ++count);
    if (text.empty() || text[0] == '#') continue;
    if (text[0] == '@') {
      std::istringstream words(text.substr(1));
      line.targets.clear();
      for (std::string w; words >> w;) line.targets.push_back(w);
      continue;
    }
    const auto bar = text.find(" | "), arrow = text.find('>', bar);
    if (bar == std::string::npos || arrow == std::string::npos) bad(line, text);
    line.code = trimmed(text.substr(0, bar));
    line.before = text.substr(bar + 3, arrow - bar - 3);
    line.after = text.substr(arrow + 1);
    out.push_back(line);
  }
  return out;
}

Experiment experiment(const StateLine& line, const Chip& chip, int lanes) {
  Experiment x;
  x.chip = &chip;
  x.lanes = lanes;
  x.where = line.where;
  std::istringstream parts(line.code);
  for (std::string part; std::getline(parts, part, ';');) x.text += (x.text.empty() ? "" : "\n") + trimmed(part);
  Builder builder(line, x);
  std::istringstream before(line.before), after(line.after);
  for (std::string item; before >> item;) {
    if (item.substr(0, 5) == "mode=") {
      x.text = "s_setreg_imm32_b32 hwreg(HW_REG_MODE, 0, 10), 0x" + item.substr(5) + "\n" + x.text;
    } else {
      builder.before(item);
    }
  }
  for (std::string item; after >> item;) {
    if (item.substr(0, 6) == "fault=") {
      x.fault = item.substr(6);
    } else {
      builder.after(item);
    }
  }
  return x;
}

}  // namespace wavetile::emu::testing
