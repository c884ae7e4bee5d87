"""pyarr.jit: plans that run without Python."""

import collections
import gc
import threading
import traceback

import numpy as np
import pytest
import scipy.optimize

import pyarr
from pyarr import _core


class Counted:
    """A function that counts how often its body runs."""

    def __init__(self, f):
        self.f, self.runs = f, 0
        self.__name__ = "counted"

    def __call__(self, *args, **kwargs):
        self.runs += 1
        return self.f(*args, **kwargs)


def chi(theta, x, y):
    return pyarr.sum((y - theta[0] * pyarr.exp(-x * theta[1])) ** 2)


def data(n=50):
    x = np.linspace(0.0, 2.0, n)
    return x, 1.5 * np.exp(-0.7 * x) + 0.01 * np.cos(9 * x)


def test_later_calls_do_not_run_python():
    f = Counted(chi)
    g = pyarr.jit(f)
    x, y = data()
    for k in range(5):
        theta = np.array([1.0 + k, 0.5 * k])
        assert np.isclose(g(theta, x, y), float(chi(theta, x, y)), rtol=1e-14)
    assert f.runs == 1 and g.recordings == 1


@pytest.mark.parametrize("executor", ["auto", "interpreter", "nodes"])
def test_executors(executor):
    x, y = data()
    with pyarr.config(executor=executor):
        f = Counted(chi)
        g = pyarr.jit(f)
        for theta in (np.array([1.0, 2.0]), np.array([0.5, -1.0])):
            assert np.isclose(g(theta, x, y), float(chi(theta, x, y)), rtol=1e-14)
        assert f.runs == (2 if executor == "nodes" else 1)


def test_a_change_of_settings_records_again():
    f = Counted(lambda x: pyarr.sum(x * x))
    g = pyarr.jit(f)
    x = np.arange(3.0)
    g(x)
    with pyarr.config(rounding="strict"):
        assert g(x) == 5.0
    assert g(x) == 5.0 and f.runs == 2


def test_each_shape_dtype_and_layout_is_recorded():
    f = Counted(lambda x: pyarr.sum(x * 2, axis=0))
    g = pyarr.jit(f)
    a = np.arange(12.0).reshape(3, 4)
    for x in (
        a,
        a.astype(np.float32),
        a.T,
        a[:, ::2],
        np.arange(4),
        pyarr.asarray(a.T),
    ):
        for _ in range(2):
            out = g(x)
            assert out.dtype == np.asarray(x).sum(0).dtype
            np.testing.assert_array_equal(np.asarray(out), 2 * np.asarray(x).sum(0))
    assert f.runs == g.recordings == 5  # a.T of both kinds is one


def test_kinds_of_results():
    f = pyarr.jit(lambda x: (pyarr.sum(x), x * 2))
    total, twice = f(np.arange(3.0))
    assert type(total) is np.float64 and type(twice) is np.ndarray
    total, twice = f(pyarr.arange(3.0))
    assert type(total) is pyarr.ndarray and type(twice) is pyarr.ndarray
    total, twice = f(1.5)
    assert type(total) is float and type(twice) is float and twice == 3.0
    assert type(pyarr.jit(lambda: pyarr.ones(2) + 1)()) is pyarr.ndarray


def test_structure_of_arguments_and_results():
    Pair = collections.namedtuple("Pair", "left right")

    def f(tree, *rest, scale=1.0, name=None):
        parts = {"sum": tree["a"] + tree["b"][0], "label": name, "none": None}
        return Pair([rest[0] * scale], parts)

    g = pyarr.jit(f)
    for k in (1.0, 2.0):
        tree = {"a": np.full(2, k), "b": (np.full(2, 10 * k), None)}
        out = g(tree, np.full(3, k), scale=k + 0.5, name="n")
        assert type(out) is Pair and set(out.right) == {"sum", "label", "none"}
        assert out.right["label"] == "n" and out.right["none"] is None
        np.testing.assert_array_equal(out.left[0], np.full(3, k * (k + 0.5)))
        np.testing.assert_array_equal(out.right["sum"], np.full(2, 11 * k))
    assert g.recordings == 1


