"""scikit-learn's estimator checks and our own, on several instances of each class."""

import importlib.util
import warnings
from collections import Counter

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator
from sklearn.covariance import ShrunkCovariance
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import has_fit_parameter

from sklearn_collapse.collapse import (
    DimensionalCollapseScorer,
    NeighborCollapseScorer,
    NeuralCollapseScorer,
    RegressionCollapseScorer,
)
from sklearn_collapse.etf import (
    CompatibilityScorer,
    ETFAligner,
    ETFAlignmentScorer,
    ETFClassifier,
    GrassmannClassifier,
)
from sklearn_collapse.metrics import CollapseWarning
from sklearn_collapse.ood import (
    ActivationShaper,
    ClassSubspaceDetector,
    ComedianCovariance,
    ConformalDetector,
    COSTARRDetector,
    DetectorEnsemble,
    FDBDDetector,
    KNNDetector,
    LogitDetector,
    MahalanobisDetector,
    MahalanobisSVDD,
    NCIDetector,
    NECODetector,
    NNGuideDetector,
    ReconstructionDetector,
    ResidualDetector,
    SHEDetector,
    ViMDetector,
)
from sklearn_collapse.utils import all_estimators
from sklearn_collapse.utils import estimator_checks as ours
from sklearn_collapse.whitening import (
    ClassSubspaceProjector,
    IterNormWhitener,
    SpectralTransformer,
    SpectralWhitener,
)

