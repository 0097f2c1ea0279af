# Vector float arithmetic, comparisons and classes.
import math
from fractions import Fraction

from cases import BOTH, CDNA3, DEFAULT, FORMATS, RDNA3, Mode, block
from floats import (BF16, F16, F32, F64, NAN, add, convert, floor_log2, fma, is_nan, key, multiply, negate, round_integer,
                    signed, square_root)


def operand(mode, fmt, bits):
  if not mode.denorm(fmt) & 1:
    bits = fmt.flush(bits)
  return fmt.decode(bits)


def arithmetic(fmt, function):
  """function(fmt, numbers..., rounding, flush) on bits."""

  def run(mode, *bits):
    numbers = [operand(mode, fmt, b) for b in bits]
    return function(fmt, *numbers, mode.rounding(fmt), not mode.denorm(fmt) & 2)

  return run


def subtract(fmt, a, b, mode, flush):
  return add(fmt, a, negate(b), mode, flush)


def reverse(function):
  return lambda fmt, a, b, mode, flush: function(fmt, b, a, mode, flush)


def legacy(fmt, a, b, mode, flush):
  """Of DX9: zero times anything is zero."""
  if ('fin', 0, 0) in ((a[0], 0, a[2]), (b[0], 0, b[2])):
    return 0
  return multiply(fmt, a, b, mode, flush)


def legacy_fma(fmt, a, b, c, mode, flush):
  if ('fin', 0, 0) in ((a[0], 0, a[2]), (b[0], 0, b[2])):
    return add(fmt, ('fin', 0, Fraction(0)), c, mode, flush)
  return fma(fmt, a, b, c, mode, flush)


def least(fmt, mode, a, b, sign=1):
  """Minimum (sign 1) or maximum (-1): numbers before NaN, -0 before +0; a signalling NaN wins where MODE.IEEE is set."""
  x, y = operand(mode, fmt, a), operand(mode, fmt, b)
  if not mode.denorm(fmt) & 1:
    a, b = fmt.flush(a), fmt.flush(b)
  if mode.ieee and 'snan' in (x[0], y[0]):
    return NAN
  if is_nan(x):
    return NAN if is_nan(y) else b
  if is_nan(y):
    return a
  return a if (key(x) < key(y)) == (sign == 1) or key(x) == key(y) else b


def fold(fmt, mode, values, sign):
  result = values[0]
  for value in values[1:]:
    if result == NAN:
      result = fmt.quiet
    result = least(fmt, mode, result, value, sign)
  return result


def median(fmt, mode, a, b, c):
  if is_nan(*(fmt.decode(v) for v in (a, b, c))):
    return fold(fmt, mode, [a, b, c], 1)
  return sorted((a, b, c), key=lambda v: key(fmt.decode(v)))[1]


def rounded(how):
  """ceil and its kin: an integer, with the operand's sign also where it is zero."""

  def run(fmt, a, mode, flush):
    if a[0] != 'fin':
      return convert(fmt, a)
    return fmt.round(a[1], abs(Fraction(how(signed(a)))))

  return run


def nearest(value):
  return round_integer(abs(value), 0, 0) * (-1 if value < 0 else 1)


def fraction(fmt, a, mode, flush):
  if a[0] != 'fin':
    return NAN
  value = signed(a) - math.floor(signed(a))
  return min(fmt.round(0, value, mode), fmt.round(0, Fraction(1)) - 1)


def mantissa(fmt, a, mode, flush):
  if a[0] != 'fin':
    return convert(fmt, a)
  if not a[2]:
    return a[1] * fmt.sign
  return fmt.round(a[1], a[2] / Fraction(2) ** (floor_log2(a[2]) + 1))


def exponent(fmt, a, mode, flush):
  return floor_log2(a[2]) + 1 if a[0] == 'fin' and a[2] else 0


def scale(fmt, width):
  def run(mode, a, b):
    number = operand(mode, fmt, a)
    if number[0] != 'fin':
      return convert(fmt, number)
    power = b - (1 << width) if b >> (width - 1) else b
    return fmt.round(number[1], number[2] * Fraction(2) ** max(-5000, min(5000, power)), mode.rounding(fmt),
                     not mode.denorm(fmt) & 2)

  return run


