"""Estimators that detectors made of others are tested with."""

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin


class Line(OutlierMixin, BaseEstimator):
    """The first column is the score; remembers what it was fitted on."""

    def fit(self, X, y=None, sample_weight=None):
        self.X_, self.y_, self.weights_ = X, y, sample_weight
        return self

    def score_samples(self, X):
        return X[:, 0]


class Weightless(OutlierMixin, BaseEstimator):
    """Takes no weights, as many detectors of scikit-learn."""

    def fit(self, X, y=None):
        self.n_rows_ = X.shape[0]
        return self

    def score_samples(self, X):
        return -np.abs(np.asarray(X)[:, 0])


class Odd(OutlierMixin, BaseEstimator):
    """Scores that are none."""

    def __init__(self, what="nan"):
        self.what = what

    def fit(self, X, y=None, sample_weight=None):
        self.fitted_ = True
        return self

    def score_samples(self, X):
        scores = np.array(X[:, 0], dtype=float)
        if self.what == "nan":
            scores[3] = np.nan
        elif self.what == "inf":
            scores[3] = -np.inf
        elif self.what == "column":
            scores = scores[:, None]
        return scores
