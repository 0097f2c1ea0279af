"""Our kernels beside Triton's on gfx1151: what the emulator counts of each, and an ESTIMATE of the time.

Usage: triton_bench.py BIN [--kernels REGEX] [--tunings] [--json FILE] [--seed N]     BIN: the folder of our programs

Both compute the same from the same files, through the same program, and have to agree with NumPy in f64: exit status 1
where one does not. Extents that GPT-2 knows beforehand are constants for both, the number of rows is not. Of several
sizes of blocks and numbers of warps, Triton gets the ones with the least estimate, and of equal ones the fewest
instructions; ours are the library's schedules.
"""
import argparse
import dataclasses
import itertools
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import numpy as np
import triton

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/emulator/triton"))
import kernels  # noqa: E402
from kernels import Launch, Output  # noqa: E402

CHIP = "gfx1151"


@dataclasses.dataclass
class Case:
    kernel: str
    shape: tuple  # as wavetile-peer takes it
    arguments: dict  # ours, by the names of our tensors
    theirs: list
    expected: np.ndarray
    tolerance: float
    tunings: list  # (constants, grid, options)

    @property
    def name(self):
        return f"{self.kernel} {'x'.join(map(str, self.shape))}"


def blocks(extent, block):
    return -(-extent // block)


def row_tunings(rows, columns):
    block = triton.next_power_of_2(columns)
    for n, warps in itertools.product((1, 2, 4), (1, 2, 4, 8)):
        yield {"C": columns, "ROWS": n, "BLOCK": block}, (blocks(rows, n), 1), {"num_warps": warps}


def softmax(rng, rows, columns):
    x = rng.standard_normal((rows, columns), dtype=np.float32) * 3
    y = Output(x.shape, np.float32)
    return Case("softmax", (rows, columns), {"X": x, "Y": y}, [x, y, rows], kernels.softmax64(x), 1e-6,
                row_tunings(rows, columns))


def layernorm(rng, rows, columns):
    x = rng.standard_normal((rows, columns), dtype=np.float32) + 1
    w, b = rng.standard_normal((2, columns), dtype=np.float32)
    y = Output(x.shape, np.float16)
    return Case("layernorm", (rows, columns), {"X": x, "Gain": w, "Bias": b, "Y": y},
                [x, w, b, y, rows, np.float32(1e-5)], kernels.layernorm64(x, w, b), 1e-3, row_tunings(rows, columns))


def product_tunings(m, n, k):
    sizes = ((16, 64, 2), (32, 32, 2), (32, 64, 2), (32, 64, 4), (32, 128, 4), (64, 64, 4), (64, 64, 8), (64, 128, 4),
             (64, 128, 8), (128, 64, 4), (128, 128, 8))
    for (bm, bn, warps), bk, stages in itertools.product(sizes, (32, 64), (1, 2)):
        if bm <= triton.next_power_of_2(m):
            yield ({"N": n, "K": k, "BM": bm, "BN": bn, "BK": bk}, (blocks(m, bm), blocks(n, bn)),
                   {"num_warps": warps, "num_stages": stages})


def linear_gelu(rng, m, n, k):
    a = rng.standard_normal((m, k)).astype(np.float16)
    b = (rng.standard_normal((k, n)) / np.sqrt(k)).astype(np.float16)
    bias = rng.standard_normal(n, dtype=np.float32)
    c = Output((m, n), np.float16)
    expected = kernels.gelu64(a.astype(np.float64) @ b.astype(np.float64) + bias)
    return Case("linear_gelu", (m, n, k), {"A": a, "B": b, "Bias": bias, "C": c}, [a, b, bias, c, m], expected, 2e-3,
                product_tunings(m, n, k))


def attention_tunings(rows, heads, keys):
    for (bt, warps), bs, stages in itertools.product(((16, 1), (32, 1), (32, 2), (64, 2), (64, 4), (128, 4), (128, 8)),
                                                     (16, 32, 64), (1, 2)):
        if bs <= bt:
            yield ({"QS": 3 * heads * 64, "OS": heads * 64, "KEYS": keys, "BT": bt, "BS": bs, "D": 64},
                   (blocks(rows, bt), heads), {"num_warps": warps, "num_stages": stages})


def attention(rng, rows, heads, keys):
    """The queries are views of rows that hold keys and values too, as in GPT-2."""
    qkv = rng.standard_normal((rows, 3, heads, 64), dtype=np.float32)
    k, v = (rng.standard_normal((heads, keys, 64)).astype(np.float16) for _ in range(2))
    o = Output((rows, heads, 64), np.float16)
    expected = kernels.attention64(qkv[:, 0].transpose(1, 0, 2), k[:, :rows], v[:, :rows], 0.125).transpose(1, 0, 2)
    return Case("attention", (rows, heads, keys), {"Q": qkv, "K": k, "V": v, "Start": np.zeros(1, np.int32), "O": o},
                [qkv, k, v, o, rows, np.float32(0.125)], expected, 3e-3, attention_tunings(rows, heads, keys))


def cases(rng):
    yield softmax(rng, 64, 768)
    yield softmax(rng, 61, 771)
    yield layernorm(rng, 64, 768)
    yield layernorm(rng, 61, 771)
    yield linear_gelu(rng, 64, 3072, 768)
    yield linear_gelu(rng, 512, 3072, 768)
    yield linear_gelu(rng, 61, 3073, 771)
    yield attention(rng, 256, 12, 1024)
    yield attention(rng, 251, 12, 1024)


class Bench:
    def __init__(self, programs, folder):
        self.emu, self.peer, self.folder = programs / "wavetile-emu", programs / "wavetile-peer", folder

    def ours(self, case):
        code = self.folder / "ours.hsaco"
        command = [self.peer, "object", case.kernel, "--shape", ",".join(map(str, case.shape)), "--out", code]
        made = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        arguments = []
        for t in made["tensors"]:
            arguments += [case.arguments[t["name"]], *map(np.uint64, t["extents"] + t["strides"])]
        return self.measure(case, Launch(code, made["symbol"], (made["blocks"], 1), made["block"]), arguments)

    def theirs(self, case):
        """The best tuning, and how many there were."""
        found = []
        for constants, grid, options in case.tunings:
            try:
                launch = kernels.compile_triton(getattr(kernels, case.kernel), case.theirs, constants, grid, CHIP,
                                                self.folder, options)
            except Exception as e:  # more LDS than there is, and whatever else Triton cannot do
                print(f"{case.name}, {constants} {options}: {str(e).splitlines()[-1]}", file=sys.stderr)
                continue
            if launch.lds > 65536:
                continue
            sizes = [f"{k} {v}" for k, v in constants.items() if k in ("ROWS", "BM", "BN", "BK", "BT", "BS")]
            m = self.measure(case, launch, case.theirs)
            m["tuning"] = ", ".join(sizes + [f"{k[4:]} {v}" for k, v in options.items()])
            found.append(m)
        return min(found, key=lambda m: (round(m["estimate"]["total"], 2), m["counters"]["instructions"])), found

    def measure(self, case, launch, arguments):
        outputs, counters = kernels.run(self.emu, launch, arguments, self.folder, "--counters", "json")
        estimate = subprocess.run([self.peer, "estimate"], input=json.dumps(counters), check=True, capture_output=True,
                                  text=True).stdout
        return {"counters": counters, "estimate": json.loads(estimate),
                "problem": kernels.difference(outputs[0], case.expected, case.tolerance)}


def columns_of(m):
    """What a row of the table shows, in its order: name, value, digits."""
    c, classes = m["counters"], m["counters"]["by_class"]
    pick = lambda *names: sum(classes[n] for n in names)  # noqa: E731
    shown = {
        "KB": (c["distinct_lines_read"] + c["distinct_lines_written"]) * c["line_bytes"] / 1000,
        "asked KB": c["lines_touched"] * c["line_bytes"] / 1000,
        "instr.": c["instructions"],
        "VALU": pick("valu", "trans", "vopd", "packed", "dot"),
        "WMMA": pick("matrix"),
        "memory": pick("global", "flat", "buffer", "scratch", "atomic"),
        "LDS": pick("lds"),
        "scalar": pick("salu", "smem", "branch"),
        "VGPRs": c["vgprs"],
        "LDS B": c["lds_bytes"],
        "waves": c["waves_per_simd"],
        "us": m["estimate"]["total"],
    }
    shown["other"] = shown["instr."] - sum(shown[k] for k in ("VALU", "WMMA", "memory", "LDS", "scalar"))
    order = ("KB", "asked KB", "instr.", "VALU", "WMMA", "memory", "LDS", "scalar", "other", "VGPRs", "LDS B", "waves", "us")
    return {k: shown[k] for k in order}


def print_rows(case, ours, theirs):
    def line(name, who, row, more=""):
        print(f"{name:<24} {who:<6} {' '.join(row)} {more}", flush=True)

    def shown(row):
        return [f"{v:>9.2f}" if k == "us" else f"{v:>9.0f}" for k, v in row.items()]

    a = columns_of(ours)
    line(case.name, "ours", shown(a), ours["estimate"]["bound"])
    if theirs:
        b = columns_of(theirs)
        line("", "Triton", shown(b), f"{theirs['estimate']['bound']}   {theirs['tuning']}")
        line("", "ratio", [f"{a[k] / b[k]:>9.3f}" if b[k] else f"{'':>9}" for k in a])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=pathlib.Path)
    parser.add_argument("--kernels", default=".", help="regular expression: which rows")
    parser.add_argument("--tunings", action="store_true", help="print all of Triton's tunings")
    parser.add_argument("--ours", action="store_true", help="our kernels alone")
    parser.add_argument("--json", type=pathlib.Path, help="write all counters here")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    options = parser.parse_args()
    print(f"triton {triton.__version__}, {CHIP}, seed {options.seed}; times are ESTIMATES, nothing was measured")
    wrong, rows = 0, []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options.programs, pathlib.Path(folder))
        for case in cases(np.random.default_rng(options.seed)):
            if not re.search(options.kernels, case.name):
                continue
            ours = bench.ours(case)
            theirs, tunings = (None, []) if options.ours else bench.theirs(case)
            if not rows:
                print(f"{'':<31} {' '.join(f'{k:>9}' for k in columns_of(ours))} bound")
            print_rows(case, ours, theirs)
            for m in tunings if options.tunings else []:
                print(f"{'':<31} {m['tuning']}: {m['estimate']['total']:.2f} us, {m['counters']['instructions']}")
            for who, m in [("ours", ours), *((f"Triton's, {t['tuning']}", t) for t in tunings)]:
                if m["problem"]:
                    print(f"{case.name}: WRONG, {who}: {m['problem']}")
                    wrong += 1
            rows.append({"kernel": case.name, "ours": ours, "triton": theirs})
    if options.json:
        options.json.write_text(json.dumps({"triton": triton.__version__, "chip": CHIP, "rows": rows}, indent=1))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
