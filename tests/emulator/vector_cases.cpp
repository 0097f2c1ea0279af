#include "tests/emulator/vector_cases.h"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

#include "tests/emulator/vector_spelling.h"

namespace wavetile::emu::testing {
namespace {

// The ways in which an instruction is written, beside the plain one.
struct Expander : Spelling {
  using Spelling::Spelling;

  void overlaps(const Variant& base) {
    // Instructions that take several passes must not overwrite their sources: LLVM never lets them.
    if (mnemonic.find("sad_pk") != std::string::npos || mnemonic.find("mqsad") != std::string::npos ||
        mnemonic.find("v_mad_u64") == 0 || mnemonic.find("v_mad_i64") == 0 || block.results[0] == "mask" ||
        block.tied) {
      return;
    }
    const int count = dwords(block.results[0]);
    for (std::size_t i = 0; i < block.sources.size() - (block.tied ? 1 : 0); ++i) {
      if (block.sources[i] == "mask" || constant(block.sources[i])) continue;
      Variant v = base;
      v.row = v.source_row[i];
      add(v);
      if (!rdna() || count + dwords(block.sources[i]) < 3) continue;
      for (const int shift : {-1, 1}) {
        v.row = v.source_row[i] + shift;
        add(v);
      }
    }
  }

  void scalars(const Variant& base) {
    const int n = static_cast<int>(block.cases.size());
    for (std::size_t i = 0; i < block.sources.size() - (block.tied ? 1 : 0); ++i) {
      if (block.sources[i] == "mask" || constant(block.sources[i]) || packed(block.sources[i])) continue;
      for (const Where where : {Where::scalar, Where::literal}) {
        for (int k = 0; k < 3; ++k) {
          Variant v = base;
          v.where[i] = where;
          v.only_case = (static_cast<int>(i) + 4 * k) % n;
          if (usable(v, block.cases[static_cast<std::size_t>(v.only_case)])) add(v);
        }
      }
    }
  }

  void signs(const Variant& base) {
    if (block.exact) return;
    for (std::size_t i = 0; i < block.sources.size() - (block.tied ? 1 : 0); ++i) {
      const std::string& kind = block.sources[i];
      if (!real(kind) && kind != "pf16" && kind != "pf32") continue;
      Variant v = base;
      v.negate[i] = true;
      add(v);
      if (packed(kind)) continue;
      v.negate[i] = false;
      v.absolute[i] = true;
      add(v);
      v.negate[i] = true;
      v.absolute[i] = false;
      for (std::size_t j = 0; j < i; ++j) v.negate[j] = real(block.sources[j]);
      if (i > 0) add(v);
    }
  }

  void half_registers(const Variant& base) {
    bool any = halves(block.results[0]);
    for (const std::string& kind : block.sources) any = any || width(kind) == 16;
    if (!any) return;
    for (int which = -2; which < static_cast<int>(block.sources.size()); ++which) {
      Variant v = base;
      v.op_sel = !rdna();
      v.upper_result = which < 0 && width(block.results[0]) == 16;
      for (std::size_t i = 0; i < block.sources.size(); ++i) {
        v.upper[i] = (which == -2 || which == static_cast<int>(i)) && width(block.sources[i]) == 16 &&
                     !constant(block.sources[i]);
      }
      add(v);
      // The result in the other half of a source's register.
      if (which >= 0 && width(block.results[0]) == 16 && !block.tied) {
        v.row = v.source_row[static_cast<std::size_t>(which)];
        add(v);
      }
    }
  }

  void swaps(const Variant& base) {
    for (std::size_t i = 0; i < block.sources.size() - (block.tied ? 1 : 0); ++i) {
      if (!packed(block.sources[i]) || mnemonic.find("v_dot") == 0 || mnemonic == "v_pk_fmac_f16") continue;
      Variant v = base;
      v.swap[i] = true;
      add(v);
    }
  }

  void selects(const Variant& base) {
    static constexpr std::array<std::array<const char*, 2>, 4> kSelects{
        {{"WORD_1", "WORD_0"}, {"WORD_0", "WORD_1"}, {"BYTE_1", "BYTE_3"}, {"BYTE_2", "BYTE_0"}}};
    Variant v = base;
    v.form = Form::sdwa;
    add(v);
    signs(v);
    const bool word_result = width(block.results[0]) == 16;
    for (const auto& select : kSelects) {
      v.select = select;
      for (std::size_t i = 0; i < std::min<std::size_t>(2, block.sources.size()); ++i) {
        const std::string& kind = block.sources[i];
        const bool fits = select[i][0] == 'W' ? kind == "b32" || width(kind) == 16 : kind == "b32";
        if (!fits) v.select[i] = "";
      }
      if (!*v.select[0] && !*v.select[1]) continue;
      add(v);
    }
    if (!word_result) return;
    v.select = {"", ""};
    for (const bool upper : {false, true}) {
      for (const char* unused : {"UNUSED_PAD", "UNUSED_SEXT", "UNUSED_PRESERVE"}) {
        v.upper_result = upper;
        v.unused = unused;
        add(v);
      }
    }
  }

  void lanes_of_others(const Variant& base) {
    for (const Form form : {Form::dpp, Form::dpp8, Form::e64_dpp, Form::e64_dpp8}) {
      Variant v = base;
      v.form = form;
      add(v);
      if (real(block.sources[0]) && !block.exact && block.modifiers.empty() && block.mode < 0) {
        v.negate[0] = true;
        add(v);
        v.negate[0] = false;
      }
      if (dwords(block.sources[0]) != 1 || block.results[0] == "mask" || block.tied) continue;
      v.row = v.source_row[0];  // the destination is the source that other lanes read
      add(v);
    }
  }
};

}  // namespace

std::vector<Ready> expand(const Block& block, const std::string& mnemonic, const Chip& chip, int lanes) {
  if (!(chip.family == Family::rdna3 ? block.rdna3 : block.cdna3)) return {};
  Expander x(block, mnemonic, chip, lanes);
  Variant plain;
  // Which plain forms there are decides what is tried besides.
  std::vector<Form> forms;
  const std::array<Form, 3> all{Form::e32, Form::e64, Form::bare};
  std::vector<std::string> texts;
  for (const Form f : all) {
    plain.form = f;
    texts.push_back(x.text(plain));
  }
  std::string why;
  const auto codes = assemble_all(chip, lanes, texts, &why);
  for (std::size_t i = 0; i < 2; ++i) {
    if (!codes[i].empty()) forms.push_back(all[i]);
  }
  if (forms.empty()) {
    if (codes[2].empty())
      throw std::runtime_error(fmt::format("{}: {} has no form for {}: {}", block.where, mnemonic, chip.name, why));
    forms.push_back(Form::bare);
  }
  for (const Form f : forms) {
    plain.form = f;
    x.add(plain);
    if (block.mode < 0 && block.modifiers.empty()) x.scalars(plain);
    x.half_registers(plain);
  }
  plain.form = forms.back();
  if (block.mode < 0) {
    x.overlaps(plain);
    if (block.modifiers.empty()) {
      x.signs(plain);
      x.swaps(plain);
    }
  }
  if (std::none_of(block.sources.begin(), block.sources.end(), constant)) {
    x.lanes_of_others(plain);
    if (chip.family == Family::cdna3) x.selects(plain);
  }
  texts.clear();
  for (const Experiment& e : x.experiments) texts.push_back(e.text);
  auto code = assemble_all(chip, lanes, texts);
  std::vector<Ready> out;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (!code[i].empty()) out.push_back({std::move(x.experiments[i]), std::move(code[i])});
  }
  return out;
}

}  // namespace wavetile::emu::testing
