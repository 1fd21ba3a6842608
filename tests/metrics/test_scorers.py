"""Tests of the callables for ``scoring=``."""

import pickle
from dataclasses import replace

import numpy as np
import oracles
import pytest
from fake_metrics import FAKES, add_fakes, gap, misfit, same_neighbor, slope, spread
from sklearn import config_context
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    StratifiedKFold,
    cross_val_score,
    cross_validate,
    permutation_test_score,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_collapse import LinearHead
from sklearn_collapse.collapse import NeuralCollapseScorer
from sklearn_collapse.metrics import METRICS, get_scorer, get_scorer_names
from sklearn_collapse.model_selection import LeaveClassesOut
from sklearn_collapse.ood import MahalanobisDetector

OOD = ("ood_aupr_in", "ood_aupr_out", "ood_auroc")
NEG_OOD = ("neg_ood_fpr95_id", "neg_ood_fpr95_ood")
HIGHER = [name for name in METRICS if METRICS[name].direction == "higher"]
LOWER = [name for name in METRICS if METRICS[name].direction == "lower"]
COLLAPSE = [name for name in METRICS if METRICS[name].family == "collapse"]
WITH_HEAD = [name for name in COLLAPSE if "head" in METRICS[name].needs]


def made(n=120, d=4, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % n_classes)
    means = rng.normal(size=(n_classes, d))
    return 2 * means[y] + rng.normal(size=(n, d)) * np.arange(1, d + 1), y


class Scores(BaseEstimator):
    """A detector whose score is the first column."""

    def fit(self, X, y=None):
        self.classes_ = np.unique(y)
        return self

    def score_samples(self, X):
        return np.asarray(X)[:, 0]


def ood_oracle(name, inside, outside):
    return {
        "ood_auroc": lambda: oracles.auroc(inside, outside),
        "ood_aupr_in": lambda: oracles.average_precision(inside, outside),
        "ood_aupr_out": lambda: oracles.average_precision(-outside, -inside),
        "neg_ood_fpr95_id": lambda: -oracles.fpr_at_tpr(inside, outside),
        "neg_ood_fpr95_ood": lambda: -oracles.fpr_at_tpr(-outside, -inside),
    }[name]()


# -- names -----------------------------------------------------------------------


def test_names():
    expected = {*OOD, *NEG_OOD, *HIGHER, *(f"neg_{name}" for name in LOWER)}
    assert get_scorer_names() == sorted(expected)
    assert "neg_vci" in expected
    assert "fisher_ratio" in expected


def test_metric_without_a_direction_is_no_scorer(monkeypatch):
    monkeypatch.setitem(METRICS, "vci", replace(METRICS["vci"], direction=None))
    assert not {"vci", "neg_vci"} & set(get_scorer_names())
    with pytest.raises(ValueError, match="is not the name"):
        get_scorer("neg_vci")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("vci", r"Did you mean 'neg_vci'\?"),
        ("neg_fisher_ratio", r"Did you mean 'fisher_ratio'\?"),
        ("ood_fpr95_id", r"Did you mean 'neg_ood_fpr95_id'\?"),
        ("ood_auroc_", "Did you mean 'ood_auroc'"),
        ("odd_aurok", "'ood_auroc'"),
        ("zzz", r"is not the name of a scorer. get_scorer_names\(\) lists"),
    ],
)
def test_unknown_names(name, hint):
    with pytest.raises(ValueError, match=hint):
        get_scorer(name)


@pytest.mark.parametrize("name", [None, len, ["ood_auroc"]])
def test_names_are_strings(name):
    with pytest.raises(TypeError, match="name must be a string"):
        get_scorer(name)


