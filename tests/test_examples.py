"""The examples: short forms of each, and what they promise on real data."""

import json
import pathlib
import sys

import numpy as np
import pytest
import scipy.optimize

ROOT = pathlib.Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
SARDINIA = ROOT.parent / "shared/data/oof/srt_real"
NIST = ROOT.parent / "shared/data/nist_strd"

sys.path.insert(0, str(EXAMPLES))

pa = pytest.importorskip("pyarr")

import beam_fit  # noqa: E402
import beam_numpy  # noqa: E402
import holography  # noqa: E402
import nist  # noqa: E402
import oof_maps  # noqa: E402
import oof_model  # noqa: E402

needs_maps = pytest.mark.skipif(not SARDINIA.is_dir(), reason=f"no maps in {SARDINIA}")
needs_nist = pytest.mark.skipif(not NIST.is_dir(), reason=f"no data in {NIST}")


@pytest.fixture(scope="module")
def small():
    """Simulated maps of 24 x 24 samples and the parameters they were made with."""
    return oof_maps.simulate(oof_maps.sardinia(), order=3, pixels=32, samples=24)


@pytest.fixture(scope="module")
def sardinia():
    return oof_maps.read_maps(SARDINIA)


def small_model(xp, small, **options):
    model = oof_model.Model(xp, oof_maps.sardinia(), small[0], 32, 3, **options)
    model.scales[:] = small[2]
    return model


def test_zernike_terms_are_orthonormal():
    pupil = oof_model.Pupil(oof_maps.sardinia(), 256, 5)
    terms = pupil.zernikes[:, pupil.inside]
    gram = terms @ terms.T / terms.shape[1]
    assert len(terms) == 18
    assert np.abs(gram - np.eye(18)).max() < 0.02


def test_beam_of_perfect_dish_peaks_at_one_at_its_offset():
    axis = np.arange(-5, 6) * 1e-5
    maps = oof_maps.Maps(("one",), np.zeros(1), axis, axis, np.ones((1, 11, 11)))
    model = oof_model.Model(np, oof_maps.sardinia(), maps, 32, 2)
    theta = np.zeros(model.size)
    theta[4:6] = 0.2, -0.4  # units of 0.1 mrad: two and four samples
    beam = model.beams(theta)[0]
    assert np.unravel_index(beam.argmax(), beam.shape) == (7, 1)
    assert beam.max() == pytest.approx(1, abs=1e-12)


def test_padded_fft_equals_matrix_transform(small):
    by_fft = small_model(np, small, use_fft=True)
    pupil, telescope = by_fft.pupil, by_fft.telescope
    direct = oof_model.matrix_transform(np, pupil, telescope, small[0])
    field = np.random.default_rng(0).normal(size=(3, pupil.pixels, pupil.pixels))
    got = np.abs(by_fft.transform(field + 0j))
    np.testing.assert_allclose(got, np.abs(direct(field + 0j)), atol=1e-9)


def test_shared_levels_are_those_of_equal_maps(small):
    shared, each = small_model(np, small, shared=True), small_model(np, small)
    theta = shared.start("gauss", coefficients=0.1)
    each.scales[:] = shared.scales
    assert theta.size == each.size - 11 and (shared.scales == shared.scales[0]).all()
    theta[-4:] = 0.3, -0.2, 0.1, 0.4
    levels = np.array([[0.3, -0.2, 0.1, base, 0.4] for base in shared.base])
    full = np.concatenate([theta[:-4], levels.ravel()])
    assert shared.gauss(theta) == pytest.approx(each.gauss(full), rel=1e-13)
    assert shared.base.min() != shared.base.max()


def test_signs_cannot_be_told_from_the_maps(small):
    """A dish turned by 180 degrees with phase and dz negated gives the same maps."""
    truth = small[1]
    model = small_model(np, small)
    twin = small_model(np, small)
    twin.defocus = -twin.defocus
    even = np.array([n % 2 == 0 for n, _ in model.pupil.indices])
    other = truth.copy()
    other[: model.terms] = np.where(even, -1, 1) * truth[: model.terms]
    np.testing.assert_allclose(twin.predict(other), model.predict(truth), atol=1e-8)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("use_fft", [False, True])
@pytest.mark.parametrize("likelihood", ["gauss", "cauchy"])
def test_gradient_of_likelihood(small, likelihood, use_fft, shared):
    plain = small_model(np, small, use_fft=use_fft, shared=shared)
    ported = small_model(pa, small, use_fft=use_fft, shared=shared)
    rng = np.random.default_rng(2)
    theta = small[1][: plain.size] + 0.1 * rng.normal(size=plain.size)
    value, gradient = pa.value_and_grad(getattr(ported, likelihood))(theta)
    function = getattr(plain, likelihood)
    assert value == pytest.approx(function(theta), rel=1e-12)
    assert type(gradient) is np.ndarray and gradient.dtype == np.float64
    direction = rng.normal(size=theta.size)
    step = 1e-5
    ahead, behind = (
        function(theta + step * direction),
        function(theta - step * direction),
    )
    assert gradient @ direction == pytest.approx(
        (ahead - behind) / (2 * step), rel=1e-6
    )


