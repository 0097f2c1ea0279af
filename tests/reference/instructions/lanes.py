# What moves between lanes, and what picks registers by number.
from fractions import Fraction

from cases import DEFAULT
from floats import BF8, F16, F32, FP8, NAN, convert, decode_fp8, fma, multiply
from states import case, initial_scalar, initial_vector, target
from vector_float import arithmetic
from vector_int import M32, M64

EXEC = {32: 0xf7fe3bdd, 64: 0x7fdeb3bdf7fe3bdd}
CHIPS = (('rdna3', 32), ('rdna3', 64), ('cdna3', 64))


def dpp_source(control, lane, lanes):
  """The lane that is read, or None."""
  name, _, value = control.partition(':')
  row, at = lane & ~15, lane & 15
  if name == 'quad_perm':
    return (lane & ~3) + eval(value)[lane & 3]
  if name == 'dpp8':
    return (lane & ~7) + eval(value)[lane & 7]
  n = int(value or 0)
  if name == 'row_shl':
    return lane + n if at + n < 16 else None
  if name == 'row_shr':
    return lane - n if at >= n else None
  if name == 'row_ror':
    return row + (at - n) % 16
  if name == 'row_mirror':
    return row + 15 - at
  if name == 'row_half_mirror':
    return (lane & ~7) + 7 - (lane & 7)
  if name in ('row_share', 'row_newbcast'):
    return row + n
  if name == 'row_xmask':
    return row + (at ^ n)
  if name == 'row_bcast':
    return (row - 1 if row else None) if n == 15 else (31 if lane >= 32 else None)
  if name == 'wave_shl':
    return lane + 1 if lane + 1 < lanes else None
  if name == 'wave_shr':
    return lane - 1 if lane else None
  return (lane + (1 if name == 'wave_rol' else -1)) % lanes


def dpp(control, lanes, rows=15, banks=15, bound=False, inactive=False, execute=None, in_place=False):
  execute = EXEC[lanes] if execute is None else execute
  source = 10 if in_place else 20
  out = []
  for lane in range(lanes):
    old = initial_vector(10, lane)
    from_lane = dpp_source(control, lane, lanes)
    valid = from_lane is not None and (inactive or execute >> from_lane & 1)
    if not execute >> lane & 1 or not rows >> lane // 16 & 1 or not banks >> lane // 4 % 4 & 1:
      out.append(old)
    elif valid:
      out.append(initial_vector(source, from_lane))
    else:
      out.append(0 if bound or control.startswith('dpp8') else old)
  text = 'v_mov_b32_dpp v10, v%d %s' % (source, control)
  if not control.startswith('dpp8'):
    text += ' row_mask:0x%x bank_mask:0x%x' % (rows, banks) + (' bound_ctrl:1' if bound else '')
  case(text + (' fi:1' if inactive else ''), {'exec': execute}, {'v10.0': out})


def dpp_blocks():
  shared = ['quad_perm:[3,0,2,1]', 'quad_perm:[0,0,0,0]', 'row_shl:1', 'row_shl:15', 'row_shr:1', 'row_shr:7', 'row_ror:1', 'row_ror:12',
            'row_mirror', 'row_half_mirror']
  own = {'rdna3': ['row_share:0', 'row_share:13', 'row_xmask:1', 'row_xmask:15'],
         'cdna3': ['wave_shl:1', 'wave_shr:1', 'wave_rol:1', 'wave_ror:1', 'row_bcast:15', 'row_bcast:31', 'row_newbcast:3']}
  for family, lanes in CHIPS:
    target(family, str(lanes))
    for control in shared + own[family]:
      dpp(control, lanes)
      dpp(control, lanes, bound=True)
    for control in ('row_shl:2', 'row_ror:3'):
      dpp(control, lanes, rows=5, banks=11)
      dpp(control, lanes, rows=10, banks=6, bound=True)
      dpp(control, lanes, execute=(1 << lanes) - 1, in_place=True)
      dpp(control, lanes, execute=(1 << lanes) - 1, bound=True)
    dpp('quad_perm:[1,2,3,0]', lanes, in_place=True)
    if family == 'rdna3':
      for control in ('row_shl:1', 'row_xmask:5', 'quad_perm:[3,0,2,1]', 'dpp8:[7,0,3,3,1,6,2,5]'):
        dpp(control, lanes, inactive=True)
        dpp(control, lanes, inactive=True, in_place=True)
      dpp('row_shl:3', lanes, inactive=True, bound=True)
      dpp('dpp8:[7,0,3,3,1,6,2,5]', lanes)
      dpp('dpp8:[1,2,3,4,5,6,7,0]', lanes, in_place=True)


