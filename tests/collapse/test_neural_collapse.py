"""Tests of NeuralCollapseScorer: fitting, metrics_, transform, parameters, input."""

import math
import pickle
import warnings

import numpy as np
import oracles
import pandas as pd
import polars as pl
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_collapse import ClassMoments, LinearHead
from sklearn_collapse.collapse import NeuralCollapseScorer, _class_metrics
from sklearn_collapse.metrics import METRICS, CollapseWarning

NAMES = [name for name, metric in METRICS.items() if metric.family == "collapse"]
NEED_HEAD = [name for name in NAMES if "head" in METRICS[name].needs]
NEED_ROWS = [name for name in NAMES if "rows" in METRICS[name].needs]
CRITERIA = [
    name for name in NAMES if METRICS[name].needs & {"moments", "unit_moments", "rows"}
]
COSTLY = ["class_separation", "tolerance", "coding_rate_reduction"]
WEIGHTINGS = [None, "balanced"]
D = 5


def make_rows(counts=(40, 22, 13), seed=0, d=D):
    """Rows about random class means, in random order."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    means = 1.5 * rng.normal(size=(len(counts), d)) + 1.0
    return means[y] + rng.normal(size=(len(y), d)) @ rng.normal(size=(d, d)), y


def make_head(n_classes=3, d=D, classes=None):
    rng = np.random.default_rng(9)
    W, b = rng.normal(size=(n_classes, d)), rng.normal(size=n_classes)
    return LinearHead(W, b, classes=classes)


def measure(name, X, y, head, **options):
    arguments = (X, y, head) if name in NEED_HEAD else (X, y)
    return METRICS[name].function(*arguments, **options)


def assert_same_metrics(found, truth, rtol=1e-9):
    assert found.keys() == truth.keys()
    for name in found:
        assert_allclose(found[name], truth[name], rtol=rtol, atol=1e-14, err_msg=name)


HEADS = {
    "none": lambda X, y: None,
    "lda": lambda X, y: "lda",
    "linear": lambda X, y: make_head(len(np.unique(y))),
    "unfitted": lambda X, y: LogisticRegression(),
    "frozen": lambda X, y: FrozenEstimator(LogisticRegression().fit(X, y)),
    "neighbours": lambda X, y: KNeighborsClassifier(),
}


# -- metrics_ -------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [(40, 22, 13), (25, 25, 25), (45, 20)])
@pytest.mark.parametrize("class_weight", WEIGHTINGS)
@pytest.mark.parametrize("head", HEADS)
def test_metrics_are_those_of_the_functions(head, class_weight, counts):
    X, y = make_rows(counts)
    head = HEADS[head](X, y)
    options = {"head": head, "class_weight": class_weight}
    scorer = NeuralCollapseScorer(metrics="all", **options).fit(X, y)
    absent = set(NEED_HEAD) if head is None else set()
    if isinstance(head, KNeighborsClassifier):
        absent = set(NEED_HEAD) - {"nc4_agreement"}
    assert set(scorer.metrics_) == set(NAMES) - absent
    for name, value in scorer.metrics_.items():
        assert type(value) is float, name
        truth = measure(name, X, y, head, class_weight=class_weight)
        assert_allclose(value, truth, rtol=1e-9, atol=1e-14, err_msg=name)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("class_weight", WEIGHTINGS)
def test_metrics_in_any_library(library, class_weight, dtype):
    X, y = make_rows()
    X = X.astype(dtype)
    weights = np.random.default_rng(1).integers(0, 3, size=len(y))
    scorer = NeuralCollapseScorer(head=make_head(), class_weight=class_weight)
    reference = clone(scorer).fit(
        np.repeat(X.astype(float), weights, axis=0), np.repeat(y, weights)
    )
    arrays = (library.asarray(a) for a in (X, y, weights))
    assert scorer.fit(*arrays) is scorer
    assert_same_metrics(scorer.metrics_, reference.metrics_)
    assert library.owns(scorer.means_)
    assert scorer.n_features_in_ == D
    assert scorer.rank_ == D
    assert scorer.device_ == "cpu"
    assert_array_equal(scorer.classes_, [0, 1, 2])
    means = oracles.class_moments(X, y, weights)["means"]
    assert_allclose(library.to_numpy(scorer.means_), means, rtol=1e-12)


def test_metrics_of_labels_of_other_kinds(library):
    X, y = make_rows()
    reference = NeuralCollapseScorer(head=make_head()).fit(X, y).metrics_
    for names in (
        np.array(["ant", "bee", "cow"]),
        np.array([1, "one", (1, 1)], dtype=object),
        np.array([-7, 2, 30]),
    ):
        scorer = NeuralCollapseScorer(head=make_head(classes=names))
        labels = names[y]
        assert_same_metrics(
            scorer.fit(library.asarray(X), labels).metrics_, reference, rtol=1e-10
        )
        assert set(scorer.classes_.tolist()) == set(names.tolist())
        score = scorer.score(library.asarray(X), labels.tolist())
        assert_allclose(score, -reference["vci"], rtol=1e-9)


@pytest.mark.parametrize("metrics", [["vci"], ("cdnv", "ncm_accuracy"), []])
def test_chosen_metrics(metrics):
    X, y = make_rows()
    everything = NeuralCollapseScorer().fit(X, y).metrics_
    scorer = NeuralCollapseScorer(metrics=metrics).fit(X, y)
    assert list(scorer.metrics_) == list(metrics)
    assert scorer.metrics_ == {name: everything[name] for name in metrics}


def test_all_metrics():
    X, y = make_rows()
    scorer = NeuralCollapseScorer(head=make_head(), metrics="all").fit(X, y)
    assert list(scorer.metrics_) == NAMES


@pytest.mark.parametrize("criterion", ["vci", *COSTLY])
def test_default_metrics(criterion):
    """Those that take no second pass over the rows, and the criterion."""
    X, y = make_rows()
    scorer = NeuralCollapseScorer(criterion, head=make_head()).fit(X, y)
    left_out = set(COSTLY) - {criterion}
    assert list(scorer.metrics_) == [name for name in NAMES if name not in left_out]
    assert hasattr(scorer, "unit_moments_") == (criterion != "vci")


def test_chosen_metric_does_not_warn_for_others():
    X, y = make_rows([9] * 8)  # C > d + 1
    scorer = NeuralCollapseScorer(head=make_head(8), metrics=["gnc2_uniformity", "vci"])
    assert len(scorer.fit(X, y).metrics_) == 2


def test_more_classes_than_a_simplex_has():
    X, y = make_rows([9] * 8)
    scorer = NeuralCollapseScorer(head=make_head(8)).fit(X, y)
    with pytest.warns(CollapseWarning, match="gnc2_uniformity") as caught:
        values = scorer.metrics_
    undefined = {name for name, value in values.items() if math.isnan(value)}
    assert undefined == {"nc2_max_angle", "nc2_etf_error", "nc3_product"}
    assert len(caught) == 1
    assert all(name in str(caught[0].message) for name in undefined)
    assert all(math.isfinite(values[name]) for name in set(values) - undefined)
    assert scorer.metrics_ == pytest.approx(values, nan_ok=True)  # and no more


def test_few_rows_warn():
    X, y = make_rows([3, 3, 2])
    scorer = NeuralCollapseScorer(metrics=["vci", "nc1_pinv"]).fit(X, y)
    with pytest.warns(CollapseWarning, match="permuted labels") as caught:
        assert set(scorer.metrics_) == {"vci", "nc1_pinv"}
    assert len(caught) == 2


def test_unknown_metrics():
    X, y = make_rows()
    scorer = NeuralCollapseScorer(metrics=["vci", "vcii"])
    with pytest.raises(ValueError, match=r"unknown names \['vcii'\]"):
        scorer.fit(X, y)
    assert not hasattr(scorer, "moments_")


@pytest.mark.parametrize("method", ["partial_fit", "fit_moments"])
def test_unknown_metrics_are_found_before_anything_is_fitted(method):
    X, y = make_rows()
    scorer = NeuralCollapseScorer(metrics=["vci", "vcii"])
    arguments = (X, y) if method == "partial_fit" else (ClassMoments().update(X, y),)
    with pytest.raises(ValueError, match=r"unknown names \['vcii'\]"):
        getattr(scorer, method)(*arguments)


@pytest.mark.parametrize(
    ("metrics", "head", "match"),
    [
        (["nc4_agreement"], None, "nc4_agreement needs a head: pass head="),
        (["nc3_product"], None, "nc3_product needs a head: pass head="),
        (
            ["nc3_product"],
            KNeighborsClassifier(),
            "nc3_product needs a head with coef_",
        ),
    ],
)
def test_chosen_metric_that_cannot_be_had(metrics, head, match):
    X, y = make_rows()
    scorer = NeuralCollapseScorer(metrics=metrics, head=head).fit(X, y)
    with pytest.raises(ValueError, match=match):
        scorer.metrics_  # noqa: B018


def test_chosen_metric_without_rows():
    X, y = make_rows()
    scorer = NeuralCollapseScorer(metrics=["ncm_accuracy"]).partial_fit(X, y)
    with pytest.raises(ValueError, match=r"ncm_accuracy needs rows: use fit, not"):
        scorer.metrics_  # noqa: B018


# -- fit, partial_fit, fit_moments ----------------------------------------------------


@pytest.mark.parametrize("class_weight", WEIGHTINGS)
@pytest.mark.parametrize("head", ["none", "lda", "linear", "frozen"])
def test_any_way_of_fitting(library, head, class_weight):
    X, y = make_rows()
    weights = np.random.default_rng(1).uniform(0.5, 2, size=len(y))
    head = HEADS[head](X, y)
    whole = NeuralCollapseScorer(head=head, class_weight=class_weight)
    whole.fit(library.asarray(X), y, weights)
    wanted = {k: v for k, v in whole.metrics_.items() if k not in NEED_ROWS}

    moments = ClassMoments(class_scatter=class_weight is not None)
    rng = np.random.default_rng(2)
    for n_blocks in (1, 4, 20):
        streamed = clone(whole)
        gathered = moments.copy()
        for rows in np.array_split(rng.permutation(len(y)), n_blocks):
            block = library.asarray(X[rows]), y[rows], weights[rows]
            assert streamed.partial_fit(*block) is streamed
            gathered.update(*block)
        assert_same_metrics(streamed.metrics_, wanted)
        adopted = clone(whole)
        assert adopted.fit_moments(gathered) is adopted
        assert_same_metrics(adopted.metrics_, wanted)
        for scorer in (streamed, adopted):
            assert scorer.n_features_in_ == D
            assert_array_equal(scorer.classes_, whole.classes_)
            distances = scorer.transform(library.asarray(X[:4]))
            assert library.owns(distances)
            assert_allclose(
                library.to_numpy(distances),
                library.to_numpy(whole.transform(library.asarray(X[:4]))),
                rtol=1e-9,
            )


def test_merged_moments():
    X, y = make_rows()
    parts = [ClassMoments().update(X[i::3], y[i::3]) for i in range(3)]
    merged = NeuralCollapseScorer().fit_moments(sum(parts)).metrics_
    assert_same_metrics(merged, NeuralCollapseScorer().partial_fit(X, y).metrics_)


def test_fit_moments_takes_a_copy():
    X, y = make_rows()
    moments = ClassMoments().update(X, y)
    scorer = NeuralCollapseScorer().fit_moments(moments)
    before = scorer.metrics_
    moments.update(X + 1, y)
    assert clone(scorer).fit_moments(scorer.moments_).metrics_ == before
    scorer.partial_fit(X + 7, y)
    assert moments.n_samples_ == 2 * len(y)
    assert scorer.metrics_ != before


def test_fit_resets():
    X, y = make_rows()
    other = make_rows([9, 12], seed=1, d=3)
    scorer = NeuralCollapseScorer().fit(*other).fit(X, y)
    assert scorer.metrics_ == NeuralCollapseScorer().fit(X, y).metrics_
    frame = pd.DataFrame(other[0], columns=list("abc"))
    scorer.fit(frame, other[1]).fit(X, y)
    assert not hasattr(scorer, "feature_names_in_")
    moments = ClassMoments().update(*other)
    scorer.fit(frame, other[1]).fit_moments(moments)
    assert not hasattr(scorer, "feature_names_in_")
    assert scorer.n_features_in_ == 3
    assert scorer.metrics_.keys().isdisjoint(NEED_ROWS)


@pytest.mark.parametrize("first", ["fit", "partial_fit", "fit_moments"])
@pytest.mark.parametrize("class_weight", WEIGHTINGS)
def test_partial_fit_continues(class_weight, first):
    X, y = make_rows()
    scorer = NeuralCollapseScorer(head="lda", class_weight=class_weight)
    whole = clone(scorer).partial_fit(X, y)
    half = X[:30], y[:30]
    if first == "fit_moments":
        options = {"class_scatter": class_weight is not None}
        half = (ClassMoments(**options).update(*half),)
    getattr(scorer, first)(*half)
    before = scorer.metrics_
    scorer.partial_fit(X[30:], y[30:])
    assert scorer.metrics_ != before
    assert_same_metrics(scorer.metrics_, whole.metrics_)


def test_new_classes_may_appear():
    X, y = make_rows()
    scorer = NeuralCollapseScorer()
    for c in (2, 0, 1):
        scorer.partial_fit(X[y == c], y[y == c])
    assert_same_metrics(
        scorer.metrics_, NeuralCollapseScorer().partial_fit(X, y).metrics_
    )


def test_one_class_so_far():
    """partial_fit may begin with it; there is nothing to compare yet."""
    X, y = make_rows()
    scorer = NeuralCollapseScorer().partial_fit(X[y == 1], y[y == 1])
    assert scorer.transform(X).shape == (len(X), 1)
    with pytest.raises(ValueError, match=r"1 class \(\[1\]\), but at least two"):
        scorer.metrics_  # noqa: B018
    with pytest.raises(ValueError, match="at least two classes"):
        scorer.score(X[y == 1], y[y == 1])


def test_fit_moments_that_do_not_serve():
    X, y = make_rows()
    with pytest.raises(
        ValueError, match=r"class_scatter=True, got class_scatter=False"
    ):
        NeuralCollapseScorer(class_weight="balanced").fit_moments(
            ClassMoments().update(X, y)
        )
    with pytest.raises(ValueError, match="at least two classes"):
        NeuralCollapseScorer().fit_moments(ClassMoments().update(X))
    with pytest.raises(ValueError, match="empty"):
        NeuralCollapseScorer().fit_moments(ClassMoments())
    with pytest.raises(TypeError, match="must be a ClassMoments, got ndarray"):
        NeuralCollapseScorer().fit_moments(X)


@pytest.mark.parametrize("first", ["fit", "partial_fit"])
def test_failing_fit_moments_changes_nothing(first):
    X, y = make_rows()
    scorer = getattr(NeuralCollapseScorer(head=make_head()), first)(X, y)
    before = scorer.metrics_
    narrow = ClassMoments().update(X[:, :3], y)
    single = ClassMoments().update(X[y == 0, :3], y[y == 0])
    for moments, match in ((narrow, "but X has 3"), (single, "at least two")):
        with pytest.raises(ValueError, match=match):
            scorer.fit_moments(moments)
        assert scorer.n_features_in_ == D
        assert scorer.metrics_ == before
        assert scorer.moments_.n_samples_ == len(y)


def test_fit_moments_of_unit_rows():
    """Every metric would be that of other rows than transform and score are given."""
    X, y = make_rows()
    moments = ClassMoments(normalize=True).update(X, y)
    with pytest.raises(ValueError, match="normalize=False"):
        NeuralCollapseScorer().fit_moments(moments)


def test_head_that_has_to_be_fitted_needs_rows():
    X, y = make_rows()
    scorer = NeuralCollapseScorer(head=LogisticRegression())
    with pytest.raises(ValueError, match="has to be fitted on rows"):
        scorer.partial_fit(X, y)
    with pytest.raises(ValueError, match="has to be fitted on rows"):
        scorer.fit_moments(ClassMoments().update(X, y))
    with pytest.raises(NotFittedError):
        scorer.transform(X)


# -- class_weight="balanced" with many classes and features ---------------------------


@pytest.fixture
def few_scatters(monkeypatch):
    """Let no scatter of a single class be kept."""
    monkeypatch.setattr(_class_metrics, "_MAX_SCATTER", 0)


@pytest.mark.parametrize("head", HEADS)
def test_reweighted_rows_give_the_same(library, head, monkeypatch):
    """Instead of one scatter per class, rows that carry the class weights."""
    X, y = make_rows()
    weights = np.random.default_rng(1).uniform(0, 2, size=len(y))
    head = HEADS[head](X, y)
    kept = NeuralCollapseScorer(head=head, class_weight="balanced", metrics="all")
    reweighted = clone(kept)
    rows = library.asarray(X)
    kept.fit(rows, y, weights)
    monkeypatch.setattr(_class_metrics, "_MAX_SCATTER", 0)
    reweighted.fit(rows, y, weights)
    assert_same_metrics(reweighted.metrics_, kept.metrics_)
    new = library.asarray(X + 0.5)
    for criterion in CRITERIA:
        if criterion == "nc4_agreement" and head is None:
            continue
        for scorer in (kept, reweighted):
            scorer.set_params(criterion=criterion)
        assert_allclose(
            reweighted.score(new, y, weights), kept.score(new, y, weights), rtol=1e-9
        )
    assert_allclose(reweighted.transform(rows), kept.transform(rows), rtol=1e-9)


@pytest.mark.usefixtures("few_scatters")
def test_reweighted_rows_cannot_be_continued():
    X, y = make_rows()
    scorer = NeuralCollapseScorer(class_weight="balanced").fit(X, y)
    before = scorer.metrics_
    with pytest.raises(ValueError, match="partial_fit cannot continue this fit"):
        scorer.partial_fit(X, y)
    assert scorer.metrics_ == before
    # A fit from moments is a new start.
    moments = ClassMoments(class_scatter=True).update(X, y)
    scorer.fit_moments(moments).partial_fit(X, y)
    assert scorer.moments_.n_samples_ == 2 * len(y)


@pytest.mark.usefixtures("few_scatters")
def test_partial_fit_keeps_the_scatters():
    X, y = make_rows()
    streamed = NeuralCollapseScorer(class_weight="balanced")
    streamed.partial_fit(X[:30], y[:30]).partial_fit(X[30:], y[30:])
    whole = NeuralCollapseScorer(class_weight="balanced").fit(X, y).metrics_
    assert_same_metrics(
        streamed.metrics_, {k: whole[k] for k in whole if k not in NEED_ROWS}
    )


@pytest.mark.parametrize("size", [1e-12, 1.0, 1e12])
def test_balanced_whatever_the_size_of_the_weights(size):
    """Two classes of small weight are not alike because both are small."""
    X, y = make_rows()
    scorer = NeuralCollapseScorer(class_weight="balanced", metrics=["cdnv"])
    scorer.set_params(metrics=["nc1_trace_ratio", "nc2_equinorm", "ncm_accuracy"])
    truth = clone(scorer).fit(X, y).metrics_
    found = scorer.fit(X, y, np.full(len(y), size)).metrics_
    assert_same_metrics(found, truth)


# -- parameters -----------------------------------------------------------------------


@pytest.mark.parametrize("criterion", [*sorted(set(NAMES) - set(CRITERIA)), "vcii"])
def test_criterion_of_the_means_alone_is_refused(criterion):
    """It cannot change on new rows."""
    X, y = make_rows()
    scorer = NeuralCollapseScorer(criterion, head=make_head())
    with pytest.raises(ValueError, match="The 'criterion' parameter of"):
        scorer.fit(X, y)
    with pytest.raises(ValueError, match="The 'criterion' parameter of"):
        scorer.partial_fit(X, y)
    with pytest.raises(ValueError, match="The 'criterion' parameter of"):
        scorer.fit_moments(ClassMoments().update(X, y))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("head", "qda"),
        ("head", np.eye(3, D)),
        ("class_weight", {0: 1.0}),
        ("class_weight", "even"),
        ("metrics", "vci"),
        ("device", 0),
    ],
)
def test_parameters_are_checked(name, value):
    X, y = make_rows()
    with pytest.raises(ValueError, match=f"The '{name}' parameter of"):
        NeuralCollapseScorer(**{name: value}).fit(X, y)


def test_head_must_be_a_classifier():
    X, y = make_rows()
    with pytest.raises(TypeError, match="or a classifier such as LinearHead"):
        NeuralCollapseScorer(head=LinearRegression()).fit(X, y)


def test_arguments_after_the_first_are_keywords():
    with pytest.raises(TypeError, match="positional argument"):
        NeuralCollapseScorer("vci", "lda")


def test_clone_and_pickle():
    X, y = make_rows()
    scorer = NeuralCollapseScorer("cdnv", head=make_head(), class_weight="balanced")
    scorer.fit(X, y)
    again = pickle.loads(pickle.dumps(scorer))
    assert again.metrics_ == scorer.metrics_
    assert again.score(X + 1, y) == scorer.score(X + 1, y)
    assert_array_equal(again.transform(X), scorer.transform(X))
    twin = clone(scorer)
    assert not hasattr(twin, "moments_")
    assert twin.fit(X, y).metrics_ == scorer.metrics_


# -- heads ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fit", "partial_fit", "fit_moments"])
def test_head_that_lacks_a_class(method):
    """Nothing is fitted with a head that does not know the labels."""
    X, y = make_rows()
    scorer = NeuralCollapseScorer(head=make_head(2))
    arguments = (ClassMoments().update(X, y),) if method == "fit_moments" else (X, y)
    with pytest.raises(ValueError, match=r"lacks the classes \[2\] of the data"):
        getattr(scorer, method)(*arguments)
    with pytest.raises(NotFittedError):
        scorer.transform(X)


@pytest.mark.parametrize("method", ["fit", "partial_fit", "fit_moments"])
def test_head_of_another_width(method):
    X, y = make_rows()
    scorer = NeuralCollapseScorer(head=make_head(3, d=4))
    arguments = (ClassMoments().update(X, y),) if method == "fit_moments" else (X, y)
    with pytest.raises(ValueError, match=r"shape \(3, 4\), but X has 5 features"):
        getattr(scorer, method)(*arguments)
    with pytest.raises(NotFittedError):
        scorer.transform(X)


def test_unfitted_head_is_cloned_and_takes_the_weights():
    X, y = make_rows()
    weights = np.random.default_rng(1).integers(0, 3, size=len(y))
    head = LogisticRegression(tol=1e-10, max_iter=1000)
    scorer = NeuralCollapseScorer(head=head).fit(X, y, weights)
    assert not hasattr(head, "coef_")
    repeated = np.repeat(X, weights, axis=0), np.repeat(y, weights)
    fitted = clone(head).fit(*repeated)
    assert_allclose(scorer.head_.coef_, fitted.coef_, rtol=1e-4, atol=1e-6)
    # A head without weights of its own is fitted without.
    scorer = NeuralCollapseScorer(head=KNeighborsClassifier()).fit(X, y, weights)
    kept = weights > 0
    truth = KNeighborsClassifier().fit(X[kept], y[kept])
    assert_array_equal(scorer.head_.predict(X), truth.predict(X))


def test_frozen_head_is_not_fitted_again():
    X, y = make_rows()
    frozen = FrozenEstimator(LogisticRegression().fit(X[::2], y[::2]))
    before = frozen.coef_.copy()
    scorer = NeuralCollapseScorer(head=frozen).fit(X, y)
    assert_array_equal(scorer.head_.coef_, before)
    truth = oracles.nc3_self_duality(X, y, before)
    assert_allclose(scorer.metrics_["nc3_self_duality"], truth, rtol=1e-9)


def test_head_of_a_pipeline():
    """It has no coef_ in terms of the features; its decisions count for NC4."""
    X, y = make_rows()
    head = make_pipeline(StandardScaler(), LogisticRegression())
    scorer = NeuralCollapseScorer(head=head).fit(X, y)
    assert set(NEED_HEAD) & set(scorer.metrics_) == {"nc4_agreement"}
    means = oracles.class_moments(X, y)["means"]
    truth = np.mean(head.fit(X, y).predict(X) == oracles.nearest_mean(X, means))
    assert_allclose(scorer.metrics_["nc4_agreement"], truth, rtol=1e-12)


def test_head_fitted_on_a_frame():
    """Its columns are those of the frame that the scorer is fitted on."""
    X, y = make_rows()
    frame = pd.DataFrame(X, columns=list("abcde"))
    head = FrozenEstimator(KNeighborsClassifier().fit(frame, y))
    truth = NeuralCollapseScorer(head=KNeighborsClassifier()).fit(X, y).metrics_
    assert_same_metrics(NeuralCollapseScorer(head=head).fit(frame, y).metrics_, truth)


# -- transform ------------------------------------------------------------------------


def loop_distances(X, means):
    X = np.asarray(X, dtype=float)
    return np.array([[np.sqrt(((x - mu) ** 2).sum()) for mu in means] for x in X])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_transform(library, dtype):
    X, y = make_rows()
    X = X.astype(dtype)
    scorer = NeuralCollapseScorer(class_weight="balanced").fit(library.asarray(X), y)
    new = make_rows(seed=1)[0].astype(dtype)
    distances = scorer.transform(library.asarray(new))
    assert library.owns(distances)
    found = library.to_numpy(distances)
    assert found.dtype == dtype
    truth = loop_distances(new, oracles.class_moments(X, y)["means"])
    assert_allclose(found, truth, rtol=1e-6 if dtype == np.float32 else 1e-9)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_transform_of_collapsed_float32(library, offset):
    """Means 1e4 apart, rows 1 from their own: expanding the square loses it all."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(4), 12)
    means = 1e4 * rng.normal(size=(4, 6)) + offset
    X = (means[y] + rng.normal(size=(48, 6))).astype(np.float32)
    scorer = NeuralCollapseScorer().fit(library.asarray(X), y)
    found = library.to_numpy(scorer.transform(library.asarray(X)))
    truth = loop_distances(X, oracles.class_moments(X, y)["means"])
    assert_allclose(found, truth, rtol=1e-4)
    own = np.arange(48), y
    assert np.all(truth[own] < 10)
    assert_allclose(found[own], truth[own], rtol=1e-5)


