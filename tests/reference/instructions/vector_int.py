# Vector integer arithmetic and bits, of 8, 16, 24, 32 and 64 bits.
from cases import BOTH, CDNA3, RDNA3, block

M16, M32, M64 = (1 << 16) - 1, (1 << 32) - 1, (1 << 64) - 1


def s(value, bits):
  value &= (1 << bits) - 1
  return value - (1 << bits) if value >> (bits - 1) else value


def clamp(value, low, high):
  return max(low, min(high, value))


def byte(value, i):
  return value >> (8 * i) & 0xff


def saturated(function, bits, is_signed):
  low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if is_signed else (0, (1 << bits) - 1)
  return lambda m, *v: clamp(function(*v), low, high)


def plain(function):
  return lambda m, *v: function(*v)


def arithmetic_32():
  pair = 'b32 = b32 b32'
  s32 = lambda f: plain(lambda a, b: f(s(a, 32), s(b, 32)))
  s24 = lambda f: plain(lambda a, b: f(s(a, 24), s(b, 24)))
  u24 = lambda f: plain(lambda a, b: f(a & 0xffffff, b & 0xffffff))
  add, sub, subrev = (lambda a, b: a + b), (lambda a, b: a - b), (lambda a, b: b - a)
  for rdna, cdna, f in (('v_add_nc_u32', 'v_add_u32', add), ('v_sub_nc_u32', 'v_sub_u32', sub),
                        ('v_subrev_nc_u32', 'v_subrev_u32', subrev)):
    for name, family in ((rdna, RDNA3), (cdna, CDNA3)):
      block(name, pair, family, plain(f))
      block(name, pair, family, saturated(f, 32, False), mods='clamp', count=15)
  for rdna, cdna, f in (('v_add_nc_i32', 'v_add_i32', add), ('v_sub_nc_i32', 'v_sub_i32', sub)):
    for name, family in ((rdna, RDNA3), (cdna, CDNA3)):
      block(name, pair, family, plain(f))
      block(name, pair, family, saturated(lambda a, b: f(s(a, 32), s(b, 32)), 32, True), mods='clamp', count=15)
  carries = [('add', 'v_add_co_u32', BOTH, lambda a, b, c: a + b + c), ('sub', 'v_sub_co_u32', BOTH, lambda a, b, c: a - b - c),
             ('subrev', 'v_subrev_co_u32', BOTH, lambda a, b, c: b - a - c)]
  for _, name, family, f in carries:
    block(name, 'b32 mask = b32 b32', family, plain(lambda a, b: [f(a, b, 0), int(not 0 <= f(a, b, 0) <= M32)]))
  for rdna, cdna, f in (('v_add_co_ci_u32', 'v_addc_co_u32', carries[0][3]), ('v_sub_co_ci_u32', 'v_subb_co_u32', carries[1][3]),
                        ('v_subrev_co_ci_u32', 'v_subbrev_co_u32', carries[2][3])):
    for name, family in ((rdna, RDNA3), (cdna, CDNA3)):
      block(name, 'b32 mask = b32 b32 mask', family, plain(lambda a, b, c: [f(a, b, c), int(not 0 <= f(a, b, c) <= M32)]))
  block('v_mul_lo_u32', pair, BOTH, plain(lambda a, b: a * b))
  block('v_mul_hi_u32', pair, BOTH, plain(lambda a, b: a * b >> 32))
  block('v_mul_hi_i32', pair, BOTH, s32(lambda a, b: a * b >> 32))
  block('v_mul_i32_i24', pair, BOTH, s24(lambda a, b: a * b))
  block('v_mul_hi_i32_i24', pair, BOTH, s24(lambda a, b: a * b >> 32))
  block('v_mul_u32_u24', pair, BOTH, u24(lambda a, b: a * b))
  block('v_mul_hi_u32_u24', pair, BOTH, u24(lambda a, b: a * b >> 32))
  triple = 'b32 = b32 b32 b32'
  block('v_mad_i32_i24', triple, BOTH, plain(lambda a, b, c: s(a, 24) * s(b, 24) + c))
  block('v_mad_u32_u24', triple, BOTH, plain(lambda a, b, c: (a & 0xffffff) * (b & 0xffffff) + c))
  block('v_mad_u64_u32', 'b64 mask = b32 b32 b64', BOTH, plain(lambda a, b, c: [a * b + c, (a * b + c) >> 64]))
  wide = lambda a, b, c: s(a, 32) * s(b, 32) + s(c, 64)
  block('v_mad_i64_i32', 'b64 mask = b32 b32 b64', BOTH, plain(lambda a, b, c: [wide(a, b, c), wide(a, b, c) >> 64 & 1]))


