"""The documentation agrees with the code."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import pyarr as pa

ROOT = Path(__file__).resolve().parent.parent


def test_list_of_operations_is_up_to_date():
    spec = importlib.util.spec_from_file_location("ops_page", ROOT / "docs" / "ops.py")
    ops = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(ops)
    written = ops.PAGE.read_text(encoding="utf-8")
    assert written == ops.page(), "run python docs/ops.py"


def test_example_of_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    code = text.partition("```python\n")[2].partition("```")[0]
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    np.testing.assert_allclose(names["fit"].x, [3.0, 2.5], atol=0.01)


@pytest.mark.parametrize("name", ["qr", "svd", "eig", "eigvals"])
def test_gaps_are_refused(name):
    function = getattr(pa.linalg, name)

    def total(x):
        result = function(x)
        return pa.sum(abs(result[0] if isinstance(result, tuple) else result))

    with pytest.raises(TypeError, match="derivative"):
        pa.grad(total)(pa.array([[2.0, 1.0], [1.0, 3.0]]))
