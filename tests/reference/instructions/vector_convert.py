# Conversions, packed and mixed floats, approximate functions, division steps.
import math
from fractions import Fraction

from cases import BOTH, CDNA3, RDNA3, Mode, block
from floats import (BF16, BF8, F16, F32, F64, FP8, NAN, add, convert, decode_fp8, floor_log2, fma, is_nan, multiply, negate,
                    round_integer, signed, square_root, to_integer)
from vector_float import arithmetic, clamped, fold, operand
from vector_int import M16, M32, byte, clamp, s

I32, U32 = (-(1 << 31), (1 << 31) - 1), (0, M32)
I16, U16 = (-32768, 32767), (0, 65535)


def from_integer(fmt, value, mode=0):
  return fmt.round(int(value < 0), Fraction(abs(value)), mode)


def number_of(fmt, value):
  return fmt.round(int(value < 0), abs(Fraction(value)))


def floats(fmt, values):
  return [number_of(fmt, Fraction(v)) for v in values]


EDGES = {  # of the integer ranges, and halves
    F32: floats(F32, ['0.5', '-0.5', '1.5', '-1.5', '2.5', '0.75', '-2.75', 255, 256, -1, 32767, 32768, -32768, -32769, 65535, 65536,
                      2147483520, 2147483648, -2147483648, -2147483904, 4294967040, 4294967296]) +
    [0x80000000, 1, 0x7f800000, 0xff800000, 0x7fc00000, 0xffa00000],
    F64: floats(F64, ['0.5', '-0.5', '1.5', '-1.5', '2.5', -1, '2147483647.5', 2147483648, '-2147483648.5', -2147483649, '4294967295.5',
                      4294967296, '123456.75']) + [1 << 63, 1, 0x7ff << 52, 0xfff << 52, 0x7ff8 << 48],
    F16: floats(F16, ['0.5', '-0.5', '1.5', '-1.5', '2.5', -1, 32767, 32768, -32768, -32800, 65504, 255, '0.25']) +
    [0x8000, 1, 0x7c00, 0xfc00, 0x7e00]}


def to_int(fmt, low, high, how=None):
  def run(m, a):
    number = fmt.decode(a)
    if how is None or number[0] != 'fin':
      return to_integer(number, low, high)
    return clamp(how(signed(number)), low, high)

  return run


def edges(fmt, function, names, signature, family=BOTH, **more):
  block(names, signature, family, function, [[v] for v in EDGES[fmt]], **more)


def integers():
  edges(F32, to_int(F32, *I32), 'v_cvt_i32_f32', 'b32 = f32')
  edges(F32, to_int(F32, *U32), 'v_cvt_u32_f32', 'b32 = f32')
  edges(F64, to_int(F64, *I32), 'v_cvt_i32_f64', 'b32 = f64')
  edges(F64, to_int(F64, *U32), 'v_cvt_u32_f64', 'b32 = f64')
  edges(F16, to_int(F16, *I16), 'v_cvt_i16_f16', 'b16 = f16')
  edges(F16, to_int(F16, *U16), 'v_cvt_u16_f16', 'b16 = f16')
  for name, family in (('v_cvt_floor_i32_f32', RDNA3), ('v_cvt_flr_i32_f32', CDNA3)):
    edges(F32, to_int(F32, *I32, math.floor), name, 'b32 = f32', family)
  for name, family in (('v_cvt_nearest_i32_f32', RDNA3), ('v_cvt_rpi_i32_f32', CDNA3)):
    edges(F32, to_int(F32, *I32, lambda v: math.floor(v + Fraction(1, 2))), name, 'b32 = f32', family)
  for letter, view in (('i', lambda v: s(v, 32)), ('u', lambda v: v)):
    wide = {0: [0, 1, M32, 1 << 31, (1 << 31) - 1, 0x1000001, 0x1000003, 0xff000001, 0x40, 0xfffffff0, 0x7fffffbf, 0x7fffffc0]}
    for bits, fmt in ((32, F32), (64, F64)):
      f = lambda m, a: from_integer(fmt, view(a), m.rounding(fmt))
      block('v_cvt_f%d_%s32' % (bits, letter), 'f%d = b32' % bits, BOTH, f, special=wide)
      if bits == 32:
        for rounding in (1, 2, 3):
          block('v_cvt_f32_%s32' % letter, 'f32 = b32', BOTH, f, special=wide, count=12, mode=Mode(round32=rounding))
  for letter, view in (('i', lambda v: s(v, 16)), ('u', lambda v: v)):
    block('v_cvt_f16_%s16' % letter, 'f16 = b16', BOTH, lambda m, a: from_integer(F16, view(a)),
          special={0: [0, 1, M16, 0x8000, 0x7fff, 2049, 2051, 0x40, 0xfff0, 65519, 65520]})
  block('v_cvt_i32_i16', 'b32 = b16', RDNA3, lambda m, a: s(a, 16))
  block('v_cvt_u32_u16', 'b32 = b16', RDNA3, lambda m, a: a)
  for i in range(4):
    block('v_cvt_f32_ubyte%d' % i, 'f32 = b32', BOTH, lambda m, a: from_integer(F32, byte(a, i)))
  block('v_cvt_off_f32_i4', 'f32 = b32', BOTH, lambda m, a: number_of(F32, Fraction(s(a, 4), 16)), [[i] for i in range(16)] + [[M32]])


