"""Tests of the classifier by class subspaces against loops, and on degenerate data."""

import copy
import pickle
import warnings

import numpy as np
import oracles_subspaces as oracles
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_collapse import ClassMoments
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.etf import GrassmannClassifier
from sklearn_collapse.metrics import CollapseWarning
from sklearn_collapse.utils import move_estimator

CASES = (
    *("plain", "single rows", "many classes", "wide", "collapsed", "constant"),
    *("doubled", "offset", "1e-6", "1e6"),
)
WANTED = (1, 3, 50, 0.5, 0.95)


def make_data(case="plain"):
    """Labelled rows and new rows, some of which are far off."""
    rng = np.random.default_rng(0)
    n, d, n_classes = 90, 7, 4
    if case == "many classes":
        n_classes = 30
    elif case == "wide":
        d = 120
    elif case == "single rows":
        n = n_classes
    y = np.arange(n) % n_classes
    y[0] = 0
    means = rng.normal(size=(n_classes, d)) + 0.5
    spread = np.linspace(0.2, 1.5, d) * (1 + y[:, None])
    X = means[y] + spread * rng.normal(size=(n, d))
    new = 2 * rng.normal(size=(40, d)) + 0.5
    if case == "collapsed":
        X = means[y]
    elif case == "constant":
        X[:, 2] = 3.7
    elif case == "doubled":
        X, new = np.hstack([X, X]), np.hstack([new, new])
    elif case == "offset":
        X, new = X + 1e4, new + 1e4
    elif case.startswith("1e"):
        X, new = float(case) * X, float(case) * new
    return X, y, new


def probed(classifier, new):
    return np.asarray(classifier.decision_function(new))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("wanted", WANTED)
def test_against_loops(case, centered, wanted):
    X, y, new = make_data(case)
    m, subspaces, moments = oracles.fitted(X, y, wanted, centered)
    classifier = GrassmannClassifier(wanted, centered=centered).fit(X, y)
    assert_array_equal(classifier.n_components_, [S.shape[1] for S in subspaces])
    atol = 1e-6 if case == "offset" else 1e-9
    expected = oracles.logits(new, subspaces, m)
    assert_allclose(probed(classifier, new), expected, rtol=atol, atol=atol)
    assert_array_equal(classifier.predict(new), expected.argmax(axis=1))
    assert_allclose(classifier.centre_, m, rtol=1e-12)
    found = classifier.subspaces_
    assert found.shape == (len(subspaces), X.shape[1], classifier.n_components_.max())
    for c, S in enumerate(subspaces):
        assert_allclose(found[c] @ found[c].T, S @ S.T, atol=atol)
        values = np.linalg.eigvalsh(moments[c])[::-1]
        assert_allclose(classifier.eigenvalues_[c], values, atol=1e-12 * values[0])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("wanted", [2, 0.8])
@pytest.mark.parametrize("weighted", [False, True])
def test_libraries(library, dtype, centered, wanted, weighted):
    X, y, new = (a.astype(dtype) if a.ndim == 2 else a for a in make_data())
    weights = np.random.default_rng(1).integers(0, 4, len(X)) if weighted else None
    exact = X.astype(float), y, wanted, centered, weights
    m, subspaces, _ = oracles.fitted(*exact)
    expected = oracles.logits(new.astype(float), subspaces, m, 4.0)
    classifier = GrassmannClassifier(wanted, centered=centered, gamma=4.0)
    classifier.fit(library.asarray(X), library.asarray(y), sample_weight=weights)
    logits = classifier.decision_function(library.asarray(new))
    for array in (logits, classifier.subspaces_, classifier.eigenvalues_):
        assert library.owns(array)
    assert library.owns(classifier.centre_)
    assert str(logits.dtype).endswith(dtype)
    rtol = 1e-9 if dtype == "float64" else 1e-5
    assert_allclose(np.asarray(logits), expected, rtol=rtol, atol=rtol)
    predicted = classifier.predict(library.asarray(new))
    assert library.owns(predicted)
    assert_array_equal(np.asarray(predicted), expected.argmax(axis=1))
    proba = np.exp(expected) / np.exp(expected).sum(axis=1, keepdims=True)
    found = classifier.predict_proba(library.asarray(new))
    assert_allclose(np.asarray(found), proba, rtol=10 * rtol)


