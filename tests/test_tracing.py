"""What recording promises: copies, views, writes, looks, lost gradients, costs."""

import math
import os
import time

import numpy as np
import pytest

import pyarr as pa

# ---- no silently lost gradient ----


@pytest.mark.parametrize(
    "leave",
    [
        lambda x: math.exp(x[0]),
        lambda x: float(x[0]),
        lambda x: complex(x[0]),
        lambda x: int(x[0]),
        lambda x: x[0].item(),
        lambda x: x.tolist(),
        lambda x: np.asarray(x),
        lambda x: np.array(x),
        lambda x: memoryview(x),
        lambda x: np.from_dlpack(x),
    ],
    ids=[
        "math",
        "float",
        "complex",
        "int",
        "item",
        "tolist",
        "asarray",
        "array",
        "buffer",
        "dlpack",
    ],
)
def test_leaving_pyarr_raises_and_names_detach(leave):
    def f(x):
        leave(x)
        return pa.sum(x)

    with pytest.raises(TypeError, match="detach"):
        pa.grad(f)(np.array([1.0, 2.0]))


def test_detached_values_can_leave():
    seen = []

    def f(x):
        seen.append(float(pa.detach(x)[0]))
        seen.append(np.asarray(pa.stop_gradient(x * 2)).tolist())
        return pa.sum(x)

    pa.grad(f)(np.array([1.0, 2.0]))
    assert seen == [1.0, [2.0, 4.0]]


def test_looking_works():
    seen = []

    def f(x):
        seen.append((bool(x[0] > 0), repr(x), str(x), f"{x[1]:.3f}"))
        return pa.sum(x * x) if x[1] > 1 else pa.sum(x)

    np.testing.assert_array_equal(pa.grad(f)(np.array([1.0, 2.0])), [2.0, 4.0])
    assert seen[0] == (True, "array([1., 2.])", "[1. 2.]", "2.000")


# ---- scalars, swaps, unpacking ----


def test_full_indexing_copies():
    def f(x):
        t = x * 1.0
        first = t[0]
        t[0] = t[1]
        t[1] = first
        return t[0] * 10 + t[1]

    np.testing.assert_array_equal(pa.grad(f)(np.array([1.0, 2.0])), [1.0, 10.0])


def test_unpacking_and_iteration():
    def f(x):
        a, b, c = x
        total = 0.0
        for v in x:
            total = total + v * v
        return total + a * b * c

    np.testing.assert_allclose(pa.grad(f)(np.array([1.0, 2.0, 3.0])), [8.0, 7.0, 8.0])


def test_augmented_assignment_of_a_scalar_rebinds():
    def f(x):
        t = x[0]
        t += x[1]
        return t * x[0]

    np.testing.assert_array_equal(pa.grad(f)(np.array([3.0, 5.0])), [11.0, 3.0])


def test_row_view_writes_through():
    def f(x):
        a = x * 1.0
        row = a[0, ...]
        row *= 3.0
        return pa.sum(a * a)

    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_allclose(pa.grad(f)(x), np.array([[18.0, 36.0], [6.0, 8.0]]))


# ---- in-place writes ----


def both_ways(f, x):
    """The gradient by tracing against central differences of the eager function."""
    gradient = np.asarray(pa.grad(f)(x))
    expected = np.empty_like(x)
    for k in range(x.size):
        up, down = x.copy(), x.copy()
        up.flat[k] += 1e-6
        down.flat[k] -= 1e-6
        expected.flat[k] = (float(f(pa.array(up))) - float(f(pa.array(down)))) / 2e-6
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)


WRITES = {
    "slice": lambda a, x: a.__setitem__(slice(1, 3), x[:2] * x[2]),
    "step": lambda a, x: a.__setitem__(slice(None, None, -2), x[0] * 2),
    "scalar": lambda a, x: a.__setitem__(2, x[1] ** 2),
    "mask": lambda a, x: a.__setitem__(a > 2, x[0] * x[1]),
    "fancy": lambda a, x: a.__setitem__([0, 3, 0], x[:3] ** 2),
    "iadd": lambda a, x: a.__iadd__(x * x),
    "imul of a view": lambda a, x: a[1:].__imul__(x[:3]),
    "overlap": lambda a, x: a.__setitem__(slice(1, None), a[:-1]),
    "reshape": lambda a, x: a.reshape(2, 2).__setitem__((slice(None), 1), x[:2] * x[3]),
    "transpose": lambda a, x: a.reshape(2, 2).T.__setitem__(0, x[2:] * x[0]),
    "all": lambda a, x: a.__setitem__(Ellipsis, x[::-1] * x),
    "fill": lambda a, x: a.fill(2.0),
}


