"""Several detectors as one."""

from functools import partial, reduce
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from sklearn_collapse._base import unchanged_on_error
from sklearn_collapse._linalg._score_maps import apply_map, rank_map, z_map
from sklearn_collapse.ood._base import Detector
from sklearn_collapse.ood._mahalanobis import MahalanobisDetector
from sklearn_collapse.ood._meta import MetaDetector
from sklearn_collapse.ood._neco import NECODetector
from sklearn_collapse.utils._arrays import as_like, float_dtype, namespace, to_numpy
from sklearn_collapse.utils._finite import check_finite
from sklearn_collapse.utils._parallel import in_parallel
from sklearn_collapse.utils._sklearn_private import (
    BaseComposition,
    StrOptions,
    fit_context,
)


class DetectorEnsemble(MetaDetector, BaseComposition):
    """Several detectors as one: scores on one scale, then their mean or minimum.

    No detector is best on all data. Each member is fitted on the same rows, its scores
    are brought to one scale by the training rows, and the ensemble scores by what its
    members say together.

    Parameters
    ----------
    estimators : list of (str, estimator) tuples, default=None
        Names and members: anything with ``fit`` and ``score_samples``, where larger
        scores are more in-distribution. Clones are fitted; a ``FrozenEstimator`` is
        used as it is; "drop" in place of a member leaves it out. Parameters of members
        are set as ``name__parameter``. None is ``[("mahalanobis",
        MahalanobisDetector()), ("neco", NECODetector())]``: a distance and an angle.
    combine : {"rank", "z", "max"}, default="rank"
        "rank": weighted mean of the shares of training rows that score lower. "z":
        weighted mean of the standard scores. "max": the largest outlyingness, which is
        the lowest standard score of any member.
    weights : array-like of shape (n_members,), default=None
        Weights of the members in the mean, not negative; None weighs them alike. There
        is none for "max".
    contamination : float, default=0.05
        Share of the calibration rows that ``predict`` calls outliers, in (0, 0.5].
    outlier_label : str, int or float, default=None
        Label in y of rows that are known outliers: ``fit`` leaves them out, and
        scorers such as ``get_scorer("ood_auroc")`` count them as out-of-distribution.
    n_jobs : int, default=None
        Number of members that are fitted at a time; None is 1 unless in a
        ``joblib.parallel_config`` context, -1 is all processors. BLAS threads are
        bounded so that together they do not exceed the cores.

    Attributes
    ----------
    offset_ : float
        Threshold on the scores.
    estimators_ : list of estimator objects
        Fitted members.
    named_estimators_ : Bunch
        The same by name.
    classes_ : ndarray of shape (C,)
        Labels, if y was given.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if X had any.

    See Also
    --------
    ConformalDetector : A threshold with a guarantee, also for an ensemble.
    sklearn_collapse.metrics.ood_table : Compare detectors.

    Notes
    -----
    "rank" takes the mid-rank of a score in the training scores t_i of its member, ::

        u(s) = (#{i : t_i < s} + #{i : t_i = s} / 2) / n

    linear between two training scores; what differs from one of them by rounding alone
    has its rank. Below the lowest of them, t, it falls on
    towards 0 as u(t) / (1 + (t - s) / IQR), IQR the interquartile range of the t_i, and
    above the highest it rises likewise towards 1. So it is in [0, 1], no member
    outvotes the others by the size of its scores, and rows that are all farther out
    than any training row keep their order.

    "z" is (s - mean) / std over the training rows (normaliser n), without bounds: a
    member that finds a row very strange decides. "max" is the maximum of Aggarwal and
    Sathe, whose outlier scores are ours negated: the minimum of "z". Where training
    scores of a member differ by rounding alone, their size, or 1, takes the place of
    the range and of std.

    Means of ranks tie often, and rows that tie with the threshold are inliers: of the
    training rows ``predict`` may call fewer outliers than `contamination` allows.

    Training rows tell how a member's scores are spread. Where members overfit them, new
    rows score lower, some members more so than others, and "z" weighs those more.
    `calibrate` moves the threshold alone.

    References
    ----------
    .. [1] Aggarwal, C. C., Sathe, S. (2015). "Theoretical Foundations and Algorithms
       for Outlier Ensembles". SIGKDD Explorations 17(1).

    Examples
    --------
    >>> from sklearn.metrics import roc_auc_score
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.ood import (
    ...     DetectorEnsemble, LogitDetector, MahalanobisDetector
    ... )
    >>> data = load_cifar8_features()
    >>> members = [
    ...     ("distance", MahalanobisDetector()),
    ...     ("energy", LogitDetector(head=data.head)),
    ... ]
    >>> detector = DetectorEnsemble(members).fit(data.data, data.target)
    >>> inside = detector.score_samples(data.X_test)
    >>> outside = detector.score_samples(data.ood["far: texture"])
    >>> y_true = [1] * len(inside) + [0] * len(outside)
    >>> round(roc_auc_score(y_true, [*inside, *outside]), 2)
    0.92
    """

    _parameter_constraints: dict = {
        "estimators": [None, list],
        "combine": [StrOptions({"rank", "z", "max"})],
        "weights": [None, "array-like"],
        "contamination": Detector._parameter_constraints["contamination"],
        "outlier_label": Detector._parameter_constraints["outlier_label"],
        "n_jobs": [None, Integral],
    }
    _left_by_fit = (
        *MetaDetector._left_by_fit,
        *("estimators_", "named_estimators_", "_maps", "_shares"),
    )
    estimators_: Any

    def __init__(
        self,
        estimators=None,
        *,
        combine="rank",
        weights=None,
        contamination=0.05,
        outlier_label=None,
        n_jobs=None,
    ):
        self.estimators = estimators
        self.combine = combine
        self.weights = weights
        self.contamination = contamination
        self.outlier_label = outlier_label
        self.n_jobs = n_jobs

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, sample_weight=None):
        """Fit the members, scale their scores and set the threshold on the same rows.

        Parameters
        ----------
        X : array-like of shape (n, d)
            In-distribution features, at least two rows; of any array library that all
            members take.
        y : array-like of shape (n,), default=None
            Class labels, which the members get. Rows labelled `outlier_label` are left
            out; otherwise a y of -1 and 1 means two classes, and a warning says so.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        self : object
            Fitted detector.
        """
        with unchanged_on_error(self):
            self._forget()
            members = self._members()
            self._shares = self._member_shares()
            weighs = self._who_weighs(sample_weight)
            X, y, weights = self._begin(X, y, sample_weight, 2)
            tasks = [(m, weights if name in weighs else None) for name, m in members]
            work = partial(self._fit_and_score, X, y)
            fitted = list(in_parallel(work, tasks, self.n_jobs))
            self.estimators_ = [member for member, _ in fitted]
            names = [name for name, _ in members]
            self.named_estimators_ = Bunch(
                **dict(zip(names, self.estimators_, strict=True))
            )
            scores = [score for _, score in fitted]
            self._maps = [
                self._map(*pair, weights) for pair in zip(names, scores, strict=True)
            ]
            self._set_offset(self._combined(scores, X), weights)
        return self

    def get_params(self, deep=True):
        """Get the parameters, with ``deep`` also the members and theirs.

        Parameters
        ----------
        deep : bool, default=True
            Whether to look into the members.

        Returns
        -------
        dict
            Values by name.
        """
        return self._get_params("estimators", deep=deep)

    def set_params(self, **params):
        """Set parameters, members by name and their parameters.

        Parameters
        ----------
        **params : dict
            Values by name: parameters, names of members, ``name__parameter``.

        Returns
        -------
        self : object
            The ensemble.
        """
        return self._set_params("estimators", **params)

    def _pairs(self):
        """Names and members as they were given, those that are dropped included."""
        if self.estimators is None:
            return [("mahalanobis", MahalanobisDetector()), ("neco", NECODetector())]
        pairs = self.estimators
        if not pairs or not all(
            isinstance(pair, (tuple, list))
            and len(pair) == 2
            and isinstance(pair[0], str)
            for pair in pairs
        ):
            raise ValueError(
                f"estimators must be a list of (name, estimator) tuples, got {pairs!r}."
            )
        self._validate_names([name for name, _ in pairs])
        return [tuple(pair) for pair in pairs]

    def _members(self):
        members = [pair for pair in self._pairs() if not _is_dropped(pair[1])]
        if not members:
            raise ValueError(
                "All estimators are dropped: at least one is required in the ensemble."
            )
        for name, member in members:
            lacks = [m for m in ("fit", "score_samples") if not hasattr(member, m)]
            if isinstance(member, type) or lacks:
                what = (
                    f"the class {member.__name__}: pass an instance"
                    if isinstance(member, type)
                    else f"{type(member).__name__} without {' and '.join(lacks)}"
                )
                raise TypeError(
                    f"estimators must be detectors with fit and score_samples or "
                    f"'drop', but {name!r} is {what}."
                )
        return members

    def _member_shares(self):
        """Shares of the members in the mean, of sum 1; None for the minimum."""
        pairs = self._pairs()
        kept = [not _is_dropped(member) for _, member in pairs]
        if self.weights is None:
            return None if self.combine == "max" else [1 / sum(kept)] * sum(kept)
        if self.combine == "max":
            raise ValueError(
                "weights have no meaning with combine='max', which takes the lowest "
                "standard score of any member: pass weights=None, or another combine."
            )
        weights = np.asarray(to_numpy(self.weights), dtype=float)
        if weights.shape != (len(pairs),):
            raise ValueError(
                f"weights must hold one number for each of the {len(pairs)} "
                f"estimators, got shape {weights.shape}."
            )
        weights = weights[kept]
        if not (np.isfinite(weights) & (weights >= 0)).all() or not weights.any():
            raise ValueError(
                f"weights must be finite, not negative and not all zero, got "
                f"{weights.tolist()}."
            )
        return (weights / weights.sum()).tolist()

    def _fit_and_score(self, X, y, task):
        member, weights = task
        fitted = self._fit_member(member, X, y, weights)
        return fitted, self._member_scores(fitted, X)

    def _map(self, name, scores, weights):
        """Map of a member's scores to the common scale."""
        eps = float(namespace(scores).finfo(scores.dtype).eps)
        values = to_numpy(scores).astype(float)
        if not np.isfinite(values).all():
            raise ValueError(
                f"{name!r} gives training rows infinite scores, which set no scale."
            )
        if self.combine != "rank":
            return z_map(values, weights, eps)
        ranks = rank_map(values, weights, eps)
        knots, shares = (as_like(part, scores) for part in ranks[:2])
        return ranks._replace(knots=knots, shares=shares)

    def _score_rows(self, X):
        check_finite(X)
        scores = [self._member_scores(member, X) for member in self.estimators_]
        return self._combined(scores, X)

    def _combined(self, scores, X):
        """One score of those of all members, (n,), as precise as X."""
        xp = namespace(X)
        common = [
            apply_map(xp.astype(score, xp.float64), fitted, xp=xp)
            for score, fitted in zip(scores, self._maps, strict=True)
        ]
        if self._shares is None:
            total = reduce(xp.minimum, common)
        else:
            total = sum(w * s for w, s in zip(self._shares, common, strict=True))
        return xp.astype(total, float_dtype(X, xp))


def _is_dropped(member):
    return isinstance(member, str) and member == "drop"
