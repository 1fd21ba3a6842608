"""Tests of ViM and Residual against the formulas written out, and degenerate data."""

import pickle

import numpy as np
import oracles
import oracles_head_detectors as oracle
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from sklearn_collapse import ClassMoments, LinearHead
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.ood import ResidualDetector, ViMDetector
from sklearn_collapse.utils import _arrays, estimator_checks, move_estimator

C, D = 3, 6
COEF = np.random.default_rng(9).normal(size=(C, D))
INTERCEPT = np.array([4.5, 3.0, 6.0])
HEAD = LinearHead(COEF, INTERCEPT)
dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])


def make_data(case="plain", d=D):
    """Training rows, labels, and rows from elsewhere."""
    rng = np.random.default_rng(0)
    n = 4 if case == "few rows" else 90
    y = np.arange(n) % C
    mix = np.linalg.qr(rng.normal(size=(d, d)))[0] * np.geomspace(0.3, 2, d)
    X = rng.normal(size=(n, d)) @ mix + 2 * rng.normal(size=(C, d))[y] + 0.7
    new = 3 * rng.normal(size=(40, d)) + 0.5
    if case == "rank deficient":
        X[:, 4:] = X[:, :2] @ [[1.0, 2.0], [-1.0, 0.5]]
    elif case == "dead unit":
        X[:, 2] = 0.0
    elif case == "offset":
        X, new = X + 1e4, new + 1e4
    elif case.startswith("1e"):
        X, new = float(case) * X, float(case) * new
    return X, y, new


CASES = ("plain", "rank deficient", "dead unit", "offset", "1e-6", "1e6")


def scores_of(library, detector, X, y, new, dtype=None):
    detector.fit(library.asarray(X, dtype), y)
    scores = detector.score_samples(library.asarray(new, dtype))
    assert library.owns(scores)
    return library.to_numpy(scores)


