// One way to write an instruction of a block, and the experiments that follow from it: the text, the lanes and
// registers that hold the cases, and what is to come out.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "tests/emulator/vector_cases.h"

namespace wavetile::emu::testing {

/// Kinds of operands.
int width(const std::string& kind);
inline bool real(const std::string& kind) { return kind == "f16" || kind == "f32" || kind == "f64"; }
inline bool packed(const std::string& kind) { return kind[0] == 'p'; }
inline bool constant(const std::string& kind) { return kind[0] == 'k'; }
inline int dwords(const std::string& kind) { return std::max(1, width(kind) / 32); }

enum class Form { e32, e64, bare, dpp, dpp8, e64_dpp, e64_dpp8, sdwa };
enum class Where { vgpr, scalar, literal };

struct Variant {
  Form form = Form::bare;
  std::array<Where, 4> where{};
  std::array<int, 4> source_row{20, 30, 40, 50};
  std::array<bool, 4> negate{}, absolute{}, upper{}, swap{};
  std::array<const char*, 2> select{"", ""};  // of SDWA: WORD_1, BYTE_2, ...
  const char* unused = "";                    // of SDWA
  int row = 10;                               // the first result's
  bool upper_result = false;
  bool op_sel = false;  // halves are named by op_sel:[...] instead of v0.h
  int only_case = -1;   // this one in all lanes
};

/// Of one mnemonic on one chip and wave size.
class Spelling {
 public:
  Spelling(const Block& b, const std::string& m, const Chip& c, int l) : block(b), mnemonic(m), chip(c), lanes(l) {}
  std::string text(const Variant& v) const;
  /// Of all cases that the variant can hold.
  void add(const Variant& v);
  bool usable(const Variant& v, const Case& c) const;

  std::vector<Experiment> experiments;  // what add() made

 protected:
  bool rdna() const { return chip.family == Family::rdna3; }
  bool halves(const std::string& kind) const { return rdna() && width(kind) == 16 && !constant(kind); }

  const Block& block;
  const std::string& mnemonic;
  const Chip& chip;
  int lanes;

 private:
  bool compares_exec() const { return mnemonic.substr(0, 7) == "v_cmpx_"; }
  bool implicit_mask() const { return mnemonic.substr(0, 10) == "v_div_fmas"; }
  std::string pair(int s) const;
  static std::string row_text(int row, int count);
  std::string mask_text(const Variant& v, int s) const;
  int mask_register(const Variant& v, int s) const;
  std::string source_text(const Variant& v, std::size_t i) const;
  std::string list(const char* name, const std::vector<int>& values) const;
  std::string tail(const Variant& v) const;
  std::string sdwa_tail(const Variant& v, std::size_t sources) const;
  int case_of(const Variant& v, int lane, std::size_t first) const;
  static int dpp_source(Form f, int lane);
  void put_vector(Experiment& x, const Variant& v, std::size_t i, int lane, std::array<std::uint32_t, 4> bits) const;
  void put_sources(Experiment& x, const Variant& v, int lane, const Case& c, std::uint64_t& mask) const;
  void expect_result(Experiment& x, const Variant& v, std::size_t i, int lane, const Result& r) const;
  void scalar_sources(Experiment& x, const Variant& v, std::uint64_t mask) const;
  void put_mask(std::vector<Word>& to, int s, std::uint64_t mask) const;
  void expect_mask(Experiment& x, int s, std::uint64_t mask) const;
};

}  // namespace wavetile::emu::testing