def test_transform_of_a_class_mean_is_zero_there():
    X, y = make_rows()
    scorer = NeuralCollapseScorer().fit(X + 1e4, y)
    distances = scorer.transform(scorer.means_)
    assert_array_equal(np.diag(distances), 0)


def test_fit_transform():
    X, y = make_rows()
    scorer = NeuralCollapseScorer()
    assert_array_equal(scorer.fit_transform(X, y), scorer.transform(X))


def test_names_out():
    X, y = make_rows()
    scorer = NeuralCollapseScorer().fit(X, y)
    names = [f"neuralcollapsescorer{k}" for k in range(3)]
    assert_array_equal(scorer.get_feature_names_out(), names)


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_frames(kind):
    X, y = make_rows()
    columns = list("abcde")
    frame = pd.DataFrame(X, columns=columns)
    if kind == "polars":
        frame = pl.DataFrame({name: X[:, k] for k, name in enumerate(columns)})
    scorer = NeuralCollapseScorer().set_output(transform=kind).fit(frame, y)
    assert_array_equal(scorer.feature_names_in_, columns)
    out = scorer.transform(frame)
    assert isinstance(out, pd.DataFrame if kind == "pandas" else pl.DataFrame)
    assert list(out.columns) == list(scorer.get_feature_names_out())
    assert_allclose(out.to_numpy(), NeuralCollapseScorer().fit(X, y).transform(X))
    assert scorer.metrics_ == NeuralCollapseScorer().fit(X, y).metrics_
    # Frames by themselves do not change; columns in another order are not taken.
    turned = frame[columns[::-1]]
    for method in ("transform", "score", "partial_fit"):
        arguments = (turned,) if method == "transform" else (turned, y)
        with pytest.raises(ValueError, match="feature names should match"):
            getattr(scorer, method)(*arguments)