def between_floats():
  halves = [number_of(F32, Fraction(v)) for v in ('65504', '65519.9921875', '65520', '1', '0.333251953125', '-0.1')] + [
      0x38802000, 0x38801000, 0x38803000, 0x33000000, 0x33000001, 0x33800000, 0x387fe000, 0xb87ff000, 0x47ffe000, 0x7f800000, 0xff800000,
      0x7fc12345, 0xffa00000, 0, 0x80000000, 0x3e22f983, 0x7f7fffff, 1]
  narrow = lambda m, a: convert(F16, F32.decode(a), m.round64, not m.denorm64 & 2)
  block('v_cvt_f16_f32', 'f16 = f32', BOTH, narrow, [[v] for v in halves])
  for rounding in (1, 2, 3):
    block('v_cvt_f16_f32', 'f16 = f32', BOTH, narrow, [[v] for v in halves if v != 1], mode=Mode(round64=rounding))
  block('v_cvt_f16_f32', 'f16 = f32', BOTH, narrow, [[0x33800000], [0x387fc000], [0x38800000], [0x3f800000]], mode=Mode(denorm64=0))
  block('v_cvt_f32_f16', 'f32 = f16', BOTH, lambda m, a: convert(F32, operand(m, F16, a)))
  block('v_cvt_f32_f16', 'f32 = f16', BOTH, lambda m, a: convert(F32, operand(m, F16, a)), [[1], [0x83ff], [0x400], [0x3c00]],
        mode=Mode(denorm64=0))
  block('v_cvt_f64_f32', 'f64 = f32', BOTH, lambda m, a: convert(F64, F32.decode(a)))
  block('v_cvt_f32_f64', 'f32 = f64', BOTH, lambda m, a: convert(F32, F64.decode(a)),
        special={0: [0x3ff0000000000000, 0x3ff0000010000000, 0x3ff0000030000000, 0x47efffffefffffff, 0x47effffff0000000, 0x36a0000000000000,
                     0x3690000000000000, 0x3690000000000001, 0xb80fffffc0000000, 0x7ff0000000000000, 0xfff0000000000000,
                     0x7ff8000000000000, 0, 1 << 63, 0x400921fb54442d18]})
  towards_zero = lambda m, a, b: convert(F16, F32.decode(a), 3) | convert(F16, F32.decode(b), 3) << 16
  numbers = [v for v in halves if not is_nan(F32.decode(v)) and v != 1]
  for name, family in (('v_cvt_pk_rtz_f16_f32', RDNA3), ('v_cvt_pkrtz_f16_f32', CDNA3)):
    block(name, 'b32 = f32 f32', family, towards_zero, special={'f32': numbers})


