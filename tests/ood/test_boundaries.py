"""Tests of NCI and fDBD against the formulas written out, and on degenerate data."""

import numpy as np
import oracles
import oracles_head_detectors as oracle
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from sklearn_collapse import ClassMoments, LinearHead
from sklearn_collapse._linalg import _boundaries
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.ood import FDBDDetector, NCIDetector
from sklearn_collapse.utils import _arrays, estimator_checks, move_estimator

C, D = 4, 6
COEF = np.random.default_rng(9).normal(size=(C, D))
INTERCEPT = np.array([0.5, -1.0, 2.0, 0.0])
HEAD = LinearHead(COEF, INTERCEPT)
ALPHA = 0.03
dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])
kinds = pytest.mark.parametrize("kind", ["nci", "fdbd"])
ways = pytest.mark.parametrize("table", [True, False], ids=["table", "blocks"])


def make_data(case="plain", d=D):
    """Training rows, labels, and rows from elsewhere."""
    rng = np.random.default_rng(0)
    n = 120
    y = np.arange(n) % C
    X = rng.normal(size=(n, d)) * np.geomspace(0.5, 2, d)
    X = X + 2 * rng.normal(size=(C, d))[y] + 0.7
    new = 3 * rng.normal(size=(40, d)) + 0.5
    if case == "dead unit":
        X[:, 2] = 0.0
    elif case == "offset":
        X, new = X + 1e4, new + 1e4
    elif case.startswith("1e"):
        X, new = float(case) * X, float(case) * new
    return X, y, new


def detector_of(kind, head="lda", **options):
    if kind == "nci":
        return NCIDetector(head, **{"alpha": ALPHA, **options})
    return FDBDDetector(head, **options)


def expected_of(kind, X, new, coef, intercept):
    if kind == "nci":
        return oracle.nci(X, new, coef, intercept, ALPHA)
    return oracle.fdbd(X, new, coef, intercept)


def scores_of(library, detector, X, y, new, dtype=None):
    detector.fit(library.asarray(X, dtype), y)
    scores = detector.score_samples(library.asarray(new, dtype))
    assert library.owns(scores)
    return library.to_numpy(scores)


