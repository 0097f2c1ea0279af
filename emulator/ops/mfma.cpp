// MFMA and SMFMAC of CDNA3: D = A * B + C, of one or more blocks of M x K and K x M numbers; moves of accumulation
// registers.
//
// Of A, lane i + M * (block + blocks * g) holds row i, k = g * n .. g * n + n - 1, where n = M * K * blocks / 64; of B
// column i likewise. cbsz and abid let groups of 2^cbsz blocks read block abid of their group of A; blgp moves the
// lanes of B. Rows of C and D lie side by side in a register, M lanes each: rows of four at a time go round the lanes
// first, then on to the next four registers (f64: rows of one at a time, all blocks of a row first). SMFMAC's A holds
// two of four k, and src2 says which: two bits each.
//
// EXEC is not looked at, nor MODE. What the documents leave open is decided so: sums start from C and take k in order,
// by fused steps to nearest, of exact products; denormals are kept; xf32 factors are f32 rounded to 11 bits, to nearest
// even; i8 sums wrap.
#include "emulator/ops/matrix.h"

#include <algorithm>

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
namespace {

constexpr int kLanes = 64;
constexpr int kMostFactors = 1024, kMostResults = 2048;  // of a matrix operand, all blocks

struct Shape {
  int rows, depth, blocks;  // rows of A, columns of B; depth is that of B where A is sparse
  int per_lane() const { return rows * depth * blocks / kLanes; }
};
Shape shape_of(const Op& op) {
  return {static_cast<int>(op.imm & 0xff), static_cast<int>(op.imm >> 8 & 0xff), static_cast<int>(op.imm >> 16 & 0xff)};
}

struct Controls {
  int cbsz, abid, blgp;
};
Controls controls_of(const Op& op) {
  return {static_cast<int>(op.imm2 & 0xf), static_cast<int>(op.imm2 >> 4 & 0xf), static_cast<int>(op.imm2 >> 8 & 0xf)};
}

// --- formats: element `at` of a lane's registers, for all lanes

struct Single {
  using Value = float;
  static void read(const Wave& w, int reg, int at, float* to) { std::memcpy(to, w.row(reg + at), 4 * kLanes); }
};
struct Xf32 {
  using Value = float;
  static void read(const Wave& w, int reg, int at, float* to) {
    const std::uint32_t* row = w.row(reg + at);
    for (int i = 0; i < kLanes; ++i) {
      const std::uint32_t magnitude = row[i] & 0x7fffffffu;
      const std::uint32_t rounded = (row[i] + 0xfff + (row[i] >> 13 & 1)) & ~0x1fffu;
      to[i] = std::bit_cast<float>(magnitude < 0x7f800000u ? rounded : row[i]);
    }
  }
};
struct Half {
  using Value = float;
  static void read(const Wave& w, int reg, int at, float* to) {
    const std::uint32_t* row = w.row(reg + at / 2);
    alignas(64) std::uint16_t half[kLanes];
    for (int i = 0; i < kLanes; ++i) half[i] = static_cast<std::uint16_t>(row[i] >> (at % 2 * 16));
    f16_to_f32(half, to, kLanes);
  }
};
struct Brain {
  using Value = float;
  static void read(const Wave& w, int reg, int at, float* to) {
    const std::uint32_t* row = w.row(reg + at / 2);
    for (int i = 0; i < kLanes; ++i) to[i] = bf16_to_f32(static_cast<std::uint16_t>(row[i] >> (at % 2 * 16)));
  }
};
template <float (*widen)(std::uint32_t)>
struct Byte {
  using Value = float;
  static void read(const Wave& w, int reg, int at, float* to) {
    const std::uint32_t* row = w.row(reg + at / 4);
    for (int i = 0; i < kLanes; ++i) to[i] = widen(row[i] >> (at % 4 * 8) & 0xff);
  }
};
using Fp8 = Byte<fp8_to_f32>;
using Bf8 = Byte<bf8_to_f32>;
// As f32, which holds the sums of up to 64 products.
struct Integer {
  using Value = float;
  static void read(const Wave& w, int reg, int at, float* to) {
    const std::uint32_t* row = w.row(reg + at / 4);
    const int left = 24 - at % 4 * 8;
    for (int i = 0; i < kLanes; ++i) to[i] = static_cast<float>(static_cast<std::int32_t>(row[i] << left) >> 24);
  }
};
struct Double {
  using Value = double;
  static void read(const Wave& w, int reg, int at, double* to) {
    const std::uint32_t *low = w.row(reg + 2 * at), *high = w.row(reg + 2 * at + 1);
    for (int i = 0; i < kLanes; ++i) to[i] = std::bit_cast<double>(low[i] | std::uint64_t{high[i]} << 32);
  }
};

// --- operands

// The lane that lane `i` of B reads.
int moved_lane(int i, int blgp) {
  if (blgp == 1) return i % 32;
  if (blgp == 2) return i % 32 + 32;
  if (blgp == 3) return (i + 16) % kLanes;
  if (blgp >= 4) return i % 16 + (blgp - 4) * 16;
  return i;
}

// to[block][k][row]. `is_a`: cbsz and abid are A's, blgp is B's.
template <class Format>
void read_factor(const Wave& w, int reg, const Shape& shape, const Controls& controls, bool is_a,
                 typename Format::Value* to) {
  using T = typename Format::Value;
  const int n = shape.per_lane(), groups = kLanes / (shape.rows * shape.blocks);
  for (int at = 0; at < n; ++at) {
    alignas(64) T lanes[kLanes], moved[kLanes];
    Format::read(w, reg, at, lanes);
    const T* from = lanes;
    if (!is_a && controls.blgp != 0) {
      for (int i = 0; i < kLanes; ++i) moved[i] = lanes[moved_lane(i, controls.blgp)];
      from = moved;
    }
    for (int block = 0; block < shape.blocks; ++block) {
      const int source = is_a ? (block >> controls.cbsz << controls.cbsz) + controls.abid : block;
      for (int g = 0; g < groups; ++g) {
        copy_row(from + shape.rows * (source + shape.blocks * g), to + (block * shape.depth + g * n + at) * shape.rows,
                 shape.rows);
      }
    }
  }
}

// Where a row of C or D lies: a register (f64: the first of two) and its first lane.
struct Place {
  int reg, lane;
};
template <class T>
Place place(const Shape& shape, int block, int row) {
  const int around = kLanes / shape.rows;
  if (sizeof(T) == 8) {
    const int at = row * shape.blocks + block;
    return {at / around * 2, at % around * shape.rows};
  }
  const int at = row / 4 + block * shape.rows / 4;
  return {at / around * 4 + row % 4, at % around * shape.rows};
}

template <class T>
void read_sums(const Wave& w, const Source& s, const Shape& shape, T* to) {
  for (int block = 0; block < shape.blocks; ++block) {
    for (int row = 0; row < shape.rows; ++row, to += shape.rows) {
      const Place p = place<T>(shape, block, row);
      if constexpr (sizeof(T) == 4) {
        read_row(w, s, p.reg, p.lane, to, shape.rows);
      } else {
        const bool vector = s.kind == Source::Kind::vector;
        const std::uint32_t* low = vector ? w.row(s.reg + p.reg) + p.lane : nullptr;
        const std::uint32_t* high = vector ? w.row(s.reg + p.reg + 1) + p.lane : nullptr;
        for (int i = 0; i < shape.rows; ++i)
          to[i] = std::bit_cast<T>(vector ? low[i] | std::uint64_t{high[i]} << 32 : s.value);
      }
    }
  }
}

template <class T>
void write_sums(Wave& w, int reg, const Shape& shape, const T* from) {
  for (int block = 0; block < shape.blocks; ++block) {
    for (int row = 0; row < shape.rows; ++row, from += shape.rows) {
      const Place p = place<T>(shape, block, row);
      if constexpr (sizeof(T) == 4) {
        copy_row(from, reinterpret_cast<T*>(w.row(reg + p.reg) + p.lane), shape.rows);
      } else {
        for (int i = 0; i < shape.rows; ++i) {
          const auto bits = std::bit_cast<std::uint64_t>(from[i]);
          w.row(reg + p.reg)[p.lane + i] = static_cast<std::uint32_t>(bits);
          w.row(reg + p.reg + 1)[p.lane + i] = static_cast<std::uint32_t>(bits >> 32);
        }
      }
    }
  }
}

// --- products

template <int n, class T>
void multiply_rows(const T* a, const T* b, T* c, int depth) {
  for (int row = 0; row < n; ++row) {
    T sum[n];
    std::memcpy(sum, c + row * n, sizeof sum);
    for (int k = 0; k < depth; ++k) {
      for (int i = 0; i < n; ++i) sum[i] = std::fma(a[k * n + row], b[k * n + i], sum[i]);
    }
    std::memcpy(c + row * n, sum, sizeof sum);
  }
}

template <class T>
void multiply_block(const Shape& shape, const T* a, const T* b, T* c) {
  const int n = shape.rows;
  if (n == 4) {
    multiply_rows<4>(a, b, c, shape.depth);
  } else if constexpr (std::is_same_v<T, double>) {
    multiply_rows<kTile>(a, b, c, shape.depth);
  } else {
    for (int row = 0; row < n; row += kTile) {
      for (int column = 0; column < n; column += kTile) {
        multiply_tile(c + row * n + column, a + row, b + column, shape.depth, n);
      }
    }
  }
}

// C as `product` goes on from it, and D as it ends. i32's sums are added to f32's, which began at 0.
template <class Format>
void begin_sums(const Wave& w, const Op& op, const Shape& shape, typename Format::Value* product) {
  if constexpr (std::is_same_v<Format, Integer>) {
    std::fill_n(product, shape.rows * shape.rows * shape.blocks, 0.0f);
  } else {
    read_sums(w, op.src[2], shape, product);
  }
}
template <class Format>
void end_sums(Wave& w, const Op& op, const Shape& shape, const typename Format::Value* product) {
  if constexpr (std::is_same_v<Format, Integer>) {
    alignas(64) std::uint32_t sums[kMostResults];
    read_sums(w, op.src[2], shape, sums);
    const int n = shape.rows * shape.rows * shape.blocks;
    for (int i = 0; i < n; ++i) sums[i] += static_cast<std::uint32_t>(static_cast<std::int32_t>(product[i]));
    write_sums(w, op.dst[0].reg, shape, sums);
  } else {
    write_sums(w, op.dst[0].reg, shape, product);
  }
}

void negate(double* v, int n) {
  for (int i = 0; i < n; ++i) v[i] = -v[i];
}

template <class A, class B>
void run_mfma(Wave& w, const Op& op) {
  using T = typename A::Value;
  const Shape shape = shape_of(op);
  Controls controls = controls_of(op);
  alignas(64) T a[kMostFactors], b[kMostFactors], c[kMostResults];
  const int factors = shape.rows * shape.depth, results = shape.rows * shape.rows;
  // f64 has signs in the place of blgp.
  const int signs = std::is_same_v<T, double> ? controls.blgp : 0;
  if (std::is_same_v<T, double>) controls.blgp = 0;
  read_factor<A>(w, op.src[0].reg, shape, controls, true, a);
  read_factor<B>(w, op.src[1].reg, shape, controls, false, b);
  begin_sums<A>(w, op, shape, c);
  if constexpr (std::is_same_v<T, double>) {
    if (signs & 1) negate(a, factors * shape.blocks);
    if (signs & 2) negate(b, factors * shape.blocks);
    if (signs & 4) negate(c, results * shape.blocks);
  }
  for (int block = 0; block < shape.blocks; ++block) {
    multiply_block(shape, a + block * factors, b + block * factors, c + block * results);
  }
  end_sums<A>(w, op, shape, c);
}

// The numbers of A that are there, and the k that each belongs to. `bits` of a number.
template <class A, class B, int bits>
void run_smfmac(Wave& w, const Op& op) {
  using T = typename A::Value;
  const Shape shape = shape_of(op), stored{shape.rows, shape.depth / 2, 1};
  const Controls controls = controls_of(op);
  alignas(64) T a[kMostFactors], b[kMostFactors], c[kMostResults];
  read_factor<A>(w, op.src[0].reg, stored, {}, true, a);
  read_factor<B>(w, op.src[1].reg, shape, {.cbsz = 0, .abid = 0, .blgp = controls.blgp}, false, b);
  begin_sums<A>(w, op, shape, c);
  const std::uint32_t* choices = w.row(op.src[3].reg);
  const int per_lane = stored.per_lane(), rows = shape.rows;
  const int first = controls.cbsz == 0 ? controls.abid * 2 * per_lane : 0;  // bit
  for (int row = 0; row < rows; ++row) {
    for (int at = 0; at < stored.depth; ++at) {
      const int lane = row + rows * (at / per_lane), bit = first + 2 * (at % per_lane);
      const int k = at / 2 * 4 + static_cast<int>(choices[lane] >> bit & 3);
      const T factor = a[at * rows + row];
      for (int i = 0; i < rows; ++i) c[row * rows + i] = std::fma(factor, b[k * rows + i], c[row * rows + i]);
    }
  }
  end_sums<A>(w, op, shape, c);
}

// --- the table

[[noreturn]] void refuse(const Instruction& in, const char* what) {
  throw Unsupported(std::string(what) + " in '" + in.text + "'");
}

void bind_factors(const Instruction& in, Op& op, const BindContext& c, Run run, const Shape& shape) {
  op.run = run;
  op.dst[0] = destination(in, 0, c);
  op.src[0] = source(in, 1, Type::b32, c);
  op.src[1] = source(in, 2, Type::b32, c);
  for (const Source& s : {op.src[0], op.src[1]}) {
    if (s.kind != Source::Kind::vector) refuse(in, "a factor that is no vector register");
  }
  op.imm = shape.rows | shape.depth << 8 | shape.blocks << 16;
  std::int64_t blgp = in.value("blgp");
  if (const Modifier* signs = in.find("neg")) {
    for (std::size_t i = 0; i < signs->values.size(); ++i) blgp |= signs->values[i] << i;
  }
  op.imm2 = in.value("cbsz") | in.value("abid") << 4 | blgp << 8;
}

Entry mfma(Run run, Shape shape, Type sums) {
  return {Class::matrix, [=](const Instruction& in, Op& op, const BindContext& c) {
            if (sums == Type::f64) {
              expect_modifiers(in, {"neg"});
            } else {
              expect_modifiers(in, {"cbsz", "abid", "blgp"});
            }
            bind_factors(in, op, c, run, shape);
            op.src[2] = source(in, 3, sums, c);
            op.sources = 3;
            const Controls controls = controls_of(op);
            if ((1 << controls.cbsz) > shape.blocks) refuse(in, "a cbsz of more blocks than there are");
            if (controls.abid >= 1 << controls.cbsz) refuse(in, "an abid outside its group of blocks");
          }};
}

Entry smfmac(Run run, Shape shape, int bits) {
  return {Class::matrix, [=](const Instruction& in, Op& op, const BindContext& c) {
            expect_modifiers(in, {"cbsz", "abid"});
            bind_factors(in, op, c, run, shape);
            const Destination& d = op.dst[0];
            op.src[2] = {.kind = Source::Kind::vector, .reg = d.reg, .count = d.count};
            op.src[3] = source(in, 3, Type::b32, c);
            op.sources = 4;
            if (op.src[3].kind != Source::Kind::vector) refuse(in, "indices that are in no vector register");
            const Controls controls = controls_of(op);
            if (controls.cbsz == 0 && controls.abid >= bits / 4) refuse(in, "an abid past the indices");
          }};
}

struct Named {
  std::string name;
  Shape shape;
};

template <class A, class B>
void add_products(Table& t, const char* prefix, const char* factors, Type sums, std::initializer_list<Named> shapes) {
  for (const Named& s : shapes) {
    t.add(Family::cdna3, prefix + s.name + factors, mfma(&run_mfma<A, B>, s.shape, sums));
  }
}

template <class A, class B, int bits>
void add_sparse(Table& t, const char* prefix, const char* factors) {
  const std::initializer_list<Named> shapes = {{bits == 16 ? "16x16x32" : "16x16x64", {16, 512 / bits, 1}},
                                               {bits == 16 ? "32x32x16" : "32x32x32", {32, 256 / bits, 1}}};
  for (const Named& s : shapes) {
    t.add(Family::cdna3, prefix + s.name + factors, smfmac(&run_smfmac<A, B, bits>, s.shape, bits));
  }
}

template <class A, class B>
void add_bytes(Table& t, const char* factors) {
  add_products<A, B>(t, "v_mfma_f32_", factors, Type::f32, {{"32x32x16", {32, 16, 1}}, {"16x16x32", {16, 32, 1}}});
  add_sparse<A, B, 8>(t, "v_smfmac_f32_", factors);
}

}  // namespace