@pytest.mark.parametrize("name", get_scorer_names())
def test_repr_and_pickle(name):
    scorer = get_scorer(name)
    assert repr(scorer) == f"get_scorer({name!r})"
    if name == "mst_dimension":
        scorer = get_scorer(name, random_state=0)
    copy = pickle.loads(pickle.dumps(scorer))
    X, y = made()
    if "ood" in name:
        estimator = Scores().fit(X, [0, 1])
    elif METRICS[name.removeprefix("neg_")].family == "regression":
        y = X[:, :2] ** 2 + y[:, None]
        estimator = LinearRegression().fit(X, y)
    else:
        estimator = LogisticRegression().fit(X, y)
    value = scorer(estimator, X, y)
    assert type(value) is float
    assert value == copy(estimator, X, y) == scorer(estimator, X, y)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("neg_vci", {"class_weight": "balanced"}),
        ("lid", {"n_neighbors": 5}),
        ("mst_dimension", {"random_state": 3}),
    ],
)
def test_options(name, options):
    X, y = made(100)
    X, y = X[5:], y[5:]  # classes of unequal size
    scorer = get_scorer(name, **options)
    metric = METRICS[name.removeprefix("neg_")]
    arguments = (X, y) if metric.family == "collapse" else (X,)
    expected = metric.function(*arguments, **options)
    sign = -1 if name.startswith("neg_") else 1
    estimator = MahalanobisDetector()
    assert scorer(estimator, X, y) == sign * expected
    copy = pickle.loads(pickle.dumps(scorer))
    assert copy(estimator, X, y) == sign * expected
    assert get_scorer(name)(estimator, X, y) != sign * expected
    key, value = next(iter(options.items()))
    assert repr(scorer) == f"get_scorer({name!r}, {key}={value!r})"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("neg_vci", {"class_weigth": "balanced"}, "vci has no option 'class_weigth'"),
        ("neg_vci", {"sample_weight": [1.0]}, "vci has no option 'sample_weight'"),
        ("ood_auroc", {"random_state": 0}, "ood_auroc has no options"),
    ],
)
def test_unknown_options(name, options, message):
    with pytest.raises(TypeError, match=message):
        get_scorer(name, **options)


# -- classes left out ------------------------------------------------------------


@pytest.mark.parametrize("name", [*OOD, *NEG_OOD])
@pytest.mark.parametrize("digits", [0, 5])  # with ties and without
def test_ood_metrics(library, name, digits):
    X, y = made()
    X = np.round(X, digits)
    detector = Scores().fit(X, [0, 2])
    found = get_scorer(name)(detector, library.asarray(X), library.asarray(y))
    inside, outside = X[y != 1, 0], X[y == 1, 0]
    assert found == pytest.approx(ood_oracle(name, inside, outside), abs=1e-12)


@pytest.mark.parametrize("name", [*OOD, *NEG_OOD])
def test_ood_weights_are_frequencies(name):
    X, y = made()
    X = np.round(X)
    weights = np.random.default_rng(0).integers(0, 4, size=len(y))
    detector = Scores().fit(X, [0, 2])
    found = get_scorer(name)(detector, X, y, sample_weight=weights)
    X, y = np.repeat(X, weights, axis=0), np.repeat(y, weights)
    expected = ood_oracle(name, X[y != 1, 0], X[y == 1, 0])
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", [str, object, float, np.int8])
def test_ood_labels_of_any_kind(kind):
    X, y = made()
    expected = get_scorer("ood_auroc")(Scores().fit(X, [0, 2]), X, y)
    names = (y + 1).astype(kind)
    detector = Scores().fit(X, np.array([1, 3]).astype(kind))
    assert get_scorer("ood_auroc")(detector, X, names) == expected
    assert 0 < expected < 1


@pytest.mark.parametrize(
    "wrap",
    [
        lambda detector: detector,
        lambda detector: make_pipeline(StandardScaler(), detector),
        lambda detector: FrozenEstimator(detector),
        lambda detector: GridSearchCV(
            make_pipeline(StandardScaler(), detector),
            {"mahalanobisdetector__relative": [False]},
            cv=StratifiedKFold(2),
            scoring=lambda estimator, X, y: 0.0,
        ),
    ],
    ids=["plain", "pipeline", "frozen", "search"],
)
def test_ood_of_composed_detectors(wrap):
    X, y = made()
    known = y != 1
    detector = MahalanobisDetector().fit(X[known], y[known])
    estimator = wrap(detector).fit(X[known], y[known])
    scores = oracles.mahalanobis(X[known], y[known], X)
    found = get_scorer("ood_auroc")(estimator, X, y)
    assert found == pytest.approx(oracles.auroc(scores[known], scores[~known]))


def test_infinite_scores_have_ranks():
    X, y = made()
    far = X.copy()
    X[:3, 0], X[3:5, 0] = -np.inf, np.inf
    far[:3, 0], far[3:5, 0] = -1e9, 1e9
    detector = Scores().fit(X, [0, 1])
    for name in (*OOD, *NEG_OOD):
        assert get_scorer(name)(detector, X, y) == get_scorer(name)(detector, far, y)