def order(width, family=BOTH):
  kind = 'b%d' % width
  for letter, view in (('i', lambda v: s(v, width)), ('u', lambda v: v)):
    end = '_%s%d' % (letter, width)
    pair, triple = '%s = %s %s' % (kind, kind, kind), '%s = %s %s %s' % (kind, kind, kind, kind)
    upper = 'loose' if width == 16 else ''
    block('v_min' + end, pair, family, plain(lambda a, b: min(a, b, key=view)))
    block('v_max' + end, pair, family, plain(lambda a, b: max(a, b, key=view)))
    block('v_min3' + end, triple, family, plain(lambda a, b, c: min(a, b, c, key=view)), upper=upper)
    block('v_max3' + end, triple, family, plain(lambda a, b, c: max(a, b, c, key=view)), upper=upper)
    block('v_med3' + end, triple, family, plain(lambda a, b, c: sorted((a, b, c), key=view)[1]), upper=upper)
    if width == 32:
      block('v_minmax' + end, triple, RDNA3, plain(lambda a, b, c: max(min(a, b, key=view), c, key=view)))
      block('v_maxmin' + end, triple, RDNA3, plain(lambda a, b, c: min(max(a, b, key=view), c, key=view)))


def comparisons():
  tests = {'lt': lambda a, b: a < b, 'eq': lambda a, b: a == b, 'le': lambda a, b: a <= b, 'gt': lambda a, b: a > b,
           'ne': lambda a, b: a != b, 'ge': lambda a, b: a >= b, 'f': lambda a, b: False, 't': lambda a, b: True}
  for width in (16, 32, 64):
    kind = 'b%d' % width
    top = 1 << (width - 1)
    cases = [[0, 0], [top, top - 1], [top - 1, top], [2 * top - 1, 0], [0, 2 * top - 1], [5, 6], [6, 5], [top, top], [1, 0x40],
             [top + 1, top], [2 * top - 1, 2 * top - 16], [0x1234, 0x1235]]
    for letter, view in (('i', lambda v: s(v, width)), ('u', lambda v: v)):
      for name, test in tests.items():
        family = CDNA3 if width == 16 and name in ('f', 't') else BOTH
        block('v_cmp_%s_%s%d v_cmpx_%s_%s%d' % ((name, letter, width) * 2), 'mask = %s %s' % (kind, kind), family,
              plain(lambda a, b: int(test(view(a), view(b)))), cases)


