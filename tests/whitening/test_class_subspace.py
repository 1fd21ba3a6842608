"""Tests of ClassSubspaceProjector against its formulas, and on degenerate data."""

import re

import numpy as np
import oracles_whitening as oracle
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags

from sklearn_collapse import ClassMoments
from sklearn_collapse.datasets import load_cifar8_features, make_collapsed_features
from sklearn_collapse.metrics import nc1_pinv, nc2_etf_error
from sklearn_collapse.ood import MahalanobisDetector
from sklearn_collapse.whitening import ClassSubspaceProjector

KEEP = ("between", "within")

keeps = pytest.mark.parametrize("keep", KEEP)


def make_rows(seed=0, n=120, d=6, n_classes=4):
    """Correlated rows of classes of different size, far from the origin."""
    rng = np.random.default_rng(seed)
    shares = np.arange(1.0, n_classes + 1)
    bounds = np.cumsum(shares / shares.sum())
    y = rng.permutation(np.searchsorted(bounds, np.arange(n) / n, side="right"))
    means = 2 * rng.normal(size=(n_classes, d)) + 3
    return means[y] + rng.normal(size=(n, d)) @ rng.normal(size=(d, d)), y


def fit(keep="between", X=None, y=None, weights=None, **options):
    if X is None:
        X, y = make_rows()
    return ClassSubspaceProjector(keep, **options).fit(X, y, sample_weight=weights)


def centred(X):
    X = np.asarray(X, dtype=float)
    return X - X.mean(axis=0)


def class_means(Z, y):
    return np.array([np.asarray(Z, float)[y == c].mean(axis=0) for c in np.unique(y)])


def equal_means(n=40, d=5, offset=0.0, dtype=float):
    """Two classes that hold the same rows."""
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(n, d)) + offset).astype(dtype)
    order = rng.permutation(2 * n)
    return np.concatenate([rows, rows])[order], np.repeat(["a", "b"], n)[order]


# -- against the oracle --------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_components", [None, 1, 2, 3])
@keeps
def test_against_the_oracle(library, keep, n_components, weighted):
    X, y = make_rows()
    weights = np.arange(len(X)) % 3 / 2 if weighted else None
    projector = fit(
        keep, library.asarray(X), y, weights=weights, n_components=n_components
    )
    k = n_components or 3
    assert projector.rank_ == 3
    assert projector.n_components_ == k
    mean, values, vectors = oracle.between_directions(X, y, weights)
    expected = {
        "mean_": mean,
        "eigenvalues_": values[:3],
        "means_": [np.average(X[y == c], 0, _of(weights, y == c)) for c in range(4)],
    }
    for name, value in expected.items():
        got = getattr(projector, name)
        assert library.owns(got), name
        assert_allclose(library.to_numpy(got), value, rtol=1e-11, err_msg=name)
    components = library.to_numpy(projector.components_)
    wanted = oracle.up_to_signs(vectors[:, :k].T, components)
    assert_allclose(components, wanted, atol=1e-11)
    assert all(row[np.argmax(np.abs(row))] > 0 for row in components)
    assert_array_equal(projector.classes_, range(4))
    assert projector.n_features_in_ == 6
    assert projector.device_ == "cpu"

    new = make_rows(seed=1)[0]
    Z = projector.transform(library.asarray(new))
    assert library.owns(Z)
    along = vectors[:, :k] @ vectors[:, :k].T
    part = (new - mean) @ (along if keep == "between" else np.eye(6) - along)
    assert_allclose(library.to_numpy(Z), part, atol=1e-11)
    back = projector.inverse_transform(Z)
    assert library.owns(back)
    assert_allclose(library.to_numpy(back), mean + part, atol=1e-11)


def _of(weights, rows):
    return None if weights is None else weights[rows]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@keeps
def test_precisions(library, keep, dtype):
    if dtype == "float16" and library.name == "array_api_strict":
        return  # the standard has no such dtype
    X, y = make_rows()
    X = X.astype(dtype)
    rows = library.asarray(X)
    Z = library.to_numpy(fit(keep, rows, y).transform(rows))
    assert Z.dtype == ("float64" if dtype == "float64" else "float32")
    expected = oracle.class_split(X, y, 3)[KEEP.index(keep)]
    assert_allclose(Z, expected, atol=1e-11 if dtype == "float64" else 2e-5)


