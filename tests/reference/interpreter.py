#!/usr/bin/env python3
"""Writes tests/golden/interpreter.inc: what NumPy says the interpreter must give.

    python3 tests/reference/interpreter.py > tests/golden/interpreter.inc

Inputs are f32 or i32; results are computed in float64 from them. Tables are C++ arrays named like the tests use them.
"""
from fractions import Fraction

import numpy as np

np.seterr(all="ignore")
rng = np.random.default_rng(7)


def text(x):
    x = float(x)
    if np.isnan(x):
        return "NAN"
    if np.isinf(x):
        return "-INFINITY" if x < 0 else "INFINITY"
    return "-0.0" if x == 0 and np.signbit(x) else "%.10g" % x  # every f32 has a text of its own


def table(name, values, kind="double"):
    values = np.asarray(values).reshape(-1)
    lines, line = [], "   "
    for v in values:
        item = " " + (str(int(v)) if kind == "int64_t" else text(v)) + ","
        if len(line) + len(item) > 120:
            lines.append(line)
            line = "   "
        line += item
    lines.append(line)
    print(f"const std::vector<{kind}> {name} = {{")
    print("\n".join(lines))
    print("};")


def wrap(x):
    return (x.astype(np.int64) + 2**31) % 2**32 - 2**31


def to_bf16(x):
    """float64 -> the nearest bf16, ties to even, as float64; exact arithmetic, one rounding."""
    if np.isnan(x) or np.isinf(x) or x == 0:
        return x
    exponent = max(int(np.floor(np.log2(abs(x)))), -126)
    while Fraction(2) ** exponent > abs(Fraction(x)) and exponent > -126:
        exponent -= 1
    step = Fraction(2) ** (exponent - 7)
    rounded = round(abs(Fraction(x)) / step) * step  # Fraction rounds ties to even
    if rounded >= Fraction(2) ** 128:
        return np.copysign(np.inf, x)
    return np.copysign(float(rounded), x)


def saturate(x, lo, hi):
    return np.clip(np.trunc(np.nan_to_num(x, nan=0.0)), lo, hi)


print("// Written by tests/reference/interpreter.py with NumPy; do not edit.")

# Elementwise functions.
edges = np.float32([0, -0.0, 1, -1, 0.5, 2.5, 3.5, -2.5, 1e-40, -1e-45, 1.17549435e-38, 3.4e38, -3.4e38, np.inf, -np.inf,
                    np.nan, 88, -104, 1e-3, 100.25, -7.75, 16777217, 0.1])
x = edges.astype(np.float64)
table("edges", x)
unary = {"abs": np.abs, "neg": np.negative, "exp": np.exp, "exp2": np.exp2, "log": np.log, "sqrt": np.sqrt,
         "rsqrt": lambda v: 1 / np.sqrt(v), "tanh": np.tanh, "sin": np.sin, "cos": np.cos, "floor": np.floor, "round": np.round}
for name, f in unary.items():
    table("unary_" + name, f(x))
few = np.float32([0, 1, -2.5, 1e-40, 3.4e38, -3.4e38, np.inf, -np.inf, np.nan, 0.1, 1e-3, 16777217]).astype(np.float64)
table("few_edges", few)
a, b = np.meshgrid(few, few, indexing="ij")
binary = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "min": np.minimum, "max": np.maximum,
          "lt": np.less, "le": np.less_equal, "eq": np.equal, "ne": np.not_equal}
for name, f in binary.items():
    table("binary_" + name, f(a, b))
table("mad_results", a * b + 0.3125)

# 32-bit integers wrap.
ints = np.int64([0, 1, -1, 7, -7, 2**31 - 1, -(2**31), 12345678, 33, -100])
table("int_edges", ints, "int64_t")
a, b = np.meshgrid(ints, ints, indexing="ij")
safe = np.where(b == 0, 1, b)
quotient = np.where(b == 0, 0, np.trunc(a / safe).astype(np.int64))  # exact: 32-bit values
integer = {"add": a + b, "sub": a - b, "mul": a * b, "idiv": quotient, "imod": np.where(b == 0, 0, np.fmod(a, safe)),
           "shl": a << (b & 31), "shr": a >> (b & 31), "bit_and": a & b, "bit_or": a | b, "bit_xor": a ^ b,
           "min": np.minimum(a, b), "max": np.maximum(a, b)}
for name, v in integer.items():
    table("int_" + name, wrap(v), "int64_t")