def assert_close(found, expected, rtol):
    assert_allclose(found, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


# -- the formulas ----------------------------------------------------------------


@dtypes
@pytest.mark.parametrize("origin", ["mean", "zero"])
@pytest.mark.parametrize("case", CASES)
def test_residual(library, case, origin, dtype):
    X, y, new = (v.astype(dtype) if v.ndim > 1 else v for v in make_data(case))
    centre = X.astype(float).mean(axis=0) if origin == "mean" else np.zeros(D)
    for k in (1, 2, 3):
        expected = -oracle.residuals(X, new, k, centre)
        detector = ResidualDetector(k, origin=origin)
        scores = scores_of(library, detector, X, y, new)
        assert scores.dtype == dtype
        # About zero the principal space of rows far from it is half lost in float64.
        lost = case == "offset" and origin == "zero"
        rtol = {"float64": 1e-7 if lost else 1e-9, "float32": 2e-5}[dtype]
        assert_close(scores, expected, 1e-3 if lost and dtype == "float32" else rtol)
        assert_allclose(library.to_numpy(detector.origin_), centre, atol=1e-9)
        plain = ViMDetector(n_components=k, origin=origin)
        assert_array_equal(scores_of(library, plain, X, y, new), scores)
        assert not hasattr(plain, "alpha_")


@pytest.mark.parametrize("k", [1, 2, 3, 6, 7, 11])
@dtypes
def test_complement_and_difference(library, k, dtype):
    """Whichever of the two bases is smaller."""
    X, y, new = (v.astype(dtype) if v.ndim > 1 else v for v in make_data(d=12))
    centre = X.astype(float).mean(axis=0)
    detector = ResidualDetector(k)
    scores = scores_of(library, detector, X, y, new)
    assert detector._space().residual.taken_off == (3 * k < 12)
    rtol = {"float64": 1e-9, "float32": 1e-5}[dtype]
    assert_close(scores, -oracle.residuals(X, new, k, centre), rtol)


@dtypes
@pytest.mark.parametrize("origin", ["auto", "head", "mean", "zero"])
@pytest.mark.parametrize("case", ["plain", "dead unit", "1e6"])
def test_vim(library, case, origin, dtype):
    X, y, new = (v.astype(dtype) if v.ndim > 1 else v for v in make_data(case))
    unit = 1e6 if case == "1e6" else 1.0
    coef = COEF / unit
    head = LinearHead(coef, INTERCEPT)
    u = oracle.head_origin(coef, INTERCEPT)
    centre = {"mean": X.astype(float).mean(axis=0), "zero": np.zeros(D)}.get(origin, u)
    inside, outside = (oracle.logits(v, coef, INTERCEPT) for v in (X, new))
    for k in (1, 3):
        expected = oracle.vim(X, new, inside, outside, k, centre)
        detector = ViMDetector(head, n_components=k, origin=origin)
        scores = scores_of(library, detector, X, y, new)
        assert scores.dtype == dtype
        rtol = {"float64": 1e-9, "float32": 2e-5}[dtype]
        assert_close(scores, expected, rtol)
        alpha = oracle.vim_alpha(X, inside, k, centre)
        assert detector.alpha_ == pytest.approx(alpha, rel=rtol)
        assert_allclose(
            library.to_numpy(detector.origin_), centre, rtol=rtol, atol=rtol * unit
        )


@dtypes
@pytest.mark.parametrize("origin", ["auto", "head", "zero"])
@pytest.mark.parametrize("case", ["plain", "offset", "1e-6"])
def test_discriminant(library, case, origin, dtype):
    X, y, new = (v.astype(dtype) if v.ndim > 1 else v for v in make_data(case))
    y = np.where(np.arange(len(y)) % 5, y, 0)  # unequal shares
    mean = X.astype(float).mean(axis=0)
    head = oracle.lda(X - mean, y)
    inside, outside = (oracle.logits(v - mean, *head) for v in (X, new))
    centre = {"auto": mean, "zero": np.zeros(D)}.get(origin)
    if origin == "head":
        centre = oracle.head_origin(head[0], head[1] - head[0] @ mean)
    expected = oracle.vim(X, new, inside, outside, 2, centre)
    detector = ViMDetector("lda", n_components=2, origin=origin)
    scores = scores_of(library, detector, X, y, new)
    lost = case == "offset" and origin == "zero"
    rtol = {"float64": 1e-6, "float32": 1e-3 if lost else 1e-4}[dtype]
    assert_close(scores, expected, rtol)
    assert detector.alpha_ > 0


@pytest.mark.parametrize("model", [LogisticRegression(C=0.1), GaussianNB()], ids=str)
def test_classifiers(library, model):
    """Logarithms of probabilities are centred over classes."""
    X, y, new = make_data()
    names = np.array(["x", "y", "z"])[y]
    fitted = type(model)(**model.get_params()).fit(X, names)
    if isinstance(model, GaussianNB):
        inside, outside = (
            np.log(np.maximum(fitted.predict_proba(v), np.finfo(float).tiny))
            for v in (X, new)
        )
        inside, outside = (v - v.mean(axis=1)[:, None] for v in (inside, outside))
        centre = X.mean(axis=0)
    else:
        inside, outside = (fitted.decision_function(v) for v in (X, new))
        centre = oracle.head_origin(fitted.coef_, fitted.intercept_)
    expected = oracle.vim(X, new, inside, outside, 2, centre)
    for head in (model, FrozenEstimator(fitted)):
        detector = ViMDetector(head, n_components=2)
        scores = scores_of(library, detector, X, names, new)
        assert_close(scores, expected, 1e-7)


def test_origin_of_a_head(library):
    """-W^+ b where the weights have fewer rows, more rows, and not full rank."""
    X, y, _ = make_data()
    rng = np.random.default_rng(3)
    for coef in (COEF, rng.normal(size=(9, D)), COEF[[0, 1, 1]], 0 * COEF):
        b = rng.normal(size=len(coef)) + 5
        b = b[[0, 1, 1]] if len(coef) == C and np.all(coef[1] == coef[2]) else b
        detector = ViMDetector(LinearHead(coef, b), n_components=1)
        detector.fit(library.asarray(X), y)
        expected = oracle.head_origin(coef, b)
        assert_allclose(library.to_numpy(detector.origin_), expected, atol=1e-9)
    # Without intercepts there is no such point to speak of; it can be asked for.
    for origin, expected in (("auto", X.mean(axis=0)), ("head", np.zeros(D))):
        head = LinearHead(COEF + 9 * np.eye(C, 1), None)
        detector = ViMDetector(head, n_components=1, origin=origin)
        detector.fit(library.asarray(X), y)
        assert_allclose(library.to_numpy(detector.origin_), expected, atol=1e-12)


def test_classes_that_the_data_lack_count():
    X, y, new = make_data()
    head = LinearHead(COEF, INTERCEPT, classes=[5, 0, 1])
    expected = ViMDetector(HEAD, n_components=2).fit(X, y).score_samples(new)
    for labels in (np.minimum(y, 1), None, np.zeros(len(X), int)):
        detector = ViMDetector(head, n_components=2).fit(X, labels)
        assert_allclose(detector.score_samples(new), expected)


def test_weights_of_alpha(rng):
    X, y, new = make_data()
    weights = rng.integers(0, 4, len(X))
    many = np.repeat(np.arange(len(X)), weights)
    repeated = ViMDetector(HEAD, n_components=2).fit(X[many], y[many])
    weighted = ViMDetector(HEAD, n_components=2).fit(X, y, weights)
    assert weighted.alpha_ == pytest.approx(repeated.alpha_, rel=1e-9)
    # The principal space stays, alpha follows the rows it is calibrated on.
    detector = ViMDetector(HEAD, n_components=2).fit(X, y)
    detector.calibrate(new, sample_weight=np.arange(40.0))
    logits = oracle.logits(new, COEF, INTERCEPT).max(axis=1)
    norms = oracle.residuals(X, new, 2, oracle.head_origin(COEF, INTERCEPT))
    shares = np.arange(40)
    expected = (shares @ logits) / (shares @ norms)
    assert detector.alpha_ == pytest.approx(expected, rel=1e-9)
    scores = detector.score_samples(new)
    offset = oracles.quantile(scores, 0.05, shares)
    assert detector.offset_ == pytest.approx(offset, rel=1e-4)


def test_weights_that_are_centred_to_rounding():
    """As networks and solvers leave them: they have one direction less."""
    X, y, _ = make_data()
    coef, b = COEF - COEF.mean(axis=0), INTERCEPT - INTERCEPT.mean()
    exact = ViMDetector(LinearHead(coef, b)).fit(X, y)
    single = ViMDetector(LinearHead(coef.astype(np.float32), b.astype(np.float32)))
    u = oracle.head_origin(coef[:2], b[:2])  # the third equation follows
    assert_allclose(exact.origin_, u, rtol=1e-9)
    assert_allclose(single.fit(X, y).origin_, u, rtol=1e-5)


# -- number of components --------------------------------------------------------


@pytest.mark.parametrize(
    ("d", "expected"),
    [(1, 0), (2, 1), (3, 1), (96, 48), (767, 383), (768, 512), (2047, 512)],
)
def test_default_number(d, expected):
    """Of the authors; counted without rows, which would be many."""
    detector = ResidualDetector()
    values = np.ones(d) * np.geomspace(1, 1e-3, d)

    class Spectrum:
        rank, vectors = d, np.eye(d)[:, :expected]

    Spectrum.values = values
    detector.moments_ = ClassMoments().update(np.eye(2, d))
    assert detector._count(Spectrum) == expected


def test_default_is_no_more_than_the_rank(library):
    """The rest of the space is known, and which part of it is not."""
    X, y, new = make_data("rank deficient")
    X, new = X[:, [0, 1, 4, 5] * 2], new[:, [0, 1, 4, 5, 2, 3, 0, 1]]
    detector = ResidualDetector()
    scores = scores_of(library, detector, X, y, new)
    assert detector.n_components_ == detector.rank_ == 2
    assert_close(scores, -oracle.residuals(X, new, 2, X.mean(axis=0)), 1e-9)
    with pytest.raises(ValueError, match=r"n_components=3 is too many.* is 2 \(n_fe"):
        ResidualDetector(3).fit(library.asarray(X))
    with pytest.raises(ValueError, match=r"rank .* is 6 .*n_samples=90.*must be left"):
        ResidualDetector(6).fit(make_data()[0])


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("origin", ["mean", "zero"])
def test_share_of_variance(share, origin):
    X, _, _ = make_data()
    detector = ResidualDetector(share, origin=origin).fit(X)
    rows = X - X.mean(axis=0) if origin == "mean" else X
    values = np.linalg.eigvalsh(rows.T @ rows / len(X))[::-1]
    expected = int(np.argmax(np.cumsum(values) >= share * values.sum())) + 1
    assert detector.n_components_ == min(expected, D - 1)
    assert_allclose(detector.eigenvalues_, values)
    assert detector.components_.shape == (detector.n_components_, D)


def test_one_direction_is_left():
    """A share that needs all of them would make every score 0."""
    X, _, new = make_data()
    detector = ResidualDetector(1 - 1e-12).fit(X)
    assert detector.n_components_ == D - 1
    assert np.all(detector.score_samples(new) < 0)
    one = ResidualDetector(0.5).fit(X[:, :1])
    assert one.n_components_ == 0
    assert_allclose(one.score_samples(new[:, :1]), -abs(new - X.mean(axis=0))[:, 0])


def simplex_rows(dtype="float64"):
    rng = np.random.default_rng(1)
    basis = np.linalg.qr(rng.normal(size=(8, 5)))[0]
    y = np.arange(200) % 5
    return ((np.eye(5) - 0.2) @ basis.T).astype(dtype)[y], y


@dtypes
def test_cutting_inside_a_tie_warns(library, dtype):
    X, y = simplex_rows(dtype)
    for k in (1, 3, 0.3):
        with pytest.warns(UserWarning, match="equal up to rounding") as caught:
            detector = ResidualDetector(k).fit(library.asarray(X), y)
        assert len(caught) == 1
        assert caught[0].filename == __file__
        detector.predict(library.asarray(X))
    assert ResidualDetector().fit(library.asarray(X), y).n_components_ == 4


# -- collapsed, dead, degenerate -------------------------------------------------


def test_dead_unit_is_seen(library):
    """A pseudo-inverse would be blind to it."""
    X, y, _ = make_data("dead unit")
    lit = X.copy()
    lit[:, 2] = 5.0
    for detector in (ResidualDetector(4), ViMDetector(HEAD, n_components=4)):
        inside = scores_of(library, detector, X, y, X)
        outside = library.to_numpy(detector.score_samples(library.asarray(lit)))
        assert oracles.auroc(inside.tolist(), outside.tolist()) > 0.95


@dtypes
@pytest.mark.parametrize("size", [1e-2, 1e-6])
def test_small_residuals_keep_their_digits(library, size, dtype):
    """The root of a difference of squares would have none."""
    rng = np.random.default_rng(4)
    signs = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
    X = np.zeros((16, 5))
    X[:8, :3], X[8:, :3] = 4 * signs, -4 * signs
    X[:, 3:] = size * rng.choice([-1.0, 1.0], size=(16, 2)) * [1, 0.5]
    X = X.astype(dtype)
    new = np.hstack([rng.integers(-9, 9, (20, 3)), size * rng.normal(size=(20, 2))])
    new = new.astype(dtype)
    centre = X.astype(float).mean(axis=0)
    detector = ResidualDetector(3)
    scores = scores_of(library, detector, X, None, new)
    assert_allclose(scores, -oracle.residuals(X, new, 3, centre), rtol=2e-4)
    assert detector._space().residual.wide == (size == 1e-6)


def test_spectrum_down_to_1e_12(library):
    X, _, new = make_data(d=12)
    turn = np.linalg.qr(X[:12])[0]
    rng = np.random.default_rng(5)
    X = rng.normal(size=(400, 12)) * np.geomspace(1, 1e-6, 12) @ turn
    new = rng.normal(size=(30, 12)) * np.geomspace(1, 3e-6, 12) @ turn
    detector = ResidualDetector(9)
    scores = scores_of(library, detector, X, None, new)
    assert detector.rank_ == 12
    assert_allclose(scores, -oracle.residuals(X, new, 9, X.mean(axis=0)), rtol=1e-3)


@dtypes
def test_collapsed_rows(library, dtype):
    """Training rows have no residual: 0, and alpha is set by the rounding."""
    X, y = simplex_rows(dtype)
    scores = scores_of(library, ResidualDetector(), X, y, X)
    assert_array_equal(scores, 0)
    detector = ViMDetector("lda")
    with pytest.warns(UserWarning, match="mean residual .* 4 principal .* rounding"):
        detector.fit(library.asarray(X), y)
    assert np.isfinite(detector.alpha_)
    away = X + 0.1 * np.random.default_rng(0).normal(size=X.shape).astype(dtype)
    outside = library.to_numpy(detector.score_samples(library.asarray(away)))
    inside = library.to_numpy(detector.score_samples(library.asarray(X)))
    assert np.isfinite(inside).all()
    assert outside.max() < inside.min()
    # Other rows have a residual.
    alpha = detector.alpha_
    assert detector.calibrate(library.asarray(away)).alpha_ < alpha


def test_rows_that_do_not_vary(library):
    X = library.asarray(np.full((9, 4), 0.1))
    for share in (None, 0.5):
        detector = ResidualDetector(share).fit(X)
        assert detector.n_components_ == detector.rank_ == 0
        assert_array_equal(library.to_numpy(detector.predict(X)), 1)
        far = library.to_numpy(detector.score_samples(X + 1))
        assert_allclose(far, -2, rtol=1e-6)
    with pytest.raises(ValueError, match="rank of the rows about their origin is 0"):
        ResidualDetector(1).fit(X)
    zero = ResidualDetector(origin="zero").fit(0 * X)
    assert_allclose(library.to_numpy(zero.score_samples(X)), -0.2)
    # Not even a level of rounding.
    with pytest.warns(UserWarning, match="alpha is set by its level 1"):
        ViMDetector(HEAD, origin="zero").fit(0 * library.asarray(np.ones((9, D))))


@pytest.mark.parametrize("y", [None, np.zeros(90)], ids=["none", "one"])
def test_one_class(library, y):
    """Never a constant score: the residual alone."""
    X, _, new = make_data()
    expected = -oracle.residuals(X, new, 3, X.mean(axis=0))
    for origin in ("auto", "head", "mean"):
        detector = ViMDetector("lda", origin=origin)
        assert_close(scores_of(library, detector, X, y, new), expected, 1e-9)
        assert not hasattr(detector, "alpha_")
    head = ViMDetector(HEAD).fit(X, None if y is None else y.astype(int))
    assert head.alpha_ > 0


def test_second_class_in_a_stream():
    """It brings the discriminant, and alpha has to be set."""
    X, y, new = make_data()
    detector = ViMDetector("lda", n_components=2)
    detector.partial_fit(X[y == 0], y[y == 0]).calibrate(X)
    assert not hasattr(detector, "alpha_")
    detector.partial_fit(X[y != 0], y[y != 0])
    with pytest.raises(NotFittedError, match=r"calibrate\(X\)"):
        detector.score_samples(new)
    same = ViMDetector("lda", n_components=2).fit(X, y)
    found = detector.calibrate(X).score_samples(new)
    assert_close(found, same.score_samples(new), 1e-7)


def test_alpha_is_void_until_calibrate(library):
    X, y, new = make_data()
    moments = ClassMoments().update(library.asarray(X), y)
    rows = library.asarray(new)
    for start in (
        lambda detector: detector.partial_fit(library.asarray(X), y),
        lambda detector: detector.fit_moments(moments),
        lambda d: d.fit(library.asarray(X), y).partial_fit(library.asarray(X), y),
    ):
        detector = start(ViMDetector(HEAD))
        assert not hasattr(detector, "alpha_")
        for method in ("score_samples", "predict", "decision_function"):
            with pytest.raises(NotFittedError, match=r"calibrate\(X\)"):
                getattr(detector, method)(rows)
        detector.calibrate(library.asarray(X)).predict(rows)
        plain = start(ViMDetector())
        expected = -oracle.residuals(X, new, 3, X.mean(axis=0))
        assert_close(library.to_numpy(plain.score_samples(rows)), expected, 1e-9)


# -- errors ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "labels", "message"),
    [
        ({"head": LinearHead(COEF, -99 + INTERCEPT)}, 3, "largest logits is -88"),
        ({"head": LinearHead(0 * COEF)}, 3, "logits is 0, but must be positive"),
        ({"origin": "head"}, 3, "origin='head' is the origin of a head"),
        ({"origin": "head", "head": GaussianNB()}, 3, "GaussianNB has no coef_"),
        ({"head": LinearHead(COEF[:2])}, 3, r"lacks the classes \[2\]"),
        ({"head": LinearHead(COEF[:, :5])}, 3, r"\(3, 5\), but X has 6 features"),
        ({"head": LogisticRegression()}, None, "has to be fitted on labelled rows"),
        ({"n_components": 6}, 3, "n_components=6 is too many"),
        *(({"n_components": k}, 3, "'n_components'") for k in (0, 1.0, "mle", np.nan)),
        *(({"origin": o}, 3, "'origin'") for o in ("median", None)),
        *(({"head": h}, 3, "'head'") for h in ("qda", 3)),
    ],
    ids=str,
)
def test_errors(options, labels, message):
    X, y, new = make_data()
    y = None if labels is None else y
    detector = ViMDetector(**options)
    with pytest.raises(ValueError, match=message):
        detector.fit(X, y)
    assert vars(detector).keys() == detector.get_params(deep=False).keys()
    detector = ViMDetector(HEAD if "head" in options else None).fit(X)
    before = detector.get_params(deep=False)
    expected = detector.decision_function(new)
    with pytest.raises(ValueError, match=message):
        detector.set_params(**options).fit(X, y)
    detector.set_params(**before)
    assert_array_equal(detector.decision_function(new), expected)
    for value in ("head", "auto", None):
        with pytest.raises(ValueError, match="'origin'"):
            ResidualDetector(origin=value).fit(X)


