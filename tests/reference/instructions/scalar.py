# Scalar arithmetic, moves, comparisons: results and SCC. None for an SCC that stays.
from fractions import Fraction

from cases import DEFAULT, SPECIAL, inputs_for
from floats import F16, F32, NAN, add, convert, fma, multiply, negate, to_integer
from states import case, target
from vector_float import arithmetic, least, nearest, operand, rounded, subtract
from vector_int import M32, M64, s

import math

S32 = [[1, 2], [M32, 1], [0x7fffffff, 1], [0x80000000, 0x80000000], [5, 0xfffffff0], [0x12345678, 0x21], [0, 0], [0x80000000, 0x7fffffff],
       [0xaaaaaaaa, 0x55555555], [0xf0f00f0f, 0x1f]]
S64 = [[1, 2], [M64, 1], [1 << 63, 63], [0x123456789abcdef0, 0x41], [0, 0], [0xaaaaaaaaaaaaaaaa, 0x5555555555555555], [0xffffffff00000000, 33]]
UNARY32 = [0, 1, M32, 0x80000000, 0x7fffffff, 0x00012345, 0xfffffff0, 0x00008080, 0xf000000f]
UNARY64 = [0, 1, M64, 1 << 63, 1 << 32, 0x123456789abcdef0, 0xffffffff, 0xffffffff00000000, (1 << 63) - 1]


def register(n, width):
  return 's%d' % n if width == 32 else 's[%d:%d]' % (n, n + 1)


def mask(value, width):
  return value & ((1 << width) - 1)


def two(name, function, width=32, second=None, out=None, cases=None):
  """function(a, b, scc) -> result, scc."""
  second, out = second or width, out or width
  for i, (a, b) in enumerate(cases or (S32 if width == 32 else S64)):
    b = mask(b, second)
    for scc in (0, 1):
      result, carry = function(a, b, scc)
      before = {register(4, width): a, register(6, second): b, 'scc': scc}
      after = {register(8, out): mask(result, out)}
      if carry is not None:
        after['scc'] = int(carry)
      if scc == (i & 1) or 'c' in name[6:7] or name.startswith('s_cselect'):
        case('%s %s, %s, %s' % (name, register(8, out), register(4, width), register(6, second)), before, after)


def one(name, function, width=32, out=None, cases=None):
  """function(a, scc, old) -> result, scc."""
  out = out or width
  for i, a in enumerate(cases or (UNARY32 if width == 32 else UNARY64)):
    scc, old = i & 1, 0x5a5a1234
    result, flag = function(a, scc, old)
    after = {register(8, out): mask(result, out)}
    if flag is not None:
      after['scc'] = int(flag)
    case('%s %s, %s' % (name, register(8, out), register(4, width)), {register(4, width): a, register(8, out): old, 'scc': scc}, after)


def nonzero(function, width):
  def run(a, b, scc):
    result = mask(function(a, b), width)
    return result, result != 0

  return run


def arithmetic_2():
  i = lambda v: s(v, 32)
  two('s_add_u32', lambda a, b, c: (a + b, a + b > M32))
  two('s_sub_u32', lambda a, b, c: (a - b, a < b))
  two('s_add_i32', lambda a, b, c: (a + b, i(a) + i(b) != i(a + b)))
  two('s_sub_i32', lambda a, b, c: (a - b, i(a) - i(b) != i(a - b)))
  two('s_addc_u32', lambda a, b, c: (a + b + c, a + b + c > M32))
  two('s_subb_u32', lambda a, b, c: (a - b - c, a - b - c < 0))
  # Where the difference does not fit, documents and hardware are not known to agree.
  two('s_absdiff_i32', lambda a, b, c: (abs(i(a) - i(b)), a != b), cases=[[5, 9], [9, 5], [7, 7], [M32, 3], [0x7fffffff, 0]])
  two('s_mul_i32', lambda a, b, c: (a * b, None))
  two('s_mul_hi_u32', lambda a, b, c: (a * b >> 32, None))
  two('s_mul_hi_i32', lambda a, b, c: (i(a) * i(b) >> 32, None))
  different = [v for v in S32 if v[0] != v[1]]  # SCC of equal operands: documents say 1, hardware is said to give 0
  two('s_min_i32', lambda a, b, c: (a if i(a) < i(b) else b, i(a) < i(b)), cases=different)
  two('s_max_i32', lambda a, b, c: (a if i(a) > i(b) else b, i(a) > i(b)), cases=different)
  two('s_min_u32', lambda a, b, c: (min(a, b), a < b), cases=different)
  two('s_max_u32', lambda a, b, c: (max(a, b), a > b), cases=different)
  for n in (1, 2, 3, 4):
    two('s_lshl%d_add_u32' % n, lambda a, b, c: ((a << n) + b, (a << n) + b > M32))
  two('s_pack_ll_b32_b16', lambda a, b, c: (a & 0xffff | b << 16, None))
  two('s_pack_lh_b32_b16', lambda a, b, c: (a & 0xffff | b & 0xffff0000, None))
  two('s_pack_hh_b32_b16', lambda a, b, c: (a >> 16 | b & 0xffff0000, None))
  target('rdna3')
  two('s_pack_hl_b32_b16', lambda a, b, c: (a >> 16 | b << 16, None))
  target('rdna3', 'cdna3')


