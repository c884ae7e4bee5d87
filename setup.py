"""Build of pyarr._core: all of csrc/, in parallel and incrementally.

Metadata are in pyproject.toml. Environment variables (all optional):

CC            compiler (gcc or clang), default that of sysconfig, else cc
CFLAGS        appended to the compiler's flags
PYARR_JOBS    compilations at a time, default the CPUs this process may use
PYARR_WERROR  1: warnings are errors
PYARR_SAN     1: address and undefined-behaviour sanitizers, assertions on
PYARR_DEBUG   1 or more: assertions on, optimisation down, debug information

A source is compiled once, except where its first lines hold a comment such as

    /* variants: T=f32,f64 ISA */

Then it is compiled for each combination of the axes named: a list gives the macro of
that name each value in turn (-DT=f32), ISA stands for the instruction sets of this
machine's family and defines ISA (v2, v3, v4, or base) and HAS_FMA (0 or 1). All sources
get the list of instruction sets as the macro ISA_EACH(X), e.g. X(v2) X(v3) X(v4).
"""

import hashlib
import itertools
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError

ROOT = Path(__file__).resolve().parent
OPENBLAS_FOLDER = "_openblas"

# clang's pass-failed tells which loops it does not vectorize: advice, not a fault.
WARNINGS = ["-Wall", "-Wextra", "-Wno-pass-failed"]
FLAGS = [
    "-std=c11",
    "-D_GNU_SOURCE",
    "-fPIC",
    "-pthread",
    "-fvisibility=hidden",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
]
if sys.platform == "linux":
    # Every recorded op reads thread-local variables: no call for their address.
    FLAGS.append("-ftls-model=initial-exec")
X86_ISAS = {
    "v2": ["-march=x86-64-v2", "-DHAS_FMA=0"],
    "v3": ["-march=x86-64-v3", "-DHAS_FMA=1"],
    "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512", "-DHAS_FMA=1"],
}


def isa_levels(compiler):
    """Instruction sets to compile kernels for: name -> flags."""
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64"):
        probe = [*compiler, *X86_ISAS["v4"], "-E", "-x", "c", os.devnull]
        if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return X86_ISAS
    fma = int(machine in ("aarch64", "arm64"))
    return {"base": [f"-DHAS_FMA={fma}"]}


def source_variants(path, isas):
    """The (suffix, flags) for each of which the source at `path` is compiled."""
    with open(path, encoding="utf-8") as file:
        head = "".join(itertools.islice(file, 12))
    found = re.search(r"/\*\s*variants:(.*?)\*/", head, re.DOTALL)
    if found is None:
        return [("", [])]
    axes = []
    for word in found.group(1).split():
        name, _, values = word.partition("=")
        if name == "ISA":
            axes.append([(isa, [f"-DISA={isa}", *f]) for isa, f in isas.items()])
        elif values:
            axes.append([(v, [f"-D{name}={v}"]) for v in values.split(",")])
        else:
            raise CompileError(
                f"{path}: variants: {word!r} is neither ISA nor NAME=a,b"
            )
    return [
        (
            "".join(f"-{suffix}" for suffix, _ in choice),
            [flag for _, flags in choice for flag in flags],
        )
        for choice in itertools.product(*axes)
    ]


def up_to_date(target, command_key, stamp, depfile):
    """True if `target` was made by this command and is newer than all it read."""
    try:
        made = target.stat().st_mtime_ns
        if stamp.read_text() != command_key:
            return False
        text = depfile.read_text().replace("\\\n", " ").partition(":")[2]
        names = re.split(r"(?<!\\)\s+", text.strip())
        return all(
            os.stat(ROOT / n.replace("\\ ", " ")).st_mtime_ns <= made for n in names
        )
    except OSError:
        return False


