"""Numbers of bytes and operations, and shapes, as text."""

from __future__ import annotations


def amount(number, unit):
    """1536000, "B" as "1.54 MB"."""
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= factor:
            return f"{number / factor:.3g} {prefix}{unit}".rstrip()
    return f"{number} {unit}".rstrip()


def shape_text(shape):
    """(1000, 3) as "1000 x 3"; a single element as "1"."""
    return " x ".join(map(str, shape)) or "1"


def counted(number, noun):
    """3, "step" as "3 steps"."""
    return f"{number} {noun}{'s' * (number != 1)}"