@pytest.mark.parametrize("name", [*OOD, *NEG_OOD])
@pytest.mark.parametrize(("labels", "what"), [([0, 1, 2], "only"), ([7, 8], "no")])
def test_one_kind_of_rows_alone(name, labels, what):
    X, y = made()
    message = f"^{name} compares .* but y holds {what} labels.*LeaveClassesOut"
    with pytest.raises(ValueError, match=message):
        get_scorer(name)(Scores().fit(X, labels), X, y)


def test_rows_of_zero_weight_do_not_count():
    X, y = made()
    with pytest.raises(
        ValueError, match=r"holds only labels.*return_train_score=False"
    ):
        get_scorer("ood_auroc")(Scores().fit(X, [0, 1]), X, y, sample_weight=y != 2)


def test_nan_scores():
    X, y = made()
    X[3, 0] = np.nan
    with pytest.raises(ValueError, match=r"NaN \(first in row 3\)"):
        get_scorer("ood_auroc")(Scores().fit(X, [0, 1]), X, y)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (MahalanobisDetector(), "needs classes_, which this MahalanobisDetector lacks"),
        (
            IsolationForest(n_estimators=5),
            "needs classes_, which this IsolationForest lacks",
        ),
        (
            make_pipeline(StandardScaler(), IsolationForest(n_estimators=5)),
            "needs classes_, which this Pipeline lacks",
        ),
    ],
)
def test_detectors_without_classes(estimator, message):
    X, y = made()
    estimator.fit(X)
    with pytest.raises(ValueError, match=message):
        get_scorer("ood_auroc")(estimator, X, y)


def test_estimators_that_do_not_score_rows():
    X, y = made()
    classifier = LogisticRegression().fit(X[y < 2], y[y < 2])
    with pytest.raises(ValueError, match=r"needs score_samples.*LogisticRegression"):
        get_scorer("ood_auroc")(classifier, X, y)


def test_ood_needs_labels_and_a_fit():
    X, y = made()
    with pytest.raises(ValueError, match="ood_auroc needs the labels"):
        get_scorer("ood_auroc")(Scores().fit(X, [0]), X)
    with pytest.raises(NotFittedError):
        get_scorer("ood_auroc")(MahalanobisDetector(), X, y)


# -- metrics of features ---------------------------------------------------------


@pytest.mark.parametrize(
    "name", [n for n in COLLAPSE if "head" not in METRICS[n].needs]
)
def test_metrics_of_features(library, name):
    """By the oracles' formulas, on what a transformer puts out."""
    X, y = made()
    sign = -1 if name in LOWER else 1
    scorer = get_scorer(f"neg_{name}" if sign < 0 else name)
    oracle = getattr(oracles, name)
    mapped = oracles_pca(X)
    pca = PCA(3).fit(X)
    expected = sign * oracle(mapped, y)
    assert scorer(pca, X, y) == pytest.approx(expected, rel=1e-8, abs=1e-10)
    plain = scorer(MahalanobisDetector(), library.asarray(X), library.asarray(y))
    assert plain == pytest.approx(sign * oracle(X, y), rel=1e-8, abs=1e-10)


def oracles_pca(X):
    centred = X - X.mean(axis=0)
    return centred @ np.linalg.svd(centred)[2][:3].T


