"""
Whitening by a reference
========================

In a screen many treatments are compared with untreated controls, plate after plate.
What differs most between two wells is not the treatment but what varies between
controls as well: the cells that happen to lie in a well, the staining of a plate.
Typical variation normalization (Ando, McLean and Berndl 2017) begins by making the
controls white. Directions in which they vary much are shrunk, those in which they
hardly vary are stretched, and there the treatments stand out. It is a whitening that
is fitted on some of the rows, and so a matter of ``sample_weight``.
"""

# %%
# A screen
# --------
# Made from the real features of 96 units: a "cell" is the feature vector of an image,
# drawn from all classes at random. Six plates hold 48 wells of 20 cells: 24 treatments
# in one well each, 12 reference controls to fit on, and 12 more controls to judge by. A
# treatment silences four units, the same for all, each to a degree of its own. Plates
# differ by the gain of all units and by a shift in three directions.
import numpy as np

from sklearn_collapse.datasets import load_cifar8_features

features = load_cifar8_features()
images = np.vstack([features.data, features.X_test])
n_plates, n_treatments, n_cells = 6, 24, 20
CONTROL, REFERENCE = 24, 25

rng = np.random.default_rng(0)
one_plate = [*range(n_treatments), *[CONTROL] * 12, *[REFERENCE] * 12]
well_content = np.tile(one_plate, n_plates)
well_plate = np.repeat(np.arange(n_plates), len(one_plate))
content, plate = np.repeat([well_content, well_plate], n_cells, axis=1)

silenced = rng.choice(96, size=4, replace=False)
effect = np.ones((n_treatments + 2, 96))
effect[:n_treatments, silenced] = rng.uniform(size=(n_treatments, 4))
gain = 1 + 0.15 * rng.normal(size=(n_plates, 1))
directions = np.linalg.svd(images - images.mean(axis=0), full_matrices=False)[2]
shift = 0.3 * rng.normal(size=(n_plates, 3)) @ directions[5:8]

X = images[rng.permutation(len(images))[: len(plate)]]
X = X * effect[content] * gain[plate] + shift[plate]
reference = content == REFERENCE
variances = X[reference].var(axis=0)
share = variances[silenced].sum() / variances.sum()
print(f"{len(X)} cells in {len(well_plate)} wells, {reference.sum()} for reference")
print(f"the silenced units have {share:.1%} of the variance of the controls")

# %%
# Fitting on the controls
# -----------------------
# Rows of weight 0 count as absent. The reference becomes white. Other controls nearly
# do, and treated cells need not.
from sklearn_collapse.whitening import ClassSubspaceProjector, SpectralWhitener

by_all = SpectralWhitener().fit(X)
by_controls = SpectralWhitener().fit(X, sample_weight=reference)
for name, rows in {
    "reference": reference,
    "other controls": content == CONTROL,
    "treated": content < n_treatments,
}.items():
    values = np.linalg.eigvalsh(np.cov(by_controls.transform(X[rows]).T))
    print(f"{name:<14} variances along axes from {values[0]:.2f} to {values[-1]:.2f}")

# %%
# A well is described by the mean of its cells. Here are the wells in the two directions
# in which they vary most. In raw features plates and cells decide. Whitening by all
# rows takes the effects of the treatments for typical as well, and shrinks them.
# Whitened by the controls, the treatments come apart.
import matplotlib.pyplot as plt
from sklearn.decomposition import PCA


def wells(cells):
    """Mean of the cells of each well, about the mean of the reference wells."""
    profiles = cells.reshape(len(well_content), n_cells, -1).mean(axis=1)
    return profiles - profiles[well_content == REFERENCE].mean(axis=0)


strongest = np.argsort(effect[:n_treatments].sum(axis=1))[:5]
colors = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#f0e442")

fig, axes = plt.subplots(1, 3, figsize=(10, 3.9), layout="constrained")
for ax, (name, cells) in zip(
    axes,
    {
        "features": X,
        "whitened by all rows": by_all.transform(X),
        "whitened by controls": by_controls.transform(X),
    }.items(),
    strict=True,
):
    points = PCA(2).fit_transform(wells(cells))
    controls = well_content >= n_treatments
    others = ~controls & ~np.isin(well_content, strongest)
    ax.plot(*points[others].T, ".", color="0.7", markersize=4, label="other treatments")
    ax.plot(*points[controls].T, "+", color="0.3", markersize=5, label="controls")
    for which, marker, color in zip(strongest, "so^vD", colors, strict=True):
        style = {"color": color, "markeredgecolor": "black", "linestyle": ""}
        label = f"treatment {which}"
        ax.plot(*points[well_content == which].T, marker, **style, label=label)
    ax.set(title=name, xticks=[], yticks=[])
