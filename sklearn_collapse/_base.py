"""What every estimator that is fitted on rows shares, and those of `ClassMoments`."""

from contextlib import contextmanager

from sklearn.base import BaseEstimator
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.utils._arrays import place_of
from sklearn_collapse.utils._available import NotAvailableError
from sklearn_collapse.utils._dask import Partitions, is_dask
from sklearn_collapse.utils._kept import NotKeptError, looking
from sklearn_collapse.utils._labels import as_label_array, encode_known
from sklearn_collapse.utils._sklearn_private import FittedHTMLMixin, fit_context
from sklearn_collapse.utils._validation import (
    check_features,
    check_lengths,
    check_same_place,
    check_weights,
    drop_zero_weights,
    validate_features,
)

# Up to so many multiplications measuring takes no longer than showing the result.
_LITTLE_WORK = 512**3


@contextmanager
def unchanged_on_error(estimator):
    """Leave an estimator as it was when fitting it fails."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


class RowsEstimator(FittedHTMLMixin, BaseEstimator):
    """Validate rows for fitting, and forget what an earlier fit has left."""

    # What fit leaves behind.
    _left_by_fit: tuple = ("n_features_in_", "feature_names_in_")

    def _metrics_to_show(self):
        """Metrics, and those by class, that are known or take no time to measure."""
        if self._work_of_metrics() <= _LITTLE_WORK:
            return self.metrics_, getattr(self, "per_class_", None)
        try:
            with looking():
                return self.metrics_, None
        except NotKeptError:
            return None

    def _work_of_metrics(self):
        """Order of the multiplications: decompositions, and all pairs of classes."""
        d, n_classes = self.n_features_in_, len(getattr(self, "classes_", ()))
        moments = [getattr(self, n, None) for n in ("moments_", "unit_moments_")]
        by_class = any(m is not None and m.class_scatter for m in moments)
        return d**3 * (n_classes if by_class else 1) + d * n_classes**2

    @property
    def _ignores_scale(self):
        """Whether the ranking of results ignores the unit of the features.

        Where the definition depends on it, as with a fixed head, the docstring says so.
        """
        return True

    def _forget(self):
        """Drop what an earlier fit has left and this one may not replace."""
        for name in self._left_by_fit:
            if hasattr(self, name):
                delattr(self, name)

    def _validate_fit(self, X, y, sample_weight, *, reset, min_samples):
        """Validate rows for fitting; rows of zero weight are dropped.

        Returns
        -------
        X : array of shape (n, d)
        y : ndarray of shape (n,) or None
        weights : ndarray of shape (n,) or None
        """
        X = validate_features(self, X, reset=reset, min_samples=min_samples)
        weights = check_weights(sample_weight, X.shape[0])
        if y is not None:
            y = as_label_array(y)
            check_lengths(X, y)
        X, kept, weights = drop_zero_weights(X, weights)
        return X, None if y is None else y[kept], weights

    def _snapshot(self):
        """Copy that further fits of this object leave as it is."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def _require_labels(self, y):
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is "
                f"None."
            )

    def _validate_labelled(self, X, y, sample_weight, method):
        """Validate labelled rows for a method of a fitted estimator.

        Returns
        -------
        X : array of shape (n, d)
            Rows of zero weight are dropped.
        codes : ndarray of int of shape (n,)
            Positions of the labels in the fitted classes.
        weights : ndarray of shape (n,) or None
        """
        X = self._validate_rows(X, method)
        self._require_labels(y)
        y = as_label_array(y)
        check_lengths(X, y)
        weights = check_weights(sample_weight, X.shape[0])
        X, kept, weights = drop_zero_weights(X, weights)
        return X, encode_known(y[kept], self.classes_), weights

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        return tags