def clamped(fmt, function):
  """With dx10_clamp a NaN becomes zero."""

  def run(mode, *bits):
    result = function(mode, *bits)
    if result == NAN or result & fmt.sign:
      return 0
    return min(result, fmt.round(0, Fraction(1)))

  return run


def scaled(fmt, function, factor):
  def run(mode, *bits):
    result = function(mode, *bits)
    if result == NAN:
      return NAN
    number = fmt.decode(result)
    return convert(fmt, (number[0], number[1], number[2] * factor))

  return run


UNARY = [('ceil', rounded(math.ceil)), ('floor', rounded(math.floor)), ('trunc', rounded(math.trunc)),
         ('rndne', rounded(nearest)), ('fract', fraction), ('frexp_mant', mantissa)]
BINARY = [('add', add), ('sub', subtract), ('subrev', reverse(subtract)), ('mul', multiply)]


def modified(name, kind, arity, function, families):
  """The same operation with the modifiers that change its result, on fewer cases."""
  fmt = FORMATS[kind]
  signature = '%s = %s' % (kind, ' '.join([kind] * arity))
  negative_zero = lambda *bits: function(DEFAULT, *bits) == fmt.sign  # its clamped sign is documented nowhere
  block(name, signature, families, clamped(fmt, function), mods='clamp', count=8, avoid=negative_zero)
  # Output modifiers are ignored where MODE keeps denormals or has IEEE set. They lose the sign of zeros: none here.
  normal = lambda *bits: function(DEFAULT, *bits) in (NAN, 0, fmt.sign) or any(
      fmt.denormal(scaled(fmt, function, f)(DEFAULT, *bits)) for f in (1, 2, 4, Fraction(1, 2))) or any(
          fmt.denormal(b) for b in bits)
  off = Mode(denorm32=0, ieee=0) if fmt is F32 else Mode(denorm64=0, ieee=0)
  for word, factor in (('mul:2', 2), ('mul:4', 4), ('div:2', Fraction(1, 2))):
    block(name, signature, families, scaled(fmt, function, factor), mods=word, mode=off, count=6, avoid=normal)
    block(name, signature, families, function, mods=word, count=6, avoid=normal)


def in_modes(name, signature, families, function, fmt, cases):
  for rounding in (1, 2, 3):
    mode = Mode(round32=rounding) if fmt is F32 else Mode(round64=rounding)
    block(name, signature, families, function, cases, mode=mode)
  for denorm in (0, 1, 2):
    mode = Mode(denorm32=denorm) if fmt is F32 else Mode(denorm64=denorm)
    block(name, signature, families, function, cases, mode=mode)


def tie_cases(fmt, count):
  """Pairs whose sum lies halfway between two floats, on either side of it, and below the normal ones."""
  one = fmt.bias << fmt.mantissa
  half_ulp = (fmt.bias - fmt.mantissa - 1) << fmt.mantissa
  low = 1 << fmt.mantissa
  pairs = [(one, half_ulp), (one | 1, half_ulp), (one, half_ulp | 1), (one | fmt.sign, half_ulp | fmt.sign),
           (one | fmt.sign | 1, half_ulp | fmt.sign), (fmt.largest, fmt.largest), (fmt.largest | fmt.sign, fmt.largest | fmt.sign),
           (low, low | fmt.sign | 1), (low | 1, low | fmt.sign), (1, 1), (one, one | fmt.sign), (3, fmt.sign | 5), (low - 1, 1)]
  return [list(pair) for pair in pairs[:count]]


