"""Loader of the bundled CIFAR-8 features."""

from importlib.resources import files

import numpy as np
from sklearn.utils import Bunch

_FILENAME = "cifar8_features.npz"

# Name in the returned dictionary -> key in the file, in the order of reports.
_OOD_KEYS = {
    "near (cat, truck)": "X_near_ood",
    "far: texture": "X_far_texture",
    "far: digits": "X_far_digits",
    "far: noise": "X_far_noise",
}


def load_cifar8_features(*, return_X_y=False):
    """Load penultimate-layer features of a network trained on eight CIFAR-10 classes.

    A small residual network was trained on airplane, automobile, bird, deer,
    dog, frog, horse and ship. The dataset holds the input of its last layer for
    training and test images, for four sets of out-of-distribution (OOD) images,
    and the weights of that layer.

    =================   ======================
    Classes                                  8
    Training rows             8000 (1000 each)
    Test rows                  2000 (250 each)
    OOD rows                  4 sets, 500 each
    Dimensionality                          96
    Features               real, non-negative
    =================   ======================

    Parameters
    ----------
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a Bunch object.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        data : ndarray of shape (8000, 96), dtype float32
            Features of training images.
        target : ndarray of shape (8000,), dtype int64
            Class of each row of `data`, an index into `target_names`.
        target_names : ndarray of shape (8,), dtype str
            Names of the classes the network was trained on.
        feature_names : list of str
            The 96 names of the columns, ``"unit_00"`` to ``"unit_95"``.
        X_test : ndarray of shape (2000, 96), dtype float32
            Features of test images of the same eight classes.
        y_test : ndarray of shape (2000,), dtype int64
            Class of each row of `X_test`.
        near_ood_label : ndarray of shape (500,), dtype str
            ``"cat"`` or ``"truck"`` for each row of the near-OOD set.
        ood : dict of str to ndarray of shape (500, 96), dtype float32
            Features of images from outside the eight classes. The keys are
            ``"near (cat, truck)"``, ``"far: texture"``, ``"far: digits"`` and
            ``"far: noise"``, in this order.
        coef : ndarray of shape (8, 96), dtype float32
            Weights of the network's last layer.
        intercept : ndarray of shape (8,), dtype float32
            Biases of the network's last layer.
        head : :class:`~sklearn_collapse.heads.LinearHead`
            The last layer as a classifier over the labels in `target`, with
            its own copies of `coef` and `intercept`.
        DESCR : str
            Where the data come from and what each set holds.
        filename : str
            The path of the data file.

    (data, target) : tuple if ``return_X_y`` is True
        The two ndarrays described above.

    See Also
    --------
    load_cifar8_trajectory : Seven epochs of the training of this network.
    sklearn_collapse.heads.LinearHead : The network's last layer as a classifier.

    Notes
    -----
    *Near* OOD are CIFAR-10's two remaining classes, cat and truck: no such image
    entered training, but their nearest relatives, dog and automobile, did. *Far*
    OOD are crops of photographs, handwritten digits and uniform noise.

    Rows are grouped by class, so shuffle them before splitting them in sequence.

    The file stores features as float16, and the loader casts them to float32.
    The network saw a JPEG copy of CIFAR-10 [1]_, whose pixel values differ
    slightly from the original. The weights are from an epoch with training
    accuracy 0.906 and test accuracy 0.882: the features are not fully collapsed.

    References
    ----------
    .. [1] A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images",
       Technical Report, University of Toronto, 2009.

    Examples
    --------
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> features = load_cifar8_features()
    >>> features.data.shape
    (8000, 96)
    >>> list(features.ood)
    ['near (cat, truck)', 'far: texture', 'far: digits', 'far: noise']
    >>> logits = features.X_test @ features.coef.T + features.intercept
    >>> accuracy = (logits.argmax(axis=1) == features.y_test).mean()
    >>> print(f"{accuracy:.3f}")
    0.885
    """
    folder = files(__package__) / "data"
    with (
        (folder / _FILENAME).open("rb") as file,
        np.load(file, allow_pickle=False) as stored,
    ):
        data = stored["X_train"].astype(np.float32)
        target = stored["y_train"].astype(np.int64)
        if return_X_y:
            return data, target
        ood = {name: stored[key].astype(np.float32) for name, key in _OOD_KEYS.items()}
        coef, intercept = stored["coef"], stored["intercept"]
        return Bunch(
            data=data,
            target=target,
            target_names=stored["class_names"],
            feature_names=[f"unit_{j:02d}" for j in range(data.shape[1])],
            X_test=stored["X_test"].astype(np.float32),
            y_test=stored["y_test"].astype(np.int64),
            near_ood_label=stored["near_ood_label"],
            ood=ood,
            coef=coef,
            intercept=intercept,
            head=_make_head(coef.copy(), intercept.copy()),
            DESCR=(folder / "README.md").read_text(encoding="utf-8"),
            filename=str(folder / _FILENAME),
        )


def _make_head(coef, intercept):
    from sklearn_collapse.heads import LinearHead  # not needed for return_X_y=True

    return LinearHead(coef, intercept, classes=np.arange(coef.shape[0]))
