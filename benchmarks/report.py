"""What a run leaves: tables of text, and JSON with the machine's description."""

import datetime
import json
import os
import platform
import subprocess

from . import fused, peers, targets
from .worker import MAKERS

HEAD = (
    f"{'':15}{'median ms':>11}{'/ pyarr':>9}{'first ms':>11}{'extra MB':>10}  threads"
)


def text(value, width, digits=2):
    return f"{'-':>{width}}" if value is None else f"{value:{width}.{digits}f}"


def show(name, result):
    """Print one workload: its peers, then who is left out and why."""
    own = targets.median(result, "pyarr")
    print(f"\n{name}\n{HEAD}")
    for peer, row in result["peers"].items():
        ratio = row["median_ms"] / own if own else None
        extra = row.get("extra_bytes")
        print(
            f"  {peer:13}{row['median_ms']:11.3f}{text(ratio, 9)}"
            f"{row['first_call_ms']:11.1f}"
            f"{text(None if extra is None else extra / 1e6, 10, 1)}  {row['threads']}"
            f"{'  (value only)' if peer == 'numpy' else ''}"
        )
    for note, ms in result["notes"].items():
        print(f"  {note:24}{ms:.3f} ms")
    for peer, reason in result["left_out"].items():
        print(f"  {peer:13} left out: {reason}")


def show_fit(name, fit):
    print(f"\n{name}: the whole fit of the telescope's maps")
    if "error" in fit:
        print(f"  left out: {fit['error']}")
        return
    for who in "pyarr", "numpy":
        row = fit[who]
        each = 1e3 * row["evaluation_seconds"]
        print(
            f"  {who:6} {row['evaluations']:6} evaluations of {each:8.2f} ms, "
            f"{row['parameters']} parameters, objective {row['objective']}"
        )
    how = (
        "as many gradients as pyarr took, by differences, at that time an evaluation"
        if fit["extrapolated"]
        else "measured"
    )
    print(
        f"  pyarr {fit['pyarr']['seconds']:.3f} s, NumPy {fit['numpy_seconds']:.2f} s "
        f"({how}): {fit['ratio']:.1f} times"
    )


def show_summary(results):
    """One line for each workload."""
    print("\nMedian ms; ratios above 1 say that pyarr is faster. 'best' of", end=" ")
    print(
        ", ".join(targets.BEST) + ";\n'joint': torch.compile of grad_and_value;", end=""
    )
    print(" 'differences': (parameters + 1) values of NumPy.")
    print(
        f"{'workload':20}{'pyarr':>10}{'interp.':>10}{'C':>10}{'best':>10} "
        f"{'':13}{'best/':>7}{'joint/':>7}{'C/':>6}{'diff./':>9}{'first':>8}{'MB':>7}"
    )
    for name, result in results.items():
        best = targets.best_peer(result) or ("", None)
        own = result["peers"].get("pyarr", {})
        inverse = {p: targets.over(result, p) for p in ("torch joint", "C", "numpy")}
        joint, c, plain = (1 / r if r else None for r in inverse.values())
        differences = plain * (result["parameters"] + 1) if plain else None
        extra = own.get("extra_bytes")
        print(
            f"{name:20}{text(own.get('median_ms'), 10, 3)}"
            f"{text(targets.median(result, 'interpreter'), 10, 3)}"
            f"{text(targets.median(result, 'C'), 10, 3)}{text(best[1], 10, 3)} "
            f"{best[0]:13}{text(targets.times_best(result), 7)}{text(joint, 7)}"
            f"{text(c, 6)}{text(differences, 9, 1)}"
            f"{text(own.get('first_call_ms'), 8, 1)}"
            f"{text(None if extra is None else extra / 1e6, 7, 1)}"
        )


def show_targets(checks):
    print("\nTargets")
    words = {True: "pass", False: "FAIL", None: "not measured"}
    for what, measured, sign, bound in checks:
        verdict = words[targets.passed(measured, sign, bound)]
        print(f"  {what:48}{text(measured, 10)}  {sign} {bound:<6} {verdict}")


def processor():
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":")[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def compiler():
    command = os.environ.get("CC", "cc")
    try:
        done = subprocess.run([command, "--version"], capture_output=True, text=True)
    except OSError:
        return ""
    return f"{done.stdout.splitlines()[0]} {' '.join(fused.FLAGS)}"


def machine():
    """The machine and the versions that the numbers belong to."""
    import pyarr

    config = pyarr.show_config()
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "cpu": processor(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "isa": config["isa"],
        "system": platform.platform(),
        "python": platform.python_version(),
        "compiler": compiler(),
        "blas": config["blas"],
        "versions": {name: peers.version(maker) for name, maker in MAKERS.items()},
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def write(path, results, fits, checks, options):
    record = {
        "benchmark": "value and gradient",
        "machine": machine(),
        "options": options,
        "memory": "peak resident of a later call over that before the first call",
        "results": results,
        "fits": fits,
        "targets": [
            {
                "what": what,
                "measured": measured,
                "target": f"{sign} {bound}",
                "passed": targets.passed(measured, sign, bound),
            }
            for what, measured, sign, bound in checks
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