def bits_32():
  one, pair, triple = 'b32 = b32', 'b32 = b32 b32', 'b32 = b32 b32 b32'
  for name, f in (('and', lambda a, b: a & b), ('or', lambda a, b: a | b), ('xor', lambda a, b: a ^ b),
                  ('xnor', lambda a, b: ~(a ^ b)), ('lshlrev', lambda a, b: b << (a & 31)), ('lshrrev', lambda a, b: b >> (a & 31))):
    block('v_%s_b32' % name, pair, BOTH, plain(f))
  block('v_ashrrev_i32', pair, BOTH, plain(lambda a, b: s(b, 32) >> (a & 31)))
  block('v_not_b32', one, BOTH, plain(lambda a: ~a))
  block('v_mov_b32', one, BOTH, plain(lambda a: a))
  block('v_bfrev_b32', one, BOTH, plain(lambda a: int('{:032b}'.format(a)[::-1], 2)))
  block('v_bcnt_u32_b32', pair, BOTH, plain(lambda a, b: bin(a).count('1') + b))
  leading = lambda a: 32 - a.bit_length() if a else -1
  trailing = lambda a: (a & -a).bit_length() - 1
  sign_run = lambda a: leading(a ^ M32 if a >> 31 else a)
  for rdna, cdna, f in (('v_clz_i32_u32', 'v_ffbh_u32', leading), ('v_ctz_i32_b32', 'v_ffbl_b32', trailing),
                        ('v_cls_i32', 'v_ffbh_i32', sign_run)):
    block(rdna, one, RDNA3, plain(f))
    block(cdna, one, CDNA3, plain(f))
  block('v_bfe_u32', triple, BOTH, plain(lambda a, b, c: a >> (b & 31) & ((1 << (c & 31)) - 1)), count=24)
  block('v_bfe_i32', triple, BOTH,
        plain(lambda a, b, c: s(a >> (b & 31), c & 31) if c & 31 and (b & 31) + (c & 31) < 32 else
              s(a, 32) >> (b & 31) if c & 31 else 0), count=24)
  block('v_bfi_b32', triple, BOTH, plain(lambda a, b, c: a & b | ~a & c))
  block('v_bfm_b32', pair, BOTH, plain(lambda a, b: ((1 << (a & 31)) - 1) << (b & 31)))
  shift3 = {2: [0, 1, 31, 32, 33, 0xffffffff, 8, 24]}
  block('v_alignbit_b32', triple, BOTH, plain(lambda a, b, c: (a << 32 | b) >> (c & 31)), special=shift3)
  block('v_alignbyte_b32', triple, BOTH, plain(lambda a, b, c: (a << 32 | b) >> 8 * (c & 3)), special=shift3)
  block('v_perm_b32', triple, BOTH, plain(permute), count=24,
        special={2: [0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c, 0xff0c0801, 0x05010400, 0x02060307, 0x80100b0a]})
  block('v_xad_u32', triple, BOTH, plain(lambda a, b, c: (a ^ b) + c))
  block('v_add3_u32', triple, BOTH, plain(lambda a, b, c: a + b + c))
  block('v_lshl_add_u32', triple, BOTH, plain(lambda a, b, c: (a << (b & 31)) + c))
  block('v_add_lshl_u32', triple, BOTH, plain(lambda a, b, c: (a + b) << (c & 31)))
  block('v_lshl_or_b32', triple, BOTH, plain(lambda a, b, c: a << (b & 31) | c))
  block('v_and_or_b32', triple, BOTH, plain(lambda a, b, c: a & b | c))
  block('v_or3_b32', triple, BOTH, plain(lambda a, b, c: a | b | c))
  block('v_xor3_b32', triple, RDNA3, plain(lambda a, b, c: a ^ b ^ c))


def permute(a, b, select):
  data, result = a << 32 | b, 0
  for i in range(4):
    which = byte(select, i)
    if which < 8:
      value = byte(data, which)
    elif which < 12:
      value = 0xff if data >> (16 * (which - 8) + 15) & 1 else 0
    else:
      value = 0 if which == 12 else 0xff
    result |= value << 8 * i
  return result


def bits_64():
  wide = 'b64 = b32 b64'
  block('v_lshlrev_b64', wide, BOTH, plain(lambda a, b: b << (a & 63)))
  block('v_lshrrev_b64', wide, BOTH, plain(lambda a, b: b >> (a & 63)))
  block('v_ashrrev_i64', wide, BOTH, plain(lambda a, b: s(b, 64) >> (a & 63)))
  block('v_mov_b64', 'b64 = b64', CDNA3, plain(lambda a: a))
  # The documents say nothing of shifts beyond 4: there are none here.
  block('v_lshl_add_u64', 'b64 = b64 b32 b64', CDNA3, plain(lambda a, b, c: (a << b) + c), special={1: [0, 1, 2, 3, 4]})