def single_lanes():
  for family, lanes in CHIPS:
    target(family, str(lanes))
    for number in (0, 5, lanes - 1, lanes, lanes + 7, 0x80000003, M32):  # above the wave: the upper bits do not count
      lane = number % lanes
      case('v_readlane_b32 s8, v20, s4', {'s4': number, 'exec': 0xf0}, {'s8': initial_vector(20, lane)})
      case('v_writelane_b32 v20, s5, m0', {'m0': number, 'exec': 0xf0}, {'v20.%d' % lane: initial_scalar(5)})
    case('v_readlane_b32 s8, v20, 7', {}, {'s8': initial_vector(20, 7)})
    case('v_readlane_b32 s8, v20, m0', {'m0': 2}, {'s8': initial_vector(20, 2)})
    case('v_writelane_b32 v20, -5, 3', {'exec': 0}, {'v20.3': 0xfffffffb})
    for execute, lane in (((1 << lanes) - 1, 0), (0x30, 4), (1 << (lanes - 1), lanes - 1), (0, 0)):
      case('v_readfirstlane_b32 s8, v20', {'exec': execute}, {'s8': initial_vector(20, lane)})
    low = lambda lane: (1 << min(lane, 32)) - 1
    high = lambda lane: (1 << max(0, lane - 32)) - 1
    for name, below in (('lo', low), ('hi', high)):
      counts = [bin(0xa5f00f3c & below(lane)).count('1') + 100 for lane in range(lanes)]
      case('v_mbcnt_%s_u32_b32 v10, s4, v20' % name, {'s4': 0xa5f00f3c, 'v20': 100}, {'v10.0': counts})
      case('v_mbcnt_%s_u32_b32 v10, v20, 0' % name, {'v20': M32, 'exec': EXEC[lanes]},
           {'v10.0': [bin(below(lane)).count('1') if EXEC[lanes] >> lane & 1 else initial_vector(10, lane) for lane in range(lanes)]})


def permlanes():
  for lanes in (32, 64):
    target('rdna3', str(lanes))
    for name, other in (('v_permlane16_b32', 0), ('v_permlanex16_b32', 16)):
      for low, high, texts in ((0x76543210, 0xfedcba98, ('s4', 's5')), (0x12345678, 0x0f0e0d0c, ('s4', 's5')), (0xffffffff, 0, ('-1', '0')),
                               (0x32107654, 0x98badcfe, ('0x32107654', '0x98badcfe'))):
        for inactive, bound in ((0, 0), (1, 0), (0, 1)):
          for in_place in (False, True):
            if in_place and (bound or texts[0] != 's4'):
              continue
            source = 10 if in_place else 20
            out = []
            for lane in range(lanes):
              select = (high << 32 | low) >> 4 * (lane & 15) & 15
              from_lane = (lane & ~15 ^ other) + select
              if not EXEC[lanes] >> lane & 1:
                out.append(initial_vector(10, lane))
              elif inactive or EXEC[lanes] >> from_lane & 1:
                out.append(initial_vector(source, from_lane))
              else:
                out.append(0 if bound else initial_vector(10, lane))
            flags = ' op_sel:[%d,%d]' % (inactive, bound) if inactive or bound else ''
            if texts[0].startswith('0x') and texts[0] != texts[1]:
              continue  # one literal an instruction
            case('%s v10, v%d, %s, %s%s' % (name, source, *texts, flags), {'s4': low, 's5': high, 'exec': EXEC[lanes]}, {'v10.0': out})
    literal = 0x32107654
    out = [initial_vector(20, (lane & ~15) + (literal >> 4 * (lane & 7) & 15)) for lane in range(lanes)]
    case('v_permlane16_b32 v10, v20, 0x%x, 0x%x' % (literal, literal), {}, {'v10.0': out})
    if lanes == 64:
      case('v_permlane64_b32 v10, v20', {'exec': EXEC[64]}, {'v10.0': [
          initial_vector(20, lane ^ 32) if EXEC[64] >> lane & 1 else initial_vector(10, lane) for lane in range(64)]})
    else:
      case('v_permlane64_b32 v10, v20', {}, {})