def assert_close(found, expected, rtol):
    assert_allclose(found, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


def without_table(monkeypatch):
    monkeypatch.setattr(_boundaries, "_MOST_IN_TABLE", 1)


# -- the formulas ----------------------------------------------------------------


@dtypes
@pytest.mark.parametrize("case", ["plain", "dead unit", "1e-6", "1e6"])
@kinds
@ways
def test_linear_head(library, table, kind, case, dtype, monkeypatch):
    if not table:
        without_table(monkeypatch)
    X, y, new = (v.astype(dtype) if v.ndim > 1 else v for v in make_data(case))
    unit = float(case) if case.startswith("1e") else 1.0
    coef = COEF / unit
    scores = scores_of(
        library, detector_of(kind, LinearHead(coef, INTERCEPT)), X, y, new
    )
    assert scores.dtype == dtype
    expected = expected_of(kind, X, new, coef, INTERCEPT)
    assert_close(scores, expected, {"float64": 1e-10, "float32": 1e-5}[dtype])


@dtypes
@pytest.mark.parametrize("case", ["plain", "offset", "1e-6", "1e6"])
@kinds
@ways
def test_discriminant(library, table, kind, case, dtype, monkeypatch):
    if not table:
        without_table(monkeypatch)
    X, y, new = (v.astype(dtype) if v.ndim > 1 else v for v in make_data(case))
    y = np.where(np.arange(len(y)) % 5, y, 0)  # unequal shares
    centre = X.astype(float).mean(axis=0)
    coef, intercept = oracle.lda(X - centre, y)
    scores = scores_of(library, detector_of(kind), X, y, new)
    expected = expected_of(kind, X, new, coef, intercept - coef @ centre)
    assert_close(scores, expected, {"float64": 1e-6, "float32": 1e-4}[dtype])


@kinds
def test_classifiers(library, kind):
    """Their own logits decide; cloned and fitted with the weights, or frozen."""
    X, y, new = make_data()
    for classes in (2, 4):
        names = np.array(list("wxyz"))[y % classes]
        fitted = LogisticRegression(C=0.1).fit(X, names)
        coef, b = fitted.coef_, fitted.intercept_
        if classes == 2:
            coef, b = np.vstack([-coef, coef]) / 2, np.append(-b, b) / 2
        expected = expected_of(kind, X, new, coef, b)
        for head in (LogisticRegression(C=0.1), FrozenEstimator(fitted)):
            detector = detector_of(kind, head)
            scores = scores_of(library, detector, X, names, new)
            assert_close(scores, expected, 1e-7)


@kinds
def test_binary_head_of_one_row(kind):
    X, y, new = make_data()
    coef = np.vstack([-COEF[:1], COEF[:1]]) / 2
    scores = detector_of(kind, LinearHead(COEF[:1], [0.3])).fit(X, y % 2)
    expected = expected_of(kind, X, new, coef, np.array([-0.15, 0.15]))
    assert_close(scores.score_samples(new), expected, 1e-10)


@kinds
def test_classes_that_the_data_lack_count(kind):
    X, y, new = make_data()
    expected = expected_of(kind, X, new, COEF, INTERCEPT)
    head = LinearHead(COEF, INTERCEPT, classes=[7, 1, 0, 9])
    for labels in (y % 2, None, np.zeros(len(X), int)):
        detector = detector_of(kind, head).fit(X, labels)
        assert_close(detector.score_samples(new), expected, 1e-10)


@kinds
def test_missing_intercept(library, kind):
    X, y, new = make_data()
    scores = scores_of(library, detector_of(kind, LinearHead(COEF)), X, y, new)
    assert_close(scores, expected_of(kind, X, new, COEF, np.zeros(C)), 1e-10)


def test_share_of_the_norm():
    """The score is affine in alpha; without it, it ignores the scale."""
    X, y, new = make_data()
    without, small, large = (
        NCIDetector(alpha=alpha).fit(X, y).score_samples(new) for alpha in (0, 1e-3, 2)
    )
    norm = np.abs(new).sum(axis=1)
    assert_close(small, without + 1e-3 * norm, 1e-12)
    assert_close(large, without + 2 * norm, 1e-12)
    scaled = NCIDetector(alpha=0).fit(1e3 * X, y).score_samples(1e3 * new)
    assert_close(1e3 * scaled, without, 1e-7)
    assert NCIDetector(alpha=0)._ignores_scale
    assert not NCIDetector()._ignores_scale
    assert not NCIDetector(HEAD, alpha=0)._ignores_scale


@kinds
def test_stream(library, kind):
    X, y, new = make_data()
    for head in ("lda", HEAD):
        parts, adopted = detector_of(kind, head), detector_of(kind, head)
        for rows in np.array_split(np.argsort(y, kind="stable"), [1, 40]):
            parts.partial_fit(library.asarray(X[rows]), y[rows])
        adopted.fit_moments(ClassMoments().update(library.asarray(X), y))
        whole = scores_of(library, detector_of(kind, head), X, y, new)
        for detector in (parts, adopted):
            assert not hasattr(detector, "offset_")
            scores = detector.score_samples(library.asarray(new))
            assert_close(library.to_numpy(scores), whole, 1e-8)


# -- equal weights, close weights ------------------------------------------------


@ways
def test_equal_weights_have_no_boundary(library, table, monkeypatch):
    """Whatever their intercepts say."""
    if not table:
        without_table(monkeypatch)
    X, y, new = make_data()
    coef = COEF[[0, 1, 1, 2, 0]]
    intercept = np.array([0.5, -1.0, 1.0, 0.0, 0.7])
    expected = oracle.fdbd(X, new, coef, intercept)
    detector = FDBDDetector(LinearHead(coef, intercept))
    assert_close(scores_of(library, detector, X, y, new), expected, 1e-10)
    same = LinearHead(np.ones((C, 1)) * COEF[0], INTERCEPT)
    length = np.linalg.norm(new - X.mean(axis=0), axis=1)
    scores = scores_of(library, FDBDDetector(same), X, y, new)
    assert_close(scores, -length, 1e-12)


@dtypes
@pytest.mark.parametrize("gap", [1e-3, 1e-5, 1e-7])
@ways
def test_close_weights_keep_their_digits(library, table, gap, dtype, monkeypatch):
    if not table:
        without_table(monkeypatch)
    X, y, new = (v.astype(dtype) if v.ndim > 1 else v for v in make_data())
    close = 100 * COEF
    close[1] = close[0] + gap * COEF[1]
    close[3] = close[2] - gap * COEF[3]
    head = LinearHead(close, 0 * INTERCEPT)
    scores = scores_of(library, FDBDDetector(head), X, y, new)
    expected = oracle.fdbd(X, new, close, 0 * INTERCEPT)
    assert_close(scores, expected, 1e-6 if dtype == "float64" else 3e-3)


def test_table_and_blocks_agree(library, monkeypatch):
    """In blocks of one row, of few classes, and of all."""
    X, y, new = make_data()
    rng = np.random.default_rng(3)
    head = LinearHead(rng.normal(size=(70, D)), rng.normal(size=70))
    table = scores_of(library, FDBDDetector(head), X, y, new)
    assert_close(table, oracle.fdbd(X, new, head.coef, head.intercept), 1e-10)
    without_table(monkeypatch)
    detector = FDBDDetector(head).fit(library.asarray(X), y)
    for rows in (slice(0, 1), slice(3, 7), slice(None)):
        found = detector.score_samples(library.asarray(new[rows]))
        assert_close(library.to_numpy(found), table[rows], 1e-10)
    single = np.float32
    detector = FDBDDetector(head).fit(library.asarray(X.astype(single)), y)
    found = detector.score_samples(library.asarray(new.astype(single)))
    assert library.to_numpy(found).dtype == single
    assert_close(library.to_numpy(found), table, 1e-5)


def test_no_table_of_many_classes():
    """Neither the pairs of classes nor rows x classes x features are held."""
    tracemalloc = pytest.importorskip("tracemalloc")
    n_classes, d = 6000, 8
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, d))
    detector = FDBDDetector(LinearHead(rng.normal(size=(n_classes, d))))
    detector.partial_fit(X)
    tracemalloc.start()
    scores = detector.score_samples(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * n_classes**2 / 2
    some = slice(0, 3)
    expected = oracle.fdbd(X, X[some], detector.head.coef, np.zeros(n_classes))
    assert_close(scores[some], expected, 1e-10)


# -- the mean, one class, collapse -----------------------------------------------


@dtypes
def test_row_at_the_mean(library, dtype):
    """It has no direction; the distances from boundaries are over rounding."""
    rng = np.random.default_rng(1)
    X = rng.integers(-4, 5, size=(40, D)).astype(dtype)
    X = np.vstack([X, -X])
    zero = np.zeros((1, D), dtype=dtype)
    nci = scores_of(library, NCIDetector(HEAD, alpha=ALPHA), X, None, zero)
    assert_array_equal(nci, 0)
    moved = scores_of(library, NCIDetector(HEAD, alpha=ALPHA), X + 2, None, zero + 2)
    assert_allclose(moved, ALPHA * 2 * D, rtol=1e-6)
    fdbd = FDBDDetector(HEAD)
    at_mean = scores_of(library, fdbd, X, None, zero)
    others = library.to_numpy(fdbd.score_samples(library.asarray(X)))
    assert np.isfinite(at_mean).all()
    assert at_mean[0] > 1e4 * others.max()
    tiny = library.to_numpy(fdbd.score_samples(library.asarray(zero + 1e-3)))
    assert others.max() < tiny[0] < at_mean[0]
    # Where a boundary runs through the mean, 0 / 0.
    through = FDBDDetector(LinearHead([[1.0] * D, [-1.0] * D]))
    assert_array_equal(scores_of(library, through, X, None, zero), 0)


@pytest.mark.parametrize("y", [None, np.zeros(120)], ids=["none", "one"])
def test_one_class(library, y):
    """Never a constant score."""
    X, _, new = make_data()
    scores = scores_of(library, NCIDetector(alpha=ALPHA), X, y, new)
    assert_close(scores, ALPHA * np.abs(new).sum(axis=1), 1e-12)
    scores = scores_of(library, FDBDDetector(), X, y, new)
    assert_close(scores, -np.linalg.norm(new - X.mean(axis=0), axis=1), 1e-12)
    for call in ("fit", "partial_fit"):
        detector = NCIDetector(alpha=0)
        with pytest.raises(ValueError, match="alpha=0 leaves no score for one class"):
            getattr(detector, call)(library.asarray(X), y).calibrate(library.asarray(X))


@dtypes
@kinds
def test_collapsed_rows(library, kind, dtype):
    """Each class one point, far from each other or not: rows in between are told."""
    rng = np.random.default_rng(2)
    means = np.linalg.qr(rng.normal(size=(D, C)))[0].T
    y = np.arange(80) % C
    for noise in (0.0, 1e-5):
        X = (means[y] + noise * rng.normal(size=(80, D)) + 3).astype(dtype)
        between = ((means[y] + means[(y + 1) % C]) / 2 + 3).astype(dtype)
        detector = detector_of(kind, alpha=1e-6) if kind == "nci" else FDBDDetector()
        inside = scores_of(library, detector, X, y, X)
        outside = library.to_numpy(detector.score_samples(library.asarray(between)))
        assert np.isfinite(inside).all()
        assert np.isfinite(outside).all()
        assert oracles.auroc(inside.tolist(), outside.tolist()) > 0.99


@kinds
def test_more_features_than_rows_and_single_rows(library, kind):
    rng = np.random.default_rng(3)
    X, new = rng.normal(size=(12, 30)), rng.normal(size=(5, 30))
    for y in (np.arange(12) % 3, np.arange(12), np.minimum(np.arange(12), 1)):
        scores = scores_of(library, detector_of(kind), X, y, new)
        assert np.isfinite(scores).all()
        assert len(set(scores)) == 5


@kinds
def test_classes_that_coincide(library, kind):
    """Their weights are equal: no boundary, and no direction."""
    X, _, new = make_data()
    twice, y = np.vstack([X, X]), np.repeat([0, 1], len(X))
    head = LinearHead([COEF[0], COEF[0]])
    for given in ("lda", head):
        scores = scores_of(library, detector_of(kind, given), twice, y, new)
        assert np.isfinite(scores).all()
        assert len(np.unique(scores)) == len(new)


# -- errors ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": GaussianNB()}, "GaussianNB has no coef_"),
        ({"head": LinearHead(COEF[:3])}, r"lacks the classes \[3\]"),
        ({"head": LinearHead(COEF[:, :5])}, r"\(4, 5\), but X has 6 features"),
        ({"head": LinearHead(COEF, [1.0])}, "intercept must have shape"),
        *(({"head": h}, "'head'") for h in (None, "qda", 1)),
    ],
    ids=str,
)
@kinds
def test_errors(kind, options, message):
    X, y, new = make_data()
    detector = detector_of(kind, **options)
    with pytest.raises(ValueError, match=message):
        detector.fit(X, y)
    assert vars(detector).keys() == detector.get_params(deep=False).keys()
    detector = detector_of(kind).fit(X, y)
    expected = detector.decision_function(new)
    with pytest.raises(ValueError, match=message):
        detector.set_params(**options).fit(X, y)
    assert_array_equal(detector.set_params(head="lda").decision_function(new), expected)


