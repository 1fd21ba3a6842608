"""Distance to the k-th nearest training row."""

from numbers import Integral

import numpy as np

from sklearn_collapse._linalg._matches import directions
from sklearn_collapse._linalg._weighted_neighbors import bank_of, last_distances
from sklearn_collapse.ood._rows_detector import RowsDetector
from sklearn_collapse.utils._arrays import as_like, float_dtype, namespace, slices
from sklearn_collapse.utils._finite import check_finite
from sklearn_collapse.utils._sklearn_private import Interval

# Numbers that are held at a time for a part of the rows.
_HELD = 2**23


class KNNDetector(RowsDetector):
    """Distance to the k-th nearest training row, of rows of length 1.

    No labels, no head and no assumption about the shape of classes; the training rows
    are kept.

    Parameters
    ----------
    n_neighbors : int, default=50
        Which neighbour k; of fewer training rows the farthest. A training row is its
        own first neighbour.
    normalize : bool, default=True
        Whether rows are divided by their norms first, as in the paper.
    contamination : float, default=0.05
        Share of the calibration rows that ``predict`` calls outliers, in (0, 0.5].
    outlier_label : str, int or float, default=None
        Label in y of rows that are known outliers: ``fit`` leaves them out, and
        scorers such as ``get_scorer("ood_auroc")`` count them as out-of-distribution.
    device : str, default="auto"
        Where NumPy rows are worked on: "auto", "cpu" or a torch device. Arrays of
        other libraries are worked on where they are.

    Attributes
    ----------
    offset_ : float
        Threshold on the scores.
    n_neighbors_ : int
        The neighbour that is used: `n_neighbors`, or the number of training rows (the
        sum of their weights) if that is smaller.
    classes_ : ndarray of shape (C,)
        Labels, if y was given.
    device_ : str
        Device on which the rows were worked on.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if X had any.

    See Also
    --------
    NNGuideDetector : Nearest neighbours together with the energy of the logits.
    sklearn.neighbors.LocalOutlierFactor : Compares such distances with those of the
        neighbours.

    Notes
    -----
    The score is -||z - z_(k)||, with z = x / ||x|| and z_(k) its k-th nearest training
    row, in [-2, 0]; with ``normalize=False`` z = x, and there is no lower bound. A row
    of zeros has no direction: it is orthogonal to all rows but other rows of zeros.
    A weight of k equals k copies of a row, and equal rows count one by one.

    A training row counts itself, when the threshold is set and when it is scored again:
    among n_neighbors training rows, n_neighbors - 1 are others. With
    ``n_neighbors=1`` all training rows score 0; calibrate on rows that were not
    fitted on then.

    Distances are measured from differences in float64, whatever the dtype, and do not
    suffer from collapsed classes. The search costs n_train products per row and is
    done in blocks; ``fit`` searches for the training rows, to set the threshold. What
    is kept is one float64 array of the distinct training rows of length 1, or with
    ``normalize=False`` the very array that was given (a memory map stays one) as long
    as its rows are distinct. Up to 2^26 numbers, and unless it is a memory map, a copy
    for the search is kept as well (float32; one more in float64 where classes have
    collapsed), so that rows can be scored one at a time; it is not pickled. The paper
    draws a part of the training rows: fit on ``X[::10]``, for example.

    Rotations change no score and the unit of the features changes no ranking; moving
    the origin changes nothing with ``normalize=False`` alone.

    References
    ----------
    .. [1] Sun, Y., Ming, Y., Zhu, X., Li, Y. (2022). "Out-of-Distribution Detection
       with Deep Nearest Neighbors". ICML. arXiv 2204.06507.

    Examples
    --------
    >>> from sklearn.metrics import roc_auc_score
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.ood import KNNDetector
    >>> data = load_cifar8_features()
    >>> detector = KNNDetector().fit(data.data)
    >>> inside = detector.score_samples(data.X_test)
    >>> outside = detector.score_samples(data.ood["far: digits"])
    >>> y_true = [1] * len(inside) + [0] * len(outside)
    >>> round(roc_auc_score(y_true, [*inside, *outside]), 2)
    0.99
    """

    _parameter_constraints: dict = {
        **RowsDetector._parameter_constraints,
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "normalize": ["boolean"],
    }
    _left_by_fit = (*RowsDetector._left_by_fit, "n_neighbors_", "_bank", "_unit_rows")

    def __init__(
        self,
        n_neighbors=50,
        *,
        normalize=True,
        contamination=0.05,
        outlier_label=None,
        device="auto",
    ):
        self.n_neighbors = n_neighbors
        self.normalize = normalize
        self.contamination = contamination
        self.outlier_label = outlier_label
        self.device = device

    def _learn(self, X, y, weights):
        check_finite(X)
        self._unit_rows = bool(self.normalize)
        rows = directions(X) if self._unit_rows else X
        self._bank = bank_of(rows, weights, self.n_neighbors)
        self.n_neighbors_ = self._bank.n_neighbors

    def _work(self, X):
        return float(X.shape[0]) * X.shape[1] * len(self._bank.points)

    def _score_rows(self, X):
        check_finite(X)
        xp, bank = namespace(X), self._bank
        distances = np.empty(X.shape[0])
        step = max(256, _HELD // (X.shape[1] + 4 * bank.width))
        for here in slices(X.shape[0], step):
            rows = X[here, :]
            if self._unit_rows:
                rows = directions(rows)
            distances[here] = last_distances(bank, rows, device=self.device)
        dtype = float_dtype(X, xp)
        if np.max(distances) > float(xp.finfo(dtype).max):
            raise ValueError(
                f"Distances overflow {dtype}, in which they are returned. Rescale X, "
                f"or pass normalize=True."
            )
        return -as_like(distances, X, dtype)