def registers_by_number():
  target('rdna3', 'cdna3')
  case('v_swap_b32 v10, v20', {'v10': 1, 'v20': 2, 'exec': 0xf0}, {'v10': 2, 'v20': 1})
  case('v_nop', {}, {})
  target('cdna3')
  case('v_clrexcp', {}, {})
  case('v_accvgpr_write_b32 a5, v3', {'v3': 7, 'exec': 0xff}, {'a5': 7})
  case('v_accvgpr_write_b32 a5, 1.0', {}, {'a5': 0x3f800000})
  case('v_accvgpr_read_b32 v3, a5', {'a5': 9, 'exec': 0xff}, {'v3': 9})
  case('v_accvgpr_mov_b32 a3, a5', {'a5': 9, 'exec': 0xff}, {'a3': 9})
  target('rdna3')
  case('v_swap_b16 v10.l, v20.h', {'v10': 0x11112222, 'v20': 0x33334444, 'exec': 0xf0}, {'v10': 0x11113333, 'v20': 0x22224444})
  case('v_pipeflush', {}, {})
  case('v_movreld_b32 v10, v20', {'m0': 3, 'v20': 5, 'exec': 0xf0}, {'v13': 5})
  case('v_movrels_b32 v10, v20', {'m0': 3, 'v23': 5, 'exec': 0xf0}, {'v10': 5})
  case('v_movrelsd_b32 v10, v20', {'m0': 3, 'v23': 5, 'exec': 0xf0}, {'v13': 5})
  case('v_movrelsd_2_b32 v10, v20', {'m0': 3 | 5 << 16, 'v23': 5, 'exec': 0xf0}, {'v15': 5})
  case('v_swaprel_b32 v10, v20', {'m0': 3 | 5 << 16, 'v23': 7, 'v15': 9, 'exec': 0xf0}, {'v15': 7, 'v23': 9})
  case('s_movrelsd_2_b32 s8, s20', {'m0': 3 | 5 << 16, 's23': 7}, {'s13': 7})
  target('rdna3', 'cdna3')
  case('s_movrels_b32 s8, s20', {'m0': 3, 's23': 7}, {'s8': 7})
  case('s_movrels_b64 s[8:9], s[20:21]', {'m0': 2, 's[22:23]': 0x700000006}, {'s[8:9]': 0x700000006})
  case('s_movreld_b32 s8, s20', {'m0': 3, 's20': 7}, {'s11': 7})
  case('s_movreld_b64 s[8:9], s[20:21]', {'m0': 2, 's[20:21]': 0x700000006}, {'s[10:11]': 0x700000006})


def f(value):
  value = Fraction(value)
  return F32.round(int(value < 0), abs(value))


def h(value):
  value = Fraction(value)
  return F16.round(int(value < 0), abs(value))


def mixed_precision():
  """f32 where op_sel_hi is 0, else the half that op_sel picks."""
  before = {'v20': f(3), 'v30': h('1.5') | h(-2) << 16, 'v40': h('0.25') | h(7) << 16}
  for family in ('rdna3', 'cdna3'):
    target(family)
    for op_sel, op_sel_hi, value in (([0, 0, 0], [0, 1, 1], '4.75'), ([0, 1, 0], [0, 1, 1], '-5.75'), ([0, 1, 1], [0, 1, 1], 1),
                                     ([0, 0, 1], [0, 1, 1], '11.5')):
      mods = ' op_sel:[%d,%d,%d] op_sel_hi:[%d,%d,%d]' % (*op_sel, *op_sel_hi)
      case('v_fma_mix_f32 v10, v20, v30, v40' + mods, {**before, 'exec': 0xff}, {'v10': f(Fraction(value))})
      old = {'v10': 0xaaaabbbb, 'exec': 0xff}
      case('v_fma_mixlo_f16 v10, v20, v30, v40' + mods, {**before, **old}, {'v10': 0xaaaa0000 | h(Fraction(value))})
      case('v_fma_mixhi_f16 v10, v20, v30, v40' + mods, {**before, **old}, {'v10': h(Fraction(value)) << 16 | 0xbbbb})
    case('v_fma_mix_f32 v10, -v20, |v30|, v40 op_sel:[0,1,0] op_sel_hi:[0,1,1]', before, {'v10': f('-5.75')})
    case('v_fma_mix_f32 v10, v20, v30, v40 op_sel:[0,1,0] op_sel_hi:[0,1,1] clamp', before, {'v10': 0})
  target('rdna3')
  for mnemonic, new in (('v_fma_mix_f32', lambda v, old: f(v)), ('v_fma_mixlo_f16', lambda v, old: old & 0xffff0000 | h(v)),
                        ('v_fma_mixhi_f16', lambda v, old: old & 0xffff | h(v) << 16)):
    for control in ('dpp8:[1,0,3,2,5,4,7,6]', 'quad_perm:[1,0,3,2] row_mask:0xf bank_mask:0xf'):
      lanes = [f(1 + (lane ^ 1)) for lane in range(8)]
      case('%s_e64_dpp v10, v20, v30, v40 op_sel_hi:[0,0,0] %s' % (mnemonic, control),
           {'v20.0': lanes, 'v30': f(2), 'v40': f(1), 'exec': 0xff},
           {'v10.0': [new(2 * (1 + lane) + 1, initial_vector(10, lane)) for lane in range(8)]})


