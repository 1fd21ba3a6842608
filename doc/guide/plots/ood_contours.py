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
means = np.array([[4.0, 1.2], [1.2, 4.0], [5.0, 5.0]])
shape = np.array([[0.7, 0.25], [0.25, 0.4]])
y = np.repeat(np.arange(3), 150)
X = means[y] + rng.normal(size=(450, 2)) @ shape
detectors = {
    "Mahalanobis": MahalanobisDetector(),
    "Mahalanobis, relative": MahalanobisDetector(relative=True),
    "kNN, lengths kept": KNNDetector(10, normalize=False),
    "class subspaces": ClassSubspaceDetector(),
    'energy, head="lda"': LogitDetector(head="lda"),
    'fDBD, head="lda"': FDBDDetector("lda"),
}
a, b = np.meshgrid(np.linspace(-1.5, 8.5, 160), np.linspace(-1.5, 8.5, 160))
grid = np.c_[a.ravel(), b.ravel()]
fig, axes = plt.subplots(2, 3, figsize=(8, 5.6), sharex=True, sharey=True)
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
    ax.set(aspect="equal", xticks=[0, 4, 8], yticks=[0, 4, 8])
fig.colorbar(bands, ax=axes, shrink=0.75, label="share of training rows below")