@pytest.mark.parametrize("share", [0.2, 0.6, 0.9, 0.999])
def test_share_of_the_variance(share):
    X, y = make_rows()
    values = oracle.between_directions(X, y)[1][:3]
    reached = np.cumsum(values) / values.sum()
    k = 1 + int(np.argmax(reached >= share))
    assert fit(X=X, y=y, n_components=share).n_components_ == k
    for keep, part in zip(KEEP, oracle.class_split(X, y, k), strict=True):
        projector = fit(keep, X, y, n_components=share)
        assert_allclose(projector.transform(X), part, atol=1e-11)


def test_every_share_of_these_rows_is_tested():
    X, y = make_rows()
    found = {fit(X=X, y=y, n_components=s).n_components_ for s in (0.2, 0.9, 0.999)}
    assert found == {1, 2, 3}


# -- what it is for ------------------------------------------------------------------


def test_class_means_go_one_way():
    X, y = make_rows()
    inside, outside = (fit(keep, X, y).transform(X) for keep in KEEP)
    means = class_means(X, y) - X.mean(axis=0)
    assert_allclose(class_means(inside, y), means, atol=1e-12)
    assert_allclose(class_means(outside, y), 0, atol=1e-12)


def test_collapse_metrics_live_between():
    """NC1 and NC2 look at the span of the class means alone."""
    X, y = make_rows()
    inside = fit("between", X, y).transform(X)
    assert_allclose(nc1_pinv(inside, y), nc1_pinv(X, y), rtol=1e-10)
    assert_allclose(nc2_etf_error(inside, y), nc2_etf_error(X, y), rtol=1e-10)


def test_no_linear_model_finds_the_classes():
    data = load_cifar8_features()
    X, y = data.data[::8].astype(float), np.clip(data.target[::8] - 3, 0, 2)
    model = LogisticRegression(max_iter=2000)
    assert model.fit(X, y).score(X, y) > 0.8
    Z = fit("within", X, y).transform(X)
    model.fit(Z, y)
    assert_allclose(model.coef_, 0, atol=1e-3)
    assert_array_equal(np.bincount(y), [500, 125, 375])
    assert_array_equal(model.predict(Z), 0)
    ridge = Ridge(alpha=1e-6).fit(Z, np.eye(3)[y])
    assert np.abs(ridge.coef_).max() < 1e-6


def test_leading_directions_are_removed_first():
    """What is left of the class means has the eigenvalues that were not removed."""
    X, y = make_rows()
    values = fit(X=X, y=y).eigenvalues_
    Z = fit("within", X, y, n_components=1).transform(X)
    again = fit("between", Z, y)
    assert again.rank_ == 2
    assert_allclose(again.eigenvalues_, values[1:], rtol=1e-10)


# -- degenerate class means ------------------------------------------------------------


def degenerate_rows():
    """Name to rows, labels and the rank of their class means."""
    X, y = make_rows()
    rng = np.random.default_rng(2)
    line = np.linspace(-1, 1, 4)[:, None] * rng.normal(size=6)
    noise = X - class_means(X, y)[y]
    many = np.arange(len(X)) % 40
    wide = rng.normal(size=(30, 80))
    return {
        "two classes": (X, y > 1, 1),
        "means on a line": (line[y] + noise, y, 1),
        "more classes than features": (X, many, 6),
        "one feature": (X[:, :1], y, 1),
        "constant column": (np.insert(X, 2, 7.0, axis=1), y, 3),
        "copied columns": (np.hstack([X, X]), y, 3),
        "fewer rows than features": (wide, np.arange(30) % 4, 3),
        "one row per class": (wide[:9], np.arange(9), 8),
        "rare class": (X, np.where(np.arange(len(X)) == 5, 9, y % 2), 2),
        "collapsed": (class_means(X, y)[y], y, 3),
        "offset": (X + 1e6, y, 3),
        "scale 1e-8": (1e-8 * X, y, 3),
        "scale 1e8": (1e8 * X, y, 3),
    }


DEGENERATE = degenerate_rows()