legend = axes[0].get_legend_handles_labels()
fig.legend(*legend, loc="outside lower center", ncols=4, frameon=False)
plt.show()

# %%
# How good is it?
# ---------------
# Two questions. Which treated wells differ from controls: the area under the ROC curve
# of the distance from the mean of the reference. Which have the same effect: for how
# many treated wells the nearest well of another plate has the same treatment, which by
# chance are one in 24.
#
# Two more candidates use the plates as labels. ``scatter="within"`` whitens by what
# varies within plates. Shifts between plates are then no typical variation, and remain.
# :class:`~sklearn_collapse.whitening.ClassSubspaceProjector` removes them first: it
# projects out the directions in which the mean of the controls differs between plates.
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler


def judge(cells):
    """Area under the ROC curve, and share of nearest wells with the same treatment."""
    profiles, treated = wells(cells), well_content < n_treatments
    judged = well_content != REFERENCE
    distances = np.linalg.norm(profiles[judged], axis=1)
    auroc = roc_auc_score(treated[judged], distances)
    points, where, which = (v[treated] for v in (profiles, well_plate, well_content))
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    distances[where[:, None] == where] = np.inf
    return auroc, np.mean(which[distances.argmin(axis=1)] == which)


weights = {"sample_weight": reference}
scaler = StandardScaler().fit(X[reference])
within = SpectralWhitener(scatter="within").fit(X, plate, **weights)
projector = ClassSubspaceProjector("within").fit(X, plate, **weights)
without_plates = projector.transform(X)
whitener = SpectralWhitener().fit(without_plates, **weights)

found = {
    "features": judge(X),
    "standardised by controls": judge(scaler.transform(X)),
    "whitened by all rows": judge(by_all.transform(X)),
    "whitened by controls": judge(by_controls.transform(X)),
    "… within plates": judge(within.transform(X)),
    "plates projected out,\nwhitened by controls": judge(
        whitener.transform(without_plates)
    ),
}
for name, (auroc, same) in found.items():
    print(f"{' '.join(name.split()):<43} AUROC {auroc:.3f}, same treatment {same:.3f}")

fig, ax = plt.subplots(figsize=(8, 4.2), layout="constrained")
places = np.arange(len(found))[::-1]
series = {
    "treated or not: AUROC": ("#0072b2", "", 0.5),
    "nearest well has the same treatment": ("#e69f00", "///", 1 / n_treatments),
}
for k, (label, (color, hatch, chance)) in enumerate(series.items()):
    values = [scores[k] for scores in found.values()]
    at = places + 0.19 - 0.38 * k
    ax.barh(at, values, 0.36, color=color, hatch=hatch, edgecolor="white", label=label)
    for y, value in zip(at, values, strict=True):
        ax.plot([chance, chance], [y - 0.18, y + 0.18], color="black")
        ax.text(value + 0.01, y, f"{value:.2f}", va="center", fontsize=9)
ax.set_yticks(places, labels=list(found))
ax.set(xlim=(0, 1.08), xlabel="the black lines are chance")
ax.spines[["top", "right"]].set_visible(False)
fig.legend(loc="outside upper center", ncols=2, frameon=False)
plt.show()

# %%
# Fewer controls
# --------------
# A covariance of 96 units takes some cells to estimate. With few, directions in which
# they happen not to vary are left out or stretched too far. Shrinkage holds against it,
# and hardly matters where there are enough.
for n_reference in (60, 120, 240, 1440):
    some = rng.permutation(np.flatnonzero(reference))[:n_reference]
    same = [
        judge(SpectralWhitener(shrinkage=shrinkage).fit(X[some]).transform(X))[1]
        for shrinkage in (None, "oas")
    ]
    print(
        f"{n_reference:>4} cells: same treatment {same[0]:.3f}, "
        f"with shrinkage='oas' {same[1]:.3f}"
    )
