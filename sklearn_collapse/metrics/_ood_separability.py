"""How well a linear classifier that is shown both tells two sets of rows apart."""

import numpy as np
from sklearn.base import is_classifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_collapse.utils._arrays import float_dtype, to_numpy
from sklearn_collapse.utils._finite import check_finite
from sklearn_collapse.utils._validation import check_features


def linear_separability(
    X_id, X_ood, *, estimator=None, cv=5, random_state=None, n_jobs=None
):
    """Held-out area under the curve of a linear classifier of one set against another.

    What the features hold about an out-of-distribution set, as far as a linear map can
    read it: a classifier that is shown rows of both. A detector, which sees only
    in-distribution rows, has little to find where this is near 0.5; where it is near 1
    and detectors fail, the difference is there and they look elsewhere.

    Parameters
    ----------
    X_id : array-like of shape (n, d)
        In-distribution rows, of any array library.
    X_ood : array-like of shape (m, d)
        Rows of one out-of-distribution set.
    estimator : classifier, default=None
        Cloned and fitted to NumPy rows with the labels 1 (in-distribution) and 0. By
        default logistic regression with ``C=1`` and balanced classes on standardised
        columns.
    cv : int or cross-validator, default=5
        Folds, stratified and shuffled if an int.
    random_state : int, RandomState instance or None, default=None
        Shuffles the rows.
    n_jobs : int or None, default=None
        Number of joblib workers.

    Returns
    -------
    float
        Mean over the folds of the area under the receiver operating characteristic,
        in [0, 1]; 0.5 is chance and higher is more separable.

    See Also
    --------
    ood_table : Detectors that have not seen the set.
    vci : Linear separability of the classes.

    Notes
    -----
    It follows the analysis in [1]_, which finds that detectors fail where the linear
    separability is low; how it is measured here (logistic regression, area under the
    curve, cross-validation) is this library's choice.

    References
    ----------
    .. [1] Miyai, A., Yu, Q., Irie, G., Aizawa, K. (2023). "Can Pre-trained Networks
       Detect Familiar Out-of-Distribution Data?". arXiv 2310.00847.

    Examples
    --------
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.metrics import linear_separability
    >>> data = load_cifar8_features()
    >>> for name in ("near (cat, truck)", "far: noise"):
    ...     area = linear_separability(data.X_test, data.ood[name], random_state=0)
    ...     print(name, round(area, 2))
    near (cat, truck) 0.84
    far: noise 1.0
    """
    inside, outside = (_as_rows(X) for X in (X_id, X_ood))
    if inside.shape[1] != outside.shape[1]:
        raise ValueError(
            f"X_id has {inside.shape[1]} features and X_ood {outside.shape[1]}: both "
            f"must be features of one layer."
        )
    if estimator is None:
        linear = LogisticRegression(class_weight="balanced", max_iter=1000)
        estimator = make_pipeline(StandardScaler(), linear)
    elif not is_classifier(estimator):
        raise TypeError(
            f"estimator must be a classifier, got {type(estimator).__name__}."
        )
    if isinstance(cv, int):
        fewest = min(len(inside), len(outside))
        if fewest < cv:
            raise ValueError(
                f"cv={cv} folds need as many rows in both sets, got {len(inside)} and "
                f"{len(outside)}. Pass a smaller cv."
            )
        cv = StratifiedKFold(cv, shuffle=True, random_state=random_state)
    y = np.repeat([1, 0], [len(inside), len(outside)])
    X = np.concatenate([inside, outside])
    areas = cross_val_score(
        estimator, X, y, cv=cv, scoring="roc_auc", n_jobs=n_jobs, error_score="raise"
    )
    return float(np.mean(areas))


def _as_rows(X):
    """Finite NumPy rows in float64, or float32 if they are no wider."""
    X, _ = check_features(X)
    check_finite(X)
    X = to_numpy(X)
    return X.astype(float_dtype(X, np), copy=False)