@pytest.mark.parametrize("centered", [True, False])
def test_is_the_svd_of_the_rows(centered):
    X, y, _ = make_data()
    weights = np.random.default_rng(1).uniform(0.5, 2, len(X))
    classifier = GrassmannClassifier(3, centered=centered)
    classifier.fit(X, y, sample_weight=weights)
    for c in range(4):
        rows = np.sqrt(weights[y == c])[:, None] * (X[y == c] - classifier.centre_)
        _, values, right = np.linalg.svd(rows, full_matrices=False)
        S = classifier.subspaces_[c]
        assert_allclose(S @ S.T, right[:3].T @ right[:3], atol=1e-12)
        squares = values**2 / weights[y == c].sum()
        assert_allclose(classifier.eigenvalues_[c], squares, rtol=1e-10)


def test_float32_far_from_the_origin():
    X, y, new = make_data()
    X, new = ((a + 1e4).astype(np.float32) for a in (X, new))
    m, subspaces, _ = oracles.fitted(X.astype(float), y, 2, True)
    expected = oracles.logits(new.astype(float), subspaces, m)
    classifier = GrassmannClassifier(centered=True).fit(X, y)
    # As precise as float32 rows near the origin: centring loses nothing.
    assert_allclose(classifier.decision_function(new), expected, atol=3e-5)
    centre32 = oracles.logits((new - m.astype(np.float32)).astype(float), subspaces, 0)
    assert np.abs(centre32 - expected).max() > 3e-4


@pytest.mark.parametrize("size", [1e-36, 1e-25, 1e-18, 1e10, 1e18, 1e36])
@pytest.mark.parametrize(
    ("centered", "which"), [(True, slice(None)), (False, slice(None)), (False, 2)]
)
def test_squares_at_the_limits_of_float32(library, size, centered, which):
    """Of all rows, or of those of one class."""
    X, y, new = make_data()
    factor = np.ones(4)
    factor[which] = size
    X = (factor[y][:, None] * X).astype(np.float32)
    new = (new[:, None, :] * np.unique(factor)[:, None]).reshape(-1, 7)
    new = new.astype(np.float32)
    # Scaled back exactly, or nearly so: the oracle squares in float64.
    unit = 2.0 ** -np.floor(np.log2(np.abs(X).max()))
    exact = unit * X.astype(float), y, 2, centered
    m, subspaces, _ = oracles.fitted(*exact, tol=1e-200)
    expected = oracles.logits(unit * new.astype(float), subspaces, m)
    classifier = GrassmannClassifier(2, centered=centered)
    classifier.fit(library.asarray(X), y)
    found = probed(classifier, library.asarray(new))
    assert found.dtype == np.float32
    assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("centered", [True, False])
def test_no_ties_where_squares_of_eigenvalues_overflow(centered):
    X, y, new = make_data()
    plain = GrassmannClassifier(2, centered=centered).fit(X, y)
    huge = GrassmannClassifier(2, centered=centered).fit(1e150 * X, y)
    assert_allclose(probed(huge, 1e150 * new), probed(plain, new), rtol=1e-9)


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_planted_subspaces_are_recovered(noise, offset):
    args = {"noise": noise, "offset": offset}
    X, y, frames, _ = oracles.planted(6, 20, 3, 400, **args)
    new, labels, _, _ = oracles.planted(6, 20, 3, 100, seed=0, **args)
    classifier = GrassmannClassifier(3, centered=True).fit(X, y)
    assert classifier.score(new, labels) == 1
    limit = 1e-10 if noise == 0 else 0.1
    for S, frame in zip(classifier.subspaces_, frames, strict=True):
        assert np.linalg.norm(S @ S.T - frame @ frame.T, 2) < limit
    # They share their means: points do not tell these classes apart.
    assert NearestCentroid().fit(X, y).score(new, labels) < 0.5
    if noise == 0:
        assert_array_equal(
            GrassmannClassifier(50, centered=True).fit(X, y).n_components_, 3
        )
        assert_array_equal(
            GrassmannClassifier(0.999, centered=True).fit(X, y).n_components_, 3
        )


def test_collapsed_features_are_lines():
    X, y, _ = make_data("collapsed")
    classifier = GrassmannClassifier(5, centered=True).fit(X, y)
    assert_array_equal(classifier.n_components_, 1)
    offsets = classifier.means_ - classifier.centre_
    lines = offsets / np.linalg.norm(offsets, axis=1)[:, None]
    cosines = np.abs(np.sum(classifier.subspaces_[:, :, 0] * lines, axis=1))
    assert_allclose(cosines, 1, rtol=1e-12)
    own = classifier.decision_function(classifier.means_)
    assert_allclose(np.diagonal(own), 25, rtol=1e-12)
    assert classifier.score(X, y) == 1