def words_16():
  pair, triple = 'b16 = b16 b16', 'b16 = b16 b16 b16'
  add, sub, subrev = (lambda a, b: a + b), (lambda a, b: a - b), (lambda a, b: b - a)
  for rdna, cdna, f in (('v_add_nc_u16', 'v_add_u16', add), ('v_sub_nc_u16', 'v_sub_u16', sub), (None, 'v_subrev_u16', subrev)):
    for name, family in ((rdna, RDNA3), (cdna, CDNA3)):
      if name:
        block(name, pair, family, plain(f))
        block(name, pair, family, saturated(f, 16, False), mods='clamp', count=12)
  for rdna, cdna, f in (('v_add_nc_i16', 'v_add_i16', add), ('v_sub_nc_i16', 'v_sub_i16', sub)):
    for name, family in ((rdna, RDNA3), (cdna, CDNA3)):
      block(name, pair, family, plain(f), upper='loose')
      block(name, pair, family, saturated(lambda a, b: f(s(a, 16), s(b, 16)), 16, True), mods='clamp', count=12, upper='loose')
  block('v_mul_lo_u16', pair, BOTH, plain(lambda a, b: a * b))
  block('v_lshlrev_b16', pair, BOTH, plain(lambda a, b: b << (a & 15)))
  block('v_lshrrev_b16', pair, BOTH, plain(lambda a, b: b >> (a & 15)))
  block('v_ashrrev_i16', pair, BOTH, plain(lambda a, b: s(b, 16) >> (a & 15)))
  for name, f in (('and', lambda a, b: a & b), ('or', lambda a, b: a | b), ('xor', lambda a, b: a ^ b)):
    block('v_%s_b16' % name, pair, RDNA3, plain(f))
  block('v_not_b16', 'b16 = b16', RDNA3, plain(lambda a: ~a))
  block('v_mov_b16', 'b16 = b16', RDNA3, plain(lambda a: a))
  for name in ('v_mad_u16', 'v_mad_i16'):
    block(name, triple, BOTH, plain(lambda a, b, c: a * b + c), upper='keep')
  for name in ('v_mad_legacy_u16', 'v_mad_legacy_i16'):
    block(name, triple, CDNA3, plain(lambda a, b, c: a * b + c))
  block('v_mad_u16', triple, BOTH, saturated(lambda a, b, c: a * b + c, 16, False), mods='clamp', count=12, upper='keep')
  block('v_mad_i16', triple, BOTH, saturated(lambda a, b, c: s(a, 16) * s(b, 16) + s(c, 16), 16, True), mods='clamp', count=12,
        upper='keep')
  block('v_mad_u32_u16', 'b32 = b16 b16 b32', BOTH, plain(lambda a, b, c: a * b + c))
  block('v_mad_i32_i16', 'b32 = b16 b16 b32', BOTH, plain(lambda a, b, c: s(a, 16) * s(b, 16) + c))
  order(16)


def sums_of_differences():
  triple = 'b32 = b32 b32 b32'
  sad = lambda a, b, c: sum(abs(byte(a, i) - byte(b, i)) for i in range(4)) + c
  masked = lambda a, b, c: sum(abs(byte(a, i) - byte(b, i)) for i in range(4) if byte(b, i)) + c
  block('v_sad_u8', triple, BOTH, plain(sad))
  block('v_sad_hi_u8', triple, BOTH, plain(lambda a, b, c: (sad(a, b, 0) << 16) + c))
  block('v_msad_u8', triple, BOTH, plain(masked))
  block('v_sad_u16', triple, BOTH, plain(lambda a, b, c: abs((a & M16) - (b & M16)) + abs((a >> 16) - (b >> 16)) + c))
  block('v_sad_u32', triple, BOTH, plain(lambda a, b, c: abs(a - b) + c))
  block('v_lerp_u8', triple, BOTH,
        plain(lambda a, b, c: sum((byte(a, i) + byte(b, i) + (byte(c, i) & 1) >> 1) << 8 * i for i in range(4))))
  small = [0x0001000200030004, 0, 0x0100010001000100, 0x00ff1234000000ff]  # sums do not leave their 16 bits
  for name, f in (('v_qsad_pk_u16_u8', sad), ('v_mqsad_pk_u16_u8', masked)):
    block(name, 'b64 = b64 b32 b64', BOTH, special={2: small}, function=plain(
        lambda a, b, c: sum(f(a >> 8 * i & M32, b, c >> 16 * i & M16) << 16 * i for i in range(4))))
  block('v_mqsad_u32_u8', 'b128 = b64 b32 b128', BOTH, special={2: [1 | 2 << 32 | 3 << 64 | 4 << 96, 0, 7 << 100 | 0x10]},
        function=plain(lambda a, b, c: sum(masked(a >> 8 * i & M32, b, c >> 32 * i & M32) << 32 * i for i in range(4))))


