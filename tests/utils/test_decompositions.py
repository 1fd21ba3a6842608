"""Decompositions, and what is done when a GPU's library fails."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sklearn_collapse.ood import MahalanobisDetector
from sklearn_collapse.utils import _decompositions
from sklearn_collapse.utils._arrays import namespace
from sklearn_collapse.utils._decompositions import eigh, svd, svdvals


@pytest.fixture
def matrix():
    A = np.random.default_rng(0).normal(size=(9, 5))
    return A.T @ A


def check_eigh(found, matrix, rtol=1e-12):
    values, vectors = (np.asarray(x, dtype=float) for x in found)
    size = np.linalg.norm(matrix, 2)
    assert np.all(np.diff(values) >= 0)
    assert_allclose((vectors * values) @ vectors.T, matrix, atol=rtol * size)
    assert_allclose(vectors.T @ vectors, np.eye(len(matrix)), atol=rtol)


def check_svd(found, matrix, rtol=1e-12):
    left, values, right = (np.asarray(x, dtype=float) for x in found)
    assert np.all(np.diff(values) <= 0)
    assert left.shape[1] == len(values) == right.shape[0] == min(matrix.shape)
    assert_allclose((left * values) @ right, matrix, atol=rtol * values[0])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_decompositions(library, matrix, dtype):
    x = library.asarray(matrix, dtype)
    rtol = 1e-12 if dtype == "float64" else 1e-5
    check_eigh(eigh(x), matrix, rtol)
    thin = library.asarray(matrix[:3], dtype)
    check_svd(svd(thin), matrix[:3], rtol)
    expected = np.sqrt(np.linalg.eigvalsh(matrix[:3] @ matrix[:3].T))[::-1]
    assert_allclose(np.asarray(svdvals(thin)), expected, rtol=10 * rtol)
    for part in (*eigh(x), *svd(x), svdvals(x)):
        assert library.owns(part)
        assert str(part.dtype).endswith(dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_stacks_of_matrices(library, matrix, dtype):
    stack = np.stack([matrix, matrix[::-1, ::-1], np.eye(5)])
    values, vectors = eigh(library.asarray(stack, dtype))
    for k, each in enumerate(stack):
        found = np.asarray(values)[k], np.asarray(vectors)[k]
        check_eigh(found, each, 1e-12 if dtype == "float64" else 1e-5)


class Failing:
    """The linear algebra of torch, of which some calls fail."""

    def __init__(self, linalg, fails):
        self._linalg, self._fails = linalg, fails
        self.seen = []

    def __getattr__(self, name):
        def call(matrix, **options):
            self.seen.append((name, str(matrix.dtype).rpartition(".")[2]))
            parts = getattr(self._linalg, name)(matrix, **options)
            return self._fails(name, matrix, parts)

        return call


@pytest.fixture
def failing(monkeypatch):
    """Let the linear algebra of torch fail where a function says so."""
    torch = pytest.importorskip("torch")
    xp = namespace(torch.empty(0))

    def install(fails):
        linalg = Failing(xp.linalg, fails)

        class Namespace:
            def __getattr__(self, name):
                return linalg if name == "linalg" else getattr(xp, name)

        fake = Namespace()
        monkeypatch.setattr(_decompositions, "namespace", lambda x: fake_for(x, fake))
        return linalg

    def fake_for(x, fake):
        return fake if isinstance(x, torch.Tensor) else namespace(x)

    install.torch = torch
    return install


def raises_in(*dtypes):
    def fails(name, matrix, parts):
        if str(matrix.dtype).rpartition(".")[2] in dtypes:
            raise RuntimeError("cusolver error: CUSOLVER_STATUS_INTERNAL_ERROR\nmore")
        return parts

    return fails


def nan_in(*dtypes):
    def fails(name, matrix, parts):
        if str(matrix.dtype).rpartition(".")[2] not in dtypes:
            return parts
        if isinstance(parts, tuple):
            return (parts[0] * float("nan"), *parts[1:])
        return parts * float("nan")

    return fails


@pytest.mark.parametrize("fail", [raises_in, nan_in])
@pytest.mark.parametrize("name", ["eigh", "svd", "svdvals"])
@pytest.mark.parametrize(
    ("dtype", "fails_in", "tried", "remedy"),
    [
        ("float32", ["float32"], ["float32", "float64"], "in float64"),
        ("float32", ["float32", "float64"], ["float32", "float64"], "on the CPU"),
        ("float64", ["float64"], ["float64"], "on the CPU"),
    ],
)
def test_fallback(failing, matrix, fail, name, dtype, fails_in, tried, remedy):
    linalg = failing(fail(*fails_in))
    x = failing.torch.asarray(matrix.astype(dtype))
    reason = "CUSOLVER_STATUS_INTERNAL_ERROR" if fail is raises_in else "not finite"
    match = rf"{name} of torch on cpu failed \(.*{reason}\); it was done again {remedy}"
    with pytest.warns(RuntimeWarning, match=match) as caught:
        found = getattr(_decompositions, name)(x)
    assert len(caught) == 1
    assert linalg.seen == [(name, kind) for kind in tried]
    rtol = 1e-12 if dtype == "float64" else 1e-5
    if name == "svdvals":
        expected = np.linalg.svd(matrix, compute_uv=False)
        assert_allclose(np.asarray(found), expected, rtol=10 * rtol)
    else:
        {"eigh": check_eigh, "svd": check_svd}[name](found, matrix, rtol)
    for part in found if isinstance(found, tuple) else (found,):
        assert isinstance(part, failing.torch.Tensor)
        assert part.dtype == x.dtype


def test_fallback_of_a_stack(failing, matrix):
    failing(raises_in("float64"))
    stack = np.stack([matrix, np.eye(5)])
    with pytest.warns(RuntimeWarning, match="eigh of torch .* again on the CPU"):
        values, vectors = eigh(failing.torch.asarray(stack))
    for k, each in enumerate(stack):
        check_eigh((values[k], vectors[k]), each)


def test_success_is_silent(failing, matrix):
    linalg = failing(raises_in())
    check_eigh(eigh(failing.torch.asarray(matrix)), matrix)
    assert linalg.seen == [("eigh", "float64")]


def test_an_estimator_survives(failing):
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(60, 4)), np.arange(60) % 3
    expected = MahalanobisDetector().fit(X, y).score_samples(X)
    failing(raises_in("float64"))
    rows = failing.torch.asarray(X)
    with pytest.warns(RuntimeWarning, match="done again on the CPU"):
        detector = MahalanobisDetector().fit(rows, y)
    assert_allclose(detector.score_samples(rows).numpy(), expected, rtol=1e-9)


def test_failure_in_numpy_is_an_error(monkeypatch, matrix):
    def fails(matrix):
        raise np.linalg.LinAlgError("Eigenvalues did not converge")

    monkeypatch.setattr(np.linalg, "eigh", fails)
    match = r"eigh of a matrix of shape \(5, 5\) failed: .*did not converge.* rescale"
    with pytest.raises(np.linalg.LinAlgError, match=match) as raised:
        eigh(matrix)
    assert "The matrix is finite" in str(raised.value)
    with pytest.raises(np.linalg.LinAlgError, match="not finite"):
        eigh(np.nan * matrix)
