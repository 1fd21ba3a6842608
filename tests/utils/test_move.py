"""Fitted estimators on another array library or device."""

import pickle
import warnings
from itertools import cycle

import numpy as np
import pytest
from libraries import LIBRARIES, Library
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags
from test_common import INSTANCES, ONE_OF_EACH_CLASS

from sklearn_collapse import ClassMoments, LinearHead
from sklearn_collapse.collapse import NeuralCollapseScorer
from sklearn_collapse.etf import ETFAligner, ETFAlignmentScorer
from sklearn_collapse.metrics import CollapseWarning
from sklearn_collapse.ood import (
    ComedianCovariance,
    LogitDetector,
    MahalanobisDetector,
)
from sklearn_collapse.utils import _move, all_estimators, move_estimator
from sklearn_collapse.utils._arrays import is_foreign, place_of, to_numpy
from sklearn_collapse.utils._move import _Arrays
from sklearn_collapse.utils.estimator_checks import labelled_rows, rows_for

_MEASURED = ("cosines_", "matrix_", "target_covariance_", "eigenvalues_")
METHODS = ("score_samples", "decision_function", "transform", "predict")
pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn_collapse.metrics.CollapseWarning"
)


# Every library is moved from and to once: more pairs say nothing new.
ROUTES = [
    ("numpy", "array_api_strict"),
    ("array_api_strict", "torch"),
    ("torch", "numpy"),
]


@pytest.fixture(params=ROUTES, ids="-".join)
def route(request):
    """A library that estimators are fitted on, and one that they move to."""
    for name in request.param:
        pytest.importorskip(name)
    return [Library(name) for name in request.param]


@pytest.fixture(params=LIBRARIES)
def other(request, library):
    """The library that estimators move to."""
    pytest.importorskip(request.param)
    return Library(request.param)


def results(fitted, X):
    """What an estimator says about rows, by method."""
    found = {n: getattr(fitted, n)(X) for n in METHODS if hasattr(fitted, n)}
    # A scorer that maps no rows answers with what it has measured.
    measured = (n for n in _MEASURED if hasattr(fitted, n))
    return found or {name: getattr(fitted, name) for name in measured}


def places(fitted):
    """Libraries and devices of the arrays that would move."""
    found = _Arrays()
    found.visit(fitted)
    return {place_of(array) for array in found.arrays.values()}


def stays(estimator):
    """Whether an estimator works on NumPy arrays alone, whatever it is given."""
    return not get_tags(estimator).array_api_support