def test_errors_of_unlabelled_rows():
    X, y, _ = make_data()
    for kind in (NCIDetector, FDBDDetector):
        with pytest.raises(ValueError, match="has to be fitted on labelled rows"):
            kind(LogisticRegression()).fit(X)
        with pytest.raises(ValueError, match="has to be fitted on rows"):
            kind(LogisticRegression()).partial_fit(X, y)
    for alpha in (-1, np.nan, "auto", None):
        with pytest.raises(ValueError, match="'alpha'"):
            NCIDetector(alpha=alpha).fit(X, y)


@pytest.mark.parametrize("head", ["lda", HEAD, LogisticRegression()], ids=str)
@kinds
def test_rows_that_are_not_finite_are_named(library, kind, head):
    X, y, new = make_data()
    detector = detector_of(kind, head).fit(library.asarray(X), y)
    for value, word in ((np.nan, "NaN"), (np.inf, "infinity")):
        bad = new.copy()
        bad[[5, 9], 3] = value
        with pytest.raises(ValueError, match=rf"X contains {word}.*row 5, column 3"):
            detector.score_samples(library.asarray(bad))


@dtypes
@kinds
def test_overflow_is_named(kind, dtype):
    X, y, new = (v.astype(dtype) if v.ndim > 1 else v for v in make_data())
    largest = np.finfo(dtype).max
    huge = new.copy()
    huge[3] = largest / 8
    steep = LinearHead(COEF * largest**0.9)
    for head, rows in (("lda", huge), (HEAD, huge), (steep, huge)):
        detector = detector_of(kind, head).fit(X, y)
        with pytest.raises(ValueError, match=f"Scores overflow {dtype}"):
            detector.score_samples(rows)


