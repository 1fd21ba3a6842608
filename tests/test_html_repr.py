"""What notebooks show of an estimator: whole, readable, and computed by nobody."""

import html
import re
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags
from test_common import INSTANCES, ONE_OF_EACH_CLASS

import sklearn_collapse._base as base
from sklearn_collapse.collapse import (
    DimensionalCollapseScorer,
    NeighborCollapseScorer,
    NeuralCollapseScorer,
)
from sklearn_collapse.etf import ETFAlignmentScorer
from sklearn_collapse.metrics import METRICS
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.ood import (
    ActivationShaper,
    ConformalDetector,
    MahalanobisDetector,
)
from sklearn_collapse.utils import _decompositions
from sklearn_collapse.utils._html import documented
from sklearn_collapse.utils._kept import NotKeptError, looking
from sklearn_collapse.utils._warnings import CollapseWarning
from sklearn_collapse.whitening import SpectralTransformer, SpectralWhitener

RNG = np.random.default_rng(0)
Y = np.arange(120) % 3
X = 2 * RNG.normal(size=(3, 6))[Y] + RNG.normal(size=(120, 6)) * np.arange(1, 7) / 3
NESTED = hasattr(BaseEstimator, "_get_fitted_attr_html")
VOID = {"input", "br", "img", "hr", "meta"}


class Blocks(HTMLParser):
    """Our blocks: rows of cells by the head of their table; tags that match."""

    def __init__(self, source):
        super().__init__()
        self.open, self.tables, self.text = [], [], ""
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if not self.open and dict(attrs).get("class") != "sk-collapse":
            return  # what is around it is scikit-learn's
        if tag in VOID:
            return
        self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        if self.open and tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data
        elif self.open and self.open[-1] != "style":
            self.text += data

    def rows(self, first):
        """{name: other cells} of the table whose first column has that head."""
        (table,) = (t for t in self.tables if t[0][0] == first)
        return {row[0]: row[1:] for row in table[1:]}


