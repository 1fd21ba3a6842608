"""
Collapse of imbalanced classes
==============================

Papers on neural collapse assume classes of equal size. With classes of unequal size the
formulas can be read in two ways: every row counts alike, or every class does. The two
answers differ, and ``class_weight`` chooses. And there is more to imbalance than
weights: when classes are rare enough, their means vanish.
"""

# %%
# A perfect simplex that does not look like one
# ---------------------------------------------
# Four classes whose means are an exact simplex, and rows that are all equal to their
# class mean. The larger classes pull the mean of all rows towards themselves. About
# that mean the class means are no simplex any more. About the mean of the class means
# they are one for any sizes.
import matplotlib.pyplot as plt
import numpy as np

from sklearn_collapse.datasets import make_collapsed_features
from sklearn_collapse.metrics import nc2_etf_error

ratios = np.array([1, 2, 3, 5, 10, 20, 50, 100])
errors = {None: [], "balanced": []}
for ratio in ratios:
    X, y = make_collapsed_features(8000, 4, 16, nc1=0, imbalance=ratio, random_state=0)
    for class_weight, values in errors.items():
        values.append(nc2_etf_error(X, y, class_weight=class_weight))
    row, balanced = (values[-1] for values in errors.values())
    print(f"1 : {ratio:<4d} every row alike {row:.3f}, every class {balanced:.3f}")

# %%
# A real network, and a long tail
# -------------------------------
# Features of a network that was trained on classes of equal size. Its rows are thinned
# out so that class sizes fall geometrically, from 1000 to as few as 10. The network has
# not changed, so a measure of its collapse should not either. Each value is the mean of
# eight draws, with their range.
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.metrics import cdnv, nc1_pinv, vci

features = load_cifar8_features()
data, target = features.data, features.target
tails = np.array([1, 3, 10, 30, 100])
metrics = {"NC1": nc1_pinv, "VCI": vci, "CDNV": cdnv, "NC2 ETF error": nc2_etf_error}
rng = np.random.default_rng(0)


def long_tail(ratio):
    """Row numbers of classes that shrink, in a random order of the classes."""
    sizes = np.round(1000 * ratio ** (-np.arange(8) / 7)).astype(int)
    classes = rng.permutation(8)
    return np.concatenate(
        [
            rng.choice(np.flatnonzero(target == c), size, replace=False)
            for c, size in zip(classes, sizes, strict=True)
        ]
    )


shape = (len(metrics), 2, len(tails), 8)
values = np.empty(shape)
for i, ratio in enumerate(tails):
    for draw in range(shape[-1]):
        rows = long_tail(ratio)
        for k, metric in enumerate(metrics.values()):
            for j, class_weight in enumerate((None, "balanced")):
                values[k, j, i, draw] = metric(
                    data[rows], target[rows], class_weight=class_weight
                )

# %%
# With every row alike, NC1 grows to several times its value while the network stays the
# same: it divides by the spread of the means, and rare classes hardly count in that.
# With every class alike it stays. So does the distance from a simplex. CDNV compares
# pairs of classes and is the same in both readings. VCI is the hard case: in both it
# needs the scatter in all 96 dimensions, of which ten rows of a class know little. Rows
# that are few and weigh much look collapsed, and the balanced value falls too low.
BLUE, RED, GREY = "#0072b2", "#d55e00", "#8a8a8a"
styles = {"every row alike (None)": (RED, "s--"), "every class alike": (BLUE, "o-")}

fig, axes = plt.subplots(1, 5, figsize=(14, 3.4), layout="constrained")
for (label, (color, style)), found in zip(styles.items(), errors.values(), strict=True):
    axes[0].plot(ratios, found, style, color=color, label=label, markersize=5)
axes[0].set_title("perfect simplex: ETF error", fontsize=10)
axes[0].legend(fontsize=8, frameon=False, loc="upper left")
for ax, name, found in zip(axes[1:], metrics, values, strict=True):
    for (color, style), drawn in zip(styles.values(), found, strict=True):
        low, high = drawn.min(axis=1), drawn.max(axis=1)
        ax.fill_between(tails, low, high, color=color, alpha=0.2)
        ax.plot(tails, drawn.mean(axis=1), style, color=color, markersize=5)
    ax.axhline(found[0, 0].mean(), color=GREY, linestyle=":", zorder=0)
    ax.set_title(f"network: {name}", fontsize=10)
