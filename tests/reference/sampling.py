#!/usr/bin/env python3
"""Writes tests/golden/sampling.json: which tokens stay, and with what probability, over a grid of sampling settings.

The rules are those of kernels/sampling.h, in float64. Settings whose outcome would hang on rounding are refused, so that
the test needs no tolerance for which tokens stay.
"""
import itertools
import json
import pathlib

import numpy as np

MARGIN = 1e-5  # what masses and weights keep from the numbers that they are compared with


def staying(z, top_k, top_p, min_p):
    stay = np.ones(len(z), bool)
    if top_k > 0:
        greater = (z[None, :] > z[:, None]).sum(1)
        stay &= greater < top_k
    if top_p < 1:
        e = np.where(stay, np.exp(z - z.max()), 0)
        above = np.array([e[z > v].sum() for v in z]) / e.sum()
        assert np.abs(above - top_p).min() > MARGIN, "a mass is too close to top_p"
        stay &= above < top_p
    if min_p > 0:
        weight = np.exp(z - z.max())
        assert np.abs(weight - min_p)[weight < 1].min() > MARGIN, "a weight is too close to min_p"
        stay &= weight >= min_p
    return stay


def main():
    rng = np.random.default_rng(7)
    x = np.float32(rng.normal(0, 3, 83))
    x[[5, 40, 41]] = x.max()  # ties at the top, and further down
    x[[9, 60, 61, 62]] = np.sort(x)[40]
    x[[17, 33]] = -np.inf
    seen = (rng.random(len(x)) < 0.3).astype(int)
    cases = []
    grid = itertools.product([1.0, 0.7, 1.5], [0, 1, 4, 20, 41], [1.0, 0.95, 0.6, 0.25], [0.0, 0.04, 0.3], [1.0, 1.25])
    for temperature, top_k, top_p, min_p, penalty in grid:
        f32 = lambda v: float(np.float32(v))
        z = x.astype(np.float64)
        z = np.where(seen == 1, np.where(z < 0, z * f32(penalty), z / f32(penalty)), z) / f32(temperature)
        stay = staying(z, top_k, f32(top_p), f32(min_p))
        e = np.where(stay, np.exp(z - z.max()), 0)
        p = e / e.sum()
        cases.append({
            "temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p, "penalty": penalty,
            "stay": np.flatnonzero(stay).tolist(), "p": [float(f"{v:.9g}") for v in p[stay]],
        })
    logits = [None if np.isinf(v) else float(v) for v in x]  # null: -inf
    out = pathlib.Path(__file__).parent.parent / "golden" / "sampling.json"
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    out.write_text(f'{{"logits":{json.dumps(logits)},\n"seen":{json.dumps(seen.tolist())},\n"cases":[\n{lines}]}}\n')


if __name__ == "__main__":
    main()