def bits_2():
  logic = {'and': lambda a, b: a & b, 'or': lambda a, b: a | b, 'xor': lambda a, b: a ^ b, 'nand': lambda a, b: ~(a & b),
           'nor': lambda a, b: ~(a | b), 'xnor': lambda a, b: ~(a ^ b)}
  for width in (32, 64):
    for name, f in logic.items():
      two('s_%s_b%d' % (name, width), nonzero(f, width), width)
    for names, f in ((('s_and_not1', 's_andn2'), lambda a, b: a & ~b), (('s_or_not1', 's_orn2'), lambda a, b: a | ~b)):
      for name, family in zip(names, ('rdna3', 'cdna3')):
        target(family)
        two('%s_b%d' % (name, width), nonzero(f, width), width)
    target('rdna3', 'cdna3')
    two('s_cselect_b%d' % width, lambda a, b, c: (a if c else b, None), width)
    low = width - 1
    two('s_lshl_b%d' % width, nonzero(lambda a, b: a << (b & low), width), width, 32)
    two('s_lshr_b%d' % width, nonzero(lambda a, b: a >> (b & low), width), width, 32)
    two('s_ashr_i%d' % width, nonzero(lambda a, b: s(a, width) >> (b & low), width), width, 32)
    two('s_bfm_b%d' % width, lambda a, b, c: (((1 << (a & low)) - 1) << (b & low), None), 32, 32, width)
    fields = [[0x123456789abcdef0 & ((1 << width) - 1), offset | count << 16] for offset, count in
              ((0, 8), (4, 12), (20, 12), (31, 1), (3, 0), (8, 16), (0, 32))]
    if width == 64:
      fields += [[1 << 63, 63 | 1 << 16], [M64, 10 | 50 << 16], [0xfedcba9876543210, 16 | 48 << 16]]
    fields = [f for f in fields if (f[1] & low) + (f[1] >> 16 & 0x7f) <= width]
    unsigned = lambda a, b: a >> (b & low) & ((1 << (b >> 16 & 0x7f)) - 1)
    two('s_bfe_u%d' % width, nonzero(unsigned, width), width, 32, cases=fields)
    two('s_bfe_i%d' % width, nonzero(lambda a, b: s(unsigned(a, b), b >> 16 & 0x7f) if b >> 16 & 0x7f else 0, width), width, 32,
        cases=fields)