def test_class_means_count_alike():
    X, y, new = make_data()
    weights = np.where(y == 1, 7.0, 1.0)
    one = GrassmannClassifier(centered=True).fit(X, y)
    other = GrassmannClassifier(centered=True).fit(X, y, sample_weight=weights)
    assert_allclose(probed(other, new), probed(one, new), rtol=1e-10)


@pytest.mark.parametrize("wanted", [2, 50, 0.99])
def test_columns_that_add_no_direction_change_nothing(library, wanted):
    X, y, new = make_data()
    plain = probed(GrassmannClassifier(wanted, centered=True).fit(X, y), new)
    assert np.ptp(plain, axis=1).min() > 1e-3
    turn = oracles.random_frame(np.random.default_rng(2), 12, 7)
    for spoil in (
        lambda a: np.hstack([a, a]),
        lambda a: np.hstack([a, np.full((len(a), 3), 3.7)]),
        lambda a: a @ turn.T,
    ):
        classifier = GrassmannClassifier(wanted, centered=True).fit(
            library.asarray(spoil(X)), y
        )
        assert_allclose(probed(classifier, library.asarray(spoil(new))), plain)


# -- rows and classes at the centre ----------------------------------------------------


@pytest.mark.parametrize("centered", [True, False])
def test_a_row_at_the_centre(library, centered):
    X, y, _ = make_data()
    X = np.concatenate([X, -X])  # all class means are the origin
    y = np.concatenate([y, y])
    classifier = GrassmannClassifier(centered=centered).fit(library.asarray(X), y)
    row = np.asarray(classifier.centre_)[None, :]
    assert_array_equal(probed(classifier, library.asarray(row)), 0)
    proba = np.asarray(classifier.predict_proba(library.asarray(row)))
    assert_array_equal(proba, 0.25)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shift", [0.0, 0.1, 1e5])
def test_a_class_at_the_centre_has_no_direction(library, dtype, shift):
    means = np.array([[-1.0, -0.1, 0.3], [0, 0, 0], [1.0, 0.1, -0.3]])
    y = np.arange(30) % 3
    X = (means[y] + shift).astype(dtype)
    classifier = GrassmannClassifier(centered=True).fit(library.asarray(X), y)
    assert_array_equal(classifier.n_components_, [1, 0, 1])
    assert_array_equal(probed(classifier, library.asarray(X))[:, 1], 0)
    assert_array_equal(np.asarray(classifier.subspaces_)[1], 0)
    assert_array_equal(np.asarray(classifier.eigenvalues_)[1], 0)


@pytest.mark.parametrize("n_classes", [3, 31, 301])
def test_a_class_at_a_centre_of_many(library, n_classes):
    """Rounding of the sum over the class means is no direction either."""
    y = np.repeat(np.arange(n_classes), 2)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        point = 1e3 * rng.normal(size=4)
        side = point + rng.normal(size=(n_classes // 2, 4))
        means = np.concatenate([point[None, :], side, 2 * point - side])
        classifier = GrassmannClassifier(1, centered=True).fit(
            library.asarray(means[y]), y
        )
        assert_array_equal(classifier.n_components_, np.arange(n_classes) > 0)


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_no_direction_at_all(value):
    X = np.full((6, 3), value)
    classifier = GrassmannClassifier(centered=True)
    with pytest.raises(ValueError, match=r"All rows lie at the mean, .* no class has"):
        classifier.fit(X, np.arange(6) % 3)
    assert not hasattr(classifier, "moments_")
    plain = GrassmannClassifier(centered=False)
    if value:
        assert_array_equal(plain.fit(X, np.arange(6) % 3).n_components_, 1)
    else:
        with pytest.raises(ValueError, match="All rows lie at the origin"):
            plain.fit(X, np.arange(6) % 3)


# -- warnings and errors ---------------------------------------------------------------


def test_a_cut_inside_a_tie_warns_once():
    X = np.concatenate([np.diag([4.0, 4, 1]), np.diag([5.0, 4, 3])])
    y = ["a"] * 3 + ["b"] * 3
    message = r"In 1 of 2 classes \(\['a'\]\) .* n_components=1 keeps .* chance"
    with pytest.warns(UserWarning, match=message) as caught:
        classifier = GrassmannClassifier(1, centered=False).fit(X, y)
    classifier.predict(X)  # warnings are errors
    assert len(caught) == 1
    assert caught[0].filename == __file__
    # Keeping both of the tie depends on no choice.
    whole = GrassmannClassifier(2, centered=False).fit(X, y)
    S = whole.subspaces_[0]
    assert_allclose(S @ S.T, np.diag([1, 1, 0]), atol=1e-12)


@pytest.mark.parametrize("n_rows", [(40, 40), (10, 70)])
def test_two_classes_on_opposite_sides(n_rows):
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], n_rows)
    X = rng.normal(size=(80, 6)) + 10 * np.eye(2, 6)[y]
    with pytest.warns(CollapseWarning, match="Two class means .* centered=False"):
        classifier = GrassmannClassifier(1, centered=True).fit(X, y)
    # What the warning says.
    one, other = classifier.decision_function(classifier.means_)
    assert one == pytest.approx(other, abs=1e-12)
    assert classifier.score(X, y, sample_weight=1 / np.array(n_rows)[y]) < 0.8
    assert GrassmannClassifier(1, centered=False).fit(X, y + 5).score(X, y + 5) > 0.9


