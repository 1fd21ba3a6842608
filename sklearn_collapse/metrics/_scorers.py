"""The library's metrics as callables for ``scoring=``."""

import inspect
from collections.abc import Callable
from difflib import get_close_matches

import numpy as np
from sklearn import get_config
from sklearn.base import is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import MetadataRequest

from sklearn_collapse._head_argument import resolve_head
from sklearn_collapse.heads import LinearHead
from sklearn_collapse.metrics._call import Measure
from sklearn_collapse.metrics._geometry import ClassGeometry
from sklearn_collapse.metrics._ood import ood_metrics
from sklearn_collapse.metrics._ood_curves import OOD_METRICS
from sklearn_collapse.metrics._registry import METRICS
from sklearn_collapse.utils._arrays import to_numpy
from sklearn_collapse.utils._labels import encode_labels, positions, shorten
from sklearn_collapse.utils._validation import check_weights


def get_scorer_names():
    """List the names that `get_scorer` knows.

    Returns
    -------
    list of str
        Sorted names; those of metrics where lower is better start with ``neg_``.

    See Also
    --------
    get_scorer : The scorer of a name.

    Examples
    --------
    >>> from sklearn_collapse.metrics import get_scorer_names
    >>> [name for name in get_scorer_names() if "ood_au" in name]
    ['ood_aupr_in', 'ood_aupr_out', 'ood_auroc']
    """
    return sorted(_scorer_signs())


def get_scorer(name, **options):
    """Look up a scorer for ``scoring=``, where larger is better.

    Parameters
    ----------
    name : str
        ``"ood_auroc"``, ``"ood_aupr_in"``, ``"ood_aupr_out"``, ``"neg_ood_fpr95_id"``,
        ``"neg_ood_fpr95_ood"``, or the name of a metric in ``METRICS``, with ``neg_``
        before it where lower is better. `get_scorer_names` lists them all.
    **options
        Keyword arguments of the metric, such as ``class_weight="balanced"``,
        ``n_neighbors=10`` or, for one that draws at random, ``random_state=0``. The
        ``ood_`` scorers have none.

    Returns
    -------
    callable
        Called as ``scorer(estimator, X, y, sample_weight=None)``; returns a float.
        Metrics of features alone need no y, metrics of neighbours take no
        sample_weight. With scikit-learn's metadata routing enabled,
        ``get_scorer(name).set_score_request(sample_weight=True)`` asks for weights.

    See Also
    --------
    sklearn_collapse.model_selection.LeaveClassesOut : Splits for the ``ood_`` scorers.
    sklearn_collapse.metrics.ood_table : The same metrics on given sets.

    Notes
    -----
    ``ood_`` scorers take rows whose label is not in ``estimator.classes_`` for
    out-of-distribution and compare the values of ``score_samples``. They raise if
    there are none, or only such rows: use them with
    `sklearn_collapse.model_selection.LeaveClassesOut`, and without
    ``return_train_score``. What was trained on the left-out classes before leaks, and
    tells nothing about classes that are truly new. A transformer that knows them keeps
    what sets them apart: scores come out too good. A head with a row for them is sure
    of their rows: scores by its logits come out too bad. Fit both within each split:
    transformers in a Pipeline, ``head="lda"`` or a classifier that is not fitted.

    The other scorers measure features: the output of the last transformer of a
    Pipeline, the output of a transformer, or X itself for any other estimator. An
    estimator that predicts or that holds metrics of its own, such as
    `NeuralCollapseScorer`, counts as no transformer at the end of a Pipeline or alone,
    even if it has ``transform``. Class means and scatter are those of the rows that
    are scored. Metrics that need a head take ``head_`` of the last estimator
    ("lda": the discriminant of the rows it was fitted on), or the last estimator
    itself if it is a classifier, and for regression metrics its ``coef_``. Metrics
    without a direction are no scorers.

    GridSearchCV turns an error of a scorer into nan and warns; pass
    ``error_score="raise"`` to see it.

    References
    ----------
    .. [1] Ahmed, F., Courville, A. (2020). "Detecting Semantic Anomalies". AAAI.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn_collapse.datasets import make_collapsed_features
    >>> from sklearn_collapse.metrics import get_scorer
    >>> from sklearn_collapse.model_selection import LeaveClassesOut
    >>> from sklearn_collapse.ood import MahalanobisDetector
    >>> X, y = make_collapsed_features(300, 3, 4, nc1=0.01, random_state=0)
    >>> cv = LeaveClassesOut(random_state=0)
    >>> scorer = get_scorer("ood_auroc")
    >>> cross_val_score(MahalanobisDetector(), X, y, cv=cv, scoring=scorer)
    array([1., 1., 1.])
    """
    if not isinstance(name, str):
        raise TypeError(
            f"name must be a string, see get_scorer_names(), got {type(name).__name__}."
        )
    known = _scorer_signs()
    if name not in known:
        close = [n for n in (f"neg_{name}", name.removeprefix("neg_")) if n in known]
        close = close or get_close_matches(name, known, n=3)
        hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise ValueError(
            f"{name!r} is not the name of a scorer.{hint} get_scorer_names() lists "
            f"all of them."
        )
    if _metric_name(name) not in _OOD_NAMES:
        return _FeatureScorer(name, known[name], options)
    if options:
        raise TypeError(f"{name} has no options, got {next(iter(options))!r}.")
    return _OODScorer(name, known[name])


