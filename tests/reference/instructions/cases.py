# Blocks of cases: a signature, and for each case the bits that go in and those that must come out.
import random

from floats import BF16, F16, F32, F64, NAN

FORMATS = {'f16': F16, 'bf16': BF16, 'f32': F32, 'f64': F64}
WIDTH = {'f16': 16, 'b16': 16, 'bf16': 16, 'f32': 32, 'b32': 32, 'pf16': 32, 'pb16': 32, 'mask': 1, 'f64': 64, 'b64': 64,
         'pf32': 64, 'b96': 96, 'b128': 128, 'k16': 16, 'k32': 32}
RDNA3, CDNA3, BOTH = 'rdna3', 'cdna3', 'rdna3 cdna3'

# Values that inline constants can name are among them, and each kind of special value.
SPECIAL = {
    'f32': [0x3f800000, 0xbf000000, 0x00000000, 0x80000000, 0x40490fdb, 0xc0a00000, 0x00000001, 0x807fffff, 0x00800000,
            0x7f7fffff, 0x7f800000, 0xff800000, 0x7fc00001, 0xffa00000, 0x3e22f983, 0x4b800001, 0xcf000000, 0x3f7fffff],
    'f16': [0x3c00, 0xb800, 0x0000, 0x8000, 0x4248, 0xc500, 0x0001, 0x83ff, 0x0400, 0x7bff, 0x7c00, 0xfc00, 0x7e01,
            0xfd00, 0x3118, 0x6401, 0xe000, 0x3bff],
    'bf16': [0x3f80, 0xbf00, 0x0000, 0x8000, 0x4049, 0xc0a0, 0x0080, 0x7f80, 0xff80, 0x7fc0, 0x3e22, 0x4b81],
    'f64': [0x3ff0000000000000, 0xbfe0000000000000, 0, 1 << 63, 0x400921fb54442d18, 0xc014000000000000, 1,
            0x800fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff, 0x7ff0000000000000, 0xfff0000000000000,
            0x7ff8000000000001, 0xfff4000000000000, 0x3fc45f306dc9c882, 0x4340000000000001, 0xc1e0000000000000,
            0x3fefffffffffffff],
    'b16': [1, 0xffff, 0, 0x8000, 0x7fff, 0x40, 0xfff0, 0x1234, 0x00ff, 0xff00, 0x5a5a, 0x8001],
    'b32': [1, 0xffffffff, 0, 0x80000000, 0x7fffffff, 0x40, 0xfffffff0, 0x12345678, 0x0000ffff, 0xffff0000, 0x5a5aa5a5,
            0x80000001, 0x00ff00ff, 0x1f, 0x20],
    'b64': [1, (1 << 64) - 1, 0, 1 << 63, (1 << 63) - 1, 0x40, (1 << 64) - 16, 0x123456789abcdef0, 0xffffffff, 0xffffffff00000000,
            0x8000000080000000, 0x100000000],
    'mask': [0, 1, 1, 0, 1, 0, 0],
}
for packed, half in (('pf16', 'f16'), ('pb16', 'b16')):
  values = SPECIAL[half]
  SPECIAL[packed] = [values[i] | values[(i * 7 + 3) % len(values)] << 16 for i in range(len(values))]
SPECIAL['pf32'] = [a | SPECIAL['f32'][(i * 7 + 3) % 18] << 32 for i, a in enumerate(SPECIAL['f32'])]

BLOCKS = []


class Mode:
  """MODE as far as arithmetic depends on it."""

  def __init__(self, round32=0, round64=0, denorm32=3, denorm64=3, ieee=1):
    self.round32, self.round64, self.denorm32, self.denorm64, self.ieee = round32, round64, denorm32, denorm64, ieee

  def bits(self):
    return self.round32 | self.round64 << 2 | self.denorm32 << 4 | self.denorm64 << 6 | 1 << 8 | self.ieee << 9

  def rounding(self, fmt):
    return self.round32 if fmt is F32 else self.round64

  def denorm(self, fmt):
    return self.denorm32 if fmt is F32 else self.denorm64


DEFAULT = Mode()


def random_value(rng, kind):
  bits = rng.getrandbits(WIDTH[kind])
  if kind in FORMATS and rng.random() < 0.7:  # of moderate size, so that sums and products are no trivial ones
    fmt = FORMATS[kind]
    exponent = fmt.bias + rng.randrange(-6, 7)
    return bits & ~(fmt.infinity) & ((1 << fmt.bits) - 1) | exponent << fmt.mantissa
  return bits


def inputs_for(names, kinds, count=20, special=None, avoid=None):
  """Cases that meet every special value in every operand, then random ones; the same on every run."""
  rng = random.Random(names + ' '.join(kinds))
  lists = [(special or {}).get(i) or (special or {}).get(kind) or SPECIAL[kind] for i, kind in enumerate(kinds)]
  longest = max(len(values) for values in lists)
  steps = [1, 5, 7, 11]
  cases = []
  for i in range(max(count, min(longest, 18)) * 4):
    if i < longest:
      case = [values[(i * steps[j] + j * 3) % len(values)] for j, values in enumerate(lists)]
    elif i < longest + 4:
      case = [values[rng.randrange(len(values))] for values in lists]
    else:
      case = [rng.choice(values) if special and (j in special or kind in special) else random_value(rng, kind)
              for j, (kind, values) in enumerate(zip(kinds, lists))]
    if case not in cases and not (avoid and avoid(*case)):
      cases.append(case)
  return cases[:max(count, min(longest, 18))]


def text(value, kind):
  if value == NAN:
    return 'nan'
  if isinstance(value, tuple):
    return '%x~%x' % value
  return '%x' % (value & ((1 << WIDTH[kind]) - 1))


def block(names, signature, families, function, cases=None, mods='', mode=DEFAULT, upper='', count=20, special=None,
          avoid=None):
  """Appends a block. `function(mode, *bits)` gives the result's bits, or a list of them for several results.
  `upper`: 'keep' or 'loose', see tests/emulator/vector_cases.h."""
  out_kinds, in_kinds = (side.split() for side in signature.split('='))
  in_kinds = [kind.lstrip('+') for kind in in_kinds]
  if cases is None:
    cases = inputs_for(names.split()[0], in_kinds, count, special, avoid)
  lines = []
  for case in cases:
    results = function(mode, *case)
    results = results if isinstance(results, list) else [results]
    lines.append(' '.join(text(v, k) for v, k in zip(case, in_kinds)) + ' > ' +
                 ' '.join(text(v, k) for v, k in zip(results, out_kinds)))
  head = '%s | %s | %s' % (names, signature, families)
  notes = [mods] * bool(mods) + ['mode=%x' % mode.bits()] * (mode is not DEFAULT) + [upper] * bool(upper)
  if notes:
    head += ' | ' + ' '.join(notes)
  BLOCKS.append((head, lines))


def write(path, comment):
  with open(path, 'w') as out:
    out.write('# %s\n# Written by tests/reference/instructions/generate.py.\n' % comment)
    for head, lines in BLOCKS:
      out.write(head + '\n')
      row = ''
      for line in lines:
        if row and len(row) + len(line) > 116:
          out.write(' ' + row + '\n')
          row = ''
        row += ('; ' if row else '') + line
      if row:
        out.write(' ' + row + '\n')
  BLOCKS.clear()
