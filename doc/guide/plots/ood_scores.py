import matplotlib.pyplot as plt

from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.ood import FDBDDetector
from sklearn_collapse.plotting import OODScoreDisplay

data = load_cifar8_features()
detector = FDBDDetector("lda").fit(data.data, data.target)
fig, ax = plt.subplots(figsize=(6.4, 4.4))
OODScoreDisplay.from_estimator(
    detector, data.X_test, data.ood, name='FDBDDetector("lda")', ax=ax
)