INSTANCES = [
    NeuralCollapseScorer(),
    NeuralCollapseScorer("nc4_agreement", head="lda", class_weight="balanced"),
    NeuralCollapseScorer("cdnv", metrics=["cdnv", "nc2_etf_error"]),
    NeuralCollapseScorer("class_separation", metrics="all", per_class=True),
    NeuralCollapseScorer("coding_rate_reduction", class_weight="balanced"),
    NeuralCollapseScorer("lidar", metrics=["lidar", "tolerance"]),
    DimensionalCollapseScorer(),
    DimensionalCollapseScorer(centered=False, metrics="all"),
    DimensionalCollapseScorer("wasserstein_uniformity"),
    DimensionalCollapseScorer("eee", metrics=["nesum", "mean_cosine"]),
    DimensionalCollapseScorer("vrm"),
    RegressionCollapseScorer(),
    RegressionCollapseScorer(n_components=2, centered=True),
    RegressionCollapseScorer(metrics="all"),
    RegressionCollapseScorer("nrc2", head=Ridge()),
    RegressionCollapseScorer(metrics=["nrc3"], head=LinearRegression()),
    NeighborCollapseScorer(),
    NeighborCollapseScorer("uniformity", n_neighbors=5, random_state=0),
    NeighborCollapseScorer("two_nn", max_samples=60, random_state=0),
    NeighborCollapseScorer("thornton_index", metrics=["lid", "thornton_index"]),
    ETFAligner(),
    ETFAligner(scaling=False),
    ETFAligner("orthoplex", matching="optimal"),
    ETFAligner("spread"),
    ETFAlignmentScorer(),
    ETFAlignmentScorer(head="lda", criterion="alignment_mean"),
    ETFAlignmentScorer("hypercube", matching="optimal"),
    ETFAlignmentScorer("spread", criterion="cosine_gap_std"),
    ETFClassifier(),
    ETFClassifier(mapping="ridge", priors="empirical"),
    ETFClassifier("spread", mapping="ridge", shrinkage="oas", temperature=0.1),
    ETFClassifier(mapping="ridge", shrinkage="ledoit_wolf"),
    ETFClassifier("orthoplex", matching="optimal", priors="empirical"),
    GrassmannClassifier(),
    GrassmannClassifier(1, centered=True, gamma=10.0),
    GrassmannClassifier(0.9, centered=True),
    GrassmannClassifier(0.5),
    CompatibilityScorer(),
    CompatibilityScorer("class_mean"),
    CompatibilityScorer("class_mean", metric="euclidean"),
    MahalanobisDetector(),
    MahalanobisDetector(relative=True, normalize=True),
    MahalanobisDetector(shrinkage="ledoit_wolf", floor=0.01),
    MahalanobisDetector(shrinkage="oas", floor=0, contamination=0.2),
    MahalanobisDetector("class"),
    MahalanobisDetector("class", relative=True, shrinkage="oas"),
    MahalanobisDetector("class", shrinkage="ledoit_wolf", components="bottom"),
    MahalanobisDetector(ShrunkCovariance(), relative=True),
    MahalanobisDetector(components="top", variance_share=0.9),
    MahalanobisDetector(components="bottom", variance_share=0.3, relative=True),
    MahalanobisSVDD(),
    MahalanobisSVDD(0.8, normalize=True, shrinkage="oas"),
    MahalanobisSVDD(covariance=ShrunkCovariance()),
    NECODetector(),
    NECODetector(2, scale=False, denominator="raw"),
    NECODetector(0.5, scale=False, center=False, contamination=0.2),
    LogitDetector(),
    LogitDetector("msp", temperature=2.5),
    LogitDetector("max_logit", contamination=0.2),
    ReconstructionDetector(),
    ReconstructionDetector(1, latent_weight=0.0),
    ReconstructionDetector(0.9, residual_weight=3.0, contamination=0.2),
    ClassSubspaceDetector(),
    ClassSubspaceDetector(0.8, contamination=0.2),
    ClassSubspaceDetector(2, centered=True),
    ComedianCovariance(),
    ComedianCovariance(0.0, store_precision=False),
    ComedianCovariance(0.3, assume_centered=True),
    ResidualDetector(),
    ResidualDetector(0.9, origin="zero", contamination=0.2),
    ViMDetector(),
    ViMDetector("lda", n_components=1),
    NCIDetector(),
    NCIDetector(alpha=0.1, contamination=0.2),
    FDBDDetector(),
    FDBDDetector(contamination=0.2),
    # Unseeded, each fit draws other rows.
    ConformalDetector(random_state=0),
    ConformalDetector(NECODetector(1), alpha=0.2, calibration_size=0.5, random_state=1),
    DetectorEnsemble(),
    DetectorEnsemble([("a", MahalanobisDetector(relative=True))], combine="z"),
    DetectorEnsemble(
        [("a", MahalanobisDetector()), ("b", LogitDetector())], combine="max"
    ),
    LogitDetector("entropy", temperature=5.0),
    LogitDetector("gen", gamma=0.5, n_top=2),
    LogitDetector("klm"),
    LogitDetector("margin"),
    ActivationShaper(),
    ActivationShaper("ash_p"),
    ActivationShaper("ash_b", percentile=65),
    ActivationShaper("ash_s", percentile=50),
    ActivationShaper("scale", percentile=85),
    ActivationShaper("vra", percentile=95, lower_percentile=20),
    ActivationShaper("optimal", head="lda"),
    KNNDetector(),
    KNNDetector(5, normalize=False, contamination=0.2),
    SHEDetector(),
    SHEDetector(metric="cosine", contamination=0.2),
    SHEDetector(metric="euclidean"),
    NNGuideDetector(),
    NNGuideDetector(n_neighbors=3, neighbors="cosine", contamination=0.2),
    COSTARRDetector(),
    COSTARRDetector(contamination=0.2),
    SpectralWhitener(),
    SpectralWhitener(n_components=0.99),
    SpectralWhitener("pca", ddof=1),
    SpectralWhitener("cholesky", floor="auto", scatter="within"),
    SpectralWhitener("zca_cor", n_components=0.9, scatter="within"),
    SpectralWhitener("pca_cor", shrinkage=0.1),
    SpectralWhitener(solver="gram", shrinkage=0.1, scatter="within"),
    SpectralWhitener("pca", solver="svd"),
    SpectralWhitener(covariance=ShrunkCovariance(), scatter="within"),
    SpectralTransformer(),
    SpectralTransformer("soft", epsilon=0.1, scatter="within", ddof=1),
    SpectralTransformer("band", band=(0, 0.9)),
    SpectralTransformer("drop_top", n_components=0.99),
    SpectralTransformer("direct_pred", solver="gram"),
    SpectralTransformer(np.log1p, solver="svd"),
    ClassSubspaceProjector(),
    ClassSubspaceProjector(n_components=0.9),
    ClassSubspaceProjector("within"),
    ClassSubspaceProjector("within", n_components=1),
    IterNormWhitener(),
    IterNormWhitener(2, n_groups=2, shrinkage="oas"),
    IterNormWhitener(60, shrinkage="ledoit_wolf"),
]
# The first of each class, for checks that other tests make of every class.
ONE_OF_EACH_CLASS = list({type(e): e for e in reversed(INSTANCES)}.values())
# Why a check of scikit-learn may be skipped: hardware or libraries that are not here.
MAY_SKIP = {
    "check_array_api_input",
    "check_array_api_mixed_inputs",
    "check_array_api_same_namespace",
}
# What scikit-learn asks of classifiers alone: tags that are wrong would leave it out.
OF_CLASSIFIERS = {
    "check_classifier_data_not_an_array",
    "check_classifiers_classes",
    "check_classifiers_one_label",
    "check_classifiers_one_label_sample_weights",
    "check_classifiers_regression_target",
    "check_classifiers_train",
    "check_decision_proba_consistency",
}
SKLEARN = tuple(int(part) for part in sklearn.__version__.split(".")[:2])


