# Binary floating point in exact rational arithmetic: every operation is computed without error and rounded once.
#
# A number is a tuple (kind, sign, value): kind is 'nan', 'snan', 'inf' or 'fin'; sign 0 or 1; value a non-negative
# Fraction. Results are bits, or NAN where any quiet NaN will do, or (bits, ulps) where AMD's documents allow an error.
from fractions import Fraction
from math import isqrt

NAN = 'nan'
NEAREST, UP, DOWN, ZERO = range(4)


class Format:
  def __init__(self, name, exponent, mantissa):
    self.name, self.exponent, self.mantissa = name, exponent, mantissa
    self.bits = 1 + exponent + mantissa
    self.bias = (1 << (exponent - 1)) - 1
    self.sign = 1 << (self.bits - 1)
    self.infinity = ((1 << exponent) - 1) << mantissa
    self.quiet = self.infinity | 1 << (mantissa - 1)
    self.largest = self.infinity - 1
    self.smallest_exponent = 1 - self.bias  # of normal numbers

  def decode(self, bits):
    sign, rest = bits >> (self.bits - 1) & 1, bits & (self.sign - 1)
    if rest > self.infinity:
      return ('nan' if rest >> (self.mantissa - 1) & 1 else 'snan', sign, Fraction(0))
    if rest == self.infinity:
      return ('inf', sign, Fraction(0))
    exponent, fraction = rest >> self.mantissa, rest & ((1 << self.mantissa) - 1)
    if exponent:
      fraction |= 1 << self.mantissa
    else:
      exponent = 1
    return ('fin', sign, Fraction(fraction) * Fraction(2) ** (exponent - self.bias - self.mantissa))

  def denormal(self, bits):
    return 0 < bits & (self.sign - 1) < 1 << self.mantissa

  def flush(self, bits):
    return bits & self.sign if self.denormal(bits) else bits

  def round(self, sign, value, mode=NEAREST, flush=False):
    """The bits of a non-negative value with a sign, rounded; denormal results become zero when `flush`."""
    if value == 0:
      return sign * self.sign
    exponent = max(floor_log2(value), self.smallest_exponent)
    scaled = value / Fraction(2) ** (exponent - self.mantissa)
    whole = round_integer(scaled, sign, mode)
    if flush and whole < 1 << self.mantissa:
      return sign * self.sign
    bits = ((exponent + self.bias - 1) << self.mantissa) + whole  # a carry moves to the exponent by itself
    if bits >= self.infinity:
      towards_zero = mode == ZERO or mode == UP and sign or mode == DOWN and not sign
      bits = self.largest if towards_zero else self.infinity
    return bits | sign * self.sign


def floor_log2(value):
  n = value.numerator.bit_length() - value.denominator.bit_length()
  return n if value >= Fraction(2) ** n else n - 1


def round_integer(value, sign, mode):
  """A non-negative Fraction as an integer."""
  whole = value.numerator // value.denominator
  rest = value - whole
  if rest == 0 or mode == ZERO:
    return whole
  if mode == NEAREST:
    return whole + (rest > Fraction(1, 2) or rest == Fraction(1, 2) and whole & 1)
  return whole + (mode == UP and not sign or mode == DOWN and sign == 1)


F16, BF16, F32, F64 = Format('f16', 5, 10), Format('bf16', 8, 7), Format('f32', 8, 23), Format('f64', 11, 52)
FP8, BF8 = Format('fp8', 4, 3), Format('bf8', 5, 2)  # their special values are not IEEE's: see decode_fp8


def signed(number):
  return -number[2] if number[1] else number[2]


def is_nan(*numbers):
  return any(n[0] in ('nan', 'snan') for n in numbers)


def negate(number):
  return (number[0], 1 - number[1], number[2])


def finish(fmt, value, zero_sign, mode=NEAREST, flush=False):
  if value == 0:
    return zero_sign * fmt.sign
  return fmt.round(1 if value < 0 else 0, abs(value), mode, flush)


def special_product(a, b):
  """(kind, sign) of a product that is no finite number, else None."""
  sign = a[1] ^ b[1]
  if is_nan(a, b) or (a[0] == 'inf' and b == ('fin', b[1], 0)) or (b[0] == 'inf' and a == ('fin', a[1], 0)):
    return ('nan', 0)
  return ('inf', sign) if 'inf' in (a[0], b[0]) else None


def fma(fmt, a, b, c, mode=NEAREST, flush=False):
  product = special_product(a, b)
  sign = a[1] ^ b[1]
  if (product and product[0] == 'nan') or is_nan(c):
    return NAN
  if product:
    return NAN if c[0] == 'inf' and c[1] != sign else fmt.infinity | sign * fmt.sign
  if c[0] == 'inf':
    return fmt.infinity | c[1] * fmt.sign
  exact = (-1) ** sign * a[2] * b[2] + signed(c)
  both_zero = a[2] * b[2] == 0 and c[2] == 0
  zero_sign = sign if both_zero and sign == c[1] else 1 if mode == DOWN else 0
  return finish(fmt, exact, zero_sign, mode, flush)


def add(fmt, a, b, mode=NEAREST, flush=False):
  return fma(fmt, a, ('fin', 0, Fraction(1)), b, mode, flush)


def multiply(fmt, a, b, mode=NEAREST, flush=False):
  special = special_product(a, b)
  if special:
    return NAN if special[0] == 'nan' else fmt.infinity | special[1] * fmt.sign
  return fmt.round(a[1] ^ b[1], a[2] * b[2], mode, flush)


def square_root(value, bits=200):
  """A Fraction whose error is far below any rounding, exact where the root is rational in so many bits."""
  shift = 2 * (bits + max(0, value.denominator.bit_length()))
  scaled = value * (1 << shift)
  return Fraction(isqrt(scaled.numerator // scaled.denominator), 1 << (shift // 2))


def convert(fmt, number, mode=NEAREST, flush=False):
  if is_nan(number):
    return NAN
  if number[0] == 'inf':
    return fmt.infinity | number[1] * fmt.sign
  return fmt.round(number[1], number[2], mode, flush)


def key(number):
  """For ordering: -0 before +0, as AMD's minimum and maximum have it."""
  if number[0] == 'inf':
    return (-1 if number[1] else 1, Fraction(0), 0)
  return (0, signed(number), -number[1])


def to_integer(number, low, high, mode=ZERO):
  """A float as an integer, saturated; NaN gives 0."""
  if is_nan(number):
    return 0
  if number[0] == 'inf':
    return low if number[1] else high
  whole = round_integer(number[2], number[1], mode)
  return max(low, min(high, -whole if number[1] else whole))


def decode_fp8(bits, fmt):
  """CDNA3's 8-bit floats (FNUZ): 0x80 is the only NaN, there is no infinity, the bias is one more than IEEE's."""
  if bits == 0x80:
    return ('nan', 0, Fraction(0))
  exponent, fraction = (bits & 0x7f) >> fmt.mantissa, bits & ((1 << fmt.mantissa) - 1)
  if exponent:
    fraction |= 1 << fmt.mantissa
  else:
    exponent = 1
  return ('fin', bits >> 7, Fraction(fraction) * Fraction(2) ** (exponent - (fmt.bias + 1) - fmt.mantissa))