for ax in axes:
    ax.set(xscale="log", xlabel="largest class : smallest class")
    ax.set_xticks([1, 10, 100], labels=["1", "10", "100"])
    ax.set_ylim(0, 1.3 * max(np.max(line.get_ydata()) for line in ax.lines))
    ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Training on a long tail: the rare classes vanish
# ------------------------------------------------
# So much for measuring. What does training on such classes lead to? In the model of
# unconstrained features (one linear layer on features that are free, squared error and
# weight decay on both) the answer has a closed form. The means about the origin are
# orthogonal, a *general orthogonal frame*. Class c of n_c among N rows has
#
# .. code-block:: text
#
#     w h = max(0, 1 - N sqrt(a b / n_c)),   h^2 = w h sqrt(a / (b n_c)),
#
# h the length of its mean, w that of its weights, a and b the weight decay of weights
# and features. A class of n_c <= N^2 a b rows has no features at all: *minority
# collapse*. The optimum is found here by an optimiser that knows nothing of that.
from scipy.optimize import minimize

from sklearn_collapse.metrics import gof_off_diagonal

sizes = np.array([600, 320, 170, 90, 48, 26, 14, 8])
n_classes, n_rows = len(sizes), sizes.sum()
decay_weights, decay_features = 5e-3, 5e-3


def objective(parameters):
    """Loss and gradient, with every row at its class mean."""
    W, H = parameters.reshape(2, n_classes, n_classes)
    gap = W @ H.T - np.eye(n_classes)  # column c: output for class c
    loss = np.sum(sizes / n_rows * gap**2) / 2
    loss += decay_weights / 2 * np.sum(W**2)
    loss += decay_features / 2 * np.sum(sizes[:, None] * H**2)
    weighted = gap * sizes / n_rows
    d_weights = weighted @ H + decay_weights * W
    d_features = weighted.T @ W + decay_features * sizes[:, None] * H
    return loss, np.concatenate([d_weights.ravel(), d_features.ravel()])


start = 0.3 * np.random.default_rng(0).standard_normal(2 * n_classes**2)
options = {"maxiter": 20_000, "maxfun": 40_000, "ftol": 0.0, "gtol": 1e-12}
found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
means = found.x.reshape(2, n_classes, n_classes)[1]

threshold = n_rows**2 * decay_weights * decay_features
X, y = means[np.repeat(np.arange(n_classes), sizes)], np.repeat(range(n_classes), sizes)
print(f"classes vanish below {threshold:.1f} rows")
print(f"off-diagonal share {gof_off_diagonal(X, y):.1e}")
print(f"distance from a simplex {nc2_etf_error(X, y, class_weight='balanced'):.2f}")

# %%
# The optimiser finds the closed form. Classes below the threshold have lost their
# features, and the frame is orthogonal, which ``gof_off_diagonal`` sees. The distance
# from a simplex does not apply: the means of a long tail are none, whatever the
# weights.
fine = np.geomspace(5, 700, 400)
product = np.maximum(0, 1 - n_rows * np.sqrt(decay_weights * decay_features / fine))
lengths = np.sqrt(product * np.sqrt(decay_weights / (decay_features * fine)))

fig, axes = plt.subplots(
    1, 2, figsize=(10, 3.8), layout="constrained", width_ratios=(1.5, 1)
)
ax = axes[0]
ax.axvspan(5, threshold, color="0.93", zorder=0)
ax.text(5.4, 0.02, "no features\nat all", fontsize=9, va="bottom")
ax.plot(fine, lengths, color=GREY, label="closed form")
ax.plot(
    *(sizes, np.linalg.norm(means, axis=1), "o"), color=BLUE, label="found by L-BFGS"
)
ax.set(xscale="log", xlabel="rows of the class", ylabel="length of the class mean")
ax.set(xlim=(5, 700), ylim=(-0.01, None))
ax.set_xticks([10, 100, 600], labels=["10", "100", "600"])
ax.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 0.1))
ax.spines[["top", "right"]].set_visible(False)
gram = means @ means.T
image = axes[1].imshow(gram, cmap="Greys", vmin=0)
labels = [str(size) for size in sizes]
axes[1].set_xticks(range(n_classes), labels=labels, rotation=90)
axes[1].set_yticks(range(n_classes), labels=labels)
axes[1].set(title="products of class means", xlabel="rows of the class")
fig.colorbar(image, ax=axes[1], label="inner product; 0 between classes")
plt.show()
