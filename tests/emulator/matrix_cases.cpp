#include "tests/emulator/matrix_cases.h"

#include <bit>
#include <map>
#include <set>
#include <stdexcept>
#include <tuple>

#include <fmt/format.h>

namespace wavetile::emu::testing {
namespace {

// First registers of A, B, C, D and of a sparse A's indices.
constexpr int kA = 20, kB = 40, kC = 60, kD = 100, kIndex = 140;

int bits_of(Element e) {
  switch (e) {
    case Element::f64:
      return 64;
    case Element::f32:
    case Element::i32:
      return 32;
    case Element::f16:
    case Element::bf16:
      return 16;
    case Element::i4:
    case Element::u4:
      return 4;
    default:
      return 8;
  }
}
bool is_signed(Element e) { return e != Element::u8 && e != Element::u4; }

// A small integer, exactly.
std::uint64_t encode(Element e, int value) {
  switch (e) {
    case Element::f32:
      return std::bit_cast<std::uint32_t>(static_cast<float>(value));
    case Element::f64:
      return std::bit_cast<std::uint64_t>(static_cast<double>(value));
    case Element::bf16:
      return std::bit_cast<std::uint32_t>(static_cast<float>(value)) >> 16;
    default:
      break;
  }
  // The exponent's bias is one more than IEEE's for CDNA3's 8-bit floats.
  int mantissa = 0, bias = 0;
  if (e == Element::f16) mantissa = 10, bias = 15;
  if (e == Element::fp8) mantissa = 3, bias = 8;
  if (e == Element::bf8) mantissa = 2, bias = 16;
  if (mantissa == 0) return static_cast<std::uint64_t>(value) & ((std::uint64_t{1} << bits_of(e)) - 1);
  if (value == 0) return 0;
  const auto size = static_cast<unsigned>(value < 0 ? -value : value);
  const int power = std::bit_width(size) - 1;
  const std::uint64_t fraction = std::uint64_t{size} << mantissa >> power;
  const std::uint64_t sign = value < 0 ? std::uint64_t{1} << (bits_of(e) - 1) : 0;
  return sign + (static_cast<std::uint64_t>(power + bias - 1) << mantissa) + fraction;  // its leading 1 is one exponent
}

struct Slot {
  int lane, item;  // the lane, and the how-manieth element of its registers
};

// Stored elements of one lane.
int per_lane(const MatrixOp& o, int rows) { return o.wmma ? o.k : o.k * o.blocks * rows / 64; }

// MFMA: lanes run along the rows of A (columns of B), then along blocks, or along K when there is one block. The blocks
// of 4x4 f64 lie within the 16 lanes of a K.
Slot mfma_input(const MatrixOp& o, int rows, int block, int row, int k) {
  if (o.c == Element::f64 && o.m == 4) return {16 * k + 4 * block + row, 0};
  const int items = per_lane(o, rows);
  if (o.blocks > 1) return {block * rows + row, k};
  return {k / items * rows + row, k % items};
}

Slot mfma_output(const MatrixOp& o, int block, int i, int j) {
  if (o.c == Element::f64) return o.m == 4 ? Slot{16 * i + 4 * block + j, 0} : Slot{i % 4 * 16 + j, i / 4};
  if (o.m == 4) return {4 * block + j, i};
  const int groups = 64 / o.n;  // of lanes, each with 4 rows in a row
  const int item = i / (4 * groups) * 4 + i % 4;
  return {i / 4 % groups * o.n + j, block * o.m * o.n / 64 + item};
}

class Builder {
 public:
  Builder(const MatrixOp& op, Experiment& x, bool accumulation)
      : op_(op), x_(x), space_(accumulation ? Space::agpr : Space::vgpr) {}

  void put(int row, const Slot& s, Element e, int value, bool upper = false) {
    const int bits = bits_of(e);
    const std::uint64_t code = encode(e, value);
    if (bits == 64) {
      set(row + 2 * s.item, s.lane, static_cast<std::uint32_t>(code), 0xffffffff);
      set(row + 2 * s.item + 1, s.lane, static_cast<std::uint32_t>(code >> 32), 0xffffffff);
      return;
    }
    const bool alone = op_.wmma && row == kC && bits == 16;  // a half a register
    const int items = alone ? 1 : 32 / bits;
    const int shift = alone ? (upper ? 16 : 0) : s.item % items * bits;
    const std::uint32_t mask = bits == 32 ? 0xffffffff : ((1u << bits) - 1) << shift;
    set(row + s.item / items, s.lane, static_cast<std::uint32_t>(code) << shift, mask);
  }
  void set(int row, int lane, std::uint32_t value, std::uint32_t mask) {
    auto [word, fresh] = words_.try_emplace({row, lane}, initial_word({space_, row, lane}));
    word->second = (word->second & ~mask) | value;
  }
  void finish() {
    for (const auto& [place, value] : words_) x_.before.push_back({{space_, place.first, place.second}, value});
  }
  void expect(int row, const Slot& s, Element e, std::int64_t value, bool upper) {
    Expected want;
    const int bits = bits_of(e);
    want.bits = bits;
    want.place = {space_, row + s.item * (bits == 64 ? 2 : 1), s.lane};
    want.upper = upper;
    const std::uint64_t code = encode(e, static_cast<int>(value));
    want.value = {static_cast<std::uint32_t>(code), static_cast<std::uint32_t>(code >> 32)};
    x_.after.push_back(want);
  }

