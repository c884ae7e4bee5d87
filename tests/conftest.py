"""What all tests share: the right pyarr, and the same examples every time."""

import os
import re
import signal
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def forget_unbuilt_source():
    """Let `import pyarr` find the installed package, not a source folder unbuilt.

    `python -m pytest` puts the checkout in front of sys.path. That is right for an
    editable or in-place build, and hides an installed pyarr otherwise.
    """
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    if (ROOT / "pyarr" / f"_core{suffix}").exists():
        return
    sys.path[:] = [p for p in sys.path if Path(p or os.getcwd()).resolve() != ROOT]
    os.environ["PYTHONSAFEPATH"] = "1"  # the same for processes that tests start


forget_unbuilt_source()
os.environ.setdefault("MPLBACKEND", "Agg")
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell starts background jobs deaf to Ctrl-C, and processes that tests start inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

try:
    from hypothesis import settings
except ImportError:
    pass
else:
    settings.register_profile("same", derandomize=True, deadline=None, database=None)
    settings.register_profile(
        "few", parent=settings.get_profile("same"), max_examples=20
    )
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def sanitized():
    """Is a sanitizer's run-time library in this process?"""
    maps = Path("/proc/self/maps")
    return maps.exists() and re.search(r"lib[at]san", maps.read_text()) is not None


def pytest_collection_modifyitems(items):
    if sanitized():
        skip = pytest.mark.skip(reason="a sanitizer distorts what it measures")
        for item in items:
            if item.get_closest_marker("unsanitized"):
                item.add_marker(skip)


@pytest.fixture
def small_stages():
    """Stages form for small values too, where they do not pay."""
    from pyarr import _core

    before = _core._stage_least_size(512)
    yield
    _core._stage_least_size(before)
