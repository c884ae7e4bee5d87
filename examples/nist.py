"""NIST's 27 nonlinear regression problems, fitted with exact Jacobians.

    python examples/nist.py [DIR]

DIR holds the StRD files `Bennett5.dat` ... `Thurber.dat` of
https://www.itl.nist.gov/div898/strd/. Each problem is fitted from both of its starts.
A "certified digit" is one on which the worst parameter agrees with NIST's value, which
is given to 11: -log10(|fitted - certified| / |certified|).

Rule of the fits: every start is tried with the methods of `METHODS`, in this order and
with the same tolerances, and the smallest sum of squares wins; NIST's values take no
part in the choice. The table names the winning method.
"""

import argparse
import dataclasses
import pathlib
import re
import sys

import numpy as np

import pyarr as pa

METHODS = ("lm", "trf", "dogbox")
TOLERANCE = 1e-15
DIGITS_WANTED = 6
DIGITS_CERTIFIED = 11


def misra1a(xp, b, x):
    return b[0] * (1 - xp.exp(-b[1] * x))


def misra1b(xp, b, x):
    return b[0] * (1 - (1 + b[1] * x / 2) ** (-2))


def misra1c(xp, b, x):
    return b[0] * (1 - (1 + 2 * b[1] * x) ** (-0.5))


def misra1d(xp, b, x):
    return b[0] * b[1] * x * (1 + b[1] * x) ** (-1)


def chwirut(xp, b, x):
    return xp.exp(-b[0] * x) / (b[1] + b[2] * x)


def lanczos(xp, b, x):
    terms = (b[2 * k] * xp.exp(-b[2 * k + 1] * x) for k in range(3))
    return sum(terms)


def gauss(xp, b, x):
    first = b[2] * xp.exp(-((x - b[3]) ** 2) / b[4] ** 2)
    second = b[5] * xp.exp(-((x - b[6]) ** 2) / b[7] ** 2)
    return b[0] * xp.exp(-b[1] * x) + first + second


def danwood(xp, b, x):
    return b[0] * x ** b[1]


def kirby2(xp, b, x):
    return (b[0] + b[1] * x + b[2] * x**2) / (1 + b[3] * x + b[4] * x**2)


def cubic_ratio(xp, b, x):
    above = b[0] + b[1] * x + b[2] * x**2 + b[3] * x**3
    return above / (1 + b[4] * x + b[5] * x**2 + b[6] * x**3)


def nelson(xp, b, x):
    return b[0] - b[1] * x[0] * xp.exp(-b[2] * x[1])


def mgh09(xp, b, x):
    return b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3])


def mgh10(xp, b, x):
    return b[0] * xp.exp(b[1] / (x + b[2]))


def mgh17(xp, b, x):
    return b[0] + b[1] * xp.exp(-x * b[3]) + b[2] * xp.exp(-x * b[4])


def roszman1(xp, b, x):
    return b[0] - b[1] * x - xp.arctan(b[2] / (x - b[3])) / np.pi


def enso(xp, b, x):
    def wave(cosine, sine, period):
        angle = 2 * np.pi * x / period
        return cosine * xp.cos(angle) + sine * xp.sin(angle)

    year = wave(b[1], b[2], 12)
    return b[0] + year + wave(b[4], b[5], b[3]) + wave(b[7], b[8], b[6])


def rat42(xp, b, x):
    return b[0] / (1 + xp.exp(b[1] - b[2] * x))


def rat43(xp, b, x):
    return b[0] / (1 + xp.exp(b[1] - b[2] * x)) ** (1 / b[3])


def eckerle4(xp, b, x):
    return b[0] / b[1] * xp.exp(-0.5 * ((x - b[2]) / b[1]) ** 2)


def bennett5(xp, b, x):
    return b[0] * (b[1] + x) ** (-1 / b[2])


MODELS = {
    "Bennett5": bennett5,
    "BoxBOD": misra1a,
    "Chwirut1": chwirut,
    "Chwirut2": chwirut,
    "DanWood": danwood,
    "ENSO": enso,
    "Eckerle4": eckerle4,
    "Gauss1": gauss,
    "Gauss2": gauss,
    "Gauss3": gauss,
    "Hahn1": cubic_ratio,
    "Kirby2": kirby2,
    "Lanczos1": lanczos,
    "Lanczos2": lanczos,
    "Lanczos3": lanczos,
    "MGH09": mgh09,
    "MGH10": mgh10,
    "MGH17": mgh17,
    "Misra1a": misra1a,
    "Misra1b": misra1b,
    "Misra1c": misra1c,
    "Misra1d": misra1d,
    "Nelson": nelson,
    "Rat42": rat42,
    "Rat43": rat43,
    "Roszman1": roszman1,
    "Thurber": cubic_ratio,
}