@pytest.mark.parametrize("name", WRITES)
def test_writes_are_differentiated(name):
    def f(x):
        a = x * x
        early = pa.sum(a * 0.5)
        WRITES[name](a, x)
        return pa.sum(pa.sin(a) * pa.asarray([1.0, 2.0, 3.0, 4.0])) + early

    both_ways(f, np.array([0.7, 1.3, 1.7, 0.4]))


def test_repeated_index_last_one_wins():
    def f(x):
        a = pa.zeros(2)
        a[[0, 0, 1]] = x
        return pa.sum(a * a)

    np.testing.assert_array_equal(
        pa.grad(f)(np.array([1.0, 2.0, 3.0])), [0.0, 4.0, 6.0]
    )


def test_add_at():
    def f(x):
        a = pa.zeros(2)
        pa.add.at(a, [0, 0, 1], x)
        return pa.sum(a * a)

    np.testing.assert_array_equal(
        pa.grad(f)(np.array([1.0, 2.0, 3.0])), [6.0, 6.0, 6.0]
    )


def test_write_to_argument_leaves_the_callers_array_alone():
    x = np.array([1.0, 2.0])
    y = pa.array([1.0, 2.0])

    def f(x):
        x[0] = x[1] * 3.0
        return pa.sum(x * x)

    np.testing.assert_array_equal(pa.grad(f)(x), [0.0, 2 * 9 * 2 + 4.0])
    pa.grad(f)(y)
    np.testing.assert_array_equal(x, [1.0, 2.0])
    np.testing.assert_array_equal(np.asarray(y), [1.0, 2.0])


@pytest.mark.parametrize("make", [np.array, pa.array], ids=["numpy", "pyarr"])
def test_large_arguments_are_apart_from_the_callers_array(make):
    """They are read where they lie, but nothing that comes out shares their memory."""
    start = np.random.default_rng(3).normal(size=20000)
    x = make(start)
    kept = []

    def write(t):
        y = 2 * t
        t[:10] *= 3
        kept.extend([t, t[5:]])
        return pa.sum(t * y)

    value, gradient = pa.value_and_grad(write)(x)
    np.testing.assert_array_equal(x, start)
    factor = np.where(np.arange(start.size) < 10, 6.0, 2.0)
    np.testing.assert_allclose(float(value), np.sum(factor * start**2), rtol=1e-12)
    np.testing.assert_allclose(gradient, 2 * factor * start, rtol=1e-14)

    ((_, same), copied) = pa.value_and_grad(lambda t: (pa.sum(t * x), t), has_aux=True)(
        x
    )
    x[...] = 0.0
    for found in (same, copied):
        np.testing.assert_array_equal(found, start)
    np.testing.assert_array_equal(kept[0], np.where(factor > 2, 3 * start, start))
    np.testing.assert_array_equal(kept[1], np.asarray(kept[0])[5:])


def test_large_arguments_that_the_function_changes_from_outside():
    start = np.random.default_rng(4).normal(size=20000)
    x = pa.array(start)

    def f(t):
        x[...] = 1.0
        return pa.sum(t * t)

    _, gradient = pa.value_and_grad(f)(x)
    np.testing.assert_allclose(gradient, 2 * start, rtol=1e-15)
    np.testing.assert_array_equal(x, np.ones(20000))


def test_writes_to_outer_arrays_are_carried_out():
    log = pa.zeros(3)
    shared = np.zeros(3)
    view = pa.asarray(shared)

    def f(x):
        log[0] = 5.0
        log[1] = pa.detach(x[0]) * 2
        view[2] = 7.0
        seen = shared[2]
        view[1] = pa.detach(x[1])
        return pa.sum(x * x) + view[2] * x[0] + log[0] * x[1] + 0.0 * seen

    np.testing.assert_array_equal(pa.grad(f)(np.array([1.0, 2.0])), [9.0, 9.0])
    np.testing.assert_array_equal(np.asarray(log), [5.0, 2.0, 0.0])
    np.testing.assert_array_equal(shared, [0.0, 2.0, 7.0])


def test_writes_before_an_exception_are_carried_out():
    log = pa.zeros(2)

    def f(x):
        log[0] = 3.0
        raise ValueError

    with pytest.raises(ValueError):
        pa.grad(f)(1.0)
    np.testing.assert_array_equal(np.asarray(log), [3.0, 0.0])


