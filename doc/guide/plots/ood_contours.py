import matplotlib.pyplot as plt
import numpy as np

from sklearn_collapse.ood import (
    ClassSubspaceDetector,
    FDBDDetector,
    KNNDetector,
    LogitDetector,
    MahalanobisDetector,
)

rng = np.random.default_rng(0)
means = np.array([[4.5, 0.8], [0.8, 4.0], [5.5, 5.5]])
shape = np.array([[1.0, 0.35], [0.35, 0.5]])
y = np.repeat(np.arange(3), 100)
X = means[y] + rng.normal(size=(300, 2)) @ shape
detectors = {
    "Mahalanobis": MahalanobisDetector(),
    "Mahalanobis, relative": MahalanobisDetector(relative=True),
    "kNN, lengths kept": KNNDetector(10, normalize=False),
    "class subspaces": ClassSubspaceDetector(),
    'energy, head="lda"': LogitDetector(head="lda"),
    'fDBD, head="lda"': FDBDDetector("lda"),
}
a, b = np.meshgrid(np.linspace(-2, 9, 160), np.linspace(-2, 9, 160))
grid = np.c_[a.ravel(), b.ravel()]
fig, axes = plt.subplots(
    2, 3, figsize=(8, 5.6), sharex=True, sharey=True, layout="compressed"
)
for (name, detector), ax in zip(detectors.items(), axes.flat, strict=True):
    detector.fit(X, y)
    inside = np.sort(detector.score_samples(X))
    # Share of the training rows that score lower: one scale for all.
    rank = np.searchsorted(inside, detector.score_samples(grid)) / len(inside)
    rank = rank.reshape(a.shape)
    bands = ax.contourf(a, b, rank, [0, 0.05, 0.2, 0.4, 0.6, 0.8, 1], cmap="Blues")
    ax.contour(a, b, rank, [0.05], colors="#d55e00", linewidths=1.6)
    for c, marker in enumerate("o^s"):
        ax.plot(*X[y == c].T, marker, ms=2.2, mew=0, color="#222222", alpha=0.55)
    ax.set_title(name, fontsize=10)
    ax.set(
        aspect="equal", xlim=(-2, 9), ylim=(-2, 9), xticks=[0, 4, 8], yticks=[0, 4, 8]
    )
bar = fig.colorbar(bands, ax=axes, shrink=0.7, aspect=30, format="{x:.0%}")
bar.set_label("share of training rows that score lower")