def arithmetic_blocks(kind):
  fmt = FORMATS[kind]
  families = BOTH
  for name, function in UNARY:
    block('v_%s_%s' % (name, kind), '%s = %s' % (kind, kind), families, arithmetic(fmt, function))
  exponent_kind = {'f16': ('i16', 'b16'), 'f32': ('i32', 'b32'), 'f64': ('i32', 'b32')}[kind]
  block('v_frexp_exp_%s_%s' % (exponent_kind[0], kind), '%s = %s' % (exponent_kind[1], kind), families,
        arithmetic(fmt, exponent))
  block('v_ldexp_' + kind, '%s = %s %s' % (kind, kind, 'b16' if kind == 'f16' else 'b32'), families,
        scale(fmt, 16 if kind == 'f16' else 32),
        special={1: [1, 0, 0xffff, 0x7fff, 10, 20, 0xfff0, 0x8000, 3] if kind == 'f16' else
                 [1, 0, 0xffffffff, 0x7fffffff, 0x80000000, 30, 0xffffffe8, 140, 0xffffff00, 200, 3]})
  pair = '%s = %s %s' % (kind, kind, kind)
  for name, function in BINARY:
    if kind == 'f64' and name in ('sub', 'subrev'):
      continue
    block('v_%s_%s' % (name, kind), pair, families, arithmetic(fmt, function))
    if name in ('add', 'mul'):
      modified('v_%s_%s' % (name, kind), kind, 2, arithmetic(fmt, function), families)
  in_modes('v_add_' + kind, pair, families, arithmetic(fmt, add), fmt, tie_cases(fmt, 13))
  in_modes('v_mul_' + kind, pair, families, arithmetic(fmt, multiply), fmt,
           [[fmt.round(0, Fraction(1, 3)), fmt.round(1, Fraction(1, 3))], [fmt.round(0, Fraction(4, 3)), fmt.round(0, Fraction(1, 7))],
            [1 << fmt.mantissa, fmt.round(0, Fraction(1, 2))], [3, fmt.round(1, Fraction(1, 2))], [3, fmt.round(0, Fraction(3))],
            [fmt.largest, fmt.largest], [fmt.largest, fmt.largest | fmt.sign], [(1 << fmt.mantissa) | 1, fmt.round(0, Fraction(1, 2))]])
  for name, sign in (('min', 1), ('max', -1)):
    block('v_%s_%s' % (name, kind), pair, families, lambda m, a, b: least(fmt, m, a, b, sign))
    block('v_%s_%s' % (name, kind), pair, families, lambda m, a, b: least(fmt, m, a, b, sign), mode=Mode(ieee=0), count=18,
          avoid=lambda a, b: is_nan(fmt.decode(a)) and is_nan(fmt.decode(b)) or 'snan' in (fmt.decode(a)[0], fmt.decode(b)[0]))
  triple = '%s = %s %s %s' % (kind, kind, kind, kind)
  upper = 'keep' if kind == 'f16' else ''
  block('v_fma_' + kind, triple, families, arithmetic(fmt, fma), upper=upper, count=24)
  in_modes('v_fma_' + kind, triple, families, arithmetic(fmt, fma), fmt,
           [[a, fmt.bias << fmt.mantissa, b] for a, b in tie_cases(fmt, 13)]) if not upper else None
  block('v_fma_' + kind, triple, families, clamped(fmt, arithmetic(fmt, fma)), mods='clamp', count=8, upper=upper)
  accumulate = '%s = %s %s +%s' % (kind, kind, kind, kind)
  block('v_fmac_' + kind, accumulate, {'f64': CDNA3, 'f32': BOTH, 'f16': RDNA3}[kind], arithmetic(fmt, fma), upper=upper)
  compare_blocks(kind, fmt)


