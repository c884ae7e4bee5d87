"""Plans: when they are found again, and that a plan found again computes the right thing."""

import threading

import numpy as np
import pytest

import pyarr as pa


@pytest.fixture(autouse=True)
def empty_cache():
    pa.plan_cache_clear()
    yield
    pa._core.plan_cache_equal_hashes(False)
    pa.plan_cache_clear()


def counts():
    info = pa.plan_cache_info()
    return info["hits"], info["misses"]


def model(theta, x, y):
    r = y - theta[0] * pa.exp(-((x - theta[1]) ** 2) / theta[2])
    return pa.sum(r * r)


def check(f, *args):
    """The value and gradient against NumPy's value and central differences."""
    value, gradient = pa.value_and_grad(f)(*args)
    theta = args[0]
    for k in range(theta.size):
        step = np.zeros_like(theta)
        step[k] = 1e-6
        slope = float(f(theta + step, *args[1:]) - f(theta - step, *args[1:])) / 2e-6
        np.testing.assert_allclose(gradient[k], slope, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(value, float(f(theta, *args[1:])), rtol=1e-13)


def test_second_call_hits():
    x, y = np.linspace(0, 1, 50), np.linspace(1, 2, 50)
    f = pa.value_and_grad(model)
    first = f(np.array([1.0, 0.5, 0.2]), x, y)
    hits, misses = counts()
    again = f(np.array([1.0, 0.5, 0.2]), x, y)
    assert counts() == (hits + misses, misses)
    assert first[0] == again[0]
    np.testing.assert_array_equal(first[1], again[1])
    check(model, np.array([2.0, 0.1, 0.7]), y, x)  # other values, the same plan
    assert counts()[1] == misses


@pytest.mark.parametrize("equal", [False, True])
def test_every_difference_makes_a_plan_of_its_own(equal):
    pa._core.plan_cache_equal_hashes(equal)
    a, b = np.linspace(0.1, 1, 6), np.linspace(2, 3, 6)
    calls = {
        "sum": (lambda t, x: pa.sum(t * x), a, b),
        "exp": (lambda t, x: pa.sum(pa.exp(t) * x), a, b),
        "order": (lambda t, x: pa.sum(x / t), a, b),
        "other order": (lambda t, x: pa.sum(t / x), a, b),
        "float32": (lambda t, x: pa.sum(t * x), a.astype("f4"), b.astype("f4")),
        "shape": (lambda t, x: pa.sum(t * x), a[:4], b[:4]),
        "column": (lambda t, x: pa.sum(t * x), a, np.ascontiguousarray(b[:, None])),
        "stride": (lambda t, x: pa.sum(t * x), a[:3], pa.asarray(np.arange(6.0))[::2]),
        "square": (lambda t, x: pa.sum(t**2 * x), a, b),
        "cube": (lambda t, x: pa.sum(t**3 * x), a, b),
        "axis": (lambda t, x: pa.sum(pa.sum(t * x.reshape(2, 3)[0, :, None], 0)), a, b),
        "twice one": (lambda t, x: pa.sum(t * pa.asarray(x) * pa.asarray(x)), a, b),
        "stop": (lambda t, x: pa.sum(pa.detach(t) * t * x), a, b),
        "strong scalar": (lambda t, x: pa.sum(t * x * np.float64(2.5)), a, b),
    }
    expected = {
        "sum": b,
        "exp": np.exp(a) * b,
        "order": -b / a**2,
        "other order": 1 / b,
        "float32": b.astype("f4"),
        "shape": b[:4],
        "column": np.full(6, b.sum()),
        "stride": np.arange(6.0)[::2],
        "square": 2 * a * b,
        "cube": 3 * a**2 * b,
        "twice one": b * b,
        "stop": a * b,
        "strong scalar": 2.5 * b,
    }
    for _ in range(2):
        for name, (f, t, x) in calls.items():
            if name == "axis":
                t, x = a[:6], b
                got = pa.grad(f)(t, x)
                np.testing.assert_allclose(got, np.full(6, b[:3].sum()), err_msg=name)
                continue
            np.testing.assert_allclose(
                pa.grad(f)(t, x), expected[name], rtol=2e-6, err_msg=name
            )


def test_python_numbers_are_arguments():
    x = np.linspace(0.1, 1, 20)
    misses = []
    for scale in (1.5, 2.5, -7.25, 1e300):
        got = pa.grad(lambda t, s=scale: pa.sum(t * s))(x)
        np.testing.assert_array_equal(got, np.full(20, scale))
        misses.append(counts()[1])
    assert len(set(misses)) == 1


EXPONENTS = [*range(-17, 18), 0.5, 2.5, -0.5, 3.0, -4.0]


@pytest.mark.parametrize("power", EXPONENTS)
def test_written_exponents(power):
    x = np.array([0.5, 0.7, -0.9, 1.1, 1e-3, -1e3, 1e-160, 1e160, 0.0, -0.0])
    x = np.concatenate([x, [np.inf, -np.inf, np.nan, 5e-324, -1e-310, 1e308]])
    with np.errstate(all="ignore"):
        expected = x**power
        slopes = power * np.power(x, np.full_like(x, power - 1))
    call = pa.value_and_grad(lambda t: (pa.sum(t**power), t**power), has_aux=True)
    (_, got), gradient = call(x)
    tolerance = (abs(power) + 2) * np.finfo(float).eps
    smallest = np.finfo(float).smallest_normal
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=smallest / 2**50)
    known = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got)[known], np.signbit(expected)[known])
    if power != 0.5 and power != 0:
        np.testing.assert_allclose(gradient, slopes, rtol=2 * tolerance, atol=smallest)
    with pa.config(rounding="strict"):
        (_, strict), _ = call(x)
    np.testing.assert_array_equal(strict, np.asarray(pa.asarray(x) ** power))


