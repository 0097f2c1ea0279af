#!/usr/bin/env python3
"""Writes tests/golden/tokenizer.json: token ids by two independent implementations, which must agree.

Run by hand from the repository root:  pip install tiktoken tokenizers && python3 tests/reference/tokenizer.py
Both are built from models/gpt2/vocab; nothing is downloaded. Code points younger than Unicode 14 are left out: whether
they are letters depends on the age of each library's tables.
"""
import json
import random

import tiktoken
from tokenizers import ByteLevelBPETokenizer

VOCAB = "models/gpt2/vocab/"
END = "<|endoftext|>"
PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

HAND = [
    "", " ", "  ", "\n", "a", "Hello, world!", " Hello", "hello world", END, END + END, "a" + END + "b", f" {END} ",
    f"one{END}{END}two{END}", f"trailing space {END} leading", f"line\n\n{END}\n\nline", "<|endoftext|", "|endoftext|>",
    "<|<|endoftext|>|>", "<|endoftext|><|endoftext", "<| endoftext |>", "<|ENDOFTEXT|>",
    # contractions
    "I'm you're he's we've they'll I'd can't", "I'M YOU'RE HE'S WE'VE THEY'LL I'D CAN'T", "'s't're've'm'll'd", "''s",
    "' s",
    "rock'n'roll o'clock 'tis 'twas", "don\u2019t it\u2019s", "x'sy 'smile 'todd 'vein 'really", "'", "''", "'''",
    "a'", "'a",
    # spaces
    "a  b", "a   b", "a    b", "   a", "a   ", "a \n b", "a\n b", "a \nb", "a\n\nb", "a\n\n\n", "\n\n\na", "\ta",
    "a\t", "\t\ta",
    " \t \n \r\n x", "a\r\nb\r\n", "\r\r\r", "a\u00a0b", "a \u00a0b", "\u00a0\u00a0a", "a\u00a0 b", "a\u2003b",
    "a\u2003\u2003 b",
    "a\u3000b\u3000\u3000c", "a\u2028b\u2029c", "a\u0085b", "a\u0085\u0085b", "a\u180eb", " \u180e ", "  \u180ex",
    "a\u200bb",
    " \u200b ", "a\u2060b\ufeffc", "\ufeffHello", "a\u1680b \u1680", "a\u202fb\u205fc", "\x0b\x0c a\x0bb",
    "if (x) {\n        return y;\n    }\n",
    "\tdef f(self):\n\t\treturn None\n", "a,  b,   c", "1  2   3", "!  !   !",
    # numbers
    "0 1 12 123 1234 12345 1234567890", "3.14159 -2e10 0x1F 1,000,000", "1st 2nd 3rd x2 y3z",
    "\u0661\u0662\u0663 \u06f4\u06f5 \u0967\u0968\u0969",
    "\u4e00\u4e8c\u4e09 \u2160\u2161\u2162 \u00bd \u00b2 \u2075 \u2460", "\uff11\uff12\uff13", "\U0001d7d8\U0001d7d9",
    "\u0bf0\u0bf1 \u1369", "a1b2c3", "\u00bcup \u2153",
    # scripts
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645",
    "\u0627\u0644\u0633\u0651\u064e\u0644\u0627\u0645\u064f \u0639\u064e\u0644\u064e\u064a\u0652\u0643\u064f\u0645",
    "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u092e\u0947\u0902 \u0928\u092e\u0938\u094d\u0924\u0947",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01",
    "\u3053\u3093\u306b\u3061\u306f\u3001\u4e16\u754c\uff01", "\u4f60\u597d\uff0c\u4e16\u754c\u3002",
    "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8 \u3067\u3059",
    "\uc548\ub155\ud558\uc138\uc694 \uc138\uacc4", "\u1112\u1161\u11ab\u1100\u1173\u11af",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u0401\u043b\u043a\u0430",
    "\u0393\u03b5\u03b9\u03ac \u03c3\u03bf\u03c5 \u039a\u03cc\u03c3\u03bc\u03b5",
    "\u10d2\u10d0\u10db\u10d0\u10e0\u10ef\u10dd\u10d1\u10d0", "\u0540\u0561\u0575\u0565\u0580\u0565\u0576",
    "\u12a0\u121b\u122d\u129b", "\u0ba4\u0bae\u0bbf\u0bb4\u0bcd", "\u1019\u103c\u1014\u103a\u1019\u102c",
    "\u1201 \u13a3\u13b3\u13a9", "Stra\u00dfe \u00c6\u00f8\u00e5 na\u00efve caf\u00e9",
    "Z\u0101 \u0130stanbul \u0131", "\u01c5 \ufb01 \ufb03",
    "\U00010330\U00010331 \U00020000\U0002a6d6", "\U0001d504\U0001d505 \U0001d7ec", "\u16a0\u16a2 \u1680 \u16b1",
    # combining marks
    "e\u0301 cafe\u0301", "a\u0300\u0301\u0302\u0303\u0304\u0305", " \u0301", "\u0301",
    "Z\u0336\u0353a\u0347\u0321l\u0317g\u0348o\u032f", "n\u0303 \u00f1", "\u1100\u1161", "a\u20dd", "k\u0323\u0307",
    # emoji
    "\U0001f600", " \U0001f600", "\U0001f600\U0001f601\U0001f602", "\U0001f44d\U0001f3fd",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f3f3\ufe0f\u200d\U0001f308",
    "\u2764\ufe0f\u200d\U0001f525",
    "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", "1\ufe0f\u20e3 #\ufe0f\u20e3",
    "\U0001f9d1\U0001f3fb\u200d\U0001f91d\u200d\U0001f9d1\U0001f3ff hi", "\u263a \u263a\ufe0f", "I \u2764 NY",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    # controls, symbols, noncharacters
    "\x00", "a\x00b", "\x00\x01\x02\x03", "\x1b[31mred\x1b[0m", "\x7f", "\x1c\x1d\x1e\x1f", "a\x1cb \x1fc",
    "\x80\x81\x9f", "\u00ad soft\u00adhyphen",
    "\ufffd", "\uffff\ufffe", "\U0010ffff", "\ud7ff\ue000", "\u202eRTL\u202c", "\u2066x\u2069",
    "~!@#$%^&*()_+`-={}|[]\\:\";'<>?,./", "\u2014\u2013\u2018\u2019\u201c\u201d\u2026",
    "\u20ac\u00a3\u00a5 \u2200x\u2208\u211d \u2211\u222b\u221e", "$x^2 + y_1 = \\frac{a}{b}$",
    "http://example.com/a?b=c&d=%20#e", "user@example.com",
    "<html><body class=\"x\">\n</body></html>", "{\"a\": [1, 2.5, null], \"b\": \"\\u00e9\"}",
    "snake_case CamelCase kebab-case SCREAMING_CASE",
    "_ __ ___", "- -- ---", "... .... .....", "=" * 50, "#" * 33, "-" * 81, "a" * 100, "A" * 65, " " * 100,
    " " * 99 + "x", "\n" * 37, "\t" * 20, "ab" * 77,
    "aA" * 50, "the " * 40, "\u00e9" * 30, "\U0001f600" * 17, "\u4e2d" * 40, "7" * 61, " \n" * 20 + "x",
    "antidisestablishmentarianism",
    "Donaudampfschifffahrtsgesellschaftskapit\u00e4n", "supercalifragilisticexpialidocious",
    "SolidGoldMagikarp petertodd",
]

