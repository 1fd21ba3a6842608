"""Tests of tables over layers."""

import sys
from functools import partial

import numpy as np
import oracles
import pytest
from fake_metrics import add_fakes, misfit, spread
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression

from sklearn_collapse import LinearHead
from sklearn_collapse.collapse import DimensionalCollapseScorer, NeuralCollapseScorer
from sklearn_collapse.metrics import METRICS, LayerTable, layerwise


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    add_fakes(monkeypatch)


@pytest.fixture
def layers(rng):
    X = rng.normal(size=(3, 4))[np.arange(60) % 3] + rng.normal(size=(60, 4))
    return {"first": X, "second": np.maximum(X, 0.0)[:, :3], "third": X**3}


Y = np.arange(60) % 3


class Width(BaseEstimator):
    """A scorer without labels or weights whose metrics are set in fit."""

    def __init__(self, head=None):
        self.head = head

    def fit(self, X, y=None):
        self.metrics_ = {"width": X.shape[1] + (self.head or 0)}
        return self


def test_a_scorer(library, layers):
    scorer = NeuralCollapseScorer(class_weight="balanced")
    arrays = {name: library.asarray(X) for name, X in layers.items()}
    table = layerwise(scorer, arrays, library.asarray(Y))
    assert list(table) == ["first", "second", "third"]
    for name, X in layers.items():
        assert table[name]["vci"] == pytest.approx(oracles.vci(X, Y, "balanced"))
        assert table[name]["ncm_accuracy"] == oracles.ncm_accuracy(X, Y)
        assert "nc3_product" not in table[name]
    assert not hasattr(scorer, "moments_")


def test_names(layers):
    table = layerwise(["cdnv", "gap", "spread"], layers, Y)
    for name, X in layers.items():
        assert list(table[name]) == ["cdnv", "gap", "spread"]
        assert table[name]["cdnv"] == pytest.approx(oracles.cdnv(X, Y))
        assert table[name]["gap"] == METRICS["gap"].function(X)
    assert list(layerwise("spread", layers)["third"]) == ["spread"]


def test_functions_with_options(layers):
    """One function twice, under names of the caller's."""
    powers = {"square": spread, "cube": partial(spread, power=3), "cdnv": "cdnv"}
    table = layerwise(powers, layers, Y)
    for name, X in layers.items():
        assert table[name]["square"] == spread(X)
        assert table[name]["cube"] == spread(X, power=3)
        assert table[name]["cdnv"] == layerwise("cdnv", layers, Y)[name]["cdnv"]
    assert layerwise([spread], layers)["first"] == {"spread": spread(layers["first"])}
    with pytest.raises(ValueError, match="same name: pass a dictionary"):
        layerwise([spread, partial(spread, power=3)], layers)


def test_weights(layers):
    weights = np.arange(60) % 4
    for scorer in (["cdnv"], NeuralCollapseScorer(metrics=["cdnv"])):
        table = layerwise(scorer, layers, Y, sample_weight=weights)
        for name, X in layers.items():
            again = np.repeat(X, weights, axis=0), np.repeat(Y, weights)
            assert table[name]["cdnv"] == pytest.approx(oracles.cdnv(*again))
    with pytest.raises(ValueError, match=r"Width.fit takes no sample_weight"):
        layerwise(Width(), layers, sample_weight=weights)
    with pytest.raises(ValueError, match="gap takes no sample_weight"):
        layerwise(["gap"], layers, sample_weight=weights)


@pytest.mark.parametrize(
    "scorer", [["nc3_self_duality", "vci"], NeuralCollapseScorer()]
)
def test_heads_of_some_layers(scorer, layers):
    heads = {"third": LinearHead(np.eye(3, 4)), "second": LinearHead(np.eye(3, 3))}
    table = layerwise(scorer, layers, Y, head=heads)
    assert "vci" in table["first"]
    assert "nc3_self_duality" not in table["first"]
    for name in heads:
        expected = oracles.nc3_self_duality(layers[name], Y, heads[name].coef)
        assert table[name]["nc3_self_duality"] == pytest.approx(expected)
    frame = pytest.importorskip("pandas") and table.to_frame()
    assert np.isnan(frame.loc["first", "nc3_self_duality"])


