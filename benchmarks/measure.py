"""Turns and checks: every peer computes a workload, then they are timed in turns.

A round asks each process for one timing, so that a busy machine slows all alike. Times
count only where value (to 1e-9) and gradient (to 1e-6 of its largest component) agree.
"""

import math
import statistics
import time
from pathlib import Path

import numpy as np

VALUE_TOLERANCE, GRADIENT_TOLERANCE = 1e-9, 1e-6


class Plan:
    """How much time a workload gets."""

    def __init__(self, quick):
        self.seconds = 1.5 if quick else 7.0  # of timing, all peers together
        self.rounds = (2, 3) if quick else (3, 15)
        self.each = 0.003 if quick else 0.01  # the least time of one ask
        self.fits = 1 if quick else 3
        self.slow_evaluations = 100 if quick else 400


def load(answer):
    """(value, gradients) of a first call; the file goes."""
    file = Path(answer["file"])
    with np.load(file) as arrays:
        value, *gradients = (arrays[name] for name in arrays.files)
    file.unlink()
    return float(value), gradients


def disagreement(result, reference):
    """What is wrong with (value, gradients) beside the reference, or None."""
    value, gradients = result
    expected, slopes = reference
    if not math.isclose(value, expected, rel_tol=VALUE_TOLERANCE, abs_tol=1e-12):
        return f"value {value!r}, expected {expected!r}"
    if not gradients or not slopes:
        return None
    for place, (got, slope) in enumerate(zip(gradients, slopes, strict=True)):
        off = np.max(np.abs(np.reshape(got, slope.shape) - slope))
        # The negation also catches NaN.
        if not off <= GRADIENT_TOLERANCE * np.max(np.abs(slope)):
            return f"gradient {place} is off by {off:.2g}"
    return None


def first_calls(processes, name):
    """(process, answer, result) of those that can compute it, and why others can't."""
    ready, left_out = [], {}
    for process in processes:
        answer = process.ask("prepare", workload=name, kind="gradient")
        if "error" in answer:
            left_out[process.peer] = answer["error"]
        else:
            ready.append((process, answer, load(answer)))
    return ready, left_out


def checked(ready, left_out):
    """Those that agree with the first that has a gradient, pyarr being asked last."""
    order = sorted(ready, key=lambda entry: entry[0].peer in ("pyarr", "interpreter"))
    reference = next((result for *_, result in order if result[1]), None)
    reference = reference or (order[0][2] if order else None)
    agreeing = []
    for process, answer, result in ready:
        wrong = disagreement(result, reference)
        if wrong:
            left_out[process.peer] = f"WRONG: {wrong}"
        else:
            agreeing.append((process, answer))
    return agreeing


def take_turns(entries, plan, kind="gradient"):
    """Seconds of each (process, answer), a list for each, in rounds.

    The list of one that ended meanwhile is empty.
    """
    asks = []
    for process, answer in entries:
        second = answer["second"]
        repeats = max(1, min(200, round(plan.each / max(second, 1e-9))))
        warm = second < 0.1
        asks.append((process, repeats, warm, second * (repeats + warm)))
    whole = sum(cost for *_, cost in asks) + 0.002 * len(asks)
    low, high = plan.rounds
    rounds = max(low, min(high, int(plan.seconds / max(whole, 1e-9))))
    times = [[] for _ in asks]
    for _ in range(rounds):
        for (process, repeats, warm, _), own in zip(asks, times, strict=True):
            answer = process.ask("time", kind=kind, repeats=repeats, warm=warm)
            if "error" not in answer:
                own.append(answer["seconds"])
    return [own if len(own) == rounds else [] for own in times]


def row(process, answer, times):
    return {
        "median_ms": 1e3 * statistics.median(times),
        "least_ms": 1e3 * min(times),
        "first_call_ms": 1e3 * answer["first"],
        "rounds": len(times),
        "threads": process.policy or "own",
    }