@keeps
@pytest.mark.parametrize("name", DEGENERATE)
def test_rank_and_projection(library, name, keep):
    X, y, rank = DEGENERATE[name]
    projector = fit(keep, library.asarray(X), y)
    assert projector.rank_ == projector.n_components_ == rank
    Z = library.to_numpy(projector.transform(library.asarray(X)))
    expected = oracle.class_split(X, y, rank)[KEEP.index(keep)]
    assert_allclose(Z, expected, atol=1e-9 * np.abs(centred(X)).max())


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_rounding_of_the_input_is_no_direction(dtype):
    """Means on a line, far from the origin, leave it by the spacing of the dtype."""
    X, y, _ = DEGENERATE["means on a line"]
    X = (X + 200).astype(dtype)
    assert fit(X=X, y=y).rank_ == 1
    assert fit(X=X.astype(float), y=y).rank_ == 3  # exact numbers, they do differ


@pytest.mark.parametrize(
    ("offset", "dtype"), [(0.0, "float64"), (1e5, "float64"), (1e3, "float32")]
)
def test_class_means_that_coincide(library, offset, dtype):
    X, y = equal_means(offset=offset, dtype=dtype)
    unfitted = ClassSubspaceProjector()
    with pytest.raises(ValueError, match="All class means coincide"):
        unfitted.fit(library.asarray(X), y)
    assert not hasattr(unfitted, "moments_")
    streamed = unfitted.partial_fit(library.asarray(X), y)
    with pytest.raises(ValueError, match="All class means coincide"):
        streamed.transform(library.asarray(X))

    for n_components in (None, 0.5):
        within = fit("within", library.asarray(X), y, n_components=n_components)
        assert within.rank_ == within.n_components_ == 0
        assert tuple(within.components_.shape) == (0, 5)
        Z = within.transform(library.asarray(X))
        tolerance = 1e-7 if dtype == "float32" else 1e-10
        assert_allclose(library.to_numpy(Z), centred(X), atol=tolerance)
        back = library.to_numpy(within.inverse_transform(Z))
        assert_allclose(back, X, rtol=1e-7)
    with pytest.raises(ValueError, match="n_components=1 is more than the rank 0"):
        fit("within", library.asarray(X), y, n_components=1)


@pytest.mark.parametrize("keep", KEEP)
def test_small_parts_keep_their_digits(library, keep):
    """float32 products would leave two digits of a part 1e-5 the size of the rows."""
    small, large = 1e-5, 1.0
    X, y = make_collapsed_features(400, 4, 30, nc1=1.0, rank=3, random_state=0)
    inside = centred(X)
    free = np.linalg.svd(inside)[2][3:]
    other = np.random.default_rng(0).normal(size=(400, 27)) @ free
    other -= class_means(other, y)[y]
    if keep == "between":
        X = small * inside + large * other
    else:
        X = large * inside + small * other
    X = X.astype(np.float32)
    projector = fit(keep, library.asarray(X), y)
    assert projector.rank_ == 3
    Z = library.to_numpy(projector.transform(library.asarray(X)))
    assert Z.dtype == np.float32
    expected = oracle.class_split(X, y, 3)[KEEP.index(keep)]
    assert np.abs(Z - expected).max() < 1e-4 * expected.std()


def test_collapsed_rows_leave_nothing():
    X, y = make_collapsed_features(60, 4, 10, nc1=0.0, random_state=0)
    for dtype in (np.float64, np.float32):
        rows = X.astype(dtype)
        assert np.abs(fit("within", rows, y).transform(rows)).max() < 1e-15


@keeps
def test_nothing_of_size_d_by_d_is_applied(keep):
    X, y = make_rows(d=200)
    projector = fit(keep, X, y)
    maps = projector._fitted()
    for linear in (maps.forward, maps.backward):
        assert max(part.size for part in linear if part is not None) == 3 * 200
    expected = oracle.class_split(X, y, 3)[KEEP.index(keep)]
    assert_allclose(projector.transform(X), expected, atol=1e-10)


# -- errors and warnings ---------------------------------------------------------------


