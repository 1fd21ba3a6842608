"""
The spectrum under a transfer function
======================================

The covariance of a network's features has few large eigenvalues and a long tail. What a
nearest neighbour, a linear probe or a detector sees depends on how each direction is
scaled. :class:`~sklearn_collapse.whitening.SpectralTransformer` scales each principal
direction by a function of its eigenvalue. Here are real features under each of these
functions.
"""

# %%
# What goes out for what comes in
# -------------------------------
# The network has learned eight classes, so seven directions carry most of the variance:
# the spectrum has a step behind them. Whitening lifts all 96 to the same level, noise
# included. A power below one half and the soft inverse root lift them in part. A band
# keeps some and removes the others, "drop_top" removes the first, and "direct_pred"
# favours the leading ones even more.
import matplotlib.pyplot as plt
import numpy as np

from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.whitening import SpectralTransformer

features = load_cifar8_features()
X, y = features.data, features.target
X_test, y_test = features.X_test, features.y_test

transfers = {
    "identity (power 0)": SpectralTransformer(exponent=0),
    "power 0.25": SpectralTransformer(exponent=0.25),
    "whitening (power 0.5)": SpectralTransformer(),
    "soft, epsilon 0.1": SpectralTransformer("soft", epsilon=0.1),
    "top of the spectrum": SpectralTransformer("band", band=(0, 0.9)),
    "tail of the spectrum": SpectralTransformer("band", band=(0.9, 1)),
    "without the first": SpectralTransformer("drop_top", n_drop=1),
    "direct_pred": SpectralTransformer("direct_pred", epsilon=0.01),
    "log(1 + l), a callable": SpectralTransformer(lambda x: np.log1p(x) / x),
}
for transformer in transfers.values():
    transformer.fit(X)

fig, axes = plt.subplots(3, 3, figsize=(9, 7.5), sharex=True, layout="constrained")
for ax, (name, transformer) in zip(axes.flat, transfers.items(), strict=True):
    before = transformer.eigenvalues_
    after = transformer.gains_**2 * before
    rank = np.arange(1, len(before) + 1)
    kept = after > 0
    ax.loglog(rank, before / before[0], color="0.65", linewidth=3, label="before")
    ax.loglog(rank[kept], after[kept] / after.max(), "k-", linewidth=1.2, label="after")
    ax.loglog(rank[kept], after[kept] / after.max(), "k.", markersize=4)
    ax.set(title=name, ylim=(1e-4, 2))
axes[0, 0].legend()
for ax in axes[-1]:
    ax.set_xlabel("direction")
for ax in axes[:, 0]:
    ax.set_ylabel("variance, of the largest")
plt.show()

# %%
# What a nearest neighbour makes of it
# ------------------------------------
# Distances between images are what a transfer function changes. Labels of the test
# images are predicted by their nearest training images.
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

accuracies = {}
for name, transformer in transfers.items():
    model = make_pipeline(transformer, KNeighborsClassifier(10)).fit(X, y)
    accuracies[name] = model.score(X_test, y_test)
    print(f"{name:<24} accuracy {accuracies[name]:.3f}")

# %%
# This network was trained on these labels, so its leading directions are the classes:
# lifting the tail to their level adds noise to every distance, and whitening costs
# neighbours a tenth of the accuracy. The tail alone, a tenth of the variance, still
# tells half of the images apart, four times as many as chance. Taking it off costs
# nothing.
fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
position = np.arange(len(accuracies))[::-1]
ax.barh(position, accuracies.values(), color="0.55")
for at, value in zip(position, accuracies.values(), strict=True):
    ax.text(value - 0.01, at, f"{value:.3f}", ha="right", va="center", color="white")
ax.set_yticks(position, accuracies)
ax.axvline(accuracies["identity (power 0)"], color="black", linewidth=1, linestyle=":")
ax.axvline(1 / 8, color="black", linewidth=1)
ax.text(0.135, -0.42, "chance", color="white", va="bottom", fontsize=9)
ax.set(
    xlabel="accuracy of 10 nearest neighbours (dotted: of the features)", xlim=(0, 1)
)
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Typical and untypical images
# ----------------------------
# What is noise for neighbours is evidence for a detector. White rows have a
# log-likelihood, ``score_samples`` of whitening transformers: minus half their squared
# length, which is the Mahalanobis distance, but for a constant. Digits and noise, which
# the network has never seen, move most in directions in which its own images hardly
# vary. Cats and trucks do not: they are made of what the network knows, and look as
# likely as its test images.
from sklearn_collapse.whitening import SpectralWhitener

whitener = SpectralWhitener().fit(X)
fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
rows = {"test images": X_test, **features.ood}
styles = ("-", "--", "-.", ":", (0, (6, 1, 1, 1)))
colours = ("#222222", "#d55e00", "#0072b2", "#009e73", "#cc79a7")
edges = np.linspace(-360, -100, 70)
for (name, values), style, color in zip(rows.items(), styles, colours, strict=True):
    scores = whitener.score_samples(values)
    counts, _ = np.histogram(scores, edges, density=True)
    ax.stairs(counts, edges, label=name, linestyle=style, color=color, linewidth=1.6)
    print(f"{name:<18} median log-likelihood {np.median(scores):7.1f}")
ax.set(xlabel="log-likelihood of the white row", ylabel="density")
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)
plt.show()
