"""Arrays that do not live on their library's default device stay where they are."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.naive_bayes import GaussianNB

from sklearn_collapse import LinearHead
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
