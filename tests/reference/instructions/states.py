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