class Doubler(TransformerMixin, BaseEstimator):
    """Doubles the first column, by which NC1 changes."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X * np.array([2.0, 1, 1, 1])

    def __sklearn_is_fitted__(self):
        return True


class PredictingDoubler(Doubler):
    """Predicts as well, as clusterings and discriminants do."""

    def predict(self, X):
        return np.zeros(len(X))


def fitted_search(estimator, X, y):
    search = GridSearchCV(
        estimator, {}, cv=StratifiedKFold(2), scoring=lambda estimator, X, y: 0.0
    )
    return search.fit(X, y)


COMPOSED = {
    # estimator, how many times the first column is doubled
    "transformer": (lambda: Doubler(), 1),
    "detector": (lambda: MahalanobisDetector(), 0),
    "classifier": (lambda: LogisticRegression(), 0),
    "lda": (lambda: LinearDiscriminantAnalysis(), 0),  # has transform as well
    "scorer": (lambda: NeuralCollapseScorer(), 0),  # has transform as well
    "frozen scorer": (lambda: FrozenEstimator(NeuralCollapseScorer()), 0),
    "pipeline": (lambda: make_pipeline(Doubler(), Doubler()), 2),
    "to detector": (lambda: make_pipeline(Doubler(), MahalanobisDetector()), 1),
    "to lda": (lambda: make_pipeline(Doubler(), LinearDiscriminantAnalysis()), 1),
    "to scorer": (lambda: make_pipeline(Doubler(), NeuralCollapseScorer()), 1),
    "to frozen": (
        lambda: make_pipeline(Doubler(), FrozenEstimator(NeuralCollapseScorer())),
        1,
    ),
    "passthrough": (lambda: make_pipeline("passthrough", Doubler(), "passthrough"), 1),
    "none": (lambda: Pipeline([("a", None), ("b", Doubler()), ("c", None)]), 1),
    "nested": (
        lambda: make_pipeline(
            Doubler(), make_pipeline(Doubler(), NeuralCollapseScorer())
        ),
        2,
    ),
    "nested first": (
        lambda: make_pipeline(make_pipeline(Doubler(), Doubler()), Doubler()),
        3,
    ),
    "predicts": (lambda: PredictingDoubler(), 0),
    "predicts first": (lambda: make_pipeline(PredictingDoubler(), Doubler()), 2),
    "frozen": (lambda: make_pipeline(FrozenEstimator(Doubler()), Doubler()), 2),
}


# GridSearchCV cannot search over a FrozenEstimator itself.
PLAIN_AND_SEARCHED = [
    (case, searched)
    for case in COMPOSED
    for searched in (False, True)
    if (case, searched) != ("frozen scorer", True)
]


@pytest.mark.parametrize(("case", "searched"), PLAIN_AND_SEARCHED)
def test_features_are_the_last_transformers(case, searched):
    X, y = made()
    make, times = COMPOSED[case]
    estimator = make()
    if "frozen" in case:  # what is frozen must be fitted
        inner = [estimator, *getattr(estimator, "named_steps", {}).values()]
        for step in inner:
            if isinstance(step, FrozenEstimator):
                step.estimator.fit(X, y)
    estimator = fitted_search(estimator, X, y) if searched else estimator.fit(X, y)
    expected = -oracles.nc1_pinv(X * np.array([2.0**times, 1, 1, 1]), y)
    found = get_scorer("neg_nc1_pinv")(estimator, X, y)
    assert found == pytest.approx(expected, rel=1e-9)


def test_scorer_measures_nothing_to_be_recognised():
    """Asking for ``metrics_`` would compute it."""
    X, y = made()
    scorer = NeuralCollapseScorer().fit(X, y)
    before = set(scorer.moments_._cache)
    get_scorer("neg_vci")(make_pipeline(Doubler(), scorer), X, y)
    assert set(scorer.moments_._cache) == before


def test_frames_keep_working():
    pandas = pytest.importorskip("pandas")
    X, y = made()
    frame = pandas.DataFrame(X, columns=list("abcd"))
    pipeline = make_pipeline(StandardScaler(), PCA(3), MahalanobisDetector())
    pipeline.set_output(transform="pandas").fit(frame, y)
    plain = make_pipeline(StandardScaler(), PCA(3), MahalanobisDetector()).fit(X, y)
    scorer = get_scorer("neg_vci")
    assert scorer(pipeline, frame, y) == pytest.approx(scorer(plain, X, y))


def test_weights_of_features_are_frequencies():
    X, y = made()
    weights = np.random.default_rng(0).integers(0, 4, size=len(y))
    found = get_scorer("neg_vci")(Doubler(), X, y, sample_weight=weights)
    X, y = np.repeat(X, weights, axis=0), np.repeat(y, weights)
    assert found == pytest.approx(-oracles.vci(Doubler().transform(X), y))


def test_metric_of_rows_alone(monkeypatch):
    """Metrics without y are called without it."""

    def spread(X, *, sample_weight=None):
        return float(np.std(X))

    monkeypatch.setitem(METRICS, "vci", replace(METRICS["vci"], function=spread))
    X, _ = made()
    assert get_scorer("neg_vci")(MahalanobisDetector(), X) == -np.std(X)


# -- metrics with a head ---------------------------------------------------------


def head_oracle(name, X, y, coef, intercept):
    oracle = getattr(oracles, name)
    value = oracle(X, y, coef, intercept) if "nc4" in name else oracle(X, y, coef)
    return -value if name in LOWER else value


@pytest.mark.parametrize("name", WITH_HEAD)
@pytest.mark.parametrize(
    "case", ["classifier", "frozen", "head", "scorer", "fitted by scorer", "lda"]
)
def test_heads(name, case):
    """The last estimator's own, as it was fitted, on its features."""
    X, y = made()
    X_test, y_test = made(seed=1)
    Z, Z_test = Doubler().transform(X), Doubler().transform(X_test)
    classifier = LogisticRegression().fit(Z, y)
    coef, intercept = classifier.coef_, classifier.intercept_
    last = {
        "classifier": LogisticRegression(),
        "frozen": FrozenEstimator(classifier),
        "head": LinearHead(coef, intercept),
        "scorer": NeuralCollapseScorer(head=LinearHead(coef, intercept)),
        "fitted by scorer": NeuralCollapseScorer(head=LogisticRegression()),
        "lda": NeuralCollapseScorer(head="lda"),
    }[case]
    if case == "lda":
        _, _, within, _ = oracles.covariances(Z, y)
        means = np.array([Z[y == c].mean(axis=0) for c in range(3)])
        coef = np.linalg.solve(within, means.T).T
        intercept = np.log(np.bincount(y) / len(y)) - (coef * means).sum(axis=1) / 2
        coef, intercept = coef - coef.mean(axis=0), intercept - intercept.mean()
    scorer = get_scorer(f"neg_{name}" if name in LOWER else name)
    found = scorer(make_pipeline(Doubler(), last).fit(X, y), X_test, y_test)
    expected = head_oracle(name, Z_test, y_test, coef, intercept)
    assert found == pytest.approx(expected, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("limit", [2**25, 0])  # class scatters, or reweighted rows
def test_balanced_lda_head(monkeypatch, limit):
    from sklearn_collapse.collapse import _class_metrics

    monkeypatch.setattr(_class_metrics, "_MAX_SCATTER", limit)
    X, y = made()
    kept = np.flatnonzero((y > 0) | (np.arange(len(y)) % 3 == 0))
    X, y = X[kept], y[kept]
    last = NeuralCollapseScorer(head="lda", class_weight="balanced").fit(X, y)
    _, _, within, _ = oracles.covariances(X, y, "balanced")
    means = np.array([X[y == c].mean(axis=0) for c in range(3)])
    coef = np.linalg.solve(within, means.T).T
    expected = -oracles.nc3_self_duality(X, y, coef - coef.mean(axis=0))
    found = get_scorer("neg_nc3_self_duality")(last, X, y)
    assert found == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("name", WITH_HEAD)
@pytest.mark.parametrize(
    "last", [MahalanobisDetector(), NeuralCollapseScorer(), PCA(2), "passthrough"]
)
def test_no_head(name, last):
    X, y = made()
    scorer = get_scorer(f"neg_{name}" if name in LOWER else name)
    with pytest.raises(ValueError, match=f"{scorer.name} compares .* with a head"):
        scorer(make_pipeline(Doubler(), last).fit(X, y), X, y)


def test_classifier_without_weights():
    X, y = made()
    last = KNeighborsClassifier(3).fit(X, y)
    assert 0 < get_scorer("nc4_agreement")(last, X, y) < 1
    with pytest.raises(ValueError, match="has no coef_"):
        get_scorer("neg_nc3_self_duality")(last, X, y)


# -- in scikit-learn -------------------------------------------------------------


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_cross_validate(n_jobs, routing):
    X, y = made(600, n_classes=4)
    estimator = make_pipeline(StandardScaler(), MahalanobisDetector())
    names = [*OOD, *NEG_OOD, "neg_cdnv", "ncm_accuracy"]
    cv = LeaveClassesOut(random_state=0)
    with config_context(enable_metadata_routing=routing):
        found = cross_validate(
            estimator,
            X,
            y,
            cv=cv,
            scoring={name: get_scorer(name) for name in names},
            params={},  # scikit-learn 1.6.0 with routing refuses None
            n_jobs=n_jobs,
            error_score="raise",
        )
    for k, (train, test) in enumerate(cv.split(X, y)):
        scaled = (X - X[train].mean(axis=0)) / X[train].std(axis=0)
        scores = oracles.mahalanobis(scaled[train], y[train], scaled[test])
        known = np.isin(y[test], y[train])
        for name in (*OOD, *NEG_OOD):
            expected = ood_oracle(name, scores[known], scores[~known])
            assert found[f"test_{name}"][k] == pytest.approx(expected, abs=1e-9)
        expected = -oracles.cdnv(scaled[test], y[test])
        assert found["test_neg_cdnv"][k] == pytest.approx(expected)


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_search_over_transformers(n_jobs, routing):
    """The transformer that separates the classes is found, weighted or not."""
    X, y = made(600)
    pipeline = Pipeline([("map", Doubler()), ("last", NeuralCollapseScorer())])
    grid = {"map": ["passthrough", PCA(2), Doubler()]}
    scoring = {"vci": get_scorer("neg_vci"), "nc1": get_scorer("neg_nc1_pinv")}
    with config_context(enable_metadata_routing=routing):
        search = GridSearchCV(
            pipeline,
            grid,
            cv=StratifiedKFold(3),
            scoring=scoring,
            refit="nc1",
            n_jobs=n_jobs,
        ).fit(X, y)
    results = search.cv_results_
    assert np.isfinite(results["mean_test_vci"]).all()
    _, test = next(StratifiedKFold(3).split(X, y))
    assert results["split0_test_nc1"][0] == pytest.approx(
        -oracles.nc1_pinv(X[test], y[test])
    )
    assert results["split0_test_nc1"][2] == pytest.approx(
        -oracles.nc1_pinv(Doubler().transform(X[test]), y[test])
    )
    # VCI does not change under invertible linear maps, NC1 does.
    vci = results["split0_test_vci"]
    assert vci[0] == pytest.approx(vci[2])
    assert vci[0] == pytest.approx(-oracles.vci(X[test], y[test]))


def test_sample_weight_in_a_search():
    """GridSearchCV asks scorers in a dictionary whether they take weights."""
    X, y = made(300)
    weights = np.random.default_rng(0).integers(1, 4, size=len(y))
    scoring = {"a": get_scorer("neg_cdnv"), "b": get_scorer("ncm_accuracy")}
    search = GridSearchCV(
        MahalanobisDetector(), {}, scoring=scoring, refit="a", cv=StratifiedKFold(2)
    ).fit(X, y, sample_weight=weights)
    assert np.isfinite(search.cv_results_["mean_test_a"]).all()


@pytest.mark.parametrize("routing", [False, True])
def test_permutation_test(routing):
    X, y = made(300)
    with config_context(enable_metadata_routing=routing):
        score, permuted, p = permutation_test_score(
            StandardScaler(),
            X,
            y,
            scoring=get_scorer("ncm_accuracy"),
            cv=StratifiedKFold(2),
            n_permutations=20,
            n_jobs=2,
            random_state=0,
        )
    assert score > permuted.max()
    assert p == pytest.approx(1 / 21)


def test_permutation_importance():
    """It passes the weights on."""
    X, y = made(300)
    found = permutation_importance(
        MahalanobisDetector().fit(X, y),
        X,
        y,
        scoring=get_scorer("ncm_accuracy"),
        n_repeats=2,
        sample_weight=np.ones(len(y)),
        random_state=0,
    )
    assert np.isfinite(found.importances).all()


def test_errors_become_nan_with_a_warning():
    """As scikit-learn has it: nothing is left out by these folds."""
    X, y = made()
    arguments = (MahalanobisDetector(), X, y)
    options = {"cv": StratifiedKFold(2), "scoring": get_scorer("ood_auroc")}
    with pytest.warns(UserWarning, match="Scoring failed"):
        assert np.isnan(cross_val_score(*arguments, **options)).all()
    with pytest.raises(ValueError, match="holds only labels"):
        cross_val_score(*arguments, **options, error_score="raise")


def test_clone_of_a_search():
    search = GridSearchCV(MahalanobisDetector(), {}, scoring=get_scorer("ood_auroc"))
    assert repr(clone(search).scoring) == "get_scorer('ood_auroc')"


def test_union_of_transformers():
    X, y = made()
    union = FeatureUnion([("a", Doubler()), ("b", FunctionTransformer())]).fit(X, y)
    expected = -oracles.cdnv(np.hstack([Doubler().transform(X), X]), y)
    assert get_scorer("neg_cdnv")(union, X, y) == pytest.approx(expected)


# -- the other families ----------------------------------------------------------


@pytest.fixture
def fakes(monkeypatch):
    add_fakes(monkeypatch)


def targets(X, seed=3):
    noise = np.random.default_rng(seed).normal(size=(len(X), 2))
    return X[:, :2] ** 2 + X[:, 2:] + noise


def family_case(name, X, y):
    """Estimator, targets and the value on given rows with weights."""
    scaler = StandardScaler()
    if name == "misfit":
        y = targets(X)
        estimator = make_pipeline(scaler, Ridge(1.0))
    else:
        y = {"slope": targets(X), "spread": None, "gap": None}.get(name, y)
        estimator = make_pipeline(Doubler(), scaler)

    def value(train, test):
        Z = (X[test] - X[train].mean(axis=0)) / X[train].std(axis=0)
        if name == "misfit":
            scaled = (X[train] - X[train].mean(axis=0)) / X[train].std(axis=0)
            coef = Ridge(1.0).fit(scaled, y[train]).coef_
            return -misfit(Z, y[test], coef)
        if y is None:
            return {"spread": spread, "gap": gap}[name](Z)
        return {"slope": slope, "same_neighbor": same_neighbor}[name](Z, y[test])

    return estimator, y, value


FAKE_SCORERS = ["spread", "slope", "neg_misfit", "same_neighbor"]


def test_names_of_fakes(fakes):
    """All with a direction."""
    assert set(FAKE_SCORERS) <= set(get_scorer_names())
    assert not {"gap", "neg_gap"} & set(get_scorer_names())
    assert {name.removeprefix("neg_") for name in FAKE_SCORERS} == set(FAKES) - {"gap"}


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("scorer_name", FAKE_SCORERS)
def test_families_in_scikit_learn(fakes, scorer_name, routing):
    X, labels = made()
    name = scorer_name.removeprefix("neg_")
    estimator, y, value = family_case(name, X, labels)
    cv = KFold(3)
    expected = [value(train, test) for train, test in cv.split(X)]
    scoring = get_scorer(scorer_name)
    options = {"cv": cv, "error_score": "raise"}
    with config_context(enable_metadata_routing=routing):
        for given in (scoring, {"score": scoring}):
            found = cross_validate(estimator, X, y, scoring=given, params={}, **options)
            np.testing.assert_allclose(found["test_score"], expected)
        search = GridSearchCV(
            estimator,
            {"standardscaler__copy": [True, False]},
            scoring=scoring,
            **options,
        ).fit(X, y)
        assert search.best_score_ == pytest.approx(np.mean(expected))
        assert search.score(X, y) == pytest.approx(value(slice(None), slice(None)))
        if y is not None:
            score, null, _ = permutation_test_score(
                estimator,
                X,
                y,
                scoring=scoring,
                cv=cv,
                n_permutations=5,
                random_state=0,
            )
            assert score == pytest.approx(np.mean(expected))
            assert np.isfinite(null).all()
            assert np.ptp(null) > 0


@pytest.mark.parametrize(
    "last", ["regressor", "frozen", "one target", "head", "array head"]
)
def test_heads_of_regression(fakes, last):
    X, _ = made()
    y = targets(X)
    fitted = LinearRegression().fit(X, y)
    coef = fitted.coef_
    if last == "one target":
        y = y[:, 0]
        fitted.fit(X, y)
        coef = fitted.coef_[None]
    estimator = FrozenEstimator(fitted) if last == "frozen" else fitted
    if "head" in last:
        estimator = Scores().fit(X, [0])
        estimator.head_ = fitted if last == "head" else coef
    X, y = X + 1, np.asarray(y) ** 2
    found = get_scorer("neg_misfit")(estimator, X, y)
    assert found == pytest.approx(-misfit(X, y, coef))
    found = get_scorer("neg_misfit")(make_pipeline("passthrough", estimator), X, y)
    assert found == pytest.approx(-misfit(X, y, coef))


def test_no_head_of_regression(fakes):
    X, _ = made()
    with pytest.raises(ValueError, match="StandardScaler has neither coef_ nor head_"):
        get_scorer("neg_misfit")(StandardScaler().fit(X), X, targets(X))


def test_what_families_need(fakes):
    X, y = made()
    last = StandardScaler().fit(X)
    for name, what in (("neg_vci", "class labels"), ("slope", "continuous targets")):
        with pytest.raises(ValueError, match=f"needs {what}: pass y"):
            get_scorer(name)(last, X)
    with pytest.raises(ValueError, match="same_neighbor takes no sample_weight"):
        get_scorer("same_neighbor")(last, X, y, sample_weight=np.ones(len(y)))


def test_weights_reach_the_scorers_that_take_them(fakes):
    """In a dictionary of scorers, without metadata routing."""
    X, y = made()
    weights = np.random.default_rng(0).integers(1, 4, size=len(y))
    scoring = {name: get_scorer(name) for name in ("neg_cdnv", "spread")}
    found = permutation_importance(
        MahalanobisDetector().fit(X, y),
        X,
        y,
        scoring=scoring,
        n_repeats=1,
        sample_weight=weights,
        random_state=0,
    )
    assert set(found) == set(scoring)
    # What newer versions of scikit-learn ask each scorer of a dictionary.
    asked = {name: get_scorer(name)._accept_sample_weight() for name in FAKE_SCORERS}
    assert asked == {name: name != "same_neighbor" for name in FAKE_SCORERS}


# -- metadata routing ------------------------------------------------------------


@pytest.mark.parametrize("name", ["neg_cdnv", "ood_auroc"])
def test_routed_weights(name):
    """Asked for, they are those of the rows that are scored."""
    X, y = made(300)
    weights = np.random.default_rng(0).integers(1, 5, size=len(y))
    cv = LeaveClassesOut(random_state=0)
    detector = MahalanobisDetector()
    with config_context(enable_metadata_routing=True):
        detector.set_fit_request(sample_weight=True)
        scorer = get_scorer(name)
        assert scorer.set_score_request(sample_weight=True) is scorer
        for scoring in (scorer, {"score": scorer}):
            found = cross_validate(
                detector,
                X,
                y,
                cv=cv,
                scoring=scoring,
                params={"sample_weight": weights},
                error_score="raise",
            )["test_score"]
            for k, (train, test) in enumerate(cv.split(X, y)):
                again = np.repeat(train, weights[train])
                rows = np.repeat(test, weights[test])
                if name == "neg_cdnv":
                    expected = -oracles.cdnv(X[rows], y[rows])
                else:
                    scores = oracles.mahalanobis(X[again], y[again], X[rows])
                    known = np.isin(y[rows], y[train])
                    expected = oracles.auroc(scores[known], scores[~known])
                assert found[k] == pytest.approx(expected)
        search = GridSearchCV(
            detector, {"relative": [False]}, cv=cv, scoring=scorer, error_score="raise"
        ).fit(X, y, sample_weight=weights)
        assert search.best_score_ == pytest.approx(found.mean())
        if name == "neg_cdnv":
            again = np.repeat(X, weights, axis=0), np.repeat(y, weights)
            found = search.score(X, y, sample_weight=weights)
            assert found == pytest.approx(-oracles.cdnv(*again))


def test_requests():
    """None is an error where weights are passed, False leaves them out."""
    X, y = made(150)
    weights = np.random.default_rng(0).integers(1, 5, size=len(y))
    arguments = {"cv": StratifiedKFold(2), "error_score": "raise"}

    def score(request=None, name="sample_weight"):
        scorer = get_scorer("neg_cdnv")
        if request is not None:
            scorer.set_score_request(sample_weight=request)
        wanted = name == "sample_weight"  # by fit, which the metric does not see
        detector = MahalanobisDetector().set_fit_request(sample_weight=wanted)
        passed = {name: weights}
        return cross_val_score(
            detector, X, y, scoring=scorer, params=passed, **arguments
        )

    plain = cross_val_score(
        MahalanobisDetector(), X, y, scoring=get_scorer("neg_cdnv"), **arguments
    )
    with config_context(enable_metadata_routing=True):
        with pytest.raises(
            UnsetMetadataPassedError,
            match=r"get_scorer\('neg_cdnv'\).*set_score_request",
        ):
            score()
        np.testing.assert_array_equal(score(False), plain)
        weighted = score(True)
        assert (weighted != plain).all()
        np.testing.assert_array_equal(score("mass", name="mass"), weighted)


def test_requests_survive_copies():
    with config_context(enable_metadata_routing=True):
        scorer = get_scorer("neg_cdnv").set_score_request(sample_weight=True)
        search = clone(GridSearchCV(MahalanobisDetector(), {}, scoring=scorer))
        for copy in (search.scoring, pickle.loads(pickle.dumps(scorer))):
            request = copy.get_metadata_routing().score.requests
            assert request == {"sample_weight": True}
        # Each scorer has requests of its own.
        fresh = get_scorer("neg_cdnv").get_metadata_routing().score.requests
        assert fresh == {"sample_weight": None}


def test_requests_that_cannot_be(fakes):
    scorer = get_scorer("neg_cdnv")
    with pytest.raises(RuntimeError, match="only available when metadata routing"):
        scorer.set_score_request(sample_weight=True)
    with config_context(enable_metadata_routing=True):
        with pytest.raises(ValueError, match="alias you're setting"):
            scorer.set_score_request(sample_weight=3)
        with pytest.raises(TypeError, match="same_neighbor takes no sample_weight"):
            get_scorer("same_neighbor").set_score_request(sample_weight=True)
        request = get_scorer("same_neighbor").get_metadata_routing()
        assert request.score.requests == {}
