"""LinearHead.from_classifier: the linear head closest to a fitted classifier."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from sklearn_collapse import LinearHead
from sklearn_collapse.collapse import NeuralCollapseScorer
from sklearn_collapse.etf import ETFClassifier, GrassmannClassifier
from sklearn_collapse.ood import NECODetector
from sklearn_collapse.utils._arrays import namespace
from sklearn_collapse.whitening import SpectralTransformer

WITHOUT_WEIGHTS = {
    "mlp": MLPClassifier(5, solver="lbfgs", alpha=1.0, random_state=0),
    "neighbors": KNeighborsClassifier(7),
    "forest": RandomForestClassifier(5, max_depth=2, random_state=0),
    "bayes": GaussianNB(),
    "svc": SVC(),
    "pipeline": make_pipeline(StandardScaler(), SVC(kernel="poly")),
}
LINEAR = [LogisticRegression(), RidgeClassifier(), LinearDiscriminantAnalysis()]


def labelled_rows(n=80, d=4, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % n_classes)
    names = np.array(["ox", "ant", "elk", "bee"])[:n_classes]
    return rng.normal(size=(n, d)) + rng.normal(size=(n_classes, d))[y] + 1, names[y]


def logits_of(model, X):
    """One column per class."""
    if hasattr(model, "decision_function"):
        logits = model.decision_function(X)
        if logits.ndim == 1:
            logits = np.stack([-logits / 2, logits / 2], axis=1)
        return logits
    shares = model.predict_proba(X)
    least = np.finfo(float).tiny
    return np.array([[np.log(p or least) for p in row] for row in shares])


def least_squares(X, logits, weights=None):
    """Weights and biases, class by class; of least norm among all."""
    w = np.ones(len(X)) if weights is None else np.asarray(weights, dtype=float)
    root, mean = np.sqrt(w)[:, None], w @ X / w.sum()
    centre = w @ logits / w.sum()
    rows, targets = root * (X - mean), root * (logits - centre)
    coef = [np.linalg.lstsq(rows, target, 1e-10)[0] for target in targets.T]
    coef = np.array(coef)
    return coef, centre - coef @ mean


def fit(model, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of iterations, which are few here
        return clone(model).fit(X, y)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("kind", WITHOUT_WEIGHTS)
def test_against_least_squares(library, kind, n_classes):
    X, y = labelled_rows(n_classes=n_classes)
    model = fit(WITHOUT_WEIGHTS[kind], X, y)
    head = LinearHead.from_classifier(model, library.asarray(X))
    coef, intercept = least_squares(X, logits_of(model, X))
    size = np.abs(coef).max()
    assert_allclose(head.coef_, coef, rtol=1e-9, atol=1e-11 * size)
    size = np.abs(intercept).max()
    assert_allclose(head.intercept_, intercept, rtol=1e-9, atol=1e-11 * size)
    assert_array_equal(head.classes_, model.classes_)
    assert type(head.coef) is np.ndarray
    # It goes where a head goes.
    assert np.mean(head.predict(X) == model.predict(X)) > 0.6


@pytest.mark.parametrize("kind", ["mlp", "forest"])
def test_weights_are_frequencies(kind):
    X, y = labelled_rows()
    model = fit(WITHOUT_WEIGHTS[kind], X, y)
    weights = np.random.default_rng(1).integers(0, 4, len(X))
    head = LinearHead.from_classifier(model, X, sample_weight=weights)
    index = np.repeat(np.arange(len(X)), weights)
    for expected in (
        LinearHead.from_classifier(model, X[index]),
        LinearHead(*least_squares(X, logits_of(model, X), weights)),
    ):
        assert_allclose(head.coef_, expected.coef_, rtol=1e-9)
        assert_allclose(head.intercept_, expected.intercept_, rtol=1e-9, atol=1e-9)


def test_rows_of_zero_weight_are_not_asked_about():
    class Picky(LinearHead):
        def decision_function(self, X):
            assert np.max(X) < 10
            return super().decision_function(X)

    X, _ = labelled_rows()
    X[4], weights = 100, (np.arange(len(X)) != 4).astype(float)
    head = LinearHead.from_classifier(Picky(np.eye(3, 4)), X, sample_weight=weights)
    assert_allclose(head.coef_, np.eye(3, 4), atol=1e-12)


def test_blocks_are_put_together():
    """More rows than a block holds, grouped so that every block has its own logits."""
    X, y = labelled_rows(n=40_000)
    X, y = X[np.argsort(X[:, 0])], y[np.argsort(X[:, 0])]
    model = fit(WITHOUT_WEIGHTS["mlp"], X[::100], y[::100])
    weights = np.random.default_rng(1).integers(1, 4, len(X))
    head = LinearHead.from_classifier(model, X, sample_weight=weights)
    coef, intercept = least_squares(X, logits_of(model, X), weights)
    assert_allclose(head.coef_, coef, rtol=1e-9)
    assert_allclose(head.intercept_, intercept, rtol=1e-9)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("model", LINEAR, ids=lambda m: type(m).__name__)
def test_a_linear_classifier_comes_back(library, model, n_classes):
    X, y = labelled_rows(n_classes=n_classes)
    model = fit(model, X, y)
    W, b = model.coef_, model.intercept_
    if n_classes == 2:
        W = np.atleast_2d(W)  # RidgeClassifier has a vector
        W, b = np.vstack([-W, W]) / 2, np.append(-b, b) / 2
    head = LinearHead(W, b, classes=np.unique(y))
    for given in (model, FrozenEstimator(model), head):
        head = LinearHead.from_classifier(given, library.asarray(X))
        assert_allclose(head.coef_, W, rtol=1e-10, atol=1e-12)
        assert_allclose(head.intercept_, b, rtol=1e-10, atol=1e-12)
        assert_array_equal(head.predict(X), model.predict(X))


@pytest.mark.parametrize("offset", [0.0, 1e5])
def test_rows_that_do_not_span_the_space(library, offset):
    """Copied and constant columns, fewer rows than features: least norm."""
    X, y = labelled_rows()
    X = X + offset
    W = np.random.default_rng(3).normal(size=(3, 9))
    names = np.unique(y)
    for rows in (
        np.hstack([X, X, np.ones((len(X), 1))]),
        np.random.default_rng(4).normal(size=(6, 9)) + offset,
    ):
        model = LinearHead(W, classes=names)
        head = LinearHead.from_classifier(model, library.asarray(rows))
        _, values, right = np.linalg.svd(rows - rows.mean(axis=0))
        basis = right[: np.sum(values > 1e-8 * values[0])]
        assert len(basis) < 9
        tol = 1e-9 if offset == 0 else 1e-6
        assert_allclose(head.coef_, W @ basis.T @ basis, rtol=tol, atol=tol)
        logits = head.decision_function(rows)
        assert_allclose(logits, rows @ W.T, rtol=tol, atol=tol * (1 + offset))


def test_precision_of_float32_rows(library):
    X, y = labelled_rows()
    X = (X + 1e3).astype(np.float32)
    model = LinearHead(np.eye(3, 4), [-1e3] * 3, classes=np.unique(y))
    head = LinearHead.from_classifier(model, library.asarray(X))
    assert_allclose(head.coef_, np.eye(3, 4), atol=1e-9)


def test_rows_that_are_all_the_same():
    model = LinearHead(np.eye(3), [1.0, 2.0, 3.0])
    for n in (1, 5):
        head = LinearHead.from_classifier(model, np.ones((n, 3)))
        assert_array_equal(head.coef_, 0)
        assert_allclose(head.intercept_, [2, 3, 4])


def test_column_names_do_not_warn():
    pandas = pytest.importorskip("pandas")
    X, y = labelled_rows()
    frame = pandas.DataFrame(X, columns=list("abcd"))
    model = fit(WITHOUT_WEIGHTS["svc"], frame, y)
    head = LinearHead.from_classifier(model, frame)
    expected = LinearHead.from_classifier(fit(WITHOUT_WEIGHTS["svc"], X, y), X)
    assert_array_equal(head.coef_, expected.coef_)
    # Names that are known to one side alone say nothing.
    plain = fit(WITHOUT_WEIGHTS["svc"], X, y)
    for given, rows in ((plain, frame), (model, X)):
        head = LinearHead.from_classifier(given, rows)
        assert_array_equal(head.coef_, expected.coef_)


def test_columns_in_another_order():
    pandas = pytest.importorskip("pandas")
    X, y = labelled_rows()
    frame = pandas.DataFrame(X, columns=list("abcd"))
    model = fit(WITHOUT_WEIGHTS["pipeline"], frame, y)
    message = r"columns \['d', 'c', 'b', 'a'\].* fitted on \['a', 'b', 'c', 'd'\]"
    with pytest.raises(ValueError, match=message):
        LinearHead.from_classifier(model, frame[list("dcba")])


@pytest.mark.parametrize("targets", ["one class", "two targets"])
def test_classes_that_make_no_head(targets):
    X, y = labelled_rows()
    y = np.full(len(X), "ox") if targets == "one class" else np.stack([y, y], axis=1)
    model = KNeighborsClassifier().fit(X, y)
    with pytest.raises(ValueError, match="labels of one target, two or more, apart"):
        LinearHead.from_classifier(model, X)


def test_what_is_no_fitted_classifier():
    X, y = labelled_rows()
    for model in (LinearRegression().fit(X, X), "lda", None, SVC):
        with pytest.raises(TypeError, match="classifier must be a fitted classifier"):
            LinearHead.from_classifier(model, X)
    with pytest.raises(NotFittedError):
        LinearHead.from_classifier(SVC(), X)
    pairs = SVC(decision_function_shape="ovo").fit(*labelled_rows(n_classes=4))
    with pytest.raises(ValueError, match="6 decision values for 4 classes"):
        LinearHead.from_classifier(pairs, X)
    decided = fit(LinearSVC(), X, y)
    with pytest.raises(ValueError, match="4 features"):
        LinearHead.from_classifier(decided, X[:, 1:])
    X[3, 2] = np.nan
    with pytest.raises(ValueError, match="first in row 3"):
        LinearHead.from_classifier(decided, X)


# -- heads that were fitted in another library ----------------------------------------


@pytest.mark.parametrize(
    "classifier",
    [
        ETFClassifier(mapping="ridge", temperature=0.1),
        GrassmannClassifier(1),
        make_pipeline(SpectralTransformer(), ETFClassifier(priors="empirical")),
    ],
)
def test_classifiers_of_any_library_as_heads(library, classifier):
    """They are asked in the library that they were fitted in."""
    X, y = labelled_rows()
    rows = library.asarray(X)
    plain = clone(classifier).fit(X, y)
    model = clone(classifier).fit(rows, y)
    frozen, expected = FrozenEstimator(model), FrozenEstimator(plain)
    truth = LinearHead.from_classifier(plain, X)
    for given in (X, rows):
        head = LinearHead.from_classifier(model, given)
        assert_allclose(head.coef_, truth.coef_, rtol=1e-9, atol=1e-9)
        scorer = NeuralCollapseScorer(head=frozen).fit(given, y)
        truths = NeuralCollapseScorer(head=expected).fit(X, y).metrics_
        found = scorer.metrics_["nc4_agreement"]
        assert_allclose(found, truths["nc4_agreement"], rtol=1e-12)
    scores = NECODetector(head=frozen).fit(rows, y).score_samples(rows)
    truth = NECODetector(head=expected).fit(X, y).score_samples(X)
    assert_allclose(library.to_numpy(scores), truth, rtol=1e-7)


class Elsewhere(ClassifierMixin, BaseEstimator):
    """Nearest mean that keeps all it has learned, labels too, in the library of X."""

    def fit(self, X, y):
        xp, codes = namespace(X), np.asarray(y)
        means = [X[int(i), :] for i in [np.flatnonzero(codes == c)[0] for c in (1, 2)]]
        self.means_ = xp.stack(means)
        self.classes_ = xp.asarray([1, 2])
        return self

    def decision_function(self, X):
        assert namespace(X) is namespace(self.means_)
        xp = namespace(X)
        near = [xp.sum((X - self.means_[c, :]) ** 2, axis=1) for c in (0, 1)]
        return near[0] - near[1]

    def predict(self, X):
        xp = namespace(X)
        ahead = xp.astype(self.decision_function(X) > 0, xp.int64)
        return xp.take(self.classes_, ahead)


def test_labels_of_any_library(library):
    """As classifiers of scikit-learn keep them that were fitted on torch."""
    X, names = labelled_rows(n_classes=2)
    y = 1 + np.unique(names, return_inverse=True)[1]
    rows = library.asarray(X)
    plain, model = Elsewhere().fit(X, y), Elsewhere().fit(rows, y)
    truth = NeuralCollapseScorer(head=FrozenEstimator(plain)).fit(X, y).metrics_
    found = NeuralCollapseScorer(head=FrozenEstimator(model)).fit(rows, y).metrics_
    assert_allclose(found["nc4_agreement"], truth["nc4_agreement"], rtol=1e-12)
    assert_array_equal(LinearHead.from_classifier(model, rows).classes_, plain.classes_)