_OOD_NAMES = {f"ood_{name}": name for name in OOD_METRICS}


def _scorer_signs():
    """Names of all scorers and the sign that makes larger better."""
    lower = {name: name.startswith("ood_fpr") for name in _OOD_NAMES}
    # A metric without a direction cannot score.
    for name, metric in METRICS.items():
        if metric.direction is not None:
            lower[name] = metric.direction == "lower"
    return {f"neg_{n}" if low else n: -1 if low else 1 for n, low in lower.items()}


def _metric_name(name):
    return name.removeprefix("neg_")


class _Scorer:
    """A metric with a name and a sign."""

    _measure: Callable[..., float]

    def __init__(self, name, sign):
        self.name = name
        self.sign = sign
        self._requests: dict = {}

    def __call__(self, estimator, X, y=None, sample_weight=None):
        return self.sign * self._measure(estimator, X, y, sample_weight)

    def __repr__(self):
        return f"get_scorer({self.name!r})"

    def set_score_request(self, *, sample_weight=None):
        """Say what metadata routing does with weights, as scikit-learn's scorers have.

        True asks for them, False leaves them out, None is an error where there are
        any, and a string is the name under which they are passed.
        """
        if not get_config()["enable_metadata_routing"]:
            raise RuntimeError(
                "This method is only available when metadata routing is enabled: "
                "sklearn.set_config(enable_metadata_routing=True)."
            )
        if not self._accept_sample_weight():
            raise TypeError(f"{self.name} takes no sample_weight, so it cannot ask.")
        self._requests = {"sample_weight": sample_weight}
        self.get_metadata_routing()  # raises on what cannot be a request
        return self

    def get_metadata_routing(self):
        """Answer what metadata routing asks of whatever takes metadata."""
        request = MetadataRequest(owner=repr(self))
        if self._accept_sample_weight():
            alias = self._requests.get("sample_weight")
            request.score.add_request(param="sample_weight", alias=alias)
        return request

    def _accept_sample_weight(self):
        """Answer what GridSearchCV asks of each scorer in a dictionary."""
        return True