def test_values_that_are_not_traced_have_their_own_plan():
    f = Counted(
        lambda x, axis=0, how="sum", keep=False: getattr(x, how)(axis, keepdims=keep)
    )
    g = pyarr.jit(f)
    a = np.arange(6.0).reshape(2, 3)
    for _ in range(2):
        np.testing.assert_array_equal(g(a, 0), a.sum(0))
        np.testing.assert_array_equal(g(a, 1), a.sum(1))
        np.testing.assert_array_equal(g(a, True), a.sum(1))  # True is not 1
        np.testing.assert_array_equal(g(a, axis=1, how="max"), a.max(1))
        np.testing.assert_array_equal(g(a, 0, keep=True), a.sum(0, keepdims=True))
    assert f.runs == 5


def test_floats_are_weak_and_special_values_are_no_structure():
    g = pyarr.jit(lambda x, p: x**p)
    x = np.array([1.0, 4.0, 9.0], np.float32)
    for p in (2.0, 0.5, -1.0, 3.7):
        out = g(x, p)
        assert out.dtype == np.float32
        np.testing.assert_allclose(out, x**p, rtol=1e-6)
    assert g.recordings == 1


def test_one_array_twice_is_not_taken_for_one_argument():
    g = pyarr.jit(lambda x, y: pyarr.sum(x * y) - pyarr.sum(y * x) + x - y)
    a, b = np.arange(3.0), np.array([5.0, 1.0, 2.0])
    p = pyarr.asarray(a)
    np.testing.assert_array_equal(g(a, a), np.zeros(3))
    np.testing.assert_array_equal(g(a, b), a - b)
    assert g(p, p).tolist() == [0.0] * 3
    assert g(p, pyarr.asarray(b)).tolist() == (a - b).tolist()
    assert g.recordings == 1


def test_an_argument_that_is_also_a_constant():
    w = pyarr.arange(3.0)
    g = pyarr.jit(lambda x: x - w)
    assert g(w).tolist() == [0.0, 0.0, 0.0]
    assert g(w + 1).tolist() == [1.0, 1.0, 1.0]


def test_results_have_memory_of_their_own():
    w = pyarr.ones(3)
    g = pyarr.jit(lambda x: (x, x, x[::-1], w, np.ones(2)))
    x = np.arange(3.0)
    first, second = g(x), g(x)
    first[0][0] = 100.0
    assert x[0] == 0.0 and first[1][0] == 0.0 and second[0][0] == 0.0
    first[3][0] = 7.0
    first[4][0] = 7.0
    assert w.tolist() == [1.0, 1.0, 1.0] and second[4].tolist() == [1.0, 1.0]
    assert second[2].tolist() == [2.0, 1.0, 0.0]


@pytest.mark.parametrize("make", [np.array, pyarr.array])
@pytest.mark.parametrize("size", [2, 20_000])
def test_captured_arrays_are_kept_by_reference(make, size):
    w = make(np.ones(size))
    scale = 2.0

    def f(x):
        return pyarr.sum(x * w) * scale

    g = pyarr.jit(f)
    assert g(3.0) == 6.0 * size
    w[0] = 11.0
    assert g(3.0) == 6.0 * size + 60.0
    w = make(np.zeros(size))  # another array under the same name
    scale = 100.0
    assert g(3.0) == 6.0 * size + 60.0
    g.forget()
    assert g(3.0) == 0.0


@pytest.mark.parametrize("make", [np.array, pyarr.array])
def test_captured_views_are_kept_by_reference(make):
    w = make(np.arange(12.0).reshape(3, 4))
    g = pyarr.jit(lambda x: x * w[:, 1] + x * w.T[2])
    assert g(2.0).tolist() == [6.0, 22.0, 38.0]
    w[0, 1] = 100.0
    assert g(2.0).tolist() == [204.0, 22.0, 38.0]


def test_a_buffer_of_numpy_that_is_used_again():
    buffer = np.zeros(3)

    def f(x):
        total = 0.0
        for k in range(3):
            buffer[:] = k
            total = total + x * buffer
        return total

    g = pyarr.jit(f)
    for k in (1.0, 2.0):
        assert g(np.full(3, k)).tolist() == [3 * k] * 3


def test_arrays_that_the_function_makes_and_writes():
    def f(x):
        out = pyarr.zeros(4)
        out[1] = x[0]
        out[2:] += x
        buffer = pyarr.ones(2)
        buffer *= x
        return out, buffer

    g = pyarr.jit(f)
    for k in (1.0, 2.0, 3.0):
        out, buffer = g(np.array([k, 10 * k]))
        assert out.tolist() == [0.0, k, k, 10 * k] and buffer.tolist() == [k, 10 * k]
    assert g.recordings == 1


