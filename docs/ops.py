"""Writes docs/ops.md, the list of operations, from the op table.

python docs/ops.py
"""

from pathlib import Path

import pyarr
from pyarr import _core

PAGE = Path(__file__).with_name("ops.md")

CLASSES = {
    "all": "every dtype",
    "number": "integers, floats, complex",
    "realnum": "integers, floats",
    "integer": "integers",
    "bits": "bool, integers",
    "inexact": "floats, complex",
    "float": "floats",
    "real": "bool, integers, floats",
    "special": "as in NumPy",
    "": "see its function",
}

HEAD = """# Operations

Written by `docs/ops.py` from the op table, `csrc/ops/ops.def` and `primitives.def`. Every
elementwise operation is a ufunc with NumPy's arguments (`out`, `where`, `casting`,
`dtype`). "Computed in" says for which dtypes there are kernels; where integers or bool are
missing they are cast to floats first. Operations without a derivative are constant between
jumps, or have results that are no real numbers.
"""


def row(op, cells):
    derivative = "yes" if op["differentiable"] else "no"
    doc = op["doc"].replace("|", "\\|").replace("\n", " ")
    return "| " + " | ".join([f"`{op['name']}`", *cells, derivative, doc]) + " |"


def page():
    """The text of ops.md."""
    ops = sorted(_core.ops(), key=lambda op: op["name"])
    ufuncs = [op for op in ops if op["ufunc"] and hasattr(pyarr, op["name"])]
    others = [op for op in ops if not op["elementwise"]]
    lines = [HEAD, "## Elementwise", ""]
    lines += [
        "| name | inputs | computed in | derivative | value |",
        "|---|---|---|---|---|",
    ]
    lines += [row(op, [str(op["nin"]), CLASSES[op["class"]]]) for op in ufuncs]
    lines += ["", "## Others", ""]
    lines += [
        "Functions such as `pyarr.einsum` or `pyarr.linalg.lstsq` are made of these.",
        "",
    ]
    lines += ["| name | derivative | value |", "|---|---|---|"]
    lines += [row(op, []) for op in others]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
