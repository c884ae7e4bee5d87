"""The native executor against the interpreter, to the bit; its code under a disassembler."""

import itertools
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import pyarr as pa
from pyarr import _core

ISA = pa.show_config()["isa"]
pytestmark = pytest.mark.skipif(
    ISA not in ("v3", "v4"), reason="no emitter for this machine"
)

F, B, I, C = "f8", "?", "i8", "c16"
SPECIAL = [0.0, 1.0, 0.5, 2.5, 1e-310, 5e-324, 2.2250738585072014e-308, 1e-160, 1e-17]
SPECIAL += [3.9, 700.0, 745.2, 1e10, 1e16, 1e155, 1.7976931348623157e308, np.inf]
SPECIAL = np.array([s * x for x in SPECIAL for s in (1.0, -1.0)] + [np.nan, 0.9999999])

# Rows on float64 that stay calls of their kernels.
CALLS = """power float_power floor_divide remainder fmod nextafter frexp_mantissa
frexp_exponent erfinv gamma lgamma digamma polygamma sinc_derivative i0 i1
bessel_i""".split()
RESULTS = {"frexp_exponent": "i4", "make_complex": C}
TESTS = """greater greater_equal less less_equal equal not_equal logical_and logical_or
logical_xor logical_not isfinite isinf isnan signbit""".split()
ROWS = [
    row
    for row in _core.ops()
    if row["elementwise"] and row["class"] not in ("integer", "bits", "special")
]


def run(executor, inputs, code, outputs, sums=(), shape=None, aliased=()):
    """Outputs, sums and machine code of a program; outputs: (register, dtype).

    aliased: of inputs whose memory holds the output of the same number.
    """
    shape = inputs[0].shape if shape is None else shape
    inputs = list(inputs)
    results = [(reg, np.full(shape, 1, dtype)) for reg, dtype in outputs]
    for k in aliased:
        results[k] = (results[k][0], inputs[k].copy())
        inputs[k] = results[k][1]
    totals = [(reg, np.full((), 7, dtype)) for reg, dtype in sums]
    with pa.config(executor=executor):
        emitted = _core._run_program(shape, inputs, list(code), results, totals)
    return [a for _, a in results], [a for _, a in totals], emitted


def same_bits(one, other):
    """Equal bits, except that one NaN is as good as another."""
    one, other = (np.atleast_1d(a) for a in (one, other))
    if one.dtype.kind in "fc":
        one, other = one.view(one.real.dtype), other.view(one.real.dtype)
        both = np.isnan(one) & np.isnan(other)
        one, other = np.where(both, 0, one), np.where(both, 0, other)
    return one.tobytes() == other.tobytes()


def compare(inputs, code, outputs, sums=(), native=True, **how):
    expected = run("interpreter", inputs, code, outputs, sums, **how)
    got = run("native", inputs, code, outputs, sums, **how)
    assert expected[2] is None
    assert (got[2] is not None) == native
    for kind in (0, 1):
        for k, (one, other) in enumerate(zip(expected[kind], got[kind], strict=True)):
            assert same_bits(one, other), (kind, k, one, other)
    return got[2]


def instructions(emitted):
    """Mnemonics and operands; every byte must belong to one. Needs no sanitizer, whose
    run-time library refuses to let the disassembler load its own."""
    import capstone

    disassembler = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    found = list(disassembler.disasm(emitted, 0))
    assert sum(i.size for i in found) == len(emitted)
    return [(i.mnemonic, i.op_str) for i in found]


def grids(count):
    """All combinations of special values, and some of every size."""
    if count == 3:
        values = SPECIAL[::3]
    else:
        values = SPECIAL
    special = np.array(list(itertools.product(values, repeat=count))).T
    rng = np.random.default_rng(count)
    sizes = rng.standard_normal((count, 600)) * 10.0 ** rng.integers(-9, 9, 600)
    usual = rng.standard_normal((count, 600))
    return [np.ascontiguousarray(x) for x in np.hstack([special, sizes, usual])]


