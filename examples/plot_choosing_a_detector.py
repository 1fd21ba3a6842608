"""
Choosing a detector by geometry
===============================

There are many out-of-distribution detectors, and each has a paper in which it wins.
Here two dozen of them meet four sets of images that a network was not trained for. None
wins everywhere, and what the rows of a set look like, their length and the directions
in which they lie, says which ones have a chance.
"""

# %%
# Two dozen detectors
# -------------------
# Seven scores of the network's logits; three ways to shape the features before the
# logits; distances, from classes or from a subspace; directions, that is scores in
# which some length is divided out; and two that join features and logits. All have
# their default settings. Last come ensembles of all of them together, so that nobody
# had to choose: with the mean of the ranks, or of the standard scores.
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline

from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.ood import (
    ActivationShaper,
    ClassSubspaceDetector,
    DetectorEnsemble,
    FDBDDetector,
    KNNDetector,
    LogitDetector,
    MahalanobisDetector,
    NCIDetector,
    NECODetector,
    NNGuideDetector,
    ReconstructionDetector,
    ResidualDetector,
    SHEDetector,
    ViMDetector,
)

features = load_cifar8_features()
X, y, head = features.data, features.target, features.head


def shaped(method):
    return make_pipeline(ActivationShaper(method), LogitDetector(head=head))


families = {
    "logits": {
        "softmax probability": LogitDetector("msp", head=head),
        "largest logit": LogitDetector("max_logit", head=head),
        "energy": LogitDetector("energy", head=head),
        "entropy": LogitDetector("entropy", head=head),
        "GEN": LogitDetector("gen", head=head),
        "KL matching": LogitDetector("klm", head=head),
        "margin": LogitDetector("margin", head=head),
    },
    "shaped,\nthen energy": {
        "ReAct": shaped("react"),
        "ASH-S": shaped("ash_s"),
        "SCALE": shaped("scale"),
    },
    "distances": {
        "Mahalanobis": MahalanobisDetector(),
        "Mahalanobis, own covariances": MahalanobisDetector("class"),
        "relative Mahalanobis": MahalanobisDetector(relative=True),
        "Mahalanobis++": MahalanobisDetector(normalize=True),
        "k nearest neighbours": KNNDetector(),
        "residual": ResidualDetector(),
        "reconstruction": ReconstructionDetector(),
    },
    "directions": {
        "SHE, cosine": SHEDetector(head, metric="cosine"),
        "class subspaces": ClassSubspaceDetector(),
        "NECO": NECODetector(),
        "NCI": NCIDetector(head),
        "fDBD": FDBDDetector(head),
    },
    "features\nand logits": {
        "ViM": ViMDetector(head),
        "NNGuide": NNGuideDetector(head),
    },
}
single = {
    name: detector.fit(X, y)
    for family in families.values()
    for name, detector in family.items()
}
members = [(name, FrozenEstimator(detector)) for name, detector in single.items()]
families["all of\nthe above"] = {
    f"ensemble, {combine}": DetectorEnsemble(members, combine=combine).fit(X, y)
    for combine in ("rank", "z")
}

# %%
# No row is best everywhere
# -------------------------
# The AUROC on every set, with bootstrap intervals. Next to the best of a set come all
# those whose interval overlaps with that of the best: with 500 rows of each set these
# intervals do not tell them apart.
import numpy as np

from sklearn_collapse.metrics import ood_table

detectors = {name: d for family in families.values() for name, d in family.items()}
table = ood_table(
    detectors, features.X_test, features.ood, n_resamples=200, random_state=0, n_jobs=2
)
names, sets = list(detectors), list(features.ood)


def column(key):
    return np.reshape([row[key] for row in table], (len(names), len(sets)))


auroc = column("auroc")
best = auroc.argmax(axis=0)
tied = column("auroc_high") >= column("auroc_low")[best, range(len(sets))]
for j, name in enumerate(sets):
    print(f"{name}: {names[best[j]]} {auroc[best[j], j]:.3f}")
    others = [names[i] for i in np.flatnonzero(tied[:, j]) if i != best[j]]
    print(f"  overlapping: {'; '.join(others) or 'none'}")
print(f"best or overlapping on {tied.sum(axis=1).max()} of {len(sets)} sets at most")

# %%
# Framed: the best, in bold, and those that overlap with it. The ensemble of standard
# scores is among them on the three far sets, and far below the best on the near one.
import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle

short = ["near:\ncat, truck", "far:\ntexture", "far:\ndigits", "far:\nnoise"]
fig, ax = plt.subplots(figsize=(8.5, 10), layout="constrained")
ax.imshow(auroc, cmap="Blues", vmin=0.4, vmax=1, aspect="auto")
for i, j in np.ndindex(auroc.shape):
    ax.text(
        *(j, i, f"{auroc[i, j]:.3f}"),
        ha="center",
        va="center",
        color="white" if auroc[i, j] > 0.82 else "black",
        fontweight="bold" if i == best[j] else "normal",
    )
    if tied[i, j]:
        frame = Rectangle((j - 0.46, i - 0.42), 0.92, 0.84, fill=False)
        frame.set(edgecolor="#d55e00", linewidth=3 if i == best[j] else 1.8, zorder=3)
        ax.add_patch(frame)