@dtypes
@pytest.mark.parametrize("unit", [1e-30, 1e30])
def test_unit_of_the_weights_cancels(library, unit, dtype):
    """Also where their squares would overflow."""
    X, y, new = (v.astype(dtype) if v.ndim > 1 else v for v in make_data())
    model = LogisticRegression().fit(X.astype(float), y)
    for head in (HEAD, FrozenEstimator(model)):
        expected = scores_of(library, FDBDDetector(head), X, y, new)
        if head is HEAD:
            other = LinearHead(unit * COEF, unit * INTERCEPT)
            scores = scores_of(library, FDBDDetector(other), X, y, new)
            assert_close(scores, expected, 1e-5)
    assert_close(expected, oracle.fdbd(X, new, model.coef_, model.intercept_), 1e-4)


# -- blocks, devices, other tools ------------------------------------------------


@pytest.mark.parametrize("head", ["lda", HEAD, LogisticRegression()], ids=str)
@kinds
@ways
def test_many_blocks(library, table, kind, head, monkeypatch):
    X, y, new = make_data()
    new = np.vstack([new + k for k in range(20)])
    whole = scores_of(library, detector_of(kind, head), X, y, new)
    if not table:
        without_table(monkeypatch)
    monkeypatch.setattr(_arrays, "_BLOCK_BYTES", 1)
    assert_close(scores_of(library, detector_of(kind, head), X, y, new), whole, 1e-9)