def packed_extras():
  target('rdna3', 'cdna3')
  # An inline constant is the low half alone; op_sel_hi 0 takes it for both.
  case('v_pk_add_f16 v10, v20, 1.0 op_sel_hi:[1,0]', {'v20': h(2) | h(3) << 16}, {'v10': h(3) | h(4) << 16})
  case('v_pk_add_u16 v10, v20, 5 op_sel_hi:[1,0]', {'v20': 0x00020001}, {'v10': 0x00070006})
  case('v_pk_add_u16 v10, v20, s4', {'v20': 0x00020001, 's4': 0x00300040}, {'v10': 0x00320041})
  target('cdna3')
  for a, b in ((0, 0), (1, 0), (0, 1), (1, 1)):
    case('v_pk_mov_b32 v[10:11], v[20:21], v[30:31] op_sel:[%d,%d]' % (a, b), {'v[20:21]': 2 << 32 | 1, 'v[30:31]': 4 << 32 | 3},
         {'v[10:11]': (4 if b else 3) << 32 | (2 if a else 1)})
  # Its operands have 64 bits: an inline integer is sign-extended.
  for a in (0, 1):
    case('v_pk_mov_b32 v[10:11], -2, v[30:31] op_sel:[%d,0]' % a, {'v[30:31]': 4 << 32 | 3}, {'v[10:11]': 3 << 32 | M32 - 1 + a})
    case('v_pk_mov_b32 v[10:11], 7, v[30:31] op_sel:[%d,0]' % a, {'v[30:31]': 4 << 32 | 3}, {'v[10:11]': 3 << 32 | (0 if a else 7)})
  # Stochastic rounding adds the upper random bits below the last place: none, and all but one ulp.
  for name, fmt in (('fp8', FP8), ('bf8', BF8)):
    for value, random, byte in (('1.0', 0, 1 << fmt.mantissa), ('1.0', M32, 1 << fmt.mantissa)):
      code = next(v for v in range(0x80) if decode_fp8(v, fmt)[2] == Fraction(value))
      for place in range(4):
        mods = ' op_sel:[0,0,%d,%d]' % (place & 1, place >> 1) if place else ''
        case('v_cvt_sr_%s_f32 v10, v20, v30%s' % (name, mods), {'v10': 0x55555555, 'v20': f(Fraction(value)), 'v30': random},
             {'v10': 0x55555555 & ~(0xff << 8 * place) | code << 8 * place})
    word = 0xc4380840
    for i in range(4):
      code = word >> 8 * i & 0xff
      case('v_cvt_f32_%s_sdwa v10, v20 src0_sel:BYTE_%d' % (name, i), {'v20': word},
           {'v10': convert(F32, decode_fp8(code, fmt))})