def test_active_value_written_to_foreign_memory():
    shared = np.zeros(2)
    a = pa.asarray(shared)

    def f(x):
        a[0] = x[0] * x[1]
        return a[0] * 2 + pa.sum(a)

    np.testing.assert_array_equal(pa.grad(f)(np.array([3.0, 5.0])), [15.0, 9.0])
    np.testing.assert_array_equal(shared, [15.0, 0.0])


def test_reads_before_a_write_keep_their_elements():
    data = pa.asarray(np.arange(20000.0))

    def f(x):
        before = data * x
        data[0] = 100.0
        after = data * x
        return pa.sum(before[:2]) + pa.sum(after[:2])

    assert pa.grad(f)(1.0) == 1.0 + 101.0
    assert float(data[0]) == 100.0


def test_overlapping_views_of_one_numpy_array():
    base = np.zeros(4)
    a, b = pa.asarray(base[:3]), pa.asarray(base[1:])

    def f(x):
        a[1] = x[0] * x[0]
        b[0] = b[0] * x[1]
        return a[1] + b[0]

    np.testing.assert_allclose(pa.grad(f)(np.array([3.0, 5.0])), [2 * 2 * 3 * 5, 18.0])
    assert base[1] == 45.0


def test_real_part_of_traced_complex():
    def f(x):
        z = pa.exp(1j * x)
        return pa.sum(z.real * 2 + z.imag**2)

    x = np.array([0.3, 0.9])
    np.testing.assert_allclose(
        pa.grad(f)(x), -2 * np.sin(x) + 2 * np.sin(x) * np.cos(x)
    )


# ---- where ----


def test_where_does_not_leak_nan():
    def f(x):
        return pa.sum(pa.where(x > 0, pa.log(x) * pa.sqrt(x), x * 2.0))

    x = np.array([-1.0, 0.0, 4.0])
    expected = [2.0, 2.0, np.log(4) / 4 + 0.5]
    np.testing.assert_allclose(pa.grad(f)(x), expected)
    hess = pa.hessian(f)(x)
    assert np.all(np.isfinite(hess))
    np.testing.assert_allclose(np.diag(hess), [0.0, 0.0, -np.log(4) / 4 / 4**1.5])


def test_where_through_broadcast_views_and_overflow():
    def f(x):
        rows = pa.exp(x[:, None] * pa.asarray([1.0, 1000.0]))
        kept = pa.where(pa.asarray([True, False]), rows, 0.0)
        return pa.sum(kept.T[:, ::-1].reshape(-1))

    x = np.array([0.5, 1.0])
    np.testing.assert_allclose(pa.grad(f)(x), np.exp(x))


def test_where_inside_where():
    def f(x):
        return pa.where(x > 0, pa.where(x > 1, pa.sqrt(x - 1), 0.0), pa.sqrt(-x))

    for x in (-2.0, 0.5, 3.0):
        g = pa.grad(f)(x)
        expected = (
            -0.5 / np.sqrt(-x) if x < 0 else 0.0 if x < 1 else 0.5 / np.sqrt(x - 1)
        )
        assert g == pytest.approx(expected)
        assert np.isfinite(pa.grad(pa.grad(f))(x))


# ---- costs ----


def measure(f, small, large):
    """Time at two sizes; a linear cost keeps the ratio near large / small."""
    f(small)
    times = []
    for n in (small, large):
        best = math.inf
        for _ in range(4):
            pa.plan_cache_clear()
            start = time.perf_counter()
            f(n)
            best = min(best, time.perf_counter() - start)
        times.append(best)
    return times[1] / times[0]


def test_looks_in_a_long_loop_take_linear_time():
    def run(n):
        def f(x):
            k = 0
            while x < 1e9 and k < n:
                x = x * 1.00001
                k += 1
            return x

        pa.grad(f)(1.0)

    assert measure(run, 5_000, 50_000) < 40


def test_element_writes_take_linear_time():
    def run(n):
        def f(x):
            a = pa.zeros(n)
            for i in range(n):
                a[i] = x * i
            return pa.sum(a)

        assert pa.grad(f)(2.0) == n * (n - 1) / 2

    assert measure(run, 4_000, 40_000) < 40


