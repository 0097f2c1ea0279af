// Sums of absolute differences of bytes, words and dwords. The masked ones leave out bytes that are 0 in the reference.
#include "emulator/ops/integer.h"
#include "emulator/ops/vector_int.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

u64 distance(u32 a, u32 b) { return a > b ? a - b : b - a; }

template <int Bits>
u64 differences(u32 a, u32 b) {
  u64 sum = 0;
  for (int at = 0; at < 32; at += Bits)
    sum += distance(a << (32 - Bits - at) >> (32 - Bits), b << (32 - Bits - at) >> (32 - Bits));
  return sum;
}
u64 masked_differences(u32 a, u32 reference) {
  u64 sum = 0;
  for (int at = 0; at < 32; at += 8) {
    const u32 r = reference >> at & 0xff;
    sum += r == 0 ? 0 : distance(a >> at & 0xff, r);
  }
  return sum;
}

// Four sums at byte offsets 0 to 3 of eight bytes, each with its 16 bits of `add`.
template <bool Masked, bool Clamp>
struct QuadSad {
  u64 operator()(u64 a, u32 reference, u64 add) const {
    u64 r = 0;
    for (int k = 0; k < 4; ++k) {
      const auto window = static_cast<u32>(a >> (8 * k));
      const u64 sum = (Masked ? masked_differences(window, reference) : differences<8>(window, reference)) +
                      (add >> (16 * k) & 0xffff);
      r |= (Clamp && sum > 0xffff ? 0xffff : sum & 0xffff) << (16 * k);
    }
    return r;
  }
};
template <bool Masked>
Entry quad_sad() {
  return {Class::valu, [](const Instruction& in, Op& op, const BindContext& c) {
            static constexpr Type kTypes[] = {Type::b64, Type::b32, Type::b64};
            bind_vector(in, op, c, &run_vector<QuadSad<Masked, false>>, kTypes);
            if (op.omod != 0) throw Unsupported("scale of integers in '" + in.text + "'");
            if (op.clamp) op.run = &run_vector<QuadSad<Masked, true>>;
            op.clamp = false;
          }};
}

// The same with four dwords of 32 bits: v[0:3] = f(v[4:5], v6, v[8:11]).
template <bool Clamp>
void run_mqsad_u32(Wave& w, const Op& op) {
  for (int base = 0; base < w.lanes; base += kChunk) {
    const auto mask = static_cast<u32>(w.exec >> base);
    if (mask == 0) continue;
    u64 tmp0[kChunk];
    u32 tmp1[kChunk], tmp2[kChunk];
    alignas(64) u32 out[4][kChunk];
    const u64* a = fetch(w, op.src[0], base, tmp0);
    const u32* reference = fetch(w, op.src[1], base, tmp1);
    for (int k = 0; k < 4; ++k) {
      Source part = op.src[2];
      if (part.kind != Source::Kind::constant) part.reg = static_cast<std::uint16_t>(part.reg + k);
      const u32* add = fetch(w, part, base, tmp2);
      for (int i = 0; i < kChunk; ++i) {
        const u64 sum = masked_differences(static_cast<u32>(a[i] >> (8 * k)), reference[i]) + add[i];
        out[k][i] = static_cast<u32>(Clamp && sum > 0xffffffff ? 0xffffffff : sum);
      }
    }
    for (int k = 0; k < 4; ++k) put_words(w.row(op.dst[0].reg + k) + base, out[k], mask);
  }
}

}  // namespace

void add_vector_sad(Table& t) {
  t.add("v_sad_u8", vector_clampable<u32>([](u32 a, u32 b, u32 c) { return differences<8>(a, b) + c; }));
  t.add("v_sad_hi_u8", vector_clampable<u32>([](u32 a, u32 b, u32 c) { return (differences<8>(a, b) << 16) + c; }));
  t.add("v_sad_u16", vector_clampable<u32>([](u32 a, u32 b, u32 c) { return differences<16>(a, b) + c; }));
  t.add("v_sad_u32", vector_clampable<u32>([](u32 a, u32 b, u32 c) { return distance(a, b) + c; }));
  t.add("v_msad_u8", vector_clampable<u32>([](u32 a, u32 b, u32 c) { return masked_differences(a, b) + c; }));
  t.add("v_qsad_pk_u16_u8", quad_sad<false>());
  t.add("v_mqsad_pk_u16_u8", quad_sad<true>());
  t.add("v_mqsad_u32_u8", {Class::valu, [](const Instruction& in, Op& op, const BindContext& c) {
                             static constexpr Type kTypes[] = {Type::b64, Type::b32, Type::b128};
                             bind_vector(in, op, c, &run_mqsad_u32<false>, kTypes);
                             if (op.omod != 0) throw Unsupported("scale of integers in '" + in.text + "'");
                             if (op.clamp) op.run = &run_mqsad_u32<true>;
                             op.clamp = false;
                           }});
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