def keep_better(rows, peer, found):
    """Of two settings of its threads a peer shows the better; its first call is cold."""
    other = rows.get(peer)
    if other:
        first = max(found["first_call_ms"], other["first_call_ms"])
        found = min(found, other, key=lambda r: r["median_ms"]) | {
            "first_call_ms": first
        }
    rows[peer] = found


def measure(processes, workload, plan):
    """A row for each peer, notes on the workload, and who is left out and why."""
    name = workload.name
    if workload.peers:
        processes = [p for p in processes if p.peer in workload.peers]
    ready, left_out = first_calls(processes, name)
    entries = checked(ready, left_out)
    parameters = max((sum(map(np.size, found)) for *_, (_, found) in ready), default=0)
    rows = {}
    for (process, answer), times in zip(
        entries, take_turns(entries, plan), strict=True
    ):
        if not times:
            left_out[process.peer] = "ended while it was timed"
            continue
        found = row(process, answer, times)
        found["extra_bytes"] = process.ask("extra").get("bytes")
        keep_better(rows, process.peer, found)
    for peer in set(rows) & set(left_out):
        # One of its two settings is enough, unless what the other gave was wrong.
        if not left_out[peer].startswith("WRONG"):
            del left_out[peer]
    notes = companions(processes, rows, name, plan)
    for process in processes:
        process.forget()
    return {
        "parameters": parameters,
        "peers": rows,
        "left_out": left_out,
        "notes": notes,
    }


def companions(processes, rows, name, plan):
    """Median ms of what a workload is compared with beside its peers.

    pyarr's value without recording (ADBench's objective), and the matrix products of one
    value and gradient alone, by pyarr and by NumPy.
    """
    kinds = {"adbench": ("value", ["pyarr"])}
    kinds |= {"holography": ("products", ["pyarr", "numpy"])}
    kind, peers = kinds.get(name.split("-")[0], ("", []))
    if name.startswith("holography-fft"):
        return {}
    entries = []
    for process in processes:
        if process.peer in peers and process.peer in rows:
            answer = process.ask("prepare", workload=name, kind=kind)
            if "error" not in answer:
                load(answer)
                entries.append((process, answer))
    return {
        f"{process.peer} {kind}": 1e3 * statistics.median(times)
        for (process, _), times in zip(
            entries, take_turns(entries, plan, kind), strict=True
        )
        if times
    }


def measure_fit(processes, name, plan):
    """The whole fit by pyarr, the median of several, and by NumPy's differences.

    NumPy is stopped after some evaluations; its whole fit is then as many gradients as
    pyarr took at the cost of its counted evaluations. Where the whole would take less
    than a minute it isn't stopped.
    """
    peers = {p.peer: p for p in processes if p.peer in ("pyarr", "numpy")}
    if len(peers) < 2:
        return {"error": "needs pyarr and numpy"}
    fits = []
    for _ in range(plan.fits):
        fits.append(peers["pyarr"].ask("fit", name=name, limit=None))
        time.sleep(0.1)
    limit = plan.slow_evaluations
    slow = peers["numpy"].ask("fit", name=name, limit=limit)
    errors = [answer["error"] for answer in (*fits, slow) if "error" in answer]
    if errors:
        return {"error": errors[0]}
    ours = sorted(fits, key=lambda fit: fit["seconds"])[len(fits) // 2]
    per_gradient = slow["parameters"] + 1
    expected = ours["evaluations"] * per_gradient * slow["evaluation_seconds"]
    whole = None
    if expected < 60 and plan.fits > 1:
        whole = peers["numpy"].ask("fit", name=name, limit=None)
    for process in peers.values():
        process.forget()
    measured = whole if whole and "error" not in whole else None
    return {
        "pyarr": ours,
        "numpy": measured or slow,
        "numpy_seconds": measured["seconds"] if measured else expected,
        "extrapolated": measured is None,
        "ratio": (measured["seconds"] if measured else expected) / ours["seconds"],
    }