class BuildCore(build_ext):
    """build_ext that compiles csrc/ itself and ships OpenBLAS beside the module."""

    def run(self):
        # In place the module goes straight into the source folder; setuptools would
        # build it elsewhere and copy it, without the library.
        package = ROOT / "pyarr" if self.inplace else Path(self.build_lib) / "pyarr"
        target = package.resolve() / self.get_ext_filename("_core")
        target.parent.mkdir(parents=True, exist_ok=True)
        self.configure()
        library = self.ship_openblas(target.parent / OPENBLAS_FOLDER)
        objects = self.compile_all()
        self.link(target, objects, library)

    def configure(self):
        """Work out compiler, flags and the folder of objects."""
        try:
            import numpy
            import scipy_openblas32
        except ImportError as error:
            raise CompileError(
                f"pyarr needs {error.name} to build: pip install numpy scipy-openblas32"
            ) from error
        cc = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
        self.cc = shlex.split(cc)
        if shutil.which(self.cc[0]) is None:
            self.cc = ["cc"]
        self.isas = isa_levels(self.cc)
        self.openblas = scipy_openblas32
        sanitize = os.environ.get("PYARR_SAN", "0") not in ("", "0")
        checks = os.environ.get("PYARR_DEBUG", "0") not in ("", "0")
        self.flags = [*FLAGS, *WARNINGS]
        if os.environ.get("PYARR_WERROR", "0") not in ("", "0"):
            self.flags += ["-Werror"]
        self.link_flags = ["-pthread"]
        if sanitize:
            san = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
            self.flags += ["-O1", "-g", "-fno-omit-frame-pointer", *san]
            self.link_flags += san
        elif checks:
            self.flags += ["-O1", "-g", "-DPYARR_CHECKS=1"]
        else:
            self.flags += ["-O3", "-DNDEBUG"]
        each = " ".join(f"X({isa})" for isa in self.isas)
        self.flags += ["-Icsrc", f"-DISA_EACH(X)={each}"]
        self.flags += shlex.split(os.environ.get("CFLAGS", ""))
        # System folders: their headers are not listed in depfiles, and their paths are
        # left out of the commands' keys, as an isolated build has new ones every time.
        self.system = [
            f"-isystem{sysconfig.get_path('include')}",
            f"-isystem{numpy.get_include()}",
            f"-isystem{scipy_openblas32.get_include_dir()}",
        ]
        version = subprocess.run(
            [*self.cc, "--version"], capture_output=True, text=True, check=True
        ).stdout.partition("\n")[0]
        self.versions = f"{version} {scipy_openblas32.__version__}"
        self.python_versions = f"{sys.version} {numpy.__version__}"
        kind = "san" if sanitize else "checks" if checks else "release"
        self.objects = ROOT / "build" / f"{kind}-{Path(self.cc[0]).name}"

    def compile_all(self):
        """Compile what is out of date; return all objects in a fixed order."""
        jobs = [
            (source, *variant)
            for source in sorted((ROOT / "csrc").rglob("*.c"))
            for variant in source_variants(source, self.isas)
        ]
        if hasattr(os, "sched_getaffinity"):
            cpus = len(os.sched_getaffinity(0))
        else:
            cpus = os.cpu_count() or 1
        workers = int(os.environ.get("PYARR_JOBS") or cpus)
        with ThreadPoolExecutor(workers) as pool:
            futures = [pool.submit(self.compile_one, *job) for job in jobs]
            failed = [f.exception() for f in futures if f.exception() is not None]
        if failed:
            raise CompileError("\n".join(str(error) for error in failed))
        return [future.result() for future in futures]

    def compile_one(self, source, suffix, extra):
        name = source.relative_to(ROOT)
        versions = self.versions
        path = self.objects / name.with_name(name.stem + suffix)
        if name.parts[1] == "python":
            # The only layer that differs from one Python to the next.
            versions += self.python_versions
            tag = sys.implementation.cache_tag
            path = self.objects / tag / name.with_name(name.stem + suffix)
        obj, dep, stamp = (path.with_name(path.name + e) for e in (".o", ".d", ".cmd"))
        command = [*self.cc, *self.flags, *extra, "-c", str(name), "-o", str(obj)]
        text = " ".join(command) + versions
        key = hashlib.sha256(text.encode()).hexdigest()
        if not self.force and up_to_date(obj, key, stamp, dep):
            return obj
        obj.parent.mkdir(parents=True, exist_ok=True)
        stamp.unlink(missing_ok=True)
        done = subprocess.run(
            [*command, *self.system, "-MMD", "-MF", str(dep)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        print(f"  {name}{suffix}\n{done.stderr}", end="", flush=True)
        if done.returncode != 0:
            raise CompileError(f"{name}{suffix} did not compile:\n{done.stderr}")
        stamp.write_text(key)
        return obj

    def ship_openblas(self, folder):
        """Copy the library into the package, without symbols for debuggers."""
        name = self.openblas.get_library(fullname=True)
        source = Path(self.openblas.get_lib_dir()) / name
        target = folder / name
        stamp = self.objects / f"openblas-{self.openblas.__version__}"
        if target.exists() and stamp.exists() and not self.force:
            return target
        folder.mkdir(parents=True, exist_ok=True)
        self.objects.mkdir(parents=True, exist_ok=True)
        # Written beside and renamed: processes may have the old file mapped.
        scratch = target.with_name(f"{name}.{os.getpid()}")
        shutil.copy2(source, scratch)
        strip = shutil.which("strip")
        if strip and sys.platform == "linux":
            subprocess.run([strip, "--strip-unneeded", str(scratch)], check=False)
        os.replace(scratch, target)
        stamp.touch()
        return target

    def link(self, target, objects, library):
        newest = max(os.stat(path).st_mtime_ns for path in objects)
        where = hashlib.sha256(str(target).encode()).hexdigest()[:12]
        stamp = ROOT / "build" / f"link-{where}.cmd"
        mac = sys.platform == "darwin"
        origin = "@loader_path" if mac else "$ORIGIN"
        command = [
            *self.cc,
            *(["-bundle", "-undefined", "dynamic_lookup"] if mac else ["-shared"]),
        ]
        command += self.link_flags
        command += [os.path.relpath(path, ROOT) for path in objects]
        command += [f"-L{library.parent}", f"-l{self.openblas.get_library()}", "-lm"]
        command += [f"-Wl,-rpath,{origin}/{OPENBLAS_FOLDER}"]
        if sys.platform == "linux":
            command += ["-ldl"]
        text = " ".join([*command, str(target)])
        if (
            not self.force
            and target.exists()
            and target.stat().st_mtime_ns >= newest
            and stamp.exists()
            and stamp.read_text() == text
        ):
            return
        scratch = target.with_name(f"{target.name}.{os.getpid()}")
        done = subprocess.run(
            [*command, "-o", str(scratch)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise LinkError(f"{target.name} did not link:\n{done.stderr}")
        os.replace(scratch, target)
        stamp.write_text(text)


setup(ext_modules=[Extension("pyarr._core", [])], cmdclass={"build_ext": BuildCore})