@pytest.mark.parametrize("form", [[], ["--fft", "--shared"]])
def test_holography_recovers_a_known_surface(tmp_path, capsys, form):
    picture = tmp_path / "maps.png"
    arguments = ["--pupil", "32", "--order", "3", "--numpy-evaluations", "40", *form]
    assert holography.main([*arguments, "--out", str(picture)]) == 0
    output = capsys.readouterr().out
    line = next(line for line in output.splitlines() if "largest error" in line)
    assert float(line.split("largest error")[1].split()[0]) < 0.01
    assert "speedup" in output and "Surface rms" in output
    if "No picture" not in output:
        assert picture.stat().st_size > 10_000


def test_holography_rejects_bad_arguments(tmp_path):
    for arguments in (["--pupil", "2"], ["--order", "1"], ["--blockage", "1"]):
        with pytest.raises(SystemExit):
            holography.parse_arguments(arguments)
    with pytest.raises(FileNotFoundError, match="0 files"):
        oof_maps.read_maps(tmp_path)
    (tmp_path / "a_IN.txt").write_text("0 0 1\n0 1 2\n1 0 3\n")
    with pytest.raises(ValueError, match="3 rows, not 2 x 2"):
        oof_maps.read_map(tmp_path, "IN")


def fit_sardinia(maps, likelihood, coefficients=0.0):
    model = oof_model.Model(pa, oof_maps.sardinia(), maps)
    start = model.start(likelihood, coefficients=coefficients)
    function = pa.value_and_grad(getattr(model, likelihood))
    return model, holography.fit(function, start, True, likelihood)[0]


@needs_maps
@pytest.mark.parametrize(
    "likelihood, limits", [("gauss", (43, 40, 33)), ("cauchy", (54, 44, 45))]
)
def test_sardinia_maps(sardinia, likelihood, limits):
    model, result = fit_sardinia(sardinia, likelihood)
    assert result.success, result.message
    assert result.x.size == 34
    assert (holography.residual_rms(model, result.x) <= limits).all()
    focus = result.x[model.pupil.indices.index((2, 0))]
    assert abs(focus) == pytest.approx(0.69, abs=0.05)


@needs_maps
def test_sardinia_starts_reach_one_optimum(sardinia):
    found = []
    for seed in range(8):
        scatter = np.random.default_rng(seed).normal(0, 0.3, 18)
        found.append(fit_sardinia(sardinia, "gauss", scatter)[1].fun)
    assert sum(value < min(found) + 1e-4 for value in found) >= 6


def test_port_of_beam_changes_only_the_import():
    plain = (EXAMPLES / "beam_numpy.py").read_text()
    ported = (EXAMPLES / "beam_pyarr.py").read_text()
    assert ported == plain.replace("import numpy as np\n", "import pyarr as np\n")


@pytest.mark.parametrize("maps", [None, pytest.param(SARDINIA, marks=needs_maps)])
def test_beam_fit(maps, capsys):
    assert beam_fit.main(["--maps", str(maps)] if maps else []) == 0
    output = capsys.readouterr().out
    assert output.count("Optimization terminated successfully") == 2
    points, power, peak = beam_fit.load(maps)

    def model(a, *b):
        return beam_numpy.gauss(*b[:6], a) + b[6]

    popt, _ = scipy.optimize.curve_fit(model, points, power, beam_fit.START[:7])
    fitted = [float(line.split()[1]) for line in output.splitlines() if "+-" in line]
    scale = [0.1, 0.1, peak, 0.1, 1, 1, peak]
    np.testing.assert_allclose(fitted[:7], popt * scale, rtol=1e-3)


@needs_nist
@pytest.mark.parametrize("name", nist.MODELS)
def test_nist_model_gives_the_certified_sum_of_squares(name):
    problem = nist.read_problem(NIST / f"{name}.dat")
    assert problem.starts.shape == (2, problem.certified.size)
    rss = np.sum(problem.residual(np, problem.certified) ** 2)
    # Lanczos1 fits to the last bit, so its sum of squares is rounding.
    assert rss == pytest.approx(problem.rss, rel=1e-9, abs=1e-20)


@needs_nist
def test_nist_certified_digits(capsys):
    assert nist.main([str(NIST)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert int(last.split(",")[1].split()[0]) >= 25


def test_notebook_runs():
    notebook = json.loads((EXAMPLES / "porting.ipynb").read_text())
    assert notebook["nbformat"] == 4
    names = {"__name__": "__main__"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), "porting.ipynb", "exec"), names)
