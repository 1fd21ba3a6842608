"""Numbers of alignment, whitening, NECO and energy, against formulas written out."""

import numpy as np
import oracles
import oracles_etf
import oracles_head_detectors
import oracles_rows
import pytest
from oracles_whitening import covariance, descending
from scipy.spatial import procrustes
from scipy.special import logsumexp, softmax
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from sklearn_collapse.heads import LinearHead
from sklearn_collapse.report._compute import compute
from sklearn_collapse.report._load import FeatureSet
from sklearn_collapse.report._text import as_text

CONDITIONS = ("condition_before", "condition_after", "condition_test")
NECO_NOTE = "NECO is not in the table: "


def make_features(n=240, n_test=90, d=12, n_classes=4, seed=0, head=True, **changes):
    """Unequal classes, directions of very different width, a far set."""
    rng = np.random.default_rng(seed)
    means = 2 * rng.normal(size=(n_classes, d)) + 1
    mix = np.diag(np.geomspace(3, 0.05, d)) @ np.linalg.qr(rng.normal(size=(d, d)))[0]
    y = np.sort(np.r_[np.arange(n - 40) % n_classes, np.zeros(40, dtype=int)])
    y_test = np.arange(n_test) % n_classes
    X, X_test = (means[v] + rng.normal(size=(len(v), d)) @ mix for v in (y, y_test))
    W, b = means + 0.3 * rng.normal(size=means.shape), rng.normal(size=n_classes)
    values = {
        "name": "made",
        "split": "made",
        "ood": {"far": 2 * rng.normal(size=(50, d))},
        "head": LinearHead(W, b) if head else None,
        "X": X,
        "y": y,
        "X_test": X_test,
        "y_test": y_test,
    }
    return FeatureSet(**(values | changes)), W, b


def centred_test_means(features):
    """Class means of the test rows about the mean of those of the training rows."""
    centre = oracles.class_moments(features.X, features.y)["means"].mean(axis=0)
    return oracles.class_moments(features.X_test, features.y_test)["means"] - centre


# -- whitening -------------------------------------------------------------------


def conditions(features, scatter, rank=None):
    """Before, and of rows whitened here, all in float64."""
    X, X_test = (np.asarray(v, dtype=float) for v in (features.X, features.X_test))
    within = scatter == "within"
    y, y_test = (features.y, features.y_test) if within else (None, None)
    values, vectors = descending(covariance(X, y=y))
    rank = len(values) if rank is None else rank
    W = vectors[:, :rank] / np.sqrt(values[:rank])
    found = [values[0] / values[rank - 1]]
    for rows, labels in ((X, y), (X_test, y_test)):
        spectrum = np.linalg.eigvalsh(covariance((rows - X.mean(axis=0)) @ W, y=labels))
        found.append(spectrum[-1] / spectrum[0])
    return found


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("scatter", ["total", "within"])
def test_conditions(scatter, dtype):
    features, _, _ = make_features()
    features.X, features.X_test = (
        v.astype(dtype) for v in (features.X, features.X_test)
    )
    found = compute(features).numbers["whitening"][scatter]
    assert found["rank"] == features.X.shape[1]
    before, after, test = conditions(features, scatter)
    assert before > 1e2  # nothing that is white before
    rel = {"float64": 1e-8, "float32": 1e-4}[dtype]
    assert [found[key] for key in CONDITIONS] == pytest.approx(
        [before, after, test], rel=rel
    )


@pytest.mark.parametrize("scatter", ["total", "within"])
def test_constant_column(scatter):
    """The directions that vary are compared, also where test rows vary in others."""
    features, _, _ = make_features()
    features.X[:, 3] = 7
    found = compute(features).numbers["whitening"][scatter]
    assert found["rank"] == features.X.shape[1] - 1
    assert [found[key] for key in CONDITIONS] == pytest.approx(
        conditions(features, scatter, rank=found["rank"]), rel=1e-8
    )


def test_fewer_test_rows_than_features():
    """Their covariance is singular: by rows about one mean, or about each class's."""
    features, _, _ = make_features(n_test=14)
    for scatter, infinite in (("total", False), ("within", True)):
        found = compute(features).numbers["whitening"][scatter]
        assert np.isinf(found["condition_test"]) == infinite
    features, _, _ = make_features(n_test=12)
    report = compute(features)
    assert np.isinf(report.numbers["whitening"]["total"]["condition_test"])
    assert " inf\n" in as_text([report])


def test_collapsed_within():
    """There is nothing to whiten within classes, and that is no error."""
    features, _, _ = make_features()
    rng = np.random.default_rng(3)
    corners = rng.integers(-9, 9, size=(4, 12)).astype(float)
    features.X, features.X_test = corners[features.y], corners[features.y_test]
    whitening = compute(features).numbers["whitening"]
    assert whitening["within"]["rank"] == 0
    assert np.isnan([whitening["within"][key] for key in CONDITIONS]).all()
    assert whitening["total"]["rank"] == 3
    assert [whitening["total"][key] for key in CONDITIONS] == pytest.approx(
        conditions(features, "total", rank=3)
    )