def test_failing_calibration_changes_nothing():
    X, y, new = make_data()
    detector = ViMDetector(HEAD).fit(X, y)
    expected = detector.decision_function(new)
    # There the first logit, the largest, is negative.
    far = -50 * (COEF.sum(axis=0))[None, :] * np.ones((5, 1))
    assert oracle.logits(far, COEF, INTERCEPT).max() < 0
    with pytest.raises(ValueError, match="must be positive"):
        detector.calibrate(far)
    assert_array_equal(detector.decision_function(new), expected)


@pytest.mark.parametrize("head", [None, HEAD, GaussianNB()], ids=str)
def test_rows_that_are_not_finite_are_named(library, head):
    X, y, new = make_data()
    detector = ViMDetector(head).fit(library.asarray(X), y)
    for value, word in ((np.nan, "NaN"), (np.inf, "infinity")):
        bad = new.copy()
        bad[[5, 9], 3] = value
        with pytest.raises(ValueError, match=rf"X contains {word}.*row 5, column 3"):
            detector.score_samples(library.asarray(bad))


@dtypes
def test_overflow_is_named(dtype):
    X, y, new = (v.astype(dtype) if v.ndim > 1 else v for v in make_data())
    huge = new.copy()
    huge[3] = np.finfo(dtype).max / 4
    for detector in (ResidualDetector(2), ViMDetector(HEAD)):
        with pytest.raises(ValueError, match="so large that their squares overflow"):
            detector.fit(X, y).score_samples(huge)
    steep = LinearHead(COEF * np.finfo(dtype).max ** 0.75, None)
    detector = ViMDetector(steep, n_components=2).fit(X, y)
    far = new * np.asarray(np.finfo(dtype).max ** 0.4, dtype)
    with pytest.raises(ValueError, match=f"Scores overflow {dtype}"):
        detector.score_samples(far)


