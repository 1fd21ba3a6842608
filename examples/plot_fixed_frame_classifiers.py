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
from sklearn.pipeline import Pipeline, make_pipeline
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
    "logistic, C=0.01": make_pipeline(
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
from threadpoolctl import threadpool_limits


def mean_accuracy(model, draws, **weights):
    """Mean accuracy over draws; products this small gain nothing from threads."""
    with threadpool_limits(1):
        fitted = (
            model.fit(X[i], y[i], **{k: f(y[i]) for k, f in weights.items()})
            for i in draws
        )
        return np.mean([one.score(X_test, y_test) for one in fitted])


accuracy = {
    name: [mean_accuracy(model, draws[size]) for size in sizes]
    for name, model in classifiers.items()
}
head = features.head.score(X_test, y_test)
print(f"{'images of each class':<26}" + "".join(f"{size:>8}" for size in sizes))
for name, values in accuracy.items():
    print(f"{name:<26}" + "".join(f"{value:8.3f}" for value in values))
print(f"{'the last layer itself':<26}{head:32.3f}")

# %%
# Most of the work was done by the network. The vertices of a simplex, turned into place
# by eight class means, are a little better than the class means themselves and lose
# three points to the network's last layer. Least squares wins most of that back where
# there are rows enough for the covariance of 96 features, and is as bad as the linear
# discriminant, or worse, where there are not: shrinkage mends that. A subspace of five
# directions per class is worse than a line, since the classes of this network share the
# directions in which they vary. And a regularised logistic regression is the best at
# every size. With as many rows of each class, nothing here says that a fixed frame is
# better than learned weights.
#
# Rare classes
# ------------
# Fixed frames were proposed for data in which some classes are rare: no class has
# weights of its own that could grow with its size. Here the classes are thinned out so
# that their sizes fall geometrically, from 1000 rows to 1000 / ratio, in a random order
# of the classes, and accuracy is that on the same test images. Means of five draws.
# The usual answer to rare classes is to weigh rows by one over the size of their class.
from functools import partial

from sklearn.utils.class_weight import compute_sample_weight

ratios = [1, 10, 30, 100]


def long_tail(ratio):
    """Row numbers of classes that shrink, in a random order of the classes."""
    counts = np.round(1000 * ratio ** (-np.arange(8) / 7)).astype(int)
    return np.concatenate(
        [
            rng.choice(np.flatnonzero(y == c), count, replace=False)
            for c, count in zip(rng.permutation(8), counts, strict=True)
        ]
    )


def weighed_accuracy(name, draws, weigh):
    """Mean accuracy over draws, rows weighed by their class's size or not."""
    model, option = classifiers[name], "sample_weight"
    if isinstance(model, Pipeline):
        option = "logisticregression__sample_weight"
    weights = {option: partial(compute_sample_weight, "balanced")} if weigh else {}
    return mean_accuracy(model, draws, **weights)


tails = {ratio: [long_tail(ratio) for _ in range(5)] for ratio in ratios}
rare = [
    ("ETF, rotation", False),
    ("ETF, least squares", False),
    ("ETF, least squares", True),
    ("Grassmann, 1 direction", False),
    ("nearest class mean", False),
    ("logistic, C=0.01", False),
    ("logistic, C=0.01", True),
]
tail_accuracy = {
    case: [weighed_accuracy(case[0], tails[ratio], case[1]) for ratio in ratios]
    for case in rare
}
print(f"{'largest class : rarest':<34}" + "".join(f"{ratio:>8}" for ratio in ratios))
for (name, weigh), values in tail_accuracy.items():
    name = f"{name}, weighed" if weigh else name
    print(f"{name:<34}" + "".join(f"{value:8.3f}" for value in values))

# %%
# The promise is kept: the rotation, the lines and the class means lose next to nothing
# when the rarest class has ten rows, and they need not be told which class is rare.
# Least squares and logistic regression fall apart. But weights put logistic regression
# back ahead of all of them. Who can weigh rows needs no fixed frame; who cannot, since
# class sizes are unknown, or the rows are elsewhere, has one that does not mind.
import matplotlib.pyplot as plt

BLUE, RED, GREEN, GREY, BLACK = "#0072b2", "#d55e00", "#009e73", "#8a8a8a", "#222222"
fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4.8), layout="constrained")
curves = {
    "ETF, rotation": ("rotation onto a simplex", BLUE, "o-"),
    "ETF, least squares": ("least squares", BLUE, "o:"),
    "ETF, least squares, OAS": ("least squares, shrunk", BLUE, "o--"),
    "Grassmann, 1 direction": ("a line per class", GREEN, "^-"),
    "nearest class mean": ("nearest class mean", GREY, "s-"),
    "logistic, C=0.01": ("logistic regression", RED, "D-"),
}


def draw(ax, x, drawn):
    """Draw curves with their names at the right, none upon another."""
    lowest = 0.0
    for (name, weigh), values in sorted(drawn.items(), key=lambda item: item[1][-1]):
        text, colour, style = curves[name]
        style = f"{style[0]}--" if weigh else style
        ax.plot(x, values, style, color=colour, markersize=5)
        lowest = max(values[-1], lowest + 0.0135)
        text = f"{text}, weighed" if weigh else text
        ax.annotate(
            *(text, (x[-1], lowest)),
            xytext=(8, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            fontsize=9,
        )


draw(left, sizes, {(name, False): accuracy[name] for name in curves})
draw(right, ratios, tail_accuracy)
for ax, ticks, text in (
    (left, sizes, "training images of each class"),
    (right, ratios, "size of the largest class : size of the rarest"),
):
    ax.plot([ticks[0], ticks[-1]], [head, head], color=BLACK, linewidth=1)
    ax.text(ticks[0], head + 0.006, "the network's last layer", fontsize=9)
    ax.set(xscale="log", xlabel=text, ylim=(0.56, 0.92))
    ax.set_xlim(ticks[0] / 1.1, ticks[-1] * (ticks[-1] / ticks[0]) ** 0.55)
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()
    ax.spines[["top", "right"]].set_visible(False)
left.set(ylabel="accuracy on test images", title="few rows of every class")
right.set(title="1000 rows of one class, fewer of others")
plt.show()