def result_dtype(name):
    return B if name in TESTS else RESULTS.get(name, F)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_rows(row):
    """Each row alone: vectors, and each input uniform in turn."""
    name, count = row["name"], row["nin"]
    inputs = grids(count)
    dtype = result_dtype(name)
    code = [(name, F, dtype, count, *range(count))]
    extra = ("positive", F, F, count + 1, 0)  # a program of one row runs its kernel
    native = name not in CALLS
    compare(inputs, [*code, extra], [(count, dtype), (count + 1, F)])
    if native:
        compare(inputs, [*code, extra], [(count, dtype)], [(count + 1, F)])
    if name in ("sin", "cos", "tan"):  # nothing but moderate arguments
        small = [np.linspace(-1e6, 1e6, 1001)]
        compare(small, [*code, extra], [(count, dtype)], [(count, F)])
    for k in range(count if count > 1 else 0):
        for value in (SPECIAL[0], SPECIAL[7], SPECIAL[-3], SPECIAL[-2], 2.5):
            some = list(inputs)
            some[k] = np.broadcast_to(np.array(value), inputs[0].shape)
            compare(some, [*code, ("positive", F, F, count + 1, (k + 1) % count)],
                    [(count, dtype), (count + 1, F)])  # fmt: skip


def test_which_rows_are_emitted():
    for row in ROWS:
        name, count = row["name"], row["nin"]
        inputs = [np.linspace(0.1, 0.9, 100)] * count
        dtype = result_dtype(name)
        # without a row beside it: native only if the row itself is
        code = [(name, F, dtype, count, *range(count)),
                (name, F, dtype, count + 1, *range(count))]  # fmt: skip
        got = run("native", inputs, code, [(count, dtype), (count + 1, dtype)])
        assert (got[2] is not None) == (name not in CALLS), name


LOGIC = "add multiply logical_and logical_or logical_xor bitwise_and bitwise_or "
LOGIC += "bitwise_xor equal not_equal maximum minimum fmax fmin"


def bools_casts_and_choices():
    rng = np.random.default_rng(5)
    p, q = rng.integers(0, 2, (2, 1013)).astype(bool)
    x, n = rng.standard_normal(1013), rng.integers(-(2**62), 2**62, 1013)
    one = np.broadcast_to(np.array(True), p.shape)
    code, outputs = [], []

    def add(*parts):
        code.append((*parts[:3], 5 + len(code), *parts[3:]))
        outputs.append((code[-1][3], parts[2]))

    for name in LOGIC.split():
        add(name, B, B, 0, 1)
        add(name, B, B, 0, 4)
    add("logical_not", B, B, 1)
    add("invert", B, B, 4)
    add("where", B, B, 0, 1, 4)
    add("where", F, F, 1, 2, 2)
    add("where", F, F, 4, 2, 2)
    add("cast", B, F, 0)
    add("cast", F, B, 2)
    add("cast", I, F, 3)
    add("cast", F, F, 2)
    add("cast", B, B, 4)
    add("less", F, B, 2, len(code) + 5 - 2)
    return [p, q, x, n, one], (code, outputs, [(2, F)])


def test_bools_casts_and_choices():
    inputs, rest = bools_casts_and_choices()
    compare(inputs, *rest)


@pytest.mark.parametrize("kind", ["one segment", "calls between"])
def test_sizes(kind):
    """Vector and block edges, sums included."""
    rng = np.random.default_rng(0)
    code = [("multiply", F, F, 3, 0, 2), ("exp", F, F, 4, 3), ("less", F, B, 5, 4, 1),
            ("where", F, F, 6, 5, 4, 0), ("log1p", F, F, 7, 4)]  # fmt: skip
    if kind == "calls between":
        code[1] = ("lgamma", F, F, 4, 3)
        code.append(("power", F, F, 8, 4, 2))
        code.append(("cast", F, "c16", 9, 8))
    outputs = [(r, B if r == 5 else F) for r in (3, 5, 7, 0, 2)]
    sums = [(4, F), (7, F), (0, F), (2, F), *([(9, "c16")] if len(code) > 5 else [])]
    sizes = [
        *range(2, 70),
        255,
        256,
        257,
        500,
        *range(508, 518),
        1023,
        1024,
        1025,
        1100,
    ]
    for n in [*sizes, 16_383, 16_384, 16_385, 40_000]:
        x, y = rng.standard_normal((2, n))
        t = np.broadcast_to(np.array(1.25), n)
        compare([x, y, t], code, outputs, sums)
    assert compare([x[:0], y[:0], t[:0]], code, outputs, sums, native=False) is None