def dual():
  """Both halves read before either writes. Constant registers are of different banks."""
  target('rdna3', '32')
  values = {'v0': f(2), 'v1': f(3), 'v2': f(5), 'v3': f(7), 'v8': f(10), 'v9': f(20), 'vcc': 0xf0f0f0f0}
  halves = lambda a, b: h(a) | h(b) << 16
  number = {'v0': Fraction(2), 'v1': Fraction(3), 'v2': Fraction(5), 'v3': Fraction(7), 'v8': Fraction(10), 'v9': Fraction(20)}
  ops = {'add_f32': lambda a, b, d: a + b, 'sub_f32': lambda a, b, d: a - b, 'subrev_f32': lambda a, b, d: b - a,
         'mul_f32': lambda a, b, d: a * b, 'mul_dx9_zero_f32': lambda a, b, d: a * b, 'max_f32': lambda a, b, d: max(a, b),
         'min_f32': lambda a, b, d: min(a, b), 'fmac_f32': lambda a, b, d: a * b + d}
  for x, fx in ops.items():
    for y, fy in (('add_f32', ops['add_f32']), (x, fx)):
      case('v_dual_%s v8, v0, v1 :: v_dual_%s v9, v3, v2' % (x, y), values,
           {'v8': f(fx(number['v0'], number['v1'], number['v8'])), 'v9': f(fy(number['v3'], number['v2'], number['v9']))})
  case('v_dual_add_f32 v1, v0, v3 :: v_dual_mul_f32 v0, v1, v2', values, {'v1': f(9), 'v0': f(15)})
  case('v_dual_mov_b32 v1, v0 :: v_dual_mov_b32 v0, v1', values, {'v1': f(2), 'v0': f(3)})
  case('v_dual_fmaak_f32 v8, v0, v1, 0x40a00000 :: v_dual_fmamk_f32 v9, v3, 0x40a00000, v2', values, {'v8': f(11), 'v9': f(40)})
  case('v_dual_fmamk_f32 v8, v0, 0x40a00000, v1 :: v_dual_fmaak_f32 v9, v3, v2, 0x40a00000', values, {'v8': f(13), 'v9': f(40)})
  case('v_dual_mul_f32 v8, 0x40a00000, v1 :: v_dual_add_f32 v9, 0x40a00000, v2', values, {'v8': f(15), 'v9': f(10)})
  case('v_dual_mul_f32 v8, s4, v1 :: v_dual_add_f32 v9, s5, v2', {**values, 's4': f(4), 's5': f(6)}, {'v8': f(12), 'v9': f(11)})
  select = lambda a, b: [b if 0xf0f0f0f0 >> lane & 1 else a for lane in range(32)]
  case('v_dual_cndmask_b32 v8, v0, v1 :: v_dual_cndmask_b32 v9, v3, v2', values, {'v8.0': select(f(2), f(3)), 'v9.0': select(f(7), f(5))})
  ints = {'v0': 0xff, 'v1': 0x0ff0, 'v2': 4, 'v3': 3}
  case('v_dual_mov_b32 v8, v0 :: v_dual_add_nc_u32 v9, v3, v2', ints, {'v8': 0xff, 'v9': 7})
  case('v_dual_mov_b32 v8, v0 :: v_dual_lshlrev_b32 v9, v3, v2', ints, {'v8': 0xff, 'v9': 32})
  case('v_dual_mov_b32 v8, v0 :: v_dual_and_b32 v9, v1, v2', {**ints, 'v2': 0xff}, {'v8': 0xff, 'v9': 0xf0})
  pairs = {'v0': halves(1, 2), 'v1': halves(3, 4), 'v2': halves(5, 6), 'v3': halves(1, -1), 'v8': f(10), 'v9': f(20)}
  case('v_dual_dot2acc_f32_f16 v8, v0, v1 :: v_dual_dot2acc_f32_f16 v9, v3, v2', pairs, {'v8': f(21), 'v9': f(19)})
  brain = lambda a, b: f(a) >> 16 | f(b) & 0xffff0000
  pairs = {'v0': brain(1, 2), 'v1': brain(3, 4), 'v2': brain(5, 6), 'v3': brain(1, -1), 'v8': f(10), 'v9': f(20)}
  case('v_dual_dot2acc_f32_bf16 v8, v0, v1 :: v_dual_dot2acc_f32_bf16 v9, v3, v2', pairs, {'v8': f(21), 'v9': f(19)})
  case('v_dual_add_f32 v8, v0, v1 :: v_dual_add_f32 v9, v3, v2', {**values, 'exec': 0xf0}, {'v8': f(5), 'v9': f(12)})


def blocks():
  single_lanes()
  dpp_blocks()
  permlanes()
  registers_by_number()
  mixed_precision()
  packed_extras()
  dual()