def norm(fmt, low, high):
  """To a normalised integer; exact halves are left out, on which the documents are silent."""

  def run(m, a):
    number = fmt.decode(a)
    if is_nan(number):
      return 0
    if number[0] == 'inf':
      return -high if number[1] and low else low if number[1] else high
    value = clamp(signed(number), Fraction(-1 if low else 0), Fraction(1)) * high
    return round_integer(abs(value), int(value < 0), 0) * (-1 if value < 0 else 1)

  return run


def to_normalised():
  signed_norm = lambda fmt: norm(fmt, -32767, 32767)
  unsigned_norm = lambda fmt: norm(fmt, 0, 65535)
  for fmt, kind in ((F32, 'f32'), (F16, 'f16')):
    values = floats(fmt, [1, -1, 0, 2, -2, '0.25', '-0.25', '0.333251953125', '-0.75', '0.0999755859375', '1.5']) + [
        fmt.infinity, fmt.infinity | fmt.sign, fmt.quiet, fmt.sign]
    both = lambda f: lambda m, a, b: (f(m, a) & M16) | (f(m, b) & M16) << 16
    for letter, f in (('i', signed_norm(fmt)), ('u', unsigned_norm(fmt))):
      for name, family in (('v_cvt_pk_norm_%s16_%s' % (letter, kind), RDNA3), ('v_cvt_pknorm_%s16_%s' % (letter, kind), CDNA3)):
        block(name, 'b32 = %s %s' % (kind, kind), family, both(f), special={kind: values}, count=15)
      if fmt is F16:
        block('v_cvt_norm_%s16_f16' % letter, 'b16 = f16', BOTH, f, [[v] for v in values])


def packs():
  pack = lambda low, high: lambda m, a, b: (clamp(a if not low else s(a, 32), low, high) & M16) | (
      clamp(b if not low else s(b, 32), low, high) & M16) << 16
  block('v_cvt_pk_i16_i32', 'b32 = b32 b32', BOTH, pack(*I16))
  block('v_cvt_pk_u16_u32', 'b32 = b32 b32', BOTH, pack(*U16))
  for letter, limits in (('i', I16), ('u', U16)):
    block('v_cvt_pk_%s16_f32' % letter, 'b32 = f32 f32', RDNA3, special={'f32': EDGES[F32]}, function=lambda m, a, b: (
        to_integer(F32.decode(a), *limits) & M16) | (to_integer(F32.decode(b), *limits) & M16) << 16)
  whole = floats(F32, [0, 1, 255, 256, -1, 7, 100000]) + [0x7f800000, 0xff800000, 0x7fc00000]
  insert = lambda m, a, b, c: c & ~(0xff << 8 * (b & 3)) | to_integer(F32.decode(a), 0, 255) << 8 * (b & 3)
  block('v_cvt_pk_u8_f32', 'b32 = f32 b32 b32', BOTH, insert, special={0: whole, 1: [0, 1, 2, 3, 4, M32]})
  block('v_cvt_pkaccum_u8_f32', 'b32 = f32 b32 +b32', CDNA3, insert, special={0: whole, 1: [0, 1, 2, 3, 4, M32]})
  block('v_sat_pk_u8_i16', 'b16 = b32', BOTH, lambda m, a: clamp(s(a, 16), 0, 255) | clamp(s(a >> 16, 16), 0, 255) << 8)
  numbers = [0x3c00, 0xb800, 0, 0x8000, 0x4248, 0x7bff, 0x7c00, 0xfc00, 0x0400, 1, 0x83ff]
  block('v_pack_b32_f16', 'b32 = f16 f16', BOTH, lambda m, a, b: a | b << 16, special={'f16': numbers})