def test_frame_columns_travel_with_moments():
    X, y = make_rows()
    frame = pd.DataFrame(X, columns=list("abcde"))
    moments = ClassMoments().update(frame, y)
    scorer = NeuralCollapseScorer().fit_moments(moments)
    assert_array_equal(scorer.feature_names_in_, list("abcde"))
    with pytest.raises(ValueError, match="feature names should match"):
        scorer.transform(frame[list("edcba")])


def test_labels_in_a_series():
    X, y = make_rows()
    names = np.array(["ant", "bee", "cow"])[y]
    truth = NeuralCollapseScorer().fit(X, names)
    for labels in (
        pd.Series(names),
        pd.Series(names, dtype="category"),
        pl.Series(names),
        names.astype(object),
        names.tolist(),
    ):
        scorer = NeuralCollapseScorer().fit(X, labels)
        assert scorer.metrics_ == truth.metrics_
        assert_array_equal(scorer.classes_, truth.classes_)
        assert scorer.score(X, labels) == truth.score(X, names)


# -- bad input ------------------------------------------------------------------------

BAD = {
    "nan": (lambda X, y: (np.where(np.arange(75)[:, None] == 7, np.nan, X), y)),
    "no labels": lambda X, y: (X, None),
    "short": lambda X, y: (X, y[1:]),
    "continuous": lambda X, y: (X, y + 0.25),
    "missing label": lambda X, y: (X, np.where(y == 1, np.nan, y)),
    "none label": lambda X, y: (X, [None if c == 1 else c for c in y.tolist()]),
    "nested": lambda X, y: (X, np.column_stack([y, y])),
    "1-D": lambda X, y: (X[:, 0], y),
    "3-D": lambda X, y: (X[:, :, None], y),
    "no rows": lambda X, y: (X[:0], y[:0]),
    "no columns": lambda X, y: (X[:, :0], y),
    "complex": lambda X, y: (X + 0j, y),
}
MATCHES = {
    "nan": r"contains NaN: first in row 7, column 0",
    "no labels": "requires y to be passed, but the target y is None",
    "short": "X has 75 rows, y has 74",
    "continuous": "continuous",
    "missing label": "NaN",
    "none label": "missing label",
    "nested": "1d array",
    "1-D": "Expected 2D array, got 1D",
    "3-D": "3",
    "no rows": r"0 sample\(s\)",
    "no columns": r"0 feature\(s\)",
    "complex": "Complex data not supported",
}


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("case", BAD)
def test_bad_input(library, case, method):
    """It raises and leaves an unfitted scorer unfitted, a fitted one as it was."""
    X, y = make_rows()
    good = library.asarray(X)
    bad_X, bad_y = BAD[case](X, y)
    bad_X = library.asarray(bad_X)
    unfitted = NeuralCollapseScorer(head="lda")
    with pytest.raises(ValueError, match=MATCHES[case]):
        getattr(unfitted, method)(bad_X, bad_y)
    assert vars(unfitted) == vars(NeuralCollapseScorer(head="lda"))
    with pytest.raises(NotFittedError):
        unfitted.transform(good)

    fitted = NeuralCollapseScorer(head="lda").fit(good, y)
    before, state = fitted.metrics_, fitted.moments_.to_dict()
    names = set(vars(fitted))
    with pytest.raises(ValueError, match=MATCHES[case]):
        getattr(fitted, method)(bad_X, bad_y)
    assert set(vars(fitted)) == names
    assert fitted.n_features_in_ == D
    assert fitted.metrics_ == before
    after = fitted.moments_.to_dict()
    assert all(np.array_equal(after[key], state[key]) for key in state)
    assert_allclose(fitted.score(good, y), -before["vci"], rtol=1e-9)