@pytest.mark.parametrize("small", [500, 10_000])  # with a plan, and too long for one
def test_element_reads_take_linear_time(small):
    def run(n):
        def f(x):
            total = 0.0
            for i in range(n):
                total = total + x[i] * i
            return total

        np.testing.assert_array_equal(pa.grad(f)(np.ones(n)), np.arange(n))

    assert measure(run, small, 5 * small) < 20


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
@pytest.mark.unsanitized
def test_inactive_chunks_stream_in_constant_memory():
    def resident():
        with open("/proc/self/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    peak = [0]

    def f(x):
        total = 0.0
        for k in range(100):
            chunk = pa.asarray(np.full(1_000_000, float(k)))
            total = total + pa.sum(chunk * chunk)
            peak[0] = max(peak[0], resident())
        return x * total

    before = pa._core.set_pin_limit(50_000_000)
    try:
        start = resident()
        assert pa.grad(f)(2.0) == pytest.approx(1e6 * sum(k * k for k in range(100)))
    finally:
        pa._core.set_pin_limit(before)
    assert peak[0] - start < 250_000_000


# ---- PyTorch's spelling ----


def test_backward_accumulates():
    x = pa.array([1.0, 2.0, 3.0]).requires_grad_()
    y = pa.sum(x * x)
    assert y.requires_grad and not y.is_leaf and x.is_leaf
    y.backward()
    np.testing.assert_array_equal(np.asarray(x.grad), [2.0, 4.0, 6.0])
    pa.sum(x * 3).backward()
    np.testing.assert_array_equal(np.asarray(x.grad), [5.0, 7.0, 9.0])
    x.grad = None
    assert x.grad is None


def test_tape_values_and_views():
    x = pa.array([[1.0, 2.0], [3.0, 4.0]]).requires_grad_()
    y = x.T[0] * x[:, 1]
    np.testing.assert_array_equal(np.asarray(y.detach()), [2.0, 12.0])
    pa.sum(y * y).backward()
    np.testing.assert_allclose(np.asarray(x.grad), [[8.0, 4.0], [96.0, 72.0]])


def test_no_grad_and_leaf_update():
    w = pa.array([1.0, -2.0]).requires_grad_()
    for _ in range(60):
        loss = pa.sum((w - 3.0) ** 2)
        loss.backward()
        with pa.no_grad():
            w -= 0.2 * w.grad
        w.grad = None
    np.testing.assert_allclose(np.asarray(w.detach()), [3.0, 3.0], atol=1e-9)


def test_changing_what_backward_needs_raises():
    x = pa.array([1.0, 2.0]).requires_grad_()
    y = x * 2.0
    z = pa.sum(y * y)
    y[0] = 5.0
    with pytest.raises(RuntimeError, match="in place"):
        z.backward()
    with pytest.raises(RuntimeError, match="requires grad"):
        x[0] = 1.0


def test_in_place_on_the_tape():
    x = pa.array([1.0, 2.0]).requires_grad_()
    y = x * 2.0
    y[0] = x[1] * x[1]
    pa.sum(y).backward()
    np.testing.assert_array_equal(np.asarray(x.grad), [0.0, 6.0])


def test_second_order_on_the_tape():
    x = pa.array([1.0, 2.0]).requires_grad_()
    y = pa.sum(x**3)
    (g,) = pa.autograd.grad(y, [x], create_graph=True)
    (h,) = pa.autograd.grad(pa.sum(g), [x])
    np.testing.assert_allclose(np.asarray(h), [6.0, 12.0])


def test_results_on_the_tape_survive_their_inputs():
    x = pa.array([2.0, 3.0]).requires_grad_()

    def loss():
        a = pa.exp(x)
        b = a * a
        return pa.sum(b)

    y = loss()
    y.backward()
    np.testing.assert_allclose(np.asarray(x.grad), 2 * np.exp(2 * np.array([2.0, 3.0])))


def test_lost_gradient_on_the_tape_raises():
    x = pa.array([2.0, 3.0]).requires_grad_()
    with pytest.raises(TypeError, match="detach"):
        np.asarray(x * 2)
    with pytest.raises(TypeError, match="detach"):
        float(pa.sum(x))


# ---- complex convention ----


def test_complex_gradient_convention():
    z = np.array([1.0 + 2.0j, -0.5 + 0.3j])
    gradient = pa.grad(lambda z: pa.sum(pa.abs(z) ** 2))(z)
    np.testing.assert_allclose(gradient, 2 * z)
    gradient = pa.grad(lambda z: pa.sum((z * z).real))(z)
    np.testing.assert_allclose(gradient, 2 * np.conj(z))


def test_nothing_is_left_alive():
    import gc

    gc.collect()
    pa.plan_cache_clear()  # plans keep their literals
    before = pa._core.live()
    for _ in range(3):
        pa.grad(lambda x: pa.sum(pa.sin(x) * pa.where(x > 0, x, 0.0)))(np.ones(5))
        x = pa.array([1.0]).requires_grad_()
        pa.sum(x * x).backward()
        del x
    gc.collect()
    pa.plan_cache_clear()
    assert pa._core.live() == before
