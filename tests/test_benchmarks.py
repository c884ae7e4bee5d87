"""The benchmarks: their numbers are worth something only if what they compute is right."""

import ctypes
import json
import mmap
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

pa = pytest.importorskip("pyarr")

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))

from benchmarks import (  # noqa: E402
    fused,
    holography,
    measure,
    targets,
    worker,
    workloads,
)
from benchmarks.workloads import Workload  # noqa: E402

ADBENCH = ROOT.parent / "shared/data/adbench/gmm/test.txt"

SMALL = {
    "beam": Workload("", workloads.beam, partial(workloads.beam_problem, 1003)),
    "beam by squares": Workload(
        "",
        workloads.squares(workloads.beam),
        partial(workloads.beam_problem, 1003),
        "beam",
    ),
    "cauchy": Workload("", workloads.cauchy, partial(workloads.cauchy_problem, 7001)),
    "mixture": Workload("", workloads.mixture, partial(workloads.mixture_problem, 999)),
    "line": Workload("", workloads.line, partial(workloads.line_problem, 500)),
    "logistic": Workload(
        "",
        workloads.logistic,
        partial(workloads.regression_problem, 300, 32, "logistic"),
    ),
    "poisson": Workload(
        "", workloads.poisson, partial(workloads.regression_problem, 300, 32, "poisson")
    ),
    "kernel_sum": Workload(
        "", workloads.kernel_sum, partial(workloads.kernel_problem, 65)
    ),
}


def run(*options, **environment):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *options],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
    )


def value_and_gradients(workload):
    parameters, data = workload.problem()
    data = [pa.asarray(a) for a in data]
    f = pa.value_and_grad(
        lambda *p: workload.formula(pa, *p, *data),
        argnums=tuple(range(len(parameters))),
    )
    return f(*parameters)


def test_a_quick_run_prints_tables_and_writes_json(tmp_path):
    done = run(
        *("--quick", "--only", "beam-1e3", "--peers", "pyarr", "numpy"),
        *("--results", str(tmp_path)),
    )
    assert done.returncode == 0, done.stderr
    assert "beam-1e3" in done.stdout and "Targets" in done.stdout
    record = json.loads((tmp_path / "value_and_grad.json").read_text())
    assert list(record["results"]) == ["beam-1e3"]
    result = record["results"]["beam-1e3"]
    assert set(result["peers"]) == {"pyarr", "numpy"} and result["left_out"] == {}
    assert result["parameters"] == 6
    for row in result["peers"].values():
        assert 0 < row["least_ms"] <= row["median_ms"] < 1e3
        assert row["first_call_ms"] > 0
    assert {"cpu", "cores", "isa", "date", "versions"} <= set(record["machine"])
    target = {t["what"]: t for t in record["targets"]}
    assert target["beam-1e3: times the best peer"]["passed"] is None


def test_unknown_names_end_the_run():
    done = run("--only", "beam-1e3", "bean-*")
    assert done.returncode == 1 and "bean-*" in done.stderr


def test_a_peer_that_is_missing_is_left_out_with_the_reason(tmp_path):
    (tmp_path / "autograd.py").write_text("raise ImportError('no autograd here')\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = run(
        *("--quick", "--only", "beam-10", "--peers", "numpy", "autograd"),
        *("--results", str(tmp_path)),
        PYTHONPATH=path,
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "value_and_grad.json").read_text())
    reason = record["results"]["beam-10"]["left_out"]["autograd"]
    assert reason == "ImportError: no autograd here"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    try:
        return fused.compile_fused(tmp_path_factory.mktemp("fused"))
    except OSError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", SMALL)
def test_the_fused_c_agrees_with_pyarr(library, name):
    workload = SMALL[name]
    parameters, data = workload.problem()
    result = fused.function(library, workload.fused or name, parameters, data)()
    value, gradients = value_and_gradients(workload)
    assert measure.disagreement(result, (value, gradients)) is None
    assert value == pytest.approx(
        float(workload.formula(np, *parameters, *data)), 1e-12
    )
    assert np.float64(5e-324) * 1.0 > 0.0  # nor does it change how others round


def test_disagreement_is_found():
    right = 2.0, [np.array([1.0, -3.0])]
    assert measure.disagreement(right, right) is None
    assert measure.disagreement((2.0, ()), right) is None
    assert "value" in measure.disagreement((2.00001, right[1]), right)
    for wrong in ([1.0, -3.00001], [1.0, np.nan]):
        assert "gradient" in measure.disagreement((2.0, [np.array(wrong)]), right)


class FakeProcess:
    """A peer whose calls take `seconds`, and which ends after `calls` of them."""

    policy = ""

    def __init__(self, peer, seconds, gradient, calls=100):
        self.peer, self.seconds, self.calls = peer, seconds, calls
        self.gradient = gradient

    def ask(self, do, **request):
        if do == "prepare":
            return {"first": 1.0, "second": self.seconds}
        self.calls -= 1
        if self.calls < 0:
            return {"error": "no answer"}
        return {"seconds": self.seconds} if do == "time" else {"bytes": 1000}

    def forget(self):
        pass


