import matplotlib.pyplot as plt
import numpy as np

from sklearn_collapse.datasets import load_cifar8_trajectory
from sklearn_collapse.etf import ETFAlignmentScorer

trajectory = load_cifar8_trajectory()
fitted = np.arange(len(trajectory.target)) % 2 == 0
y = trajectory.target
own, new, head = [], [], []
for epoch in trajectory.epochs:
    X = trajectory.features[epoch]
    scorer = ETFAlignmentScorer(head=trajectory.heads[epoch])
    scorer.fit(X[fitted], y[fitted])
    own.append(scorer.metrics_["disparity"])
    head.append(scorer.metrics_["head_disparity"])
    new.append(-scorer.score(X[~fitted], y[~fitted]))
fig, ax = plt.subplots()
ax.plot(trajectory.epochs, head, "^:", color="#009e73", label="rows of the head")
ax.plot(trajectory.epochs, new, "s--", color="#d55e00", label="class means of new rows")
ax.plot(trajectory.epochs, own, "o-", color="#0072b2", label="class means")
ax.set(xlabel="epoch", ylabel="disparity from the simplex", ylim=(0, 0.45))
ax.legend(frameon=False)