def fitted(estimator):
    estimator = clone(estimator)
    rows = abs(X) if isinstance(estimator, ActivationShaper) else X
    y = (
        np.c_[X[:, 0], X[:, 1] ** 2]
        if get_tags(estimator).target_tags.multi_output
        else Y
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        return estimator.fit(rows, y)


def shown(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        return Blocks(estimator._repr_html_())


# What metrics and those by class are made of, and what scikit-learn asks for the names
# of the output, which are not given where it has not been computed.
MAY_BE_READ = {"class_alignment_", "classes_", "matrix_", "nc1_per_class_", "rotation_"}


def arrays_of(cls):
    """Properties that the documentation calls arrays and nobody may read."""
    return [
        name
        for name, attribute in documented(cls).items()
        if "array" in attribute.kind.split(" or ")[0]
        and isinstance(getattr(cls, name, None), property)
        and name not in {*MAY_BE_READ, "per_class_"}
    ]


@pytest.fixture
def decompositions(monkeypatch):
    """Names of the decompositions that are made."""
    made, decompose = [], _decompositions._decompose

    def counted(name, *args, **kwargs):
        made.append(name)
        return decompose(name, *args, **kwargs)

    monkeypatch.setattr(_decompositions, "_decompose", counted)
    return made


@pytest.mark.parametrize("estimator", INSTANCES, ids=repr)
def test_every_fitted_estimator(estimator, monkeypatch):
    estimator = fitted(estimator)
    read = []
    for name in arrays_of(type(estimator)):
        getter = getattr(type(estimator), name).fget
        monkeypatch.setattr(
            type(estimator),
            name,
            property(lambda self, n=name, f=getter: (read.append(n), f(self))[1]),
        )
    began = time.process_time()
    page = shown(estimator)
    assert time.process_time() - began < 1
    assert read == []
    rows = page.rows("attribute")
    assert int(rows["n_features_in_"][0]) == X.shape[1]
    assert all(about for name, (_, about) in rows.items() if name != "condition")
    if hasattr(estimator, "offset_") and "offset_" in vars(estimator):
        assert float(rows["offset_"][0]) == pytest.approx(estimator.offset_, rel=6e-4)
    metrics = getattr(estimator, "metrics_", None)
    if metrics is not None:
        found = page.rows("metric")
        assert list(found) == list(metrics)
        for name, value in metrics.items():
            assert float(found[name][0]) == pytest.approx(value, rel=6e-4, nan_ok=True)
            if name in METRICS:
                assert found[name][1] == (METRICS[name].direction or "–")
                assert len(found[name][2]) > 10
    assert page.text.count("metrics_") == 0


@pytest.mark.parametrize("estimator", ONE_OF_EACH_CLASS, ids=repr)
def test_unfitted(estimator):
    page = shown(clone(estimator))
    assert page.tables == []
    assert page.text == ""


@pytest.mark.parametrize(
    "estimator",
    [e for e in INSTANCES if hasattr(e, "fit_moments") and not hasattr(e, "criterion")],
    ids=repr,
)
def test_decomposes_nothing(estimator, decompositions):
    """Not after fitting from moments either, where nothing has been used yet."""
    estimator = clone(estimator)
    options = estimator._moments_options()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        try:
            estimator.fit_moments(ClassMoments(**options).update(X, Y))
        except ValueError as error:  # a head or a covariance that needs rows
            pytest.skip(str(error))
    decompositions.clear()
    page = shown(estimator)
    assert decompositions == []
    assert "n_features_in_" in page.rows("attribute")


def test_some_are_not_computed_before_they_are_read():
    moments = ClassMoments().update(X, Y)
    whitener = SpectralWhitener("pca").fit_moments(moments)
    assert "rank_" not in shown(whitener).rows("attribute")
    assert "rank_" in shown(whitener).text
    whitener.rank_  # noqa: B018  from here on it is known
    page = shown(whitener)
    assert page.rows("attribute")["rank_"][0] == "6"
    condition = np.linalg.cond(np.cov(X.T))
    shown_condition = float(page.rows("attribute")["condition"][0])
    assert shown_condition == pytest.approx(condition, rel=1e-3)


def test_rows_that_wait_are_left_waiting():
    detector = MahalanobisDetector().partial_fit(X[:4], Y[:4])
    assert detector.moments_._buffer.n_rows == 4
    page = shown(detector)
    assert detector.moments_._buffer.n_rows == 4
    value, about = page.rows("attribute")["offset_"]
    assert value == "–"
    assert "calibrate" in about


def test_wide_features_are_not_measured(monkeypatch, decompositions):
    scorer = NeuralCollapseScorer(per_class=True).fit(X, Y)
    work = X.shape[1] ** 3 + 9 * X.shape[1]
    monkeypatch.setattr(base, "_LITTLE_WORK", work - 1)
    decompositions.clear()
    page = shown(scorer)
    assert "measured when they are first read" in page.text
    assert decompositions == []
    monkeypatch.setattr(base, "_LITTLE_WORK", work)
    assert list(shown(scorer).rows("metric")) == list(scorer.metrics_)
    monkeypatch.setattr(base, "_LITTLE_WORK", 0)  # by now they are known
    assert list(shown(scorer).rows("metric")) == list(scorer.metrics_)


@pytest.mark.parametrize(
    ("n_classes", "d", "metrics"), [(4000, 16, None), (20, 256, "all")]
)
def test_many_classes_are_not_measured(n_classes, d, metrics, decompositions):
    """All pairs of classes, or a decomposition for each, are many multiplications."""
    y = np.repeat(np.arange(n_classes), 2)
    scorer = NeuralCollapseScorer(metrics=metrics)
    scorer.fit(RNG.normal(size=(len(y), d)), y)
    decompositions.clear()
    assert "measured when they are first read" in shown(scorer).text
    assert decompositions == []


def test_many_rows_are_not_searched(monkeypatch):
    from sklearn_collapse.collapse import _neighbors

    monkeypatch.setattr(_neighbors, "_LITTLE_WORK", 0)
    scorer = NeighborCollapseScorer().fit(X, Y)
    assert "measured when they are first read" in shown(scorer).text
    assert scorer._values == {}
    scorer.metrics_  # noqa: B018
    assert list(shown(scorer).rows("metric")) == list(scorer.metrics_)


def test_metrics_that_cannot_be_had():
    scorer = NeuralCollapseScorer(metrics=["nc3_product"]).fit(X, Y)
    page = shown(scorer)
    assert "nc3_product needs a head" in page.text


def test_errors_of_any_kind_do_not_hide_the_estimator(monkeypatch):
    def fail(self):
        raise OSError("the device is lost")

    scorer = DimensionalCollapseScorer().fit(X)
    monkeypatch.setattr(DimensionalCollapseScorer, "metrics_", property(fail))
    page = shown(scorer)
    assert "metrics_ cannot be had: the device is lost" in page.text
    assert page.rows("attribute")["n_features_in_"][0] == "6"
    whitener = SpectralWhitener().fit(X)
    monkeypatch.setattr(SpectralWhitener, "rank_", property(fail))
    monkeypatch.setattr(SpectralWhitener, "_more_to_show", fail)
    rows = shown(whitener).rows("attribute")
    assert rows["n_features_in_"][0] == "6"
    assert "rank_" not in rows


def test_other_threads_may_fit_meanwhile():
    """Looking is a matter of one thread, also where moments are shared."""
    moments = ClassMoments().update(X, Y)
    whitener = SpectralWhitener("pca").fit_moments(moments)
    with looking(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: whitener.rank_).result() == X.shape[1]


def test_by_class():
    names = np.array(["cat", "dog", "<b>&"])
    scorer = NeuralCollapseScorer(per_class=True).fit(X, names[Y])
    page = shown(scorer)
    rows = page.rows("class")
    assert list(rows) == ["<b>&", "cat", "dog"]
    (table,) = (t for t in page.tables if t[0][0] == "class")
    assert table[0][1:] == list(scorer.per_class_)
    for k, values in enumerate(scorer.per_class_.values()):
        found = [float(row[k]) for row in rows.values()]
        assert found == pytest.approx(values.tolist(), rel=6e-4)
    aligned = ETFAlignmentScorer().fit(X, names[Y])
    found = [float(row[0]) for row in shown(aligned).rows("class").values()]
    assert found == pytest.approx(aligned.class_alignment_.tolist(), rel=6e-4)


def test_labels_are_escaped():
    labels = np.array(["<script>alert(1)</script>", "&amp;", "'\""])
    source = MahalanobisDetector().fit(X, labels[Y])._repr_html_()
    assert "<script>alert" not in source
    assert html.escape(labels[0]) in source
    assert labels[1] in Blocks(source).rows("attribute")["classes_"][0]


def test_many_classes_are_cut():
    many = np.arange(len(X)) // 3
    page = shown(NeuralCollapseScorer(per_class=True).fit(X, many))
    assert len(page.rows("class")) == 30
    assert "and 10 more classes" in page.text
    assert page.rows("attribute")["classes_"][0].startswith("40: 0, 1, 2")


def test_notebooks_get_the_same():
    scorer = DimensionalCollapseScorer().fit(X)
    bundle = scorer._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert bundle["text/plain"] == "DimensionalCollapseScorer()"
    rows = Blocks(bundle["text/html"]).rows("metric")
    assert list(rows) == list(scorer.metrics_)


def test_text_display():
    import sklearn

    with sklearn.config_context(display="text"):
        scorer = DimensionalCollapseScorer().fit(X)
        assert not hasattr(scorer, "_repr_html_")
        assert set(scorer._repr_mimebundle_()) == {"text/plain"}


@pytest.mark.parametrize("last", [MahalanobisDetector(), NeuralCollapseScorer()])
def test_inside_a_pipeline(last):
    pipeline = make_pipeline(SpectralWhitener("pca"), last).fit(X, Y)
    page = Blocks(pipeline._repr_html_())
    # Before 1.9 scikit-learn shows the parameters alone of what is inside.
    assert len([t for t in page.tables if t[0][0] == "attribute"]) == 2 * NESTED


def test_unfitted_inside_a_fitted_one():
    detector = ConformalDetector(MahalanobisDetector(), random_state=0).fit(X, Y)
    assert "No threshold" not in detector._repr_html_()


def test_torch():
    torch = pytest.importorskip("torch")
    scorer = NeuralCollapseScorer(per_class=True)
    scorer.fit(torch.asarray(X), Y)
    page = shown(scorer)
    assert list(page.rows("metric")) == list(scorer.metrics_)
    assert list(page.rows("class")) == ["0", "1", "2"]
    assert shown(SpectralWhitener().fit(torch.asarray(X))).rows("attribute")["rank_"]


def test_looking_ends():
    transformer = SpectralTransformer("soft").fit_moments(ClassMoments().update(X, Y))
    with pytest.raises(NotKeptError), looking():
        transformer.rank_  # noqa: B018
    assert transformer.rank_ == X.shape[1]
    with pytest.raises(NotFittedError):
        SpectralWhitener().rank_  # noqa: B018


def test_documented_attributes():
    found = documented(SpectralWhitener)
    assert found["rank_"] == ("int", "Number of directions with variance")
    assert re.match("array", found["whitening_"].kind)
    assert not any("`" in attribute.about for attribute in found.values())

    class Undocumented(BaseEstimator):
        pass

    Undocumented.__doc__ = None
    assert documented(BaseEstimator) is documented(BaseEstimator)
