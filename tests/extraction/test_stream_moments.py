"""Moments of layers without storing features."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

torch = pytest.importorskip("torch")

from torch_models import by_hand, conv_net, images, loader_of  # noqa: E402

from sklearn_collapse import ClassMoments  # noqa: E402
from sklearn_collapse.collapse import NeuralCollapseScorer  # noqa: E402
from sklearn_collapse.extraction import _stream, stream_moments  # noqa: E402

LAYERS = ["norm", "fc:input", ""]
STEPS = ["norm", "features", "fc"]


@pytest.fixture(scope="module")
def data():
    return images(200)


def rows_by_hand(model, X):
    steps = by_hand(model, X)
    return [steps["norm"].mean((2, 3)), steps["features"], steps["fc"]]


@pytest.mark.parametrize("batch_size", [1, 16, 200])
def test_moments_of_layers(data, batch_size):
    X, y = data
    model = conv_net()
    found = stream_moments(model, loader_of(X, y, batch_size), LAYERS)
    assert list(found) == LAYERS
    for moments, rows in zip(found.values(), rows_by_hand(model, X), strict=True):
        assert isinstance(moments, ClassMoments)
        assert_array_equal(moments.classes_, range(4))
        scatter = 0
        for c in range(4):
            of_class = rows[y == c]
            mean = of_class.mean(axis=0)
            assert_allclose(moments.means_[c], mean, rtol=1e-4, atol=1e-6)
            scatter = scatter + (of_class - mean).T @ (of_class - mean)
        size = np.abs(scatter).max()
        assert_allclose(moments.scatter_, scatter, rtol=1e-4, atol=1e-5 * size)
        assert isinstance(moments.means_, np.ndarray)
        assert moments.means_.dtype == np.float64


def test_one_layer_options_and_estimators(data):
    X, y = data
    model = conv_net()
    options = {"normalize": True, "class_scatter": True, "classes": range(5)}
    found = stream_moments(model, loader_of(X, y), "fc:input", **options)["fc:input"]
    rows = rows_by_hand(model, X)[1]
    expected = ClassMoments.from_arrays(rows, y, **options)
    assert_allclose(found.class_scatter_, expected.class_scatter_, rtol=1e-3, atol=1e-6)
    with pytest.raises(ValueError, match="not among `classes`"):
        found.update(rows, y + 7)
    plain = stream_moments(model, loader_of(X, y), "fc:input")["fc:input"]
    scorer = NeuralCollapseScorer().fit_moments(plain)
    whole = NeuralCollapseScorer().fit(rows, y)
    assert scorer.metrics_["vci"] == pytest.approx(whole.metrics_["vci"], rel=1e-4)
    # NumPy rows of a test set are at home there.
    assert np.isfinite(scorer.score(rows, y))


def test_without_labels(data):
    X, _ = data
    model = conv_net()
    found = stream_moments(model, [torch.as_tensor(X)], "")[""]
    assert found.n_samples_ == 200
    assert_allclose(found.mean_, by_hand(model, X)["fc"].mean(0), rtol=1e-4, atol=1e-6)


def test_on_the_cpu_numpy_gathers(data, monkeypatch):
    """Its symmetric products cost half of torch's."""
    X, y = data
    seen = []

    class Noting(ClassMoments):
        def update(self, X, y=None, sample_weight=None):
            seen.append(type(X))
            return super().update(X, y, sample_weight)

    monkeypatch.setattr(_stream, "ClassMoments", Noting)
    stream_moments(conv_net(), loader_of(X, y), "")
    assert set(seen) == {np.ndarray}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu(data):
    X, y = data
    model = conv_net()
    expected = stream_moments(model, loader_of(X, y), LAYERS)
    found = stream_moments(model.cuda(), loader_of(X, y), LAYERS)
    for name in LAYERS:
        assert isinstance(found[name].means_, np.ndarray)
        size = np.abs(expected[name].means_).max()
        # Convolutions may use TF32.
        assert_allclose(found[name].means_, expected[name].means_, atol=1e-2 * size)


def test_errors_name_batch_and_layer(data):
    X, y = data
    X = X.copy()
    X[35] = np.inf
    model = conv_net()
    message = r"In batch 2, layer 'fc:input': Input X contains .*first in row 3"
    with pytest.raises(ValueError, match=message):
        stream_moments(model, loader_of(X, y), ["fc:input"])
    X, y = data
    half = [(torch.as_tensor(X), torch.as_tensor(y)), torch.as_tensor(X)]
    message = "In batch 1, layer 'fc': Blocks with and without labels"
    with pytest.raises(ValueError, match=message):
        stream_moments(model, half, "fc")
    with pytest.raises(ValueError, match="layers is empty"):
        stream_moments(model, half, [])
    with pytest.raises(ValueError, match="The loader gave no batch"):
        stream_moments(model, [], "fc")


def test_loader_that_raises_half_way(data):
    def loader():
        yield from loader_of(*data)[:2]
        raise OSError("disk")

    model = conv_net()
    with pytest.raises(OSError, match="disk"):
        stream_moments(model, loader(), "fc")
    assert all(not m._forward_hooks for m in model.modules())
    assert model.training