class MomentsEstimator(RowsEstimator):
    """Fit, continue and adopt class moments; subclasses say which and what for.

    Subclasses may define ``_moments_options()``, the flags of the moments they need,
    and extend the steps of fitting below.
    """

    _left_by_fit = ("moments_", *RowsEstimator._left_by_fit)
    # Which part of it further rows make void.
    _void_after_update: tuple = ()

    def _moments_options(self):
        return {"normalize": False}

    def _check_labels(self, y):
        """Raise if labels cannot serve; return those to gather by."""
        return y

    def _check_moments(self, moments):
        """Raise if moments cannot serve."""

    def _learn_from_rows(self, X, y, weights):
        """Learn, in ``fit`` alone, what the moments do not hold."""

    def _learn_without_rows(self, y):
        """Learn the same as far as it goes, in ``partial_fit`` and ``fit_moments``.

        ``y`` holds the labels that are new, or is None. The rows are not yet in the
        moments: an error here leaves those as they were.
        """

    def _learn_from_partitions(self, parts):
        """Learn from rows of a Dask collection what `_learn_without_rows` does not."""

    def _fit_rows(self, X, y, sample_weight):
        """Gather the moments of all rows."""
        if is_dask(X):
            return self._fit_partitions(X, y, sample_weight)
        with unchanged_on_error(self):
            self._forget()
            X, y, weights = self._validate_fit(
                X, self._check_labels(y), sample_weight, reset=True, min_samples=2
            )
            self._gather(X, y, weights)
            self._check_moments(self._statistics)
            self._learn_from_rows(X, y, weights)
        return self

    def _fit_partitions(self, X, y, sample_weight):
        """Gather the moments of a Dask collection partition by partition."""
        with unchanged_on_error(self):
            self._forget()
            self._require_streaming()
            if get_tags(self).target_tags.required:
                self._require_labels(y)
            parts = Partitions(X, self._check_labels(y), sample_weight)
            validate_features(self, parts.probe, reset=True)
            gathered = parts.sum(self, "_gather_partition")
            if (n := gathered.pop("n_rows")) < 2:
                raise ValueError(
                    f"Found array with {n} sample(s) in all partitions of X, while a "
                    f"minimum of 2 is required by {type(self).__name__}."
                )
            self.__dict__.update(gathered)
            self._check_moments(self.moments_)
            labelled = self.moments_.labelled
            self._learn_without_rows(self.moments_.classes_ if labelled else None)
            self._learn_from_partitions(parts)
        return self

    def _gather_partition(self, X, y, weights):
        """Moments of one partition, by the attribute that they belong to."""
        twin = super()._snapshot()
        X, y, weights = twin._validate_fit(X, y, weights, reset=False, min_samples=0)
        if not X.shape[0]:  # a detector has left out outliers
            return None
        twin._continue_moments(X, y, weights)
        found = {k: v for k, v in vars(twin).items() if isinstance(v, ClassMoments)}
        for moments in found.values():
            moments._flush()
        return {"n_rows": X.shape[0], **found}

    def _require_streaming(self):
        """Raise if these parameters need all rows at once."""
        try:
            self.partial_fit  # noqa: B018  raises if it is not available
        except NotAvailableError as error:
            raise ValueError(
                f"{type(self).__name__} with these parameters needs all rows in "
                f"memory, and X is a Dask collection: pass X.compute()."
            ) from error

    def _snapshot(self):
        twin = super()._snapshot()
        for name, value in vars(self).items():
            if isinstance(value, ClassMoments):
                kept = value.copy()
                kept._cache = value._cache.copy()  # no decomposition is done again
                setattr(twin, name, kept)
        return twin

    def _gather(self, X, y, weights):
        """Gather, in ``fit``, what the estimator is a function of."""
        self.moments_ = self._new_moments().update(X, y, weights)

    def _add_rows(self, X, y, sample_weight):
        """Add rows to the moments; what needs all rows is void afterwards."""
        with unchanged_on_error(self):
            first = not hasattr(self, "moments_")
            X, y, weights = self._validate_fit(
                X, self._check_labels(y), sample_weight, reset=first, min_samples=1
            )
            self._learn_without_rows(y)
            self._continue_moments(X, y, weights)
            for name in self._void_after_update:
                if hasattr(self, name):
                    delattr(self, name)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def fit_moments(self, moments):
        """Fit from moments that were gathered elsewhere.

        Parameters
        ----------
        moments : ClassMoments
            Gathered with the flags that this estimator needs; it is left as it is.

        Returns
        -------
        self : object
            The estimator. What needs rows is absent or raises.
        """
        if not isinstance(moments, ClassMoments):
            raise TypeError(
                f"moments must be a ClassMoments, got {type(moments).__name__}."
            )
        self._check_flags(moments)
        with unchanged_on_error(self):
            self._forget()
            self.moments_ = moments.copy()
            self.moments_.classes_  # noqa: B018  raises if there are no rows
            self.n_features_in_ = moments.n_features
            if moments.feature_names_ is not None:
                self.feature_names_in_ = moments.feature_names_
            self._check_moments(self.moments_)
            y = moments.classes_ if moments.labelled else None
            self._learn_without_rows(y)
        return self

    @property
    def _statistics(self):
        """What has been gathered; raises if nothing has."""
        check_is_fitted(self, "moments_")
        return self.moments_

    @property
    def device_(self):
        """Device on which the moments were gathered."""
        return self._statistics.device_

    def _check_flags(self, moments):
        """Raise if moments were gathered with other flags than are needed."""
        for flag, value in self._moments_options().items():
            if getattr(moments, flag) != value:
                raise ValueError(
                    f"{type(self).__name__} with these parameters needs moments with "
                    f"{flag}={value!r}, got {flag}={getattr(moments, flag)!r}: gather "
                    f"them with ClassMoments({flag}={value!r})."
                )

    def _validate_rows(self, X, method):
        """Validate rows for a method of a fitted estimator."""
        means = self._statistics.means_
        X = validate_features(self, X)
        check_same_place(self, X, means, method)
        return X

    def _validate_outputs(self, X, width):
        """Validate rows for ``inverse_transform``: those that transform returned."""
        X, _ = check_features(X)
        if X.shape[1] != width:
            raise ValueError(
                f"X has {X.shape[1]} columns, but inverse_transform of this "
                f"{type(self).__name__} is expecting {width}: pass rows as transform "
                f"returns them."
            )
        check_same_place(self, X, self._statistics.means_, "inverse_transform")
        return X

    def _continue_moments(self, X, y, weights):
        """Add rows to the fitted moments, or start them."""
        if not hasattr(self, "moments_"):
            self.moments_ = self._new_moments()
        elif place_of(X) != self.moments_.place:
            check_same_place(self, X, self.moments_.means_, "partial_fit")
        self._check_flags(self.moments_)
        self.moments_.update(X, y, weights)

    def _new_moments(self):
        return ClassMoments(device=self.device, **self._moments_options())


class LabelledMomentsEstimator(MomentsEstimator):
    """Estimator that compares classes: y is required."""

    @property
    def classes_(self):
        """Labels."""
        check_is_fitted(self, "moments_")
        return self.moments_.classes_

    @property
    def means_(self):
        """Class means."""
        check_is_fitted(self, "moments_")
        return self.moments_.means_

    def _check_labels(self, y):
        self._require_labels(y)
        return y

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags
