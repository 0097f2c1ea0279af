#include "tests/emulator/vector_spelling.h"

#include <fmt/format.h>

namespace wavetile::emu::testing {
namespace {

using Bits = std::array<std::uint32_t, 4>;

int exponent_bits(const std::string& kind) { return kind == "f16" ? 5 : kind == "f64" ? 11 : 8; }
bool is_dpp(Form f) { return f >= Form::dpp && f <= Form::e64_dpp8; }
bool is_short(Form f) { return f == Form::e32 || f == Form::dpp || f == Form::dpp8 || f == Form::sdwa; }

}  // namespace

int width(const std::string& kind) {
  if (kind == "mask") return 1;
  if (kind == "pf32") return 64;
  if (kind[0] == 'p') return 32;
  return std::stoi(kind.substr(kind.find_first_of("0123456789")));
}

std::string Spelling::pair(int s) const {
  return lanes == 64 ? fmt::format("s[{}:{}]", s, s + 1) : fmt::format("s{}", s);
}

std::string Spelling::row_text(int row, int count) {
  return count == 1 ? fmt::format("v{}", row) : fmt::format("v[{}:{}]", row, row + count - 1);
}

// A mask in VCC, where the encoding has no field for another.
std::string Spelling::mask_text(const Variant& v, int s) const {
  if (is_short(v.form) && !(v.form == Form::sdwa && mnemonic.substr(0, 5) == "v_cmp" && s == 6)) {
    return lanes == 64 ? "vcc" : "vcc_lo";
  }
  return pair(s);
}

int Spelling::mask_register(const Variant& v, int s) const {
  const std::string text = mask_text(v, s);
  return text.substr(0, 3) == "vcc" ? kVcc : s;
}

std::string Spelling::source_text(const Variant& v, std::size_t i) const {
  const std::string& kind = block.sources[i];
  if (kind == "mask") return mask_text(v, 8);
  std::string text;
  const auto& bits = block.cases[static_cast<std::size_t>(std::max(0, v.only_case))].in[i];
  if (constant(kind) || v.where[i] == Where::literal) {
    text = width(kind) == 64 ? fmt::format("{:#x}{:08x}", bits[1], bits[0]) : fmt::format("{:#x}", bits[0]);
  } else if (v.where[i] == Where::scalar) {
    text = dwords(kind) == 1 ? fmt::format("s{}", 20 + 4 * i) : fmt::format("s[{}:{}]", 20 + 4 * i, 21 + 4 * i);
  } else {
    text = row_text(v.source_row[i], dwords(kind));
    if (halves(kind) && !v.op_sel) text += v.upper[i] ? ".h" : ".l";
  }
  if (v.absolute[i]) text = "|" + text + "|";
  return (v.negate[i] && !packed(kind) ? "-" : "") + text;
}

std::string Spelling::list(const char* name, const std::vector<int>& values) const {
  return fmt::format(" {}:[{}]", name, fmt::join(values, ","));
}

std::string Spelling::tail(const Variant& v) const {
  std::string text;
  const std::size_t sources = block.sources.size() - (block.tied ? 1 : 0);
  if (v.op_sel) {
    std::vector<int> values;
    for (std::size_t i = 0; i < sources; ++i) values.push_back(v.upper[i]);
    values.push_back(v.upper_result);
    text += list("op_sel", values);
  }
  std::vector<int> low, high, negative;
  bool swaps = false, negates = false;
  for (std::size_t i = 0; i < sources; ++i) {
    low.push_back(v.swap[i]);
    high.push_back(packed(block.sources[i]) ? !v.swap[i] : 0);
    negative.push_back(packed(block.sources[i]) && v.negate[i]);
    swaps |= v.swap[i];
    negates |= negative.back() != 0;
  }
  if (swaps) text += list("op_sel", low) + list("op_sel_hi", high);
  if (negates) text += list("neg_lo", negative) + list("neg_hi", negative);
  text += block.modifiers;
  if (v.form == Form::dpp || v.form == Form::e64_dpp) text += " quad_perm:[2,3,0,1] row_mask:0xf bank_mask:0xf";
  if (v.form == Form::dpp8 || v.form == Form::e64_dpp8) text += " dpp8:[7,6,5,4,3,2,1,0]";
  if (v.form == Form::sdwa) text += sdwa_tail(v, sources);
  return text;
}

std::string Spelling::sdwa_tail(const Variant& v, std::size_t sources) const {
  std::string text;
  if (block.results[0] != "mask") {
    text += v.upper_result ? " dst_sel:WORD_1" : *v.unused ? " dst_sel:WORD_0" : " dst_sel:DWORD";
    text += fmt::format(" dst_unused:{}", *v.unused ? v.unused : "UNUSED_PAD");
  }
  for (std::size_t i = 0; i < std::min<std::size_t>(2, sources); ++i) {
    if (block.sources[i] != "mask") text += fmt::format(" src{}_sel:{}", i, *v.select[i] ? v.select[i] : "DWORD");
  }
  return text;
}

std::string Spelling::text(const Variant& v) const {
  static constexpr std::array<const char*, 8> kSuffixes{"_e32", "_e64",     "",         "_dpp",
                                                        "_dpp", "_e64_dpp", "_e64_dpp", "_sdwa"};
  std::vector<std::string> operands;
  for (std::size_t i = 0; i < block.results.size(); ++i) {
    const std::string& kind = block.results[i];
    if (kind == "mask") {
      if (!(compares_exec() && rdna())) operands.push_back(mask_text(v, 6));
    } else {
      operands.push_back(row_text(v.row, dwords(kind)));
      if (halves(kind) && !v.op_sel) operands.back() += v.upper_result ? ".h" : ".l";
    }
  }
  for (std::size_t i = 0; i < block.sources.size(); ++i) {
    if ((block.tied && i + 1 == block.sources.size()) || (block.sources[i] == "mask" && implicit_mask())) continue;
    operands.push_back(source_text(v, i));
  }
  std::string out = fmt::format("{}{} {}{}", mnemonic, kSuffixes[static_cast<std::size_t>(v.form)],
                                fmt::join(operands, ", "), tail(v));
  if (block.mode >= 0) out = fmt::format("s_setreg_imm32_b32 hwreg(HW_REG_MODE, 0, 10), {:#x}\n", block.mode) + out;
  return out;
}

// Cases lie apart, in both halves of a wave64; DPP wants all lanes on, for those that are off are no sources.
int Spelling::case_of(const Variant& v, int lane, std::size_t first) const {
  if (is_dpp(v.form))
    return v.only_case >= 0 ? v.only_case
                            : static_cast<int>((first + static_cast<std::size_t>(lane)) % block.cases.size());
  if (lane % 4 == 3) return -1;
  if (v.only_case >= 0) return v.only_case;
  const int slot = lane * 5 % lanes;
  const std::size_t k = first + static_cast<std::size_t>(slot);
  return slot < 24 && k < block.cases.size() ? static_cast<int>(k) : -1;
}

int Spelling::dpp_source(Form f, int lane) {
  return f == Form::dpp || f == Form::e64_dpp ? lane ^ 2 : (lane & ~7) + 7 - (lane & 7);
}

void Spelling::put_vector(Experiment& x, const Variant& v, std::size_t i, int lane, Bits bits) const {
  const std::string& kind = block.sources[i];
  const bool tied = block.tied && i + 1 == block.sources.size();
  const int row = tied ? v.row : v.source_row[i];
  const int bits_wide = width(kind);
  const std::uint32_t half_sign = packed(kind) && bits_wide == 32 ? 0x80008000u : 0x80000000u;
  if (v.negate[i]) {
    if (packed(kind) && bits_wide == 64) bits[0] ^= half_sign;
    bits[static_cast<std::size_t>(dwords(kind) - 1)] ^= bits_wide == 16 ? 0x8000u : half_sign;
  }
  if (v.absolute[i] && lane % 2 == 0)
    bits[static_cast<std::size_t>(dwords(kind) - 1)] |= bits_wide == 16 ? 0x8000u : 0x80000000u;
  if (v.swap[i]) {
    if (bits_wide == 32) {
      bits[0] = bits[0] >> 16 | bits[0] << 16;
    } else {
      std::swap(bits[0], bits[1]);
    }
  }
  const bool upper = tied ? v.upper_result : v.upper[i];
  const std::string select = i < 2 ? v.select[i] : "";
  for (int k = 0; k < dwords(kind); ++k) {
    const Place p{Space::vgpr, row + k, lane};
    std::uint32_t word = bits[static_cast<std::size_t>(k)];
    const auto insert = [&](int shift, std::uint32_t mask) {
      std::uint32_t old = initial_word(p);
      for (const Word& w : x.before) {
        if (w.place.space == Space::vgpr && w.place.index == p.index && w.place.lane == lane) old = w.value;
      }
      word = (old & ~(mask << shift)) | (word & mask) << shift;
    };
    if (select.substr(0, 4) == "BYTE") {
      insert(8 * (select[5] - '0'), 0xff);
    } else if (select.substr(0, 4) == "WORD") {
      insert(16 * (select[5] - '0'), 0xffff);
    } else if (bits_wide == 16) {
      insert(upper ? 16 : 0, 0xffff);
    }
    x.before.push_back({p, word});
  }
}

void Spelling::put_sources(Experiment& x, const Variant& v, int lane, const Case& c, std::uint64_t& mask) const {
  for (std::size_t i = 0; i < block.sources.size(); ++i) {
    const std::string& kind = block.sources[i];
    if (kind == "mask") {
      mask |= std::uint64_t{c.in[i][0]} << lane;
    } else if (!constant(kind) && v.where[i] == Where::vgpr) {
      put_vector(x, v, i, i == 0 && is_dpp(v.form) ? dpp_source(v.form, lane) : lane, c.in[i]);
    }
  }
}

void Spelling::expect_result(Experiment& x, const Variant& v, std::size_t i, int lane, const Result& r) const {
  const std::string& kind = block.results[i];
  Expected e;
  e.place = {Space::vgpr, v.row, lane};
  e.bits = width(kind);
  e.value = r.bits;
  e.kind = r.kind;
  e.ulps = r.ulps;
  e.exponent_bits = exponent_bits(kind);
  if (e.bits == 16) {
    e.upper = v.upper_result;
    const bool op_sel_keeps = v.op_sel && !rdna();
    const std::string unused = v.unused;
    const bool clears = !rdna() && !op_sel_keeps && !block.keep && v.form != Form::sdwa;
    Expected other = e;
    other.upper = !e.upper;
    const bool free = !rdna() && block.loose && v.form != Form::sdwa && !v.upper_result;
    other.kind = free ? Expected::Kind::any : Expected::Kind::exact;
    other.value = {};
    if (v.form == Form::sdwa && unused == "UNUSED_SEXT" && !v.upper_result && (r.bits[0] & 0x8000))
      other.value[0] = 0xffff;
    if (clears || free || (v.form == Form::sdwa && unused != "UNUSED_PRESERVE")) x.after.push_back(other);
  }
  x.after.push_back(e);
}

void Spelling::scalar_sources(Experiment& x, const Variant& v, std::uint64_t mask) const {
  for (std::size_t i = 0; i < block.sources.size(); ++i) {
    const std::string& kind = block.sources[i];
    if (kind == "mask") {
      const int s = implicit_mask() ? static_cast<int>(kVcc) : mask_register(v, 8);
      put_mask(x.before, s, mask);
    } else if (v.where[i] == Where::scalar) {
      const auto& bits = block.cases[static_cast<std::size_t>(v.only_case)].in[i];
      for (int k = 0; k < dwords(kind); ++k) {
        const Place p{Space::sgpr, static_cast<int>(20 + 4 * i) + k, 0};
        std::uint32_t word = bits[static_cast<std::size_t>(k)];
        if (width(kind) == 16) word |= initial_word(p) & 0xffff0000u;
        x.before.push_back({p, word});
      }
    }
  }
}

void Spelling::put_mask(std::vector<Word>& to, int s, std::uint64_t mask) const {
  to.push_back({{Space::sgpr, s, 0}, static_cast<std::uint32_t>(mask)});
  if (lanes == 64) to.push_back({{Space::sgpr, s + 1, 0}, static_cast<std::uint32_t>(mask >> 32)});
}

void Spelling::expect_mask(Experiment& x, int s, std::uint64_t mask) const {
  for (int k = 0; k < lanes / 32; ++k) {
    Expected e;
    e.place = {Space::sgpr, s + k, 0};
    e.value[0] = static_cast<std::uint32_t>(mask >> (32 * k));
    x.after.push_back(e);
  }
}

void Spelling::add(const Variant& v) {
  const std::size_t per_run = is_dpp(v.form) ? static_cast<std::size_t>(lanes) : 24;
  for (std::size_t first = 0; first < block.cases.size(); first += per_run) {
    Experiment x;
    x.chip = &chip;
    x.lanes = lanes;
    x.text = text(v);
    x.where = block.where;
    std::uint64_t exec = 0, mask_in = 0, mask_out = 0;
    for (int lane = 0; lane < lanes; ++lane) {
      const int k = case_of(v, lane, first);
      if (k < 0 || !usable(v, block.cases[static_cast<std::size_t>(k)])) {
        if (is_dpp(v.form)) return;
        continue;
      }
      const Case& c = block.cases[static_cast<std::size_t>(k)];
      exec |= std::uint64_t{1} << lane;
      put_sources(x, v, lane, c, mask_in);
      for (std::size_t i = 0; i < c.out.size(); ++i) {
        if (block.results[i] == "mask") {
          mask_out |= std::uint64_t{c.out[i].bits[0]} << lane;
        } else {
          expect_result(x, v, i, lane, c.out[i]);
        }
      }
    }
    if (exec == 0) continue;
    scalar_sources(x, v, mask_in);
    put_mask(x.before, kExec, exec);
    if (std::find(block.results.begin(), block.results.end(), "mask") != block.results.end()) {
      if (!(compares_exec() && rdna())) expect_mask(x, mask_register(v, 6), mask_out);
      if (compares_exec()) expect_mask(x, kExec, mask_out);
    }
    experiments.push_back(std::move(x));
    if (v.only_case >= 0) return;
  }
}

// A form may fit some cases alone: |x| those that are not negative, a selected byte those that have no more bits.
bool Spelling::usable(const Variant& v, const Case& c) const {
  // A NaN's sign, with which others are filled, is open.
  if (std::string_view(v.unused) == "UNUSED_SEXT" && c.out[0].kind == Expected::Kind::nan) return false;
  for (std::size_t i = 0; i < c.in.size(); ++i) {
    const auto top = static_cast<std::size_t>(dwords(block.sources[i]) - 1);
    const std::uint32_t sign = width(block.sources[i]) == 16 ? 0x8000u : 0x80000000u;
    if (v.absolute[i] && (c.in[i][top] & sign)) return false;
    if (i < 2 && width(block.sources[i]) == 32) {
      const std::string select = v.select[i];
      if (select.substr(0, 4) == "BYTE" && c.in[i][0] > 0xff) return false;
      if (select.substr(0, 4) == "WORD" && c.in[i][0] > 0xffff) return false;
    }
    if (v.where[i] == Where::literal && width(block.sources[i]) == 64) {
      // Of a 64-bit literal the instruction holds one half.
      if (real(block.sources[i]) ? c.in[i][0] != 0 : c.in[i][1] != 0 || c.in[i][0] >> 31) return false;
    }
  }
  return true;
}

}  // namespace wavetile::emu::testing
