"""
Classify with a frame that nobody trained
=========================================

A collapsed network has its class means on a simplex and its last layer on the same
simplex. So why learn that layer at all? Some methods fix it before training, others
put a fixed frame on features that are already there. Here is what this costs in
accuracy on features of a real network, in one table with the classifiers that one
would try first.
"""

# %%
# The features
# ------------
# Eight classes, 1000 training images each, and 2000 test images. The network's last
# layer was trained on 40,000 images, all others see at most the 8000 here. The features
# were trained on these images as well: no classifier below started from nothing.
import numpy as np

from sklearn_collapse.datasets import load_cifar8_features

features = load_cifar8_features()
X, y, X_test, y_test = (
    features.data,
    features.target,
    features.X_test,
    features.y_test,
)

# %%
# What is compared
# ----------------
# `ETFClassifier` turns the features so that the class means come as close to a simplex
# as a rotation gets them, and looks for the vertex with the smallest angle. With
# ``mapping="ridge"`` it takes the linear map that is best in least squares, which may
# stretch as well as turn. `GrassmannClassifier` gives every class a subspace instead of
# a direction. The nearest class mean, the linear discriminant and logistic regression
# are scikit-learn's.
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_collapse.etf import ETFClassifier, GrassmannClassifier

classifiers = {
    "ETF, rotation": ETFClassifier(),
    "ETF, least squares": ETFClassifier(mapping="ridge"),
    "ETF, least squares, OAS": ETFClassifier(mapping="ridge", shrinkage="oas"),
    "Grassmann, 1 direction": GrassmannClassifier(1),
    "Grassmann, 5 directions": GrassmannClassifier(5),
    "nearest class mean": NearestCentroid(),
    "linear discriminant": LinearDiscriminantAnalysis(),
    "logistic regression": make_pipeline(
        StandardScaler(), LogisticRegression(max_iter=2000)
    ),
    "the same, C=0.01": make_pipeline(
        StandardScaler(), LogisticRegression(C=0.01, max_iter=2000)
    ),
}
rng = np.random.default_rng(0)
sizes = [5, 20, 100, 1000]
draws = {
    size: [
        np.concatenate(
            [rng.choice(np.flatnonzero(y == c), size, replace=False) for c in range(8)]
        )
        for _ in range(5 if size < 1000 else 1)
    ]
    for size in sizes
}

# %%
# One table
# ---------
# Accuracy on the test images by the number of training images of each class: the mean
# over five draws, and all 1000 once. The standard error of an accuracy from 2000 images
# is about 0.007.
accuracy = {
    name: [
        np.mean([model.fit(X[i], y[i]).score(X_test, y_test) for i in draws[size]])
        for size in sizes
    ]
    for name, model in classifiers.items()
}
head = features.head.score(X_test, y_test)
print(f"{'images of each class':<26}" + "".join(f"{size:>8}" for size in sizes))
for name, values in accuracy.items():
    print(f"{name:<26}" + "".join(f"{value:8.3f}" for value in values))
print(f"{'the last layer itself':<26}{head:32.3f}")