# -- blocks, devices, other tools ------------------------------------------------


@pytest.mark.parametrize("head", [None, "lda", HEAD], ids=str)
def test_many_blocks(library, head, monkeypatch):
    X, y, new = make_data()
    new = np.vstack([new + k for k in range(20)])
    whole = scores_of(library, ViMDetector(head), X, y, new)
    monkeypatch.setattr(_arrays, "_BLOCK_BYTES", 1)
    assert_close(scores_of(library, ViMDetector(head), X, y, new), whole, 1e-9)


@pytest.mark.parametrize("head", [None, "lda", HEAD, LogisticRegression()], ids=str)
def test_numpy_rows_on_another_device(head, monkeypatch):
    """Main memory stands for a GPU."""
    torch = pytest.importorskip("torch")
    X, y, new = make_data()
    expected = ViMDetector(head).fit(X, y).decision_function(new)
    monkeypatch.setattr(_arrays, "gpu_for", lambda device, work: torch.empty(0))
    found = ViMDetector(head).fit(X, y).decision_function(new)
    assert isinstance(found, np.ndarray)
    assert_close(found, expected, 1e-7)


@pytest.mark.parametrize("head", [None, "lda", HEAD, GaussianNB()], ids=str)
def test_moving(head):
    """Fitted on NumPy rows, asked with tensors, and back."""
    torch = pytest.importorskip("torch")
    X, y, new = make_data()
    fitted = ViMDetector(head).fit(X, y)
    expected = fitted.decision_function(new)
    moved = move_estimator(fitted, torch.zeros(0))
    found = moved.decision_function(torch.asarray(new))
    assert isinstance(found, torch.Tensor)
    assert_close(found.numpy(), expected, 1e-7)
    back = move_estimator(moved, "numpy")
    assert_close(back.decision_function(new), expected, 1e-7)
    again = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(again.decision_function(new), expected)


