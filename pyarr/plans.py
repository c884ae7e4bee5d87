"""What a function computes and how: explain."""

from __future__ import annotations

import html

from . import _core
from ._quantities import amount, counted, shape_text
from .plan_picture import picture
from .replay import jit

__all__ = ["explain"]


def explain(f):
    """A function that runs `f` and shows the plans behind it.

    Parameters
    ----------
    f : callable
        What is to be explained: ``value_and_grad(f)``, ``grad(f)``, ``jit(f)`` or a plain
        function, which is then recorded as by `jit`.

    Returns
    -------
    callable
        Takes the arguments of `f` and returns an `Explanation`: its text is a table of
        what runs in which order, with bytes, operations and memory; in a notebook it is
        drawn. ``.result`` is what `f` gave, ``.listing()`` shows the instructions, and
        ``.svg()`` gives the drawing.

    Notes
    -----
    Bytes count each array that a step reads or writes once; an operation counts one for
    each element, whatever function it is. Plans were made when `f` was called first; each
    call runs all of them in the order shown.

    Examples
    --------
    >>> import numpy, pyarr
    >>> def chi(theta, x):
    ...     return pyarr.sum((pyarr.exp(-theta * x) - 0.5) ** 2)
    >>> x = numpy.linspace(0.0, 1.0, 1000)
    >>> plan = pyarr.explain(pyarr.value_and_grad(chi))(0.7, x)
    >>> len(plan.plans), plan.plans[0]["steps"][-1]["kind"]
    (1, 'program')
    >>> print(plan)  # doctest: +SKIP
    """

    def call(*args, **kwargs):
        result, plans = _core.watch_plans(lambda: f(*args, **kwargs))
        if not plans:
            recorded = jit(f)
            result, plans = _core.watch_plans(lambda: recorded(*args, **kwargs))
        return Explanation(result, plans)

    return call


_HEADER = ("#", "step", "over", "runs as", "ops", "sums", "reads", "writes", "flop")


def _row(number, step):
    return (
        str(number),
        step["name"],
        shape_text(step["shape"]),
        step["executor"],
        str(step["nodes"] or ""),
        str(step["sums"] or ""),
        amount(step["bytes_read"], "B"),
        amount(step["bytes_written"], "B"),
        amount(step["flops"], ""),
    )


def _total(plan, key):
    return sum(step[key] for step in plan["steps"])


class Explanation:
    """The plans that a call ran, as a table and as a picture."""

    def __init__(self, result, plans):
        self.result = result
        self.plans = plans

    def _titles(self):
        for number, plan in enumerate(self.plans, 1):
            yield (
                f"plan {number} of {len(self.plans)}: "
                f"{counted(len(plan['steps']), 'step')}, "
                f"reads {amount(_total(plan, 'bytes_read'), 'B')}, "
                f"writes {amount(_total(plan, 'bytes_written'), 'B')}, "
                f"{amount(_total(plan, 'flops'), 'flop')}, "
                f"temporary memory {amount(plan['temporary_bytes'], 'B')}"
                + (f", {counted(plan['guards'], 'guard')}" if plan["guards"] else "")
            )

    def __str__(self):
        if not self.plans:
            return "no plan: computed op by op (executor=nodes, or nothing to compute)"
        parts = []
        for title, plan in zip(self._titles(), self.plans, strict=True):
            rows = [_HEADER, *(_row(k, s) for k, s in enumerate(plan["steps"], 1))]
            parts.append(title + "\n" + _aligned(rows, right=(0, 4, 5, 6, 7, 8)))
        return "\n\n".join(parts)

    __repr__ = __str__

    def listing(self):
        """The instructions of every program, as text: ``r`` are registers, of which the
        first are the inputs."""
        lines = []
        for title, plan in zip(self._titles(), self.plans, strict=True):
            lines.append(title)
            for number, step in enumerate(plan["steps"], 1):
                space = shape_text(step["shape"])
                lines.append(f"{number} {step['name']} over {space}")
                for op, places, dtype, out in step["instructions"]:
                    given = ", ".join(f"r{k}" for k in places)
                    lines.append(f"    r{out} = {op}({given})  {dtype}")
        return "\n".join(lines)

    def svg(self, number=1):
        """The picture of one of the plans, as SVG text."""
        return picture(self.plans[number - 1])

    def _repr_html_(self):
        if not self.plans:
            return f"<p>{html.escape(str(self))}</p>"
        parts = []
        for number, title in enumerate(self._titles(), 1):
            parts.append(f"<p>{html.escape(title)}</p>\n{self.svg(number)}")
        table = html.escape(str(self))
        return "\n".join(parts) + (
            f"\n<details><summary>table</summary><pre>{table}</pre></details>"
        )

    def _repr_svg_(self):
        return self.svg() if len(self.plans) == 1 else None


def _aligned(rows, right):
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if k in right else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
