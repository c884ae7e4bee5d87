"""The rules of the source tree: layers, headers, what may be called where, lengths."""

import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
FILES = sorted(p for p in CSRC.rglob("*") if p.suffix in (".c", ".h", ".def"))
SOURCES = [p for p in FILES if p.suffix != ".def"]
LAYERS = ["base", "array", "ops", "backend", "graph", "python"]
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.MULTILINE)

C_LINES = 1000
PYTHON_LINES = 700


def name(path):
    return path.relative_to(ROOT).as_posix()


def code(path):
    """The text of a C file without comments and string literals."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", path.read_text(), flags=re.DOTALL)
    return re.sub(r'"(\\.|[^"\\\n])*"', '""', text)


def includes(path):
    text = re.sub(r"/\*.*?\*/", " ", path.read_text(), flags=re.DOTALL)
    return INCLUDE.findall(text)


def calls(names, path):
    return re.findall(rf"(?<![\w.>])(?:{names})\s*\(", code(path))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_includes_point_left(path):
    layer = path.relative_to(CSRC).parts[0]
    assert layer in LAYERS
    for quote, included in includes(path):
        if quote != '"':
            continue
        # Either from csrc/ or, for pieces of one folder, from beside the file.
        target = CSRC / included
        if not target.exists():
            target = path.parent / included
        if not target.exists():
            known = layer == "python" or "cblas" in included or "lapack" in included
            assert known or f'__has_include("{included}")' in path.read_text(), included
            continue
        parts = target.resolve().relative_to(CSRC).parts
        assert LAYERS.index(parts[0]) <= LAYERS.index(layer), included
        if parts[0] == "backend" and layer != "backend":
            assert parts == ("backend", "backend.h"), included
        if parts[:2] in (("backend", "cpu"), ("backend", "cuda")):
            assert (
                path.relative_to(CSRC).parts[:2] == parts[:2]
                or len(path.relative_to(CSRC).parts) == 2
            ), included


@pytest.mark.parametrize("path", FILES, ids=name)
def test_system_headers(path):
    layer = path.relative_to(CSRC).parts[0]
    for quote, included in includes(path):
        if quote == "<" or not (CSRC / included).exists():
            if included == "Python.h" or included.startswith("numpy/"):
                assert layer == "python", included
            assert not re.match(r"cu(da|blas|fft|solver)|nvrtc", included), included


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_forbidden_calls(path):
    where = path.relative_to(CSRC).as_posix()
    if where != "base/settings.c":
        assert not calls("getenv|secure_getenv|setenv|putenv", path)
    if not where.startswith("base/mem"):
        assert not calls(
            "malloc|calloc|realloc|free|posix_memalign|aligned_alloc|strdup", path
        )
    if not where.startswith("python/"):
        assert not calls("printf|fprintf|puts|perror|abort|exit|_exit", path)
    assert not calls("sprintf|gets|alloca", path)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_header_comment_and_length(path):
    text = path.read_text()
    assert text.startswith("/*"), "a file opens by saying what it is"
    if path.suffix != ".def":
        assert text.count("\n") <= C_LINES
    assert "\t" not in text
    assert not re.search(r"[ \t]+$", text, re.MULTILINE), "spaces at the end of a line"


@pytest.mark.parametrize("path", sorted((ROOT / "pyarr").rglob("*.py")), ids=name)
def test_python_files(path):
    text = path.read_text()
    assert text.count("\n") <= PYTHON_LINES
    assert text.lstrip().startswith(('"""', "'''", 'r"""')), "no docstring"
    assert not re.search(r"os\.environ|getenv", text), (
        "settings.def holds all variables"
    )


@pytest.mark.parametrize("path", [p for p in FILES if p.suffix == ".h"], ids=name)
def test_header_compiles_alone(path):
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    if not re.search(r"#ifndef (\w+)\n#define \1\n", path.read_text()):
        return  # without a guard: a text that a source reads, perhaps several times
    python = ["-isystem", sysconfig.get_path("include")]
    if not (Path(python[1]) / "Python.h").exists() and "python" in path.parts:
        pytest.skip("no Python headers")
    command = [compiler, "-std=c11", "-D_GNU_SOURCE", "-fsyntax-only", "-Icsrc"]
    command += [*python, "-isystem", np.get_include(), "-x", "c", str(path)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("suffix", [".c", ".h", ".def", ".py", ".md", ".toml"])
def test_no_open_ends(suffix):
    """What is not done is an issue, not a remark in a file."""
    words = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
    folders = ["csrc", "pyarr", "tests", "examples", "benchmarks", "docs"]
    found = [
        name(path)
        for folder in folders
        for path in (ROOT / folder).rglob(f"*{suffix}")
        if words.search(path.read_text())
    ]
    assert not found