def packed():
  one = lambda f, view=lambda v: v: plain(lambda *v: sum(
      (int(f(*(view(x >> 16 * i & M16) for x in v))) & M16) << 16 * i for i in range(2)))
  i16 = lambda v: s(v, 16)
  pair, triple = 'pb16 = pb16 pb16', 'pb16 = pb16 pb16 pb16'
  for name, f in (('add_u16', lambda a, b: a + b), ('sub_u16', lambda a, b: a - b), ('mul_lo_u16', lambda a, b: a * b),
                  ('add_i16', lambda a, b: a + b), ('sub_i16', lambda a, b: a - b), ('min_u16', min), ('max_u16', max),
                  ('lshlrev_b16', lambda a, b: b << (a & 15)), ('lshrrev_b16', lambda a, b: b >> (a & 15))):
    block('v_pk_' + name, pair, BOTH, one(f))
  for name, f in (('min_i16', min), ('max_i16', max), ('ashrrev_i16', lambda a, b: b >> (a & 15))):
    block('v_pk_' + name, pair, BOTH, one(f, i16))
  block('v_pk_mad_u16', triple, BOTH, one(lambda a, b, c: a * b + c))
  block('v_pk_mad_i16', triple, BOTH, one(lambda a, b, c: a * b + c))
  signed_clamp = lambda f: one(lambda *v: clamp(f(*v), -32768, 32767), i16)
  unsigned_clamp = lambda f: one(lambda *v: clamp(f(*v), 0, 65535))
  for name, f in (('add', lambda a, b: a + b), ('sub', lambda a, b: a - b)):
    block('v_pk_%s_u16' % name, pair, BOTH, unsigned_clamp(f), mods='clamp', count=12)
    block('v_pk_%s_i16' % name, pair, BOTH, signed_clamp(f), mods='clamp', count=12)
  block('v_pk_mad_u16', triple, BOTH, unsigned_clamp(lambda a, b, c: a * b + c), mods='clamp', count=12)
  block('v_pk_mad_i16', triple, BOTH, signed_clamp(lambda a, b, c: a * b + c), mods='clamp', count=12)


def dot(width, signs):
  def run(m, a, b, c):
    pick = lambda v, i, is_signed: s(v >> width * i, width) if is_signed else v >> width * i & ((1 << width) - 1)
    return sum(pick(a, i, signs[0]) * pick(b, i, signs[1]) for i in range(32 // width)) + s(c, 32)

  return run


def dots():
  triple, accumulate = 'b32 = b32 b32 b32', 'b32 = b32 b32 +b32'
  for name, width, signs in (('v_dot4_u32_u8', 8, (0, 0)), ('v_dot8_u32_u4', 4, (0, 0))):
    block(name, triple, BOTH, dot(width, signs))
    block(name, triple, BOTH, lambda m, a, b, c: clamp(dot(width, signs)(m, a, b, 0) + c, 0, M32), mods='clamp', count=15)
  for name, width in (('v_dot2_u32_u16', 16), ('v_dot2_i32_i16', 16), ('v_dot4_i32_i8', 8), ('v_dot8_i32_i4', 4)):
    is_signed = 'i32_i' in name
    block(name, triple, CDNA3, dot(width, (is_signed, is_signed)))
    low, high = (-(1 << 31), (1 << 31) - 1) if is_signed else (0, M32)
    block(name, triple, CDNA3, lambda m, a, b, c: clamp(dot(width, (is_signed, is_signed))(m, a, b, 0) +
                                                        (s(c, 32) if is_signed else c), low, high), mods='clamp', count=15)
  for name, width in (('v_dot2c_i32_i16', 16), ('v_dot4c_i32_i8', 8), ('v_dot8c_i32_i4', 4)):
    block(name, accumulate, CDNA3, dot(width, (1, 1)))
  for name, width in (('v_dot4_i32_iu8', 8), ('v_dot8_i32_iu4', 4)):
    for a in (0, 1):
      for b in (0, 1):
        mods = 'neg_lo:[%d,%d,0]' % (a, b) if a or b else ''
        block(name, triple, RDNA3, dot(width, (a, b)), mods=mods, count=15)
    block(name, triple, RDNA3, lambda m, a, b, c: clamp(dot(width, (1, 1))(m, a, b, c), -(1 << 31), (1 << 31) - 1),
          mods='neg_lo:[1,1,0] clamp', count=15)


def blocks():
  arithmetic_32()
  order(32)
  comparisons()
  bits_32()
  bits_64()
  words_16()
  sums_of_differences()
  packed()
  dots()