def test_guards_of_large_arguments():
    """A block with an argument beyond a straight line's limit goes by calls, sums too."""
    x = np.random.default_rng(1).standard_normal(3000)
    for at in ([], [5], [700, 1999], [2999], [2047, 2048]):
        y = x.copy()
        y[at] = 1e15
        code = [("sin", F, F, 1, 0), ("tan", F, F, 2, 0), ("multiply", F, F, 3, 1, 2)]
        compare([y], code, [(3, F), (1, F)], [(3, F), (0, F)])


@pytest.mark.parametrize("n", [100, 1000, 1003])
def test_in_place(n):
    x, y = np.random.default_rng(2).standard_normal((2, n))
    code = [("add", F, F, 2, 0, 1), ("multiply", F, F, 3, 2, 0)]
    compare([x, y], code, [(2, F), (3, F)], aliased=[0, 1])
    compare([x, y], [*code, ("sin", F, F, 4, 0)], [(4, F), (3, F)], aliased=[0, 1])
    compare([x, y], [("lgamma", F, F, 4, 0), *code], [(4, F), (2, F)], aliased=[0])


@pytest.mark.parametrize("n", [3, 8, 100, 511, 1000, 1003])
def test_complex_numbers_and_their_parts(n):
    """Read and written where they take turns, kept between segments, in place, uniform."""
    rng = np.random.default_rng(n)
    z = rng.standard_normal((n, 2)).view(C)[:, 0]
    x, one = rng.standard_normal(n), np.broadcast_to(np.array(1.5 - 2j), n)
    parts = [("real", C, F, 3, 0), ("imag", C, F, 4, 0), ("imag", C, F, 5, 2)]
    joined = [("multiply", F, F, 6, 3, 1), ("exp", F, F, 7, 4), ("add", F, F, 8, 7, 5),
              ("make_complex", F, C, 9, 6, 8)]  # fmt: skip
    compare([z, x, one], [*parts, *joined], [(9, C), (7, F)], [(6, F), (9, C)])
    again = [
        ("real", C, F, 10, 9),
        ("imag", C, F, 11, 9),
        ("make_complex", F, C, 12, 11, 10),
    ]
    compare([z, x, one], [*parts, *joined, *again], [(12, C)], [(11, F)])
    called = [("lgamma", F, F, 10, 6), ("real", C, F, 11, 9), ("subtract", F, F, 12, 11, 10),
              ("conjugate", C, C, 13, 9), ("imag", C, F, 14, 13), ("tanh", F, F, 15, 14),
              ("make_complex", F, C, 16, 15, 12)]  # fmt: skip
    compare(
        [z, x, one], [*parts, *joined, *called], [(16, C), (9, C), (13, C)], [(15, F)]
    )
    compare([z, x, one], [*parts, *joined], [(9, C)], aliased=[0])
    compare([z[::-1], x, one], [*parts, *joined], [(9, C)])


@pytest.mark.parametrize("n", range(2, 9))
def test_few_complex_numbers_between_segments(n):
    """Whole vectors of them leave alone what lies behind."""
    x, y = np.random.default_rng(n).standard_normal((2, n))
    code = [("exp", F, F, 2, 0), ("exp", F, F, 3, 1),
            ("lgamma", F, F, 4, 2), ("lgamma", F, F, 5, 4),
            ("tanh", F, F, 6, 5), ("make_complex", F, C, 7, 6, 5),
            ("conjugate", C, C, 8, 7),
            ("real", C, F, 9, 8), ("add", F, F, 10, 9, 3), ("add", F, F, 11, 10, 4)]  # fmt: skip
    for first in ("exp", "sin", "tanh"):
        code[0] = (first, F, F, 2, 0)
        compare([x, y], code, [(11, F), (10, F)])


def test_layouts():
    rng = np.random.default_rng(3)
    code = [("multiply", F, F, 3, 0, 1), ("exp", F, F, 4, 3), ("add", F, F, 5, 4, 2)]
    base = rng.standard_normal((6, 40, 700))
    for shape in [(5, 600), (40, 33), (3, 20, 96), (2, 3), (7, 1)]:
        views = [
            base[0][: shape[-2], : shape[-1]] if len(shape) == 2
            else base[: shape[0], : shape[1], : shape[2]],
            np.broadcast_to(rng.standard_normal((*shape[:-1], 1)), shape),
            np.broadcast_to(rng.standard_normal(shape[-1])[::-1], shape),
        ]  # fmt: skip
        for order in itertools.permutations(range(3)):
            compare([views[k] for k in order], code, [(5, F), (3, F)], [(4, F), (1, F)])
    odd = np.zeros(8 * 1000 + 1, np.uint8)[1:].view(F)
    odd[:] = rng.standard_normal(1000)
    compare([odd, odd[::-1], odd], code, [(5, F)], [(4, F)])