end = 0
for family, those in families.items():
    ax.text(3.6, end + (len(those) - 1) / 2, family, va="center", fontsize=10)
    end += len(those)
    ax.axhline(end - 0.5, color="white", linewidth=5, zorder=2)
ax.set_xticks(range(len(sets)), short)
ax.set_yticks(range(len(names)), names)
ax.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
ax.spines[:].set_visible(False)
ax.set_title("AUROC")
plt.show()

# %%
# The geometry of the sets
# ------------------------
# Medians over the rows of each set, divided by those of the test images. The centred
# class means span seven directions: a row has some length in them and some outside. The
# residual is what is left outside of the first 48 principal components. The last lines
# are no ratios: the AUROC of a classifier that is shown rows of the set, in all
# directions, in the seven and in the others.
from sklearn.preprocessing import normalize

from sklearn_collapse.metrics import linear_separability
from sklearn_collapse.whitening import ClassSubspaceProjector

inside = ClassSubspaceProjector("between").fit(X, y)
outside = ClassSubspaceProjector("within").fit(X, y)
one_class = MahalanobisDetector().fit(X)


def length(rows):
    return np.linalg.norm(rows, axis=1)


measures = {
    "length": length,
    "distance from the mean": lambda Z: length(Z - inside.mean_),
    "in the span of class means": lambda Z: length(inside.transform(Z)),
    "outside of it": lambda Z: length(outside.transform(Z)),
    "residual": lambda Z: -single["residual"].score_samples(Z),
    "Mahalanobis, nearest class": lambda Z: (
        (-single["Mahalanobis"].score_samples(Z)) ** 0.5
    ),
    "Mahalanobis, mean of all": lambda Z: (-one_class.score_samples(Z)) ** 0.5,
    "cosine with nearest mean": lambda Z: np.max(
        normalize(Z) @ normalize(inside.means_).T, axis=1
    ),
    "largest logit": single["largest logit"].score_samples,
}
geometry = {
    name: [
        np.median(measure(Z)) / np.median(measure(features.X_test))
        for Z in features.ood.values()
    ]
    for name, measure in measures.items()
}
spaces = {
    "separable": lambda Z: Z,
    "separable in the span": lambda Z: Z @ inside.components_.T,
    "separable outside": outside.transform,
}
for name, space in spaces.items():
    geometry[name] = [
        linear_separability(space(features.X_test), space(Z), random_state=0)
        for Z in features.ood.values()
    ]
print(" " * 28 + "".join(f"{name:>19}" for name in sets))
for name, values in geometry.items():
    print(f"{name:<28}" + "".join(f"{value:19.2f}" for value in values))
weights = head.coef_ - head.coef_.mean(axis=0)
share = np.sum((weights @ inside.components_.T) ** 2) / np.sum(weights**2)
print(f"share of the head's weights in the span: {share:.2f}")

# %%
# *Near*: cats and trucks are as long as known images and no farther from the mean of
# all (1.01). What they lack is length in the span of the class means (0.81): they lie
# between the classes. Relative Mahalanobis asks how much farther the nearest class is
# than the mean of all, and wins alone. On far sets both distances grow alike, so that
# their difference says little: on noise it is the last of all. That near set has a
# ceiling as well: a classifier that is shown it reaches 0.84, and finds more outside of
# the span (0.81) than in it (0.70), although the length outside is as usual (1.00).
#
# *Texture*: rows are a third shorter and point elsewhere (0.78). All that are framed
# divide some length out, but SCALE and the ensemble. The residual hardly grows (1.13):
# it and the other distances that do not divide reach no more than 0.745.
#
# *Digits*: the residual is nearly twice that of known images. All that are framed
# contain it or weigh its directions most, and logits, which do not, trail.
#
# *Noise* is outside of the span at twice the usual length, yet in the span it is as
# long as known images (0.97). That is where most of the head's weights are, and its
# logits are the least unusual of the far sets: scores of logits alone reach no more
# than 0.845. The framed ones look at the cosine (0.82) or in all directions.
#
# One step at a time
# ------------------
# Detectors differ in many ways. But some pairs differ in one step, and each step uses
# one kind of length. What does the step gain, against that length?
steps = [
    ("divide rows by their length", "Mahalanobis", "Mahalanobis++", "length"),
    (
        *("subtract the distance from all", "Mahalanobis", "relative Mahalanobis"),
        "Mahalanobis, mean of all",
    ),
    ("add the residual", "energy", "ViM", "residual"),
    (
        *("divide by the distance from the mean", "largest logit", "NCI"),
        "distance from the mean",
    ),
]
BLUE, GREY = "#0072b2", "#8a8a8a"
words = [name.split(" (")[0].removeprefix("far: ") for name in sets]
fig, axes = plt.subplots(2, 2, figsize=(10, 7.5), sharey=True, layout="constrained")
for ax, (title, plain, changed, what) in zip(axes.flat, steps, strict=True):
    gain = auroc[names.index(changed)] - auroc[names.index(plain)]
    gained = [f"{w} {g:+.3f}" for w, g in zip(words, gain, strict=True)]
    print(f"{changed} - {plain}: {', '.join(gained)}")
    ax.axhline(0, color=GREY, linewidth=1)
    ax.axvline(1, color=GREY, linewidth=1, linestyle=":")
    ax.plot(geometry[what], gain, "o", color=BLUE, markersize=8)
    above = True  # names in turn, so that none covers another
    for x, value, word in sorted(zip(geometry[what], gain, words, strict=True)):
        place = {"xytext": (0, 9 if above else -18), "textcoords": "offset points"}
        ax.annotate(word, (x, value), ha="center", **place)
        above = not above
    ax.set_title(f"{title}:\n{changed} instead of {plain}", fontsize=10)
    ax.set_xlabel(f"{what}, relative to test images")
    ax.margins(0.2)
    ax.spines[["top", "right"]].set_visible(False)
