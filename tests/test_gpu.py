"""What only a CUDA device can show: everything on it against the CPU.

Skipped where there is none. The logic around it (the order of copies, halving,
restoring settings, moving) is tested without a GPU in `utils/test_streaming.py` and
`utils/test_move.py`.
"""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from test_common import INSTANCES

from sklearn_collapse import ClassMoments, LinearHead
from sklearn_collapse._linalg import _rows
from sklearn_collapse._linalg._rows import class_distances, class_metric
from sklearn_collapse.collapse import NeuralCollapseScorer
from sklearn_collapse.metrics import CollapseWarning
from sklearn_collapse.ood import MahalanobisDetector
from sklearn_collapse.utils import _arrays, _gpu, move_estimator
from sklearn_collapse.utils._arrays import Rows, namespace
from sklearn_collapse.utils._decompositions import eigh, svd, svdvals

try:
    import torch
except ImportError:
    torch = None
GPU = torch is not None and torch.cuda.is_available()
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not GPU, reason="needs a CUDA device"),
    pytest.mark.filterwarnings("ignore::sklearn_collapse.metrics.CollapseWarning"),
]
METHODS = (
    *("score_samples", "decision_function", "transform", "predict", "predict_proba"),
    "predict_log_proba",
)


@pytest.fixture(scope="module")
def rows():
    """Seven classes, more rows than a few blocks."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 7, 5000)
    return rng.normal(size=(5000, 24)) + 3 * rng.normal(size=(7, 24))[y], y


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 256 rows."""
    monkeypatch.setattr(_arrays, "_BLOCK_BYTES", 1)
    monkeypatch.setattr(_gpu, "_LARGER", 1)


@pytest.fixture(params=["streamed", "tensors"])
def placed(request):
    """NumPy rows with device="cuda", and tensors that live there."""
    if request.param == "streamed":
        return lambda X: X
    return lambda X: torch.asarray(X, device="cuda")


def on_gpu(estimator):
    return clone(estimator).set_params(device="cuda")


def host(values):
    return values.cpu().numpy() if isinstance(values, torch.Tensor) else values