def test_several_instances_of_every_estimator():
    counts = Counter(type(instance).__name__ for instance in INSTANCES)
    assert set(counts) == {name for name, _ in all_estimators()}
    assert min(counts.values()) >= 2
    assert all(issubclass(member, BaseEstimator) for _, member in all_estimators())


@pytest.mark.parametrize("estimator", INSTANCES, ids=repr)
def test_scikit_learn_checks(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        # One check has a class that is as long in both directions from the origin.
        warnings.filterwarnings("ignore", message=".* keeps equals the next")
        results = check_estimator(
            estimator, on_skip=None, on_fail=None, expected_failed_checks={}
        )
    failed = {
        r["check_name"]: r["exception"] for r in results if r["status"] == "failed"
    }
    assert not failed
    skipped = {r["check_name"] for r in results if r["status"] == "skipped"}
    assert skipped <= MAY_SKIP
    passed = Counter(r["check_name"] for r in results if r["status"] == "passed")
    # scikit-learn 1.6 has 49 for a scorer that neither transforms nor needs y.
    takes_weights = has_fit_parameter(estimator, "sample_weight")
    takes_arrays = get_tags(estimator).array_api_support
    least = 49 if takes_weights else 42 if takes_arrays else 39
    assert sum(passed.values()) >= least
    if hasattr(estimator, "predict_proba"):
        assert set(passed) >= OF_CLASSIFIERS
    # The array checks skip silently where they cannot run: count them.
    expected = 0
    if takes_arrays and importlib.util.find_spec("array_api_strict") is not None:
        expected += 1
        if importlib.util.find_spec("torch") is not None:
            expected += 1
    ran = sum(passed[name] for name in MAY_SKIP)
    assert ran >= expected, passed
    if SKLEARN >= (1, 9) and expected == 2:
        assert ran >= (7 if takes_weights else 5), passed


@pytest.mark.parametrize("estimator", INSTANCES, ids=repr)
def test_our_checks(estimator):
    assert len(ours.check_estimator(estimator)) >= 16


def test_check_estimator_runs_every_check():
    ran = ours.check_estimator(MahalanobisDetector())
    assert ran == [check.__name__ for check in ours.estimator_checks()]
    assert len(ran) >= 16


def test_checks_find_a_broken_estimator():
    class Rescaled(MahalanobisDetector):
        def _score_rows(self, X):
            return super()._score_rows(X) - 1e-6 * X.shape[0]

    with pytest.raises(AssertionError):
        ours.check_batches(Rescaled())