 private:
  const MatrixOp& op_;
  Experiment& x_;
  Space space_;
  std::map<std::pair<int, int>, std::uint32_t> words_;
};

std::vector<MatrixOp> wmma_ops() {
  using enum Element;
  std::vector<MatrixOp> out;
  const auto add = [&](const char* name, Element a, Element b, Element c, const char* modifiers, bool upper = false) {
    MatrixOp o;
    o.mnemonic = std::string("v_wmma_") + name;
    o.a = a;
    o.b = b;
    o.c = c;
    o.wmma = true;
    o.modifiers = modifiers;
    o.upper = upper;
    out.push_back(o);
  };
  add("f32_16x16x16_f16", f16, f16, f32, "");
  add("f32_16x16x16_bf16", bf16, bf16, f32, "");
  for (const bool upper : {false, true}) {
    const char* modifiers = upper ? " op_sel:[0,0,1]" : "";
    add("f16_16x16x16_f16", f16, f16, f16, modifiers, upper);
    add("bf16_16x16x16_bf16", bf16, bf16, bf16, modifiers, upper);
  }
  add("i32_16x16x16_iu8", u8, u8, i32, "");
  add("i32_16x16x16_iu8", i8, u8, i32, " neg_lo:[1,0,0]");
  add("i32_16x16x16_iu8", u8, i8, i32, " neg_lo:[0,1,0]");
  add("i32_16x16x16_iu8", i8, i8, i32, " neg_lo:[1,1,0] clamp");
  add("i32_16x16x16_iu4", u4, u4, i32, "");
  add("i32_16x16x16_iu4", i4, u4, i32, " neg_lo:[1,0,0]");
  add("i32_16x16x16_iu4", u4, i4, i32, " neg_lo:[0,1,0]");
  add("i32_16x16x16_iu4", i4, i4, i32, " neg_lo:[1,1,0] clamp");
  return out;
}

void add_shapes(std::vector<MatrixOp>& out, const char* prefix, Element a, Element b, Element c, const char* type,
                const std::vector<std::array<int, 4>>& shapes) {
  for (const auto& [m, n, k, blocks] : shapes) {
    MatrixOp o;
    const std::string many = blocks > 1 ? fmt::format("_{}b", blocks) : "";
    o.mnemonic = fmt::format("v_{}_{}x{}x{}{}_{}", prefix, m, n, k, many, type);
    o.m = m;
    o.n = n;
    o.k = k;
    o.blocks = blocks;
    o.a = a;
    o.b = b;
    o.c = c;
    o.sparse = std::string(prefix).find("smfmac") == 0;
    out.push_back(o);
  }
}

std::vector<MatrixOp> mfma_ops() {
  using enum Element;
  std::vector<MatrixOp> out;
  const std::vector<std::array<int, 4>> halves{
      {32, 32, 4, 2}, {16, 16, 4, 4}, {4, 4, 4, 16}, {32, 32, 8, 1}, {16, 16, 16, 1}};
  add_shapes(out, "mfma_f32", f32, f32, f32, "f32",
             {{32, 32, 1, 2}, {16, 16, 1, 4}, {4, 4, 1, 16}, {32, 32, 2, 1}, {16, 16, 4, 1}});
  add_shapes(out, "mfma_f32", f16, f16, f32, "f16", halves);
  add_shapes(out, "mfma_f32", bf16, bf16, f32, "bf16", halves);
  add_shapes(out, "mfma_f32", f32, f32, f32, "xf32", {{32, 32, 4, 1}, {16, 16, 8, 1}});
  add_shapes(out, "mfma_f64", f64, f64, f64, "f64", {{16, 16, 4, 1}, {4, 4, 4, 4}});
  add_shapes(out, "mfma_i32", i8, i8, i32, "i8",
             {{32, 32, 4, 2}, {16, 16, 4, 4}, {4, 4, 4, 16}, {32, 32, 16, 1}, {16, 16, 32, 1}});
  for (const auto& [type, a, b] :
       {std::tuple{"fp8_fp8", fp8, fp8}, {"fp8_bf8", fp8, bf8}, {"bf8_fp8", bf8, fp8}, {"bf8_bf8", bf8, bf8}}) {
    add_shapes(out, "mfma_f32", a, b, f32, type, {{32, 32, 16, 1}, {16, 16, 32, 1}});
    add_shapes(out, "smfmac_f32", a, b, f32, type, {{32, 32, 32, 1}, {16, 16, 64, 1}});
  }
  add_shapes(out, "smfmac_f32", f16, f16, f32, "f16", {{16, 16, 32, 1}, {32, 32, 16, 1}});
  add_shapes(out, "smfmac_f32", bf16, bf16, f32, "bf16", {{16, 16, 32, 1}, {32, 32, 16, 1}});
  add_shapes(out, "smfmac_i32", i8, i8, i32, "i8", {{16, 16, 64, 1}, {32, 32, 32, 1}});
  // Blocks that share one A, and groups of lanes that share their B.
  const auto add_moved = [&](const std::string& mnemonic, int cbsz, int abid, int blgp) {
    for (const MatrixOp& o : std::vector<MatrixOp>(out)) {
      if (o.mnemonic != mnemonic || !o.modifiers.empty()) continue;
      MatrixOp moved = o;
      moved.cbsz = cbsz;
      moved.abid = abid;
      moved.blgp = blgp;
      if (cbsz) moved.modifiers += fmt::format(" cbsz:{}", cbsz);
      if (abid) moved.modifiers += fmt::format(" abid:{}", abid);
      if (blgp) moved.modifiers += fmt::format(" blgp:{}", blgp);
      out.push_back(moved);
    }
  };
  for (const char* type : {"f32_32x32x1_2b_f32", "f32_32x32x4_2b_f16", "i32_32x32x4_2b_i8"}) {
    add_moved(std::string("v_mfma_") + type, 1, 0, 0);
    add_moved(std::string("v_mfma_") + type, 1, 1, 0);
    for (int blgp = 1; blgp < 8; ++blgp) add_moved(std::string("v_mfma_") + type, 0, 0, blgp);
  }
  add_moved("v_mfma_f32_16x16x1_4b_f32", 1, 1, 0);
  add_moved("v_mfma_f32_16x16x1_4b_f32", 2, 3, 0);
  add_moved("v_mfma_f32_4x4x1_16b_f32", 3, 5, 0);
  add_moved("v_mfma_f32_4x4x1_16b_f32", 4, 9, 3);
  for (int abid = 1; abid < 4; ++abid) add_moved("v_smfmac_f32_16x16x32_f16", 0, abid, 0);
  add_moved("v_smfmac_i32_16x16x64_i8", 0, 1, 0);
  return out;
}

// The lane whose B a lane multiplies.
int permuted(int blgp, int lane) {
  switch (blgp) {
    case 0:
      return lane;
    case 1:
      return lane % 32;
    case 2:
      return lane % 32 + 32;
    case 3:
      return (lane + 16) % 64;
    default:
      return lane % 16 + 16 * (blgp - 4);
  }
}

int registers_of(int items, Element e) { return std::max(1, items * bits_of(e) / 32); }
std::string range(char file, int first, int count) {
  return count == 1 ? fmt::format("{}{}", file, first) : fmt::format("{}[{}:{}]", file, first, first + count - 1);
}

}  // namespace

std::vector<MatrixOp> matrix_ops(const Chip& chip) { return chip.family == Family::rdna3 ? wmma_ops() : mfma_ops(); }

std::string matrix_text(const MatrixOp& o, int lanes, bool accumulation) {
  const char file = accumulation ? 'a' : 'v';
  const int outputs = o.wmma ? 256 / lanes : registers_of(o.m * o.n * o.blocks / 64, o.c);
  const int a = registers_of(per_lane(o, o.m), o.a) / (o.sparse ? 2 : 1), b = registers_of(per_lane(o, o.n), o.b);
  const bool in_place = o.sparse || (o.wmma && bits_of(o.c) == 16);
  const std::string c = range(file, kC, outputs), d = in_place ? c : range(file, kD, outputs);
  return fmt::format("{} {}, {}, {}, {}{}", o.mnemonic, d, range(file, kA, a), range(file, kB, b),
                     o.sparse ? fmt::format("v{}", kIndex) : c, o.modifiers);
}

std::vector<std::string> matrix_texts(const Chip& chip) {
  std::vector<std::string> out;
  for (const MatrixOp& o : matrix_ops(chip)) out.push_back(matrix_text(o, chip.family == Family::rdna3 ? 32 : 64));
  return out;
}

Matrices zero_matrices(const MatrixOp& o) {
  Matrices m;
  m.a.resize(static_cast<std::size_t>(o.blocks * o.m * o.k));
  m.b.resize(static_cast<std::size_t>(o.blocks * o.k * o.n));
  m.c.resize(static_cast<std::size_t>(o.blocks * o.m * o.n));
  if (!o.sparse) return m;
  for (int i = 0; i < o.m * o.k / 2; ++i) m.index.push_back(i % 2 ? 3 : 1);
  return m;
}

Matrices random_matrices(const MatrixOp& o, std::mt19937& random) {
  Matrices m = zero_matrices(o);
  // Sums are exact in every type, bf16's 8 bits included.
  const auto some = [&](Element e) {
    const int low = is_signed(e) ? -1 : 0;
    return low + static_cast<int>(random() % 4);
  };
  for (int& v : m.a) v = some(o.a);
  for (int& v : m.b) v = some(o.b);
  for (int& v : m.c) v = some(Element::i8);
  static constexpr std::array<std::array<int, 2>, 6> kPairs{{{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}}};
  for (std::size_t i = 0; i + 1 < m.index.size(); i += 2) {
    const auto& pair = kPairs[random() % kPairs.size()];
    m.index[i] = pair[0];
    m.index[i + 1] = pair[1];
  }
  // What a sparse A does not store is 0.
  for (int i = 0; o.sparse && i < o.m; ++i) {
    for (int k = 0; k < o.k; ++k) {
      const auto first = static_cast<std::size_t>((i * o.k + k) / 4 * 2);
      if (m.index[first] != k % 4 && m.index[first + 1] != k % 4) m.at_a(o, 0, i, k) = 0;
    }
  }
  return m;
}

Experiment matrix_experiment(const MatrixOp& o, const Chip& chip, int lanes, Matrices& m, bool accumulation) {
  Experiment x;
  x.chip = &chip;
  x.lanes = lanes;
  x.text = matrix_text(o, lanes, accumulation);
  x.where = "matrix";
  Builder build(o, x, accumulation);
  const bool in_place = o.sparse || (o.wmma && bits_of(o.c) == 16);
  const auto input = [&](bool is_a, int block, int row, int k, int value) {
    const int first = is_a ? kA : kB;
    const Element e = is_a ? o.a : o.b;
    if (o.wmma) {  // every 16 lanes hold the same
      for (int lane = row; lane < lanes; lane += 16) build.put(first, {lane, k}, e, value);
    } else {
      build.put(first, mfma_input(o, is_a ? o.m : o.n, block, row, k), e, value);
    }
  };
  std::map<int, std::uint32_t> indices;  // by lane
  for (int block = 0; block < o.blocks; ++block) {
    for (int i = 0; i < o.m; ++i) {
      for (int k = 0; k < o.k; ++k) {
        if (!o.sparse) input(true, block, i, k, m.at_a(o, block, i, k));
      }
      for (int k = 0; o.sparse && k < o.k / 2; ++k) {
        const int place = m.index[static_cast<std::size_t>(i * o.k / 2 + k)];
        const int items = per_lane(o, o.m) / 2, lane = k / items * o.m + i, item = k % items;
        build.put(kA, {lane, item}, o.a, m.at_a(o, 0, i, k / 2 * 4 + place));
        // 2 bits for each stored element; ABID says where in the register they begin.
        indices[lane] |= static_cast<std::uint32_t>(place) << (2 * item + 2 * items * o.abid);
      }
    }
    for (int k = 0; k < o.k; ++k) {
      for (int j = 0; j < o.n; ++j) input(false, block, j, k, m.at_b(o, block, k, j));
    }
  }
  for (const auto& [lane, word] : indices) x.before.push_back({{Space::vgpr, kIndex, lane}, word});
  for (int block = 0; block < o.blocks; ++block) {
    for (int i = 0; i < o.m; ++i) {
      for (int j = 0; j < o.n; ++j) {
        const int rows = lanes / 16;  // WMMA: rows of one register
        const Slot s = o.wmma ? Slot{i % rows * 16 + j, i / rows} : mfma_output(o, block, i, j);
        build.put(kC, s, o.c, m.at_c(o, block, i, j), o.upper);
        std::int64_t sum = m.at_c(o, block, i, j);
        for (int k = 0; k < o.k; ++k) {
          const int shared = 1 << o.cbsz;
          const int a_block = o.cbsz ? block / shared * shared + o.abid : block;
          int b_block = block, b_column = j;
          if (o.blgp) {  // of instructions whose lanes run along blocks
            const int lane = permuted(o.blgp, block * o.n + j);
            b_block = lane / o.n;
            b_column = lane % o.n;
          }
          sum += m.at_a(o, a_block, i, k) * m.at_b(o, b_block, k, b_column);
        }
        build.expect(in_place ? kC : kD, s, o.c, sum, o.upper);
      }
    }
  }
  build.finish();
  return x;
}

}  // namespace wavetile::emu::testing