void add_matrix(Table& t) {
  add_wmma(t);
  const char* f32 = "v_mfma_f32_";
  add_products<Single, Single>(t, f32, "_f32", Type::f32,
                               {{"32x32x1_2b", {32, 1, 2}},
                                {"16x16x1_4b", {16, 1, 4}},
                                {"4x4x1_16b", {4, 1, 16}},
                                {"32x32x2", {32, 2, 1}},
                                {"16x16x4", {16, 4, 1}}});
  const std::initializer_list<Named> halves = {{"32x32x4_2b", {32, 4, 2}},
                                               {"16x16x4_4b", {16, 4, 4}},
                                               {"4x4x4_16b", {4, 4, 16}},
                                               {"32x32x8", {32, 8, 1}},
                                               {"16x16x16", {16, 16, 1}}};
  add_products<Half, Half>(t, f32, "_f16", Type::f32, halves);
  add_products<Brain, Brain>(t, f32, "_bf16", Type::f32, halves);
  add_products<Xf32, Xf32>(t, f32, "_xf32", Type::f32, {{"32x32x4", {32, 4, 1}}, {"16x16x8", {16, 8, 1}}});
  add_products<Integer, Integer>(t, "v_mfma_i32_", "_i8", Type::i32,
                                 {{"32x32x4_2b", {32, 4, 2}},
                                  {"16x16x4_4b", {16, 4, 4}},
                                  {"4x4x4_16b", {4, 4, 16}},
                                  {"32x32x16", {32, 16, 1}},
                                  {"16x16x32", {16, 32, 1}}});
  add_products<Double, Double>(t, "v_mfma_f64_", "_f64", Type::f64, {{"16x16x4", {16, 4, 1}}, {"4x4x4_4b", {4, 4, 4}}});
  add_sparse<Half, Half, 16>(t, "v_smfmac_f32_", "_f16");
  add_sparse<Brain, Brain, 16>(t, "v_smfmac_f32_", "_bf16");
  add_sparse<Integer, Integer, 8>(t, "v_smfmac_i32_", "_i8");
  add_bytes<Fp8, Fp8>(t, "_fp8_fp8");
  add_bytes<Fp8, Bf8>(t, "_fp8_bf8");
  add_bytes<Bf8, Fp8>(t, "_bf8_fp8");
  add_bytes<Bf8, Bf8>(t, "_bf8_bf8");
  for (const char* name : {"v_accvgpr_read_b32", "v_accvgpr_write_b32", "v_accvgpr_mov_b32"}) {
    t.add(name, vector([](std::uint32_t x) { return x; }));
  }
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