def test_one_head_for_all(layers):
    head = LogisticRegression()
    table = layerwise(NeuralCollapseScorer(), layers, Y, head=head)
    names = layerwise(["nc4_agreement"], layers, Y, head=head)
    for name in layers:
        assert table[name]["nc4_agreement"] == pytest.approx(
            names[name]["nc4_agreement"]
        )
    assert not hasattr(head, "coef_")
    X = layers["first"]
    found = layerwise(["misfit"], {"only": X}, X[:, :1], head=np.eye(1, 4))
    assert found["only"]["misfit"] == misfit(X, X[:, :1], np.eye(1, 4))


def test_a_scorers_own_head_stays(layers):
    scorer = NeuralCollapseScorer(head="lda")
    table = layerwise(scorer, layers, Y)
    assert all("nc3_product" in row for row in table.values())
    assert layerwise(Width(), layers)["second"] == {"width": 3}
    assert layerwise(Width(), layers, head={"second": 10})["second"] == {"width": 13}
    assert layerwise(Width(head=1), layers)["second"] == {"width": 4}


# -- the table -------------------------------------------------------------------

TABLE = LayerTable(
    {"a": {"vci": 0.5, "x": 12345.678}, "longer": {"vci": 1e-9}, "c": {"z": np.nan}}
)


def test_mapping():
    assert len(TABLE) == 3
    assert dict(TABLE)["longer"] == {"vci": 1e-9}
    assert LayerTable(dict(TABLE)) == TABLE
    assert LayerTable({"a": TABLE["a"]}) != TABLE
    TABLE["a"]["vci"] = 0.0
    assert TABLE["a"]["vci"] == 0.5
    assert "d" not in TABLE
    with pytest.raises(KeyError):
        TABLE["d"]


def test_repr():
    lines = repr(TABLE).split("\n")
    assert lines == [
        "layer     vci          x    z",
        "a         0.5  1.235e+04",
        "longer  1e-09",
        "c                         nan",
    ]


def test_records_and_frame():
    pandas = pytest.importorskip("pandas")
    records = TABLE.to_records()
    assert records[1] == {"layer": "longer", "vci": 1e-9}
    frame = TABLE.to_frame()
    expected = pandas.DataFrame(records).set_index("layer")
    pandas.testing.assert_frame_equal(frame, expected)
    assert list(frame.columns) == TABLE.metric_names == ["vci", "x", "z"]


def test_frame_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas, or use to_records"):
        TABLE.to_frame()


# -- errors ----------------------------------------------------------------------


@pytest.mark.parametrize("layers", [{}, np.ones((3, 2)), [np.ones((3, 2))]])
def test_what_are_no_layers(layers):
    with pytest.raises(ValueError, match="layers must be a dictionary of at least one"):
        layerwise(["spread"], layers)


@pytest.mark.parametrize("scorer", [None, 3, LogisticRegression(), len])
def test_what_is_no_scorer(scorer, layers):
    with pytest.raises(TypeError, match="scorer must be an estimator with metrics_"):
        layerwise(scorer, layers, Y)


def test_errors(layers):
    with pytest.raises(ValueError, match="head names the layer 'fourth', but"):
        layerwise(["nc3_product"], layers, Y, head={"fourth": "lda"})
    with pytest.raises(ValueError, match=r"nc3_product compares.*pass head="):
        layerwise(["vci", "nc3_product"], layers, Y)
    with pytest.raises(ValueError, match="Did you mean 'vci'"):
        layerwise(["vcl"], layers, Y)
    with pytest.raises(ValueError, match="vci needs class labels"):
        layerwise(["vci"], layers)


def test_layers_without_a_head_lack_its_metrics(layers):
    head = LinearHead(np.eye(3, 4))
    scorer = NeuralCollapseScorer(metrics=["vci", "nc3_product"])
    table = layerwise(scorer, layers, Y, head={"first": head})
    assert list(table["first"]) == ["vci", "nc3_product"]
    assert list(table["second"]) == list(table["third"]) == ["vci"]


def test_metrics_that_draw_are_the_same_for_equal_layers(layers):
    X = layers["first"]
    table = layerwise(["mst_dimension"], {"one": X, "two": X.copy()})
    assert table["one"] == table["two"]


def test_what_cannot_be_measured(layers):
    with pytest.raises(ValueError, match="has no parameter head"):
        layerwise(DimensionalCollapseScorer(), layers, head=LinearHead(np.eye(3, 4)))
    with pytest.raises(ValueError, match="names no metric"):
        layerwise([], layers)
