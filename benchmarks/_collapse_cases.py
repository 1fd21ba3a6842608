"""What is measured of the collapse scorers and of the neighbours beneath them."""

import importlib.util

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from benchmarks._measure import best_times, make_rows, of_floor, of_ratio, peak_extra
from sklearn_collapse import ClassMoments
from sklearn_collapse.collapse import (
    DimensionalCollapseScorer,
    NeuralCollapseScorer,
    RegressionCollapseScorer,
)
from sklearn_collapse.metrics import lid, mst_length, two_nn, uniformity


def scorers(n, d, n_classes, repeats):
    """Fit and all metrics against the Gram product, and against a decomposition."""
    X, y = make_rows(n, d, n_classes)
    targets = X[:, :4] + 0.1
    wide, out = X.astype(float), np.empty((d, d))
    dimensional = DimensionalCollapseScorer()
    regression = RegressionCollapseScorer()
    labelled = NeuralCollapseScorer(metrics=["class_separation", "tolerance", "lidar"])
    times = best_times(
        {
            "Gram": lambda: np.matmul(wide.T, wide, out=out),
            "svd": lambda: np.linalg.svd(X, compute_uv=False),
            "dimensional": lambda: dimensional.fit(X).metrics_,
            "regression": lambda: regression.fit(X, targets).metrics_,
            "unit rows": lambda: labelled.fit(X, y).metrics_,
        },
        min(repeats, 3),
    )
    floor, work = times["Gram"], "scorers"
    yield of_floor(work, "X.T @ X, float64", floor)
    what = "DimensionalCollapseScorer, fit and metrics"
    yield of_ratio(work, what, times["dimensional"], "Gram", floor)
    yield of_floor(work, "singular values of X, float32", times["svd"])
    yield of_ratio(work, what, times["dimensional"], "svd", times["svd"])
    what = "RegressionCollapseScorer, two moments"
    yield of_ratio(work, what, times["regression"], "Gram", floor)
    what = "NeuralCollapseScorer, two moments"
    yield of_ratio(work, what, times["unit rows"], "Gram", floor)


def classes(n, d, n_classes, repeats):
    """Metrics of pairs of many classes against the product and distances of means."""
    n_classes, d = max(n // 10, 50), max(d // 2, 2)
    X, _ = make_rows(2 * n_classes, d, 2)
    y = np.repeat(np.arange(n_classes), 2)
    moments = ClassMoments.from_arrays(X, y)
    means = moments.means_

    def measure(name):
        scorer = NeuralCollapseScorer(metrics=[name]).fit_moments(moments)
        return lambda: scorer.fit_moments(moments).metrics_

    times = best_times(
        {
            "product": lambda: means @ means.T,
            "cdist": lambda: cdist(means, means, "sqeuclidean"),
            "cdnv": measure("cdnv"),
            "gnc2_uniformity": measure("gnc2_uniformity"),
        },
        min(repeats, 3),
    )
    work, product = f"{n_classes} classes", times["product"]
    yield of_floor(work, f"product of {n_classes} x {d} means, float64", product)
    yield of_floor(work, "SciPy's cdist of the means", times["cdist"])
    for name in ("cdnv", "gnc2_uniformity"):
        yield of_ratio(work, name, times[name], "product", product)
        yield of_ratio(work, name, times[name], "cdist", times["cdist"])
    peak, kept = peak_extra(measure("cdnv"))
    yield work, "extra memory of cdnv, result not counted", peak - kept, "MiB", "", ""


def neighbors(n, d, n_classes, repeats):
    """Dimensions against scikit-learn's search alone, and against scikit-dimension."""
    X, _ = make_rows(max(n * 2 // 25, 500), max(d // 2, 2), n_classes)
    search = NearestNeighbors(algorithm="brute").fit(X)
    functions = {
        "search 20": lambda: search.kneighbors(n_neighbors=20),
        "lid": lambda: lid(X),
        "search 2": lambda: search.kneighbors(n_neighbors=2),
        "two_nn": lambda: two_nn(X),
        "tree": lambda: mst_length(X),
        "uniformity": lambda: uniformity(X),
    }
    rivals = {}
    if importlib.util.find_spec("skdim") is not None:
        skdim = importlib.import_module("skdim")
        rivals = {
            "lid": lambda: skdim.id.MLE(K=20).fit(X).dimension_,
            "two_nn": lambda: skdim.id.TwoNN().fit(X).dimension_,
        }
        np.testing.assert_allclose(rivals["two_nn"](), two_nn(X), rtol=0.05)
        harmonic = lid(X, correction=True, aggregate="harmonic")
        np.testing.assert_allclose(rivals["lid"](), harmonic, rtol=1e-3)
    theirs = {f"skdim {name}": rival for name, rival in rivals.items()}
    times = best_times({**functions, **theirs}, min(repeats, 3))
    work, size = "neighbours", f"{X.shape[0]} x {X.shape[1]}"
    for name, k in (("lid", 20), ("two_nn", 2)):
        floor = times[f"search {k}"]
        yield of_floor(work, f"NearestNeighbors, brute, {k} neighbours, {size}", floor)
        yield of_ratio(work, name, times[name], "search", floor)
        if name in rivals:
            rival = times[f"skdim {name}"]
            yield of_floor(work, f"scikit-dimension, {name}", rival)
            yield of_ratio(work, name, times[name], "scikit-dimension", rival)
    for name, what in (("tree", "mst_length"), ("uniformity", "uniformity")):
        yield of_ratio(work, what, times[name], "search", times["search 20"])
    peak, kept = peak_extra(functions["lid"])
    yield work, "extra memory of lid, result not counted", peak - kept, "MiB", "", ""
