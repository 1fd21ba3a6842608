"""
Class means on their way to a frame
===================================

Neural collapse ends with class means that form a simplex. On the way there they may
form something else. Here the class means of one network are held against two frames
after seven epochs of its training: the simplex, which has no groups, and one that knows
that three classes are vehicles and five are animals.
"""

# %%
# Two frames
# ----------
# Any array with one row per class is a frame. `hierarchical_frame` makes one from
# nested labels: classes of one group have a larger cosine than classes of two.
import numpy as np

from sklearn_collapse.datasets import load_cifar8_trajectory
from sklearn_collapse.etf import ETFAlignmentScorer, hierarchical_frame

# sphinx_gallery_thumbnail_number = 2
trajectory = load_cifar8_trajectory()
y = trajectory.target_names[trajectory.target]
vehicles = ["airplane", "automobile", "ship"]
animals = ["bird", "deer", "dog", "frog", "horse"]
frames = {
    "simplex": "simplex",
    "two camps": hierarchical_frame([vehicles, animals], gamma=1.0),
}

# %%
# How far from each
# -----------------
# Procrustes analysis turns and scales the class means onto a frame. The disparity is
# the share of them that does not fit. It is measured on half of the images, and again
# on the other half under the same rotation. Permuted labels are the reference: their
# class means are noise, and in 96 dimensions noise looks much like a simplex, on the
# rows that were fitted.
rng = np.random.default_rng(0)
half = np.arange(len(y)) % 2 == 0
permuted = rng.permutation(y)
names = [*frames, "simplex, permuted"]
fitted, held_out = np.empty((2, len(names), len(trajectory.epochs)))
for k, epoch in enumerate(trajectory.epochs):
    X = trajectory.features[epoch]
    for i, name in enumerate(names):
        labels = permuted if "permuted" in name else y
        scorer = ETFAlignmentScorer(frames.get(name, "simplex"))
        scorer.fit(X[half], labels[half])
        fitted[i, k] = scorer.metrics_["disparity"]
        held_out[i, k] = -scorer.score(X[~half], labels[~half])
print("disparity on new images")
print(f"{'epoch':<19}" + "".join(f"{epoch:>8}" for epoch in trajectory.epochs))
for name, row in zip(names, held_out, strict=True):
    print(f"{name:<19}" + "".join(f"{value:>8.3f}" for value in row))

import matplotlib.pyplot as plt

BLUE, RED, GREY = "#0072b2", "#d55e00", "#8a8a8a"
fig, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True, layout="constrained")
for ax, values, title in (
    (axes[0], fitted, "images that were fitted"),
    (axes[1], held_out, "other images"),
):
    for name, row, color, style in zip(
        names, values, (BLUE, RED, GREY), ("o-", "s--", "^:"), strict=True
    ):
        ax.plot(trajectory.epochs, row, style, color=color, markersize=5, label=name)
    ax.set(title=title, xlabel="epoch", yscale="log", xticks=[1, 12, 24, 38])
    ax.set_yticks([0.1, 0.2, 0.5, 1, 2], labels=["0.1", "0.2", "0.5", "1", "2"])
    ax.minorticks_off()
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("disparity, 0 for the frame itself")
axes[0].legend(frameon=False, loc="upper left")
plt.show()

# %%
# On the images that were fitted, permuted labels are about as near to a simplex as the
# true ones. On other images their class means are somewhere else, and the true ones are
# not: that is what makes the curves on the right worth reading. At every epoch two
# camps leave about half of what the simplex leaves.
#
# Pair by pair
# ------------
# Where is it that the class means do not fit? :class:`ClassGeometryDisplay
# <sklearn_collapse.plotting.ClassGeometryDisplay>` draws the cosine of each pair of
# class means, less that of the frame: red pairs are closer than they should be, pale
# blue ones further apart, grey ones right. With the scorer it takes the frame that the
# scorer has.
from matplotlib.colors import CenteredNorm

from sklearn_collapse.plotting import ClassGeometryDisplay

fig, axes = plt.subplots(2, 2, figsize=(11, 9), layout="constrained")
print("standard deviation of the differences")
for row, (name, frame) in zip(axes, frames.items(), strict=True):
    for ax, epoch in zip(row, (1, 38), strict=True):
        scorer = ETFAlignmentScorer(frame).fit(trajectory.features[epoch], y)
        ClassGeometryDisplay.from_estimator(
            scorer,
            frame=np.eye(8) if name == "simplex" else None,  # as differences, too
            name=f"{name}, epoch {epoch}",
            ax=ax,
            norm=CenteredNorm(0, 1.1),
        )
        gap = scorer.metrics_["cosine_gap_std"]
        print(f"{name:<10} epoch {epoch:>2}: {gap:.3f}")
plt.show()

# %%
# Against the simplex, airplanes and ships are too close at all times, and animals too
# close to each other: what is left has a pattern, and the pattern is the camps. The
# frame that knows them takes nearly half of it away, and what is left then says more:
# birds keep closer to airplanes than other animals do.
