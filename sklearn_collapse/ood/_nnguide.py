"""NNGuide: the energy, guided by that of the nearest training rows."""

from numbers import Integral

import numpy as np

from sklearn_collapse._linalg._guidance import guidance, guiding_rows
from sklearn_collapse._linalg._logits import energy
from sklearn_collapse._linalg._rows import map_rows
from sklearn_collapse.ood._pattern_detector import HEAD_OR_LDA, OneClassDetector
from sklearn_collapse.utils._arrays import (
    Rows,
    as_like,
    is_numpy,
    namespace,
    slices,
    to_numpy,
)
from sklearn_collapse.utils._finite import check_finite
from sklearn_collapse.utils._sklearn_private import Interval, StrOptions

# Numbers that are held at a time for a part of the rows.
_HELD = 2**23


class NNGuideDetector(OneClassDetector):
    """Energy of the logits times the energy-weighted cosine with nearest rows.

    Logits are overconfident far from the training rows, where the cosines with them
    fall. The training rows are kept.

    Parameters
    ----------
    head : "lda" or classifier, default="lda"
        What classifies rows. "lda" is the linear discriminant of the rows given to
        ``fit``; without y, or with a single class, there is none, and all rows belong
        to one class. A `LinearHead` or a ``FrozenEstimator`` is used as it is; any
        other classifier is cloned and fitted on the same rows.
    n_neighbors : int, default=10
        Number of training rows k that guide; of fewer all. A training row is its own
        neighbour.
    neighbors : {"scaled", "cosine"}, default="scaled"
        Which training rows are nearest: those of the largest cos(z, z_i) e_i, as in the
        authors' code, or those of the largest cosine.
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
        Number of neighbours: `n_neighbors`, or the number of training rows (the sum of
        their weights) if that is smaller.
    head_ : "lda" or classifier
        Fitted head.
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
    KNNDetector : The distance to a neighbour alone.
    LogitDetector : The energy alone.

    Notes
    -----
    With e = log sum_c exp(l_c) the energy of a row's logits, z the row, and z_i its k
    nearest training rows::

        score = e(z) * (1 / k) sum_i cos(z, z_i) e(z_i)

    The authors' code multiplies training rows of length 1 by their energies and takes
    the mean of the k largest inner products: ``neighbors="scaled"``. Descriptions of
    the method also choose neighbours by the cosine and weigh them afterwards:
    ``neighbors="cosine"``, which prefers no confident rows; rows of one direction and
    different energies are then equally near, and equal ones among them share one mean.
    The two agree where all energies are equal.

    Without a head (one class) all energies are 1, and the score is the mean cosine. A
    row of zeros has the cosine 0 with all rows. A weight of k equals k copies of a row.

    Scores are unbounded; higher is more in-distribution as long as energies are
    positive. Those of "lda" are: its logits are centred over classes, so that the
    energy is at least log C. A head whose logits are all far below zero has negative
    energies, which turn the ranking round, in the authors' code as well: subtract a
    constant from its biases.

    Rotations change nothing if the head turns with the features, as "lda" does; with
    "lda" their unit does not matter, with a given head it does. The origin matters. All
    arithmetic is in float64. One float64 array of the training rows, with one column
    more, is kept; the search costs n_train products per row and is done in blocks.
    There is no ``partial_fit`` and no ``fit_moments``.

    References
    ----------
    .. [1] Park, J., Jung, Y. G., Teoh, A. B. J. (2023). "Nearest Neighbor Guidance for
       Out-of-Distribution Detection". ICCV. arXiv 2309.14888.

    Examples
    --------
    >>> from sklearn.metrics import roc_auc_score
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.ood import NNGuideDetector
    >>> data = load_cifar8_features()
    >>> detector = NNGuideDetector(data.head).fit(data.data, data.target)
    >>> inside = detector.score_samples(data.X_test)
    >>> outside = detector.score_samples(data.ood["far: texture"])
    >>> y_true = [1] * len(inside) + [0] * len(outside)
    >>> round(roc_auc_score(y_true, [*inside, *outside]), 2)
    0.92
    """

    _parameter_constraints: dict = {
        **OneClassDetector._parameter_constraints,
        "head": HEAD_OR_LDA,
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "neighbors": [StrOptions({"scaled", "cosine"})],
    }
    _left_by_fit = (*OneClassDetector._left_by_fit, "n_neighbors_", "_guide")

    def __init__(
        self,
        head="lda",
        *,
        n_neighbors=10,
        neighbors="scaled",
        contamination=0.05,
        outlier_label=None,
        device="auto",
    ):
        self.head = head
        self.n_neighbors = n_neighbors
        self.neighbors = neighbors
        self.contamination = contamination
        self.outlier_label = outlier_label
        self.device = device

    def _learn(self, X, y, weights):
        check_finite(X)
        super()._learn(X, y, weights)
        self._guide = guiding_rows(
            X,
            self._energies(X),
            weights,
            self.n_neighbors,
            scaled=self.neighbors == "scaled",
        )
        self.n_neighbors_ = self._guide.bank.n_neighbors

    def _work(self, X):
        per_row = X.shape[1] * (len(self._guide.bank.points) + self._n_logits(X))
        return float(X.shape[0]) * per_row

    @np.errstate(over="ignore", invalid="ignore")
    def _energies(self, X):
        """Energy of each row, (n,), as a NumPy array of float64."""
        energies = np.ones(X.shape[0])
        if self._head is None:
            return energies
        xp, width = namespace(X), max(X.shape[1], self._n_logits(X))
        for here in slices(X.shape[0], max(256, _HELD // width)):
            # The search costs far more: these may as well have all digits.
            block = xp.astype(X[here, :], xp.float64)
            rows = Rows(block, self.device, float(block.shape[0]) * width**2)
            energies[here] = self._energies_of(rows, width)
        return energies

    def _energies_of(self, rows, width):
        logits = self._logits(rows)

        def energies(block, _):
            return (energy(logits(block), 1.0, rows.xp),)

        return to_numpy(map_rows(rows, energies, width)[0])

    @np.errstate(over="ignore", invalid="ignore")
    def _score_rows(self, X):
        check_finite(X)
        guided = guidance(self._guide, X, device=self.device)
        rows = Rows(X, "cpu" if is_numpy(namespace(X)) else "auto")
        return self._checked(as_like(self._energies(X) * guided, X), rows)
