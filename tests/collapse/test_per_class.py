"""Tests of the values of single classes, and of metrics of unit rows in the scorer."""

import math

import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse import ClassMoments, LinearHead
from sklearn_collapse.collapse import NeuralCollapseScorer, _class_metrics
from sklearn_collapse.metrics import CollapseWarning, _per_class, cdnv

WEIGHTINGS = [None, "balanced"]
COUNTS = [40, 22, 13]


def make_rows(counts=COUNTS, d=5, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    means = 2 * rng.normal(size=(len(counts), d)) + 0.5
    return means[y] + rng.normal(size=(len(y), d)), y


def make_head(n_classes=3, d=5):
    rng = np.random.default_rng(9)
    return LinearHead(rng.normal(size=(n_classes, d)), rng.normal(size=n_classes))


def nc1_per_class(X, y, class_weight):
    """tr(Sigma_c Sigma_B^+) / C by pinv of d x d matrices."""
    m = oracles.class_moments(X, y)
    _, _, _, between = oracles.covariances(X, y, class_weight)
    inverse = np.linalg.pinv(between, rcond=1e-10)
    return np.array(
        [
            np.trace(scatter / n @ inverse) / len(m["counts"])
            for scatter, n in zip(m["class_scatter"], m["counts"], strict=True)
        ]
    )


# -- values of single classes ---------------------------------------------------------


@pytest.mark.parametrize("class_weight", WEIGHTINGS)
def test_nc1_of_classes(library, class_weight):
    X, y = make_rows()
    truth = nc1_per_class(X, y, class_weight)
    rows = library.asarray(X)
    scorer = NeuralCollapseScorer(class_weight=class_weight, per_class=True)
    assert_allclose(scorer.fit(rows, y).nc1_per_class_, truth, rtol=1e-10)
    assert_array_equal(scorer.per_class_["nc1_pinv"], scorer.nc1_per_class_)
    # Their mean, weighted as the classes are, is NC1.
    shares = np.array(COUNTS) / sum(COUNTS) if class_weight is None else [1 / 3] * 3
    assert scorer.metrics_["nc1_pinv"] == pytest.approx(shares @ truth, rel=1e-10)
    # Also from the scatter of each class, without rows.
    moments = ClassMoments.from_arrays(rows, y, class_scatter=True)
    if class_weight == "balanced":
        scorer.set_params(per_class=False).fit_moments(moments)
        assert_allclose(scorer.nc1_per_class_, truth, rtol=1e-10)


@pytest.mark.parametrize("group", [2**23, 1])
def test_nc1_of_classes_in_groups(monkeypatch, group):
    monkeypatch.setattr(_per_class, "_GROUP", group)
    X, y = make_rows()
    scorer = NeuralCollapseScorer(class_weight="balanced").fit(X, y)
    assert_allclose(scorer.nc1_per_class_, nc1_per_class(X, y, "balanced"), rtol=1e-10)


def test_nc1_of_classes_whose_means_coincide():
    X = np.vstack([np.eye(3), -np.eye(3)] * 2)
    y = np.repeat([0, 1], 6)
    scorer = NeuralCollapseScorer(per_class=True).fit(X, y)
    assert scorer.metrics_["nc1_pinv"] == math.inf
    assert_array_equal(scorer.per_class_["nc1_pinv"], [math.inf] * 2)
    assert_array_equal(scorer.per_class_["nc1_trace_ratio"], [math.inf] * 2)
    moments = ClassMoments.from_arrays(X, y, class_scatter=True)
    scorer = NeuralCollapseScorer(class_weight="balanced").fit_moments(moments)
    assert_array_equal(scorer.nc1_per_class_, [math.inf] * 2)


def test_nc1_of_classes_where_it_cannot_be_had():
    scorer = NeuralCollapseScorer().fit(*make_rows())
    with pytest.raises(AttributeError, match="per_class=True"):
        scorer.nc1_per_class_  # noqa: B018
    assert "nc1_pinv" not in scorer.per_class_
    scorer = NeuralCollapseScorer(per_class=True).fit(*make_rows())
    scorer.partial_fit(*make_rows(seed=1))
    assert not hasattr(scorer, "nc1_per_class_")


def test_weights_of_nc1_of_classes_are_repetitions():
    X, y = make_rows()
    weights = np.random.default_rng(1).integers(0, 3, size=len(y))
    for class_weight in WEIGHTINGS:
        scorer = NeuralCollapseScorer(class_weight=class_weight, per_class=True)
        scorer.fit(X, y, sample_weight=weights)
        repeated = np.repeat(X, weights, axis=0), np.repeat(y, weights)
        truth = nc1_per_class(*repeated, class_weight)
        assert_allclose(scorer.nc1_per_class_, truth, rtol=1e-10)


@pytest.mark.parametrize("class_weight", WEIGHTINGS)
@pytest.mark.parametrize("tile", [1024, 2])
def test_values_of_classes(library, monkeypatch, class_weight, tile):
    monkeypatch.setattr("sklearn_collapse._linalg._frames._TILE", tile)
    X, y = make_rows()
    head = make_head()
    scorer = NeuralCollapseScorer(head=head, class_weight=class_weight, metrics="all")
    scorer.fit(library.asarray(X), y)
    found = scorer.per_class_
    _, centred, _, between = oracles.covariances(X, y, class_weight)
    m = oracles.class_moments(X, y)
    grid = oracles.cdnv_grid(X, y)
    norms = np.linalg.norm(centred, axis=1)
    cosines = (centred / norms[:, None]) @ (centred / norms[:, None]).T
    weights = head.coef / np.linalg.norm(head.coef, axis=1)[:, None]
    distances = oracles.cosine_distances(X)
    within = np.array(
        [
            distances[np.ix_(y == c, y == c)].sum() / (n * (n - 1))
            for c, n in enumerate(COUNTS)
        ]
    )
    separation = 1 - scorer.metrics_["class_separation"]
    total = (1 - scorer.metrics_["tolerance"]) / separation
    nearest = oracles.nearest_mean(X, m["means"])
    chosen = np.argmax(X @ head.coef.T + head.intercept, axis=1)
    truth = {
        "nc1_trace_ratio": m["traces"] / m["counts"] / np.trace(between),
        "cdnv": [np.delete(grid[c], c).mean() for c in range(3)],
        "class_separation": 1 - within / total,
        "tolerance": 1 - within,
        "nc2_equinorm": norms / norms.mean(),
        "nc2_max_angle": [
            np.abs(np.delete(cosines[c], c) + 0.5).mean() for c in range(3)
        ],
        "nc3_uniform_duality": (weights * centred).sum(axis=1) / norms,
        "nc4_agreement": [np.mean((nearest == chosen)[y == c]) for c in range(3)],
        "ncm_accuracy": [np.mean((nearest == y)[y == c]) for c in range(3)],
    }
    if class_weight == "balanced":
        truth["nc1_pinv"] = nc1_per_class(X, y, class_weight)
    assert set(found) == set(truth)
    for name, values in truth.items():
        assert isinstance(found[name], np.ndarray)
        assert_allclose(found[name], values, rtol=1e-9, atol=1e-14, err_msg=name)
    assert found["nc3_uniform_duality"].var() == pytest.approx(
        scorer.metrics_["nc3_uniform_duality"]
    )


def test_values_of_chosen_metrics_only():
    scorer = NeuralCollapseScorer(metrics=["cdnv", "vci"]).fit(*make_rows())
    assert set(scorer.per_class_) == {"cdnv"}


@pytest.mark.parametrize("tile", [1024, 2])
def test_grid(library, monkeypatch, tile):
    monkeypatch.setattr("sklearn_collapse._linalg._frames._TILE", tile)
    X, y = make_rows()
    scorer = NeuralCollapseScorer().fit(library.asarray(X), y)
    grid = scorer.cdnv_grid_
    assert library.owns(grid)
    assert_allclose(library.to_numpy(grid), oracles.cdnv_grid(X, y), rtol=1e-10)


# -- classes of a single row ----------------------------------------------------------


@pytest.mark.parametrize("class_weight", WEIGHTINGS)
def test_single_rows_are_kept_for_means_and_left_out_of_variances(class_weight):
    X, y = make_rows([9, 1, 7, 8])
    scorer = NeuralCollapseScorer(
        class_weight=class_weight, metrics="all", per_class=True
    ).fit(X, y)
    with pytest.warns(CollapseWarning, match="single row") as caught:
        values = scorer.metrics_
    assert len(caught) == 1
    assert "(1 of 4: [1])" in str(caught[0].message)
    grid = oracles.cdnv_grid(X, y)
    grid = np.delete(np.delete(grid, 1, axis=0), 1, axis=1)
    assert values["cdnv"] == pytest.approx(oracles.off_diagonal(grid).mean())
    for name in ("nc2_equinorm", "gnc2_uniformity"):  # the mean of the class counts
        truth = getattr(oracles, name)(X, y, class_weight)
        assert values[name] == pytest.approx(truth)
    varying = {"nc1_pinv", "nc1_trace_ratio", "cdnv", "class_separation", "tolerance"}
    for name, of_classes in scorer.per_class_.items():
        assert np.isnan(of_classes[1]) == (name in varying), name
        assert np.isfinite(np.delete(of_classes, 1)).all(), name
    assert np.isnan(scorer.cdnv_grid_[1]).all()


def test_function_leaves_single_rows_out():
    X, y = make_rows([9, 1, 7, 8])
    for options in ({}, {"class_weight": "balanced"}):
        with pytest.warns(CollapseWarning, match="cdnv: classes of a single row"):
            found = cdnv(X, y, **options)
        with pytest.warns(CollapseWarning, match="cdnv"):
            rest = cdnv(X, y, reduction="grid", **options)
        assert found == pytest.approx(np.nanmean(oracles.off_diagonal(rest)))
    with pytest.warns(CollapseWarning):
        assert math.isnan(cdnv(X[:3], [0, 1, 2]))


# -- metrics of unit rows -------------------------------------------------------------


@pytest.mark.parametrize("class_weight", WEIGHTINGS)
def test_any_way_of_fitting(library, class_weight):
    X, y = make_rows()
    rows = library.asarray(X)
    whole = NeuralCollapseScorer(metrics="all", class_weight=class_weight).fit(rows, y)
    parts = NeuralCollapseScorer(metrics="all", class_weight=class_weight)
    for here in (slice(0, 20), slice(20, 21), slice(21, 75)):
        parts.partial_fit(rows[here, :], y[here])
    options = {"class_scatter": True}
    adopted = NeuralCollapseScorer(metrics="all", class_weight=class_weight)
    flags = {"class_scatter": class_weight == "balanced"}
    adopted.fit_moments(
        ClassMoments.from_arrays(rows, y, **flags),
        ClassMoments.from_arrays(rows, y, normalize=True, **options),
    )
    for scorer in (parts, adopted):
        for name in ("class_separation", "tolerance", "coding_rate_reduction"):
            value = scorer.metrics_[name]
            assert value == pytest.approx(whole.metrics_[name], rel=1e-10)
    # partial_fit continues a fit.
    whole.partial_fit(rows, y)
    twice = np.vstack([X, X]), np.tile(y, 2)
    truth = oracles.tolerance(*twice, class_weight)
    assert whole.metrics_["tolerance"] == pytest.approx(truth)


def test_too_many_class_scatters_are_not_kept(monkeypatch):
    X, y = make_rows()
    truth = oracles.coding_rate_reduction(X, y)
    monkeypatch.setattr(_class_metrics, "_MAX_SCATTER", 0)
    scorer = NeuralCollapseScorer("coding_rate_reduction").fit(X, y)
    assert not scorer.unit_moments_.class_scatter
    assert scorer.metrics_["coding_rate_reduction"] == pytest.approx(truth)
    assert scorer.score(X, y) == pytest.approx(truth)
    # What was not kept cannot be continued: absent, and an error where it was chosen.
    scorer.partial_fit(X, y)
    assert "coding_rate_reduction" not in scorer.metrics_
    scorer.set_params(metrics=["coding_rate_reduction"])
    with pytest.raises(ValueError, match="scatter of each class of unit rows"):
        scorer.metrics_  # noqa: B018


def test_another_class_weight_after_fit():
    """What was measured on rows under the first one is not given out for the other."""
    X, y = make_rows()
    options = {"head": make_head(), "metrics": "all"}
    fresh = NeuralCollapseScorer(**options).fit(X, y)
    balanced = NeuralCollapseScorer(class_weight="balanced", **options)
    balanced.set_params(per_class=True).fit(X, y).set_params(class_weight=None)
    assert balanced.metrics_ == pytest.approx(fresh.metrics_, rel=1e-9)
    truth = nc1_per_class(X, y, None)
    assert_allclose(balanced.nc1_per_class_, truth, rtol=1e-9)
    assert_allclose(balanced.per_class_["nc1_pinv"], truth, rtol=1e-9)


def test_another_class_weight_after_fit_needs_what_was_not_kept(monkeypatch):
    X, y = make_rows()
    monkeypatch.setattr(_class_metrics, "_MAX_SCATTER", 0)
    options = {"metrics": ["coding_rate_reduction"], "per_class": True}
    scorer = NeuralCollapseScorer(**options).fit(X, y)
    scorer.set_params(class_weight="balanced")
    with pytest.raises(ValueError, match="coding_rate_reduction needs the scatter"):
        scorer.metrics_  # noqa: B018
    with pytest.raises(AttributeError, match="this class_weight"):
        scorer.nc1_per_class_  # noqa: B018
    # Rows that were reweighted cannot be had as they were.
    scorer.fit(X, y).set_params(class_weight=None, metrics=None)
    for attribute in ("metrics_", "rank_", "cdnv_grid_"):
        with pytest.raises(ValueError, match="fit again"):
            getattr(scorer, attribute)
    with pytest.raises(ValueError, match="fit again"):
        scorer.score(X, y)


def test_moments_without_those_of_unit_rows():
    X, y = make_rows()
    moments = ClassMoments.from_arrays(X, y)
    scorer = NeuralCollapseScorer(metrics="all").fit_moments(moments)
    assert "tolerance" not in scorer.metrics_
    scorer.set_params(criterion="tolerance")
    with pytest.raises(ValueError, match="tolerance needs moments of unit rows"):
        scorer.score(X, y)
    scorer.set_params(metrics=["tolerance"])
    with pytest.raises(ValueError, match="tolerance needs moments of unit rows"):
        scorer.metrics_  # noqa: B018


def test_unit_moments_that_do_not_belong():
    X, y = make_rows()
    moments = ClassMoments.from_arrays(X, y)
    scorer = NeuralCollapseScorer()
    for other, match in (
        (moments, "normalize=False"),
        (ClassMoments.from_arrays(X[:60], y[:60], normalize=True), "same rows"),
        (ClassMoments.from_arrays(X[:, :3], y, normalize=True), "same rows"),
        (ClassMoments.from_arrays(X, y + 1, normalize=True), "same rows"),
    ):
        with pytest.raises(ValueError, match=match):
            scorer.fit_moments(moments, other)
        assert not hasattr(scorer, "moments_")
    with pytest.raises(TypeError, match="got ndarray"):
        scorer.fit_moments(moments, X)
    strict = pytest.importorskip("array_api_strict")
    elsewhere = ClassMoments.from_arrays(strict.asarray(X), y, normalize=True)
    with pytest.raises(ValueError, match="same library and device"):
        scorer.fit_moments(moments, elsewhere)


def test_rows_of_zeros_warn_once():
    X, y = make_rows()
    X[:2] = 0
    scorer = NeuralCollapseScorer(metrics="all").fit(X, y)
    with pytest.warns(CollapseWarning, match="2 rows are zero") as caught:
        scorer.metrics_  # noqa: B018
    assert len(caught) == 1


def test_a_fit_without_unit_rows_forgets_them():
    X, y = make_rows()
    scorer = NeuralCollapseScorer(metrics="all").fit(X, y)
    scorer.set_params(metrics=None).fit(X, y)
    assert not hasattr(scorer, "unit_moments_")
