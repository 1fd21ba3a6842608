"""Mahalanobis distance to the nearest class mean, and its two refinements."""

from numbers import Real
from typing import NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._linalg._moments import unit_rows
from sklearn_collapse._linalg._rows import ClassMetric, class_metric, nearest_class
from sklearn_collapse._linalg._shrinkage import (
    ledoit_wolf_intensity,
    oas_intensity,
)
from sklearn_collapse._linalg._spectrum import floored_inverse
from sklearn_collapse.ood._base import MomentsDetector
from sklearn_collapse.utils._arrays import Rows, namespace
from sklearn_collapse.utils._sklearn_private import Interval, StrOptions
