"""
Reading the scores of a detector
================================

A detector gives each row a number, and papers give each detector one: an AUROC, or a
false positive rate. What do these numbers see of the scores, what do they hide, and
when do they contradict each other?
"""

# %%
# Scores, and curves of them
# --------------------------
# ViM on the features of a small network. Test images are the in-distribution rows, grey
# in every row of the left picture. The dashed line is the threshold that lets 95 % of
# them pass; what lies to the right of it passes, too. FPR95 is the share of a set that
# does, a dot on its curve in the right picture. AUROC is the probability that a row of
# the set scores below a test image, and the area under the curve.
import matplotlib.pyplot as plt
import numpy as np

from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.ood import LogitDetector, ViMDetector
from sklearn_collapse.plotting import OODScoreDisplay

features = load_cifar8_features()
X, y, X_test = features.data, features.target, features.X_test
detector = ViMDetector(features.head).fit(X, y)
OODScoreDisplay.from_estimator(
    detector, X_test, features.ood, kind="both", name="ViM on four sets"
)
plt.show()

# %%
# Digits score below all but a few test images, and noise below most. Cats and trucks
# overlap with the test images nearly everywhere: giving up one test image in twenty
# finds fewer than a fifth of them. No threshold changes that.
#
# Which rows are the positives?
# -----------------------------
# FPR95 has two readings. Here, as in the papers on ViM and NECO, in-distribution rows
# are the positives: 95 % of them are accepted, and the outliers accepted with them are
# counted. OpenOOD takes the outliers for the positives: 95 % of them are found, and the
# test images rejected with them are counted. On the curves the first is the distance
# from the left at a height of 95 %, the second the distance from the top at a width of
# 5 %. For the energy of the logits they put the sets into opposite orders.
from sklearn_collapse.metrics import ood_table

energy = LogitDetector("energy", head=features.head).fit(X, y)
sets = {name: features.ood[name] for name in ("far: texture", "far: digits")}
print(f"{'energy on':<14}{'AUROC':>8}{'FPR95, ID positive':>21}{'OOD positive':>15}")
table = {row["set"]: row for row in ood_table({"energy": energy}, X_test, sets)}
for name, row in table.items():
    print(
        f"{name:<14}{row['auroc']:>8.3f}{row['fpr95_id']:>21.3f}{row['fpr95_ood']:>15.3f}"
    )

display = OODScoreDisplay.from_estimator(
    energy, X_test, sets, kind="roc", name="energy of the logits"
)
ax = display.ax_
ax.axvline(0.05, color="0.54", linewidth=0.8, linestyle="--", zorder=0)
for name, line in display.lines_.items():
    kept = 1 - table[name]["fpr95_ood"]
    ax.plot(0.05, kept, "s", color=line.get_color(), markersize=6)
ax.text(0.07, 0.3, "■ 95 % of OOD found", fontsize=9)
plt.show()

# %%
# Numbers of the two kinds cannot be compared, and a paper that does not say which it
# means cannot be compared with. :func:`~sklearn_collapse.metrics.ood_table` reports
# both.
#
# What a histogram hides
# ----------------------
# All of these numbers depend on the order of the scores alone. A histogram does not.
# The softmax probability of most images is so close to 1 that one bin holds them; seen
# as log odds, log p / (1 - p), the same scores in the same order fill the picture.
# Those that are 1 to rounding become the next lower number.
probability = LogitDetector("msp", head=features.head).fit(X, y)
inside = probability.score_samples(X_test).astype(float)
outside = {k: probability.score_samples(v).astype(float) for k, v in sets.items()}


def log_odds(p):
    p = np.minimum(p, 1 - 2.0**-24)
    return np.log(p) - np.log1p(-p)


fig, axes = plt.subplots(1, 2, figsize=(11, 3.4), layout="constrained")
for ax, name, change in (
    (axes[0], "softmax probability", np.asarray),
    (axes[1], "its log odds", log_odds),
):
    changed = {key: change(scores) for key, scores in outside.items()}
    display = OODScoreDisplay.from_predictions(
        change(inside), changed, ax=ax, name=name, bins=60
    )
    print(f"{name:<20}", {key: round(v, 4) for key, v in display.auroc.items()})
plt.show()

# %%
# Nor does a good order make a good threshold: where the dashed line lies depends on the
# test images that drew it. Whether it holds on others is the question of
# :ref:`the example on thresholds <sphx_glr_auto_examples_plot_thresholds.py>`.