def test_one_class():
    X, _ = make_rows()
    scorer = NeuralCollapseScorer()
    with pytest.raises(ValueError, match=r"1 class \(\['a'\]\), but at least two"):
        scorer.fit(X, ["a"] * len(X))
    assert not hasattr(scorer, "moments_")
    assert not hasattr(scorer, "n_features_in_")


def test_failing_fit_on_a_frame_keeps_the_names():
    X, y = make_rows()
    frame = pd.DataFrame(X, columns=list("abcde"))
    scorer = NeuralCollapseScorer().fit(frame, y)
    other = pd.DataFrame(X[:, :3], columns=list("xyz"))
    with pytest.raises(ValueError, match="at least two classes"):
        scorer.fit(other, np.zeros(len(y), dtype=int))
    assert_array_equal(scorer.feature_names_in_, list("abcde"))
    assert scorer.n_features_in_ == D
    assert_allclose(scorer.score(frame, y), -scorer.metrics_["vci"], rtol=1e-9)


@pytest.mark.parametrize(
    "head", [make_head(2), make_head(3, d=4), LogisticRegression()]
)
def test_failing_head_leaves_a_fitted_scorer_as_it_was(head):
    X, y = make_rows()
    scorer = NeuralCollapseScorer(head="lda").fit(X, y)
    before = scorer.metrics_
    scorer.set_params(head=head)
    if isinstance(head, LogisticRegression):
        with pytest.raises(ValueError, match="has to be fitted on rows"):
            scorer.partial_fit(X, y)
    else:
        with pytest.raises(ValueError, match=r"lacks the classes|shape \(3, 4\)"):
            scorer.fit(X, y)
    assert scorer.head_ == "lda"
    assert scorer.metrics_ == before