def bits_1():
  for width in (32, 64):
    full = (1 << width) - 1
    end = 'b%d' % width
    one('s_mov_' + end, lambda a, c, old: (a, None), width)
    one('s_cmov_' + end, lambda a, c, old: (a if c else old, None), width)
    one('s_not_' + end, lambda a, c, old: (~a, a != full), width)
    one('s_brev_' + end, lambda a, c, old: (int(('{:0%db}' % width).format(a)[::-1], 2), None), width)
    count = lambda a: bin(a).count('1')
    one('s_bcnt1_i32_' + end, lambda a, c, old: (count(a), a != 0), width, 32)
    one('s_bcnt0_i32_' + end, lambda a, c, old: (width - count(a), a != full), width, 32)
    leading = lambda a: width - a.bit_length() if a else -1
    trailing = lambda a: (a & -a).bit_length() - 1
    run = lambda a: leading(a ^ full if a >> (width - 1) else a)
    signs = {32: ('s_cls_i32', 's_flbit_i32'), 64: ('s_cls_i32_i64', 's_flbit_i32_i64')}[width]
    zeros = {32: ('s_clz_i32_u32', 's_flbit_i32_b32'), 64: ('s_clz_i32_u64', 's_flbit_i32_b64')}[width]
    for names, f in ((zeros, leading), (('s_ctz_i32_' + end, 's_ff1_i32_' + end), trailing), (signs, run)):
      for name, family in zip(names, ('rdna3', 'cdna3')):
        target(family)
        one(name, lambda a, c, old: (f(a), None), width, 32)
    target('cdna3')
    one('s_ff0_i32_' + end, lambda a, c, old: (trailing(~a & full), None), width, 32)
    target('rdna3', 'cdna3')
    old_wide = 0x5a5a1234
    low = width - 1
    for name, f in (('s_bitset0_', lambda a, old: old & ~(1 << (a & low))), ('s_bitset1_', lambda a, old: old | 1 << (a & low))):
      for a in (0, 4, 31, 33, 2):
        case('%s%s %s, s4' % (name, end, register(8, width)), {'s4': a, register(8, width): old_wide}, {register(8, width): f(a, old_wide)})
    quads = lambda a: sum(1 << i for i in range(width // 4) if a >> 4 * i & 15)
    whole = lambda a: sum(15 << 4 * i for i in range(width // 4) if a >> 4 * i & 15)
    one('s_quadmask_' + end, lambda a, c, old: (quads(a), a != 0), width)
    one('s_wqm_' + end, lambda a, c, old: (whole(a), a != 0), width)
  one('s_abs_i32', lambda a, c, old: (abs(s(a, 32)), a != 0))
  one('s_sext_i32_i8', lambda a, c, old: (s(a, 8), None))
  one('s_sext_i32_i16', lambda a, c, old: (s(a, 16), None))
  one('s_bitreplicate_b64_b32', lambda a, c, old: (sum(3 << 2 * i for i in range(32) if a >> i & 1), None), 32, 64)


def comparisons():
  compare = lambda name, a, b, flag, width=32, second=None: case(
      '%s %s, %s' % (name, register(4, width), register(6, second or width)),
      {register(4, width): a, register(6, second or width): b, 'scc': 1 - int(flag)}, {'scc': int(flag)})
  tests = {'eq': lambda a, b: a == b, 'lg': lambda a, b: a != b, 'gt': lambda a, b: a > b, 'ge': lambda a, b: a >= b,
           'lt': lambda a, b: a < b, 'le': lambda a, b: a <= b}
  for letter, view in (('i', lambda v: s(v, 32)), ('u', lambda v: v)):
    for name, test in tests.items():
      for a, b in S32[:8] + [[2, 1]]:
        compare('s_cmp_%s_%s32' % (name, letter), a, b, test(view(a), view(b)))
      for a, immediate in ((5, 5), (4, 5), (6, 5), (M32, 0xffff), (0xffff, 0xffff), (0x80000000, 3), (0xffff8000, 0x8000)):
        b = s(immediate, 16) & M32 if letter == 'i' else immediate
        flag = test(view(a), view(b))
        case('s_cmpk_%s_%s32 s4, 0x%x' % (name, letter, immediate), {'s4': a, 'scc': 1 - int(flag)}, {'scc': int(flag)})
  for a, b in S64 + [[7, 7], [M64, M64]]:
    compare('s_cmp_eq_u64', a, b, a == b, 64)
    compare('s_cmp_lg_u64', a, b, a != b, 64)
  for width in (32, 64):
    for a, b in ((1, 0), (1, 1), (1 << (width - 1), width - 1), (1 << 31, width + 31), (0xff, 8)):
      bit = a >> (b & (width - 1)) & 1
      compare('s_bitcmp1_b%d' % width, a, b, bit, width, 32)
      compare('s_bitcmp0_b%d' % width, a, b, 1 - bit, width, 32)
  for scc in (0, 1):
    case('s_movk_i32 s4, 0x8001', {'scc': scc}, {'s4': 0xffff8001})
    case('s_cmovk_i32 s4, 0x7001', {'scc': scc, 's4': 9}, {'s4': 0x7001 if scc else 9})
    for a, k in ((5, 6), (0x7fffffff, 1), (0x80000000, 0xffff), (3, 0xfffd)):
      total = s(a, 32) + s(k, 16)
      case('s_addk_i32 s4, 0x%x' % k, {'s4': a, 'scc': scc}, {'s4': total & M32, 'scc': int(total != s(total, 32))})
      case('s_mulk_i32 s4, 0x%x' % k, {'s4': a, 'scc': scc}, {'s4': a * s(k, 16) & M32})


def operands():
  """What a scalar operand can be."""
  for text, value in (('0', 0), ('64', 64), ('-16', 0xfffffff0), ('0.5', 0x3f000000), ('-4.0', 0xc0800000), ('0.15915494', 0x3e22f983),
                      ('0x12345678', 0x12345678), ('vcc_hi', 0x77), ('m0', 0x99), ('exec_lo', 0xabc), ('s4', 0x55)):
    case('s_mov_b32 s8, ' + text, {'vcc_hi': 0x77, 'm0': 0x99, 'exec_lo': 0xabc, 's4': 0x55}, {'s8': value})
  for text, value in (('-1', M64), ('0x7fffffff', 0x7fffffff), ('1.0', 0x3ff0000000000000), ('0.15915494309189532', 0x3fc45f306dc9c882),
                      ('s[4:5]', 0x1122334455667788)):
    case('s_mov_b64 s[8:9], ' + text, {'s[4:5]': 0x1122334455667788}, {'s[8:9]': value})
  case('s_add_u32 vcc_lo, s4, s4', {'s4': 3}, {'vcc_lo': 6, 'scc': 0})
  case('s_mov_b32 m0, s4', {'s4': 3}, {'m0': 3})
  case('s_lshl_b64 s[4:5], s[4:5], s4', {'s[4:5]': 0x100000003}, {'s[4:5]': 0x800000018, 'scc': 1})  # overlapping
  case('s_lshr_b64 s[6:7], s[4:5], s7', {'s[4:5]': 0x100000003, 's7': 1}, {'s[6:7]': 0x80000001, 'scc': 1})
  target('rdna3')
  case('s_mov_b32 null, s4', {}, {})
  case('s_mov_b32 s8, null', {}, {'s8': 0})
  case('s_add_u32 null, s4, s5', {'s4': M32, 's5': 1}, {'scc': 1})
  target('rdna3', 'cdna3')


def saved_exec():
  forms = [('and', lambda a, e: a & e), ('or', lambda a, e: a | e), ('xor', lambda a, e: a ^ e), ('nand', lambda a, e: ~(a & e)),
           ('nor', lambda a, e: ~(a | e)), ('xnor', lambda a, e: ~(a ^ e))]
  split = [(('and_not0', 'andn1'), lambda a, e: ~a & e), (('and_not1', 'andn2'), lambda a, e: a & ~e),
           (('or_not0', 'orn1'), lambda a, e: ~a | e), (('or_not1', 'orn2'), lambda a, e: a | ~e)]
  values = {32: [(0xff00ff00, 0x0ff0f00f), (0xf, 0xf0), (M32, M32), (0, 0)],
            64: [(0xff00ff00ff00ff00, 0x0ff00ff0f00f), (0xf, 0xf0), (M64, M64), (0, 0)]}

  def lines(name, width, f, saves=True):
    for a, e in values[width]:
      if width == 32:
        e &= M32
      result = mask(f(a, e), width)
      exec_name = 'exec_lo' if width == 32 else 'exec'
      case('s_%s_b%d %s, %s' % (name, width, register(8, width), register(4, width)), {register(4, width): a, exec_name: e},
           {register(8, width): e if saves else result, exec_name: result, 'scc': int(result != 0)})

  for width, families in ((32, ('rdna3', '32')), (64, ('rdna3', 'cdna3', '64'))):
    target(*families)
    for name, f in forms:
      lines(name + '_saveexec', width, f)
    for names, f in split:
      for name, family in zip(names, ('rdna3', 'cdna3')):
        if family in families:
          target(family, str(width))
          lines(name + '_saveexec', width, f)
          if name[:3] == 'and':
            lines(name + '_wrexec', width, f, False)
  target('rdna3', 'cdna3')


def floats_1150():
  """The scalar float instructions of gfx1150 and later."""
  target('gfx1151')
  for kind, fmt in (('f32', F32), ('f16', F16)):
    wide = lambda v: v if fmt is F32 else v | 0xabcd0000  # the upper half is not read
    pairs = inputs_for('scalar' + kind, [kind, kind], 18)
    for name, f in (('add', add), ('sub', subtract), ('mul', multiply)):
      for a, b in pairs:
        result = arithmetic(fmt, f)(DEFAULT, a, b)
        if result != NAN or fmt is F32:
          case('s_%s_%s s8, s4, s6' % (name, kind), {'s4': wide(a), 's6': wide(b)}, {'s8': result})
    for name, sign in (('min', 1), ('max', -1)):
      for a, b in pairs:
        result = least(fmt, DEFAULT, a, b, sign)
        if result != NAN:  # what signalling NaNs do to these is documented nowhere
          case('s_%s_%s s8, s4, s6' % (name, kind), {'s4': wide(a), 's6': wide(b)}, {'s8': result})
    for a, b, c in inputs_for('scalar3' + kind, [kind] * 3, 18):
      result = arithmetic(fmt, fma)(DEFAULT, a, b, c)
      if result != NAN or fmt is F32:
        case('s_fmac_%s s8, s4, s6' % kind, {'s4': wide(a), 's6': wide(b), 's8': wide(c)}, {'s8': result})
    for name, how in (('ceil', math.ceil), ('floor', math.floor), ('trunc', math.trunc), ('rndne', nearest)):
      for a in SPECIAL[kind]:
        result = arithmetic(fmt, rounded(how))(DEFAULT, a)
        if result != NAN or fmt is F32:
          case('s_%s_%s s8, s4' % (name, kind), {'s4': wide(a)}, {'s8': result})
    comparisons_1150(kind, fmt, wide)
  for a, b, c in inputs_for('scalar_k', ['f32'] * 3, 8):
    result = arithmetic(F32, fma)(DEFAULT, a, b, 0x40490fdb)
    case('s_fmaak_f32 s8, s4, s6, 0x40490fdb', {'s4': a, 's6': b}, {'s8': result})
    result = arithmetic(F32, fma)(DEFAULT, a, 0x40490fdb, b)
    case('s_fmamk_f32 s8, s4, 0x40490fdb, s6', {'s4': a, 's6': b}, {'s8': result})
  for a in SPECIAL['f32'] + [0x477fefff, 0x477ff000, 0x38801000, 0x4f000000, 0x4effffff, 0x4f800000]:
    number = F32.decode(a)
    case('s_cvt_i32_f32 s8, s4', {'s4': a}, {'s8': to_integer(number, -(1 << 31), (1 << 31) - 1) & M32})
    case('s_cvt_u32_f32 s8, s4', {'s4': a}, {'s8': to_integer(number, 0, M32)})
    if convert(F16, number) != NAN:
      case('s_cvt_f16_f32 s8, s4', {'s4': a}, {'s8': convert(F16, number)})
      case('s_cvt_pk_rtz_f16_f32 s8, s4, s6', {'s4': a, 's6': 0xbf8fffff},
           {'s8': convert(F16, number, 3) | convert(F16, F32.decode(0xbf8fffff), 3) << 16})
  for a in SPECIAL['f16']:
    case('s_cvt_f32_f16 s8, s4', {'s4': a | 0x12340000}, {'s8': convert(F32, F16.decode(a))})
    case('s_cvt_hi_f32_f16 s8, s4', {'s4': a << 16 | 0x1234}, {'s8': convert(F32, F16.decode(a))})
  for a in UNARY32 + [0x1000001, 0x1000003, 0xff000001]:
    case('s_cvt_f32_i32 s8, s4', {'s4': a}, {'s8': F32.round(a >> 31, Fraction(abs(s(a, 32))))})
    case('s_cvt_f32_u32 s8, s4', {'s4': a}, {'s8': F32.round(0, Fraction(a))})
  target('rdna3', 'cdna3')


def comparisons_1150(kind, fmt, wide):
  tests = {'lt': lambda o: o < 0, 'eq': lambda o: o == 0, 'le': lambda o: o <= 0, 'gt': lambda o: o > 0, 'lg': lambda o: o != 0,
           'ge': lambda o: o >= 0}
  one_bits = fmt.bias << fmt.mantissa
  values = [[one_bits, one_bits], [0, fmt.sign], [one_bits, 0], [fmt.sign | one_bits, one_bits], [fmt.quiet, one_bits],
            [fmt.infinity, fmt.largest], [1, 2]]
  for a, b in values:
    x, y = fmt.decode(a), fmt.decode(b)
    nan = 'nan' in (x[0], y[0])
    rank = lambda n: (n[0] == 'inf', n[2]) if not n[1] else (False, -n[2])
    order = (rank(x) > rank(y)) - (rank(x) < rank(y))
    flags = {}
    for name, test in tests.items():
      flags[name] = not nan and test(order)
      flags['n' + name] = nan or not test(order)
    flags['o'], flags['u'] = not nan, nan
    for name, flag in flags.items():
      case('s_cmp_%s_%s s4, s6' % (name, kind), {'s4': wide(a), 's6': wide(b), 'scc': 1 - int(flag)}, {'scc': int(flag)})


def blocks():
  target('rdna3', 'cdna3')
  arithmetic_2()
  bits_2()
  bits_1()
  comparisons()
  operands()
  saved_exec()
  floats_1150()