# -- alignment -------------------------------------------------------------------


def test_training_alignment():
    features, W, _ = make_features()
    numbers = compute(features).numbers
    alignment, classes = numbers["alignment"], numbers["classes"]
    means = oracles.class_moments(features.X, features.y)["means"]
    frame = oracles_etf.simplex(4)
    wide = np.pad(frame, ((0, 0), (0, means.shape[1] - 4)))
    train = alignment["train"]
    # scipy aligns the second with the first; both are centred and of length 1.
    assert train["disparity"] == pytest.approx(procrustes(wide, means)[2])
    rotation, _, disparity = oracles_etf.alignment(means, frame)
    assert train["disparity"] == pytest.approx(disparity)
    cosines = np.diag(oracles_etf.cosines(means, frame, rotation))
    assert list(classes) == ["0", "1", "2", "3"]
    found = [row["vertex_cosine"] for row in classes.values()]
    assert found == pytest.approx(cosines)
    assert train["alignment_mean"] == pytest.approx(cosines.mean())
    assert train["alignment_std"] == pytest.approx(cosines.std())
    assert train["alignment_min"] == pytest.approx(cosines.min())
    W = W - W.mean(axis=0)
    scale = np.sum((W @ rotation) * frame) / np.sum(W**2)
    assert train["head_disparity"] == pytest.approx(
        oracles_etf.residual(W, frame, rotation, scale)
    )
    cosines = np.diag(oracles_etf.cosines(W, frame, rotation))
    assert train["head_alignment_mean"] == pytest.approx(cosines.mean())


def test_held_out_alignment():
    """Centre, rotation and scale are those of the training means."""
    features, _, _ = make_features()
    held_out = compute(features).numbers["alignment"]["held_out"]
    assert list(held_out) == ["disparity", "alignment_mean", "alignment_min"]
    frame = oracles_etf.simplex(4)
    means = oracles.class_moments(features.X, features.y)["means"]
    rotation, scale, _ = oracles_etf.alignment(means, frame)
    new = centred_test_means(features)
    expected = oracles_etf.residual(new, frame, rotation, scale)
    assert held_out["disparity"] == pytest.approx(expected)
    cosines = [
        (a @ rotation) @ b / (np.linalg.norm(a) * np.linalg.norm(b))
        for a, b in zip(new, frame, strict=True)
    ]
    assert held_out["alignment_mean"] == pytest.approx(np.mean(cosines))
    assert held_out["alignment_min"] == pytest.approx(np.min(cosines))


def test_more_classes_than_a_simplex_has():
    features, _, _ = make_features(d=3, n_classes=5)
    report = compute(features)
    alignment = report.numbers["alignment"]
    for part in alignment.values():
        assert np.isnan(list(part.values())).all()
    cosines = [row["vertex_cosine"] for row in report.numbers["classes"].values()]
    assert len(cosines) == 5
    assert np.isnan(cosines).all()
    assert any("5 classes have no simplex in 3" in n for n in report.numbers["notes"])


def test_without_head():
    report = compute(make_features(head=False)[0]).numbers
    assert not [name for name in report["alignment"]["train"] if "head" in name]
    detectors = [row["detector"] for row in report["ood"]]
    assert detectors[4:] == ["Residual", "kNN", "NECO"]


# -- detectors -------------------------------------------------------------------


def neco(features, rows, share=0.9):
    """The authors' code: scaler, PCA, ratio of lengths."""
    scaler = StandardScaler().fit(features.X)
    pca = PCA().fit(scaler.transform(features.X))
    m = int(np.searchsorted(np.cumsum(pca.explained_variance_ratio_), share)) + 1
    assert m < features.X.shape[1]
    z = scaler.transform(rows)
    reduced = pca.transform(z)[:, :m]
    return np.linalg.norm(reduced, axis=1) / np.linalg.norm(z, axis=1)


