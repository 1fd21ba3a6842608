"""
Where class means can go
========================

A simplex puts every class at the same, largest possible angle from every other, and
needs one dimension less than there are classes. Language models have fifty thousand
classes and some thousand dimensions. What is the best that class means can do there?
"""

# %%
# Four frames
# -----------
# Each function returns unit rows, one for each class. `frame_report` says what the
# literature asks about them: the least angle, and with it the largest cosine, which
# Rankin's bound limits; the coherence, which is the largest absolute cosine, and
# Welch's bound on it.
import numpy as np

from sklearn_collapse.etf import (
    frame_report,
    hypercube_frame,
    orthoplex_frame,
    rankin_bound,
    simplex_etf,
    sparse_etf,
    spread_frame,
)

d = 16
frames = {
    "simplex, 17 classes": simplex_etf(d + 1, d),
    "orthoplex, 32 classes": orthoplex_frame(2 * d, d),
    "hypercube, 64 classes": hypercube_frame(64, d),
    "spread, 64 classes": spread_frame(64, d),
    "sparse simplex, 5 classes": sparse_etf(5, d, random_state=0),
}
print(f"{'':<26}{'angle':>8}{'cosine':>9}{'bound':>9}{'coherence':>11}{'bound':>9}")
for name, frame in frames.items():
    report = frame_report(frame)
    print(
        f"{name:<26}{report.least_angle:>7.1f}°{report.largest_cosine:>9.3f}"
        f"{report.rankin_bound:>9.3f}{report.coherence:>11.3f}"
        f"{report.welch_bound:>9.3f}"
    )

# %%
# The cube has a smaller angle than it could have: 64 vertices need only six of the 16
# dimensions. `spread_frame` looks for the best place of each vector. The sparse simplex
# has the angles of any simplex, with three of five entries equal to zero.
#
# How far apart can many classes be?
# ----------------------------------
# Up to 17 classes in 16 dimensions the answer is the simplex, up to 32 the orthoplex,
# and both are exact. Beyond that nobody knows the best angles, apart from special
# cases, and what `spread_frame` finds is as good as its search. Random directions are
# what an untrained network starts with.
import matplotlib.pyplot as plt

numbers = [4, 8, 12, 17, 18, 24, 32, 33, 40, 48, 64, 128, 256]
spread = {c: spread_frame(c, d) for c in numbers}
least = [frame_report(frame).least_angle for frame in spread.values()]
bound = [np.degrees(np.arccos(rankin_bound(c, d))) for c in numbers]
rng = np.random.default_rng(0)
random = [
    np.mean([frame_report(rng.normal(size=(c, d))).least_angle for _ in range(20)])
    for c in numbers
]
cube_numbers = [2, 4, 8, 16, 32, 64, 128, 256]
cube = [frame_report(hypercube_frame(c, d)).least_angle for c in cube_numbers]
for c in (17, 32, 64, 256):
    print(f"{c:>4} classes: least angle {least[numbers.index(c)]:.1f}°")

# %%
# The angle falls slowly: with 16 times as many classes as dimensions every class still
# is about 70° away from its nearest neighbour, where random directions are at 35°. That
# is why collapse can be spoken of in language models, with hyperspherical uniformity,
# :func:`~sklearn_collapse.metrics.gnc2_uniformity`, in the place of the simplex.
BLUE, RED, GREY, BLACK = "#0072b2", "#d55e00", "#8a8a8a", "#222222"
fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained")
left.plot(numbers, bound, "-", color=BLACK, linewidth=1)
left.plot(numbers, least, "o-", color=BLUE, markersize=4)
left.plot(cube_numbers, cube, "s", color=RED, markersize=5)
left.plot(numbers, random, "^-", color=GREY, markersize=4)
for x, height, text, colour in (
    (80, 93, "Rankin's bound", BLACK),
    (90, 68, "spread_frame", BLUE),
    (4.4, 88, "smallest hypercube", RED),
    (4.4, 50, "random directions", GREY),
):
    left.text(x, height, text, color=colour, fontsize=9)
for c, text in ((d + 1, "simplex"), (2 * d, "orthoplex")):
    left.axvline(c, color="0.85", linewidth=1, zorder=0)
    left.text(c * 0.97, 3, text, ha="right", color="0.4", fontsize=9)
left.set(
    xscale="log",
    xlabel=f"classes, in {d} dimensions",
    ylabel="least angle between two classes (°)",
    xlim=(3.5, 300),
    ylim=(0, 120),
)
left.set_xticks([4, 8, 16, 32, 64, 128, 256], [4, 8, 16, 32, 64, 128, 256])
left.minorticks_off()

frame = spread[64]
others = ~np.eye(64, dtype=bool)
bins = np.linspace(-1, 1, 81)
start = rng.normal(size=(64, d))
start /= np.linalg.norm(start, axis=1, keepdims=True)
right.hist((start @ start.T)[others], bins, color=GREY, label="random directions")
right.hist(
    (frame @ frame.T)[others],
    bins,
    histtype="step",
    color=BLUE,
    linewidth=1.5,
    label="spread_frame",
)
largest = frame_report(frame).largest_cosine
right.axvline(largest, color=BLUE, linewidth=1, linestyle="--")
right.text(
    largest + 0.04, 1500, f"no cosine above {largest:.2f}", color=BLUE, fontsize=9
)
right.set(xlabel="cosines of pairs, 64 classes", ylabel="pairs (twice)")
right.legend(frameon=False, loc="upper left", fontsize=9)
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)
plt.show()
