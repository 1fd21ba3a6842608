"""
Local and global dimension of features
======================================

How many dimensions do the features of a network have? Measures of the spectrum look at
all rows at once and answer for the cloud as a whole. Measures of nearest neighbours
look at each row's surroundings. On real features they disagree, and each of them needs
a reference to compare with.
"""

# %%
# One network at seven epochs
# ---------------------------
# The same 2000 training images of eight classes after each epoch, in 96 features.
# A Gaussian cloud with the same covariance is the reference: its spectrum is that of
# the features, and there is nothing else to find in it.
import matplotlib.pyplot as plt
import numpy as np

from sklearn_collapse.datasets import load_cifar8_trajectory
from sklearn_collapse.metrics import (
    effective_rank,
    entropy_rank,
    lid,
    participation_ratio,
    two_nn,
)

trajectory = load_cifar8_trajectory()
epochs, y = trajectory.epochs, trajectory.target
rng = np.random.default_rng(0)


def gaussian_like(X):
    """Rows of a Gaussian with the covariance of X."""
    values, vectors = np.linalg.eigh(np.cov(X.T))
    root = vectors * np.sqrt(np.maximum(values, 0))
    return rng.standard_normal(X.shape) @ root.T


spectral = {
    "effective rank": effective_rank,
    "entropy rank": entropy_rank,
    "participation ratio": participation_ratio,
}
neighbours = {"TwoNN": two_nn, "LID": lid}
whole = {name: [] for name in spectral}
local = {name: [] for name in neighbours}
cloud = {name: [] for name in neighbours}
for epoch in epochs:
    X = trajectory.features[epoch]
    reference = gaussian_like(X)
    for name, measure in spectral.items():
        whole[name].append(measure(X))
    for name, measure in neighbours.items():
        local[name].append(measure(X))
        cloud[name].append(measure(reference))
for name, values in (whole | local).items():
    print(f"{name:<20}", " ".join(f"{value:5.1f}" for value in values))

# %%
# Three answers from one spectrum
# -------------------------------
# The spectrum has no edge at which one could stop to count. The participation ratio
# counts little but the largest eigenvalues: it settles near seven, as many as there are
# directions in which the means of eight classes can differ. The effective rank gives
# most weight to the tail, since it takes singular values, whose shares are more even.
# All three agree that more dimensions come into use, most of them before epoch 12, and
# that little happens after epoch 24.
#
# The local dimension lies in between. It stays below that of the Gaussian cloud:
# neighbours lie in fewer dimensions than the spectrum has room for, as in a set that is
# curved or unevenly filled.
BLUE, RED, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#8a8a8a"

fig, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
ax = axes[0]
rank = np.arange(1, X.shape[1] + 1)
for epoch, color, style in ((epochs[0], GREY, "--"), (epochs[-1], "k", "-")):
    X = trajectory.features[epoch]
    values = np.linalg.eigvalsh(np.cov(X.T))[::-1]
    ax.loglog(rank, values / values.sum(), style, color=color, label=f"epoch {epoch}")
marks = zip(spectral, ("^", "s", "o"), (GREEN, RED, BLUE), strict=True)
for name, marker, color in marks:
    count = whole[name][-1]
    share = np.interp(count, rank, values / values.sum())
    ax.plot(count, share, marker, color=color, markersize=9, label=name)
ax.set(title="spectrum", xlabel="direction", ylabel="share of the variance")
ax.set_ylim(1e-5, 1)
ax.legend(fontsize=8, frameon=False, loc="lower left")

ax = axes[1]
marks = zip(spectral, ("^-", "s-", "o-"), (GREEN, RED, BLUE), strict=True)
for name, style, color in marks:
    ax.plot(epochs, whole[name], style, color=color)
    ax.text(38.5, 1.09 * whole[name][-1], name, color=color, ha="right", fontsize=9)
ax.axhline(7, color=GREY, linestyle=":")
ax.text(38.5, 6.1, "classes - 1", color=GREY, ha="right", va="top", fontsize=9)
ax.set(title="global: dimensions of the spectrum", yscale="log", ylim=(3, 100))
ax.set_yticks([3, 5, 10, 20, 50, 100], labels=["3", "5", "10", "20", "50", "100"])
ax.minorticks_off()

ax = axes[2]
for (name, values), style, color in zip(
    local.items(), ("D-", "v-"), (RED, BLUE), strict=True
):
    ax.plot(epochs, values, style, color=color, label=name)
    ax.plot(
        *(epochs, cloud[name], style[0] + ":"),
        color=color,
        fillstyle="none",
        label=f"{name}, Gaussian cloud",
    )
ax.set(title="local: dimensions of neighbours", ylim=(0, 22))
ax.legend(fontsize=8, frameon=False, loc="lower right")
for ax in axes[1:]:
    ax.set(xlabel="epoch", xticks=[1, *epochs[3:]], xlim=(0, 39))
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Class by class
# --------------
# A class alone has other directions to itself than all classes together. But it has 250
# rows only, and the fewer the rows, the further away the neighbours. To tell the two
# apart, here are 250 random rows of all classes as well.
X = trajectory.features[epochs[-1]]
few = [rng.choice(len(y), 250, replace=False) for _ in range(8)]
for name, measure in (("LID", lid), ("participation ratio", participation_ratio)):
    classes = np.mean([measure(X[y == c]) for c in range(8)])
    mixed = np.mean([measure(X[rows]) for rows in few])
    print(f"{name:<20} of a class {classes:5.1f}, of as many rows of all {mixed:5.1f}")

# %%
# A class has nearly the local dimension of all 2000 rows, 12.9: among so many, most
# neighbours are of the same class anyway. Among 250 of all classes more of them are
# not, and the estimate drops to 8.2. What is called local depends on how many rows
# there are: compare local dimensions at equal numbers of rows. The participation
# ratio hardly minds their number, but it is larger once the differences between
# classes are out of the way.
#
# Every class gains in both. Animals end with larger participation ratios: what tells
# one dog from another is spread over more directions than what tells one ship from
# another.
fig, ax = plt.subplots(figsize=(7, 5.2), layout="constrained")
first, last = (
    np.array(
        [
            [f(trajectory.features[e][y == c]) for f in (participation_ratio, lid)]
            for c in range(8)
        ]
    )
    for e in (epochs[0], epochs[-1])
)
animal = np.isin(trajectory.target_names, ["bird", "deer", "dog", "frog", "horse"])
for c, name in enumerate(trajectory.target_names):
    color = BLUE if animal[c] else RED
    arrow = {"arrowstyle": "->", "color": color, "alpha": 0.5, "linewidth": 1.3}
    ax.annotate("", last[c], first[c], arrowprops=arrow)
    ax.plot(*first[c], "o" if animal[c] else "s", color=color, fillstyle="none")
    ax.plot(*last[c], "o" if animal[c] else "s", color=color)
    offset = (5, -12) if name == "airplane" else (5, 4)
    ax.annotate(name, last[c], offset, textcoords="offset points", color=color)
ax.plot([], [], "o", color=BLUE, label="animals")
ax.plot([], [], "s", color=RED, label="vehicles")
ax.plot([], [], "o", color="k", fillstyle="none", label=f"after epoch {epochs[0]}")
ax.plot([], [], "o", color="k", label=f"after epoch {epochs[-1]}")
ax.set(xlabel="participation ratio of the class", ylabel="LID of the class")
ax.legend(frameon=False, loc="lower right")
ax.spines[["top", "right"]].set_visible(False)
plt.show()
