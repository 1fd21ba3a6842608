"""Out-of-distribution detectors: their products, and the detectors of others."""

import numpy as np
from scipy.special import logsumexp
from sklearn.covariance import EllipticEnvelope, MinCovDet
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.svm import OneClassSVM

from benchmarks._measure import best_times, make_rows, of_floor, of_ratio, peak_extra
from sklearn_collapse import LinearHead
from sklearn_collapse.ood import (
    ActivationShaper,
    ComedianCovariance,
    FDBDDetector,
    KNNDetector,
    MahalanobisDetector,
    MahalanobisSVDD,
    NCIDetector,
    NECODetector,
    NNGuideDetector,
    ResidualDetector,
    ViMDetector,
)


def mahalanobis(n, d, n_classes, repeats):
    """Scoring against its two products, and against the loop over classes."""
    X, y = make_rows(n, d, n_classes)
    detector = MahalanobisDetector().fit(X, y)
    rng = np.random.default_rng(1)
    queries = rng.normal(size=(d, n_classes)).astype(np.float32)
    root = rng.normal(size=(d, d)).astype(np.float32)
    to_classes, white = np.empty((n, n_classes), np.float32), np.empty_like(X)

    def products():
        np.matmul(X, queries, out=to_classes)
        np.matmul(X, root, out=white)

    times = best_times(
        {"products": products, "ours": lambda: detector.score_samples(X)}, repeats
    )
    yield of_floor("Mahalanobis", "its two products, float32", times["products"])
    yield of_ratio(
        "Mahalanobis", "score_samples", times["ours"], "products", times["products"]
    )
    few = X[: max(n // 20, 1000)]
    means = detector.means_.astype(np.float32)
    precision = np.linalg.inv(detector.covariance_).astype(np.float32)

    def class_loop():
        distances = [((few - m) @ precision * (few - m)).sum(1) for m in means]
        return -np.min(distances, axis=0)

    times = best_times(
        {"loop": class_loop, "ours": lambda: detector.score_samples(few)}, repeats
    )
    loop_scores, ours = class_loop(), detector.score_samples(few)
    np.testing.assert_allclose(ours, loop_scores, rtol=1e-2)
    yield of_floor("Mahalanobis", f"loop over classes, {len(few)} rows", times["loop"])
    yield of_ratio("Mahalanobis", "the same rows", times["ours"], "loop", times["loop"])
    peak, kept = peak_extra(lambda: detector.score_samples(X))
    yield "Mahalanobis", "extra memory, result not counted", peak - kept, "MiB", "", ""


def neco(n, d, n_classes, repeats):
    """Scoring against the one projection that it needs."""
    X, y = make_rows(n, d, n_classes)
    detector = NECODetector().fit(X, y)
    head = LinearHead(np.random.default_rng(1).normal(size=(n_classes, d)))
    with_head = NECODetector(head=head).fit(X, y)
    plain = NECODetector(scale=False, center=False).fit(X, y)
    vectors = detector.components_.T.astype(np.float32)
    out = np.empty((n, vectors.shape[1]), np.float32)
    coef = head.coef_.T.astype(np.float32)
    logits = np.empty((n, n_classes), np.float32)

    def both():
        np.matmul(X, vectors, out=out)
        np.matmul(X, coef, out=logits)

    times = best_times(
        {
            "product": lambda: np.matmul(X, vectors, out=out),
            "ours": lambda: detector.score_samples(X),
            "both": both,
            "head": lambda: with_head.score_samples(X),
        },
        repeats,
    )
    product = times["product"]
    yield of_floor("NECO", f"projection to {len(vectors.T)}, float32", product)
    yield of_ratio("NECO", "score_samples", times["ours"], "projection", product)
    yield of_floor("NECO", "projection and logits, float32", times["both"])
    yield of_ratio(
        "NECO", "score_samples with a head", times["head"], "both", times["both"]
    )
    vectors = plain.components_.T.astype(np.float32)
    out = np.empty((n, vectors.shape[1]), np.float32)
    times = best_times(
        {
            "product": lambda: np.matmul(X, vectors, out=out),
            "ours": lambda: plain.score_samples(X),
        },
        repeats,
    )
    product = times["product"]
    yield of_floor("NECO", f"projection to {len(vectors.T)}, float32", product)
    yield of_ratio(
        "NECO", "score_samples, rows as they are", times["ours"], "projection", product
    )
    peak, kept = peak_extra(lambda: detector.score_samples(X))
    yield "NECO", "extra memory, result not counted", peak - kept, "MiB", "", ""


def heads(n, d, n_classes, repeats):
    """Detectors with a head against the products that they need."""
    X, y = make_rows(n, d, n_classes)
    head = LinearHead(np.random.default_rng(1).normal(size=(n_classes, d)))
    kept = d // 2
    detectors = {
        "Residual": ResidualDetector(kept).fit(X),
        "ViM": ViMDetector(head, n_components=kept).fit(X, y),
        "NCI": NCIDetector(head).fit(X, y),
        "fDBD": FDBDDetector(head).fit(X, y),
    }
    basis = np.random.default_rng(2).normal(size=(d, d - kept)).astype(np.float32)
    coef = head.coef_.T.astype(np.float32)
    rest, logits = np.empty((n, d - kept), np.float32), np.empty((n, n_classes), "f4")

    def both():
        np.matmul(X, basis, out=rest)
        np.matmul(X, coef, out=logits)

    times = best_times(
        {
            "projection": lambda: np.matmul(X, basis, out=rest),
            "logits": lambda: np.matmul(X, coef, out=logits),
            "both": both,
            "energy": lambda: logsumexp(np.matmul(X, coef, out=logits), axis=1),
            **{k: (lambda v=v: v.score_samples(X)) for k, v in detectors.items()},
        },
        repeats,
    )
    for what in ("projection", "logits", "both"):
        yield of_floor("heads", f"{what}, float32", times[what])
    what = "logits and SciPy's logsumexp"
    yield of_ratio("heads", what, times["energy"], "logits", times["logits"])
    for name, against in (
        ("Residual", "projection"),
        ("ViM", "both"),
        ("NCI", "logits"),
        ("fDBD", "logits"),
    ):
        yield of_ratio("heads", name, times[name], against, times[against])
    peak, result = peak_extra(lambda: detectors["ViM"].score_samples(X))
    yield "heads", "ViM, extra memory", peak - result, "MiB", "", ""


def shapers(n, d, n_classes, repeats):
    """Shaping of activations against a copy of them, and the exact percentile."""
    X = np.abs(make_rows(n, d, n_classes)[0])
    out = np.empty_like(X)
    methods = {m: ActivationShaper(m).fit(X) for m in ("react", "ash_s", "scale")}
    times = best_times(
        {
            "copy": lambda: np.copyto(out, X),
            "percentile": lambda: np.percentile(X, 90),
            "fit": lambda: ActivationShaper("react").fit(X),
            **{m: (lambda s=s: s.transform(X)) for m, s in methods.items()},
        },
        min(repeats, 3),
    )
    yield of_floor("shaping", "np.percentile of all activations", times["percentile"])
    yield of_ratio(
        "shaping", "fit of ReAct", times["fit"], "percentile", times["percentile"]
    )
    peak, kept = peak_extra(lambda: ActivationShaper("react").fit(X))
    yield "shaping", "fit of ReAct, extra memory", peak - kept, "MiB", "", ""
    yield of_floor("shaping", "copy of the rows", times["copy"])
    for method in methods:
        yield of_ratio("shaping", method, times[method], "copy", times["copy"])


def neighbor_detectors(n, d, n_classes, repeats):
    """Nearest training rows against scikit-learn's brute-force search: n / 5 rows."""
    X, y = make_rows(n // 5, d // 2, n_classes)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    new = X[: len(X) // 4] + np.float32(0.01)
    k = 50
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(X)
    factor = LocalOutlierFactor(k, algorithm="brute", novelty=True)
    knn, guide = KNNDetector(k).fit(X), NNGuideDetector().fit(X, y)
    factor.fit(X)
    times = best_times(
        {
            "search": lambda: search.kneighbors(new),
            "ours": lambda: knn.score_samples(new),
            "LOF": lambda: factor.score_samples(new),
            "NNGuide": lambda: guide.score_samples(new),
        },
        min(repeats, 3),
    )
    theirs = search.kneighbors(new / np.linalg.norm(new, axis=1, keepdims=True))[0]
    np.testing.assert_allclose(knn.score_samples(new), -theirs[:, -1], atol=1e-3)
    work = "neighbours"
    what = f"NearestNeighbors(brute), {len(new)} of {len(X)}"
    yield of_floor(work, what, times["search"])
    for name, what in (
        ("ours", "KNNDetector.score_samples"),
        ("LOF", "LocalOutlierFactor.score_samples"),
        ("NNGuide", "NNGuideDetector.score_samples, k = 10"),
    ):
        yield of_ratio(work, what, times[name], "search", times["search"])


def one_class(n, d, n_classes, repeats):
    """Fit and score without classes: robust covariances, and a boundary."""
    X, _ = make_rows(max(n // 50, 200), max(d // 16, 4), 1)
    X = X.astype(float)
    detectors = {
        "Elliptic": EllipticEnvelope(random_state=0),
        "MCD": MahalanobisDetector(MinCovDet(random_state=0)),
        "comedian": MahalanobisDetector(ComedianCovariance()),
        "plain": MahalanobisDetector(),
        "SVM": OneClassSVM(nu=0.05),
        "SVDD": MahalanobisSVDD(),
    }
    times = best_times(
        {k: (lambda v=v: v.fit(X).score_samples(X)) for k, v in detectors.items()},
        min(repeats, 2),
    )
    work, size = "one class", f"{X.shape[0]} x {X.shape[1]}"
    yield of_floor(work, f"EllipticEnvelope, {size}", times["Elliptic"])
    for name, what in (
        ("MCD", "MahalanobisDetector(MinCovDet())"),
        ("comedian", "MahalanobisDetector(ComedianCovariance())"),
        ("plain", "MahalanobisDetector()"),
    ):
        yield of_ratio(work, what, times[name], "Elliptic", times["Elliptic"])
    yield of_floor(work, f"OneClassSVM, {size}", times["SVM"])
    yield of_ratio(work, "MahalanobisSVDD", times["SVDD"], "SVM", times["SVM"])
