"""
Quick start: collapse and detection on real features
=====================================================

How far has a network collapsed, and does it notice images of classes it was never
shown? The features are the input of the last layer of a small network trained on eight
of the ten CIFAR-10 classes.
"""

# %%
# The features
# ------------
# `data` and `target` are training rows, `X_test` and `y_test` new images of the same
# eight classes. `ood` holds images from outside: near ones (cats and trucks) and far
# ones (textures, digits, noise). `head` is the last layer of the network.
from sklearn_collapse.datasets import load_cifar8_features

features = load_cifar8_features()
print("train", features.data.shape, "test", features.X_test.shape)
for name, X_ood in features.ood.items():
    print(name, X_ood.shape)

# %%
# Neural collapse
# ---------------
# One fit gives every metric. `vci` is 0 for a network that has collapsed completely and
# 1 for features that say nothing about the class.
from sklearn_collapse.collapse import NeuralCollapseScorer

scorer = NeuralCollapseScorer(head=features.head)
scorer.fit(features.data, features.target)
for name, value in scorer.metrics_.items():
    print(f"{name:<20} {value:.4f}")

# %%
# Out-of-distribution detection
# -----------------------------
# The detector scores a row by its Mahalanobis distance to the nearest class mean. Test
# rows are the in-distribution side of the table, because the detector was fitted on the
# training rows.
from sklearn_collapse.metrics import ood_table
from sklearn_collapse.ood import MahalanobisDetector

detector = MahalanobisDetector().fit(features.data, features.target)
for row in ood_table({"Mahalanobis": detector}, features.X_test, features.ood):
    print(f"{row['set']:<18} AUROC {row['auroc']:.3f}  FPR95 {row['fpr95_id']:.3f}")

# %%
# Digits and noise lie far from every class mean. Cats and trucks lie among the test
# images: to this network they are dogs and automobiles.
import matplotlib.pyplot as plt
import numpy as np

distance = {"test images": np.sqrt(-detector.score_samples(features.X_test))}
for name, X_ood in features.ood.items():
    distance[name] = np.sqrt(-detector.score_samples(X_ood))
bins = np.linspace(5, 25, 61)

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, values in distance.items():
    ax.hist(values, bins=bins, density=True, histtype="step", label=name)
ax.set(
    xlabel="Mahalanobis distance to the nearest class mean",
    ylabel="density",
)
ax.legend()
plt.show()