def test_one_array_twice_is_not_two_arrays():
    x, z = np.linspace(1, 2, 9), np.linspace(3, 4, 9)
    f = pa.grad(lambda t, a, b: pa.sum(t * (a - b)))
    a, b = pa.asarray(x), pa.asarray(z)
    np.testing.assert_array_equal(f(np.ones(9), a, a), np.zeros(9))
    np.testing.assert_array_equal(f(np.ones(9), a, b), x - z)
    np.testing.assert_array_equal(f(np.ones(9), b, b), np.zeros(9))
    np.testing.assert_array_equal(f(np.ones(9), a[::-1], a), x[::-1] - x)


def test_stored_intermediates_leave_the_plan_alone():
    class Fit:
        pass

    fit = Fit()
    x = np.linspace(0, 1, 3000)

    def f(theta, keep):
        curve = theta[0] * pa.exp(-theta[1] * x)
        if keep:
            fit.curve = curve
        return pa.sum(curve**2)

    g = pa.value_and_grad(f)
    theta = np.array([2.0, 0.5])
    plain = g(theta, False)
    misses = counts()[1]
    kept = g(theta, True)
    assert kept[0] == plain[0]
    np.testing.assert_array_equal(kept[1], plain[1])
    np.testing.assert_allclose(fit.curve, 2.0 * np.exp(-0.5 * x), rtol=1e-15)
    main = counts()
    g(theta, False)
    assert counts()[1] == main[1] >= misses


def test_looked_at_values_are_given_to_the_plan():
    x = np.linspace(0, 1, 40)

    def f(t):
        y = t * x
        if pa.sum(y) > 1e6:
            return pa.sum(y)
        return pa.sum(y * y)

    for scale in (1.0, 1e9, 2.0):
        t = np.full(40, scale)
        expected = x if np.sum(t * x) > 1e6 else 2 * t * x * x
        np.testing.assert_allclose(pa.grad(f)(t), expected, rtol=1e-14)


def test_results_are_apart_from_arguments_and_from_each_other():
    x = np.arange(4.0)
    a = pa.array(x)
    g = pa.grad(lambda t, c: pa.sum(t * c), argnums=(0, 1))
    first = g(a, a)
    second = g(a, a)
    first[0][...] = 99.0
    np.testing.assert_array_equal(a, x)
    np.testing.assert_array_equal(second[0], x)
    np.testing.assert_array_equal(second[1], x)


