"""
Do class means know that dogs are animals?
==========================================

Theory says that class means of a collapsed network form a simplex: every class is as
far from every other. Networks that stop earlier have other ideas. Here class means of a
real network are held against a frame that knows a hierarchy of the classes, and the
question is asked the way questions of this kind should be: does the frame fit better
than those that know any other hierarchy?
"""

# %%
# A frame from a tree
# -------------------
# The eight classes are three vehicles and five animals. `hierarchical_frame` takes
# nested labels (or distances, or a linkage of SciPy) and returns one unit vector for
# each class, in the order of the sorted labels, that have larger cosines the closer two
# classes are in the tree. The argument ``gamma`` says how much larger.
import numpy as np

from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.etf import frame_gram, hierarchical_frame

features = load_cifar8_features()
X, y = features.data, features.target_names[features.target]
X_test, y_test = features.X_test, features.target_names[features.y_test]

vehicles = ["airplane", "automobile", "ship"]
animals = ["bird", "deer", "dog", "frog", "horse"]
tree = {"vehicle": vehicles, "animal": animals}
frame = hierarchical_frame(tree, gamma=1.0)
cosines = frame_gram(frame)
classes = np.unique(y)
camp = np.isin(classes, vehicles)
print(f"cosine within a camp {cosines[0, 1]:.2f}, across {cosines[0, 2]:.2f}")

# %%
# Better than a simplex
# ---------------------
# Procrustes analysis turns and scales the class means onto a frame; the disparity is
# the share that is left. The frame with two camps leaves about half as much as the
# simplex, on new rows as well.
from sklearn_collapse.etf import ETFAlignmentScorer

print(f"{'frame':<10} {'disparity':>10} {'on new rows':>12} {'worst class':>12}")
for name, target in {"simplex": "simplex", "two camps": frame}.items():
    scorer = ETFAlignmentScorer(target).fit(X, y)
    metrics = scorer.metrics_
    held_out = -scorer.score(X_test, y_test)
    worst = metrics["alignment_min"]
    print(f"{name:<10} {metrics['disparity']:>10.3f} {held_out:>12.3f} {worst:>12.3f}")

# %%
# Better than any other two camps?
# --------------------------------
# A frame with a parameter more may fit better without meaning anything. So here is the
# same frame for every one of the 56 ways to split eight classes into three and five.
# The moments of the features are gathered once.
from itertools import combinations

moments = scorer.moments_
splits = {}
for chosen in combinations(classes.tolist(), 3):
    others = [name for name in classes.tolist() if name not in chosen]
    target = hierarchical_frame([list(chosen), others], gamma=1.0)
    found = ETFAlignmentScorer(target).fit_moments(moments).metrics_
    splits[chosen] = found["disparity"]
ranking = sorted(splits, key=splits.__getitem__)
for chosen in ranking[:4]:
    print(f"{splits[chosen]:.3f}  {', '.join(chosen)} | the others")
simplex = ETFAlignmentScorer().fit_moments(moments).metrics_["disparity"]
better = sum(value < simplex for value in splits.values())
print(f"{better} of {len(splits)} splits fit better than the simplex ({simplex:.3f})")

# %%
# Vehicles and animals are the best split of all, and by far. Nearly all others are
# worse than the simplex, which knows no camps. It is this hierarchy and not just any
# that the network has found, from labels that never spoke of it.
import matplotlib.pyplot as plt
from matplotlib.colors import CenteredNorm

from sklearn_collapse.plotting import ClassGeometryDisplay

BLUE, RED, GREY = "#0072b2", "#d55e00", "#8a8a8a"
fig, axes = plt.subplots(
    1, 3, figsize=(15, 5), layout="constrained", width_ratios=(1.1, 1.3, 1)
)
norm = CenteredNorm(-1 / 7, 1.1)
order = np.argsort(~camp, kind="stable")  # vehicles first
names = classes[order]
units = moments.means_ - moments.means_.mean(axis=0)
units /= np.linalg.norm(units, axis=1, keepdims=True)
centred = frame - frame.mean(axis=0)
centred /= np.linalg.norm(centred, axis=1, keepdims=True)
for ax, rows, title in (
    (axes[0], units, "the network's class means"),
    (axes[1], centred, "a frame with two camps"),
):
    display = ClassGeometryDisplay(rows[order], names, estimator_name=title)
    display.plot(ax=ax, norm=norm)
    if ax is axes[0]:
        display.colorbar_.remove()  # both have the same

ax = axes[2]
values = np.sort(list(splits.values()))
ax.plot(values, np.arange(1, len(values) + 1), "o", color=GREY, markersize=4)
ax.plot(values[0], 1, "o", color=RED, markersize=8)
ax.annotate(
    *("vehicles | animals", (values[0], 1)),
    xytext=(-4, -18),
    textcoords="offset points",
    color=RED,
)
ax.axvline(simplex, color=BLUE, linewidth=1)
ax.text(simplex - 0.003, 50, "simplex", color=BLUE, ha="right")
ax.set(
    xlabel="disparity of class means and frame",
    ylabel="all splits into 3 and 5, best first",
    xlim=(0.1, None),
    ylim=(-5, 58),
)
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# What a fitted frame does not say
# --------------------------------
# This is a description of one network. That the camps are there does not mean that they
# help: whether mistakes stay within a camp is measured by
# :func:`~sklearn_collapse.metrics.mistake_severity`. The height of the common
# ancestor is 1 within a camp and 2 across.
from sklearn_collapse.metrics import mistake_severity

predicted = features.target_names[features.head.predict(X_test)]
errors = predicted != y_test
severity = mistake_severity(y_test, predicted, tree)
rng = np.random.default_rng(0)
shuffled = [
    mistake_severity(y_test[errors], rng.permutation(predicted[errors]), tree)
    for _ in range(200)
]
print(f"{errors.sum()} errors, severity {severity:.2f}")
print(f"with the wrong answers shuffled among them {np.mean(shuffled):.2f}")
