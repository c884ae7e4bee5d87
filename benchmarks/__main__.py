"""Value and gradient of common workloads: pyarr against its peers, in one run.

    python -m benchmarks [--quick] [--only NAME ...] [--peers NAME ...] [--list]

Each peer is a process of its own, stopped while others are timed, and asked for one
timing at a time. Results must agree before times count. Peers that are missing are left
out with the reason. Prints tables and writes JSON to benchmarks/results/value_and_grad.json
(a folder by --results); some workloads read data from ../shared/data (--data).
"""

import argparse
import fnmatch
import signal
import sys
import tempfile
import time
from pathlib import Path

from . import ROOT, holography, measure, processes, report, targets
from .worker import MAKERS, catalogue


def parse(argv):
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--quick", action="store_true", help="few rounds: is it right, roughly how fast"
    )
    add("--only", nargs="+", metavar="NAME", help="workloads; * and ? as in a shell")
    add("--peers", nargs="+", choices=MAKERS, default=list(MAKERS), metavar="NAME")
    add("--data", type=Path, default=ROOT.parent / "shared" / "data", metavar="FOLDER")
    add("--results", type=Path, default=ROOT / "benchmarks/results", metavar="FOLDER")
    add("--list", action="store_true", help="names of the workloads and peers")
    return parser.parse_args(argv)


def chosen(names, patterns):
    """The names that a pattern matches; an unknown one ends the run."""
    if not patterns:
        return list(names)
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            sys.exit(f"benchmarks: no workload is called {pattern}; see --list")
    return [n for n in names if any(fnmatch.fnmatch(n, p) for p in patterns)]


def main(argv=None):
    options = parse(argv)
    everything = catalogue(options.data)
    if options.list:
        print("workloads:", *everything, *holography.FITS, sep="\n  ")
        print("peers:", *MAKERS, sep="\n  ")
        return 0
    names = chosen([*everything, *holography.FITS], options.only)
    plan = measure.Plan(options.quick)
    results, fits = {}, {}
    # Stopped children must not outlive a run that is ended from outside.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pyarr-benchmarks-") as scratch:
        children = processes.processes(options.peers, scratch, options.data)
        try:
            for name in names:
                if name in holography.FITS:
                    fits[name] = measure.measure_fit(children, name, plan)
                    report.show_fit(name, fits[name])
                    continue
                results[name] = measure.measure(children, everything[name], plan)
                report.show(name, results[name])
                sys.stdout.flush()
        finally:
            for child in children:
                child.close()
    checks = targets.checks(results, fits)
    report.show_summary(results)
    report.show_targets(checks)
    path = options.results / "value_and_grad.json"
    what = {"quick": options.quick, "only": options.only, "peers": options.peers}
    report.write(path, results, fits, checks, what)
    print(f"\n{time.monotonic() - started:.0f} s in all; written to {path}")
    wrong = [
        f"{name}: {peer}: {reason}"
        for name, result in results.items()
        for peer, reason in result["left_out"].items()
        if peer in ("pyarr", "interpreter")
    ]
    if wrong:
        print("benchmarks: pyarr failed:", *wrong, sep="\n  ", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
