"""Loader of the bundled CIFAR-8 features at several epochs of training."""

from importlib.resources import files

import numpy as np
from sklearn.utils import Bunch

from sklearn_collapse.datasets._cifar8 import _FILENAME as _FEATURES
from sklearn_collapse.datasets._cifar8 import _make_head

_FILENAME = "cifar8_trajectory.npz"
_EPOCHS = (1, 3, 6, 12, 24, 30, 38)


def load_cifar8_trajectory():
    """Load features of one network at seven epochs of its training.

    The network is that of `load_cifar8_features`, a small residual network trained on
    eight CIFAR-10 classes. The dataset holds the input of its last layer for the same
    training images after epochs 1, 3, 6, 12, 24, 30 and 38, and that layer's weights.

    =================   ======================
    Epochs                                   7
    Classes                                  8
    Training rows              2000 (250 each)
    Dimensionality                          96
    Features               real, non-negative
    =================   ======================

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        epochs : list of int
            The seven epochs, ascending.
        features : dict of int to ndarray of shape (2000, 96), dtype float32
            Features of the training images after each epoch. Row i is of the same
            image in all of them.
        heads : dict of int to :class:`~sklearn_collapse.heads.LinearHead`
            The network's last layer after each epoch, as a classifier over the labels
            in `target`.
        target : ndarray of shape (2000,), dtype int64
            Class of each row, an index into `target_names`.
        target_names : ndarray of shape (8,), dtype str
            Names of the classes the network was trained on.
        feature_names : list of str
            The 96 names of the columns, ``"unit_00"`` to ``"unit_95"``.
        test_accuracy : dict of int to float
            Accuracy after each epoch on 8,000 test images, which are not part of the
            dataset.
        DESCR : str
            Where the data come from and what each set holds.
        filename : str
            The path of the data file.

    See Also
    --------
    load_cifar8_features : More rows of epoch 24, with test and OOD images.
    sklearn_collapse.collapse.NeuralCollapseScorer : Collapse at each epoch.

    Notes
    -----
    From epoch 25 on training continued at a lower learning rate and without random
    crops, into the phase where features collapse. Test accuracy does not rise
    throughout: it is lower after epoch 30 than after epoch 24.

    Rows are grouped by class, so shuffle them before splitting them in sequence.

    The file stores features as float16, and the loader casts them to float32.
    The network saw a JPEG copy of CIFAR-10 [1]_, whose pixel values differ
    slightly from the original.

    References
    ----------
    .. [1] A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images",
       Technical Report, University of Toronto, 2009.

    Examples
    --------
    >>> from sklearn_collapse.datasets import load_cifar8_trajectory
    >>> from sklearn_collapse.metrics import nc1_trace_ratio
    >>> trajectory = load_cifar8_trajectory()
    >>> for epoch in (1, 38):
    ...     X = trajectory.features[epoch]
    ...     print(f"{epoch:2d} {nc1_trace_ratio(X, trajectory.target):.2f}")
     1 1.19
    38 0.80
    """
    folder = files(__package__) / "data"
    with (
        (folder / _FILENAME).open("rb") as file,
        np.load(file, allow_pickle=False) as stored,
    ):
        features = {e: stored[f"X_epoch{e}"].astype(np.float32) for e in _EPOCHS}
        heads = {
            e: _make_head(stored[f"coef_epoch{e}"], stored[f"intercept_epoch{e}"])
            for e in _EPOCHS
        }
        accuracy = {e: float(stored[f"test_accuracy_epoch{e}"]) for e in _EPOCHS}
        target = stored["y"].astype(np.int64)
    with (
        (folder / _FEATURES).open("rb") as file,
        np.load(file, allow_pickle=False) as stored,
    ):
        names = stored["class_names"]
    return Bunch(
        epochs=list(_EPOCHS),
        features=features,
        heads=heads,
        target=target,
        target_names=names,
        feature_names=[f"unit_{j:02d}" for j in range(features[1].shape[1])],
        test_accuracy=accuracy,
        DESCR=(folder / "README.md").read_text(encoding="utf-8"),
        filename=str(folder / _FILENAME),
    )