@keeps
def test_more_components_than_the_rank(keep):
    X, y = make_rows()
    message = "n_components=4 is more than the rank 3 of the means of 4 classes"
    unfitted = ClassSubspaceProjector(keep, n_components=4)
    with pytest.raises(ValueError, match=message):
        unfitted.fit(X, y)
    with pytest.raises(NotFittedError):
        unfitted.transform(X)
    with pytest.raises(ValueError, match=message):
        unfitted.fit_moments(ClassMoments.from_arrays(X, y))
    assert not hasattr(unfitted, "moments_")
    streamed = unfitted.partial_fit(X, y)
    with pytest.raises(ValueError, match=message):
        streamed.transform(X)
    streamed.set_params(n_components=3).transform(X)


@keeps
def test_two_classes_are_needed(keep):
    X, y = make_rows()
    with pytest.raises(ValueError, match=r"y holds 1 class \(\[7\]\)"):
        fit(keep, X, np.full(len(X), 7))
    with pytest.raises(ValueError, match="requires y to be passed"):
        fit(keep, X, None)
    with pytest.raises(ValueError, match="y holds 1 class"):
        ClassSubspaceProjector(keep).fit_moments(ClassMoments.from_arrays(X))
    # A stream may begin with one class.
    streamed = ClassSubspaceProjector(keep)
    for c in range(4):
        streamed.partial_fit(X[y == c], y[y == c])
        if not c:
            with pytest.raises(ValueError, match="y holds 1 class"):
                streamed.transform(X)
    assert_allclose(streamed.transform(X), fit(keep, X, y).transform(X), atol=1e-11)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("n_components", v) for v in (0, -1, 0.0, 1.0, 1.5, "mle")],
        *[("keep", v) for v in ("total", None, "Between")],
        ("device", None),
    ],
)
def test_parameters_out_of_range(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of ClassSubspace"):
        fit(**{name: value})


@keeps
def test_cutting_a_tie_warns(library, keep):
    """A simplex has no leading direction."""
    X, y = make_collapsed_features(100, 5, 8, nc1=0.1, random_state=0)
    rows = library.asarray(X)
    for k in (1, 3):
        message = re.escape(f"eigenvalues {k} and {k + 1} are equal")
        with pytest.warns(UserWarning, match=message) as caught:
            ClassSubspaceProjector(keep, n_components=k).fit(rows, y)
        assert caught[0].filename == __file__
    for k in (4, None):
        fit(keep, rows, y, n_components=k)  # warnings are errors


# -- estimator -------------------------------------------------------------------------


@keeps
def test_moments_from_elsewhere(keep):
    X, y = make_rows()
    moments = ClassMoments.from_batches([(X[:50], y[:50]), (X[50:], y[50:])])
    expected = fit(keep, X, y).transform(X)
    adopted = ClassSubspaceProjector(keep).fit_moments(moments)
    assert_allclose(adopted.transform(X), expected, atol=1e-11)
    twice = adopted.partial_fit(X, y)
    assert twice.moments_.n_samples_ == 2 * len(X)
    assert moments.n_samples_ == len(X)
    assert_allclose(twice.transform(X), expected, atol=1e-11)


@keeps
def test_names_of_columns(keep):
    pandas = pytest.importorskip("pandas")
    X, y = make_rows()
    frame = pandas.DataFrame(X, columns=list("abcdef"))
    projector = fit(keep, frame, y, n_components=2).set_output(transform="pandas")
    assert list(projector.transform(frame).columns) == list("abcdef")


def test_parameters_can_change_after_fit():
    X, y = make_rows()
    projector = fit("between", X, y)
    projector.set_params(keep="within", n_components=2)
    expected = fit("within", X, y, n_components=2)
    assert_array_equal(projector.transform(X), expected.transform(X))


def test_pipeline_with_a_detector():
    data = load_cifar8_features()
    model = make_pipeline(ClassSubspaceProjector(), MahalanobisDetector())
    model.fit(data.data, data.target)
    scores = model.score_samples(data.X_test)
    assert scores.shape == (len(data.X_test),)
    # The detector sees seven directions, and says so of no other.
    rank = model[-1].moments_._spectrum().rank
    assert rank == model[0].rank_ == 7


def test_tags():
    tags = get_tags(ClassSubspaceProjector())
    assert tags.target_tags.required
    assert tags.transformer_tags.preserves_dtype == ["float64", "float32"]
