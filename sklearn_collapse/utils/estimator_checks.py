"""What is true of every estimator here, beside scikit-learn's own checks.

``check_estimator`` runs them all on one instance; an estimator of another package that
is built on `ClassMoments` can be held against them as well.
"""

import importlib
import importlib.util
import inspect
import pickle
import warnings

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from sklearn_collapse.utils._arrays import namespace, to_numpy

_ROW_METHODS = ("transform", "score_samples", "decision_function", "mahalanobis")
_CLASSES = 3


def estimator_checks():
    """List the checks.

    Returns
    -------
    list of callable
        Each takes an estimator, which it clones, and raises if the check fails.
    """
    return [
        check_partial_fit_equals_fit,
        check_fit_moments_equals_partial_fit,
        check_row_order,
        check_batches,
        check_weights_are_repetitions,
        check_scale,
        check_array_libraries,
        check_dtypes,
        check_input_unchanged,
        check_failed_fit_changes_nothing,
        check_unfitted,
        check_degenerate_features,
        check_pickle,
        check_set_output,
        check_column_order,
        check_parameters,
    ]


def check_estimator(estimator):
    """Run all checks on an estimator.

    Parameters
    ----------
    estimator : estimator object
        Unfitted instance.

    Returns
    -------
    list of str
        Names of the checks that ran.
    """
    ran = []
    for check in estimator_checks():
        with warnings.catch_warnings():
            # Degenerate rows rightly warn; the checks are about results.
            warnings.simplefilter("ignore", UserWarning)
            check(clone(estimator))
        ran.append(check.__name__)
    return ran


def labelled_rows(n=120, d=6, seed=0, dtype=np.float64):
    """Rows of three classes whose means differ.

    Parameters
    ----------
    n, d : int
        Shape of the rows.
    seed : int
        Seed.
    dtype : dtype
        Of the rows.

    Returns
    -------
    X : ndarray of shape (n, d)
    y : ndarray of int of shape (n,)
    """
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % _CLASSES)
    means = 4 * rng.normal(size=(_CLASSES, d))
    scales = np.linspace(0.2, 2, d)
    return (means[y] + scales * rng.normal(size=(n, d))).astype(dtype), y


def rows_for(estimator, **options):
    """Rows of three classes with y as an estimator takes it.

    Labels are numbers, but to an estimator of several targets they would be a single
    one of three values: it gets two continuous targets instead.

    Parameters
    ----------
    estimator : estimator object
        Tells by its tags what it takes.
    **options
        As for `labelled_rows`.

    Returns
    -------
    X : ndarray of shape (n, d)
    y : ndarray of shape (n,) or (n, 2)
    """
    X, y = labelled_rows(**options)
    X = _allowed(estimator, X)
    if not _takes_targets(estimator):
        return X, y
    noise = np.random.default_rng(5).normal(size=(len(X), 2))
    return X, (X[:, :2] + noise).astype(X.dtype)


def check_partial_fit_equals_fit(estimator):
    """Blocks of any size give what one fit gives."""
    if _needs_rows(estimator):
        return
    X, y = rows_for(estimator)
    whole = clone(estimator).fit(X, y)
    for sizes in ([120], [1] * 20 + [100], [37, 50, 33]):
        parts = clone(estimator)
        for stop, size in zip(np.cumsum(sizes), sizes, strict=True):
            parts.partial_fit(X[stop - size : stop], y[stop - size : stop])
        if hasattr(parts, "calibrate"):
            parts.calibrate(X)
        _assert_same(whole, parts, X, rtol=1e-7)
    # partial_fit continues a fit, fit starts again.
    first = clone(estimator).fit(X[:60], y[:60]).partial_fit(X[60:], y[60:])
    if hasattr(first, "calibrate"):
        first.calibrate(X)
    _assert_same(whole, first, X, rtol=1e-7)
    _assert_same(whole, first.fit(X, y), X, rtol=1e-9)


