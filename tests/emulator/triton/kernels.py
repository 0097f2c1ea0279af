"""Kernels in Triton's language, by the formulas of ours, and how a code object, from Triton or not, runs on the emulator.

Triton needs no GPU to compile. Extents that are constants of a kernel are given as tl.constexpr.
"""
import dataclasses
import json
import pathlib
import subprocess

import numpy as np
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource


@triton.jit
def softmax(x, y, rows, C: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    at = tl.arange(0, BLOCK)[None, :]
    inside = (row < rows) & (at < C)
    v = tl.load(x + row * C + at, mask=inside, other=-float("inf"))
    e = tl.exp2((v - tl.max(v, 1, keep_dims=True)) * 1.4426950408889634)
    tl.store(y + row * C + at, e * (1 / tl.sum(e, 1, keep_dims=True)), mask=inside)


@triton.jit
def layernorm(x, w, b, y, rows, eps, C: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    at = tl.arange(0, BLOCK)[None, :]
    inside = (row < rows) & (at < C)
    v = tl.load(x + row * C + at, mask=inside, other=0.0)
    mean = tl.sum(v, 1, keep_dims=True) / C
    d = tl.where(at < C, v - mean, 0.0)
    scale = tl.rsqrt(tl.sum(d * d, 1, keep_dims=True) / C + eps)
    out = d * scale * tl.load(w + at, mask=at < C, other=0.0) + tl.load(b + at, mask=at < C, other=0.0)
    tl.store(y + row * C + at, out.to(y.dtype.element_ty), mask=inside)


@triton.jit
def product(a, b, m, n, M, N: tl.constexpr, K: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    """Rows from m and columns from n on of a · b. Rows and columns outside are read from inside: nobody stores them."""
    rm = (m + tl.arange(0, BM)) % M
    rn = n + tl.arange(0, BN)
    if N % BN != 0:
        rn = rn % N
    rk = tl.arange(0, BK)
    acc = tl.zeros((BM, BN), tl.float32)
    a += rm[:, None] * K + rk[None, :]
    b += rk[:, None] * N + rn[None, :]
    for k in range(0, K, BK):
        if K % BK == 0:
            x = tl.load(a)
            y = tl.load(b)
        else:
            x = tl.load(a, mask=rk[None, :] < K - k, other=0.0)
            y = tl.load(b, mask=rk[:, None] < K - k, other=0.0)
        acc = tl.dot(x, y, acc, input_precision="ieee")
        a += BK
        b += BK * N
    return acc


@triton.jit
def matmul(a, b, c, M, N: tl.constexpr, K: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    m, n = tl.program_id(0) * BM, tl.program_id(1) * BN
    acc = product(a, b, m, n, M, N, K, BM, BN, BK)
    rm, rn = m + tl.arange(0, BM)[:, None], n + tl.arange(0, BN)[None, :]
    tl.store(c + rm * N + rn, acc, mask=(rm < M) & (rn < N))


@triton.jit
def linear_gelu(a, b, bias, c, M, N: tl.constexpr, K: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
                BK: tl.constexpr):
    m, n = tl.program_id(0) * BM, tl.program_id(1) * BN
    acc = product(a, b, m, n, M, N, K, BM, BN, BK)
    rm, rn = m + tl.arange(0, BM)[:, None], n + tl.arange(0, BN)[None, :]
    x = acc + tl.load(bias + rn, mask=rn < N, other=0.0)
    x = x / (1 + tl.exp2(x * (x * x * -0.10294323958 - 2.302208198144)))
    tl.store(c + rm * N + rn, x.to(c.dtype.element_ty), mask=(rm < M) & (rn < N))


@triton.jit
def attend(q, k, v, most, total, acc, row, begin, end, T, D: tl.constexpr, BS: tl.constexpr, MASK: tl.constexpr):
    rs = tl.arange(0, BS)
    rd = tl.arange(0, D)
    for s in range(begin, end, BS):
        at = s + rs
        if MASK:
            at = tl.minimum(at, T - 1)
        scores = tl.dot(q, tl.load(k + rd[:, None] + at[None, :] * D))
        if MASK:
            scores = tl.where(s + rs[None, :] <= row[:, None], scores, -1e30)
        new = tl.maximum(most, tl.max(scores, 1))
        p = tl.exp2(scores - new[:, None])
        old = tl.exp2(most - new)
        total = total * old + tl.sum(p, 1)
        acc = tl.dot(p.to(v.dtype.element_ty), tl.load(v + at[:, None] * D + rd[None, :]), acc * old[:, None])
        most = new
    return most, total, acc


@triton.jit
def attention(q, k, v, o, T, scale, QS: tl.constexpr, OS: tl.constexpr, KEYS: tl.constexpr, BT: tl.constexpr,
              BS: tl.constexpr, D: tl.constexpr):
    """Causal flash attention: BT rows of one head, BS keys at a time; blocks of keys that all rows see go without mask.

    Rows of q are QS elements apart and those of o OS, heads D; a head of k and v has room for KEYS keys."""
    first = tl.program_id(0) * BT
    head = tl.program_id(1)
    row = first + tl.arange(0, BT)
    rd = tl.arange(0, D)
    inside = tl.minimum(row, T - 1)
    qs = tl.load(q + head * D + inside[:, None] * QS + rd[None, :])
    qs = (qs * (scale * 1.4426950408889634)).to(k.dtype.element_ty)
    most = tl.full((BT,), -1e30, tl.float32)
    total = tl.zeros((BT,), tl.float32)
    acc = tl.zeros((BT, D), tl.float32)
    k += head * KEYS * D
    v += head * KEYS * D
    seen = first // BS * BS
    most, total, acc = attend(qs, k, v, most, total, acc, row, 0, seen, T, D, BS, False)
    most, total, acc = attend(qs, k, v, most, total, acc, row, seen, tl.minimum(first + BT, T), T, D, BS, True)
    out = acc * (1 / total)[:, None]
    tl.store(o + head * D + row[:, None] * OS + rd[None, :], out.to(o.dtype.element_ty), mask=row[:, None] < T)


@dataclasses.dataclass
class Output:
    """An argument that the kernel writes; the emulator fills it with NaN before."""
    shape: tuple
    dtype: type


@dataclasses.dataclass
class Launch:
    """A kernel of a code object. The grid is in workgroups, block and lds are work-items and bytes of one."""
    code: pathlib.Path
    symbol: str
    grid: tuple
    block: int
    lds: int = 0
    hidden: tuple = ()  # arguments behind those of the kernel's author


TYPES = {"float32": ("f32", "fp32"), "float16": ("f16", "fp16"), "int32": ("i32", "i32")}


def compile_triton(kernel, arguments, constants, grid, chip, folder, options):
    """Compiles for an AMD GPU; assumes of pointers and integers what Triton's launcher would see: multiples of 16."""
    lanes = 64 if chip.startswith("gfx9") else 32
    names = kernel.arg_names
    signature, attributes = {}, {}
    for i, a in enumerate(arguments):
        if isinstance(a, (np.ndarray, Output)):
            signature[names[i]] = "*" + TYPES[np.dtype(a.dtype).name][1]
        else:
            signature[names[i]] = "fp32" if isinstance(a, np.float32) else "i32"
        if signature[names[i]][0] == "*" or (signature[names[i]] == "i32" and a % 16 == 0):
            attributes[(i,)] = [["tt.divisibility", 16]]
    signature |= {c: "constexpr" for c in constants}
    compiled = triton.compile(ASTSource(kernel, signature, constants, attributes), target=GPUTarget("hip", chip, lanes),
                              options=options)
    code = folder / f"{kernel.__name__}_{chip}.hsaco"
    code.write_bytes(compiled.asm["hsaco"])
    # LDS of a Triton kernel is dynamic: its size stands in the metadata. Its own two pointers are not followed here.
    return Launch(code, compiled.metadata.name, grid, options["num_warps"] * lanes, compiled.metadata.shared,
                  (np.uint64(0), np.uint64(0)))


def run(emu, launch, arguments, folder, *options):
    """What the kernel wrote to its outputs, in their order, and the counters if `options` ask for them as JSON.

    Raises RuntimeError with what the emulator found."""
    x, y = launch.grid
    command = [emu, launch.code, "--kernel", launch.symbol, "--block", launch.block, "--lds", launch.lds, "--grid",
               f"{x * launch.block},{y}", *options]
    outputs = []
    for i, a in enumerate((*arguments, *launch.hidden)):
        path = folder / f"argument_{i}"
        if isinstance(a, Output):
            outputs.append((path, a))
            command += ["--arg", f"out:{TYPES[np.dtype(a.dtype).name][0]}:{int(np.prod(a.shape))}:{path}"]
        elif isinstance(a, np.ndarray):
            a.tofile(path)
            command += ["--arg", f"in:{TYPES[a.dtype.name][0]}:{path}"]
        else:
            kind = "f32" if isinstance(a, np.float32) else "u64" if isinstance(a, np.uint64) else "i32"
            command += ["--arg", f"{kind}:{a}"]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    counters = json.loads(done.stdout[done.stdout.index("{"):]) if "--counters" in options else None
    return [np.fromfile(path, o.dtype).reshape(o.shape) for path, o in outputs], counters


def difference(got, expected, tolerance):
    """Why `got` is not `expected`, or None. Tolerances count from the greatest element, but for small results from 1."""
    error = np.abs(got.astype(np.float64) - expected) / max(1.0, np.abs(expected).max())
    if (error <= tolerance).all():  # written so that NaN fails
        return None
    return f"off by {np.nanmax(error):.3g} > {tolerance:g}, {np.isnan(got).sum()} NaN"


def softmax64(x):
    e = np.exp(x.astype(np.float64) - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def layernorm64(x, w, b):
    x = x.astype(np.float64)
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * w + b


def gelu64(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def attention64(q, k, v, scale):
    """Causal; all are [head, row, column]."""
    scores = np.einsum("htd,hsd->hts", q.astype(np.float64), k.astype(np.float64)) * scale
    scores[:, np.triu(np.ones(scores.shape[1:], bool), 1)] = -np.inf
    return np.einsum("hts,hsd->htd", softmax64(scores), v.astype(np.float64))
