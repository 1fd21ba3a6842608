"""
What whitening does
===================

Whitening turns features into uncorrelated coordinates of unit variance. Infinitely many
matrices do that; they differ by a rotation, and each of the five that people use is the
best in one respect. This example shows them on the features of a real network, and what
happens where the covariance cannot be inverted.
"""

# %%
# Two units of a network
# ----------------------
# Two of the 96 units, with a correlation of about 0.6, and what the five methods make
# of them. Lines show one standard deviation up in one unit alone. ZCA keeps each near
# its own axis, the principal components turn both away, and with the triangular map of
# Cholesky the first unit moves the first output alone.
import matplotlib.pyplot as plt
import numpy as np

from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.whitening import SpectralWhitener

features = load_cifar8_features()
correlation = np.corrcoef(features.data.T) - np.eye(96)
pair = np.unravel_index(np.argmin(np.abs(correlation - 0.6)), (96, 96))
X = features.data[::8, pair]
print("units", *pair, "correlation", round(float(correlation[pair]), 2))

BLUE, RED = "#0072b2", "#d55e00"
methods = ("zca", "pca", "cholesky", "zca_cor", "pca_cor")
steps = X.mean(axis=0) + np.diag(X.std(axis=0))

fig, axes = plt.subplots(2, 3, figsize=(9, 6.2), layout="constrained")
panels = {"features": (X, steps)}
for method in methods:
    whitener = SpectralWhitener(method).fit(X)
    panels[method] = whitener.transform(X), whitener.transform(steps)
for ax, (name, (rows, ends)) in zip(axes.flat, panels.items(), strict=True):
    centre = rows.mean(axis=0)
    ax.plot(*rows.T, ".", color="0.6", markersize=3, zorder=1)
    for end, color, style in zip(ends, (BLUE, RED), ("s-", "o--"), strict=True):
        ax.plot(*np.transpose([centre, end]), style, color=color, markevery=[1])
    half = 4 if name != "features" else 4 * X.std(axis=0).max()
    ax.spines[["top", "right"]].set_visible(False)
    is_input = name == "features"
    ax.set(
        title=name,
        xlabel=f"unit {pair[0]}" if is_input else "first output",
        ylabel=f"unit {pair[1]}" if is_input else "second output",
        aspect="equal",
        xlim=(centre[0] - half, centre[0] + half),
        ylim=(centre[1] - half, centre[1] + half),
    )
plt.show()

# %%
# All 96 units
# ------------
# The covariance of the features has eigenvalues over several orders of magnitude. After
# whitening they are one, and the condition number with them.
X = features.data
whitener = SpectralWhitener().fit(X)
Z = whitener.transform(X)
before = whitener.eigenvalues_
after = np.linalg.eigvalsh(np.cov(Z.T, bias=True))
print(f"rank {whitener.rank_} of {X.shape[1]}")
print(f"condition before {before[0] / before[-1]:.3g}")
print(f"condition after  {after[-1] / after[0]:.6f}")

# %%
# Every method gives the same distances between rows. What differs is how close each
# output stays to its own input: ZCA has the largest covariance with it, ZCA-cor the
# largest correlation.
centred = (X - X.mean(axis=0)).astype(float)
for method in ("zca", "zca_cor", "cholesky"):
    Z = SpectralWhitener(method).fit_transform(X).astype(float)
    covariance = np.mean(Z * centred, axis=0)
    print(
        f"{method:<9} mean covariance with the input {covariance.mean():.3f}, "
        f"mean correlation {np.mean(covariance / X.std(axis=0)):.3f}"
    )

# %%
# Where the covariance has no inverse
# -----------------------------------
# Copy a unit, and add one that never fires: the covariance is singular.
# ``PCA(whiten=True)`` keeps every direction and divides those without variance by
# their rounding errors. Here they are left out, the inverse transform brings every
# column back, and the number of directions is reported as the rank.
from sklearn.decomposition import PCA

dead = np.full((len(X), 1), 0.1, dtype=X.dtype)
singular = np.hstack([X, X[:, :1], dead])
pca = PCA(whiten=True, svd_solver="covariance_eigh").fit(singular)
whitener = SpectralWhitener("pca").fit(singular)
outputs = {
    "PCA(whiten=True)": pca.transform(singular).std(axis=0),
    "SpectralWhitener": whitener.transform(singular).std(axis=0),
}
back = whitener.inverse_transform(whitener.transform(singular))
print(f"rank {whitener.rank_} of {singular.shape[1]} columns")
print(f"largest error of the way back {np.abs(back - singular).max():.1e}")

fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
for (name, deviations), marker, color, size in zip(
    outputs.items(), "ox", (RED, BLUE), (8, 4), strict=True
):
    number = np.arange(1, len(deviations) + 1)
    label = f"{name}: {len(deviations)} outputs"
    options = {"color": color, "markersize": size, "fillstyle": "none"}
    ax.plot(number, deviations, marker, label=label, **options)
ax.axhline(1, color="0.6", linewidth=0.8, zorder=0)
ax.annotate(
    "rounding, divided by rounding",
    (97.5, outputs["PCA(whiten=True)"].max()),
    xytext=(-12, -2),
    textcoords="offset points",
    ha="right",
    fontsize=9,
)
ax.set(
    xlabel="component",
    ylabel="standard deviation of the output",
    xlim=(70, 100),
    ylim=(0, None),
)
ax.legend(frameon=False, loc="center left")
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Within classes
# --------------
# With ``scatter="within"`` the rows about their class means become white, so that the
# Euclidean distance to a class mean is its Mahalanobis distance. Nearest-mean decisions
# on new images profit.
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline

for name, model in {
    "features": NearestCentroid(),
    "total": make_pipeline(SpectralWhitener(), NearestCentroid()),
    "within": make_pipeline(SpectralWhitener(scatter="within"), NearestCentroid()),
}.items():
    model.fit(X, features.target)
    accuracy = model.score(features.X_test, features.y_test)
    print(f"{name:<9} accuracy of the nearest class mean {accuracy:.3f}")