def packed_floats():
  def halves(kind, function):
    width, fmt = (16, F16) if kind == 'pf16' else (32, F32)
    parts = lambda v: [v & ((1 << width) - 1), v >> width]

    def run(m, *v):
      low, high = (function(m, *(parts(x)[i] for x in v)) for i in (0, 1))
      return low | high << width

    return run

  plain16 = [0x3c00, 0xb800, 0, 0x8000, 0x4248, 0xc500, 1, 0x83ff, 0x0400, 0x7bff, 0x6401, 0xe000, 0x3bff, 0x3118]
  pairs16 = [v | plain16[(i * 5 + 2) % 14] << 16 for i, v in enumerate(plain16)]
  plain32 = [0x3f800000, 0xbf000000, 0, 0x80000000, 0x40490fdb, 0xc0a00000, 1, 0x00800000, 0x7f7fffff, 0x3e22f983, 0x4b800001]
  pairs32 = [v | plain32[(i * 5 + 2) % 11] << 32 for i, v in enumerate(plain32)]
  tables = {'pf16': (F16, pairs16, BOTH), 'pf32': (F32, pairs32, CDNA3)}
  for kind, (fmt, values, family) in tables.items():
    pair, triple = '%s = %s %s' % (kind, kind, kind), '%s = %s %s %s' % (kind, kind, kind, kind)
    end = kind[1:]
    for name, f in (('add', add), ('mul', multiply)):
      block('v_pk_%s_%s' % (name, end), pair, family, halves(kind, arithmetic(fmt, f)), special={kind: values})
    block('v_pk_fma_' + end, triple, family, halves(kind, arithmetic(fmt, fma)), special={kind: values}, avoid=lambda *v: NAN in [
        arithmetic(fmt, fma)(Mode(), *(x >> fmt.bits * i & ((1 << fmt.bits) - 1) for x in v)) for i in (0, 1)])
  for name, sign in (('min', 1), ('max', -1)):
    block('v_pk_%s_f16' % name, 'pf16 = pf16 pf16', BOTH, halves('pf16', lambda m, a, b: fold(F16, m, [a, b], sign)),
          special={'pf16': pairs16})
  block('v_pk_add_f16', 'pf16 = pf16 pf16', BOTH, halves('pf16', clamped(F16, arithmetic(F16, add))), special={'pf16': pairs16},
        mods='clamp', count=14)
  block('v_pk_fmac_f16', 'pf16 = pf16 pf16 +pf16', BOTH, halves('pf16', arithmetic(F16, fma)), special={'pf16': pairs16})


def small_dots():
  """Small integers: every partial sum is exact, so that the order and the roundings, of which chips differ, do not show."""
  def dot(fmt, out, term=0):
    def run(m, a, b, c):
      pick = lambda v, i: signed(fmt.decode(v >> 16 * i & M16))
      return number_of(out, pick(a, 0) * pick(b, 0) + pick(a, 1) * pick(b, 1) + signed(out.decode(c)))

    return run

  def pairs(fmt):
    values = floats(fmt, [1, -1, 2, 3, '-0.5', 5, 0, '-1.5'])
    return [v | values[(i * 3 + 1) % 8] << 16 for i, v in enumerate(values)]

  wide = {'pf16': pairs(F16), 'f32': floats(F32, [0, 1, -3, 100, '0.25'])}
  block('v_dot2_f32_f16', 'f32 = pf16 pf16 f32', BOTH, dot(F16, F32), special=wide)
  block('v_dot2c_f32_f16', 'f32 = pf16 pf16 +f32', CDNA3, dot(F16, F32), special=wide)
  block('v_dot2acc_f32_f16', 'f32 = pf16 pf16 +f32', RDNA3, dot(F16, F32), special=wide)
  block('v_dot2_f32_bf16', 'f32 = pb16 pb16 f32', RDNA3, dot(BF16, F32), special={'pb16': pairs(BF16), 'f32': wide['f32']})
  block('v_dot2_f16_f16', 'f16 = pf16 pf16 f16', RDNA3, dot(F16, F16),
        special={'pf16': pairs(F16), 'f16': floats(F16, [0, 1, -3, 100, '0.25'])})
  block('v_dot2_bf16_bf16', 'b16 = pb16 pb16 b16', RDNA3, dot(BF16, BF16),
        special={'pb16': pairs(BF16), 'b16': floats(BF16, [0, 1, -3, 64, '0.25'])})