def random_program(rng, emitted_only):
    """Any rows over any earlier registers, mixed with logic, choices, casts and sums."""
    floats, bools, complexes, code = [0, 1, 2, 3], [4], [5], []
    names = [row for row in ROWS if not emitted_only or row["name"] not in CALLS]
    names = [row for row in names if row["name"] not in RESULTS]

    def pick(which):
        return int(rng.choice(which))

    for reg in range(6, 6 + int(rng.integers(1, 60))):
        kind = rng.random()
        if kind < 0.1:
            code.append(("where", F, F, reg, pick(bools), pick(floats), pick(floats)))
            floats.append(reg)
        elif kind < 0.2:
            name = str(rng.choice(LOGIC.split()))
            code.append((name, B, B, reg, pick(bools), pick(bools)))
            bools.append(reg)
        elif kind < 0.25:
            code.append(("cast", B, F, reg, pick(bools)))
            floats.append(reg)
        elif kind < 0.3:
            code.append(("make_complex", F, C, reg, pick(floats), pick(floats)))
            complexes.append(reg)
        elif kind < 0.35:
            part = str(rng.choice(["real", "imag"]))
            code.append((part, C, F, reg, pick(complexes)))
            floats.append(reg)
        else:
            row = names[int(rng.integers(len(names)))]
            dtype = result_dtype(row["name"])
            inputs = [pick(floats) for _ in range(row["nin"])]
            code.append((row["name"], F, dtype, reg, *inputs))
            (bools if dtype == B else floats).append(reg)
    results = [(r, F) for r in rng.choice(floats, int(rng.integers(0, 4)))]
    results += [(int(r), B) for r in rng.choice(bools, int(rng.integers(0, 2)))]
    results += [(int(r), C) for r in rng.choice(complexes, int(rng.integers(0, 2)))]
    sums = [(int(r), F) for r in rng.choice(floats, int(rng.integers(1, 4)))]
    return code, [(int(r), d) for r, d in results], sums


def random_case(seed):
    rng = np.random.default_rng(seed)
    code, results, sums = random_program(rng, emitted_only=seed % 3 > 0)
    n = int(rng.choice([2, 7, 64, 513, 1100, 20_000]))
    scale = float(rng.choice([0.1, 1.0, 30.0]))
    inputs = list(rng.standard_normal((4, n)) * scale)
    inputs += [rng.integers(0, 2, n).astype(bool)]
    inputs += [rng.standard_normal((n, 2)).view(C)[:, 0]]
    for k in range(6):
        if rng.random() < 0.3:
            inputs[k] = np.broadcast_to(inputs[k][:1], n)
    if rng.random() < 0.3 and n > 40:
        inputs[0] = np.concatenate([SPECIAL, inputs[0][36:]])
    return inputs, code, results, sums


@pytest.mark.parametrize("seed", range(150))
def test_random_programs(seed):
    case = random_case(seed)
    shown, got = run("interpreter", *case), run("native", *case)
    for kind in (0, 1):
        for one, other in zip(shown[kind], got[kind], strict=True):
            assert same_bits(one, other)


def many_live_values(n):
    """More values than registers: spills, and more inputs than pointers have registers."""
    rng = np.random.default_rng(9)
    inputs = list(rng.standard_normal((50, n)))
    code = [("exp", F, F, 50 + k, k) for k in range(50)]
    code += [("less", F, B, 100 + k, k, 50 + k) for k in range(50)]
    last = 50
    for k in range(49):
        code.append(("multiply", F, F, 150 + k, last, 99 - k))
        last = 150 + k
    for k in range(50):
        code.append(("where", F, F, 200 + k, 100 + k, last, 99 - k))
        last = 200 + k
    return inputs, code, [(last, F), (60, F)], [(last, F), (170, F)]


@pytest.mark.parametrize("n", [200, 700])
def test_many_live_values(n):
    """In one segment, and in several, that lanes enough pay for."""
    compare(*many_live_values(n))