@pytest.mark.parametrize("method", ["fit", "partial_fit", "transform", "score"])
@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csc_array])
def test_sparse_rows_are_refused(make, method):
    X, y = make_rows()
    scorer = NeuralCollapseScorer().fit(X, y)
    arguments = (make(X),) if method == "transform" else (make(X), y)
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        getattr(scorer, method)(*arguments)
    assert scorer.n_features_in_ == D


def test_nonfinite_row_is_named_by_its_place_in_the_input():
    X, y = make_rows()
    X[11, 2] = np.inf
    weights = np.ones(len(y))
    weights[[0, 4]] = 0
    for method in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match=r"infinity \(inf\): first in row 11,"):
            getattr(NeuralCollapseScorer(), method)(X, y, weights)


@pytest.mark.parametrize(
    ("weights", "match"),
    [
        (np.zeros(75), "all zero"),
        (np.ones(74), "inconsistent numbers of samples"),
        (-np.ones(75), "not negative"),
        (np.full(75, np.nan), "finite"),
        (np.ones((75, 1)), "one-dimensional"),
    ],
)
def test_bad_weights(weights, match):
    X, y = make_rows()
    for method in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match=match):
            getattr(NeuralCollapseScorer(), method)(X, y, weights)
    with pytest.raises(ValueError, match=match):
        NeuralCollapseScorer().fit(X, y).score(X, y, weights)