def compare_blocks(kind, fmt):
  ordered = {'lt': lambda o: o < 0, 'eq': lambda o: o == 0, 'le': lambda o: o <= 0, 'gt': lambda o: o > 0,
             'lg': lambda o: o != 0, 'ge': lambda o: o >= 0}

  def order(mode, a, b):
    x, y = operand(mode, fmt, a), operand(mode, fmt, b)
    if is_nan(x, y):
      return None
    x, y = key(x)[:2], key(y)[:2]
    return (x > y) - (x < y)

  tests = {name: (lambda o, f=f: o is not None and f(o)) for name, f in ordered.items()}
  tests.update({'n' + {'eq': 'eq'}.get(name, name): (lambda o, f=f: o is None or not f(o)) for name, f in ordered.items()})
  tests.update({'o': lambda o: o is not None, 'u': lambda o: o is None, 'f': lambda o: False})
  for name, test in tests.items():
    run = lambda m, a, b: int(test(order(m, a, b)))
    cases = [[a, b] for a, b in zip(COMPARED(fmt), COMPARED(fmt, 4))]
    block('v_cmp_%s_%s v_cmpx_%s_%s' % (name, kind, name, kind), 'mask = %s %s' % (kind, kind), BOTH, run, cases)
  for name, families in (('t', RDNA3), ('tru', CDNA3)):
    block('v_cmp_%s_%s v_cmpx_%s_%s' % (name, kind, name, kind), 'mask = %s %s' % (kind, kind), families,
          lambda m, a, b: 1, [[a, b] for a, b in zip(COMPARED(fmt), COMPARED(fmt, 4))][:6])
  mode = Mode(denorm32=0) if fmt is F32 else Mode(denorm64=0)
  block('v_cmp_lt_%s' % kind, 'mask = %s %s' % (kind, kind), BOTH, lambda m, a, b: int(tests['lt'](order(m, a, b))),
        [[1, 2], [fmt.sign | 1, 1], [0, 1 << fmt.mantissa], [fmt.sign | 1, 0]], mode=mode)
  masks = {i: [1 << (i % 10), 0x3ff ^ 1 << (i % 10)][i // 10] for i in range(20)}
  cases = [[v, masks[(i + s) % 20]] for s, v in enumerate(CLASSED(fmt)) for i in (s, s + 10)]
  block('v_cmp_class_%s v_cmpx_class_%s' % (kind, kind), 'mask = %s %s' % (kind, 'b16' if kind == 'f16' else 'b32'), BOTH,
        lambda m, a, c: int(bool(class_of(fmt, a) & c)), cases[:24])


def COMPARED(fmt, turn=0):
  one = fmt.bias << fmt.mantissa
  values = [one, fmt.sign | one, 0, fmt.sign, one + 1, 1, fmt.sign | 1, fmt.infinity, fmt.infinity | fmt.sign, fmt.quiet,
            fmt.infinity | 1, fmt.largest]
  turned = values[turn:] + values[:turn]
  return turned + (values if not turn else values[:2] + [fmt.sign, 0] + values[4:])


def CLASSED(fmt):
  """A value of each class, in the order of the class bits."""
  one = fmt.bias << fmt.mantissa
  return [fmt.infinity | 1, fmt.quiet, fmt.infinity | fmt.sign, one | fmt.sign, fmt.sign | 1, fmt.sign, 0, 1, one,
          fmt.infinity]


def class_of(fmt, bits):
  number = fmt.decode(bits)
  if number[0] in ('snan', 'nan'):
    return 1 if number[0] == 'snan' else 2
  rank = 0 if number[0] == 'inf' else 3 if not number[2] else 2 if fmt.denormal(bits) else 1
  return 4 << rank if number[1] else 512 >> rank


def three_blocks():
  for kind in ('f32', 'f16'):
    fmt = FORMATS[kind]
    triple = '%s = %s %s %s' % (kind, kind, kind, kind)
    quiet = lambda *v: sum(is_nan(fmt.decode(x)) for x in v) > 1 or any(fmt.decode(x)[0] == 'snan' for x in v)
    upper = 'loose' if kind == 'f16' else ''
    for name, sign in (('min3', 1), ('max3', -1)):
      block('v_%s_%s' % (name, kind), triple, BOTH, lambda m, *v: fold(fmt, m, list(v), sign), avoid=quiet, upper=upper)
    block('v_med3_' + kind, triple, BOTH, lambda m, *v: median(fmt, m, *v), avoid=quiet, upper=upper)
    for name, first in (('minmax', 1), ('maxmin', -1)):
      block('v_%s_%s' % (name, kind), triple, RDNA3,
            lambda m, a, b, c: fold(fmt, m, [fold(fmt, m, [a, b], first), c], -first), avoid=quiet)


def legacy_blocks():
  pair, triple = 'f32 = f32 f32', 'f32 = f32 f32 f32'
  block('v_mul_dx9_zero_f32', pair, RDNA3, arithmetic(F32, legacy))
  block('v_mul_legacy_f32', pair, CDNA3, arithmetic(F32, legacy))
  block('v_fma_dx9_zero_f32', triple, RDNA3, arithmetic(F32, legacy_fma))
  block('v_fmac_dx9_zero_f32', 'f32 = f32 f32 +f32', RDNA3, arithmetic(F32, legacy_fma))

  def mullit(mode, a, b, c):
    third, second = F32.decode(c), F32.decode(b)
    lowest = F32.largest | F32.sign
    if is_nan(second) or b == lowest or b == F32.infinity | F32.sign or is_nan(third) or key(third)[:2] <= (0, 0):
      return lowest
    return arithmetic(F32, legacy)(mode, a, b)

  block('v_mullit_f32', triple, RDNA3, mullit)


def literal_blocks():
  """The constant is the multiplier (mk) or the addend (ak)."""
  for kind, family, constants in (('f32', BOTH, (0x40490fdb, 0x3f800000, 0x80000001)), ('f16', RDNA3, (0x4248, 0x3c00))):
    fmt = FORMATS[kind]
    run = arithmetic(fmt, fma)
    k = 'k16' if kind == 'f16' else 'k32'
    for constant in constants:
      block('v_fmaak_' + kind, '%s = %s %s %s' % (kind, kind, kind, k), family, run, special={k: [constant]}, count=8)
      block('v_fmamk_' + kind, '%s = %s %s %s' % (kind, kind, k, kind), family, run, special={k: [constant]}, count=8)
  small = [0x3c00, 0x4000, 0xc200, 0x0000, 0x4900, 0xbc00, 0x7c00, 0x3800]
  run = arithmetic(F16, fma)
  block('v_madak_f16', 'f16 = f16 f16 k16', CDNA3, run, special={'f16': small, 'k16': [0x4248]}, count=8, upper='loose')
  block('v_madmk_f16', 'f16 = f16 k16 f16', CDNA3, run, special={'f16': small, 'k16': [0x4200]}, count=8, upper='loose')
  for name, upper in (('v_mad_f16', 'keep'), ('v_mad_legacy_f16', ''), ('v_fma_legacy_f16', '')):
    block(name, 'f16 = f16 f16 f16', CDNA3, run, special={'f16': small}, count=14, upper=upper)
  block('v_mac_f16', 'f16 = f16 f16 +f16', CDNA3, run, special={'f16': small}, count=14, upper='loose')


def cube(which):
  def run(mode, a, b, c):
    x, y, z = (signed(F32.decode(v)) for v in (a, b, c))
    if abs(z) >= abs(x) and abs(z) >= abs(y):
      face = (5 if z < 0 else 4, -x if z < 0 else x, -y, z)
    elif abs(y) >= abs(x):
      face = (3 if y < 0 else 2, x, -z if y < 0 else z, y)
    else:
      face = (1 if x < 0 else 0, z if x < 0 else -z, -y, x)
    value = Fraction(face[which]) * (2 if which == 3 else 1)
    return F32.round(value < 0, abs(value))

  return run


def cube_blocks():
  values = [F32.round(s, Fraction(v)) for v in (1, 2, 3, 5) for s in (0, 1)]
  for i, name in enumerate(('id', 'sc', 'tc', 'ma')):
    block('v_cube%s_f32' % name, 'f32 = f32 f32 f32', BOTH, cube(i), special={'f32': values}, count=18)


def blocks():
  for kind in ('f32', 'f64', 'f16'):
    arithmetic_blocks(kind)
  three_blocks()
  legacy_blocks()
  literal_blocks()
  cube_blocks()
  select = lambda m, a, b, c: b if c else a
  block('v_cndmask_b32', 'f32 = f32 f32 mask', BOTH, select)
  block('v_cndmask_b16', 'f16 = f16 f16 mask', RDNA3, select)