@pytest.mark.parametrize(
    "detector",
    [
        ViMDetector(LogisticRegression(), n_components=2),
        ViMDetector(GaussianNB(), n_components=0.5, origin="zero"),
    ],
    ids=repr,
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning:sklearn")
def test_our_checks_with_heads_that_need_labels(detector):
    ran = estimator_checks.check_estimator(detector)
    assert len(ran) == len(estimator_checks.estimator_checks())


@pytest.mark.parametrize("origin", ["auto", "mean"])
@pytest.mark.parametrize("kind", ["residual", "head", "lda"])
def test_bundled_features(kind, origin):
    """Scores and AUROC of all sets, near to exact although rows are float32."""
    bunch = load_cifar8_features()
    train = bunch.data.astype(float)
    mean = train.mean(axis=0)
    coef, b = bunch.coef.astype(float), bunch.intercept.astype(float)
    if kind == "lda":
        coef, b = oracle.lda(train, bunch.target)
    real = kind == "head" and origin == "auto"
    centre = oracle.head_origin(coef, b) if real else mean
    rows = train - centre
    complement = np.linalg.eigh(rows.T @ rows / len(rows))[1][:, :48]

    def norms(X):
        return np.linalg.norm((X.astype(float) - centre) @ complement, axis=1)

    def expected(X):
        if kind == "residual":
            return -norms(X)
        alpha = (train @ coef.T + b).max(axis=1).mean() / norms(train).mean()
        return logsumexp(X.astype(float) @ coef.T + b, axis=1) - alpha * norms(X)

    head = {"residual": None, "head": bunch.head, "lda": "lda"}[kind]
    detector = ViMDetector(head, origin=origin).fit(bunch.data, bunch.target)
    assert detector.n_components_ == 48
    inside = detector.score_samples(bunch.X_test)
    assert_close(inside, expected(bunch.X_test), 1e-4)
    for rows in bunch.ood.values():
        scores = detector.score_samples(rows)
        assert_close(scores, expected(rows), 1e-4)
        found = oracles.auroc(inside.tolist(), scores.tolist())
        exact = oracles.auroc(expected(bunch.X_test).tolist(), expected(rows).tolist())
        assert found == pytest.approx(exact, abs=1e-4)
        assert found > 0.5
    if kind != "residual":
        assert found > 0.94