def test_unfitted():
    X, y = make_rows()
    scorer = NeuralCollapseScorer()
    for name in ("metrics_", "means_", "classes_", "rank_", "device_"):
        with pytest.raises(NotFittedError):
            getattr(scorer, name)
        assert not hasattr(scorer, name)
    with pytest.raises(NotFittedError):
        scorer.transform(X)
    with pytest.raises(NotFittedError):
        scorer.score(X, y)
    with pytest.raises(NotFittedError):
        scorer.get_feature_names_out()


def test_another_library_than_in_fit(library):
    X, y = make_rows()
    scorer = NeuralCollapseScorer().fit(library.asarray(X), y)
    other = X if library.name != "numpy" else pytest.importorskip("torch").asarray(X)
    for method in ("transform", "score", "partial_fit"):
        arguments = (other,) if method == "transform" else (other, y)
        match = rf"NeuralCollapseScorer.{method}\(\) must use the same namespace"
        with pytest.raises(ValueError, match=match):
            getattr(scorer, method)(*arguments)
    assert scorer.moments_.n_samples_ == len(y)
    scorer.fit(other, y)  # a new start


def test_wrong_width():
    X, y = make_rows()
    scorer = NeuralCollapseScorer().fit(X, y)
    for method in ("transform", "score", "partial_fit"):
        arguments = (X[:, 1:],) if method == "transform" else (X[:, 1:], y)
        with pytest.raises(ValueError, match="X has 4 features, but"):
            getattr(scorer, method)(*arguments)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nonfinite_rows_in_transform(library, value):
    X, y = make_rows()
    scorer = NeuralCollapseScorer().fit(library.asarray(X), y)
    X[5, 3] = value
    with pytest.raises(ValueError, match="first in row 5, column 3"):
        scorer.transform(library.asarray(X))


