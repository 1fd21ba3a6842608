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

# sphinx_gallery_thumbnail_number = 2
scorer = NeuralCollapseScorer(head=features.head)
scorer.fit(features.data, features.target)
for name, value in scorer.metrics_.items():
    print(f"{name:<20} {value:.4f}")

# %%
# What the class means look like: in a simplex every two of them have the cosine that
# the colour bar marks, and would be grey. Here animals are close to animals, and ships
# to airplanes: red. Animals and vehicles are further apart than a simplex has room for
# all: pale blue.
import matplotlib.pyplot as plt

from sklearn_collapse.plotting import ClassGeometryDisplay, OODScoreDisplay

display = ClassGeometryDisplay.from_estimator(scorer, name="cosines of class means")
ticks = {"labels": features.target_names, "rotation": 90}
display.ax_.set_xticks(range(8), **ticks)
display.ax_.set_yticks(range(8), labels=features.target_names)
plt.show()

# %%
# Alignment with a simplex
# ------------------------
# Turn and scale the class means to fit a simplex best: what is left over, and which
# class fits worst? ``score`` asks the same of new images, under the same rotation.
from sklearn_collapse.etf import ETFAlignmentScorer

alignment = ETFAlignmentScorer().fit(features.data, features.target)
worst = features.target_names[alignment.class_alignment_.argmin()]
print(f"misfit {alignment.metrics_['disparity']:.3f}", end=", ")
print(f"of test images {-alignment.score(features.X_test, features.y_test):.3f}")
print(f"least aligned: {worst}, cosine {alignment.class_alignment_.min():.3f}")

# %%
# Whitening
# ---------
# Within-class whitening makes Euclidean distances Mahalanobis distances. It is a
# transformer and goes in front of any classifier.
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline

from sklearn_collapse.whitening import SpectralWhitener

model = make_pipeline(SpectralWhitener(scatter="within"), NearestCentroid())
for name, classifier in {"features": NearestCentroid(), "whitened": model}.items():
    classifier.fit(features.data, features.target)
    accuracy = classifier.score(features.X_test, features.y_test)
    print(f"{name}: accuracy of the nearest class mean {accuracy:.3f}")

# %%
# Out-of-distribution detection
# -----------------------------
# Detectors are fitted on the training rows. The Mahalanobis detector scores a row by
# its distance to the nearest class mean, NECO by its share in the principal components,
# the energy of the logits by how sure the network is. Test rows are the
# in-distribution side of the table.
from sklearn_collapse.metrics import ood_table
from sklearn_collapse.ood import LogitDetector, MahalanobisDetector, NECODetector

detectors = {
    "Mahalanobis": MahalanobisDetector(),
    "relative Mahalanobis": MahalanobisDetector(relative=True),
    "NECO": NECODetector(head=features.head),
    "energy": LogitDetector("energy", head=features.head),
}
for detector in detectors.values():
    detector.fit(features.data, features.target)
for row in ood_table(detectors, features.X_test, features.ood):
    print(
        f"{row['detector']:<21} {row['set']:<18} "
        f"AUROC {row['auroc']:.3f}  FPR95 {row['fpr95_id']:.3f}"
    )

# %%
# No detector wins everywhere. Digits and noise lie far from every class mean, which the
# Mahalanobis distance sees. Cats and trucks lie among the test images: to this network
# they are dogs and automobiles, and the relative distance tells them apart best. The
# dashed line lets 95 % of the test images pass; FPR95 is the share of a set that passes
# with them, the dots on the curves.
OODScoreDisplay.from_estimator(
    detectors["Mahalanobis"],
    features.X_test,
    features.ood,
    kind="both",
    name="Mahalanobis detector",
)
plt.show()

# %%
# Where to go from here: :doc:`/choosing` says which metric and which detector,
# :doc:`/guide/index` what each of them measures and when it misleads.
