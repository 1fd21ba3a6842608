"""What detectors that are made of other estimators share."""

from typing import Any, NamedTuple

import numpy as np
from sklearn import get_config
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from sklearn_collapse.ood._base import Detector, warn_outlier_labels
from sklearn_collapse.utils._arrays import (
    Array,
    as_like,
    device_of,
    float_dtype,
    namespace,
    to_numpy,
)
from sklearn_collapse.utils._finite import check_finite
from sklearn_collapse.utils._labels import encode_labels
from sklearn_collapse.utils._validation import check_same_place, validate_features


class _Fitted(NamedTuple):
    """Where, on which classes and in what container; labels stay NumPy's."""

    like: Array  # (0,), of the library and device that were fitted on
    classes: np.ndarray | None
    frame: type | None  # class of the data frame that was fitted on


class MetaDetector(Detector):
    """Detector that scores by other estimators, its members.

    Subclasses define ``_members()``, which returns names and estimators as they were
    given, and `_score_rows`, which calls ``check_finite`` first.
    """

    _left_by_fit = (*Detector._left_by_fit, "_fitted")
    _members: Any
    feature_names_in_: Any

    @property
    def classes_(self):
        """Labels, if y was given."""
        check_is_fitted(self, "_fitted")
        if self._fitted.classes is None:
            raise AttributeError(
                f"{type(self).__name__} was fitted without y: it has no classes_."
            )
        return self._fitted.classes

    @property
    def _ignores_scale(self):
        return all(getattr(m, "_ignores_scale", True) for _, m in self._members())

    def get_metadata_routing(self):
        """Describe which metadata are used here and passed on to members.

        Returns
        -------
        MetadataRouter
            Weights are used here, and passed to ``fit`` of the members that ask.
        """
        router = MetadataRouter(owner=type(self).__name__).add_self_request(self)
        to_fit = MethodMapping().add(caller="fit", callee="fit")
        for name, member in self._members():
            router.add(method_mapping=to_fit, **{name: member})
        return router

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        try:
            members = [get_tags(member) for _, member in self._members()]
        except (TypeError, ValueError, AttributeError):
            return tags  # what is wrong with them is said by fit
        tags.array_api_support = all(member.array_api_support for member in members)
        required = any(member.target_tags.required for member in members)
        tags.target_tags.required = required
        return tags

    def _begin(self, X, y, sample_weight, min_samples):
        """Validate the rows of fit and remember what they are."""
        frame = _frame_class(X)
        X, y, weights = self._validate_fit(
            X, y, sample_weight, reset=True, min_samples=min_samples
        )
        check_finite(X)
        xp = namespace(X)
        like = xp.empty((0,), dtype=float_dtype(X, xp), device=device_of(X))
        classes = None if y is None else encode_labels(y)[0]
        named = hasattr(self, "feature_names_in_")
        self._fitted = _Fitted(like, classes, frame if named else None)
        if classes is not None:
            warn_outlier_labels(classes)
        return X, y, weights

    def _validate_rows(self, X, method):
        check_is_fitted(self, "_fitted")
        X = validate_features(self, X)
        check_same_place(self, X, self._fitted.like, method)
        return X

    def _who_weighs(self, sample_weight):
        """Names of the members whose ``fit`` is given the weights."""
        members = [(n, m) for n, m in self._members() if not _is_frozen(m)]
        if sample_weight is None:
            return set()
        if get_config()["enable_metadata_routing"]:
            routed = process_routing(self, "fit", sample_weight=sample_weight)
            return {name for name, _ in members if "sample_weight" in routed[name].fit}
        for name, member in members:
            if not has_fit_parameter(member, "sample_weight"):
                raise ValueError(
                    f"{name!r} of {type(self).__name__} is a "
                    f"{type(member).__name__}, whose fit takes no sample_weight. Leave "
                    f"the weights out or repeat rows, or enable scikit-learn's "
                    f"metadata routing to say which members get them."
                )
        return {name for name, _ in members}

    def _fit_member(self, member, X, y, weights):
        """Fit a clone of a member, or take it as it is if it is frozen."""
        if _is_frozen(member):
            check_is_fitted(
                member, msg="The estimator that is frozen is not fitted: fit it first."
            )
            return member
        options = {} if weights is None else {"sample_weight": weights}
        return clone(member).fit(self._framed(X), y, **options)

    def _member_scores(self, member, X):
        """Scores by a fitted member, (n,), in the library of X."""
        scores = member.score_samples(self._framed(X))
        if tuple(scores.shape) != (X.shape[0],):
            raise ValueError(
                f"score_samples of {type(member).__name__} must give one score per "
                f"row, shape ({X.shape[0]},), got shape {tuple(scores.shape)}."
            )
        xp = namespace(scores)
        nan = xp.isnan(scores)
        if bool(xp.any(nan)):
            raise ValueError(
                f"score_samples of {type(member).__name__} gives NaN, first in row "
                f"{int(np.argmax(to_numpy(nan)))}: such rows cannot be ranked."
            )
        # Estimators that know NumPy alone have answered in it.
        return as_like(scores, X)

    def _framed(self, X):
        """Rows in the kind of data frame that was fitted on, with its names.

        Members may pick columns by name, and warn where they miss names.
        """
        frame = self._fitted.frame
        if frame is None:
            return X
        names = list(self.feature_names_in_)
        if hasattr(frame, "iloc"):  # pandas
            return frame(X, columns=names)
        return frame(X, schema=names)


def _frame_class(X):
    """Class of a data frame that can be made anew from an array, or None."""
    known = type(X).__module__.partition(".")[0] in ("pandas", "polars")
    return type(X) if known and hasattr(X, "columns") else None


def _is_frozen(estimator):
    return isinstance(estimator, FrozenEstimator)
