#!/usr/bin/env python3
"""Logits of GPT-2 from its published definition, in NumPy float64, and gpt2-dsl-run's against them.

    gpt2_logits.py make --size 355M DIR            a seeded random checkpoint in the Hugging Face layout, f32
    gpt2_logits.py logits DIR FILE                 the reference's logits after PROMPT: f32, one a token
    gpt2_logits.py check DIR --run PATH            runs `PATH --logits` on DIR and prints the largest differences

Needs numpy. Checkpoints of 355M, 774M and 1558M take 1.4, 3.1 and 6.2 GB.
The definition: Radford et al., "Language Models are Unsupervised Multitask Learners" (2019), and OpenAI's
gpt-2/src/model.py: pre-norm blocks, GELU in its tanh form, tied output matrix.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

SIZES = {"124M": (12, 12, 768), "355M": (24, 16, 1024), "774M": (36, 20, 1280), "1558M": (48, 25, 1600)}
POSITIONS, VOCABULARY = 1024, 50257
PROMPT = "The old sailor looked out at the sea and the ships."
PROMPT_IDS = [464, 1468, 43272, 3114, 503, 379, 262, 5417, 290, 262, 7937, 13]


def shapes(layers, channels):
    c = channels
    yield "wte.weight", (VOCABULARY, c)
    yield "wpe.weight", (POSITIONS, c)
    for i in range(layers):
        for norm in ("ln_1", "ln_2"):
            yield f"h.{i}.{norm}.weight", (c,)
            yield f"h.{i}.{norm}.bias", (c,)
        for name, rows, columns in (("attn.c_attn", c, 3 * c), ("attn.c_proj", c, c), ("mlp.c_fc", c, 4 * c),
                                    ("mlp.c_proj", 4 * c, c)):
            yield f"h.{i}.{name}.weight", (rows, columns)
            yield f"h.{i}.{name}.bias", (columns,)
    yield "ln_f.weight", (c,)
    yield "ln_f.bias", (c,)


def make(directory, size, seed):
    """Weights as transformers initialises them (normal, 0.02; residual projections 0.02 / sqrt(2 layers)); biases and
    the gains' distances from 1 are drawn with 0.02 too, so that an error in them shows."""
    layers, heads, channels = SIZES[size]
    directory.mkdir(parents=True, exist_ok=True)
    config = {"model_type": "gpt2", "n_layer": layers, "n_head": heads, "n_embd": channels, "n_positions": POSITIONS,
              "n_ctx": POSITIONS, "vocab_size": VOCABULARY, "layer_norm_epsilon": 1e-5,
              "activation_function": "gelu_new"}
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    header, at = {}, 0
    for name, shape in shapes(layers, channels):
        size_bytes = 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size_bytes]}
        at += size_bytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    rng = np.random.default_rng(seed)
    with open(directory / "model.safetensors", "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes(layers, channels):
            x = rng.standard_normal(shape, dtype=np.float32) * np.float32(0.02)
            if name.endswith("c_proj.weight"):
                x /= np.float32(np.sqrt(2 * layers))
            if name.endswith(("ln_1.weight", "ln_2.weight", "ln_f.weight")):
                x += 1
            f.write(x.tobytes())


class Tensors:
    """A safetensors file of f32, mapped; tensors come as float64."""

    def __init__(self, path):
        self.bytes = np.memmap(path, np.uint8, "r")
        size = int.from_bytes(self.bytes[:8].tobytes(), "little")
        self.header = json.loads(self.bytes[8:8 + size].tobytes())
        self.start = 8 + size

    def raw(self, name):
        entry = self.header[name]
        begin, end = entry["data_offsets"]
        assert entry["dtype"] == "F32", entry
        return self.bytes[self.start + begin:self.start + end].view(np.float32).reshape(entry["shape"])

    def __getitem__(self, name):
        return self.raw(name).astype(np.float64)


def layernorm(x, gain, bias, epsilon):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon) * gain + bias


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def reference(directory, ids):
    config = json.loads((directory / "config.json").read_text())
    heads, channels, epsilon = config["n_head"], config["n_embd"], config["layer_norm_epsilon"]
    t = Tensors(directory / "model.safetensors")
    n, size = len(ids), channels // heads
    mask = np.triu(np.full((n, n), -np.inf), 1)
    x = t.raw("wte.weight")[ids].astype(np.float64) + t.raw("wpe.weight")[:n].astype(np.float64)
    for i in range(config["n_layer"]):
        w = lambda name: t[f"h.{i}.{name}"]
        linear = lambda a, name: a @ w(name + ".weight") + w(name + ".bias")
        norm = lambda name: layernorm(x, w(name + ".weight"), w(name + ".bias"), epsilon)
        qkv = np.split(linear(norm("ln_1"), "attn.c_attn"), 3, -1)
        q, k, v = (a.reshape(n, heads, size).swapaxes(0, 1) for a in qkv)
        a = softmax(q @ k.swapaxes(1, 2) / np.sqrt(size) + mask) @ v
        x = x + linear(a.swapaxes(0, 1).reshape(n, channels), "attn.c_proj")
        x = x + linear(gelu(linear(norm("ln_2"), "mlp.c_fc")), "mlp.c_proj")
    last = layernorm(x, t["ln_f.weight"], t["ln_f.bias"], epsilon)[-1]
    head = t.raw("wte.weight")
    return np.concatenate([head[a:a + 4096].astype(np.float64) @ last for a in range(0, len(head), 4096)])


def check(directory, run, dtype):
    with tempfile.NamedTemporaryFile() as f:
        argv = [run, "--model", str(directory), "--prompt", PROMPT, "--max-tokens", "1", "--dtype", dtype, "--json",
                "--logits", f.name]
        answer = json.loads(subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout)
        ours = np.fromfile(f.name, np.float32).astype(np.float64)
    if answer["prompt_ids"] != PROMPT_IDS:
        sys.exit(f"the prompt was read as {answer['prompt_ids']}, not {PROMPT_IDS}")
    expected = reference(directory, PROMPT_IDS)
    error = np.abs(ours - expected)
    size = np.sqrt((expected**2).mean())
    large = np.abs(expected) > 0.1 * size
    print(f"{len(expected)} logits in {dtype}, root mean square {size:.4f}, "
          f"from {expected.min():.4f} to {expected.max():.4f}")
    print(f"largest difference: {error.max():.3g}, relative to the largest logit "
          f"{error.max() / np.abs(expected).max():.3g}, to the root mean square {error.max() / size:.3g}")
    print(f"largest relative difference of a logit (those above a tenth of the root mean square): "
          f"{(error[large] / np.abs(expected[large])).max():.3g}")
    print(f"same greedy token: {int(np.argmax(ours)) == int(np.argmax(expected))}")
    print(f"peak memory {answer['peak_memory_bytes'] / 1e9:.2f} GB, load {answer['load_ms']:.0f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("make", "logits", "check"):
        c = commands.add_parser(name)
        c.add_argument("directory", type=Path)
        if name == "make":
            c.add_argument("--size", choices=SIZES, required=True)
            c.add_argument("--seed", type=int, default=1)
        elif name == "logits":
            c.add_argument("file", type=Path)
        else:
            c.add_argument("--run", required=True, help="gpt2-dsl-run")
            c.add_argument("--dtype", default="f32")
    a = parser.parse_args()
    if a.command == "make":
        make(a.directory, a.size, a.seed)
    elif a.command == "logits":
        reference(a.directory, PROMPT_IDS).astype(np.float32).tofile(a.file)
    else:
        check(a.directory, a.run, a.dtype)


if __name__ == "__main__":
    main()
