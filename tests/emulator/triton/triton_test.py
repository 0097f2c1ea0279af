"""Kernels that Triton compiles for AMD GPUs run on the emulator and give NumPy's results.

Usage: triton_test.py WAVETILE_EMU [--chips gfx1151,gfx942] [--keep FOLDER]

Triton needs no GPU to compile. Shapes are multiples of nothing, inputs fresh with each run (the seed is printed), every
output is poisoned by wavetile-emu, every run has all checks on. Exit status 0: all agree.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource


@triton.jit
def softmax(x, y, columns, stride, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    at = tl.arange(0, BLOCK)
    inside = at < columns
    v = tl.load(x + row * stride + at, mask=inside, other=-float("inf"))
    e = tl.exp(v - tl.max(v, 0))
    tl.store(y + row * stride + at, e / tl.sum(e, 0), mask=inside)


@triton.jit
def layernorm(x, w, b, y, columns, eps, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    at = tl.arange(0, BLOCK)
    inside = at < columns
    v = tl.load(x + row * columns + at, mask=inside, other=0.0)
    mean = tl.sum(v, 0) / columns
    d = tl.where(inside, v - mean, 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(d * d, 0) / columns + eps)
    out = d * scale * tl.load(w + at, mask=inside, other=0.0) + tl.load(b + at, mask=inside, other=0.0)
    tl.store(y + row * columns + at, out, mask=inside)


@triton.jit
def matmul(a, b, c, M, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    rm = tl.program_id(0) * BM + tl.arange(0, BM)
    rn = tl.program_id(1) * BN + tl.arange(0, BN)
    acc = tl.zeros((BM, BN), tl.float32)
    for k in range(0, K, BK):
        rk = k + tl.arange(0, BK)
        x = tl.load(a + rm[:, None] * K + rk[None, :], mask=(rm[:, None] < M) & (rk[None, :] < K), other=0.0)
        y = tl.load(b + rk[:, None] * N + rn[None, :], mask=(rk[:, None] < K) & (rn[None, :] < N), other=0.0)
        acc = tl.dot(x, y, acc, input_precision="ieee")
    tl.store(c + rm[:, None] * N + rn[None, :], acc, mask=(rm[:, None] < M) & (rn[None, :] < N))


@triton.jit
def attention(q, k, v, o, T, scale, BT: tl.constexpr, BS: tl.constexpr, D: tl.constexpr):
    """Causal flash attention of one head: rows of BT queries, BS keys at a time."""
    rt = tl.program_id(0) * BT + tl.arange(0, BT)
    rd = tl.arange(0, D)
    base = tl.program_id(1) * T * D
    qs = tl.load(q + base + rt[:, None] * D + rd[None, :], mask=rt[:, None] < T, other=0.0)
    most = tl.full((BT,), -1e30, tl.float32)
    total = tl.zeros((BT,), tl.float32)
    acc = tl.zeros((BT, D), tl.float32)
    for s in range(0, tl.program_id(0) * BT + BT, BS):
        rs = s + tl.arange(0, BS)
        ks = tl.load(k + base + rs[:, None] * D + rd[None, :], mask=rs[:, None] < T, other=0.0)
        vs = tl.load(v + base + rs[:, None] * D + rd[None, :], mask=rs[:, None] < T, other=0.0)
        scores = tl.dot(qs, tl.trans(ks)) * scale
        scores = tl.where((rs[None, :] <= rt[:, None]) & (rs[None, :] < T), scores, -1e30)
        new = tl.maximum(most, tl.max(scores, 1))
        p = tl.exp(scores - new[:, None])
        old = tl.exp(most - new)
        total = total * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(tl.float16), vs)
        most = new
    tl.store(o + base + rt[:, None] * D + rd[None, :], acc / total[:, None], mask=rt[:, None] < T)


class Case:
    def __init__(self, name, kernel, types, constants, grid, arguments, expected, tolerance, warps=4):
        self.name, self.kernel, self.types, self.constants = name, kernel, types, constants
        self.grid, self.arguments, self.expected = grid, arguments, expected
        self.tolerance, self.warps = tolerance, warps


def softmax64(x):
    e = np.exp(x.astype(np.float64) - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def cases(rng):
    x = rng.standard_normal((5, 777), dtype=np.float32) * 3
    yield Case("softmax", softmax, ["*fp32", "*fp32", "i32", "i32"], {"BLOCK": 1024}, (5, 1),
               [x, ("out", x.shape, np.float32), 777, 777], softmax64(x), 1e-6)
    w, b = rng.standard_normal((2, 777), dtype=np.float32)
    x64 = x.astype(np.float64)
    norm = (x64 - x64.mean(-1, keepdims=True)) / np.sqrt(x64.var(-1, keepdims=True) + 1e-5) * w + b
    yield Case("layernorm", layernorm, ["*fp32"] * 4 + ["i32", "fp32"], {"BLOCK": 1024}, (5, 1),
               [x, w, b, ("out", x.shape, np.float32), 777, np.float32(1e-5)], norm, 1e-5)
    for name, kind in (("fp16", np.float16), ("fp32", np.float32)):
        a = rng.standard_normal((77, 91)).astype(kind)
        c = rng.standard_normal((91, 109)).astype(kind)
        yield Case(f"matmul_{name}", matmul, [f"*{name}", f"*{name}", "*fp32", "i32", "i32", "i32"],
                   {"BM": 64, "BN": 64, "BK": 32}, (2, 2), [a, c, ("out", (77, 109), np.float32), 77, 109, 91],
                   a.astype(np.float64) @ c.astype(np.float64), 2e-5)
    T, D = 83, 64
    q, k, v = (rng.standard_normal((2, T, D)).astype(np.float16) for _ in range(3))
    scores = np.einsum("htd,hsd->hts", q.astype(np.float64), k.astype(np.float64)) * 0.125
    scores[:, np.triu(np.ones((T, T), bool), 1)] = -np.inf
    yield Case("attention", attention, ["*fp16"] * 3 + ["*fp32", "i32", "fp32"], {"BT": 32, "BS": 32, "D": D}, (3, 2),
               [q, k, v, ("out", q.shape, np.float32), T, np.float32(0.125)],
               np.einsum("hts,hsd->htd", softmax64(scores), v.astype(np.float64)), 3e-3)


NAMES = {np.dtype(np.float32): "f32", np.dtype(np.float16): "f16"}


def run(emu, case, chip, folder, checks=True):
    lanes = 64 if chip.startswith("gfx9") else 32
    names = case.kernel.arg_names
    signature = dict(zip(names, case.types)) | {c: "constexpr" for c in case.constants}
    compiled = triton.compile(ASTSource(case.kernel, signature, case.constants),
                              target=GPUTarget("hip", chip, lanes), options={"num_warps": case.warps})
    code = folder / f"{case.name}_{chip}.hsaco"
    code.write_bytes(compiled.asm["hsaco"])
    block = case.warps * lanes
    command = [emu, code, "--kernel", compiled.metadata.name, "--block", block, "--lds", 0,
               "--grid", f"{case.grid[0] * block},{case.grid[1]}"]
    out = None
    for i, a in enumerate(case.arguments):
        if isinstance(a, tuple):
            out = (folder / f"{case.name}_{i}.out", a[1], a[2])
            command += ["--arg", f"out:{NAMES[np.dtype(a[2])]}:{int(np.prod(a[1]))}:{out[0]}"]
        elif isinstance(a, np.ndarray):
            path = folder / f"{case.name}_{i}.bin"
            a.tofile(path)
            command += ["--arg", f"in:{NAMES[a.dtype]}:{path}"]
        else:
            command += ["--arg", f"f32:{a}" if isinstance(a, np.float32) else f"i32:{a}"]
    # Triton's own two pointers, which these kernels do not follow.
    command += ["--arg", "u64:0", "--arg", "u64:0"]
    # LDS of a Triton kernel is dynamic: its size stands in the metadata.
    command[command.index("--lds") + 1] = compiled.metadata.shared
    if checks:
        command.append("--checks")
    started = time.time()
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    seconds = time.time() - started
    if done.returncode != 0:
        return f"exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}", seconds
    got = np.fromfile(out[0], out[2]).reshape(out[1]).astype(np.float64)
    error = np.abs(got - case.expected) / max(1.0, np.abs(case.expected).max())
    # Written so that NaN fails.
    good = bool((error <= case.tolerance).all())
    return (None if good else f"off by {np.nanmax(error):.3g} > {case.tolerance:g}, {np.isnan(got).sum()} NaN"), seconds


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
                problem, seconds = run(options.emu, case, chip, folder, not options.no_checks)
                print(f"{chip} {case.name}: {'FAILED: ' + problem if problem else 'ok'} ({seconds:.2f} s)")
                failed += problem is not None
    print(f"{failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