def test_writing_into_an_argument_leaves_the_callers_array():
    def f(x):
        x -= x.mean()
        return x * 2

    g = pyarr.jit(f)
    x = pyarr.array([1.0, 3.0])
    for _ in range(2):
        assert g(x).tolist() == [-2.0, 2.0] and x.tolist() == [1.0, 3.0]


OUTER = pyarr.zeros(3)
NUMPY_OUTER = np.zeros(3)


def write_item(x):
    OUTER[0] = x[0]
    return x


def write_indexed(x):
    OUTER[np.array([0, 1])] = x[:2]
    return x


def write_whole(x):
    np.add(x, 1, out=OUTER)
    return x


def write_numpy(x):
    pyarr.asarray(NUMPY_OUTER)[:] = x
    return x


def add_in_place(x):
    global OUTER
    OUTER += x
    return x


@pytest.mark.parametrize(
    "f", [write_item, write_indexed, write_whole, write_numpy, add_in_place]
)
def test_writes_to_outer_arrays_are_refused(f):
    with pytest.raises(TypeError, match=rf"test_jit.py:\d+ in {f.__name__}"):
        pyarr.jit(f)(np.ones(3))
    assert OUTER.tolist() == [0.0] * 3 and NUMPY_OUTER.tolist() == [0.0] * 3
    assert not _core.is_tracing() and not _core.is_capturing()


LOOKS = {
    "branch": lambda x: x if x[0] > 0 else -x,
    "float": lambda x: float(x[0]),
    "int": lambda x: int(pyarr.argmax(x)),
    "mask": lambda x: x[x > 0.5],
    "numpy": lambda x: np.asarray(x).sum(),
    "numpy of int": lambda x: np.asarray(pyarr.argmax(x)),
    "list": lambda x: x.tolist(),
    "print": lambda x: print(x),
    "format": lambda x: f"{x[0]:.2f}",
    "range": lambda x: [x for _ in range(pyarr.argmax(x))],
    "hash": lambda x: {x[0]: 1},
    "nonzero": lambda x: pyarr.nonzero(x > 0),
    "buffer": lambda x: memoryview(x),
    "detached": lambda x: float(pyarr.detach(x[0])),
    "while": lambda x: [1 for _ in iter(lambda: bool(pyarr.any(x > 0)), False)],
    "inside a gradient": lambda x: pyarr.grad(lambda y: y * 2 if y > 0 else y)(x[0]),
}


@pytest.mark.parametrize("name", LOOKS)
def test_looking_at_a_value_is_refused_with_the_line(name):
    f = LOOKS[name]
    line = f.__code__.co_firstlineno
    with pytest.raises(TypeError, match=rf"jit: .*test_jit.py:{line} in <lambda>"):
        pyarr.jit(f)(np.linspace(0.0, 1.0, 5))
    assert not _core.is_tracing()
    assert pyarr.jit(lambda x: x * 2)(np.ones(2)).tolist() == [2.0, 2.0]


def test_looking_at_what_does_not_depend_on_arguments_is_fine():
    w = pyarr.array([1.0, -2.0])

    def f(x):
        total = pyarr.sum(w * 2)
        if total < 0 and float(pyarr.max(w)) == 1.0 and x.shape[0] == 2:
            return x * w[w > 0][0]
        return x * 0

    assert pyarr.jit(f)(np.array([3.0, 4.0])).tolist() == [3.0, 4.0]


def test_random_numbers_are_refused():
    rng = pyarr.random.default_rng(1)
    with pytest.raises(TypeError, match="random numbers"):
        pyarr.jit(lambda x: x + rng.normal(size=3))(np.ones(3))
    assert rng.normal(size=3).shape == (3,)


