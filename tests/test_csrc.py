"""The C core's own tests: compiled and run plain, and under the sanitizers.

Each tests/csrc/test_*.c is a program. It is linked with the sources of csrc/base, or of
the layers that a comment in its first lines names: /* layers: base array ops */.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = sorted((ROOT / "tests" / "csrc").glob("test_*.c"))
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-pthread", "-Wall", "-Wextra", "-Werror"]
FLAGS += ["-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
FLAGS += ["-Icsrc", "-Itests/csrc"]
MODES = {
    "release": ["-O2", "-DNDEBUG"],
    "checks": ["-O1", "-g", "-DPYARR_CHECKS=1"],
    "address": ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover"],
    "thread": ["-O1", "-g", "-fsanitize=thread"],
}


def compiler():
    cc = shlex.split(os.environ.get("CC", "cc"))
    if shutil.which(cc[0]) is None:
        pytest.skip("no C compiler")
    return cc


@pytest.fixture(scope="module", params=MODES)
def mode(request, tmp_path_factory):
    """The flags of one way to build, if the compiler and the machine can do it."""
    folder = tmp_path_factory.mktemp(request.param)
    flags = MODES[request.param]
    source = folder / "probe.c"
    source.write_text("int main(void) { return 0; }\n")
    command = [*compiler(), *flags, str(source), "-o", str(folder / "probe")]
    built = subprocess.run(command, capture_output=True, check=False)
    if built.returncode or subprocess.run([folder / "probe"], check=False).returncode:
        pytest.skip(f"the {request.param} sanitizer does not work here")
    return folder, flags


def library(folder, flags, layer):
    """The objects of one layer, compiled once for each mode."""
    objects = []
    for source in sorted((ROOT / "csrc" / layer).glob("*.c")):
        target = folder / f"{layer}-{source.stem}.o"
        if not target.exists():
            command = [*compiler(), *FLAGS, *flags, "-c", str(source)]
            subprocess.run([*command, "-o", str(target)], cwd=ROOT, check=True)
        objects.append(str(target))
    return objects


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_program(mode, program):
    folder, flags = mode
    found = re.search(r"/\* layers: (.*?) \*/", program.read_text()[:1000])
    layers = found.group(1).split() if found else ["base"]
    objects = [o for layer in layers for o in library(folder, flags, layer)]
    target = folder / program.stem
    command = [*compiler(), *FLAGS, *flags, str(program), *objects, "-lm"]
    subprocess.run([*command, "-o", str(target)], cwd=ROOT, check=True)
    # Sanitizers of a test run around this one are not for these programs.
    kept = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    kept = {k: v for k, v in kept.items() if not k.endswith("SAN_OPTIONS")}
    done = subprocess.run(
        [target], capture_output=True, text=True, timeout=300, env=kept, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
