#include "emulator/checks/names.h"

#include <algorithm>
#include <cctype>

namespace wavetile::emu::checks {

bool has(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }
bool starts(std::string_view text, std::initializer_list<std::string_view> with) {
  return std::ranges::any_of(with, [&](std::string_view w) { return text.starts_with(w); });
}

// "v_dual_mov_b32" does what "v_mov_b32" does.
std::string base_name(const Instruction& in) {
  return in.mnemonic.starts_with("v_dual_") ? "v_" + in.mnemonic.substr(7) : in.mnemonic;
}

// --- which bits a source operand gives

// The first and the last of the types in a name: what the result is, and what the operands are.
std::pair<TypeName, TypeName> types_in(std::string_view name) {
  TypeName first, last;
  while (!name.empty()) {
    const auto end = name.find('_');
    std::string_view word = name.substr(0, end);
    name = end == name.npos ? std::string_view{} : name.substr(end + 1);
    if (word.starts_with("bf")) word.remove_prefix(1);
    if (word.size() < 2 || !has("fiub", word.substr(0, 1)) || !std::isdigit(static_cast<unsigned char>(word[1])))
      continue;
    int bits = 0;
    for (char c : word.substr(1)) bits = c >= '0' && c <= '9' ? bits * 10 + c - '0' : 1000;
    if (bits > 128) continue;
    last = {bits, true};
    if (!first.known) first = last;
  }
  return {first, last};
}

namespace {
std::uint32_t low_bits(int n) { return n >= 32 ? kAll : (1u << n) - 1; }
}  // namespace

// Of source i (destinations not counted) of an instruction that computes.
std::uint32_t source_bits(const Instruction& in, std::string_view name, std::size_t i) {
  const auto [result, type] = types_in(name);
  if (starts(name,
             {"v_dot", "v_wmma", "v_swmmac", "v_mfma", "v_smfmac", "v_sad", "v_msad", "v_qsad", "v_mqsad", "v_lerp"})) {
    return kAll;
  }
  if (starts(name, {"v_fma_mix", "v_mad_mix"})) {
    const Modifier* high = in.find("op_sel_hi");
    const Modifier* select = in.find("op_sel");
    if (!high || i >= high->values.size() || high->values[i] == 0) return kAll;
    return select && i < select->values.size() && select->values[i] != 0 ? kHigh : kLow;
  }
  if (has(name, "ubyte")) return 0xffu << 8 * (name.back() - '0');
  if (has(name, "_fp8") || has(name, "_bf8"))
    return name.starts_with("v_cvt_pk_f32") ? kLow : name.starts_with("v_cvt_f32") ? 0xff : kAll;
  if (has(name, "cmp_class") || has(name, "cmpx_class")) return i == 1 ? 0x3ff : low_bits(type.bits);
  if (has(name, "ldexp") && i == 1) return has(name, "f16") ? kLow : kAll;
  if (starts(name, {"v_mad_u32_u", "v_mad_i32_i"}) && i == 2) return low_bits(result.bits);
  if (has(name, "u24") || has(name, "i24")) return 0xffffff;
  return type.known ? low_bits(type.bits) : kAll;
}

// The half or byte that SDWA, op_sel or the operand's own name picks.
std::uint32_t picked(const Instruction& in, const Operand& o, std::size_t i, std::uint32_t bits) {
  if (o.registers.half == Half::high) return kHigh;
  if (o.registers.half == Half::low) return kLow;
  if (in.encoding == Encoding::sdwa && i < 2) {
    const Modifier* m = in.find(i == 0 ? "src0_sel" : "src1_sel");
    if (!m || m->word == "DWORD") return bits;
    if (m->word == "WORD_0") return kLow;
    if (m->word == "WORD_1") return kHigh;
    return 0xffu << 8 * (m->word.back() - '0');
  }
  if (bits == kLow) {
    const Modifier* m = in.find("op_sel");
    if (m && i < m->values.size() && m->values[i] != 0) return kHigh;
  }
  return bits;
}

// --- what passes undefinedness on

const Vary* find_vary(std::string_view name) {
  static const std::vector<Vary> kVary = {{"v_mov_b", {0}, {}},
                                          {"v_accvgpr_", {0}, {}},
                                          {"v_not_b", {0}, {0}},
                                          {"v_and_b", {0, 1}, {}},
                                          {"v_or_b", {0, 1}, {}},
                                          {"v_and_or_b", {0, 1, 2}, {}},
                                          {"v_or3_b", {0, 1, 2}, {}},
                                          {"v_lshl_or_b", {0, 2}, {}},
                                          {"v_bfi_b", {1, 2}, {}},
                                          {"v_cndmask_b", {0, 1}, {}},
                                          {"v_perm_b", {0, 1}, {}},
                                          {"v_alignbit_b", {0, 1}, {}},
                                          {"v_alignbyte_b", {0, 1}, {}},
                                          {"v_lshlrev_b", {1}, {}},
                                          {"v_lshrrev_b", {1}, {}},
                                          {"v_ashrrev_i", {1}, {}},
                                          {"v_bfe_", {0}, {}},
                                          {"v_pack_b32_f16", {0, 1}, {}},
                                          {"v_bfrev_b", {0}, {}},
                                          {"v_readfirstlane_b", {0}, {}},
                                          {"v_readlane_b", {0}, {}},
                                          {"v_writelane_b", {0}, {}},
                                          {"v_permlane", {0}, {}},
                                          {"v_swap_b", {0}, {}},
                                          {"v_pk_mov_b32", {0, 1}, {}},
                                          {"ds_bpermute_b", {1}, {}},
                                          {"ds_permute_b", {1}, {}},
                                          {"ds_swizzle_b", {0}, {}},
                                          {"v_xor_b", {0, 1}, {}, true},
                                          {"v_xnor_b", {0, 1}, {}, true},
                                          {"v_xor3_b", {0, 1, 2}, {}, true},
                                          {"s_mov_b", {0}, {}},
                                          {"s_cmov_b", {0}, {}},
                                          {"s_not_b", {0}, {0}},
                                          {"s_and_b", {0, 1}, {}},
                                          {"s_or_b", {0, 1}, {}},
                                          {"s_nand_b", {0, 1}, {0, 1}},
                                          {"s_nor_b", {0, 1}, {0, 1}},
                                          {"s_andn2_b", {0, 1}, {1}},
                                          {"s_and_not1_b", {0, 1}, {1}},
                                          {"s_orn2_b", {0, 1}, {1}},
                                          {"s_or_not1_b", {0, 1}, {1}},
                                          {"s_xor_b", {0, 1}, {}, true},
                                          {"s_xnor_b", {0, 1}, {}, true},
                                          {"s_cselect_b", {0, 1}, {}},
                                          {"s_lshl_b", {0}, {}},
                                          {"s_lshr_b", {0}, {}},
                                          {"s_ashr_i", {0}, {}},
                                          {"s_bfe_", {0}, {}},
                                          {"s_brev_b", {0}, {}},
                                          {"s_sext_i32_i", {0}, {}},
                                          {"s_pack_", {0, 1}, {}},
                                          // Bits above the one that is found do not count.
                                          {"v_ctz_", {0}, {}},
                                          {"v_ffbl_", {0}, {}},
                                          {"v_clz_", {0}, {}},
                                          {"v_ffbh_", {0}, {}},
                                          {"s_ctz_", {0}, {}},
                                          {"s_ff1_", {0}, {}},
                                          {"s_clz_", {0}, {}},
                                          {"s_flbit_", {0}, {}},
                                          {"s_bitset", {}, {}}};
  if (has(name, "saveexec") || has(name, "wrexec")) {
    static const Vary kSave = {"", {0}, {}};
    return &kSave;
  }
  const auto found = std::ranges::find_if(kVary, [&](const Vary& v) { return name.starts_with(v.name); });
  return found == kVary.end() ? nullptr : &*found;
}

// Sums and products: what is undefined makes undefined what lies above it, and nothing below.
bool carries(std::string_view name) {
  return starts(name, {"v_add_nc_", "v_sub_nc_", "v_subrev_nc_",  "v_add_u",       "v_sub_u",     "v_subrev_u",
                       "v_add_i",   "v_sub_i",   "v_add3_u",      "v_mul_lo_",     "v_mad_u32_u", "v_mad_i32_i",
                       "v_mad_u16", "v_mad_i16", "v_mul_u32_u24", "v_mul_i32_i24", "s_add_i",     "s_add_u",
                       "s_sub_i",   "s_sub_u",   "s_mul_i32",     "s_addk_",       "s_mulk_"}) &&
         !has(name, "64");
}

// Bits of a shift's amount that count.
std::uint32_t control_bits(std::string_view name, std::size_t i, std::uint32_t bits) {
  if (starts(name, {"v_lshlrev_b", "v_lshrrev_b", "v_ashrrev_i"}) && i == 0) {
    return has(name, "64") ? 63 : has(name, "16") ? 15 : 31;
  }
  if (starts(name, {"v_alignbit_b"}) && i == 2) return 31;
  if (starts(name, {"v_alignbyte_b"}) && i == 2) return 3;
  if (starts(name, {"v_lshl_or_b"}) && i == 1) return 31;
  if (starts(name, {"v_bfe_"}) && i > 0) return 31;
  if (starts(name, {"s_lshl_b", "s_lshr_b", "s_ashr_i"}) && i == 1) return has(name, "64") ? 63 : 31;
  return bits;
}

}  // namespace wavetile::emu::checks
