import matplotlib.pyplot as plt
import numpy as np

from sklearn_collapse.etf import (
    frame_gram,
    frame_report,
    orthoplex_frame,
    simplex_etf,
    spread_frame,
)

frames = {
    "simplex, C = 4": (simplex_etf(4), 25),
    "orthoplex, C = 6": (orthoplex_frame(6), 25),
    "spread, C = 8": (spread_frame(8, 3), 65),
}
fig, axes = plt.subplots(
    1, 3, figsize=(8, 3.2), subplot_kw={"projection": "3d"}, layout="none"
)
fig.subplots_adjust(left=0, right=1, bottom=0, top=0.84, wspace=0)
for (name, (frame, azimuth)), ax in zip(frames.items(), axes, strict=True):
    cosines = frame_gram(frame)
    np.fill_diagonal(cosines, -1)
    for a, b in np.argwhere(np.triu(cosines >= cosines.max() - 1e-3)):
        ax.plot(*frame[[a, b]].T, color="#8a8a8a", linewidth=0.9)
    for vertex in frame:
        ax.plot(*np.c_[0 * vertex, vertex], color="#0072b2", linewidth=2)
    ax.scatter(*frame.T, color="#0072b2", s=26, depthshade=False)
    angle = frame_report(frame).least_angle
    ax.set_title(f"{name}\nleast angle {angle:.1f}°", fontsize=10)
    ax.set(xlim=(-0.7, 0.7), ylim=(-0.7, 0.7), zlim=(-0.7, 0.7))
    ax.set_box_aspect((1, 1, 1))
    ax.view_init(elev=15, azim=azimuth)
    ax.set_axis_off()
