"""Kernels that Triton compiles for AMD GPUs run on the emulator and give NumPy's results.

Usage: triton_test.py WAVETILE_EMU [--chips gfx1151,gfx942] [--keep FOLDER]

Shapes are multiples of nothing, inputs fresh with each run (the seed is printed), every output is poisoned by
wavetile-emu, every run has all checks on. Exit status 0: all agree.
"""
import argparse
import dataclasses
import pathlib
import sys
import tempfile
import time

import numpy as np
import triton

import kernels
from kernels import Output


@dataclasses.dataclass
class Case:
    name: str
    kernel: object
    constants: dict
    grid: tuple
    arguments: list
    expected: np.ndarray
    tolerance: float


def cases(rng):
    x = rng.standard_normal((5, 777), dtype=np.float32) * 3
    rows = {"C": 777, "ROWS": 2, "BLOCK": 1024}
    yield Case("softmax", kernels.softmax, rows, (3, 1), [x, Output(x.shape, np.float32), 5], kernels.softmax64(x), 1e-6)
    w, b = rng.standard_normal((2, 777), dtype=np.float32)
    yield Case("layernorm", kernels.layernorm, rows, (3, 1), [x, w, b, Output(x.shape, np.float32), 5, np.float32(1e-5)],
               kernels.layernorm64(x, w, b), 1e-5)
    for kind in (np.float16, np.float32):
        a, c = rng.standard_normal((77, 91)).astype(kind), rng.standard_normal((91, 109)).astype(kind)
        yield Case(f"matmul_{np.dtype(kind).name}", kernels.matmul,
                   {"N": 109, "K": 91, "BM": 64, "BN": 64, "BK": 32}, (2, 2), [a, c, Output((77, 109), np.float32), 77],
                   a.astype(np.float64) @ c.astype(np.float64), 2e-5)
    T, D, keys = 83, 64, 90
    q = rng.standard_normal((T, 2, D), dtype=np.float32)
    k, v = (rng.standard_normal((2, keys, D)).astype(np.float16) for _ in range(2))
    expected = kernels.attention64(q.transpose(1, 0, 2), k[:, :T], v[:, :T], 0.125).transpose(1, 0, 2)
    yield Case("attention", kernels.attention, {"QS": 2 * D, "OS": 2 * D, "KEYS": keys, "BT": 32, "BS": 32, "D": D},
               (3, 2), [q, k, v, Output(q.shape, np.float32), T, np.float32(0.125)], expected, 3e-3)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("emu")
    parser.add_argument("--chips", default="gfx1151,gfx942")
    parser.add_argument("--keep", type=pathlib.Path, help="leave code objects and data here")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    parser.add_argument("--no-checks", action="store_true")
    options = parser.parse_args()
    print(f"triton {triton.__version__}, seed {options.seed}")
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for chip in options.chips.split(","):
            for case in cases(np.random.default_rng(options.seed)):
                started = time.time()
                try:
                    launch = kernels.compile_triton(case.kernel, case.arguments, case.constants, case.grid, chip, folder,
                                                    {"num_warps": 4})
                    outputs, _ = kernels.run(options.emu, launch, case.arguments, folder,
                                             *([] if options.no_checks else ["--checks"]))
                    problem = kernels.difference(outputs[0], case.expected, case.tolerance)
                except RuntimeError as e:
                    problem = str(e)
                print(f"{chip} {case.name}: {'FAILED: ' + problem if problem else 'ok'} ({time.time() - started:.2f} s)")
                failed += problem is not None
    print(f"{failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
