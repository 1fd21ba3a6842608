"""Frames whose least angle is as large as can be found."""

from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state, check_scalar

from sklearn_collapse._linalg._polytopes import orthoplex, simplex_frame


def spread_frame(n_classes, n_features, random_state=None):
    """Unit vectors whose least angle is as large as can be found."""
    check_scalar(n_classes, "n_classes", Integral, min_val=2)
    check_scalar(n_features, "n_features", Integral, min_val=1)
    for most, build in ((n_features + 1, simplex_frame), (2 * n_features, orthoplex)):
        if n_classes <= most:
            frame = build(n_classes)
            return np.pad(frame, ((0, 0), (0, n_features - frame.shape[1])))
    rows = check_random_state(random_state or 0).normal(size=(n_classes, n_features))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