for ax in axes[:, 0]:
    ax.set_ylabel("gain in AUROC")
plt.show()

# %%
# Where rows are short, dividing by the length gains much, and elsewhere it costs next
# to nothing. Subtracting the distance from all gains where that distance is ordinary.
# Where it is not, this costs, though little for digits, which are so far that the
# difference still finds most of them. The residual helps where it is large. And
# dividing by the distance from the mean helps the sets that are farther from it and
# harms the one that is nearer. (NCI also adds a small multiple of the row's sum.) Four
# points in a panel are few: they show signs, not thresholds.
#
# If one does not know
# --------------------
# Then one draws blindly. Here are a hundred random choices of some of the detectors,
# joined by the mean of their standard scores: how much AUROC is lost to the best
# single detector of each set, on average over the sets and on the worst of them?
from itertools import pairwise

from sklearn.metrics import roc_auc_score

standard = []
for detector in single.values():
    fitted = detector.score_samples(X)
    groups = (features.X_test, *features.ood.values())
    scores = np.concatenate([detector.score_samples(Z) for Z in groups])
    standard.append((scores - fitted.mean()) / fitted.std())
standard = np.array(standard)
n = len(features.X_test)
ends = n + np.cumsum([0, *(len(Z) for Z in features.ood.values())])
reached = auroc[: len(single)].max(axis=0)


def losses(scores):
    """Mean and largest AUROC that is lost to the best single detector."""
    areas = [
        roc_auc_score(
            np.repeat([1, 0], [n, stop - start]), np.r_[scores[:n], scores[start:stop]]
        )
        for start, stop in pairwise(ends)
    ]
    return np.mean(reached - areas), np.max(reached - areas)


rng = np.random.default_rng(0)
draws = {1: [[k] for k in range(len(single))], len(single): [range(len(single))]}
for size in (2, 4, 8):
    draws[size] = [rng.choice(len(single), size, replace=False) for _ in range(100)]
print("detectors  mean loss (median, 90 %)  largest loss (median, 90 %)")
for size, drawn in sorted(draws.items()):
    found = np.array([losses(standard[list(those)].mean(axis=0)) for those in drawn])
    mean, largest = np.quantile(found, [0.5, 0.9], axis=0).T
    print(f"{size:9d}  {mean[0]:16.3f} {mean[1]:8.3f} {largest[0]:18.3f}", end="")
    print(f" {largest[1]:8.3f}")
    if size == 1:
        alone = found
for k, what in enumerate(("mean", "largest")):
    least = alone[:, k].argmin()
    print(f"least {what} loss of one detector: {names[least]}, {alone[least, k]:.3f}")

# %%
# Two detectors drawn blindly lose half of what one does, on average over the sets, and
# all 24 together lose less than any one of them. On the worst set, the near one, they
# do not: ViM alone loses less there. But that it would be ViM is known only now.
#
# What these numbers support:
#
# - Measure the rows that you expect, if there are any, before you choose: "far" is
#   three different things here.
# - Shorter rows: divide by the length. Mahalanobis++ was never worse than Mahalanobis
#   by more than 0.003.
# - A larger residual: have it in the score. ViM was better than the energy on all sets.
# - Ordinary lengths and distances, as of new classes close to the known: relative
#   Mahalanobis, at a price of up to 0.3 if the rows are far after all.
# - No idea: an ensemble of detectors of several kinds. It is not the best everywhere
#   either: on the near set all 24 together lost 0.098.
#
# This is one small network and four sets, and whatever is chosen by looking at a set
# has to be judged on another.