def test_input_is_not_written_to():
    X, y = make_rows()
    weights = np.random.default_rng(0).uniform(0, 2, size=len(y))
    before = X.copy(), y.copy(), weights.copy()
    for array in (X, y, weights):
        array.flags.writeable = False
    scorer = NeuralCollapseScorer(head="lda", class_weight="balanced")
    scorer.fit(X, y, weights).partial_fit(X, y, weights)
    scorer.transform(X)
    for array, copy in zip((X, y, weights), before, strict=True):
        assert_array_equal(array, copy)


# -- in scikit-learn's tools ----------------------------------------------------------


def make_search(**options):
    pipeline = make_pipeline(StandardScaler(), NeuralCollapseScorer(head="lda"))
    grid = {
        "neuralcollapsescorer__criterion": CRITERIA,
        "neuralcollapsescorer__class_weight": WEIGHTINGS,
    }
    return GridSearchCV(pipeline, grid, cv=3, error_score="raise", **options)


def test_grid_search():
    X, y = make_rows([60, 40, 30])
    search = make_search().fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert len(scores) == 2 * len(CRITERIA)
    assert np.isfinite(scores).all()
    assert np.isfinite(search.best_score_)
    assert search.best_estimator_.score(X, y) == pytest.approx(search.score(X, y))