def check_fit_moments_equals_partial_fit(estimator):
    """Moments gathered elsewhere fit as rows do, and are left alone."""
    # The moments stand above this package of tools: they are not imported with it.
    ClassMoments = importlib.import_module("sklearn_collapse.moments").ClassMoments
    if _needs_rows(estimator):
        return
    X, y = rows_for(estimator)
    parts = clone(estimator).partial_fit(X[:50], y[:50]).partial_fit(X[50:], y[50:])
    options = clone(estimator)._moments_options()
    # Targets are no labels to gather by.
    labels = [] if _takes_targets(estimator) else [y]
    blocks = [(X[:70], *(v[:70] for v in labels)), (X[70:], *(v[70:] for v in labels))]
    moments = ClassMoments.from_batches(blocks, **options)
    others = {}
    accepted = inspect.signature(estimator.fit_moments).parameters
    if "unit_moments" in accepted:
        others["unit_moments"] = ClassMoments.from_batches(
            blocks, normalize=True, class_scatter=True
        )
    if "target_moments" in accepted:
        others["target_moments"] = ClassMoments.from_arrays(y)
    before = moments.to_dict()
    adopted = clone(estimator).fit_moments(moments, **others)
    if hasattr(parts, "calibrate"):
        parts.calibrate(X)
        adopted.calibrate(X)
    _assert_same(parts, adopted, X, rtol=1e-7)
    adopted.partial_fit(X, y)
    for name, value in moments.to_dict().items():
        np.testing.assert_array_equal(value, before[name])
    # Moments of unit rows do not fit rows as they are, nor the other way round.
    options["normalize"] = not moments.normalize
    wrong = ClassMoments.from_arrays(X, *labels, **options)
    with np.testing.assert_raises_regex(ValueError, "normalize"):
        clone(estimator).fit_moments(wrong)


def check_row_order(estimator):
    """Results do not depend on the order of the rows."""
    if getattr(estimator, "max_samples", None) is not None:
        return  # rows are drawn by their position
    X, y = rows_for(estimator)
    order = np.random.default_rng(1).permutation(len(X))
    _assert_same(
        clone(estimator).fit(X, y), clone(estimator).fit(X[order], y[order]), X, 1e-7
    )


def check_batches(estimator):
    """A row's result does not depend on the rows beside it."""
    X, y = rows_for(estimator)
    fitted = clone(estimator).fit(X, y)
    for name, whole in _results(fitted, X).items():
        single = np.concatenate(
            [np.atleast_1d(getattr(fitted, name)(X[i : i + 1])) for i in range(20)]
        )
        np.testing.assert_allclose(single, whole[:20], rtol=1e-7, err_msg=name)


def check_weights_are_repetitions(estimator):
    """A weight of k equals k copies of the row; zero removes it."""
    if not has_fit_parameter(estimator, "sample_weight"):
        return  # every row counts once, by definition
    X, y = rows_for(estimator)
    weights = np.random.default_rng(2).integers(0, 4, len(X))
    weighted = clone(estimator).fit(X, y, sample_weight=weights)
    index = np.repeat(np.arange(len(X)), weights)
    _assert_same(weighted, clone(estimator).fit(X[index], y[index]), X, rtol=1e-7)


def check_scale(estimator):
    """Rank and ranking ignore the unit of the features."""
    if not getattr(estimator, "_ignores_scale", True):
        return  # the definition depends on the unit, and the docstring says so
    X, y = rows_for(estimator)
    fitted = clone(estimator).fit(X, y)
    for scale in (1e-6, 1e6):
        scaled = clone(estimator).fit(scale * X, y)
        if hasattr(fitted, "rank_"):
            same = np.array_equal(scaled.rank_, fitted.rank_)
            assert same, "the rank depends on the scale"
        for name, values in _results(fitted, X).items():
            other = getattr(scaled, name)(scale * X)
            np.testing.assert_array_equal(
                np.argsort(other, axis=0)[[0, -1]],
                np.argsort(values, axis=0)[[0, -1]],
                err_msg=f"{name} ranks rows differently at scale {scale:g}",
            )


def check_array_libraries(estimator):
    """Arrays of other libraries give the same results, in that library."""
    if not get_tags(estimator).array_api_support:
        return  # works in NumPy, as the base class from scikit-learn does
    for dtype, rtol in ((np.float64, 1e-7), (np.float32, 1e-3)):
        X, y = rows_for(estimator, dtype=dtype)
        reference = clone(estimator).fit(X, y)
        for name in ("array_api_strict", "torch"):
            if importlib.util.find_spec(name) is None:
                continue
            library = importlib.import_module(name)
            arrays = library.asarray(X)
            fitted = clone(estimator).fit(arrays, library.asarray(y))
            for method, expected in _results(reference, X).items():
                got = getattr(fitted, method)(arrays)
                assert namespace(got) is namespace(arrays), f"{method} left {name}"
                assert to_numpy(got).dtype == dtype, f"{method} changed the dtype"
                np.testing.assert_allclose(
                    to_numpy(got), expected, rtol=rtol, err_msg=f"{name} {method}"
                )
            _expect(ValueError, "must use the same namespace", _first(fitted), X)