PROSE = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, "
    "it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of "
    "Darkness, it was the spring of hope, it was the winter of despair, we had everything before us, we had nothing "
    "before us, we were all going direct to Heaven, we were all going direct the other way\u2014in short, the period "
    "was so far like the present period, that some of its noisiest authorities insisted on its being received, for "
    "good or for evil, in the superlative degree of comparison only.\n\nThere were a king with a large jaw and a "
    "queen with a plain face, on the throne of England; there were a king with a large jaw and a queen with a fair "
    "face, on the throne of France.\n")

# Ranges that Unicode 14 has assigned throughout, or that are the same (unassigned) in every version so far.
RANGES = [(0x00, 0x7f), (0x20, 0x7e), (0x80, 0x24f), (0x300, 0x36f), (0x391, 0x3a1), (0x410, 0x44f), (0x5d0, 0x5ea),
          (0x621, 0x652), (0x660, 0x669), (0x905, 0x939), (0x2000, 0x2064), (0x2070, 0x2071), (0x2190, 0x21ff),
          (0x2500, 0x25ff),
          (0x3041, 0x3096), (0x30a1, 0x30fa), (0x4e00, 0x9fa5), (0xac00, 0xd7a3), (0xe000, 0xe0ff), (0xff01, 0xff5e),
          (0x1f300, 0x1f5ff), (0x1f600, 0x1f64f), (0x1d400, 0x1d454), (0x20000, 0x2a6d6)]
WORDS = PROSE.split() + ["'s", "'ll", "'re", " ", "  ", "\n", "\n\n", "\t", "\u00a0", "12", "1999", "--",
    "!?", END, "\u00e9t\u00e9", "\U0001f600"]


def random_strings(rng):
    for _ in range(120):  # characters of all scripts, mixed
        yield "".join(chr(rng.randint(*rng.choice(RANGES))) for _ in range(rng.randint(1, 40)))
    for _ in range(60):  # words and runs of spaces
        yield "".join(rng.choice(WORDS) + rng.choice(["", " ", " ", "  ", "\n"]) for _ in range(rng.randint(1, 30)))
    for _ in range(60):  # few distinct characters: many equal merges
        alphabet = rng.sample("abcdehinorst'1 \n.", 4)
        yield "".join(rng.choice(alphabet) for _ in range(rng.randint(1, 80)))
    for _ in range(40):  # long words of letters
        yield "".join(rng.choice("etaoinshrdlucmfwypvbgkjqxz") for _ in range(rng.randint(20, 200)))


def main():
    ids = json.load(open(VOCAB + "encoder.json", encoding="utf-8"))
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    byte_of = {chr(b): b for b in printable}
    byte_of.update((chr(256 + i), b) for i, b in enumerate(b for b in range(256) if b not in printable))
    ranks = {bytes(byte_of[c] for c in token): i for token, i in ids.items() if token != END}
    first = tiktoken.Encoding("gpt2-local", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={END: ids[END]})
    second = ByteLevelBPETokenizer(VOCAB + "encoder.json", VOCAB + "vocab.bpe")
    second.add_special_tokens([END])

    cases = []
    for text in [*HAND, PROSE, PROSE.upper(), PROSE * 5, *random_strings(random.Random(20240326))]:
        a, b = first.encode(text, allowed_special={END}), second.encode(text).ids
        if a != b:
            raise SystemExit(f"the references disagree on {text!r}:\n{a}\n{b}")
        cases.append({"text": text, "ids": a})
    with open("tests/golden/tokenizer.json", "w", encoding="ascii") as file:
        file.write("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n")
    print(len(cases), "cases")


if __name__ == "__main__":
    main()
