"""What is measured: each case yields rows (work, what, value, unit, against, ratio)."""

import subprocess
import sys

import numpy as np
from sklearn.decomposition import PCA

from benchmarks._collapse_cases import classes, neighbors, scorers
from benchmarks._etf_cases import fixed_frames, frames, subspaces
from benchmarks._measure import best_times, make_rows, of_floor, of_ratio, peak_extra
from benchmarks._ood_cases import (
    heads,
    mahalanobis,
    neco,
    neighbor_detectors,
    one_class,
    shapers,
)
from sklearn_collapse import ClassMoments
from sklearn_collapse.collapse import NeuralCollapseScorer
from sklearn_collapse.whitening import IterNormWhitener, SpectralWhitener


def moments(n, d, n_classes, repeats):
    """Gathering against the Gram product alone, in the same precision."""
    X, y = make_rows(n, d, n_classes)
    wide, out, out32 = X.astype(float), np.empty((d, d)), np.empty((d, d), np.float32)
    times = best_times(
        {
            "X.T @ X float64": lambda: np.matmul(wide.T, wide, out=out),
            "double": lambda: ClassMoments.from_arrays(X, y).scatter_,
            "metrics": lambda: (
                NeuralCollapseScorer(metrics=_MOMENT_METRICS).fit(X, y).metrics_
            ),
            "X.T @ X float32": lambda: np.matmul(X.T, X, out=out32),
            "single": lambda: (
                ClassMoments.from_arrays(X, y, precision="single").scatter_
            ),
        },
        repeats,
    )
    floor, floor32 = times["X.T @ X float64"], times["X.T @ X float32"]
    yield of_floor("moments", "X.T @ X, float64", floor)
    yield of_ratio("moments", "ClassMoments, double", times["double"], "Gram", floor)
    yield of_ratio(
        "moments", "fit and all moment metrics", times["metrics"], "Gram", floor
    )
    yield of_floor("moments", "X.T @ X, float32", floor32)
    what = "ClassMoments, single"
    yield of_ratio("moments", what, times["single"], "Gram32", floor32)
    what = "extra memory, result not counted"
    peak, kept = peak_extra(lambda: ClassMoments.from_arrays(X, y))
    yield "moments", what, peak - kept, "MiB", "", ""


def whitening(n, d, n_classes, repeats):
    """Fit and transform against scikit-learn's fastest exact PCA(whiten=True)."""
    X, _ = make_rows(n, d, n_classes)
    solver = "covariance_eigh" if n > d else "full"
    rival = PCA(whiten=True, svd_solver=solver)

    def single():
        moments = ClassMoments.from_arrays(X, precision="single")
        return SpectralWhitener("pca").fit_moments(moments).transform(X)

    whitener = SpectralWhitener("pca")
    times = best_times(
        {
            "PCA": lambda: rival.fit_transform(X),
            "double": lambda: whitener.fit(X).transform(X),
            "single": single,
            "zca": lambda: SpectralWhitener().fit(X).transform(X),
        },
        repeats,
    )
    theirs, ours = rival.fit_transform(X[:5000]), whitener.fit_transform(X[:5000])
    np.testing.assert_allclose(np.abs(ours[:, :5]), np.abs(theirs[:, :5]), atol=5e-3)
    yield of_floor("whitening", f"PCA(whiten=True), {solver}", times["PCA"])
    for name, what in (
        ("double", "SpectralWhitener('pca'), double"),
        ("single", "the same, single"),
        ("zca", "SpectralWhitener('zca'), double"),
    ):
        yield of_ratio("whitening", what, times[name], "PCA", times["PCA"])
    peak, kept = peak_extra(lambda: whitener.fit_transform(X))
    yield "whitening", "extra memory, result not counted", peak - kept, "MiB", "", ""