def check_dtypes(estimator):
    """Results keep float32 and float64; float16 gives float32, integers float64."""
    X, y = rows_for(estimator)
    keeps = get_tags(estimator).array_api_support  # others give float64 for all
    for dtype, expected in (
        (np.float64, np.float64),
        (np.float32, np.float32),
        (np.float16, np.float32),
        (np.int64, np.float64),
    ):
        rows = (10 * X).astype(dtype)
        fitted = clone(estimator).fit(rows, y)
        for name, values in _results(fitted, rows).items():
            wanted = expected if keeps else np.float64
            assert values.dtype == wanted, f"{name}: {dtype} became {values.dtype}"
            assert np.isfinite(values).all()


def check_input_unchanged(estimator):
    """Nothing writes to X, y or the weights."""
    X, y = rows_for(estimator)
    weights = np.ones(len(X))
    for array in (X, y, weights):
        array.flags.writeable = False
    takes_weights = has_fit_parameter(estimator, "sample_weight")
    options = {"sample_weight": weights} if takes_weights else {}
    fitted = clone(estimator).fit(X, y, **options)
    _results(fitted, X)
    if not _needs_rows(estimator):
        clone(estimator).partial_fit(X, y, sample_weight=weights)


def check_failed_fit_changes_nothing(estimator):
    """A fit that raises leaves an estimator as it was."""
    X, y = rows_for(estimator)
    bad = np.hstack([X, X])
    bad[7, 3] = np.nan
    fresh = clone(estimator)
    _expect(ValueError, "row 7", fresh.fit, bad, y)
    assert not [name for name in vars(fresh) if name.endswith("_")]
    fitted = clone(estimator).fit(X, y)
    before = _results(fitted, X)
    _expect(ValueError, "row 7", fitted.fit, bad, y)
    if hasattr(fitted, "partial_fit"):
        _expect(ValueError, "features", fitted.partial_fit, bad, y)
    assert fitted.n_features_in_ == X.shape[1]
    for name, values in _results(fitted, X).items():
        np.testing.assert_array_equal(values, before[name])


def check_unfitted(estimator):
    """Methods and fitted properties of an unfitted estimator raise NotFittedError."""
    X, y = rows_for(estimator)
    for name in (*_ROW_METHODS, "inverse_transform", "predict", "calibrate", "score"):
        if hasattr(estimator, name):
            # The score of a classifier is none without y.
            args = (X, y) if name == "score" else (X,)
            _expect(NotFittedError, "not fitted", getattr(estimator, name), *args)
    for name, member in inspect.getmembers(type(estimator)):
        public = not name.startswith("_") and name.endswith("_")
        if public and isinstance(member, property):
            _expect(NotFittedError, "", getattr, estimator, name)


def check_degenerate_features(estimator):
    """Collapsed features give finite results: the normal case, not an accident."""
    X, y = labelled_rows(d=6)
    means = X[[np.argmax(y == c) for c in range(_CLASSES)]]
    noise = np.random.default_rng(3).normal(size=X.shape)
    constant, doubled = X.copy(), np.hstack([X, X])
    constant[:, 2] = 5.0
    wide = np.random.default_rng(4).normal(size=(30, 50))
    for what, rows, labels in (
        ("collapsed", means[y], y),
        ("nearly collapsed", means[y] + 1e-5 * noise, y),
        ("float32, mean far from zero", (X + 1e4).astype(np.float32), y),
        ("constant column", constant, y),
        ("doubled columns", doubled, y),
        ("more features than rows", wide, np.arange(30) % _CLASSES),
        ("one row per class", X[:9], np.arange(9)),
        ("more classes than features", X, np.arange(len(X)) % 40),
    ):
        if _lacks_frame(estimator, rows, labels):
            # A scorer gives nan instead, and warns.
            if hasattr(estimator, "transform") or hasattr(estimator, "predict"):
                _expect(ValueError, "n_features=", clone(estimator).fit, rows, labels)
            continue
        rows = _allowed(estimator, rows)
        fitted = clone(estimator).fit(rows, labels)
        for name, values in _results(fitted, rows).items():
            # Of too few rows a conformal threshold is -inf, and a warning says so.
            if name == "decision_function" and np.isneginf(
                getattr(fitted, "offset_", 0.0)
            ):
                continue
            assert np.isfinite(values).all(), f"{name} is not finite: {what}"