def fit(estimator, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        return clone(estimator).fit(X, y)


def test_instances_are_of_every_estimator():
    assert {type(e) for e in INSTANCES} == {member for _, member in all_estimators()}


# Each instance takes one of the routes in turn.
@pytest.mark.parametrize(
    ("route", "estimator"),
    list(zip(cycle(ROUTES), (e for e in INSTANCES if not stays(e)), strict=False)),
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else repr(value),
    indirect=["route"],
)
def test_every_estimator_there_and_back(route, estimator):
    library, other = route
    X, y = rows_for(estimator)
    here, there = library.asarray(X), other.asarray(X)
    fitted = fit(estimator, here, y)
    before = pickle.dumps(fitted)
    expected = results(fitted, here)
    assert expected

    moved = move_estimator(fitted, there[:0, :])
    assert type(moved) is type(fitted)
    assert places(moved) == {(other.name, "cpu")}
    for name, values in results(moved, there).items():
        assert other.owns(values), name
        size = np.max(np.abs(np.asarray(expected[name])))
        assert_allclose(
            np.asarray(values), np.asarray(expected[name]), rtol=1e-7, atol=1e-9 * size
        )
    labels = getattr(getattr(moved, "_statistics", moved), "classes_", None)
    if labels is not None:
        assert_array_equal(labels, getattr(fitted, "_statistics", fitted).classes_)
        assert type(labels) is np.ndarray

    back = move_estimator(moved, here[:0, :])
    for name, values in results(back, here).items():
        assert library.owns(values)
        assert_array_equal(np.asarray(values), np.asarray(expected[name]))

    # The original is what it was.
    assert places(fitted) == {(library.name, "cpu")}
    fresh = pickle.loads(before)
    for one in (fitted, fresh):
        for name, values in results(one, here).items():
            assert_array_equal(np.asarray(values), np.asarray(expected[name]))


def test_an_estimator_of_numpy_arrays_stays(library):
    X, y = labelled_rows()
    fitted = ComedianCovariance().fit(X)
    inside = MahalanobisDetector(ComedianCovariance()).fit(X, y)
    to = library.asarray(X)
    moved = move_estimator(fitted, to)
    assert type(moved.covariance_) is np.ndarray
    assert_array_equal(moved.mahalanobis(X), fitted.mahalanobis(X))
    found = move_estimator(inside, to).score_samples(to)
    assert_allclose(np.asarray(found), inside.score_samples(X), rtol=1e-9)


@pytest.mark.parametrize(
    "estimator", [e for e in ONE_OF_EACH_CLASS if hasattr(e, "partial_fit")], ids=repr
)
def test_a_moved_estimator_goes_on(route, estimator):
    library, other = route
    X, y = labelled_rows()
    moved = move_estimator(fit(estimator, library.asarray(X[:60]), y[:60]), "numpy")
    # Fitting on is refused on the old library and works on the new one.
    if library.name != "numpy":
        with pytest.raises(ValueError, match="must use the same namespace"):
            moved.partial_fit(library.asarray(X[60:]), y[60:])
    there = move_estimator(moved, other.asarray(X[:0]))
    expected = fit(estimator, X[:60], y[:60])
    for one, rows in ((expected, X[60:]), (there, other.asarray(X[60:]))):
        if getattr(one, "shrinkage", None) != "ledoit_wolf":
            one.partial_fit(rows, y[60:])
    if hasattr(there, "calibrate"):
        there.calibrate(other.asarray(X))
        expected.calibrate(X)
    found = results(there, other.asarray(X))
    for name, values in results(expected, X).items():
        assert_allclose(np.asarray(found[name]), values, rtol=1e-7, atol=1e-9)


def test_the_copy_shares_no_memory(library):
    X, y = labelled_rows()
    fitted = MahalanobisDetector().fit(library.asarray(X), y)
    expected = np.array(np.asarray(fitted.moments_.scatter_))
    for to in ("numpy", "cpu", library.asarray(X[:0])):
        moved = move_estimator(fitted, to)
        scatter = moved.moments_.scatter_
        scatter *= 0
        assert_array_equal(np.asarray(fitted.moments_.scatter_), expected)


@pytest.mark.parametrize("labels", ["float", "int", "text", None])
def test_moments(library, other, labels):
    X, y = labelled_rows()
    kinds = {
        "float": y.astype(float),
        "int": y,
        "text": np.array(list("abc"))[y],
        None: None,
    }
    y = kinds[labels]
    options = {"classes": np.unique(y)} if y is not None else {}
    moments = ClassMoments(class_scatter=True, **options)
    moments.update(library.asarray(X[:100]), None if y is None else y[:100])
    moments.means_  # noqa: B018  the first rows are gathered, the others wait
    weights = np.linspace(1, 2, 20)
    moments.update(library.asarray(X[100:]), None if y is None else y[100:], weights)
    assert moments._buffer.n_rows == 20
    moved = move_estimator(moments, other.asarray(X[:0]))
    assert moments._buffer.n_rows == moved._buffer.n_rows == 20
    assert moments.place == (library.name, "cpu")
    assert moved.place == (other.name, "cpu")
    expected, state = moments.to_dict(), moved.to_dict()
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        if value.dtype.kind == "f":
            assert_allclose(state[name], value, rtol=1e-12, atol=1e-12)
        else:
            assert_array_equal(state[name], value)
    for name in ("means_", "scatter_", "class_scatter_", "counts_"):
        assert other.owns(getattr(moved, name))
    assert type(moved.classes_) is np.ndarray
    # It can be merged with moments gathered there, and goes on.
    there = ClassMoments(class_scatter=True)
    there.update(other.asarray(X), y)
    total = moved + there
    assert_allclose(total.n_samples_, moved.n_samples_ + 120)


def test_moments_that_only_wait(library):
    X, y = labelled_rows()
    moments = ClassMoments().update(library.asarray(X), y)
    assert moments._moments is None
    moved = move_estimator(moments, "numpy")
    assert moved.place == ("numpy", "cpu")
    assert_allclose(moved.means_, np.asarray(moments.means_), rtol=1e-12)


def test_cpu_means_torch_for_tensors_only(library):
    X, y = labelled_rows()
    moved = move_estimator(MahalanobisDetector().fit(library.asarray(X), y), "cpu")
    expected = "torch" if library.name == "torch" else "numpy"
    assert moved.moments_.place == (expected, "cpu")


@pytest.mark.parametrize("frozen", [False, True])
def test_parameters_that_are_tensors(frozen):
    torch = pytest.importorskip("torch")
    X, y = labelled_rows()
    layer = torch.nn.Linear(X.shape[1], 3)
    head = LinearHead.from_torch(layer)
    wrapped = FrozenEstimator(head) if frozen else head
    scorer = NeuralCollapseScorer(head=wrapped).fit(torch.asarray(X), y)
    expected = scorer.metrics_
    moved = move_estimator(scorer, "numpy")
    for inner in (moved.head, moved.head_):
        inner = inner.estimator if frozen else inner
        assert type(inner.coef) is type(inner.intercept) is np.ndarray
    assert isinstance(head.coef, torch.Tensor)
    assert moved.metrics_ == pytest.approx(expected, rel=1e-9)
    assert b"torch" not in pickle.dumps(move_estimator(head, "numpy"))


def test_pickles_without_torch():
    """A copy on NumPy leaves no trace of the library it was fitted on."""
    torch = pytest.importorskip("torch")
    X, y = labelled_rows()
    fitted = MahalanobisDetector().fit(torch.asarray(X), y)
    fitted.moments_._device_used = ("torch", "cuda:0")
    moved = move_estimator(fitted, "numpy")
    assert moved.device_ == "cuda:0"  # where the fit was done
    data = pickle.dumps(moved)
    assert b"torch._utils" not in data
    again = pickle.loads(data)
    assert_array_equal(again.score_samples(X), moved.score_samples(X))


def test_arrays_of_scikit_learn_stay(library):
    X, y = labelled_rows()
    head = LogisticRegression().fit(X, y)
    X = library.asarray(X)
    scorer = NeuralCollapseScorer(head=head).fit(X, y)
    strict = pytest.importorskip("array_api_strict")
    moved = move_estimator(scorer, strict.asarray(0.0))
    assert type(moved.head_.coef_) is np.ndarray
    assert moved.head_.coef_ is not scorer.head_.coef_
    assert moved.head_.predict(to_numpy(X)[:5]).shape == (5,)
    assert moved.metrics_ == pytest.approx(scorer.metrics_, rel=1e-9)


@pytest.mark.parametrize("kind", ["fitted", "weights"])
def test_weights_of_a_head_stay_where_they_are_shared(library, kind):
    X, y = labelled_rows()
    moved = library.asarray(X)
    head = LogisticRegression() if kind == "fitted" else LinearHead(np.eye(3, 6))
    detector = LogitDetector(head=head).fit(X, y)
    twin = move_estimator(detector, moved)
    assert type(twin.head_.coef_) is np.ndarray
    if kind == "weights":
        assert type(twin.head.coef) is np.ndarray
    assert_allclose(
        library.to_numpy(twin.score_samples(moved)), detector.score_samples(X)
    )


@pytest.mark.parametrize("kind", [ETFAligner, ETFAlignmentScorer])
def test_a_frame_moves_along(library, kind):
    X, y = labelled_rows()
    frame = np.arange(len(set(y.tolist())))[:, None] ** [1.0, 2.0]
    fitted = kind(frame).fit(X, y)
    twin = move_estimator(fitted, library.asarray(X))
    aligned = twin._aligned().alignment
    assert_allclose(aligned.disparity, fitted._aligned().alignment.disparity)
    assert library.owns(aligned.rotation)
    twin.partial_fit(library.asarray(X), y)
    assert_allclose(twin._aligned().alignment.disparity, aligned.disparity)


def test_pipeline():
    torch = pytest.importorskip("torch")
    X, y = labelled_rows()
    pipe = make_pipeline(NeuralCollapseScorer(), MahalanobisDetector())
    pipe.fit(torch.asarray(X), y)
    expected = pipe.score_samples(torch.asarray(X)).numpy()
    moved = move_estimator(pipe, "numpy")
    assert_allclose(moved.score_samples(X), expected, rtol=1e-7)
    back = move_estimator(moved, torch.empty(0)).score_samples(torch.asarray(X))
    assert_allclose(back.numpy(), expected, rtol=1e-7)


def test_nothing_of_this_package():
    X, _ = labelled_rows()
    pca = PCA(2).fit(X)
    moved = move_estimator(pca, "numpy")
    assert_array_equal(moved.transform(X), pca.transform(X))
    moved.mean_ += 1
    assert not np.allclose(moved.mean_, pca.mean_)


def test_integers_stay():
    """Codes and counts of rows are kept on the host."""
    X, y = labelled_rows()
    fitted = MahalanobisDetector().fit(X, y)
    fitted.codes_, fitted.sums_ = y, y / 2
    strict = pytest.importorskip("array_api_strict")
    moved = move_estimator(fitted, strict.asarray(0.0))
    assert type(moved.codes_) is np.ndarray
    assert is_foreign(moved.sums_)


class Cell:
    """Anything that estimators may hold."""

    __slots__ = ("array", "lock")

    def __init__(self, array):
        self.array = array


class Odd(BaseEstimator):
    """Keeps arrays in all kinds of places, and a cycle."""

    def fit(self, X, y=None):
        self.cell_ = Cell(X[:1, :])
        self.list_ = [(X[1:2, :], {"deep": X[2:3, :]})]
        self.same_ = self.list_[0][0]
        self.self_ = self
        self.function_ = len
        return self


def test_arrays_in_odd_places(library):
    X, _ = labelled_rows()
    fitted = Odd().fit(library.asarray(X))
    moved = move_estimator(fitted, "numpy")
    arrays = [moved.cell_.array, moved.list_[0][0], moved.list_[0][1]["deep"]]
    for k, array in enumerate(arrays):
        assert type(array) is np.ndarray
        assert_array_equal(array, X[k : k + 1])
    assert moved.same_ is moved.list_[0][0]
    assert moved.self_ is moved


@pytest.mark.parametrize(
    ("device", "kept_on_numpy"), [("auto", True), ("cpu", True), ("cuda", False)]
)
def test_parameter_device(device, kept_on_numpy):
    torch = pytest.importorskip("torch")
    X, y = labelled_rows()
    fitted = MahalanobisDetector().fit(X, y).set_params(device=device)
    fitted.moments_.device = device
    moved = move_estimator(fitted, "numpy")
    assert (
        moved.device == moved.moments_.device == (device if kept_on_numpy else "auto")
    )
    assert fitted.device == fitted.moments_.device == device
    moved.score_samples(X)
    # Where tensors live is not where "cuda" is, and "cpu" is.
    moved = move_estimator(fitted, torch.empty(0))
    assert moved.device == (device if device != "cuda" else "auto")
    moved.score_samples(torch.asarray(X))


def test_names_of_columns():
    pandas = pytest.importorskip("pandas")
    X, y = labelled_rows()
    names = [f"unit_{k}" for k in range(X.shape[1])]
    fitted = MahalanobisDetector().fit(pandas.DataFrame(X, columns=names), y)
    strict = pytest.importorskip("array_api_strict")
    moved = move_estimator(fitted, strict.asarray(0.0))
    assert list(moved.feature_names_in_) == names


# -- errors ----------------------------------------------------------------------------


def test_unfitted():
    with pytest.raises(NotFittedError, match="MahalanobisDetector instance is not"):
        move_estimator(MahalanobisDetector(), "numpy")
    with pytest.raises(NotFittedError):
        move_estimator(make_pipeline(PCA(), MahalanobisDetector()), "numpy")
    with pytest.raises(NotFittedError, match="ClassMoments holds no arrays yet"):
        move_estimator(ClassMoments(), "numpy")
    with pytest.raises(TypeError, match="is a class, not an instance"):
        move_estimator(MahalanobisDetector, "numpy")


@pytest.fixture
def fitted():
    X, y = labelled_rows()
    return MahalanobisDetector().fit(X, y)


@pytest.mark.parametrize("to", ["gpu", "Numpy", "torch", "cuda:", "cuda:x", "mps", ""])
def test_unknown_targets(fitted, to):
    match = "to must be 'numpy', 'cpu', 'cuda', 'cuda:0' or an array, got '.*pass an"
    with pytest.raises(ValueError, match=match):
        move_estimator(fitted, to)


@pytest.mark.parametrize("to", [None, 3, [1.0], np.float64(1), float])
def test_targets_of_other_types(fitted, to):
    with pytest.raises(TypeError, match=r"to must be 'numpy', .* or an array, got "):
        move_estimator(fitted, to)


def test_a_gpu_that_is_not_there(fitted):
    pytest.importorskip("torch")
    with pytest.raises(ValueError, match="device='cuda:99' cannot be used"):
        move_estimator(fitted, "cuda:99")


def test_a_gpu(fitted, monkeypatch):
    # Main memory stands for a GPU.
    torch = pytest.importorskip("torch")
    asked = []
    monkeypatch.setattr(
        _move, "gpu_for", lambda *args: asked.append(args) or torch.empty(0)
    )
    moved = move_estimator(fitted, "cuda:1")
    assert asked == [("cuda:1", 0.0)]
    assert is_foreign(moved.means_)
    X, _ = labelled_rows()
    assert_allclose(
        moved.score_samples(torch.asarray(X)).numpy(),
        fitted.score_samples(X),
        rtol=1e-7,
    )
