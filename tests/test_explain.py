"""pyarr.explain: the plans behind a call, as a table and as a picture."""

import xml.etree.ElementTree

import numpy as np
import pytest

import pyarr

N = 20_000
X = np.linspace(0.0, 1.0, N)


def chi(theta):
    return pyarr.sum((theta[0] * pyarr.exp(-X * theta[1]) - 0.5) ** 2)


THETA = np.array([1.0, 2.0])


def test_the_result_is_that_of_the_function():
    explained = pyarr.explain(pyarr.value_and_grad(chi))(THETA)
    value, gradient = pyarr.value_and_grad(chi)(THETA)
    assert explained.result[0] == value
    np.testing.assert_array_equal(explained.result[1], gradient)


def test_one_sweep_reads_the_data_once():
    (plan,) = pyarr.explain(pyarr.value_and_grad(chi))(THETA).plans
    large = [step for step in plan["steps"] if step["bytes_read"] > 8 * N // 2]
    assert len(large) == 1
    assert large[0]["shape"] == (N,) and large[0]["sums"] >= 2
    assert 8 * N <= large[0]["bytes_read"] < 8 * N + 100
    assert large[0]["bytes_written"] < 100 and plan["temporary_bytes"] < 10_000
    assert large[0]["flops"] >= N * large[0]["nodes"]


@pytest.mark.parametrize("wrap", [pyarr.jit, pyarr.grad, lambda f: f])
def test_what_can_be_explained(wrap):
    explained = pyarr.explain(wrap(chi))(THETA)
    assert len(explained.plans) == 1
    assert f"{N}" in str(explained) and "plan 1 of 1" in repr(explained)


def test_arguments_by_name_and_structure():
    explained = pyarr.explain(lambda p, scale: (p["a"] * scale, p["b"]))(
        {"a": X, "b": 1.0}, scale=2.0
    )
    np.testing.assert_array_equal(explained.result[0], 2 * X)
    assert sum(step["bytes_written"] for step in explained.plans[0]["steps"]) >= 8 * N


def test_executors_are_told():
    def executors():
        (plan,) = pyarr.explain(pyarr.jit(chi))(THETA).plans
        return {step["executor"] for step in plan["steps"]}

    with pyarr.config(executor="interpreter"):
        assert "native" not in executors() and "interpreter" in executors()
    with pyarr.config(executor="nodes"):
        explained = pyarr.explain(chi)(THETA)
        assert explained.plans == [] and "no plan" in str(explained)
        assert "no plan" in explained._repr_html_()


def test_library_steps_and_stages_describe_themselves():
    matrix = np.random.default_rng(0).normal(size=(300, 300))

    def f(x):
        z = pyarr.fft.fft(matrix @ x)
        return pyarr.sum(pyarr.abs(z) ** 2) + pyarr.sum(pyarr.sort(x)[:3])

    (plan,) = pyarr.explain(pyarr.value_and_grad(f))(np.arange(300.0)).plans
    names = {step["name"] for step in plan["steps"]}
    assert "sort" in names and any("fft" in name for name in names)
    for step in plan["steps"]:
        assert step["name"] != "unknown" and step["bytes_written"] > 0

    rows = np.random.default_rng(1).normal(size=(20_000, 8))
    logistic = pyarr.value_and_grad(lambda w: pyarr.sum(pyarr.logaddexp(0.0, rows @ w)))
    (plan,) = pyarr.explain(logistic)(np.zeros(8)).plans
    (stage,) = [step for step in plan["steps"] if step["kind"] == "stage"]
    assert stage["nodes"] >= 3 and stage["flops"] >= 4 * rows.size


def test_the_listing_shows_instructions():
    text = pyarr.explain(pyarr.jit(chi))(THETA).listing()
    assert "= exp(r" in text and "float64" in text


def boxes(svg):
    root = xml.etree.ElementTree.fromstring(svg)
    name = "{http://www.w3.org/2000/svg}"
    found = [
        tuple(float(one.get(key)) for key in ("x", "y", "width", "height"))
        for one in root.iter(name + "rect")
    ]
    return root, found, name


@pytest.mark.parametrize("f", [pyarr.value_and_grad(chi), chi, lambda t: (t, t * 2)])
def test_the_picture_is_sound(f):
    explained = pyarr.explain(f)(THETA)
    root, found, name = boxes(explained.svg())
    width, height = float(root.get("width")), float(root.get("height"))
    assert found
    for k, (x, y, w, h) in enumerate(found):
        assert x >= 0 and y >= 0 and x + w <= width and y + h <= height
        for a, b, c, d in found[:k]:  # no two overlap
            assert x >= a + c or a >= x + w or y >= b + d or b >= y + h
    arrows = [one for one in root.iter(name + "path") if one.get("marker-end")]
    assert arrows
    assert explained._repr_svg_() == explained.svg()
    assert explained.svg() in explained._repr_html_()


def test_errors_pass_and_stop_watching():
    def f(x):
        raise KeyError("mine")

    with pytest.raises(KeyError):
        pyarr.explain(f)(1.0)
    assert len(pyarr.explain(pyarr.jit(chi))(THETA).plans) == 1