def check_pickle(estimator):
    """A pickled estimator comes back with the same results."""
    X, y = rows_for(estimator)
    fitted = clone(estimator).fit(X, y)
    _assert_same(fitted, pickle.loads(pickle.dumps(fitted)), X, rtol=0)


def check_set_output(estimator):
    """Transformers write pandas and polars, under the names they announce."""
    if not hasattr(estimator, "transform"):
        return
    X, y = rows_for(estimator)
    fitted = clone(estimator).fit(X, y)
    expected = fitted.transform(X)
    names = list(fitted.get_feature_names_out())
    assert len(names) == expected.shape[1]
    for container in ("pandas", "polars"):
        if importlib.util.find_spec(container) is not None:
            frame = clone(estimator).set_output(transform=container).fit(X, y)
            frame = frame.transform(X)
            assert list(frame.columns) == names
            np.testing.assert_allclose(np.asarray(frame), expected)


def check_column_order(estimator):
    """Columns of a DataFrame in another order are refused."""
    if importlib.util.find_spec("pandas") is None:
        return
    pandas = importlib.import_module("pandas")
    X, y = rows_for(estimator)
    frame = pandas.DataFrame(X, columns=[f"unit_{k}" for k in range(X.shape[1])])
    fitted = clone(estimator).fit(frame, y)
    np.testing.assert_array_equal(fitted.feature_names_in_, frame.columns)
    _expect(ValueError, "feature names", _first(fitted), frame[frame.columns[::-1]])


def check_parameters(estimator):
    """Every parameter refuses nonsense at fit, with its name."""
    X, y = rows_for(estimator)

    class Nonsense:
        pass

    for name in estimator.get_params(deep=False):
        broken = clone(estimator).set_params(**{name: Nonsense()})
        _expect(ValueError, name, broken.fit, X, y)


def _allowed(estimator, X):
    """Rows without their signs, where only such may be passed."""
    return np.abs(X) if get_tags(estimator).input_tags.positive_only else X


def _takes_targets(estimator):
    """Whether y holds targets, not labels of classes."""
    return get_tags(estimator).target_tags.multi_output


def _needs_rows(estimator):
    """Whether parts of the fit cannot be had from moments, by its parameters."""
    if not hasattr(estimator, "fit_moments"):
        return True  # its results are no function of moments
    if getattr(estimator, "shrinkage", None) == "ledoit_wolf":
        return True
    head = getattr(estimator, "head", None)
    return hasattr(head, "fit") and not _is_fitted(clone(head))


def _is_fitted(estimator):
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    return True


def _lacks_frame(estimator, X, y):
    """Whether rows are to be turned onto a frame that so many classes do not have."""
    if not isinstance(getattr(estimator, "frame", None), str):
        return False
    # Families stand above this package of tools: they are not imported with it.
    targets = importlib.import_module("sklearn_collapse.etf._targets")
    shape = len(np.unique(y)), X.shape[1]
    return targets.why_no_frame(estimator.frame, *shape) is not None


def _first(fitted):
    """First method that takes rows; of a scorer without any, its score."""
    for name in _ROW_METHODS:
        if hasattr(fitted, name):
            return getattr(fitted, name)
    return lambda X: fitted.score(X, labelled_rows()[1])


def _results(fitted, X):
    return {
        name: np.asarray(getattr(fitted, name)(X))
        for name in _ROW_METHODS
        if hasattr(fitted, name)
    }


def _assert_same(a, b, X, rtol):
    """Same results of all row methods, and same metrics where both have them."""
    for name, values in _results(a, X).items():
        other = np.asarray(getattr(b, name)(X))
        size = np.max(np.abs(values))
        np.testing.assert_allclose(
            other, values, rtol=rtol, atol=rtol * size, err_msg=name
        )
    if hasattr(a, "metrics_"):
        theirs = b.metrics_
        drawn = getattr(a, "_drawn_metrics", ())  # by the position of rows
        for name, value in a.metrics_.items():
            if name in theirs and name not in drawn:
                np.testing.assert_allclose(
                    theirs[name], value, rtol=rtol, atol=rtol, err_msg=name
                )


def _expect(error, text, function, *args):
    try:
        function(*args)
    except error as raised:
        message = str(raised)
    else:
        raise AssertionError(f"{function} did not raise {error.__name__}")
    assert text in message, f"the error does not say {text!r}: {message}"