def test_errors_of_the_function_pass_and_leave_nothing_behind():
    def f(x):
        raise KeyError("mine")

    g = pyarr.jit(f)
    for _ in range(2):
        with pytest.raises(KeyError, match="mine"):
            g(np.ones(3))
    assert g.recordings == 0
    with pytest.raises(ValueError, match="shapes"):
        pyarr.jit(lambda x: x + pyarr.ones(4))(np.ones(3))
    with pytest.raises(TypeError, match="generator"):
        pyarr.jit(lambda x: (y for y in [x]))(np.ones(3))
    with pytest.raises(TypeError):
        pyarr.jit(3)
    with pytest.raises(TypeError):
        pyarr.jit(lambda x: x)(np.array(["a"]))


def test_steps_that_can_fail():
    g = pyarr.jit(lambda a, b: pyarr.linalg.solve(a, b))
    a = np.array([[2.0, 1.0], [1.0, 3.0]])
    b = np.array([1.0, 2.0])
    for scale in (1.0, 5.0):
        np.testing.assert_allclose(g(a * scale, b), np.linalg.solve(a * scale, b))
    with pytest.raises(np.linalg.LinAlgError):
        g(np.ones((2, 2)), b)
    np.testing.assert_allclose(g(a, b), np.linalg.solve(a, b))
    take = pyarr.jit(lambda x, i: x[i])
    x = np.arange(4.0)
    assert take(x, np.array([3, 0])).tolist() == [3.0, 0.0]
    assert take(x, np.array([-1, 1])).tolist() == [3.0, 1.0]
    with pytest.raises(IndexError):
        take(x, np.array([0, 4]))


def test_jit_of_value_and_grad_and_its_kin():
    x, y = data()
    theta = np.array([1.2, 0.6])
    f = Counted(lambda theta: chi(theta, x, y))
    expected = pyarr.value_and_grad(lambda theta: chi(theta, x, y))
    both = pyarr.jit(pyarr.value_and_grad(f))
    for k in range(3):
        value, gradient = both(theta + k)
        np.testing.assert_allclose(value, expected(theta + k)[0], rtol=1e-13)
        np.testing.assert_allclose(gradient, expected(theta + k)[1], rtol=1e-12)
        assert isinstance(value, float) and type(gradient) is np.ndarray
    assert f.runs == 1
    np.testing.assert_allclose(
        pyarr.jit(pyarr.grad(f))(theta), expected(theta)[1], rtol=1e-12
    )
    np.testing.assert_allclose(
        pyarr.jit(pyarr.hessian(f))(theta), pyarr.hessian(f)(theta), rtol=1e-10
    )
    np.testing.assert_allclose(
        pyarr.jit(pyarr.jacobian(lambda t: t**2))(theta), np.diag(2 * theta)
    )
    assert pyarr.jit(pyarr.grad(lambda x: x**3))(2.0) == 12.0
    second = pyarr.jit(pyarr.grad(pyarr.grad(lambda x: x**3)))
    assert second(2.0) == 12.0 and second(3.0) == 18.0


def test_derivatives_of_a_jit_function():
    f = Counted(lambda x: pyarr.sum(pyarr.sin(x)))
    g = pyarr.jit(f)
    x = np.array([0.1, 0.2])
    g(x)
    np.testing.assert_allclose(pyarr.grad(g)(x), np.cos(x), rtol=1e-15)
    t = pyarr.array(x)
    t.requires_grad_()
    g(t).backward()
    np.testing.assert_allclose(t.grad.tolist(), np.cos(x), rtol=1e-15)
    assert pyarr.grad(pyarr.jit(pyarr.jit(lambda x: x * x)))(3.0) == 6.0
    assert g.recordings == 1


def test_a_captured_array_that_requires_grad_is_refused():
    w = pyarr.ones(2)
    w.requires_grad_()
    g = pyarr.jit(lambda x: pyarr.sum(x * w))
    with pytest.raises(TypeError, match="requires grad"):
        g(np.ones(2))
    with pyarr.no_grad():
        assert g(np.ones(2)) == 2.0


def test_custom_rules():
    @pyarr.custom_vjp
    def cube(x):
        return x**3

    cube.defvjp(lambda x: (x**3, x), lambda x, g: (g * 3 * x**2,))
    g = pyarr.jit(pyarr.grad(cube))
    assert g(2.0) == 12.0 and g(3.0) == 27.0

    @pyarr.custom_vjp
    def outside(x):
        return np.asarray(x) ** 3

    outside.defvjp(lambda x: (np.asarray(x) ** 3, x), lambda x, g: (g * 3 * x**2,))
    with pytest.raises(TypeError, match="jit: the function"):
        pyarr.jit(pyarr.grad(outside))(2.0)