def fit(estimator, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        return estimator.fit(X, y)


def results(fitted, X):
    found = {m: getattr(fitted, m)(X) for m in METHODS if hasattr(fitted, m)}
    if hasattr(fitted, "matrix_"):  # what CompatibilityScorer has instead
        found["matrix_"] = fitted.matrix_
    return found


@pytest.mark.parametrize("estimator", INSTANCES, ids=repr)
def test_every_estimator(rows, small_blocks, placed, estimator):
    for dtype, rtol in ((np.float64, 1e-7), (np.float32, 1e-3)):
        X, y = rows[0].astype(dtype), rows[1]
        expected = results(fit(clone(estimator).set_params(device="cpu"), X, y), X)
        fitted = fit(on_gpu(estimator), placed(X), y)
        assert fitted.device_.startswith("cuda")
        for name, values in results(fitted, placed(X)).items():
            assert type(values) is type(placed(X))
            close = rtol * np.max(np.abs(expected[name]))
            if name == "predict":
                assert np.mean(host(values) != expected[name]) < 1e-3
            else:
                assert_allclose(host(values), expected[name], rtol=rtol, atol=close)


@pytest.mark.parametrize("flags", [{}, {"class_scatter": True}, {"normalize": True}])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_moments(rows, small_blocks, placed, flags, dtype):
    X, y = rows[0].astype(dtype), rows[1]
    weights = np.linspace(0.5, 2, len(y))
    expected = ClassMoments.from_arrays(X, y, weights, device="cpu", **flags).to_dict()
    found = ClassMoments.from_arrays(placed(X), y, weights, device="cuda", **flags)
    for name, value in found.to_dict().items():
        if value.dtype.kind == "f":
            assert_allclose(value, expected[name], rtol=1e-9, atol=1e-7)


def test_many_blocks_arrive_whole():
    """Blocks of realistic size, copied while others are worked on."""
    X = np.random.default_rng(1).normal(size=(200_000, 128)).astype(np.float32)
    order = np.random.default_rng(2).permutation(len(X))
    found = torch.empty(X.shape, device="cuda")
    heavy = torch.eye(128, dtype=torch.float32, device="cuda")

    def work(block, here):
        product = block
        for _ in range(50):  # long enough for the next copies to overtake
            product = product @ heavy
        found[here] = product
        block.fill_(torch.nan)

    streamed = Rows(X, "cuda")
    streamed.visit(work, 128, torch.float32, order=order, copy=True)
    assert_array_equal(found.cpu().numpy(), X[order])


def test_results_come_home(rows, small_blocks, monkeypatch):
    X, y = rows
    means = np.array([X[y == c].mean(axis=0) for c in range(7)])
    metric = class_metric(means, means.mean(axis=0), None, namespace(X))
    expected = np.linalg.norm(X[:, None] - means, axis=2)
    for limit in (2**28, 0):
        monkeypatch.setattr(_rows, "_COLLECTED", limit)
        found = class_distances(Rows(X, "cuda"), metric)
        assert type(found) is np.ndarray
        assert_allclose(found, expected, rtol=1e-9)


def test_auto(rows, monkeypatch):
    monkeypatch.setattr(_gpu, "_WORTH_A_COPY", 0.0)
    detector = MahalanobisDetector().fit(*rows)
    assert detector.device_.startswith("cuda")
    assert type(detector.score_samples(rows[0])) is np.ndarray


def test_a_gpu_that_is_not_there(rows):
    name = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(ValueError, match=f"device='{name}' cannot be used"):
        MahalanobisDetector(device=name).fit(*rows)


def test_memory_runs_out(rows, small_blocks, placed):
    X, y = rows
    expected = ClassMoments.from_arrays(X, y, device="cpu").scatter_
    gathered = Rows(placed(X), "cuda")
    sizes = []

    def work(block, here):
        sizes.append(len(block))
        if len(block) > 100:  # more than any GPU has
            torch.empty(2**50, dtype=torch.uint8, device="cuda")

    gathered.visit(work, 24, torch.float64)
    assert sizes[:4] == [256, 128, 64, 64]
    assert sum(sizes[2:]) == len(X)
    found = ClassMoments.from_arrays(placed(X), y, device="cuda").scatter_
    assert_allclose(host(found), expected, rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize("setting", ["highest", "high", "medium"])
def test_full_precision(placed, setting):
    """Large offsets make the ten bits of TF32 plain to see."""
    rng = np.random.default_rng(3)
    X = (rng.normal(size=(4096, 256)) + 30).astype(np.float32)
    head = LinearHead(rng.normal(size=(16, 256)))
    expected = head.decision_function(X)
    y = np.arange(4096) % 5
    scores = MahalanobisDetector(device="cpu").fit(X, y).score_samples(X)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(setting)
    try:
        logits = head.decision_function(torch.asarray(X, device="cuda"))
        detector = MahalanobisDetector(device="cuda").fit(placed(X), y)
        found = detector.score_samples(placed(X))
        assert torch.get_float32_matmul_precision() == setting
    finally:
        torch.set_float32_matmul_precision(before)
    size = np.max(np.abs(expected))
    assert_allclose(host(logits), expected, rtol=1e-5, atol=1e-5 * size)
    assert_allclose(host(found), scores, rtol=1e-4)


def test_decompositions():
    A = np.random.default_rng(4).normal(size=(40, 30))
    S = A.T @ A
    values, vectors = (host(x) for x in eigh(torch.asarray(S, device="cuda")))
    assert_allclose((vectors * values) @ vectors.T, S, rtol=1e-10, atol=1e-10)
    left, singular, right = (host(x) for x in svd(torch.asarray(A, device="cuda")))
    assert_allclose((left * singular) @ right, A, rtol=1e-10, atol=1e-10)
    found = host(svdvals(torch.asarray(A, device="cuda")))
    assert_allclose(found, singular, rtol=1e-10)


@pytest.mark.parametrize("estimator", INSTANCES, ids=repr)
def test_move_estimator(rows, estimator):
    X, y = rows
    tensors = torch.asarray(X, device="cuda")
    fitted = fit(clone(estimator), tensors, y)
    expected = {name: host(v) for name, v in results(fitted, tensors).items()}
    moved = move_estimator(fitted, "numpy")
    data = pickle.dumps(moved)
    assert b"torch._utils" not in data
    there = move_estimator(moved, "cuda")
    for one, where in (
        (pickle.loads(data), X),
        (there, tensors),
        (move_estimator(fitted, "cpu"), tensors.cpu()),
        (move_estimator(there, tensors), tensors),
    ):
        for name, values in results(one, where).items():
            size = np.max(np.abs(expected[name]))
            assert_allclose(host(values), expected[name], rtol=1e-7, atol=1e-9 * size)


def test_heads_and_moments_move(rows):
    X, y = rows
    layer = torch.nn.Linear(24, 7, device="cuda")
    head = LinearHead.from_torch(layer)
    tensors = torch.asarray(X, device="cuda")
    scorer = NeuralCollapseScorer(head=head).fit(tensors, y)
    moved = move_estimator(scorer, "numpy")
    assert moved.metrics_ == pytest.approx(scorer.metrics_, rel=1e-6)
    moments = ClassMoments().update(tensors[:100, :], y[:100])
    moved = move_estimator(moments, "numpy")
    assert moved.place == ("numpy", "cpu")
    assert_allclose(moved.scatter_, host(moments.scatter_), rtol=1e-9, atol=1e-9)
