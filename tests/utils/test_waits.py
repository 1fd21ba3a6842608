"""A GPU is not waited for in every block, so that the host can send the next ones.

What would wait is counted on tensors in main memory: as many waits for many blocks as
for few. `tests/test_gpu.py` counts those that CUDA itself reports.
"""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from test_common import ONE_OF_EACH_CLASS

from sklearn_collapse import ClassMoments
from sklearn_collapse._linalg._rows import class_distances, class_metric
from sklearn_collapse.ood import ActivationShaper
from sklearn_collapse.utils import _arrays, _gpu
from sklearn_collapse.utils._arrays import Rows, as_like, namespace

torch = pytest.importorskip("torch")
from waits import count_waits  # noqa: E402  needs torch

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn_collapse.metrics.CollapseWarning"
)
FEW, MANY = 3 * 256, 7 * 256
METHODS = ("score_samples", "transform", "predict", "predict_proba", "score")
# The search for a quantile looks at the entries of a bin on the host.
LOOKS_INTO_BINS = ("react", "vra", "optimal")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of 256 rows."""
    monkeypatch.setattr(_arrays, "_BLOCK_BYTES", 1)


@pytest.fixture(scope="module")
def rows():
    """Non-negative rows of four classes."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, MANY)
    X = np.abs(rng.normal(size=(MANY, 6)) + 3 * rng.normal(size=(4, 6))[y])
    return torch.asarray(X.astype(np.float32)), y


def assert_no_wait_per_block(function, rows):
    X, y = rows
    function(X[:FEW, :], y[:FEW])  # what is derived once
    few, many = (
        count_waits(lambda n=n: function(X[:n, :], y[:n])) for n in (FEW, MANY)
    )
    assert few == many


SHAPERS = [ActivationShaper(m) for m in ("ash_p", "ash_b", "ash_s", "scale")]


@pytest.mark.parametrize("estimator", [*ONE_OF_EACH_CLASS, *SHAPERS], ids=repr)
def test_estimators(rows, estimator):
    fitted = clone(estimator)

    def fit(X, y):
        return fitted.fit(X, y)

    if getattr(estimator, "method", "") in LOOKS_INTO_BINS:
        fit(*rows)
    else:
        assert_no_wait_per_block(fit, rows)
    for name in METHODS:
        if name == "score" and hasattr(fitted, name):
            assert_no_wait_per_block(fitted.score, rows)
        elif hasattr(fitted, name):
            method = getattr(fitted, name)
            assert_no_wait_per_block(lambda X, y, method=method: method(X), rows)


@pytest.mark.parametrize(
    "flags", [{}, {"normalize": True}, {"class_scatter": True}, {"precision": "single"}]
)
@pytest.mark.parametrize("weighted", [False, True])
def test_moments(rows, flags, weighted):
    def gather(X, y):
        weights = np.linspace(0.5, 2, len(y)) if weighted else None
        ClassMoments.from_arrays(X, y, weights, **flags).to_dict()

    assert_no_wait_per_block(gather, rows)


def test_more_classes_than_runs_of_a_product(rows, monkeypatch):
    monkeypatch.setattr(_arrays, "_RUNS", 3)
    assert_no_wait_per_block(lambda X, y: ClassMoments().update(X, y).means_, rows)


def test_a_wait_in_a_block_is_counted(rows):
    for wait in (
        lambda block: bool(block[0, 0] > 0),
        lambda block: block[block > 0],
        lambda block: torch.nonzero(block),
        lambda block: block.cpu(),
        lambda block: torch.asarray(1.0, device=block.device),
    ):
        with pytest.raises(AssertionError):
            assert_no_wait_per_block(
                lambda X, y, wait=wait: Rows(X).visit(
                    lambda block, here: wait(block), 6, torch.float32
                ),
                rows,
            )


@pytest.mark.parametrize("equal", [False, True])
def test_rows_close_to_class_means(equal):
    """Those close to two of them are looked for only where there are any."""
    rng = np.random.default_rng(1)
    means = 1e4 * rng.normal(size=(5, 8))
    if equal:
        means[3] = means[1] + 1e-5
    y = rng.integers(0, 5, 1000)
    X = means[y] + 1e-4 * rng.normal(size=(1000, 8))
    expected = np.linalg.norm(X[:, None] - means, axis=2)
    X, means = torch.asarray(X), torch.asarray(means)
    metric = class_metric(means, means.mean(axis=0), None, namespace(X))
    found = []
    waits = count_waits(lambda: found.append(class_distances(Rows(X), metric)))
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-7)
    assert (waits["nonzero"] > 0) == equal


def test_small_arrays_are_sent_from_pinned_memory(monkeypatch):
    """Every copy to CUDA is asynchronous but for large arrays."""
    calls = []
    to = torch.Tensor.to

    def spy(tensor, *args, **kwargs):
        if args and isinstance(args[0], torch.device):
            calls.append((tensor in pinned, kwargs))
        return to(tensor, *args, **kwargs)

    class Pinned(list):
        def __contains__(self, tensor):
            return any(tensor is p for p in self)

    pinned = Pinned()

    def pin(tensor):
        pinned.append(tensor.clone())
        return pinned[-1]

    monkeypatch.setattr(_gpu, "on_cuda", lambda x: True)
    monkeypatch.setattr(torch.Tensor, "to", spy)
    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(_gpu, "_PINNED", 80)
    like = torch.empty(0)
    for values, dtype in (
        (np.arange(10), None),
        (np.arange(10.0), torch.float32),
        (np.arange(10) > 4, None),
    ):
        found = as_like(values, like, dtype)
        assert_array_equal(found.numpy(), values)
        assert dtype is None or found.dtype == dtype
    assert calls == [(True, {"non_blocking": True})] * 3
    as_like(np.arange(11), like)
    as_like(np.arange(0), like)
    assert calls[3:] == [(False, {})] * 2


def test_values_of_any_layout_are_sent():
    values = np.arange(12.0).reshape(3, 4)
    values.flags.writeable = False
    like = torch.empty(0)
    for some in (values, values[::-1], values.T, values[:, ::2], values[0, 0]):
        assert_array_equal(as_like(np.asarray(some), like).numpy(), some)
    assert isinstance(as_like(values, like), torch.Tensor)