table("int_abs", wrap(np.abs(ints)), "int64_t")
table("int_neg", wrap(-ints), "int64_t")

# Casts. `nearly` are sums in float64 that lie next to a tie of the narrow type: rounding twice gets them wrong.
base = np.float32([1 + 2**-11, 1 + 2**-8, 1 + 3 * 2**-11, 1 + 3 * 2**-8, 2**-25, 65519.9961, 65520, -2049, 3.3961776e38])
tiny = np.float32([2**-40, 2**-40, -(2**-40), -(2**-40), 2**-60, 2**-10, -(2**-10), 2**-30, 1e25])
nearly = np.concatenate([base.astype(np.float64) + tiny.astype(np.float64), x])
table("cast_base", np.concatenate([base, edges]))
table("cast_tiny", np.concatenate([tiny, np.zeros_like(edges)]))
table("cast_f32", nearly.astype(np.float32))
table("cast_f16", nearly.astype(np.float16))
table("cast_bf16", [to_bf16(v) for v in nearly])
table("cast_i32", saturate(nearly, -(2**31), 2**31 - 1), "int64_t")
table("cast_i8", saturate(nearly, -128, 127), "int64_t")
table("cast_u8", saturate(nearly, 0, 255), "int64_t")
table("cast_b1", nearly != 0, "int64_t")
table("cast_bits", edges.view(np.int32), "int64_t")
table("narrow_i8", ints.astype(np.int8), "int64_t")
table("narrow_u8", ints.astype(np.uint8), "int64_t")
table("int_to_f32", ints.astype(np.float32))

# Reductions of a 3x5x7 tensor over each axis, one with special values.
t = rng.standard_normal((3, 5, 7)).astype(np.float32)
t[1, 2] = [3, 9, 1, 9, 0, 9, -1]  # ties
table("cube", t)
special = t.copy()
special[0, 1, 4] = special[0, 1, 6] = np.nan
special[2, 3, 0] = np.inf
special[2, :, 5] = -np.inf
table("special_cube", special)
for prefix, v in [("", t), ("special_", special)]:
    for name, f in [("sum", np.sum), ("max", np.max), ("min", np.min), ("argmax", np.argmax)]:
        for axis in range(3):
            table(f"{prefix}{name}_{axis}", f(v.astype(np.float64) if name != "argmax" else v, axis=axis))

# Products.
p, q = (rng.standard_normal(s).astype(np.float32) for s in [(2, 5, 70), (2, 70, 3)])
table("left", p)
table("right", q)
p64, q64 = p.astype(np.float64), q.astype(np.float64)
table("batched", np.einsum("bmk,bkn->bmn", p64, q64))
table("shared", np.einsum("bmk,bmk->bm", p64, p64))
table("outer", np.einsum("bmk,ckn->bcmn", p64, q64))

# Rows.
rows = (rng.standard_normal((4, 70)) * 3 + 100).astype(np.float32)
table("rows", rows)
r = rows.astype(np.float64)
e = np.exp(r - r.max(axis=1, keepdims=True))
table("softmax", e / e.sum(axis=1, keepdims=True))
d = r - r.mean(axis=1, keepdims=True)
table("layernorm", d / np.sqrt((d * d).mean(axis=1, keepdims=True) + 1e-5))
table("row_sums", r.sum(axis=1))

# Causal attention of one head, 37 positions, width 8.
Q, K, V = (rng.standard_normal((37, 8)).astype(np.float32) for _ in range(3))
for name, v in [("attention_q", Q), ("attention_k", K), ("attention_v", V)]:
    table(name, v)
s = Q.astype(np.float64) @ K.astype(np.float64).T / np.sqrt(8)
s[np.triu_indices(37, 1)] = -np.inf
s = np.exp(s - s.max(axis=1, keepdims=True))
table("attention", s / s.sum(axis=1, keepdims=True) @ V.astype(np.float64))

# Gather and scatter along the rows of `rows`; some indices lie outside.
picks = np.int64([3, -1, 0, 4, 2, 2**31 - 1, -(2**31), 1])
table("picks", picks, "int64_t")
table("gathered", [rows[i] if 0 <= i < 4 else np.zeros(70) for i in picks])
scattered = np.full((4, 70), -5.0)
for n, i in enumerate(picks):
    if 0 <= i < 4:
        scattered[i] = n
table("scattered", scattered)

# Views of `rows`: every third column backwards, transposed.
table("viewed", rows[:, 69::-3].T)
