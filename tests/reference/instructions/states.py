# Lines of state cases: code, the state before, and what differs after.
LINES = []


def target(*words):
  LINES.append('@ ' + ' '.join(words))


def words(value):
  return '%x' % value if isinstance(value, int) else value


def items(state):
  return ' '.join('%s=%s' % (name, ','.join(words(v) for v in value) if isinstance(value, list) else words(value))
                  for name, value in state.items())


def case(code, before, after):
  LINES.append('%s | %s > %s' % (code, items(before), items(after)))


def write(path, comment):
  with open(path, 'w') as out:
    out.write('# %s\n# Written by tests/reference/instructions/generate.py.\n' % comment)
    out.writelines(line + '\n' for line in LINES)
  LINES.clear()


def initial_vector(register, lane):
  """As tests/emulator/experiment.cpp fills the state."""
  return 0x9e3779b1 * (register * 64 + lane + 1) & 0xffffffff


def initial_scalar(register):
  return 0x165667b1 * (register + 1) & 0xffffffff


def initial_word(space, index):
  return {'lds': 0x85ebca6b, 'mem': 0xc2b2ae35}[space] * (index + 1) & 0xffffffff


def initial_scratch(lane, index):
  return 0x01000193 * (lane * 64 + index + 1) & 0xffffffff
