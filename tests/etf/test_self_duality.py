"""Self-duality of class means with every kind of head."""

import warnings

import numpy as np
import oracles
import oracles_etf
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC, LinearSVC

from sklearn_collapse import LinearHead
from sklearn_collapse.collapse import NeuralCollapseScorer
from sklearn_collapse.etf import ETFAlignmentScorer
from sklearn_collapse.metrics import (
    nc3_product,
    nc3_self_duality,
    nc3_uniform_duality,
)

D = 6
NAMES = np.array(["owl", "ape", "elk", "bat", "cod"])
ORACLES = {
    nc3_self_duality: oracles.nc3_self_duality,
    nc3_uniform_duality: oracles.nc3_uniform_duality,
    nc3_product: oracles.nc3_product,
}


def rows_of(n_classes):
    """Labels are names, whose order is not that of the classes' means."""
    rng = np.random.default_rng(n_classes)
    counts = rng.integers(15, 30, n_classes)
    means = 2 * rng.normal(size=(n_classes, D)) + 3
    X, y = oracles_etf.rows_about(means, counts)
    return X, NAMES[y]


def both(W):
    """Two rows for a single one, or for the vector of a RidgeClassifier."""
    W = np.atleast_2d(W)
    return np.vstack([-W, W]) / 2 if len(W) == 1 else W


def random_weights(n_classes):
    return np.random.default_rng(9).normal(size=(n_classes, D))


def fitted(model, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return clone(model).fit(X, y)


def lda(X, y):
    W = LinearDiscriminantAnalysis(solver="lsqr").fit(X, y).coef_
    return "lda", both(W) - both(W).mean(axis=0)


def in_another_order(X, y):
    classes = np.unique(y)
    W = random_weights(len(classes))
    order = np.roll(np.arange(len(classes)), 1)[::-1]
    return LinearHead(W[order], classes=classes[order].tolist()), W


def with_extra_classes(X, y):
    classes = np.unique(y)
    W = random_weights(len(classes) + 2)
    head = LinearHead(W, np.arange(len(W)), classes=["aardvark", *classes, "zebra"])
    return head, W[1:-1]


def single_row(X, y):
    W = random_weights(1)
    return LinearHead(W, classes=np.unique(y)), both(W)


def frozen(X, y):
    model = fitted(LogisticRegression(C=0.1), X, y)
    return FrozenEstimator(model), both(model.coef_)


def unfitted(model):
    return lambda X, y: (model, both(fitted(model, X, y).coef_))


def closest_to(model):
    """Least squares with a column of ones, in two steps of plain NumPy."""

    def make(X, y):
        done = fitted(model, X, y)
        if hasattr(done, "decision_function"):
            logits = done.decision_function(X)
            if logits.ndim == 1:
                logits = np.stack([-logits / 2, logits / 2], axis=1)
        else:
            logits = np.log(np.maximum(done.predict_proba(X), np.finfo(float).tiny))
        ones = np.hstack([X, np.ones((len(X), 1))])
        W = np.linalg.lstsq(ones, logits, rcond=None)[0][:-1].T
        return LinearHead.from_classifier(done, X), W

    return make


HEADS = {
    "lda": lda,
    "another order": in_another_order,
    "extra classes": with_extra_classes,
    "single row": single_row,
    "frozen": frozen,
    "logistic": unfitted(LogisticRegression()),
    "ridge": unfitted(RidgeClassifier()),
    "svm": unfitted(LinearSVC(random_state=0)),
    "closest to mlp": closest_to(
        MLPClassifier(8, solver="lbfgs", alpha=1.0, random_state=0)
    ),
    "closest to neighbors": closest_to(KNeighborsClassifier(9)),
    "closest to svc": closest_to(SVC()),
}
CASES = [
    (kind, n_classes)
    for kind in HEADS
    for n_classes in (2, 5)
    if (kind, n_classes) != ("single row", 5)
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("kind", "n_classes"), CASES)
def test_every_head(library, kind, n_classes):
    X, y = rows_of(n_classes)
    head, W = HEADS[kind](X, y)
    rows = library.asarray(X)
    scorer = NeuralCollapseScorer(head=head).fit(rows, y)
    for function, oracle in ORACLES.items():
        expected = oracle(X, y, W)
        assert_allclose(function(rows, y, head), expected, rtol=1e-7, atol=1e-9)
        found = scorer.metrics_[function.__name__]
        assert_allclose(found, expected, rtol=1e-7, atol=1e-9)

    A, B = oracles_etf.centred_means(X, y), oracles_etf.simplex(n_classes)
    rotation = oracles_etf.alignment(A, B)[0]
    centred = W - W.mean(axis=0)
    along = max(np.sum((centred @ rotation) * B), 0)
    found = ETFAlignmentScorer(head=head).fit(rows, y).metrics_
    expected = 1 - along**2 / np.sum(centred**2) / np.sum(B**2)
    assert_allclose(found["head_disparity"], expected, rtol=1e-7, atol=1e-9)
    cosines = np.diag(oracles_etf.cosines(W, B, rotation))
    assert_allclose(found["head_alignment_mean"], cosines.mean(), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("frozen", [False, True])
def test_the_error_names_what_helps(frozen):
    X, y = rows_of(5)
    head = KNeighborsClassifier()
    head = FrozenEstimator(head.fit(X, y)) if frozen else head
    for use in (
        *(lambda f=f: f(X, y, head) for f in ORACLES),
        lambda: ETFAlignmentScorer(head=head).fit(X, y),
    ):
        with pytest.raises(ValueError, match=r"LinearHead\.from_classifier\("):
            use()