def test_unused_arguments_have_zero_gradients():
    value, (used, unused) = pa.value_and_grad(
        lambda t, u: pa.sum(t * 2), argnums=(0, 1)
    )(np.ones(3), np.ones((2, 2)))
    assert value == 6.0
    np.testing.assert_array_equal(used, np.full(3, 2.0))
    np.testing.assert_array_equal(unused, np.zeros((2, 2)))


def test_the_cache_is_bounded():
    size = pa.plan_cache_info()["max_size"]
    for n in range(1, size + 40):
        pa.grad(lambda t: pa.sum(t * t))(np.ones(n))
    info = pa.plan_cache_info()
    assert info["size"] == size
    assert info["evictions"] > 0
    np.testing.assert_array_equal(
        pa.grad(lambda t: pa.sum(t * t))(np.ones(2)), [2.0, 2.0]
    )


def test_a_failing_step_names_the_line():
    def f(t):
        return pa.sum(pa.linalg.inv(t))

    with pytest.raises(np.linalg.LinAlgError):
        pa.grad(f)(np.zeros((2, 2)))


def test_threads_share_plans():
    x = np.linspace(0, 1, 30_000)
    f = pa.value_and_grad(lambda t: pa.sum(pa.exp(-t * x) ** 2))
    expected = {s: f(s)[0] for s in (0.5, 1.5, 2.5, 3.5)}
    wrong = []

    def work(s):
        for _ in range(30):
            if f(s)[0] != expected[s]:
                wrong.append(s)

    threads = [threading.Thread(target=work, args=(s,)) for s in expected]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_in_place_writes_do_not_reach_the_arguments():
    x = np.arange(5.0)

    def f(t):
        y = pa.zeros(5)
        y[1:4] = t[1:4] * 2
        y[0] += t[4]
        return pa.sum(y * y)

    for _ in range(2):
        gradient = pa.grad(f)(x)
        np.testing.assert_allclose(gradient, [0, 8.0, 16.0, 24.0, 8.0])
    np.testing.assert_array_equal(x, np.arange(5.0))


def test_an_array_that_the_user_changes_between_calls():
    data = pa.array(np.ones(3000))
    f = pa.grad(lambda t: pa.sum(t * data))
    assert f(1.0) == 3000.0
    data[:10] = 5.0
    assert f(1.0) == 3040.0


def test_programs_of_very_many_operands():
    """Hundreds of inputs, values and sums over one index space."""
    x = np.linspace(0.1, 1.0, 2000)
    columns = np.random.default_rng(2).standard_normal((180, 2000))
    parts = [pa.asarray(c) for c in columns]

    def f(theta):
        total = 0.0
        for k, part in enumerate(parts):
            total = total + pa.sum(pa.sin(theta[k] * x) * part)
        return total

    theta = np.linspace(0.5, 2.0, 180)
    value, gradient = pa.value_and_grad(f)(theta)
    angles = theta[:, None] * x
    np.testing.assert_allclose(value, np.sum(np.sin(angles) * columns), rtol=1e-10)
    np.testing.assert_allclose(
        gradient, np.sum(np.cos(angles) * x * columns, axis=1), rtol=1e-9, atol=1e-10
    )


def test_long_recordings_are_planned_when_they_come_again():
    def f(x):
        total = 0.0
        for i in range(7000):
            total = total + x[i] * i
        return total

    call, x = pa.value_and_grad(f), np.linspace(0, 1, 7000)
    found, made = [], []
    for _ in range(3):
        value, gradient = call(x)
        found.append(float(value))
        made.append(counts())
        np.testing.assert_array_equal(gradient, np.arange(7000))
    assert found == pytest.approx([np.dot(x, np.arange(7000))] * 3, rel=1e-12)
    assert [misses for _, misses in made] == [0, 1, 1]
    assert made[2][0] == 1