def few_rows(n, d, n_classes, repeats):
    """Far fewer rows than features: n / 200 rows of 40 d, 500 x 20,480 by default."""
    X, _ = make_rows(max(n // 200, 20), 40 * d, n_classes)
    wide = X.astype(float)
    rival = PCA(whiten=True, svd_solver="full")
    out, turned = np.empty((len(X), len(X))), np.empty_like(wide)

    def products():
        np.matmul(wide, wide.T, out=out)
        np.matmul(out, wide, out=turned)

    gram = SpectralWhitener("pca", solver="gram")
    svd = SpectralWhitener("pca", solver="svd")
    zca = SpectralWhitener(solver="gram", shrinkage="oas")
    times = best_times(
        {
            "products": products,
            "PCA": lambda: rival.fit_transform(wide),
            "gram": lambda: gram.fit(wide).transform(wide),
            "svd": lambda: svd.fit(wide).transform(wide),
            "zca": lambda: zca.fit(wide).transform(wide),
        },
        min(repeats, 3),
    )
    theirs, ours = rival.fit_transform(wide), gram.fit_transform(wide)
    np.testing.assert_allclose(
        np.abs(ours[:, :5]) * (1 - 1 / len(X)) ** 0.5, np.abs(theirs[:, :5]), atol=1e-6
    )
    work = "few rows"
    size = f"{len(X)} x {X.shape[1]}"
    yield of_floor(work, f"X @ X.T and a turn, float64, {size}", times["products"])
    yield of_floor(work, "PCA(whiten=True), full, float64", times["PCA"])
    for name, what in (
        ("gram", "SpectralWhitener('pca'), gram"),
        ("svd", "the same, svd"),
        ("zca", "zca with OAS shrinkage, gram"),
    ):
        yield of_ratio(work, what, times[name], "PCA", times["PCA"])
    peak, kept = peak_extra(lambda: zca.fit(wide).transform(wide))
    yield work, "extra memory, result not counted", peak - kept, "MiB", "", ""


def iternorm(n, d, n_classes, repeats):
    """Iterations against their products alone, and against an eigendecomposition."""
    X, _ = make_rows(n, d, n_classes)
    moments = ClassMoments.from_arrays(X)
    covariance = moments.total_covariance()
    unit = covariance / np.trace(covariance)
    n_iter, eye = 5, np.eye(d)
    n_products = 3 * n_iter - 3  # Z_0 is the identity, and the last Y is not needed

    def chain():
        product = unit
        for _ in range(n_products):
            product = np.matmul(unit, product)
        return product

    def recursion():
        P = eye
        for _ in range(n_iter):
            P = 1.5 * P - 0.5 * P @ P @ P @ unit
        return P / np.trace(covariance) ** 0.5

    def fitted(**options):
        return IterNormWhitener(n_iter, **options).fit_moments(moments)

    times = best_times(
        {
            "chain": chain,
            "eigh": lambda: np.linalg.eigh(covariance),
            "recursion": recursion,
            "ours": lambda: fitted()._fitted(),
            "groups": lambda: fitted(n_groups=8)._fitted(),
            "ZCA": lambda: SpectralWhitener().fit_moments(moments).whitening_,
        },
        repeats,
    )
    np.testing.assert_allclose(fitted().whitening_, recursion(), atol=1e-9)
    floor = times["chain"]
    yield of_floor("IterNorm", f"{n_products} products, float64", floor)
    for name, what in (
        ("ours", f"fit_moments, {n_iter} iterations"),
        ("groups", "the same, 8 groups"),
        ("recursion", "published recursion"),
        ("eigh", "eigh of the covariance"),
        ("ZCA", "SpectralWhitener, fit_moments"),
    ):
        yield of_ratio("IterNorm", what, times[name], "products", floor)
    times = best_times(
        {
            "ZCA": lambda: SpectralWhitener().fit(X).transform(X),
            "ours": lambda: IterNormWhitener(n_iter).fit(X).transform(X),
            "groups": lambda: IterNormWhitener(n_iter, n_groups=8).fit(X).transform(X),
        },
        repeats,
    )
    yield of_floor("IterNorm", "SpectralWhitener, fit and transform", times["ZCA"])
    for name, what in (("ours", "fit and transform"), ("groups", "the same, 8 groups")):
        yield of_ratio("IterNorm", what, times[name], "ZCA", times["ZCA"])
    rows = {groups: fitted(n_groups=groups) for groups in (1, 8, 64)}
    times = best_times(
        {groups: (lambda w=w: w.transform(X)) for groups, w in rows.items()}, repeats
    )
    yield of_floor("IterNorm", "transform", times[1])
    for groups in (8, 64):
        what = f"transform, {groups} groups"
        yield of_ratio("IterNorm", what, times[groups], "one group", times[1])


def growth(n, d, n_classes, repeats):
    """Time per row of n against n / 4 rows; cost of merging partial results."""
    X, y = make_rows(n, d, n_classes)
    quarter = n // 4
    times = best_times(
        {
            "all": lambda: ClassMoments.from_arrays(X, y),
            "quarter": lambda: ClassMoments.from_arrays(X[:quarter], y[:quarter]),
        },
        repeats,
    )
    yield of_ratio(
        "growth", "moments per row, n", times["all"] / n, "n / 4",
        times["quarter"] / quarter,
    )  # fmt: skip
    size = 20 * n_classes
    parts = [
        ClassMoments.from_arrays(X[i : i + size], y[i : i + size])
        for i in range(0, n, size)
    ]
    for part in parts:
        part.means_  # noqa: B018  nothing waits in a buffer
    times = best_times(
        {
            "gather": lambda: ClassMoments.from_arrays(X, y),
            "merge": lambda: sum(parts[1:], parts[0]),
        },
        repeats,
    )
    yield of_ratio(
        "growth", f"merging {len(parts)} partials of 20 C rows", times["merge"],
        "gathering", times["gather"],
    )  # fmt: skip


def imports(n, d, n_classes, repeats):
    """Import time of the library against scikit-learn's sub-modules that it uses."""
    ours = "import sklearn_collapse.collapse, sklearn_collapse.ood"
    theirs = (
        "import sklearn.base, sklearn.frozen, sklearn.metrics, sklearn.utils.validation"
    )
    # The same interpreter start for both, measured and taken off.
    times = best_times(
        {name: _python(code) for name, code in
         {"ours": ours, "theirs": theirs, "empty": "pass"}.items()},
        max(repeats, 5),
    )  # fmt: skip
    ours, theirs = (times[name] - times["empty"] for name in ("ours", "theirs"))
    yield of_floor("import", "scikit-learn's sub-modules", theirs)
    yield of_ratio("import", "collapse and ood families", ours, "scikit-learn", theirs)


def _python(code):
    return lambda: subprocess.run([sys.executable, "-c", code], check=True)


_MOMENT_METRICS = [
    "nc1_pinv",
    "nc1_trace_ratio",
    "fisher_ratio",
    "cdnv",
    "vci",
    "nc2_equinorm",
    "nc2_equiangularity",
    "nc2_max_angle",
    "nc2_etf_error",
    "gnc2_uniformity",
    "gof_off_diagonal",
]

CASES = (
    moments,
    whitening,
    few_rows,
    iternorm,
    mahalanobis,
    neco,
    heads,
    shapers,
    neighbor_detectors,
    one_class,
    fixed_frames,
    subspaces,
    frames,
    scorers,
    classes,
    neighbors,
    growth,
    imports,
)
