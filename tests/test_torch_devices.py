"""What users do with tensors, on a CUDA device and, the same code, in main memory."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone

from sklearn_collapse import ClassMoments
from sklearn_collapse.collapse import NeuralCollapseScorer
from sklearn_collapse.etf import ETFAligner
from sklearn_collapse.ood import MahalanobisDetector, NECODetector
from sklearn_collapse.utils import _arrays, _gpu, move_estimator
from sklearn_collapse.whitening import SpectralWhitener

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn_collapse.metrics.CollapseWarning"
)
CUDA = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
FAMILIES = [
    MahalanobisDetector(),
    NECODetector(2),
    NeuralCollapseScorer(),
    ETFAligner(),
    SpectralWhitener(),
]


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=CUDA)])
def device(request):
    """Main memory, and a GPU where there is one."""
    return request.param


@pytest.fixture
def rows(monkeypatch):
    """Rows of five classes, in blocks of 256."""
    monkeypatch.setattr(_arrays, "_BLOCK_BYTES", 1)
    monkeypatch.setattr(_gpu, "_LARGER", 1)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 5, 1500)
    return rng.normal(size=(1500, 8)) + 3 * rng.normal(size=(5, 8))[y], y


def host(values):
    return values.cpu().numpy() if isinstance(values, torch.Tensor) else values


def results(fitted, X):
    names = ("score_samples", "predict", "transform")
    found = [getattr(fitted, name)(X) for name in names if hasattr(fitted, name)]
    return [host(values) for values in found]


def assert_same(found, expected, rtol=1e-7):
    for values, wanted in zip(found, expected, strict=True):
        assert_allclose(values, wanted, rtol=rtol, atol=rtol * np.abs(wanted).max())


@pytest.mark.parametrize("estimator", FAMILIES, ids=repr)
def test_every_way_to_fit(device, rows, estimator):
    X, y = rows
    expected = results(clone(estimator).fit(X, y), X)
    there = torch.asarray(X, device=device)
    labels = torch.asarray(y, device=device)
    in_parts = clone(estimator)
    for part in (slice(0, 700), slice(700, 1500)):
        in_parts.partial_fit(there[part, :], labels[part])
    batches = [(there[:900], y[:900]), (there[900:], y[900:])]
    moments = ClassMoments.from_batches(batches)
    adopted = clone(estimator).fit_moments(moments)
    for fitted in (clone(estimator).fit(there, y), in_parts, adopted):
        assert fitted.device_.startswith(device)
        if hasattr(fitted, "calibrate"):
            fitted.calibrate(there)
        assert_same(results(fitted, there), expected)
        moved = move_estimator(fitted, "numpy")
        assert_same(results(moved, X), expected)
        assert_same(results(move_estimator(moved, there), there), expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(device, rows, dtype):
    """Worked on in float32 from the values that half precision holds."""
    X, y = rows
    half = torch.asarray(X).to(getattr(torch, dtype)).to(device)
    wide = half.double().cpu().numpy()
    expected = ClassMoments.from_arrays(wide, y)
    found = ClassMoments.from_arrays(half, y)
    assert found.input_dtype_ == dtype
    assert_same([found.scatter_.cpu().numpy()], [expected.scatter_])
    detector = MahalanobisDetector().fit(half, y)
    scores = detector.score_samples(half)
    assert scores.dtype == torch.float32
    plain = MahalanobisDetector().fit(wide, y).score_samples(wide)
    assert_same([scores.cpu().numpy()], [plain], rtol=1e-4)


def test_class_scatters_and_files(device, rows, tmp_path):
    X, y = rows
    expected = ClassMoments.from_arrays(X, y, class_scatter=True)
    np.save(tmp_path / "rows.npy", X)
    file = np.load(tmp_path / "rows.npy", mmap_mode="r")
    for some, where in ((torch.asarray(X, device=device), "auto"), (file, device)):
        found = ClassMoments.from_arrays(some, y, class_scatter=True, device=where)
        assert_allclose(
            found.to_dict()["class_scatter"],
            expected.class_scatter_,
            rtol=1e-9,
            atol=1e-9,
        )


def test_moments_of_a_model(device, rows):
    from sklearn_collapse.extraction import stream_moments

    X, y = rows
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.ReLU()).double()
    with torch.inference_mode():
        features = model(torch.asarray(X)).numpy()
    expected = ClassMoments.from_arrays(features, y)
    data = torch.utils.data.TensorDataset(torch.asarray(X), torch.asarray(y))
    loader = torch.utils.data.DataLoader(data, batch_size=400)
    found = stream_moments(model.to(device), loader, ["1"])["1"]
    assert_allclose(found.to_dict()["scatter"], expected.scatter_, rtol=1e-7, atol=1e-7)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.filterwarnings("default")
def test_cuda_is_not_waited_for_in_every_block(rows, recwarn):
    """What CUDA itself reports, for few blocks and for many."""
    X, y = rows
    X = torch.asarray(np.concatenate([X, X]), device="cuda")
    y = np.concatenate([y, y])
    detector = MahalanobisDetector().fit(X, y)
    for function in (
        lambda n: ClassMoments.from_arrays(X[:n], y[:n]).means_,
        lambda n: detector.score_samples(X[:n]),
    ):
        counts = []
        for n in (1500, 1500, 3000):
            recwarn.clear()
            torch.cuda.set_sync_debug_mode("warn")
            try:
                function(n)
            finally:
                torch.cuda.set_sync_debug_mode("default")
            counts.append(len(recwarn))
        assert counts[1] == counts[2]
