# Loads, stores and atomics: LDS, global, flat, scratch, buffer and scalar memory, on a model of bytes.
import struct
from fractions import Fraction

from floats import BF16, F16, F32, F64
from states import case, initial_scratch, initial_vector, initial_word, target
from vector_int import M32, M64, s

ACTIVE = [0, 1, 5, 31]
EXEC = sum(1 << lane for lane in ACTIVE)
SIZE = 4096


class Bytes:
  """The test's LDS, memory, or one lane's scratch; remembers what changed."""

  def __init__(self, name, word, size=SIZE):
    self.name = name
    self.data = bytearray(b''.join(struct.pack('<I', word(i)) for i in range(size // 4)))
    self.before = bytes(self.data)

  def get(self, address, size):
    if address < 0 or address + size > len(self.data):
      return 0
    return int.from_bytes(self.data[address:address + size], 'little')

  def put(self, address, size, value):
    if 0 <= address and address + size <= len(self.data):
      self.data[address:address + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, 'little')

  def changes(self):
    words = {}
    for i in range(0, len(self.data), 4):
      if self.data[i:i + 4] != self.before[i:i + 4]:
        words['%s@%x' % (self.name, i)] = int.from_bytes(self.data[i:i + 4], 'little')
    return words


def lds():
  return Bytes('lds', lambda i: initial_word('lds', i))


def memory():
  return Bytes('mem', lambda i: initial_word('mem', i))


def scratch(lane):
  return Bytes('scr.%d' % lane, lambda i: initial_scratch(lane, i), 64)


def vector_value(register, count, lane):
  return sum(initial_vector(register + i, lane) << 32 * i for i in range(count))


def registers(register, count):
  return 'v%d' % register if count == 1 else 'v[%d:%d]' % (register, register + count - 1)


# bytes, signed, half of the register that is written or read (None: all of it)
LOADS = {'u8': (1, 0, None), 'i8': (1, 1, None), 'u16': (2, 0, None), 'i16': (2, 1, None), 'b32': (4, 0, None), 'b64': (8, 0, None),
         'b96': (12, 0, None), 'b128': (16, 0, None), 'd16_u8': (1, 0, 0), 'd16_hi_u8': (1, 0, 1), 'd16_i8': (1, 1, 0),
         'd16_hi_i8': (1, 1, 1), 'd16_b16': (2, 0, 0), 'd16_hi_b16': (2, 0, 1)}
STORES = {'b8': (1, 0), 'b16': (2, 0), 'b32': (4, 0), 'b64': (8, 0), 'b96': (12, 0), 'b128': (16, 0), 'd16_hi_b8': (1, 1), 'd16_hi_b16': (2, 1)}
CDNA = {'u8': 'ubyte', 'i8': 'sbyte', 'u16': 'ushort', 'i16': 'sshort', 'b32': 'dword', 'b64': 'dwordx2', 'b96': 'dwordx3',
        'b128': 'dwordx4', 'd16_u8': 'ubyte_d16', 'd16_hi_u8': 'ubyte_d16_hi', 'd16_i8': 'sbyte_d16', 'd16_hi_i8': 'sbyte_d16_hi',
        'd16_b16': 'short_d16', 'd16_hi_b16': 'short_d16_hi', 'b8': 'byte', 'b16': 'short', 'd16_hi_b8': 'byte_d16_hi',
        'd16_hi_st_b16': 'short_d16_hi'}
DS_LOADS = {'d16_u8': 'u8_d16', 'd16_hi_u8': 'u8_d16_hi', 'd16_i8': 'i8_d16', 'd16_hi_i8': 'i8_d16_hi', 'd16_b16': 'u16_d16',
            'd16_hi_b16': 'u16_d16_hi', 'd16_hi_b8': 'b8_d16_hi'}


def loaded(space, address, kind, old):
  size, is_signed, half = LOADS[kind]
  value = space.get(address, size)
  if is_signed:
    value = s(value, 8 * size)
  if half is None:
    return value & (M32 if size < 4 else (1 << 8 * size) - 1)
  return old & 0xffff | (value & 0xffff) << 16 if half else old & 0xffff0000 | value & 0xffff


def stored(kind, value):
  return value >> 16 if STORES[kind][1] else value


def count_of(size):
  return max(1, size // 4)


def lanes_state(name, values):
  return {'%s.%d' % (name, lane): value for lane, value in values.items()}


def load(text, kind, before, address_of, space_of):
  """address_of and space_of: by lane."""
  count = count_of(LOADS[kind][0])
  half = LOADS[kind][2]
  state = {'exec': EXEC, **before}
  old = 0
  if half is not None:
    state['v10'] = 0x5555 << (16 if half else 0)  # its own half holds something, the other nothing
    old = state['v10']
  case(text, state, lanes_state(registers(10, count), {lane: loaded(space_of(lane), address_of(lane), kind, old) for lane in ACTIVE}))


def store(text, kind, before, address_of, space_of, data=20):
  count = count_of(STORES[kind][0])
  spaces = []
  for lane in ACTIVE:
    space = space_of(lane)
    if space not in spaces:
      spaces.append(space)
    space.put(address_of(lane), STORES[kind][0], stored(kind, vector_value(data, count, lane)))
  after = {}
  for space in spaces:
    after.update(space.changes())
  case(text, {'exec': EXEC, **before}, after)


# --- atomics: name -> function of old, data, data2 on unsigned integers of `width` bits

def float_op(fmt, function):
  def run(old, data, width):
    a, b = fmt.decode(old), fmt.decode(data)
    value = lambda n: -n[2] if n[1] else n[2]
    result = function(value(a), value(b))
    return fmt.round(int(result < 0), abs(result))

  return run


def pair_op(fmt):
  add = float_op(fmt, lambda a, b: a + b)
  return lambda old, data, width: add(old & 0xffff, data & 0xffff, 16) | add(old >> 16, data >> 16, 16) << 16


INTEGER = {'add': lambda o, d, w: o + d, 'sub': lambda o, d, w: o - d, 'rsub': lambda o, d, w: d - o,
           'inc': lambda o, d, w: 0 if o >= d else o + 1, 'dec': lambda o, d, w: d if o == 0 or o > d else o - 1,
           'min_i': lambda o, d, w: min(o, d, key=lambda v: s(v, w)), 'max_i': lambda o, d, w: max(o, d, key=lambda v: s(v, w)),
           'min_u': lambda o, d, w: min(o, d), 'max_u': lambda o, d, w: max(o, d), 'and': lambda o, d, w: o & d,
           'or': lambda o, d, w: o | d, 'xor': lambda o, d, w: o ^ d, 'swap': lambda o, d, w: d}


def f32(v):
  v = Fraction(v)
  return F32.round(int(v < 0), abs(v))


def f64(v):
  v = Fraction(v)
  return F64.round(int(v < 0), abs(v))


def halves(fmt, a, b):
  bits = lambda v: fmt.round(int(Fraction(v) < 0), abs(Fraction(v)))
  return bits(a) | bits(b) << 16


FLOATS = {'add_f32': (4, float_op(F32, lambda a, b: a + b), [f32(1), f32('-2.5')], [f32('0.25'), f32(7)]),
          'min_f32': (4, float_op(F32, min), [f32(1), f32('-2.5')], [f32('0.25'), f32(7)]),
          'max_f32': (4, float_op(F32, max), [f32(1), f32('-2.5')], [f32('0.25'), f32(7)]),
          'add_f64': (8, float_op(F64, lambda a, b: a + b), [f64(1), f64('-2.5')], [f64('0.25'), f64(7)]),
          'min_f64': (8, float_op(F64, min), [f64(1), f64('-2.5')], [f64('0.25'), f64(7)]),
          'max_f64': (8, float_op(F64, max), [f64(1), f64('-2.5')], [f64('0.25'), f64(7)]),
          'pk_add_f16': (4, pair_op(F16), [halves(F16, 1, 2), halves(F16, '-0.5', 3)], [halves(F16, 4, '0.5'), halves(F16, 1, -1)]),
          'pk_add_bf16': (4, pair_op(BF16), [halves(BF16, 1, 2), halves(BF16, '-0.5', 3)], [halves(BF16, 4, '0.5'), halves(BF16, 1, -1)])}


def atomic(text, returns, size, function, old, data, before, address_of, space, second=None):
  """The lanes' old values and operands alternate between two; each has a place of its own. cmpswap: `second` is compared."""
  count = count_of(size)
  state, results = {}, {}
  for i, lane in enumerate(ACTIVE):
    space.put(address_of(lane), size, old[i % 2])
  seeded = space.changes()
  space.before = bytes(space.data)
  operand = {}
  for i, lane in enumerate(ACTIVE):
    previous = space.get(address_of(lane), size)
    results[lane] = previous
    operand[lane] = data[i // 2]
    if second is not None:
      new = data[i // 2] if previous == second[i % 2] else previous
      if function:
        new = function(previous, data[i // 2], second[i % 2])
    else:
      new = function(previous, data[i // 2], 8 * size)
    space.put(address_of(lane), size, new)
  state.update({'exec': EXEC}, **before)
  after = space.changes()
  if returns:
    after.update(lanes_state(registers(10, count), results))
  return state, seeded, operand, after


def emit_atomic(text, state, seeded, registers_state, after):
  case(text, {**state, **seeded, **registers_state}, after)


PAIRS = {4: ([5, 0xfffffff0], [3, 0x80000001]), 8: ([5, 0xfffffff0fffffff0], [3, 1 << 63 | 1])}


def ds_names(family):
  """(instruction without ds_, bytes, function) of LDS atomics; the returning form has _rtn before the type."""
  rows = []
  for width, size in ((32, 4), (64, 8)):
    for name, function in INTEGER.items():
      if name == 'swap':
        continue
      base, _, letter = name.partition('_')
      kind = '%s%d' % (letter or ('b' if name in ('and', 'or', 'xor') else 'u'), width)
      rows.append((base, kind, size, function, None, None))
  for name, (size, function, old, data) in FLOATS.items():
    base, kind = name.rsplit('_', 1)
    known = {'rdna3': ('add_f32', 'min_f32', 'max_f32', 'min_f64', 'max_f64'), 'cdna3': FLOATS}[family]
    if name in known:
      rows.append((base, kind, size, function, old, data))
  return rows


def ds_atomics(family):
  address = lambda lane: lane * 16 + 8
  step = {'v1': '#10+0'}
  for base, kind, size, function, old, data in ds_names(family):
    count = count_of(size)
    for returns in (False, True):
      name = 'ds_%s%s_%s' % (base, '_rtn' if returns else '', kind)
      text = '%s %sv1, %s offset:8' % (name, registers(10, count) + ', ' if returns else '', registers(2, count))
      o, d = (old, data) if old else PAIRS[size]
      state, seeded, operand, after = atomic(text, returns, size, function, o, d, step, address, lds())
      emit_atomic(text, state, seeded, lanes_state(registers(2, count), operand), after)
  compare = {'rdna3': 'cmpstore', 'cdna3': 'cmpst'}[family]
  exchange = {'rdna3': 'storexchg', 'cdna3': 'wrxchg'}[family]
  for kind, size in (('b32', 4), ('b64', 8), ('f32', 4), ('f64', 8)):
    count = count_of(size)
    old = [f32(1), f32(2)] if kind == 'f32' else [f64(1), f64(2)] if kind == 'f64' else PAIRS[size][0]
    new = [f32(3), f32(4)] if kind == 'f32' else [f64(3), f64(4)] if kind == 'f64' else [77, 88]
    for returns in (False, True):
      name = 'ds_%s%s_%s' % (compare, '_rtn' if returns else '', kind)
      text = '%s %sv1, %s, %s offset:8' % (name, registers(10, count) + ', ' if returns else '', registers(2, count), registers(4, count))
      state, seeded, operand, after = atomic(text, returns, size, None, old, new, step, address, lds(), [old[0], old[0]])
      compared = {lane: old[0] for lane in ACTIVE}
      # RDNA3 names the new value first, CDNA3 the one compared with.
      first, second = (operand, compared) if family == 'rdna3' else (compared, operand)
      emit_atomic(text, state, seeded, {**lanes_state(registers(2, count), first), **lanes_state(registers(4, count), second)}, after)
    if kind[0] == 'b':
      text = 'ds_%s_rtn_%s %s, v1, %s offset:8' % (exchange, kind, registers(10, count), registers(2, count))
      state, seeded, operand, after = atomic(text, True, size, INTEGER['swap'], old, new, step, address, lds())
      emit_atomic(text, state, seeded, lanes_state(registers(2, count), operand), after)
      for returns in (False, True):
        text = 'ds_mskor%s_%s %sv1, %s, %s offset:8' % ('_rtn' if returns else '', kind, registers(10, count) + ', ' if returns else '',
                                                        registers(2, count), registers(4, count))
        state, seeded, operand, after = atomic(text, returns, size, lambda o, d, m: o & ~d | m, old, [0xf0, 0xff], step, address, lds(), [6, 9])
        second = {lane: [6, 9][i % 2] for i, lane in enumerate(ACTIVE)}
        emit_atomic(text, state, seeded, {**lanes_state(registers(2, count), operand), **lanes_state(registers(4, count), second)}, after)
  state, seeded, operand, after = atomic('', True, 4, lambda o, d, e: o - d if o >= d else o + e, [100, 7], [10, 50], step, address, lds(), [6, 9])
  second = {lane: [6, 9][i % 2] for i, lane in enumerate(ACTIVE)}
  emit_atomic('ds_wrap_rtn_b32 v10, v1, v2, v3 offset:8', state, seeded, {**lanes_state('v2', operand), **lanes_state('v3', second)}, after)
  exchange_halves = lambda o, d, w: sum((d >> i & 0x7fffffff if d >> i & 1 << 31 else o >> i & M32) << i for i in (0, 32))
  state, seeded, operand, after = atomic('', True, 8, exchange_halves, [1 << 32 | 2, 3 << 32 | 4], [0x8000000900000007, 0x700000000 | 0x80000005],
                                         step, address, lds())
  emit_atomic('ds_condxchg32_rtn_b64 v[10:11], v1, v[2:3] offset:8', state, seeded, lanes_state('v[2:3]', operand), after)
  # Lanes that meet at one place add up.
  case('ds_add_u32 v1, v2', {'exec': EXEC, 'v1': 64, 'v2': 3}, {'lds@40': initial_word('lds', 16) + 12 & M32})


def ds_moves(family):
  load_name, store_name = ('load', 'store') if family == 'rdna3' else ('read', 'write')
  step = {'v1': '#14+0'}
  for kind, (size, _, _) in LOADS.items():
    name = DS_LOADS.get(kind, kind)
    unit = 20 if size < 16 else 16
    load('ds_%s_%s %s, v1 offset:%d' % (load_name, name, registers(10, count_of(size)), 2 * size), kind, {'v1': '#%x+0' % (unit if size != 8 else 24)},
         lambda lane: lane * (unit if size != 8 else 24) + 2 * size, lambda lane: lds())
    load('ds_%s_%s %s, v1' % (load_name, name, registers(10, count_of(size))), kind, {'v1': 5000 & ~15}, lambda lane: 5000 & ~15, lambda lane: lds())
  for kind, (size, half) in STORES.items():
    name = {'d16_hi_b8': 'b8_d16_hi', 'd16_hi_b16': 'b16_d16_hi'}.get(kind, kind)
    unit = 24 if size == 8 else 20 if size < 16 else 16
    space = lds()
    store('ds_%s_%s v1, %s offset:%d' % (store_name, name, registers(20, count_of(size)), 2 * size), kind, {'v1': '#%x+0' % unit},
          lambda lane: lane * unit + 2 * size, lambda lane: space)
    space = lds()
    store('ds_%s_%s v1, %s' % (store_name, name, registers(20, count_of(size))), kind, {'v1': 0x2000}, lambda lane: 0x2000, lambda lane: space)
  two(family, load_name, store_name)
  for offset in (0, 12):
    lane_address = lambda lane: 0x40 + offset + 4 * lane
    space = lds()
    case('ds_%s_addtid_b32 v10 offset:%d' % (load_name, offset), {'exec': EXEC, 'm0': 0x40},
         lanes_state('v10', {lane: space.get(lane_address(lane), 4) for lane in ACTIVE}))
    store('ds_%s_addtid_b32 v20 offset:%d' % (store_name, offset), 'b32', {'m0': 0x40}, lane_address, lambda lane: space)
  # M0 is the base, in whichever half the documents of a chip have it.
  for name, sign in (('append', 1), ('consume', -1)):
    value = initial_word('lds', 0x50 // 4)
    case('ds_%s v10 offset:16' % name, {'exec': EXEC, 'm0': 0x00400040}, {'lds@50': value + sign * 4 & M32, 'v10': value})
  case('ds_nop', {}, {})


def two(family, load_name, store_name):
  suffix = '_2addr' if family == 'rdna3' else '2'
  stride = '_stride64' if family == 'rdna3' else 'st64'
  exchange = ('storexchg_2addr{0}_rtn' if family == 'rdna3' else 'wrxchg2{0}_rtn')
  for size in (4, 8):
    count, kind = size // 4, 'b%d' % (8 * size)
    for far, factor in (('', 1), (stride, 64)):
      offsets = (3, 1) if not far else (2, 1)
      text = 'offset0:%d offset1:%d' % offsets
      places = lambda lane: [lane * 32 + o * size * factor for o in offsets]
      step = {'v1': '#20+0'}
      space = lds()
      values = {lane: space.get(places(lane)[0], size) | space.get(places(lane)[1], size) << 8 * size for lane in ACTIVE}
      case('ds_%s%s%s_%s %s, v1 %s' % (load_name, suffix, far, kind, registers(10, 2 * count), text), {'exec': EXEC, **step},
           lanes_state(registers(10, 2 * count), values))
      for lane in ACTIVE:
        for place, data in zip(places(lane), (20, 30)):
          space.put(place, size, vector_value(data, count, lane))
      operands = 'v1, %s, %s %s' % (registers(20, count), registers(30, count), text)
      case('ds_%s%s%s_%s %s' % (store_name, suffix, far, kind, operands), {'exec': EXEC, **step}, space.changes())
      case('ds_%s_%s %s, %s' % (exchange.format(far), kind, registers(10, 2 * count), operands), {'exec': EXEC, **step},
           {**space.changes(), **lanes_state(registers(10, 2 * count), values)})


def swizzles():
  """By the documents' bit masks, quads and rotations; lanes that are off give 0."""
  def source(offset, lane):
    if offset >= 0xe000:
      return None
    if offset >= 0xc000:
      mask, turn = offset & 31, offset >> 5 & 31
      turn = -turn if offset & 0x400 else turn
      return lane & mask & 31 | (lane + turn) & ~mask & 31 | lane & 32
    if offset >= 0x8000:
      return lane & ~3 | offset >> 2 * (lane & 3) & 3
    return ((lane & offset | offset >> 5) ^ offset >> 10) & 31 | lane & 32

  for family, lanes, execute in (('rdna3', 32, 0xf7fe3bdd), ('rdna3', 64, 0x7fdeb3bdf7fe3bdd), ('cdna3', 64, 0x7fdeb3bdf7fe3bdd)):
    target(family, str(lanes))
    value = lambda lane: initial_vector(20, lane) if execute >> lane & 1 else 0
    on = [lane for lane in range(lanes) if execute >> lane & 1]
    for offset in (0x8000 | 0b00011011, 0x8000 | 0b10110001, 0x041f, 0x401f, 0x0010, 0x021f, 0xc000 | 5 << 5, 0xc400 | 3 << 5 | 0x18):
      case('ds_swizzle_b32 v10, v20 offset:0x%x' % offset, {'exec': execute}, {'v10.0': [
          value(source(offset, lane)) if lane in on else initial_vector(10, lane) for lane in range(lanes)]})
    # RDNA3's wave64 permutes within halves: no lane asks for one of the other here.
    half = lambda lane, v: lane & 32 | v & 31
    wanted = {lane: half(lane, lane * 7 + 3) for lane in range(lanes)}
    address = [wanted[lane] * 4 for lane in range(lanes)]
    case('ds_bpermute_b32 v10, v1, v20', {'exec': execute, 'v1.0': address}, {'v10.0': [
        value(wanted[lane]) if lane in on else initial_vector(10, lane) for lane in range(lanes)]})
    case('ds_bpermute_b32 v1, v1, v20 offset:8', {'exec': 0xff, 'v1.0': [4 * (lane ^ 1) for lane in range(8)]},
         {'v1.0': [initial_vector(20, (lane ^ 1) + 2) if (lane ^ 1) + 2 < 8 else 0 for lane in range(8)]})
    sent = {wanted[lane]: initial_vector(20, lane) for lane in on}
    case('ds_permute_b32 v10, v1, v20', {'exec': execute, 'v1.0': address}, {'v10.0': [
        sent.get(lane, 0) if lane in on else initial_vector(10, lane) for lane in range(lanes)]})


# --- global, flat, scratch, buffer

def names(family, kind, is_store=False):
  return kind if family == 'rdna3' else CDNA[kind] if kind != 'd16_hi_b16' or not is_store else 'short_d16_hi'


def space_moves(family, prefix, forms, kinds_of_space):
  """forms: (operands with {0} for data, state before, address of a lane)."""
  for kind, (size, _, _) in LOADS.items():
    for operands, before, address in forms:
      spaces = {}
      load('%s_load_%s %s' % (prefix, names(family, kind), operands.format(registers(10, count_of(size)) + ', ', '')), kind, before,
           address, lambda lane: kinds_of_space(spaces, lane))
  for kind, (size, _) in STORES.items():
    for operands, before, address in forms:
      spaces = {}
      store('%s_store_%s %s' % (prefix, names(family, kind, True), operands.format('', registers(20, count_of(size)) + ', ')), kind, before,
            address, lambda lane: kinds_of_space(spaces, lane))


def one_memory(spaces, lane):
  return spaces.setdefault('all', memory())


def own_scratch(spaces, lane):
  return spaces.setdefault(lane, scratch(lane))


def memory_atomics(family, prefix, operands, before, address, resource=False):
  rows = []
  for width, size in ((32, 4), (64, 8)):
    for name, function in INTEGER.items():
      if name == 'rsub':
        continue
      base, _, letter = name.partition('_')
      if family == 'rdna3':
        kind = letter or ('b' if name in ('and', 'or', 'xor', 'swap') else 'u')
        rows.append(('%s_%s%d' % (base, kind, width), size, function, *PAIRS[size]))
      else:
        base = {'i': 's', 'u': 'u', '': ''}[letter] + base
        rows.append((base + ('_x2' if size == 8 else ''), size, function, *PAIRS[size]))
  known = {'rdna3': ('add_f32', 'min_f32', 'max_f32'), 'cdna3': ('add_f32', 'add_f64', 'min_f64', 'max_f64', 'pk_add_f16', 'pk_add_bf16')}[family]
  rows += [(name, *FLOATS[name]) for name in known if not (prefix == 'buffer' and name == 'pk_add_bf16')]
  returning = 'glc' if family == 'rdna3' else 'sc0'
  if family == 'rdna3' and prefix != 'flat':
    rows.append(('csub_u32', 4, lambda o, d, w: 0 if o < d else o - d, *PAIRS[4]))

  def text(name, size, returns, data):
    count = count_of(size)
    if resource:  # a buffer returns into its data
      return '%s_atomic_%s %s' % (prefix, name, operands.format(data + ', ')) + (' ' + returning) * returns
    form = operands.format((registers(10, count) + ', ') * returns, data)
    return '%s_atomic_%s %s' % (prefix, name, form) + (' ' + returning) * returns

  def moved(after, count, returns):
    # Results of buffers are in v20.., of others in v10..
    if not (resource and returns):
      return after
    return {k.replace(registers(10, count), registers(20, count)): v for k, v in after.items()}

  for name, size, function, old, data in rows:
    count = count_of(size)
    for returns in ((True, ) if name == 'csub_u32' else (False, True)):
      state, seeded, operand, after = atomic('', returns, size, function, old, data, before, address, memory())
      emit_atomic(text(name, size, returns, registers(20, count)), state, seeded, lanes_state(registers(20, count), operand), moved(after, count, returns))
  for suffix, size in (('_b32', 4), ('_b64', 8), ('_f32', 4)) if family == 'rdna3' else (('', 4), ('_x2', 8)):
    count = count_of(size)
    old, new = ([f32(1), f32(2)], [f32(3), f32(4)]) if suffix == '_f32' else (PAIRS[size][0], [77, 88])
    for returns in (False, True):
      state, seeded, operand, after = atomic('', returns, size, None, old, new, before, address, memory(), [old[0], old[0]])
      pair = {lane: value | old[0] << 8 * size for lane, value in operand.items()}
      emit_atomic(text('cmpswap' + suffix, size, returns, registers(20, 2 * count)), state, seeded, lanes_state(registers(20, 2 * count), pair),
                  moved(after, count, returns))


def global_blocks(family):
  forms = [('{0}v[2:3], {1}off offset:-16', {'v[2:3]': '&#14+40'}, lambda lane: 0x30 + 20 * lane),
           ('{0}v2, {1}s[4:5] offset:8', {'v2': '#18+4', 's[4:5]': '&20'}, lambda lane: 0x2c + 24 * lane)]
  space_moves(family, 'global', forms, one_memory)
  space_moves(family, 'flat', [('{0}v[2:3], {1}offset:8', {'v[2:3]': '&#14+40'}, lambda lane: 0x48 + 20 * lane)], one_memory)
  memory_atomics(family, 'global', '{0}v[2:3], {1}, off offset:-16', {'v[2:3]': '&#20+40'}, lambda lane: 0x30 + 32 * lane)
  memory_atomics(family, 'flat', '{0}v[2:3], {1} offset:8', {'v[2:3]': '&#20+40'}, lambda lane: 0x48 + 32 * lane)
  forms = [('{0}v2, {1}off offset:4', {'v2': '#1+8'}, lambda lane: 12 + lane), ('{0}off, {1}s4 offset:4', {'s4': 8}, lambda lane: 12),
           ('{0}off, {1}off offset:16', {}, lambda lane: 16)]
  space_moves(family, 'scratch', forms, own_scratch)
  if family == 'rdna3':
    place = lambda lane: 0x28 + 4 * lane
    load('global_load_addtid_b32 v10, s[4:5] offset:8', 'b32', {'s[4:5]': '&20'}, place, lambda lane: memory())
    space = memory()
    store('global_store_addtid_b32 v20, s[4:5] offset:8', 'b32', {'s[4:5]': '&20'}, place, lambda lane: space)
  case('global_load_%s v10, v[2:3], off' % names(family, 'b32'), {'v[2:3]': '&1000000', 'exec': 1}, {'fault': 'out-of-bounds'})


def to_lds():
  """Each lane's value to LDS at M0 and 4 bytes a lane."""
  kinds = {'dword': ('b32', 4), 'ubyte': ('u8', 1), 'sbyte': ('i8', 1), 'ushort': ('u16', 2), 'sshort': ('i16', 2)}
  for name, (kind, size) in kinds.items():
    for text, before, value in (
        ('global_load_lds_%s v[2:3], off' % name, {'v[2:3]': '&#18+40'}, lambda lane: loaded(memory(), 0x40 + 24 * lane, kind, 0)),
        ('scratch_load_lds_%s v2, off' % name, {'v2': '#1+8'}, lambda lane: loaded(scratch(lane), 8 + lane, kind, 0))):
      case(text, {'exec': EXEC, 'm0': 0x80, **before}, {'lds@%x' % (0x80 + 4 * lane): value(lane) for lane in ACTIVE})


def buffer_blocks(family):
  word3 = 0x31016000 if family == 'rdna3' else 0x00027000
  raw = {'s[8:9]': '&0', 's10': 0x800, 's11': word3}
  forms = [('{0}{1}v2, s[8:11], s4 offen offset:8', {**raw, 'v2': '#14+4', 's4': 16}, lambda lane: 28 + 20 * lane),
           ('{0}{1}off, s[8:11], 0 offset:64', raw, lambda lane: 64)]
  space_moves(family, 'buffer', forms[:1], one_memory)
  load('buffer_load_%s v10, off, s[8:11], 0 offset:64' % names(family, 'b32'), 'b32', raw, lambda lane: 64, lambda lane: memory())
  memory_atomics(family, 'buffer', '{0}v2, s[8:11], s4 offen offset:8', {**raw, 'v2': '#20+8', 's4': 16}, lambda lane: 32 + 32 * lane, True)
  # Out of range: loads give 0, stores are dropped.
  b32 = names(family, 'b32')
  limit = {**raw, 's10': 0x40, 'v2': '#8+0'}
  case('buffer_load_%s v10, v2, s[8:11], 0 offen' % b32, {'exec': EXEC, **limit},
       lanes_state('v10', {lane: initial_word('mem', 2 * lane) if 8 * lane + 4 <= 0x40 else 0 for lane in ACTIVE}))
  case('buffer_store_%s v20, v2, s[8:11], 0 offen' % b32, {'exec': EXEC, **limit},
       {'mem@%x' % (8 * lane): initial_vector(20, lane) for lane in ACTIVE if 8 * lane + 4 <= 0x40})
  # Records of 16 bytes, 8 of them; the stride is put into the descriptor and taken out again.
  stride = 's_xor_b32 s9, s9, 0x100000; %s; s_xor_b32 s9, s9, 0x100000'
  records = {'s[8:9]': '&0', 's10': 8, 's11': 0x01016000 if family == 'rdna3' else 0x00027000}
  for operands, before, offset in (('v2, s[8:11], 0 idxen offset:4', {'v2': '#1+0'}, lambda lane: 4),
                                   ('v[2:3], s[8:11], 0 idxen offen', {'v[2:3]': None, 'v2': '#1+0', 'v3': 8}, lambda lane: 8)):
    before.pop('v[2:3]', None)
    values = {lane: initial_word('mem', (16 * lane + offset(lane)) // 4) if lane < 8 else 0 for lane in ACTIVE}
    case(stride % ('buffer_load_%s v10, %s' % (b32, operands)), {'exec': EXEC, **records, **before}, {**lanes_state('v10', values), 'scc': 1})
    case(stride % ('buffer_store_%s v20, %s' % (b32, operands)), {'exec': EXEC, **records, **before},
         {**{'mem@%x' % (16 * lane + offset(lane)): initial_vector(20, lane) for lane in ACTIVE if lane < 8}, 'scc': 1})
  for name in ('buffer_gl0_inv', 'buffer_gl1_inv') if family == 'rdna3' else ('buffer_inv sc1', 'buffer_wbl2 sc1'):
    case(name, {}, {})


def scalar_memory(family):
  wide = lambda offset, count: sum(initial_word('mem', offset // 4 + i) << 32 * i for i in range(count))
  sizes = ((1, 'b32', 'dword'), (2, 'b64', 'dwordx2'), (4, 'b128', 'dwordx4'), (8, 'b256', 'dwordx8'), (16, 'b512', 'dwordx16'))
  for count, rdna, cdna in sizes:
    name = rdna if family == 'rdna3' else cdna
    to = 's20' if count == 1 else 's[20:%d]' % (19 + count)
    case('s_load_%s %s, s[4:5], 0x10' % (name, to), {'s[4:5]': '&40'}, {to: wide(0x50, count)})
    case('s_load_%s %s, s[4:5], -0x10' % (name, to), {'s[4:5]': '&40'}, {to: wide(0x30, count)})
    case('s_load_%s %s, s[4:5], s6' % (name, to), {'s[4:5]': '&40', 's6': 0x20}, {to: wide(0x60, count)})
    case('s_load_%s %s, s[4:5], s6 offset:0x8' % (name, to), {'s[4:5]': '&40', 's6': 0x20}, {to: wide(0x68, count)})
    raw = {'s[8:9]': '&0', 's10': 0x400, 's11': 0x31016000 if family == 'rdna3' else 0x00027000}
    case('s_buffer_load_%s %s, s[8:11], 0x10' % (name, to), raw, {to: wide(0x10, count)})
    case('s_buffer_load_%s %s, s[8:11], s6' % (name, to), {**raw, 's6': 0x20}, {to: wide(0x20, count)})
  case('s_load_%s s[4:5], s[4:5], 0x10' % ('b64' if family == 'rdna3' else 'dwordx2'), {'s[4:5]': '&40'}, {'s[4:5]': wide(0x50, 2)})
  case('s_dcache_inv', {}, {})
  case('s_gl1_inv' if family == 'rdna3' else 's_dcache_wb', {}, {})


def blocks():
  for family in ('rdna3', 'cdna3'):
    target(family)
    ds_moves(family)
    ds_atomics(family)
    global_blocks(family)
    buffer_blocks(family)
    scalar_memory(family)
  to_lds()
  swizzles()