@pytest.mark.parametrize(("gap", "warns"), [(1.9, False), (2.1, True)])
@pytest.mark.parametrize("n_rows", [(32, 32), (64, 32)])
def test_two_classes_are_apart_by_two_deviations(gap, warns, n_rows):
    # Deviations 1.2 and 0.8 along the gap: the classes count alike.
    signs = np.array([[i, j] for i in (-1.0, 1.0) for j in (-3.0, 3.0)])
    X = np.concatenate([np.tile(signs, (n // 4, 1)) for n in n_rows])
    y = np.repeat([0, 1], n_rows)
    X[:, 0] *= np.array([1.2, 0.8])[y]
    X[:, 0] += gap * np.sqrt((1.2**2 + 0.8**2) / 2) * y + 1
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        GrassmannClassifier(1, centered=True).fit(X, y)
    assert [w.category for w in caught] == [CollapseWarning] * warns


def test_two_classes_that_scatter_differently():
    X, y, _, _ = oracles.planted(2, 10, 2, 200)
    assert GrassmannClassifier(2, centered=True).fit(X, y).score(X, y) == 1
    X += 0.01 * np.random.default_rng(0).normal(size=X.shape)
    assert GrassmannClassifier(2, centered=True).fit(X, y).score(X, y) > 0.95


def test_a_single_feature():
    X, y = np.arange(6.0)[:, None], np.arange(6) % 2
    with pytest.raises(ValueError, match="at least two features, got n_features=1"):
        GrassmannClassifier(centered=True).fit(X, y)


def test_a_single_class():
    X, _, new = make_data()
    with pytest.raises(ValueError, match="holds 1 class"):
        GrassmannClassifier(centered=True).fit(X, np.zeros(len(X)))
    later = GrassmannClassifier(centered=True).partial_fit(X, np.zeros(len(X)))
    with pytest.raises(ValueError, match="holds 1 class"):
        later.predict(new)


def test_moments_without_class_scatter():
    X, y, new = make_data()
    with pytest.raises(ValueError, match=r"ClassMoments\(class_scatter=True\)"):
        GrassmannClassifier(centered=True).fit_moments(ClassMoments.from_arrays(X, y))
    moments = ClassMoments.from_arrays(X, y, class_scatter=True)
    assert_allclose(
        probed(GrassmannClassifier(centered=True).fit_moments(moments), new),
        probed(GrassmannClassifier(centered=True).fit(X, y), new),
        rtol=1e-12,
    )


@pytest.mark.parametrize("bad", [0, -1, 1.0, 1.5, "all", None])
def test_n_components_out_of_range(bad):
    X, y, _ = make_data()
    with pytest.raises(ValueError, match="'n_components' parameter"):
        GrassmannClassifier(bad, centered=True).fit(X, y)


@pytest.mark.parametrize("bad", [0, -2.0, np.nan, "x"])
def test_gamma_out_of_range(bad):
    X, y, _ = make_data()
    with pytest.raises(ValueError, match="'gamma' parameter"):
        GrassmannClassifier(gamma=bad).fit(X, y)


def test_not_fitted():
    for name in ("subspaces_", "eigenvalues_", "n_components_", "centre_"):
        with pytest.raises(NotFittedError):
            getattr(GrassmannClassifier(centered=True), name)


# -- life among other estimators -------------------------------------------------------


@pytest.mark.parametrize(
    "change", [{"n_components": 3}, {"n_components": 0.8}, {"centered": False}]
)
def test_parameters_after_fit(change):
    """The subspaces follow the parameters, as every function of the moments does."""
    X, y, new = make_data()
    classifier = GrassmannClassifier(1, centered=True).fit(X, y)
    before = probed(classifier, new)
    classifier.set_params(**change)
    fresh = GrassmannClassifier(1, centered=True).set_params(**change).fit(X, y)
    assert_array_equal(probed(classifier, new), probed(fresh, new))
    assert np.abs(probed(fresh, new) - before).max() > 0.1


def test_string_labels(library):
    X, y, new = make_data()
    names = np.array(["d", "a", "c", "b"])[y]
    classifier = GrassmannClassifier(centered=True).fit(library.asarray(X), names)
    assert list(classifier.classes_) == ["a", "b", "c", "d"]
    plain = GrassmannClassifier(centered=True).fit(X, y)
    expected = np.array(["d", "a", "c", "b"])[plain.predict(new)]
    assert_array_equal(classifier.predict(library.asarray(new)), expected)
    assert classifier.score(library.asarray(X), names) == plain.score(X, y)


def test_stream_with_new_classes():
    X, y, new = make_data()
    order = np.argsort(y, kind="stable")
    classifier = GrassmannClassifier(0.8, centered=True)
    for rows in np.array_split(order, 9):
        classifier.partial_fit(X[rows], y[rows])
    whole = GrassmannClassifier(0.8, centered=True).fit(X, y)
    assert_allclose(probed(classifier, new), probed(whole, new), rtol=1e-10)
    # Further rows make new subspaces.
    before = probed(classifier, new)
    classifier.partial_fit(5 * X[:20], y[:20])
    assert np.abs(probed(classifier, new) - before).max() > 1e-3


@pytest.mark.parametrize("twin", [lambda x: pickle.loads(pickle.dumps(x)), copy.copy])
def test_copies(twin):
    X, y, new = make_data()
    classifier = GrassmannClassifier(centered=True).fit(X, y)
    assert_array_equal(probed(twin(classifier), new), probed(classifier, new))


def test_moves():
    torch = pytest.importorskip("torch")
    X, y, new = make_data()
    classifier = GrassmannClassifier(0.9, centered=True).fit(
        torch.asarray(X), torch.asarray(y)
    )
    there = probed(classifier, torch.asarray(new))
    assert_allclose(probed(move_estimator(classifier, "numpy"), new), there, rtol=1e-10)


def test_search_and_pipeline():
    X, y, _, _ = oracles.planted(4, 12, 3, 60, noise=0.3, offset=5.0)
    search = GridSearchCV(
        make_pipeline(
            StandardScaler(with_std=False), GrassmannClassifier(centered=True)
        ),
        {"grassmannclassifier__n_components": [1, 3, 11]},
        cv=3,
        error_score="raise",
    ).fit(X, y)
    assert search.best_params_ == {"grassmannclassifier__n_components": 3}
    assert search.score(X, y) > 0.95


def test_calibration():
    X, y, _, _ = oracles.planted(3, 12, 3, 90, noise=0.5)
    calibrated = CalibratedClassifierCV(
        GrassmannClassifier(3, centered=True), cv=3
    ).fit(X, y)
    proba = calibrated.predict_proba(X)
    assert_allclose(proba.sum(axis=1), 1)
    assert (proba.argmax(axis=1) == y).mean() > 0.9


def test_real_features():
    data = load_cifar8_features()
    X, y = data.data, data.target
    nearest = NearestCentroid().fit(X, y).score(data.X_test, data.y_test)
    plain = GrassmannClassifier(1, centered=False).fit(X, y)
    assert plain.score(data.X_test, data.y_test) > nearest
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for wanted in (1, 2, 10, 0.5):
            for centered in (True, False):
                classifier = GrassmannClassifier(wanted, centered=centered).fit(X, y)
                assert classifier.score(data.X_test, data.y_test) > 0.7