def within(fmt, function, ulps):
  def run(m, a):
    number = fmt.decode(a)
    value = function(signed(number))
    return (number_of(fmt, Fraction(value)), ulps)

  return run


def approximations():
  """Errors that AMD states: 1 ulp for f32 and f16, 2^29 ulp for f64's seeds; sine and cosine absolutely."""
  values = ['1', '2', '0.5', '3', '10', '0.1', '1.5', '7.25', '100', '0.001953125', '1.25', '0.75']
  reciprocal = lambda v: 1 / v
  root = lambda v: square_root(Fraction(v))
  inverse_root = lambda v: 1 / square_root(Fraction(v))
  for fmt, kind, ulps, families in ((F32, 'f32', 1, BOTH), (F16, 'f16', 1, BOTH), (F64, 'f64', 1 << 29, BOTH)):
    cases = [[v] for v in floats(fmt, values)]
    signature = '%s = %s' % (kind, kind)
    special = [[0, fmt.infinity], [fmt.sign, fmt.infinity | fmt.sign], [fmt.infinity, 0], [fmt.quiet, NAN],
               [fmt.infinity | fmt.sign, fmt.sign]]
    exact = lambda table, f: lambda m, a: dict(table)[a] if a in dict(table) else f(m, a)
    negative = floats(fmt, [-2, '-0.375'])
    for name in ('v_rcp_' + kind, ) + (('v_rcp_iflag_f32', ) if kind == 'f32' else ()):
      block(name, signature, families, exact(special, within(fmt, reciprocal, ulps)), cases + [[v] for v in negative] +
            [[v] for v, _ in special])
    roots = [[0, fmt.infinity], [fmt.sign, fmt.infinity | fmt.sign], [fmt.infinity, 0], [negative[0], NAN], [fmt.quiet, NAN]]
    block('v_rsq_' + kind, signature, families, exact(roots, within(fmt, inverse_root, ulps)), cases + [[v] for v, _ in roots])
    roots = [[0, 0], [fmt.sign, fmt.sign], [fmt.infinity, fmt.infinity], [negative[0], NAN], [fmt.quiet, NAN]]
    block('v_sqrt_' + kind, signature, families, exact(roots, within(fmt, root, ulps)), cases + [[v] for v, _ in roots])
    if kind == 'f64':
      continue
    powers = [['0', '1'], ['1', '2'], ['-1', '0.5'], ['3', '8'], ['-10', '0.0009765625']]
    power = [[number_of(fmt, Fraction(a)), number_of(fmt, Fraction(b))] for a, b in powers] + [
        [fmt.infinity, fmt.infinity], [fmt.infinity | fmt.sign, 0], [fmt.quiet, NAN], [number_of(fmt, Fraction(1000)), fmt.infinity]]
    raised = within(fmt, lambda v: 2.0 ** float(v), 1)
    logarithm = [[0, fmt.infinity | fmt.sign], [fmt.sign, fmt.infinity | fmt.sign], [fmt.infinity, fmt.infinity], [negative[0], NAN],
                 [fmt.quiet, NAN], [number_of(fmt, Fraction(1)), 0]]
    logged = within(fmt, lambda v: math.log2(float(v)), 1)
    more = [[v] for v in floats(fmt, ['0.5', '1.25', '-2.75', '3.3330078125', '10.0625'])]
    logs = [[v] for v in floats(fmt, ['2', '0.5', '8', '10', '3', '0.125', '100', '1024', '1.5'])]
    for suffix in ('_legacy', '') if kind == 'f32' else ('', ):
      family = CDNA3 if suffix else families
      block('v_exp%s_%s' % (suffix, kind), signature, family, exact(power, raised), more + [[v] for v, _ in power])
      block('v_log%s_%s' % (suffix, kind), signature, family, exact(logarithm, logged), logs + [[v] for v, _ in logarithm])
    turns = [[v] for v in floats(fmt, ['0.125', '0.25', '0.75', '-0.25', '0.0625', '1.125', '-3.875'])]
    ulps = 64 if kind == 'f32' else 2
    block('v_sin_' + kind, signature, families, within(fmt, lambda v: math.sin(float(v) * 2 * math.pi), ulps), turns)
    turns = [[v] for v in floats(fmt, ['0', '0.125', '0.5', '-0.5', '0.0625', '1.125', '-3.875'])]
    block('v_cos_' + kind, signature, families, within(fmt, lambda v: math.cos(float(v) * 2 * math.pi), ulps), turns)
    infinite = [[fmt.infinity], [fmt.infinity | fmt.sign], [fmt.quiet]]
    block('v_sin_%s v_cos_%s' % (kind, kind), signature, families, lambda m, a: NAN, infinite)