def test_peers_that_end_or_are_wrong_are_left_out(monkeypatch):
    processes = [
        FakeProcess("pyarr", 0.5, 1.0),
        FakeProcess("torch", 0.25, 1.0),
        FakeProcess("jax", 0.125, 1.1),
        FakeProcess("autograd", 1.0, 1.0, calls=1),
    ]
    results = iter([(3.0, [np.array(p.gradient)]) for p in processes])
    monkeypatch.setattr(measure, "load", lambda answer: next(results))
    workload = Workload("name", None, None)
    found = measure.measure(processes, workload, measure.Plan(quick=True))
    assert {p: row["median_ms"] for p, row in found["peers"].items()} == {
        "pyarr": 500,
        "torch": 250,
    }
    assert found["left_out"]["autograd"] == "ended while it was timed"
    assert found["left_out"]["jax"].startswith("WRONG: gradient 0 is off by 0.1")


@pytest.mark.skipif(not ADBENCH.is_file(), reason=f"no file {ADBENCH}")
def test_adbench_reference():
    """gmm/test.txt has a published objective and gradient (microsoft/ADBench, MIT)."""
    problem = partial(workloads.precision_file, ADBENCH)
    workload = Workload("", workloads.precision_mixture, problem)
    value, (alpha, means, factors) = value_and_gradients(workload)
    assert value == pytest.approx(8.07380408004975791, rel=1e-13)
    np.testing.assert_allclose(
        alpha,
        [1.08662855508652456e-01, -7.41270039523898472e-01, 6.32607184015246071e-01],
        rtol=1e-12,
    )
    np.testing.assert_allclose(means[0, 0], 1.11692576532787013, rtol=1e-12)
    np.testing.assert_allclose(
        factors[2],
        [1.71892309775004937, 8.60091090790866875e-01, -9.94640930466322848e-01],
        rtol=1e-12,
    )


def test_triangles_are_packed_column_by_column():
    places = workloads.triangle_places(4)
    triangle = np.array([10, 20, 30, 40, 1, 2, 3, 4, 5, 6, 0])[places]
    expected = [[10, 0, 0, 0], [1, 20, 0, 0], [2, 4, 30, 0], [3, 5, 6, 40]]
    np.testing.assert_array_equal(triangle, expected)


@pytest.mark.parametrize("use_fft", [False, True])
def test_holography_is_the_model_of_the_example(tmp_path, use_fft):
    pixels, order = 32, 3
    model = holography.model(np, tmp_path, pixels, order, use_fft)
    if use_fft:
        (theta,), data = holography.fft_problem(tmp_path, pixels, order)
        length = holography.oof_model.fft_length(model.telescope, pixels, model.maps)[0]
        sizes = {"pixels": model.pupil.pixels, "order": order, "length": length}
        value = holography.by_fft(np, theta, *data, **sizes)
    else:
        (theta,), data = holography.matrix_problem(tmp_path, pixels, order)
        sizes = {"pixels": pixels, "order": order}
        value = holography.by_matrices(np, theta, *data, **sizes)
        real = holography.by_real_matrices(np, theta, *data, **sizes)
        assert real == pytest.approx(value, rel=1e-12)
    model.start("gauss")  # sets the scales
    assert value == pytest.approx(model.gauss(theta), rel=1e-12)


def test_verdicts():
    peers = {"pyarr": 1.0, "torch": 5.0, "jax": 2.5, "torch joint": 0.5, "C": 1.0}
    rows = {
        name: {"median_ms": ms, "first_call_ms": ms, "extra_bytes": 10**7}
        for name, ms in peers.items()
    }
    result = {"peers": rows, "notes": {}}
    verdicts = {
        what: targets.passed(measured, sign, bound)
        for what, measured, sign, bound in targets.checks({"beam-1e6": result}, {})
    }
    assert verdicts == {
        "beam-1e6: times the best peer": False,
        "beam-1e6: over hand-fused C": True,
        "beam-1e6: interpreter, times the best peer": None,
        "beam-1e6: first call over the next (ms)": True,
        "beam-1e6: extra memory (MB)": False,
    }


def test_forms_are_compared_at_their_best():
    def result(**peers):
        return {
            "peers": {
                p: {"median_ms": ms, "first_call_ms": ms} for p, ms in peers.items()
            },
            "notes": {},
        }

    matrices = result(pyarr=9.0, torch=12.0, jax=14.0)
    by_fft = result(pyarr=4.0, torch=40.0)
    both = {"holography-256": matrices, "holography-fft-256": by_fft}
    found = {what: measured for what, measured, _, _ in targets.checks(both, {})}
    assert found["holography-256: times the best peer"] == 12 / 9
    assert found["holography-256, either form: times the best peer"] == 12 / 4


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what it has in memory")
def test_first_calls_do_not_wait_for_the_disk(tmp_path):
    path = tmp_path / "library.so"
    shutil.copy(pa._core.__file__, path)
    with open(path, "r+b") as file:
        os.fsync(file.fileno())  # what isn't on the disk yet can't be dropped
        pages = -(-path.stat().st_size // mmap.PAGESIZE)
        code = mmap.mmap(
            file.fileno(),
            0,
            flags=mmap.MAP_PRIVATE,
            prot=mmap.PROT_READ | mmap.PROT_EXEC,
        )
        # Written to by nobody, but only of writable memory does ctypes tell the address.
        view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        start = ctypes.addressof(ctypes.c_char.from_buffer(view))
        mincore = ctypes.CDLL(None).mincore

        def resident():
            found = (ctypes.c_ubyte * pages)()
            size = ctypes.c_size_t(len(view))
            assert mincore(ctypes.c_void_p(start), size, found) == 0
            return sum(byte & 1 for byte in found)

        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if resident() == pages:
            pytest.skip("this file system keeps its files in memory")
        worker.read_libraries()
        assert resident() == pages
        view.close()
        code.close()