def test_nested_jit_methods_and_names():
    class Model:
        def __init__(self, scale):
            self.scale, self.runs = scale, 0

        @pyarr.jit
        def value(self, x):
            """The value."""
            self.runs += 1
            return x * self.scale

    a, b = Model(2.0), Model(3.0)
    x = np.ones(2)
    for _ in range(2):
        assert a.value(x).tolist() == [2.0, 2.0] and b.value(x).tolist() == [3.0, 3.0]
    assert a.runs == b.runs == 1
    assert Model.value.__name__ == "value" and Model.value.__doc__ == "The value."
    assert "value" in repr(Model.value)
    inner = pyarr.jit(lambda x: x + 1)
    outer = pyarr.jit(lambda x: inner(x) * 2)
    assert outer(1.0) == 4.0 and outer(2.0) == 6.0 and inner.recordings == 0


def test_fourier_transforms_and_matrix_products():
    g = pyarr.jit(lambda x, a: pyarr.abs(pyarr.fft.fft(a @ x)) ** 2)
    a = np.random.default_rng(0).normal(size=(7, 4))
    for x in (np.arange(4.0), np.ones(4)):
        np.testing.assert_allclose(g(x, a), np.abs(np.fft.fft(a @ x)) ** 2, atol=1e-12)


def test_with_scipy():
    x, y = data()
    both = pyarr.jit(pyarr.value_and_grad(lambda theta: chi(theta, x, y)))
    found = scipy.optimize.minimize(both, np.array([1.0, 1.0]), jac=True)
    np.testing.assert_allclose(found.x, [1.5, 0.7], atol=0.02)
    assert both.recordings == 1


def test_recordings_are_bounded_and_freed():
    g = pyarr.jit(lambda x, n: x * n)
    x = np.arange(3.0)
    for n in range(100):
        assert g(x, n).tolist() == [0.0, n, 2.0 * n]
    assert g.recordings == 64
    pyarr.plan_cache_clear()
    gc.collect()
    before = _core.live()
    h = pyarr.jit(lambda x: x * pyarr.ones(1000))
    h(np.ones(1000))
    h.self = h  # a cycle
    del h
    pyarr.plan_cache_clear()
    gc.collect()
    assert _core.live() == before


def test_a_plan_that_left_the_cache_still_runs():
    g = pyarr.jit(lambda x: pyarr.sum(x * x))
    g(np.ones(3))
    pyarr.plan_cache_clear()
    assert g(np.full(3, 2.0)) == 12.0


def test_threads():
    x, y = data(20_000)
    g = pyarr.jit(pyarr.value_and_grad(chi))
    thetas = [np.array([1.0 + k, 0.5]) for k in range(8)]
    expected = [g(theta, x, y) for theta in thetas]
    wrong = []

    def work(k):
        try:
            for _ in range(20):
                value, gradient = g(thetas[k], x, y)
                if value != expected[k][0] or (gradient != expected[k][1]).any():
                    wrong.append(k)
        except Exception:
            wrong.append(traceback.format_exc())

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_empty_and_no_results():
    g = pyarr.jit(lambda x: pyarr.sum(x))
    assert g(np.zeros(0)) == 0.0 and g(np.zeros(0)) == 0.0
    assert pyarr.jit(lambda x: None)(np.ones(2)) is None
    assert pyarr.jit(lambda x: ())(np.ones(2)) == ()
    assert pyarr.jit(lambda: 3)() == 3


def test_a_recursion_of_thousands_of_steps_has_a_plan():
    data = np.random.default_rng(1).standard_normal(1500)

    def likelihood(theta):
        level, total = 1.0, 0.0
        for x in data:
            total = total + pyarr.log(level) + x**2 / level
            level = theta[0] + theta[1] * x**2 + theta[2] * level
        return total

    theta = np.array([0.1, 0.1, 0.8])
    call = pyarr.value_and_grad(likelihood)
    replayed = pyarr.jit(call)
    replayed(theta)
    plans = pyarr.explain(replayed)(theta * 1.01).plans
    assert len(plans) == 1
    value, gradient = replayed(theta * 1.01)
    expected, slopes = call(theta * 1.01)
    assert value == pytest.approx(float(expected), rel=1e-12)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-10)