@dataclasses.dataclass(frozen=True)
class Problem:
    """One data set: two starts and the certified parameters, errors and RSS."""

    name: str
    level: str
    starts: np.ndarray  # (2, parameters)
    certified: np.ndarray
    errors: np.ndarray
    rss: float
    x: np.ndarray  # (observations,), for Nelson (2, observations)
    y: np.ndarray

    def residual(self, xp, b):
        return MODELS[self.name](xp, b, self.x) - self.y


def read_problem(file):
    """Read one file by its line numbers, as NIST laid it out (first line: 1)."""
    lines = pathlib.Path(file).read_text().splitlines()
    name = pathlib.Path(file).stem
    number = r"[-+.\dEe]+"
    table = []
    for line in lines[40:60]:
        row = re.match(rf"\s*b\d+\s*=((?:\s+{number}){{4}})\s*$", line)
        if row:
            table.append([float(text) for text in row.group(1).split()])
    table = np.array(table).T
    rss = next(line for line in lines[40:60] if line.startswith("Residual Sum"))
    level = next(line for line in lines[:40] if "Level of Difficulty" in line)
    data = np.array([line.split() for line in lines[60:] if line.strip()], float)
    y, x = data[:, 0], data[:, 1:].T
    if name == "Nelson":
        y = np.log(y)
    else:
        x = x[0]
    return Problem(
        name=name,
        level=level.split()[-4],
        starts=table[:2],
        certified=table[2],
        errors=table[3],
        rss=float(rss.split(":")[1]),
        x=x,
        y=y,
    )


def fit(problem, start):
    """The best of METHODS from one start: (method, result), None where all failed."""
    # Sums of squares below this are rounding, and equal.
    rounding = (np.finfo(float).eps * np.linalg.norm(problem.y)) ** 2
    best = None
    for method in METHODS:
        try:
            with np.errstate(all="ignore"):
                result = pa.optimize.least_squares(
                    lambda b: problem.residual(pa, b),
                    start,
                    method=method,
                    x_scale="jac",
                    ftol=TOLERANCE,
                    xtol=TOLERANCE,
                    gtol=TOLERANCE,
                    max_nfev=1000,
                )
        except (ValueError, np.linalg.LinAlgError):
            continue  # the residual overflowed on the way; another method may not
        if best is None or result.cost < best[1].cost * (1 - 1e-9) - rounding:
            best = method, result
    return best


def digits(fitted, certified):
    """Digits on which the worst parameter agrees, at most as many as are certified."""
    with np.errstate(divide="ignore"):
        agreement = -np.log10(np.abs(fitted - certified) / np.abs(certified))
    return float(np.clip(np.nan_to_num(agreement.min(), nan=0), 0, DIGITS_CERTIFIED))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    beside = pathlib.Path(__file__).resolve().parents[2] / "shared/data/nist_strd"
    parser.add_argument("data", nargs="?", default=beside, type=pathlib.Path)
    folder = parser.parse_args(argv).data
    missing = [name for name in MODELS if not (folder / f"{name}.dat").is_file()]
    if missing:
        parser.error(f"{folder} lacks {missing[0]}.dat; it comes from www.itl.nist.gov")
    print(f"{'':18s}" + "".join(f"start {k}: digits  method  values  " for k in (1, 2)))
    reached = [0, 0]
    for name in MODELS:
        problem = read_problem(folder / f"{name}.dat")
        row = f"{name:9s} {problem.level:8s}"
        for which, start in enumerate(problem.starts):
            best = fit(problem, start)
            if best is None:
                row += f"{'failed':>15s}" + 18 * " "
                continue
            method, result = best
            right = digits(result.x, problem.certified)
            reached[which] += right >= DIGITS_WANTED
            row += f"{right:15.1f}  {method:>6s} {result.nfev:7d}  "
        print(row.rstrip())
    print(f"Problems (of {len(MODELS)}) that reach {DIGITS_WANTED} certified digits:")
    print(f"  {reached[0]} from start 1, {reached[1]} from start 2")
    return 0 if reached[1] >= 25 else 1


if __name__ == "__main__":
    sys.exit(main())