def test_cross_validation_is_what_it_says():
    X, y = make_rows([60, 40, 30])
    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    pipeline = make_pipeline(StandardScaler(), NeuralCollapseScorer("cdnv"))
    scores = cross_val_score(pipeline, X, y, cv=folds, error_score="raise")
    truth = []
    for train, test in folds.split(X, y):
        scaler = StandardScaler().fit(X[train])
        scorer = NeuralCollapseScorer("cdnv").fit(scaler.transform(X[train]), y[train])
        truth.append(scorer.score(scaler.transform(X[test]), y[test]))
    assert_allclose(scores, truth, rtol=1e-12)


def test_metadata_routing():
    X, y = make_rows([60, 40, 30])
    weights = np.random.default_rng(0).integers(1, 4, size=len(y)).astype(float)
    with sklearn.config_context(enable_metadata_routing=True):
        scores = make_search().fit(X, y).cv_results_["mean_test_score"]
        assert np.isfinite(scores).all()

        scorer = NeuralCollapseScorer("nc1_trace_ratio")
        scorer.set_fit_request(sample_weight=True)
        scorer.set_score_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(scaler, scorer)
        for train, test in StratifiedKFold(3).split(X, y):
            pipeline.fit(X[train], y[train], sample_weight=weights[train])
            score = pipeline.score(X[test], y[test], sample_weight=weights[test])
            scaled = StandardScaler().fit(X[train])
            fitted = NeuralCollapseScorer("nc1_trace_ratio")
            fitted.fit(scaled.transform(X[train]), y[train], weights[train])
            truth = fitted.score(scaled.transform(X[test]), y[test], weights[test])
            assert_allclose(score, truth, rtol=1e-12)


def test_metadata_that_nobody_asked_for():
    X, y = make_rows()
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(StandardScaler(), NeuralCollapseScorer())
        with pytest.raises(Exception, match="sample_weight"):
            pipeline.fit(X, y, sample_weight=np.ones(len(y)))
        assert math.isfinite(pipeline.fit(X, y).score(X, y))


def test_distances_are_features():
    """As a transformer it is the first half of a classifier."""
    X, y = make_rows()
    model = make_pipeline(NeuralCollapseScorer(), LogisticRegression(max_iter=1000))
    assert model.fit(X, y).score(X, y) > 0.8


def test_no_warning_in_ordinary_use():
    X, y = make_rows()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scorer = NeuralCollapseScorer(head="lda").fit(X.astype(np.float32), y)
        assert len(scorer.metrics_) == len(NAMES) - len(COSTLY)
        scorer.score(X.astype(np.float32), y)
