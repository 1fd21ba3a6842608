"""
A network collapses while it is trained
=======================================

Neural collapse is a statement about the end of training: features of a class shrink
to their mean, the means spread out to a simplex, the last layer turns onto the means,
and it comes to decide like the nearest mean. Here is one real network at seven epochs
of its training, and how far it comes on each of these ways. It is a small one that
stops early: the direction is that of the theory, the end is not.
"""

# %%
# The same images at seven epochs
# -------------------------------
# 2000 training images of eight classes, as the last layer sees them after epochs 1 to
# 38, and that layer. Up to epoch 24 images were cropped at random. After that they were
# not, and the learning rate was lowered.
import numpy as np

from sklearn_collapse.datasets import load_cifar8_trajectory

trajectory = load_cifar8_trajectory()
epochs, y = trajectory.epochs, trajectory.target
for epoch in epochs:
    train = trajectory.heads[epoch].score(trajectory.features[epoch], y)
    test = trajectory.test_accuracy[epoch]
    print(f"epoch {epoch:2d}: accuracy {train:.3f} on these images, {test:.3f} on new")

# %%
# All four properties
# -------------------
# One fit per epoch, with the head of that epoch.
from sklearn_collapse.collapse import NeuralCollapseScorer

measured = []
for epoch in epochs:
    scorer = NeuralCollapseScorer(head=trajectory.heads[epoch])
    measured.append(scorer.fit(trajectory.features[epoch], y).metrics_)

# %%
# A reference for each number
# ---------------------------
# With 2000 rows in 96 dimensions some directions seem to separate any labels. How much
# of the collapse is that? Permuted labels say it: the features are the same, the
# classes are not. Here are the means of ten permutations. And half of the rows, fitted,
# can be held against the other half.
rng = np.random.default_rng(0)
names = ["nc1_pinv", "cdnv", "vci", "nc2_etf_error"]
permuted, held_out = [], []
for epoch in epochs:
    X = trajectory.features[epoch]
    scorer = NeuralCollapseScorer(metrics=names)
    drawn = [scorer.fit(X, rng.permutation(y)).metrics_ for _ in range(10)]
    permuted.append({name: np.mean([m[name] for m in drawn]) for name in names})
    half = np.arange(len(y)) % 2 == 0
    held_out.append(-scorer.fit(X[half], y[half]).score(X[~half], y[~half]))
print(f"VCI of permuted labels at epoch 38: {permuted[-1]['vci']:.2f}")
print(f"VCI of 1000 rows, on 1000 others: {held_out[-1]:.2f}")

# %%
# Variability within classes falls to a seventh of what it was (NC1), or to half (VCI,
# which counts all directions of the class means alike). Permuted labels are far above,
# and rows that were not fitted are near. The head turns towards the means and comes to
# decide like them, first on the images on which both are right.
#
# The panel of NC2 is the one to be careful with. The distance from a simplex falls
# from 0.93 to 0.76, and that would be easy to tell as a story. But random groups of the
# same images have means that are no further from one: in a space with a few leading
# directions, that is what eight means look like. Without the reference this number says
# nothing yet.
import matplotlib.pyplot as plt

RED, BLUE, GREY = "#d55e00", "#0072b2", "#8a8a8a"


def curve(ax, values, label=None, color=BLUE, style="o-", **kwargs):
    ax.plot(epochs, values, style, color=color, markersize=5, label=label, **kwargs)


def values_of(name, table=measured):
    return [row[name] for row in table]


fig, axes = plt.subplots(2, 4, figsize=(12, 5.8), sharex=True, layout="constrained")
panels = {
    "NC1: variability (log)": "nc1_pinv",
    "CDNV: variability (log)": "cdnv",
    "VCI: variability": "vci",
    "NC2: distance from a simplex": "nc2_etf_error",
    "NC3: head and means differ by": "nc3_self_duality",
    "NC3: deviation of W Mᵀ": "nc3_product",
    "NC4: head and nearest mean agree": "nc4_agreement",
}
for ax, (title, name) in zip(axes.flat, panels.items(), strict=False):
    if name in permuted[0]:
        curve(ax, values_of(name, permuted), "labels permuted", GREY, "s:")
    curve(ax, values_of(name), "these labels")
    ax.set_title(title, fontsize=10)
    ax.set_yscale("log" if name in ("nc1_pinv", "cdnv") else "linear")
    if name not in ("nc1_pinv", "cdnv"):
        ax.set_ylim(0, 1.05)
curve(axes[0, 2], held_out, "on new rows", RED, "^--", fillstyle="none")
last = axes[1, 3]
curve(last, [h.score(trajectory.features[e], y) for e, h in trajectory.heads.items()])
curve(last, list(trajectory.test_accuracy.values()), color=RED, style="^--")
last.set(ylim=(0, 1.05))
last.set_title("accuracy", fontsize=10)
last.text(23, 0.95, "these images", color=BLUE, ha="right", va="bottom", fontsize=9)
last.text(38, 0.82, "test images", color=RED, ha="right", va="top", fontsize=9)
for ax in axes.flat:
    ax.axvspan(24, 39, color="0.93", zorder=0)
    ax.set(xlim=(0, 39), xticks=[1, 12, 24, 38])
    ax.spines[["top", "right"]].set_visible(False)
for ax in axes[1]:
    ax.set_xlabel("epoch (grey: no crops, lower rate)")
axes[0, 2].legend(fontsize=8, frameon=False, loc="lower left")
axes[0, 0].legend(fontsize=8, frameon=False, loc="center left")
plt.show()

# %%
# The means, first and last
# -------------------------
# After the first epoch there are two camps, animals and vehicles: most classes are
# close to the others of their camp and opposite to those of the other. After the last
# epoch the camps are still there, but nearly all pairs have come nearer to the cosine
# of the simplex, the neutral grey. The mean distance of the cosines from it,
# ``nc2_max_angle``, falls from 0.52 to 0.32.
from matplotlib.colors import CenteredNorm

from sklearn_collapse import ClassMoments
from sklearn_collapse.plotting import ClassGeometryDisplay

fig, axes = plt.subplots(1, 2, figsize=(12, 5.2), layout="constrained")
named = trajectory.target_names[y]
for ax, epoch in zip(axes, (epochs[0], epochs[-1]), strict=True):
    moments = ClassMoments.from_arrays(trajectory.features[epoch], named)
    ClassGeometryDisplay.from_moments(
        moments, name=f"after epoch {epoch}", ax=ax, norm=CenteredNorm(-1 / 7, 1.1)
    )
plt.show()

# %%
# What is not seen here
# ---------------------
# Nothing of this is zero, and none of it has to be: after 38 epochs this network fits
# 97 % of these images, and theory speaks of training on long after it fits them all.
# Nor does collapse of the training images mean better features for new ones: from epoch
# 24 to 38 variability falls by a quarter (NC1), and the test accuracy gains half a
# point.
before, after = measured[epochs.index(24)], measured[-1]
for name in ("nc1_pinv", "vci", "nc2_etf_error", "nc3_self_duality", "nc4_agreement"):
    print(f"{name:<18} epoch 24: {before[name]:.3f}, epoch 38: {after[name]:.3f}")