class _OODScorer(_Scorer):
    """Compares scores of rows of known classes with those of all other rows."""

    def _measure(self, estimator, X, y, sample_weight):
        if y is None:
            raise ValueError(
                f"{self.name} needs the labels of the rows, but y is None."
            )
        classes = self._need(estimator, "classes_", "fit it with class labels y")
        labels, codes = encode_labels(y)
        inside = (positions(labels, classes) >= 0)[codes]
        weights = check_weights(sample_weight, len(inside))
        counted = inside if weights is None else inside[weights > 0]
        if counted.all() or not counted.any():
            what = "only" if counted.all() else "no"
            raise ValueError(
                f"{self.name} compares rows of the classes in training, "
                f"{shorten(classes)}, with rows of other classes, but y holds {what} "
                f"labels of the former. Split with LeaveClassesOut, and without scores "
                f"of training sets (return_train_score=False)."
            )
        score_samples = self._need(estimator, "score_samples", "pass a detector")
        score = to_numpy(score_samples(X))
        name = _OOD_NAMES[_metric_name(self.name)]
        return ood_metrics(inside, score, weights, [name])[name]

    def _need(self, estimator, attribute, remedy):
        try:
            return getattr(estimator, attribute)
        except NotFittedError:
            raise
        except AttributeError as error:
            raise ValueError(
                f"{self.name} needs {attribute}, which this "
                f"{type(estimator).__name__} lacks: {remedy}."
            ) from error


class _FeatureScorer(_Scorer):
    """A metric of what the transformers of an estimator put out."""

    def __init__(self, name, sign, options):
        super().__init__(name, sign)
        self.options = options
        self._metric()  # raises on unknown options

    def __repr__(self):
        options = "".join(f", {key}={value!r}" for key, value in self.options.items())
        return f"get_scorer({self.name!r}{options})"

    def _measure(self, estimator, X, y, sample_weight):
        measure = self._metric()
        X, last = _features(estimator, X)
        head = self._head(last, measure.facts.family) if measure.takes_head else None
        return measure(X, y, head, sample_weight)

    def _metric(self):
        measure = Measure(_metric_name(self.name), self.options)
        # The same draws for every candidate.
        options = {"random_state": 0} if measure.draws else {}
        return Measure(measure.name, options | self.options)

    def _accept_sample_weight(self):
        return self._metric().takes_weights

    def _head(self, last, family):
        """Head that reads the features, ready for use."""
        head = getattr(last, "head_", None)
        if family == "regression":
            return self._weights(last if head is None else head)
        # "passthrough" has no tags to ask.
        if head is None and hasattr(last, "predict") and is_classifier(last):
            head = last
        if head is None:
            raise ValueError(
                f"{self.name} compares the features with a head, but "
                f"{type(last).__name__} is no classifier and has no head_. End the "
                f"Pipeline with a classifier, or with a scorer that is given head=."
            )
        if isinstance(head, str):  # "lda"
            weight = getattr(last, "class_weight", None)
            found = resolve_head(head, ClassGeometry(last.moments_, weight))
            return LinearHead(found.coef, found.intercept, classes=found.classes)
        ready = isinstance(head, (LinearHead, FrozenEstimator))
        return head if ready else FrozenEstimator(head)

    def _weights(self, head):
        """Weights (t, d) of a regressor, or those that a scorer was given."""
        coef = getattr(head, "coef_", None)
        if coef is None and getattr(head, "ndim", 0) == 2:  # an array
            coef = head
        if coef is None:
            raise ValueError(
                f"{self.name} compares the features with a head, but "
                f"{type(head).__name__} has neither coef_ nor head_. End the Pipeline "
                f"with a linear regressor, or with a scorer that is given head=."
            )
        return np.atleast_2d(to_numpy(coef))


def _features(estimator, X):
    """Output of the last transformer, and the last estimator."""
    estimator = _unwrap(estimator)
    if not isinstance(estimator, Pipeline):
        return (estimator.transform(X) if _is_transformer(estimator) else X), estimator
    *before, last = [step for _, step in estimator.steps]
    for step in before:
        if hasattr(step, "transform"):  # not None, "passthrough" or a sampler
            X = step.transform(X)
    return _features(last, X)


def _unwrap(estimator):
    """Estimator that a search or a frozen one stands for."""
    while True:
        inner = getattr(estimator, "best_estimator_", None)
        if isinstance(estimator, FrozenEstimator):
            inner = estimator.estimator
        if inner is None:
            return estimator
        estimator = inner


def _is_transformer(estimator):
    """Whether an estimator at the end is there for its output."""
    # Not hasattr, which would measure.
    measures = inspect.getattr_static(estimator, "metrics_", None) is not None
    predicts = hasattr(estimator, "predict")
    return hasattr(estimator, "transform") and not (measures or predicts)
