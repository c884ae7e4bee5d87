"""What a program spends its time on: profile."""

from __future__ import annotations

import json
import os

from . import _core
from ._quantities import amount

__all__ = ["profile"]


class profile:
    """A context in which every operation is timed.

    Parameters
    ----------
    path : str or path, optional
        Where to write the events as a Chrome trace, for ``chrome://tracing`` or
        ``ui.perfetto.dev``.
    events : int, optional
        How many events to keep; of more the oldest are lost (``.lost`` says how many).

    Notes
    -----
    Events are steps of plans, plans as a whole, the making of plans, traces (a call of
    `value_and_grad` or its kin from beginning to end) and single operations outside of
    them. Python's own time inside a trace is what is left of the trace without the others;
    the summary shows it as "recording". ``.events`` holds them all: (kind, name, thread,
    begin, end, bytes, operations), times in nanoseconds since the context began.

    Examples
    --------
    >>> import pyarr
    >>> with pyarr.profile() as p:
    ...     y = pyarr.sin(pyarr.linspace(0.0, 1.0, 100000))
    >>> "sin" in p.summary()
    True
    """

    def __init__(self, path=None, events=100_000):
        self.path, self.capacity = path, events
        self.events, self.lost, self.seconds = [], 0, 0.0

    def __enter__(self):
        self._begin = _core.profile_start(self.capacity)
        return self

    def __exit__(self, *error):
        found, self.lost, end = _core.profile_stop()
        self.seconds = (end - self._begin) * 1e-9
        self.events = [
            (kind, name, thread, begin - self._begin, end - self._begin, size, flops)
            for kind, name, thread, begin, end, size, flops in found
        ]
        if self.path is not None:
            with open(self.path, "w", encoding="utf-8") as file:
                json.dump(self.chrome_trace(), file)

    def chrome_trace(self):
        """The events as Chrome's trace format wants them."""
        process = os.getpid()
        return {
            "displayTimeUnit": "ms",
            "traceEvents": [
                {
                    "name": name,
                    "cat": kind,
                    "ph": "X",
                    "ts": begin / 1e3,
                    "dur": (end - begin) / 1e3,
                    "pid": process,
                    "tid": thread,
                    "args": {"bytes": size, "flop": flops},
                }
                for kind, name, thread, begin, end, size, flops in self.events
            ],
        }

    def rows(self):
        """(name, kind, calls, seconds, bytes, operations) by time spent in each itself."""
        table = {}
        for event, own in _own_times(self.events):
            kind, name, _, _, _, size, flops = event
            name = {"trace": "recording", "plan": "around steps"}.get(kind, name)
            row = table.setdefault((name, kind), [0, 0.0, 0, 0])
            for k, more in enumerate((1, own * 1e-9, size, flops)):
                row[k] += more
        rows = [(*key, *row) for key, row in table.items()]
        return sorted(rows, key=lambda row: -row[3])

    def summary(self, top=20):
        """A table of where the time went."""
        lines = [
            f"{'':40} {'calls':>8} {'ms':>10} {'share':>6} {'GB/s':>8} {'Gflop/s':>8}"
        ]
        rows = self.rows()
        for name, kind, calls, seconds, size, flops in rows[:top]:
            share = seconds / self.seconds if self.seconds > 0 else 0.0
            speed = [
                f"{x / seconds / 1e9:8.2f}" if x and seconds > 0 else " " * 8
                for x in (size, flops)
            ]
            label = name if kind != "eager" else f"{name} (eager)"
            lines.append(
                f"{label[:40]:40} {calls:8} {seconds * 1e3:10.3f} {share:6.1%} "
                + " ".join(speed)
            )
        known = sum(row[3] for row in rows)
        lines.append(
            f"{self.seconds * 1e3:.3f} ms in all, {known * 1e3:.3f} ms in "
            f"{len(self.events)} events, which moved "
            f"{amount(sum(event[5] for event in self.events), 'B')}"
            + (f"; {self.lost} older events are lost" if self.lost else "")
        )
        return "\n".join(line.rstrip() for line in lines)

    __str__ = summary


def _own_times(events):
    """Each event with its nanoseconds outside of those that it encloses."""
    found = []
    for thread in {event[2] for event in events}:
        mine = sorted(
            (event for event in events if event[2] == thread),
            key=lambda event: (event[3], -event[4]),
        )
        open_ = []  # [event, own time]
        for event in mine:
            while open_ and open_[-1][0][4] <= event[3]:
                found.append(open_.pop())
            if open_:
                open_[-1][1] -= event[4] - event[3]
            open_.append([event, event[4] - event[3]])
        found += reversed(open_)
    return [(event, own) for event, own in found]
