"""LinearHead, and everything that an argument ``head=`` may be."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone, is_classifier
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from sklearn_collapse import ClassMoments, LinearHead
from sklearn_collapse._head_argument import fitted_head, lda_head, resolve_head
from sklearn_collapse.metrics._geometry import ClassGeometry
from sklearn_collapse.utils._arrays import Rows, float_dtype

COEF = np.array([[1.0, -2.0, 0.5], [0.0, 1.0, 1.0], [-1.0, 0.5, 2.0], [3.0, 0.0, 0.0]])
INTERCEPT = np.array([0.5, -1.0, 0.0, 2.0])


def labelled_rows(n=90, d=3, n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % n_classes)
    return rng.normal(size=(n, d)) + 2 * rng.normal(size=(n_classes, d))[y], y


def softmax(logits):
    grown = [[np.exp(v - max(row)) for v in row] for row in logits]
    return np.array([[v / sum(row) for v in row] for row in grown])


# -- numbers ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_against_plain_numpy(library, dtype):
    X = labelled_rows()[0].astype(dtype)
    head = LinearHead(library.asarray(COEF), library.asarray(INTERCEPT))
    logits = np.array(
        [[w @ x + b for w, b in zip(COEF, INTERCEPT, strict=True)] for x in X]
    )
    rtol = 1e-13 if dtype == np.float64 else 1e-5
    rows = library.asarray(X)
    for found, expected in (
        (head.decision_function(rows), logits),
        (head.predict_proba(rows), softmax(logits)),
    ):
        assert library.owns(found)
        assert np.asarray(found).dtype == dtype
        assert_allclose(np.asarray(found), expected, rtol=rtol, atol=rtol)
    labels = head.predict(rows)
    assert type(labels) is np.ndarray
    assert_array_equal(labels, logits.argmax(axis=1))


def test_one_head_for_rows_of_any_library(library):
    X = labelled_rows()[0]
    head = LinearHead(COEF)
    found = head.decision_function(library.asarray(X))
    assert library.owns(found)
    assert_allclose(np.asarray(found), X @ COEF.T, rtol=1e-13, atol=1e-13)
    other = LinearHead(library.asarray(COEF))
    assert type(other.decision_function(X)) is np.ndarray


@pytest.mark.parametrize("dtype", ["float16", "int64", "bool"])
def test_other_dtypes(library, dtype):
    if (library.name, dtype) == ("array_api_strict", "float16"):
        dtype = "int8"  # the standard has no half precision
    X = np.array([[1, 0, 1], [0, 1, 1]]).astype(dtype)
    logits = np.asarray(
        LinearHead(COEF, INTERCEPT).decision_function(library.asarray(X))
    )
    assert logits.dtype == (np.float32 if dtype == "float16" else np.float64)
    assert_allclose(logits, X.astype(float) @ COEF.T + INTERCEPT, rtol=1e-6)


def test_half_precision_rows_whose_sum_overflows():
    X = np.full((300, 3), 1e3, dtype=np.float16)
    logits = LinearHead(COEF).decision_function(X)
    assert_allclose(logits, X.astype(float) @ COEF.T, rtol=1e-5)


def test_lists_and_frames():
    head = LinearHead(COEF.tolist(), INTERCEPT.tolist(), classes=list("wxyz"))
    X = [[1, 2, 3]]
    assert_allclose(head.decision_function(X), [COEF @ [1, 2, 3] + INTERCEPT])
    assert head.predict(X).tolist() == ["y"]
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abc"))
    assert head.predict(frame).tolist() == ["y"]
    other = LinearHead(pandas.DataFrame(COEF), pandas.Series(INTERCEPT))
    assert_allclose(other.decision_function(X), head.decision_function(X))


def test_no_intercept_is_zero():
    head = LinearHead(COEF)
    assert_array_equal(head.intercept_, np.zeros(4))
    assert_array_equal(LinearHead(COEF[:1]).intercept_, [0])


def test_large_logits():
    head = LinearHead(1e4 * COEF)
    proba = head.predict_proba(np.eye(3))
    assert_array_equal(proba, np.eye(4)[[3, 1, 2]])
    binary = LinearHead([[1e5]]).predict_proba([[1.0], [-1.0]])
    assert_array_equal(binary, [[0, 1], [1, 0]])


def test_attributes():
    head = LinearHead(COEF.tolist(), INTERCEPT.astype(np.float32))
    assert type(head.coef_) is type(head.intercept_) is np.ndarray
    assert head.coef_.dtype == head.intercept_.dtype == np.float64
    assert_array_equal(head.coef_, COEF)
    assert head.n_features_in_ == 3
    head = LinearHead(COEF, classes=["d", "c", "b", "a"])
    assert head.classes_.tolist() == ["d", "c", "b", "a"]  # in the order of the rows
    assert LinearHead(COEF).classes_.tolist() == [0, 1, 2, 3]
    assert LinearHead(COEF[:1]).classes_.tolist() == [0, 1]


def test_labels_in_the_order_of_the_rows():
    head = LinearHead(COEF, classes=["d", "c", "b", "a"])
    X = np.array([[0.0, -3.0, 0.0], [0.0, 0.0, 9.0], [9.0, 0.0, 0.0]])
    assert head.predict(X).tolist() == ["d", "b", "a"]
    assert head.score(X, ["d", "b", "b"]) == pytest.approx(2 / 3)
    assert head.score(X, ["d", "b", "b"], sample_weight=[1, 1, 2]) == pytest.approx(0.5)


# -- two classes -----------------------------------------------------------------------


def test_binary_head_is_that_of_scikit_learn(library):
    X, y = labelled_rows(n_classes=2)
    names = np.array(["no", "yes"])[y]
    model = LogisticRegression().fit(X, names)
    head = LinearHead(model.coef_, model.intercept_, classes=model.classes_)
    rows = library.asarray(X)
    close = {"rtol": 1e-10, "atol": 1e-12}
    found = head.decision_function(rows)
    assert library.owns(found)
    assert_allclose(np.asarray(found), model.decision_function(X), **close)
    found = head.predict_proba(rows)
    assert_allclose(np.asarray(found), model.predict_proba(X), **close)
    assert_array_equal(head.predict(rows), model.predict(X))
    assert head.score(X, names) == model.score(X, names)


def test_multiclass_head_is_that_of_scikit_learn():
    X, y = labelled_rows()
    model = LogisticRegression().fit(X, y)
    head = LinearHead(model.coef_, model.intercept_, classes=model.classes_)
    assert_allclose(head.predict_proba(X), model.predict_proba(X), rtol=1e-10)
    assert_array_equal(head.predict(X), model.predict(X))


def test_two_rows_are_two_classes():
    head = LinearHead(COEF[:2])
    assert head.decision_function([[1.0, 0.0, 0.0]]).shape == (1, 2)
    assert head.predict([[1.0, 0.0, 0.0]]).tolist() == [0]


def test_a_logit_of_zero_belongs_to_the_first_class():
    model = LogisticRegression().fit([[-1.0], [1.0]], [0, 1])
    model.intercept_ = np.zeros(1)
    assert LinearHead([[1.0]]).predict([[0.0]]) == model.predict([[0.0]])


# -- as an estimator -------------------------------------------------------------------


def test_it_is_a_fitted_classifier():
    head = LinearHead(COEF)
    assert is_classifier(head)
    check_is_fitted(head)
    assert not head.__sklearn_tags__().requires_fit
    pipeline = make_pipeline(StandardScaler(), LinearHead(COEF))
    X, y = labelled_rows()
    expected = StandardScaler().fit_transform(X) @ COEF.T
    assert_allclose(pipeline.fit(X, y).decision_function(X), expected)


def test_parameters_are_stored_untouched(library):
    for intercept, classes in ((None, None), (INTERCEPT, list("abcd"))):
        coef = library.asarray(COEF)
        head = LinearHead(coef, intercept, classes=classes)
        assert head.coef is coef
        assert head.intercept is intercept
        assert head.classes is classes
        twin = clone(head)
        assert library.owns(twin.coef)
        assert_array_equal(np.asarray(twin.coef), COEF)
        X = labelled_rows()[0]
        assert_array_equal(twin.decision_function(X), head.decision_function(X))
        assert_array_equal(twin.classes_, head.classes_)


def test_set_params():
    head = LinearHead(COEF).set_params(coef=2 * COEF, intercept=INTERCEPT)
    assert_array_equal(head.coef_, 2 * COEF)
    assert_array_equal(head.intercept_, INTERCEPT)


def test_fit_only_checks(library):
    X, y = labelled_rows()
    head = LinearHead(COEF, INTERCEPT, classes=[3, 1, 2, 0])
    before = vars(head).copy()
    assert head.fit(library.asarray(X), library.asarray(y)) is head
    assert head.fit(X) is head
    assert vars(head) == before


def test_fit_refuses():
    X, y = labelled_rows()
    with pytest.raises(ValueError, match=r"not seen by the head: \[4\]"):
        LinearHead(COEF).fit(X, y + 1)
    with pytest.raises(ValueError, match=r"shape \(4, 3\), but X has 6 features"):
        LinearHead(COEF).fit(np.hstack([X, X]), y)
    with pytest.raises(ValueError, match="intercept must have shape"):
        LinearHead(COEF, [1.0]).fit(X, y)
    with pytest.raises(ValueError, match="classes must hold 4 distinct labels"):
        LinearHead(COEF, classes=[1, 2]).fit(X)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        LinearHead(COEF).fit(X, y[:-1])


def test_pickle(library):
    head = LinearHead(library.asarray(COEF), INTERCEPT, classes=list("abcd"))
    twin = pickle.loads(pickle.dumps(head))
    X = library.asarray(labelled_rows()[0])
    assert_array_equal(twin.predict(X), head.predict(X))


def test_repr():
    assert repr(LinearHead([[1.0]])) == "LinearHead(coef=[[1.0]])"


# -- from torch ------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_from_torch(bias, dtype):
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(3, 4, bias=bias, dtype=getattr(torch, dtype))
    head = LinearHead.from_torch(layer, classes=list("abcd"))
    weight = layer.weight.detach().double().numpy()
    assert_array_equal(head.coef_, weight)
    expected = layer.bias.detach().double().numpy() if bias else np.zeros(4)
    assert_array_equal(head.intercept_, expected)
    assert head.classes_.tolist() == list("abcd")
    assert clone(head).predict([[1.0, 2.0, 3.0]]) == head.predict([[1.0, 2.0, 3.0]])
    if dtype == "float32":
        X = torch.asarray(labelled_rows()[0], dtype=torch.float32)
        found = head.decision_function(X)
        assert not found.requires_grad
        assert_allclose(found.numpy(), layer(X).detach().numpy(), rtol=1e-5, atol=1e-5)


def test_rows_with_history_are_detached():
    torch = pytest.importorskip("torch")
    X = torch.ones((2, 3), requires_grad=True)
    assert not LinearHead(COEF).predict_proba(2 * X).requires_grad


# -- what is refused -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("coef", "intercept", "match"),
    [
        ([1.0, 2.0, 3.0], None, r"coef must have shape .*got \(3,\)"),
        (np.zeros((2, 3, 1)), None, r"coef must have shape .*got \(2, 3, 1\)"),
        (np.zeros((0, 3)), None, r"coef must have shape .*got \(0, 3\)"),
        (np.zeros((3, 0)), None, r"coef must have shape .*got \(3, 0\)"),
        (3.0, None, "coef must have shape"),
        (np.full((2, 3), np.nan), None, "coef contains NaN or infinity"),
        (np.full((2, 3), np.inf), None, "coef contains NaN or infinity"),
        (COEF, [1.0], r"intercept must have shape \(4,\)"),
        (COEF, np.zeros((4, 1)), "intercept must have shape"),
        (COEF, 0.0, "intercept must have shape"),
        (COEF[:1], [0.0, 0.0], r"intercept must have shape \(1,\)"),
        (COEF, [0, 0, 0, np.nan], "intercept contains NaN"),
    ],
)
def test_bad_weights(coef, intercept, match):
    head = LinearHead(coef, intercept)  # as scikit-learn's estimators, checked on use
    for method in ("decision_function", "predict", "predict_proba", "fit"):
        with pytest.raises(ValueError, match=match):
            getattr(head, method)([[1.0, 2.0, 3.0]])


@pytest.mark.parametrize(
    ("coef", "classes", "match"),
    [
        (COEF, [0, 1, 2], "must hold 4 distinct labels.*got 3 with 3 distinct"),
        (COEF, [0, 1, 2, 3, 4], "got 5 with 5 distinct"),
        (COEF, [0, 1, 2, 2], "got 4 with 3 distinct"),
        (COEF[:1], [0], r"must hold 2 distinct labels, .*\(two for a single row\)"),
        (COEF[:1], [0, 1, 2], "must hold 2 distinct"),
        (COEF, [0, 1, 2, 0.5], "continuous"),
        (COEF, ["a", "b", "c", None], "missing label"),
    ],
)
def test_bad_classes(coef, classes, match):
    head = LinearHead(coef, classes=classes)
    with pytest.raises(ValueError, match=match):
        head.classes_  # noqa: B018
    with pytest.raises(ValueError, match=match):
        head.predict([[1.0, 2.0, 3.0]])


def test_bad_rows(library):
    head = LinearHead(COEF)
    for method in (head.decision_function, head.predict, head.predict_proba):
        for values, match in (
            (np.ones((2, 4)), "X has 4 features"),
            (np.ones(3), "Expected 2D array"),
            (np.ones((0, 3)), "0 sample"),
            (np.ones((2, 3), complex), "Complex data not supported"),
            (np.array([[1.0, 1, 1], [1, np.nan, 1]]), "NaN: first in row 1, column 1"),
            (np.array([[1.0, -np.inf, np.inf]]), "infinity .*row 0, column 1"),
        ):
            with pytest.raises(ValueError, match=match):
                method(library.asarray(values))


# -- head= -----------------------------------------------------------------------------


def geometry_of(library, X, y, class_weight=None, **options):
    moments = ClassMoments(**options).update(library.asarray(X), y)
    return ClassGeometry(moments, class_weight)


def predicted(resolved, library, X):
    """Labels that a resolved head gives rows."""
    rows = Rows(library.asarray(X))
    block = rows.fetch(slice(0, len(X)), float_dtype(rows.X, rows.xp))
    codes = resolved.placed(rows).predict_codes(block)
    assert library.owns(codes)
    return resolved.classes[np.asarray(codes)]


def test_fitted_head_of_no_estimator():
    assert fitted_head(None) is None
    assert fitted_head("lda") == "lda"
    with pytest.raises(ValueError, match="head must be None, 'lda' or a classifier"):
        fitted_head("qda")
    for head in (COEF, LinearRegression(), StandardScaler(), 3):
        with pytest.raises(TypeError, match="Wrap weights as LinearHead"):
            fitted_head(head)


def test_heads_that_are_fitted_already():
    X, y = labelled_rows()
    head = LinearHead(COEF)
    assert fitted_head(head) is head
    frozen = FrozenEstimator(LogisticRegression().fit(X, y))
    assert fitted_head(frozen) is frozen
    # Weights of the rows do not matter: nothing is fitted again.
    assert fitted_head(frozen, (X, y[::-1], None)) is frozen
    with pytest.raises(NotFittedError, match="fit it, then freeze it"):
        fitted_head(FrozenEstimator(LogisticRegression()))


@pytest.mark.parametrize("weighted", [False, True])
def test_other_classifiers_are_cloned_and_fitted(library, weighted):
    X, y = labelled_rows()
    weights = np.linspace(0, 2, len(X)) if weighted else None
    model = LogisticRegression(C=0.5).fit(X, np.roll(y, 1))
    before = model.coef_.copy()
    found = fitted_head(model, (library.asarray(X), y, weights))
    assert found is not model
    assert_array_equal(model.coef_, before)
    expected = LogisticRegression(C=0.5).fit(X, y, sample_weight=weights)
    assert_allclose(found.coef_, expected.coef_, rtol=1e-10)


def test_classifiers_without_weights_of_rows():
    X, y = labelled_rows()
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    found = fitted_head(pipeline, (X, y, np.ones(len(X))))
    assert_array_equal(found.predict(X), clone(pipeline).fit(X, y).predict(X))


def test_classifiers_need_rows():
    with pytest.raises(ValueError, match="LogisticRegression has to be fitted on rows"):
        fitted_head(LogisticRegression())


def test_rows_are_matched_by_label(library):
    X, y = labelled_rows(n_classes=3)
    names = np.array(["a", "b", "c"])[y]
    geometry = geometry_of(library, X, names)
    head = LinearHead(COEF[:3], INTERCEPT[:3], classes=["c", "a", "b"])
    resolved = resolve_head(head, geometry)
    assert library.owns(resolved.coef)
    assert library.owns(resolved.intercept)
    found = resolved.rows_of(np.array(["a", "b", "c"]))
    assert library.owns(found)
    assert_array_equal(np.asarray(found), COEF[[1, 2, 0]])
    assert_array_equal(predicted(resolved, library, X), head.predict(X))


def test_extra_rows_are_kept_for_logits(library):
    X, y = labelled_rows(n_classes=2)
    geometry = geometry_of(library, X, 2 * y + 1)  # classes 1 and 3
    resolved = resolve_head(LinearHead(COEF, INTERCEPT), geometry)
    assert resolved.coef.shape == (4, 3)
    assert_array_equal(np.asarray(resolved.rows_of(np.array([1, 3]))), COEF[[1, 3]])
    labels = predicted(resolved, library, X)
    assert_array_equal(labels, (X @ COEF.T + INTERCEPT).argmax(axis=1))
    assert set(labels.tolist()) - {1, 3}


def test_a_class_that_the_head_lacks(library):
    X, y = labelled_rows()
    geometry = geometry_of(library, X, y + 2)
    match = r"lacks the classes \[4, 5\].*knows \[0, 1, 2"
    with pytest.raises(ValueError, match=match):
        resolve_head(LinearHead(COEF), geometry)
    # Labels of another type are other labels.
    geometry = geometry_of(library, X, y.astype(str))
    with pytest.raises(ValueError, match="The head lacks the classes"):
        resolve_head(LinearHead(COEF), geometry)


def test_a_head_of_another_width(library):
    X, y = labelled_rows(d=2)
    with pytest.raises(ValueError, match=r"shape \(4, 3\), but X has 2 features"):
        resolve_head(LinearHead(COEF), geometry_of(library, X, y))


def test_binary_heads_become_two_rows(library):
    X, y = labelled_rows(n_classes=2)
    names = np.array(["no", "yes"])[y]
    model = LogisticRegression().fit(X, names)
    geometry = geometry_of(library, X, names)
    for head in (
        model,
        FrozenEstimator(model),
        LinearHead(model.coef_, model.intercept_, classes=["no", "yes"]),
    ):
        resolved = resolve_head(head, geometry)
        half = model.coef_ / 2
        assert_allclose(np.asarray(resolved.coef), np.vstack([-half, half]))
        half = model.intercept_ / 2
        assert_allclose(np.asarray(resolved.intercept), np.concatenate([-half, half]))
        assert_array_equal(predicted(resolved, library, X), model.predict(X))


def test_a_head_without_weights(library):
    X, y = labelled_rows()
    model = RandomForestClassifier(n_estimators=3, random_state=0).fit(X, y + 1)
    resolved = resolve_head(model, geometry_of(library, X, y + 1))
    assert resolved.coef is None
    with pytest.raises(ValueError, match="RandomForestClassifier has no coef_"):
        resolved.rows_of(model.classes_)
    assert_array_equal(predicted(resolved, library, X), model.predict(X))


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_precision_of_predictions_is_that_of_the_rows(library, dtype):
    X, y = labelled_rows()
    resolved = resolve_head(LinearHead(COEF, INTERCEPT), geometry_of(library, X, y))
    X = X.astype(dtype)
    placed = resolved.placed(Rows(library.asarray(X)))
    mapped = "float32" if dtype == "float32" else "float64"
    assert str(placed.coef.dtype).endswith(mapped)
    expected = (X.astype(float) @ COEF.T + INTERCEPT).argmax(axis=1)
    assert_array_equal(predicted(resolved, library, X), expected)


# -- the linear discriminant of the moments --------------------------------------------


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("even", [False, True])
def test_lda_is_that_of_scikit_learn(library, even, class_weight):
    X, y = labelled_rows(n=120, d=5)
    keep = np.ones(120, dtype=bool)
    if not even:
        keep[np.flatnonzero(y == 2)[5:]] = False
    X, y = X[keep], y[keep]
    # It divides the scatter of each class by n_c and weighs it by its prior.
    priors = None if class_weight is None else np.full(4, 0.25)
    model = LinearDiscriminantAnalysis(solver="lsqr", priors=priors).fit(X, y)
    expected = model.decision_function(X)
    expected -= expected.mean(axis=1, keepdims=True)
    geometry = geometry_of(library, X, y, class_weight, class_scatter=True)
    resolved = resolve_head("lda", geometry)
    assert library.owns(resolved.coef)
    coef, intercept = map(np.asarray, (resolved.coef, resolved.intercept))
    assert_allclose(X @ coef.T + intercept, expected, rtol=1e-9, atol=1e-9)
    assert_allclose(coef.mean(axis=0), 0, atol=1e-13 * np.abs(coef).max())
    assert_allclose(intercept.mean(), 0, atol=1e-13 * np.abs(intercept).max())
    assert_array_equal(resolved.classes, model.classes_)
    assert_array_equal(predicted(resolved, library, X), model.predict(X))


def test_lda_with_weights(library):
    X, y = labelled_rows()
    times = np.random.default_rng(1).integers(0, 4, len(X))
    moments = ClassMoments().update(library.asarray(X), y, times)
    found = lda_head(ClassGeometry(moments))
    index = np.repeat(np.arange(len(X)), times)
    model = LinearDiscriminantAnalysis(solver="lsqr").fit(X[index], y[index])
    expected = model.decision_function(X)
    expected -= expected.mean(axis=1, keepdims=True)
    coef, intercept = map(np.asarray, (found.coef, found.intercept))
    assert_allclose(X @ coef.T + intercept, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("offset", [0, 1e4])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_lda_of_degenerate_rows(library, offset, dtype):
    # Fewer rows than features, copied and constant columns, collapsed classes: finite,
    # and right on the rows it was made from.
    rng = np.random.default_rng(2)
    means = 5 * rng.normal(size=(4, 6))
    y = np.arange(40) % 4
    noise = rng.normal(size=(40, 6))
    near = means[y] + 0.01 * noise
    for X in (
        (means[y] + 0.1 * noise)[:6],
        np.hstack([near, near[:, ::-1]]),
        np.hstack([near, np.ones((40, 2))]),
        means[y],
        means[y] + 1e-3 * noise,
    ):
        X = (X + offset).astype(dtype)
        labels = y[: len(X)]
        resolved = resolve_head("lda", geometry_of(library, X, labels))
        assert np.isfinite(np.asarray(resolved.coef)).all()
        assert np.isfinite(np.asarray(resolved.intercept)).all()
        assert_array_equal(predicted(resolved, library, X.astype(float)), labels)


def test_lda_of_a_scaled_and_shifted_space(library):
    # The logits do not change under invertible maps.
    X, y = labelled_rows(n=200, d=4)
    turn = np.random.default_rng(3).normal(size=(4, 4)) * [1, 10, 100, 1e3]
    found = []
    for rows in (X, X @ turn + [0, 5, -3, 100]):
        resolved = resolve_head("lda", geometry_of(library, rows, y))
        coef, intercept = map(np.asarray, (resolved.coef, resolved.intercept))
        found.append(rows @ coef.T + intercept)
    assert_allclose(found[1], found[0], rtol=1e-6, atol=1e-6)