def test_scores_of_detectors():
    """With their defaults; those of Mahalanobis are in test_cli."""
    features, W, b = make_features()
    report = compute(features)
    X, mean = features.X, features.X.mean(axis=0)
    train = oracles_head_detectors.logits(features.X, W, b)
    origin = oracles_head_detectors.head_origin(W, b)
    expected = {
        "Residual": lambda rows: (
            -oracles_head_detectors.residuals(X, rows, X.shape[1] // 2, mean)
        ),
        "kNN": lambda rows: oracles_rows.knn(X, rows, 50),
        "NECO": lambda rows: neco(features, rows),
        "NECO with head": lambda rows: (
            neco(features, rows) * (rows @ W.T + b).max(axis=1)
        ),
        "energy": lambda rows: logsumexp(rows @ W.T + b, axis=1),
        "max logit": lambda rows: (rows @ W.T + b).max(axis=1),
        "MSP": lambda rows: softmax(rows @ W.T + b, axis=1).max(axis=1),
        "ViM": lambda rows: oracles_head_detectors.vim(
            X, rows, train, rows @ W.T + b, X.shape[1] // 2, origin
        ),
        "fDBD": lambda rows: oracles_head_detectors.fdbd(X, rows, W, b),
        "NCI": lambda rows: oracles_head_detectors.nci(X, rows, W, b, 1e-3),
    }
    rows = {row["detector"]: row for row in report.numbers["ood"]}
    assert list(rows)[4:] == list(expected)
    for name, scores in expected.items():
        inside, outside = scores(features.X_test), scores(features.ood["far"])
        found = report.study.detectors[name].score_samples(features.X_test)
        assert found == pytest.approx(inside)
        assert rows[name]["auroc"] == pytest.approx(oracles.auroc(inside, outside))
        assert rows[name]["fpr95_id"] == oracles.fpr_at_tpr(inside, outside)


def test_neco_that_cannot_tell():
    """All components, of which none is the last; or none at all."""
    rng = np.random.default_rng(0)
    X = np.tile(np.vstack([np.eye(4), -np.eye(4)]), (30, 1))
    X_test = rng.normal(size=(90, 4))
    far = {"far": rng.normal(size=(10, 4))}
    for rows, reason in ((X, "take all 4 principal"), (0 * X + 3, "do not vary")):
        features, _, _ = make_features(d=4, X=rows, X_test=X_test, ood=far)
        report = compute(features).numbers
        notes = [note for note in report["notes"] if note.startswith(NECO_NOTE)]
        assert len(notes) == 1
        assert reason in notes[0]
        detectors = {row["detector"] for row in report["ood"]}
        assert not [name for name in detectors if name.startswith("NECO")]
        assert {"Mahalanobis", "relative++", "kNN", "energy", "ViM"} <= detectors


def test_detector_that_cannot_be_fitted():
    """A note says why; the others are in the table."""
    features, W, b = make_features()
    features.head = LinearHead(W, b - 1e4)  # logits that ViM cannot match
    report = compute(features).numbers
    (note,) = (note for note in report["notes"] if note.startswith("ViM"))
    assert "is not in the table: The mean of the largest logits is" in note
    names = [row["detector"] for row in report["ood"]]
    assert "ViM" not in names
    assert {"energy", "fDBD", "kNN"} <= set(names)


def test_too_many_rows_for_neighbors(monkeypatch):
    from sklearn_collapse.report import _detectors

    features, _, _ = make_features(n=240, n_test=90, d=12)
    products = len(features.X) * (90 + 50) * 12
    for most, left_out in ((products, False), (products - 1, True)):
        monkeypatch.setattr(_detectors, "_MOST_PRODUCTS", most)
        report = compute(features).numbers
        names = [row["detector"] for row in report["ood"]]
        assert ("kNN" not in names) == left_out
        assert any(n.startswith("kNN is not in") for n in report["notes"]) == left_out


def test_detectors_that_are_drawn():
    """The best on each set, then the best on average, in the order of the table."""
    from sklearn_collapse.report._pictures import best_detectors

    aurocs = {
        "a": (0.5, 0.9),
        "b": (0.7, 0.7),
        "c": (0.95, 0.1),
        "d": (0.6, 0.6),
        "e": (0.69, 0.69),
        "f": (0.1, 0.1),
    }
    table = [
        {"detector": name, "set": of, "auroc": value}
        for name, values in aurocs.items()
        for of, value in zip("xy", values, strict=True)
    ]
    assert best_detectors(table) == ["a", "b", "c", "e"]
    assert best_detectors(table[:2]) == ["a"]
    assert best_detectors([]) == []


def test_no_note_about_neco_without_sets():
    features, _, _ = make_features(d=4, ood={})
    assert not any(NECO_NOTE in note for note in compute(features).numbers["notes"])


def test_constant_column_that_is_lit():
    """A unit that was dead in training counts in the length alone."""
    features, _, _ = make_features(head=False)
    features.X[:, 3] = features.X_test[:, 3] = 0
    detector = compute(features).study.detectors["NECO"]
    far = features.ood["far"]
    assert np.all(far[:, 3] != 0)
    assert detector.score_samples(far) == pytest.approx(neco(features, far))


# -- what is shared --------------------------------------------------------------


def test_moments_are_gathered_once_and_left_alone():
    """Whitener, alignment and detectors adopt those of the study."""
    features, _, _ = make_features()
    study = compute(features).study
    moments = oracles.class_moments(features.X, features.y)
    assert study.moments.means_ == pytest.approx(moments["means"])
    assert study.moments.scatter_ == pytest.approx(moments["scatter"])
    assert not study.moments.normalize
    for name in ("Mahalanobis", "relative", "NECO", "NECO with head"):
        assert (study.detectors[name].moments_.means_ == study.moments.means_).all()
