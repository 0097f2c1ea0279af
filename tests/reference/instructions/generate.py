#!/usr/bin/env python3
# Writes tests/emulator/instructions/*.txt: what instructions do by AMD's ISA documents (RDNA3, CDNA3), computed without
# the emulator and without any library of its. Usage: generate.py [directory]
import sys
from pathlib import Path

import cases
import control
import lanes
import memory
import scalar
import states
import vector_convert
import vector_float
import vector_int

here = Path(__file__).resolve().parent
target = Path(sys.argv[1]) if len(sys.argv) > 1 else here.parent.parent / 'emulator' / 'instructions'
target.mkdir(parents=True, exist_ok=True)
for name, module, comment in (
    ('vector_float', vector_float, 'Vector float arithmetic, comparisons and classes.'),
    ('vector_int', vector_int, 'Vector integer arithmetic and bits, packed integers, integer dot products.'),
    ('vector_convert', vector_convert, 'Conversions, packed floats, float dot products, approximations, division.')):
  module.blocks()
  cases.write(target / (name + '.txt'), comment)
for name, module, comment in (
    ('state_scalar', scalar, 'Scalar arithmetic, bits, comparisons, EXEC.'),
    ('state_control', control, 'Branches, calls, waits, hints, MODE.'),
    ('state_memory', memory, 'LDS, global, flat, scratch, buffer and scalar memory.'),
    ('state_lanes', lanes, 'Between lanes; registers by number; mixed precision; dual instructions.')):
  module.blocks()
  states.write(target / (name + '.txt'), comment)
