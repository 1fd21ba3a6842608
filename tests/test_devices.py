"""Arrays that do not live on their library's default device stay where they are."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.naive_bayes import GaussianNB
from test_common import ONE_OF_EACH_CLASS

from sklearn_collapse import ClassMoments, LinearHead
from sklearn_collapse.collapse import NeuralCollapseScorer
from sklearn_collapse.etf import ETFAligner, ETFAlignmentScorer
from sklearn_collapse.ood import (
    ConformalDetector,
    COSTARRDetector,
    DetectorEnsemble,
    FDBDDetector,
    KNNDetector,
    LogitDetector,
    MahalanobisDetector,
    NCIDetector,
    NECODetector,
    NNGuideDetector,
    SHEDetector,
    ViMDetector,
)
from sklearn_collapse.whitening import IterNormWhitener

strict = pytest.importorskip("array_api_strict")
if np.lib.NumpyVersion(np.__version__) < "2.0.0":
    pytest.skip("to_device of array_api_strict needs NumPy 2", allow_module_level=True)
OTHER, DEFAULT = strict.Device("device1"), strict.Device("CPU_DEVICE")


@pytest.fixture
def rows():
    """More classes than one tile of pairs, more rows than one block."""
    rng = np.random.default_rng(0)
    y = np.concatenate([np.arange(300), rng.integers(0, 300, 900)])
    return rng.normal(size=(1200, 6)).astype(np.float32), y


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr("sklearn_collapse.utils._arrays._BLOCK_BYTES", 1)


@pytest.mark.filterwarnings("ignore::sklearn_collapse.metrics.CollapseWarning")
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_scorer(rows, small_blocks, class_weight):
    X, y = rows
    elsewhere = strict.asarray(X, device=OTHER)
    scorer = NeuralCollapseScorer(head="lda", class_weight=class_weight)
    expected = scorer.fit(X, y)
    metrics, distances, score = (
        expected.metrics_,
        expected.transform(X),
        expected.score(X, y),
    )
    scorer = NeuralCollapseScorer(head="lda", class_weight=class_weight)
    scorer.partial_fit(elsewhere[:500, :], y[:500])
    scorer.partial_fit(elsewhere[500:, :], y[500:])
    for name, value in scorer.metrics_.items():
        assert_allclose(value, metrics[name], rtol=1e-7, atol=1e-12)
    found = scorer.transform(elsewhere)
    assert found.device == OTHER
    assert_allclose(np.asarray(found.to_device(DEFAULT)), distances, rtol=1e-6)
    assert_allclose(scorer.score(elsewhere, y), score, rtol=1e-9)


@pytest.mark.parametrize(
    "detector",
    [
        MahalanobisDetector(),
        MahalanobisDetector(relative=True, normalize=True),
        MahalanobisDetector(shrinkage="ledoit_wolf"),
        NECODetector(2),
        NECODetector(2, head="lda", denominator="raw"),
        NECODetector(2, scale=False, head=GaussianNB()),
        LogitDetector("msp"),
        LogitDetector(head="lda"),
        LogitDetector("max_logit", head=LinearHead(np.eye(9, 6))),
        ViMDetector("lda", n_components=2, origin="zero"),
        ViMDetector(LinearHead(np.eye(9, 6), np.arange(9.0)), n_components=1),
        ViMDetector(GaussianNB(), n_components=5),
        NCIDetector(),
        NCIDetector(LinearHead(np.eye(9, 6))),
        FDBDDetector(),
        FDBDDetector(LinearHead(np.eye(9, 6))),
        ConformalDetector(random_state=0),
        DetectorEnsemble(combine="z"),
        KNNDetector(5),
        KNNDetector(5, normalize=False),
        SHEDetector(),
        SHEDetector(GaussianNB()),
        SHEDetector(LinearHead(np.eye(12, 6))),
        NNGuideDetector(),
        NNGuideDetector(LinearHead(np.eye(9, 6)), neighbors="cosine"),
        COSTARRDetector(),
        COSTARRDetector(LinearHead(np.eye(12, 6))),
    ],
    ids=repr,
)
def test_detector(rows, small_blocks, detector):
    X, y = rows
    elsewhere = strict.asarray(X, device=OTHER)
    expected = clone(detector).fit(X, y % 9).score_samples(X)
    detector = clone(detector).fit(elsewhere, y % 9)
    for found in (detector.score_samples(elsewhere), detector.predict(elsewhere)):
        assert found.device == OTHER
    found = detector.score_samples(elsewhere).to_device(DEFAULT)
    assert_allclose(np.asarray(found), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="same namespace and the same device"):
        detector.predict(strict.asarray(X))


def test_alignment(rows, small_blocks):
    X, y = rows
    elsewhere = strict.asarray(X, device=OTHER)
    aligner = ETFAligner().fit(elsewhere, y % 6)
    expected = ETFAligner().fit(X, y % 6).transform(X)
    found = aligner.transform(elsewhere)
    back = aligner.inverse_transform(found)
    assert found.device == back.device == aligner.rotation_.device == OTHER
    assert_allclose(np.asarray(found.to_device(DEFAULT)), expected, atol=1e-5)
    scorer = ETFAlignmentScorer(head="lda").fit(elsewhere, y % 6)
    assert scorer.cosines_.device == OTHER
    expected = ETFAlignmentScorer(head="lda").fit(X, y % 6).metrics_
    for name, value in scorer.metrics_.items():
        assert_allclose(value, expected[name], rtol=1e-9)
    assert_allclose(scorer.score(elsewhere, y % 6), -expected["disparity"], rtol=1e-9)
    scorer = ETFAlignmentScorer("orthoplex", matching="optimal")
    found = clone(scorer).fit(elsewhere, y % 9)
    expected = clone(scorer).fit(X, y % 9)
    for labels in (None, y % 9):
        cosines = found.score_samples(elsewhere, labels)
        assert cosines.device == OTHER
        cosines = np.asarray(cosines.to_device(DEFAULT))
        assert_allclose(cosines, expected.score_samples(X, labels), atol=1e-6)


def test_groups(rows, small_blocks):
    """Blocks of two sizes."""
    X, _ = rows
    elsewhere = strict.asarray(X, device=OTHER)
    whitener = IterNormWhitener(n_groups=4).fit(elsewhere)
    expected = IterNormWhitener(n_groups=4).fit(X)
    found = whitener.transform(elsewhere)
    back = whitener.inverse_transform(found)
    assert found.device == back.device == whitener.whitening_.device == OTHER
    found = np.asarray(found.to_device(DEFAULT))
    assert_allclose(found, expected.transform(X), atol=1e-5)
    assert_allclose(np.asarray(back.to_device(DEFAULT)), X, atol=1e-5)
    assert whitener.trace_loss_ == pytest.approx(expected.trace_loss_, rel=1e-9)


# -- faults ----------------------------------------------------------------------------

WITH_DEVICE = [e for e in ONE_OF_EACH_CLASS if "device" in e.get_params(deep=False)]
# What comes along with the rows is small: it goes where they are.
FAMILIES = [
    MahalanobisDetector(),
    NeuralCollapseScorer(),
    ETFAligner(),
    IterNormWhitener(),
]


@pytest.mark.filterwarnings("ignore::sklearn_collapse.metrics.CollapseWarning")
@pytest.mark.parametrize("estimator", WITH_DEVICE, ids=repr)
@pytest.mark.parametrize("device", ["cuda:99", "nonsense"])
def test_a_device_that_is_not_there(estimator, device):
    torch = pytest.importorskip("torch")
    X = np.abs(np.random.default_rng(0).normal(size=(40, 4)))
    y = np.arange(40) % 2
    new = clone(estimator).set_params(device=device)
    before = vars(new).copy()
    for rows, match in (
        (X, f"device='{device}' cannot be used"),
        (torch.asarray(X), f"X lives on device 'cpu' but device='{device}'"),
    ):
        for name in ("fit", "partial_fit"):
            if hasattr(new, name):
                with pytest.raises(ValueError, match=match):
                    getattr(new, name)(rows, y)
                assert vars(new) == before


@pytest.mark.parametrize("device", ["cuda:99", "nonsense"])
def test_moments_on_a_device_that_is_not_there(device):
    pytest.importorskip("torch")
    moments = ClassMoments(device=device)
    with pytest.raises(ValueError, match=f"device='{device}' cannot be used"):
        moments.update(np.eye(3))
    assert repr(moments) == "ClassMoments(empty)"


@pytest.mark.filterwarnings("ignore::sklearn_collapse.metrics.CollapseWarning")
@pytest.mark.parametrize("estimator", FAMILIES, ids=repr)
def test_blocks_on_two_devices(rows, estimator):
    X, y = rows[0], rows[1] % 5
    elsewhere = strict.asarray(X, device=OTHER)
    fitted = clone(estimator).partial_fit(elsewhere[:600, :], y[:600])
    before = fitted.moments_.to_dict()
    for other in (X, strict.asarray(X)):
        with pytest.raises(ValueError, match="same namespace and the same device"):
            fitted.partial_fit(other, y)
    after = fitted.moments_.to_dict()
    assert all(np.array_equal(after[name], before[name]) for name in before)


def test_moments_on_two_devices(rows):
    X, y = rows
    elsewhere = strict.asarray(X, device=OTHER)
    moments = ClassMoments().update(elsewhere, y)
    for other in (X, strict.asarray(X)):
        with pytest.raises(ValueError, match="Blocks must use the same namespace and"):
            moments.update(other, y)
        apart = ClassMoments().update(other, y)
        match = "Moments of different libraries or devices cannot be merged"
        with pytest.raises(ValueError, match=match):
            moments + apart
        with pytest.raises(ValueError, match=match):
            apart.merge(moments)
        with pytest.raises(ValueError, match="Blocks must use the same namespace and"):
            ClassMoments.from_batches([(elsewhere, y), (other, y)])
    assert moments.n_samples_ == len(X)


@pytest.mark.filterwarnings("ignore::sklearn_collapse.metrics.CollapseWarning")
@pytest.mark.parametrize("estimator", FAMILIES, ids=repr)
def test_labels_and_weights_from_another_device(rows, estimator):
    X, y = rows[0], rows[1] % 5
    w = np.linspace(0.5, 2, len(y))
    elsewhere = strict.asarray(X, device=OTHER)
    expected = clone(estimator).fit(elsewhere, y, sample_weight=w).moments_
    moments = ClassMoments.from_arrays(elsewhere, y, w)
    for device in (DEFAULT, OTHER):
        labels = strict.asarray(y, device=device)
        weights = strict.asarray(w, device=device)
        found = clone(estimator).fit(elsewhere, labels, sample_weight=weights)
        gathered = ClassMoments.from_arrays(elsewhere, labels, weights)
        for some, wanted in ((found.moments_, expected), (gathered, moments)):
            assert "device1" in some.place[1]
            for name, value in wanted.to_dict().items():
                assert np.array_equal(some.to_dict()[name], value)


def test_heads_from_another_device(rows):
    X, y = rows[0], rows[1] % 5
    elsewhere = strict.asarray(X, device=OTHER)
    coef = np.random.default_rng(2).normal(size=(5, 6))
    expected = ViMDetector(LinearHead(coef), n_components=2).fit(elsewhere, y)
    for device in (DEFAULT, OTHER):
        head = LinearHead(strict.asarray(coef, device=device))
        found = ViMDetector(head, n_components=2).fit(elsewhere, y)
        scores = found.score_samples(elsewhere)
        assert scores.device == OTHER
        scores = np.asarray(scores.to_device(DEFAULT))
        plain = expected.score_samples(elsewhere).to_device(DEFAULT)
        assert_allclose(scores, np.asarray(plain), rtol=1e-5)
