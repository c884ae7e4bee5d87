"""pyarr.profile: events, their summary, and Chrome's trace."""

import json
import threading

import numpy as np
import pytest

import pyarr
from pyarr import _core

X = np.linspace(0.0, 1.0, 50_000)


def value(theta):
    return pyarr.sum((pyarr.exp(-theta * X) - 0.5) ** 2)


def kinds(p):
    return [event[0] for event in p.events]


def test_events_of_a_first_and_a_second_call():
    pyarr.plan_cache_clear()
    f = pyarr.value_and_grad(value)
    with pyarr.profile() as p:
        f(0.5)
        f(0.7)
    assert kinds(p).count("trace") == kinds(p).count("plan") == 2
    assert kinds(p).count("planning") == 1
    assert kinds(p).count("step") >= 2
    assert max(e[5] for e in p.events if e[0] == "step") >= X.nbytes
    assert max(e[6] for e in p.events if e[0] == "step") >= 3 * X.size
    for event in p.events:
        assert 0 <= event[3] <= event[4] <= p.seconds * 1e9
    trace = next(e for e in p.events if e[0] == "trace")
    plan = next(e for e in p.events if e[0] == "plan")
    assert trace[3] <= plan[3] and plan[4] <= trace[4]


def test_eager_operations():
    x = pyarr.asarray(X)
    with pyarr.profile() as p:
        pyarr.sin(x)
        x @ x
    assert {"sin", "matmul"} <= {e[1] for e in p.events if e[0] == "eager"}
    sine = next(e for e in p.events if e[1] == "sin")
    assert sine[5] == 2 * X.nbytes and sine[6] == X.size
    assert "sin (eager)" in p.summary()


def test_nothing_is_recorded_outside():
    with pyarr.profile() as p:
        pass
    pyarr.sin(pyarr.asarray(X))
    assert p.events == []
    with pyarr.profile() as p:
        pass
    assert p.events == [] and p.lost == 0


def test_own_times_add_up():
    f = pyarr.jit(pyarr.value_and_grad(value))
    f(0.5)
    with pyarr.profile() as p:
        for k in range(5):
            f(0.1 * k)
    total = sum(row[3] for row in p.rows())
    outer = sum(e[4] - e[3] for e in p.events if e[0] == "plan") * 1e-9
    assert np.isclose(total, outer, rtol=1e-6)
    assert all(row[3] >= 0 for row in p.rows())
    assert str(p) == p.summary() and "around steps" in str(p)


def test_the_chrome_trace(tmp_path):
    path = tmp_path / "trace.json"
    with pyarr.profile(path):
        pyarr.grad(value)(0.5)
    events = json.loads(path.read_text())["traceEvents"]
    assert {"trace", "plan", "step"} <= {event["cat"] for event in events}
    for event in events:
        assert event["ph"] == "X" and event["dur"] >= 0 and event["name"]


def test_the_last_events_are_kept():
    x = pyarr.ones(3)
    with pyarr.profile(events=10) as p:
        for _ in range(20):
            pyarr.sin(x)
        for _ in range(5):
            pyarr.cos(x)
    assert p.lost == 15 and [e[1] for e in p.events] == ["sin"] * 5 + ["cos"] * 5
    begins = [e[3] for e in p.events]
    assert begins == sorted(begins)
    assert "15 older events are lost" in p.summary()


def test_threads_have_numbers():
    f = pyarr.jit(value)
    f(0.5)
    with pyarr.profile() as p:
        threads = [threading.Thread(target=f, args=(0.5,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len({e[2] for e in p.events}) == 3


def test_one_at_a_time_and_errors_end_it():
    with pyarr.profile(), pytest.raises(RuntimeError, match="another"):
        pyarr.profile().__enter__()
    with pytest.raises(KeyError), pyarr.profile() as p:
        pyarr.sin(pyarr.ones(3))
        raise KeyError
    assert len(p.events) >= 1
    with pytest.raises(ValueError, match="room"):
        pyarr.profile(events=0).__enter__()
    assert _core.profile_stop()[0] == []