WIDE = ("zmm", "{k", " k1", "{1to")


@pytest.mark.unsanitized
def test_spills():
    emitted = run("native", *many_live_values(200))[2]
    assert any("rsp" in operands and name == "vmovupd"
               for name, operands in instructions(emitted))  # fmt: skip


@pytest.mark.unsanitized
def test_code_is_what_the_instruction_set_has():
    inputs = grids(2)
    emitted_rows = [row for row in ROWS if row["name"] not in CALLS]
    names = set()
    for row in emitted_rows:
        code = [
            (row["name"], F, result_dtype(row["name"]), 2, *[0, 1, 0][: row["nin"]])
        ]
        code.append(("add", F, F, 3, 0, 1))
        got = run("native", inputs, code, [(2, code[0][2])], [(3, F)])
        for name, operands in instructions(got[2]):
            names.add(name)
            if ISA == "v3":
                assert not any(word in operands for word in WIDE), (name, operands)
    known = """add and cmp endbr64 ja jl jne lea mov pop push ret xor pdep vzeroupper
    kandb kmovb knotb korb kortestb kxorb vaddpd vandpd vblendmpd vblendvpd vbroadcastsd
    vdivpd vfixupimmpd vgatherqpd vgetexppd vgetmantpd vmovdqu8 vmovmskpd vmovq vmovupd
    vmaxpd vminpd vmulpd vorpd vpaddq vpcmpeqq vpcmpgtq vperm2f128 vpermi2pd vpermpd
    vpternlogq vunpckhpd vunpcklpd
    vpmovq2m vpmovzxbq vpsllq vpsrlq
    vpsubq vptestmq vrndscalepd vroundpd vscalefpd vsqrtpd vsubpd vtestpd vxorpd""".split()
    other = {n for n in names if not n.startswith(("vcmp", "vfm", "vfnm"))} - set(known)
    assert not other
    shown, logic = bools_casts_and_choices()
    emitted = run("native", shown, *logic)[2]
    assert ("pdep" in {name for name, _ in instructions(emitted)}) == (ISA == "v3")
    for seed in range(0, 150, 5):
        emitted = run("native", *random_case(seed))[2]
        names |= {name for name, _ in instructions(emitted)} if emitted else set()
    other = {n for n in names if not n.startswith(("vcmp", "vfm", "vfnm"))} - set(known)
    assert not other
    assert "vmulpd" in names and any(n.startswith("vfnmadd") for n in names)


def test_refused_memory_leaves_the_interpreter():
    x = np.linspace(-1, 1, 1000)
    code = [("exp", F, F, 1, 0), ("add", F, F, 2, 1, 0)]
    expected = run("native", [x], code, [(2, F)], [(1, F)])
    _core._refuse_code(True)
    try:
        got = run("native", [x], code, [(2, F)], [(1, F)])
    finally:
        _core._refuse_code(False)
    assert expected[2] is not None and got[2] is None
    assert same_bits(expected[0][0], got[0][0])
    assert same_bits(expected[1][0], got[1][0])


def test_code_is_given_back():
    x = np.linspace(-1, 1, 1000)
    before = _core._code_bytes()
    for _ in range(20):
        run("native", [x], [("exp", F, F, 1, 0), ("exp", F, F, 2, 1)], [(2, F)])
    assert _core._code_bytes() == before


def test_threads_and_processes():
    """Programs prepared and run by several threads at once, and after a fork."""
    x = np.random.default_rng(4).standard_normal(30_000)
    f = pa.value_and_grad(lambda t: pa.sum(pa.exp(-((pa.asarray(x) - t) ** 2))))
    expected = f(0.3)
    found = []

    def work():
        for _ in range(20):
            found.append(f(0.3))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(pair == expected for pair in found) and len(found) == 80
    if hasattr(os, "fork"):
        child = os.fork()
        if child == 0:
            os._exit(0 if f(0.3) == expected else 1)
        assert os.waitpid(child, 0)[1] == 0


@pytest.mark.slow
@pytest.mark.skipif(ISA == "v3", reason="they run here")
def test_the_lesser_instruction_set():
    """All of these tests with AVX2."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        __file__,
    ]
    done = subprocess.run(
        command,
        env={**os.environ, "PYARR_ISA": "v3"},
        cwd=os.path.dirname(os.path.dirname(__file__)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "passed" in done.stdout
