import matplotlib.pyplot as plt

from sklearn_collapse import ClassMoments
from sklearn_collapse.datasets import load_cifar8_trajectory
from sklearn_collapse.plotting import ClassGeometryDisplay

trajectory = load_cifar8_trajectory()
names = trajectory.target_names[trajectory.target]
fig, axes = plt.subplots(1, 2, figsize=(8.4, 4.5), layout="compressed")
for epoch, ax in zip((1, 38), axes, strict=True):
    moments = ClassMoments.from_arrays(trajectory.features[epoch], names)
    display = ClassGeometryDisplay.from_moments(
        moments, name=f"epoch {epoch}", ax=ax, vmin=-1, vmax=1
    )
    for text in ax.texts:
        text.set_fontsize(7)
    if epoch == 1:
        display.colorbar_.remove()  # both have the same scale
    else:
        ax.set_yticklabels([])