def division():
  for fmt, kind, far, power, tiny, families in ((F32, 'f32', 96, 64, 23, BOTH), (F64, 'f64', 768, 128, 53, BOTH)):
    field = lambda v: v >> fmt.mantissa & ((1 << fmt.exponent) - 1)
    times = lambda v, p: fmt.round(v >> (fmt.bits - 1), fmt.decode(v)[2] * Fraction(2) ** p)

    def scale(m, a, b, c):
      denominator, numerator = fmt.decode(b), fmt.decode(c)
      inverse_small = 1 / denominator[2] < Fraction(2) ** fmt.smallest_exponent
      quotient_small = numerator[2] / denominator[2] < Fraction(2) ** fmt.smallest_exponent
      if field(c) - field(b) >= far:
        return [times(a, power) if a == b else a, 1]
      if inverse_small and quotient_small:
        return [times(a, power) if a == b else a, 1]
      if inverse_small:
        return [times(a, -power), 0]
      if quotient_small:
        return [times(a, power) if a == c else a, 1]
      if field(c) <= tiny:
        return [times(a, power), 0]
      return [a, 0]

    # Not here: zeros and denormal denominators, of which hardware is said to do other things than the documents say, and
    # quotients that are small because of a denominator near the largest number.
    value = lambda e, f=0: (e + fmt.bias) << fmt.mantissa | f
    low, high = fmt.smallest_exponent, fmt.bias
    numbers = [(value(0), value(1, 5)), (value(-high // 2 + 3), value(high // 2 + 10)), (value(far // 2, 3), value(-far // 2)),
               (value(far // 2 + 1), value(-far // 2)), (value(low + 10, 7), value(2)), (value(low + 2), value(high - 1)),
               (value(-60), value(high - 30, 77)), (value(4) | fmt.sign, value(2)), (value(-20), value(high - 1))]
    cases = [[first, b, c] for c, b in numbers for first in (b, c)]
    block('v_div_scale_' + kind, '%s mask = %s %s %s' % (kind, kind, kind, kind), families, scale, cases[:24], mods='exact')

    def fmas(m, a, b, c, scaled):
      result = fma(fmt, fmt.decode(a), fmt.decode(b), fmt.decode(c))
      if result == NAN or not scaled:
        return result
      # Takes back what v_div_scale did. The documents print one power; a quotient has to go either way, and hardware is
      # said to look at the addend.
      x = fmt.decode(result)
      return convert(fmt, (x[0], x[1], x[2] * Fraction(2) ** (power if field(c) > fmt.bias else -power)))

    moderate = floats(fmt, [1, '-2.5', '0.3330078125', 7, 1000, '-0.001953125'])
    block('v_div_fmas_' + kind, '%s = %s %s %s mask' % (kind, kind, kind, kind), families, fmas, special={kind: moderate}, count=14)
  for fmt, kind in ((F32, 'f32'), (F64, 'f64'), (F16, 'f16')):

    def fixup(m, a, b, c):
      denominator, numerator = fmt.decode(b), fmt.decode(c)
      sign = (denominator[1] ^ numerator[1]) * fmt.sign
      zero = lambda v: v[0] == 'fin' and not v[2]
      if is_nan(numerator, denominator) or zero(denominator) and zero(numerator) or denominator[0] == numerator[0] == 'inf':
        return NAN
      if zero(denominator) or numerator[0] == 'inf':
        return fmt.infinity | sign
      if denominator[0] == 'inf' or zero(numerator):
        return sign
      return a & (fmt.sign - 1) | sign

    plain = [0, fmt.sign, fmt.infinity, fmt.infinity | fmt.sign, fmt.quiet] + floats(fmt, [1, -2, '0.75'])
    cases = [[floats(fmt, [3, -5])[(i + j) % 2], b, c] for i, b in enumerate(plain) for j, c in enumerate(plain)]
    for name in ('v_div_fixup_' + kind, ) + (('v_div_fixup_legacy_f16', ) if kind == 'f16' else ()):
      block(name, '%s = %s %s %s' % (kind, kind, kind, kind), CDNA3 if 'legacy' in name else BOTH, fixup, cases[::3],
            upper='keep' if name == 'v_div_fixup_f16' else '')
  trig()


def trig():
  """The first 1201 bits of 2/pi."""
  digits = 1400
  arctan = lambda n: sum((-1) ** k * ((1 << digits) // ((2 * k + 1) * n ** (2 * k + 1))) for k in range(700))
  pi = 4 * (4 * arctan(5) - arctan(239))
  bits = ((2 << (2 * digits)) // pi) >> (digits - 1201)

  def run(m, a, b):
    exponent_field = a >> 52 & 0x7ff
    shift = (b & 31) * 53 + max(0, exponent_field - 1077)
    result = (bits << shift & ((1 << 1201) - 1)) >> (1201 - 53)
    power = -53 - shift + (128 if exponent_field >= 1968 else 0)
    return F64.round(0, Fraction(result) * Fraction(2) ** power)

  block('v_trig_preop_f64', 'f64 = f64 b32', BOTH, run, [[0x3ff0000000000000, i] for i in range(6)] + [
      [(1077 + e) << 52, i] for e in (0, 1, 40, 200) for i in (0, 1, 2)] + [[1968 << 52, 0], [0xc000000000000000, 33]])


def eight_bits():
  formats = {'fp8': FP8, 'bf8': BF8}
  for name, fmt in formats.items():
    value = lambda v: convert(F32, decode_fp8(v, fmt)) if v != 0x80 else NAN
    block('v_cvt_f32_' + name, 'f32 = b32', CDNA3, lambda m, a: value(a & 0xff),
          [[v] for v in (0, 1, 0x7f, 0x80, 0x81, 0xff, 0x38, 0xc4, 0x08, 0x07, 0x12345640)])
    block('v_cvt_pk_f32_' + name, 'b64 = b32', CDNA3, lambda m, a: value(byte(a, 0)) | value(byte(a, 1)) << 32,
          [[v] for v in (0, 0x0138, 0x7f81, 0xff01, 0x40c4, 0x55aa0844)])

    def narrow(a):
      number = F32.decode(a)
      if number[0] != 'fin':
        return 0x80
      encodings = [v for v in range(0x80)]
      exact = number[2]
      largest = decode_fp8(0x7f, fmt)[2]
      best = min(encodings, key=lambda v: (abs(decode_fp8(v, fmt)[2] - exact), v & 1))
      return best | number[1] << 7 if best and exact <= largest else 0x7f | number[1] << 7 if best else 0

    inputs = floats(F32, [0, 1, '1.0625', '-1.1875', '3.25', 7, -15, 17, '0.001953125', '0.0009765625', 100, 200, '0.109375'])
    block('v_cvt_pk_%s_f32' % name, 'b16 = f32 f32', CDNA3, lambda m, a, b: narrow(a) | narrow(b) << 8,
          special={'f32': inputs}, upper='keep')


def blocks():
  integers()
  between_floats()
  to_normalised()
  packs()
  packed_floats()
  small_dots()
  approximations()
  division()
  eight_bits()