@pytest.mark.parametrize("head", ["lda", HEAD, LogisticRegression()], ids=str)
@kinds
@ways
def test_numpy_rows_on_another_device(table, kind, head, monkeypatch):
    """Main memory stands for a GPU."""
    torch = pytest.importorskip("torch")
    X, y, new = make_data()
    expected = detector_of(kind, head).fit(X, y).decision_function(new)
    if not table:
        without_table(monkeypatch)
    monkeypatch.setattr(_arrays, "gpu_for", lambda device, work: torch.empty(0))
    found = detector_of(kind, head).fit(X, y).decision_function(new)
    assert isinstance(found, np.ndarray)
    assert_close(found, expected, 1e-7)


@pytest.mark.parametrize("head", ["lda", HEAD, LogisticRegression()], ids=str)
@kinds
def test_moving(kind, head):
    """Fitted on NumPy rows, asked with tensors, and back."""
    torch = pytest.importorskip("torch")
    X, y, new = make_data()
    fitted = detector_of(kind, head).fit(X, y)
    expected = fitted.decision_function(new)
    moved = move_estimator(fitted, torch.zeros(0))
    found = moved.decision_function(torch.asarray(new))
    assert isinstance(found, torch.Tensor)
    assert_close(found.numpy(), expected, 1e-7)
    back = move_estimator(moved, "numpy")
    assert_close(back.decision_function(new), expected, 1e-7)


@kinds
@pytest.mark.filterwarnings("ignore::RuntimeWarning:sklearn")
def test_our_checks_with_heads_that_need_labels(kind):
    ran = estimator_checks.check_estimator(detector_of(kind, LogisticRegression()))
    assert len(ran) == len(estimator_checks.estimator_checks())


@pytest.mark.parametrize("given", [True, False])
@kinds
def test_bundled_features(kind, given):
    """Scores and AUROC of all sets, near to exact although rows are float32."""
    bunch = load_cifar8_features()
    train = bunch.data.astype(float)
    coef, b = bunch.coef.astype(float), bunch.intercept.astype(float)
    if not given:
        coef, b = oracle.lda(train, bunch.target)
    detector = detector_of(kind, bunch.head if given else "lda")
    detector.fit(bunch.data, bunch.target)
    inside = detector.score_samples(bunch.X_test)
    exact = expected_of(kind, train, bunch.X_test, coef, b)
    assert_close(inside, exact, 1e-4)
    for rows in bunch.ood.values():
        scores = detector.score_samples(rows)
        expected = expected_of(kind, train, rows, coef, b)
        assert_close(scores, expected, 1e-4)
        found = oracles.auroc(inside.tolist(), scores.tolist())
        exactly = oracles.auroc(exact.tolist(), expected.tolist())
        assert found == pytest.approx(exactly, abs=1e-4)
        assert found > 0.6
