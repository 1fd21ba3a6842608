"""ClassMoments.all_reduce: real processes over gloo, of which some fail."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import oracles
import pytest
from all_reduce_ranks import (
    DIES_AT,
    FINE,
    LATE,
    PATIENCE,
    SIZE,
    gather,
    mismatches,
    scenarios,
)
from moment_asserts import assert_same_state
from numpy.testing import assert_allclose, assert_array_equal

import sklearn_collapse
from sklearn_collapse import ClassMoments
from sklearn_collapse.ood import MahalanobisDetector

torch = pytest.importorskip("torch")
pytest.importorskip("pandas")
pytest.importorskip("array_api_strict")
pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available() or not torch.distributed.is_gloo_available(),
    reason="torch was built without gloo",
)
GATHERED = ("counts", "means", "scatter", "traces", "class_scatter")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What each rank found, and how each process ended."""
    folder = tmp_path_factory.mktemp("ranks")
    script = Path(__file__).with_name("all_reduce_ranks.py")
    root = Path(sklearn_collapse.__file__).parent.parent
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
        "PYTHONWARNINGS": "error",
    }
    if sys.platform == "linux":
        env.setdefault("GLOO_SOCKET_IFNAME", "lo")  # there may be no network
    process = subprocess.run(
        [sys.executable, str(script), str(folder)],
        env=env,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
    )
    # All but rank 0 die, one after the other, each in its own way.
    assert process.stdout == "0 7 7 7\n", process.stdout + process.stderr
    assert not process.stderr
    return [pickle.loads((folder / f"{rank}.pkl").read_bytes()) for rank in range(SIZE)]


def results(ranks, name):
    """What each rank that took part found in a scenario."""
    return [found[name] for found in ranks if name in found]


def assert_unchanged(result):
    assert_same_state(result["after"], result["before"])


def assert_moments(found, X, y, weights=None, rtol=1e-11):
    expected = oracles.class_moments(X, y, weights)
    for name in GATHERED:
        if name in found:
            size = np.abs(expected[name]).max()
            assert_allclose(
                found[name], expected[name], rtol, rtol * size, err_msg=name
            )


@pytest.mark.parametrize("name", [name for name in scenarios() if name != "all empty"])
def test_every_rank_gets_the_moments_of_all_rows(ranks, name):
    scenario = scenarios()[name]
    found = results(ranks, name)
    assert len(found) == len(scenario.parts) >= 2
    assert [result["error"] for result in found] == [None] * len(found)
    assert all(result["itself"] for result in found)
    for result in found[1:]:
        assert_same_state(result["after"], found[0]["after"])
    state = found[0]["after"]
    rows = np.concatenate(scenario.parts)
    X, y = scenario.X[rows], scenario.y
    y = np.zeros(len(X), int) if y is None else y[rows]
    weights = None if scenario.weights is None else scenario.weights[rows]
    labels = sorted(set(y.tolist()), key=lambda v: (type(v).__name__, v))
    assert state["classes"].tolist() == labels
    codes = np.array([labels.index(label) for label in y.tolist()])
    if scenario.options.get("normalize"):
        X = X / np.linalg.norm(X, axis=1, keepdims=True)
    rtol = 1e-5 if name == "one single" else 1e-11
    if name == "very far":  # what rounds at the size of the rows cannot be right
        X, state = (X - 2.0**13) / FINE, {**state}
        del state["means"]
        for squares in ("scatter", "traces"):
            state[squares] = state[squares] / FINE**2
    assert_moments(state, X, codes, weights, rtol)
    assert ("class_scatter" in state) == scenario.options.get("class_scatter", False)
    assert_array_equal(state["scatter"], state["scatter"].T)
    assert state["precision"] == ("single" if name == "one single" else "double")
    assert state["labelled"] == (name != "no labels")
    assert state["library"] == scenario.library
    assert state["device"] == "cpu"


def test_all_ranks_empty(ranks):
    for result in results(ranks, "all empty"):
        assert result["error"] is result["after"] is None
        assert result["itself"]


def test_one_rank_alone(ranks):
    first, *others = results(ranks, "alone")
    assert first["error"] is None
    assert first["itself"]
    assert_unchanged(first)
    for result in others:
        assert result["error"][0] == "ValueError"
        assert "not a rank of the group" in result["error"][1]
        assert_unchanged(result)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("normalize", "normalize=False and normalize=True cannot be merged"),
        ("class_scatter", "class_scatter=False and class_scatter=True cannot"),
        ("n_features", "different numbers of features cannot be merged: 5 and 3"),
        ("labelled", "different kinds of labels (with and without y)"),
        ("names", "got ['x0', 'x1', 'x2', 'x3', 'x4']…, expected ['z0', 'z1', 'z2',"),
        ("library", "libraries or devices cannot be merged: ('numpy', 'cpu') and"),
        ("classes", "On rank 1: y contains labels that are not among `classes`: [2]"),
        ("pickle", "Rank 1 cannot take part in all_reduce: "),
        ("unpickle", "Rank 0 cannot take part in all_reduce: ModuleNotFoundError"),
        ("device", "Rank 1 cannot take part in all_reduce: AssertionError: Torch not"),
        ("overflow", "so large that their squares overflow when they are summed up"),
    ],
)
def test_a_mismatch_raises_on_every_rank(ranks, name, message):
    found = results(ranks, name)
    assert len(found) == len(mismatches()[name].parts) >= 2
    assert len({result["error"] for result in found}) == 1
    kind, text = found[0]["error"]
    assert kind == "ValueError"
    assert message in text
    if name in ("normalize", "class_scatter", "n_features", "labelled", "names"):
        assert text.startswith("The moments of rank 1 do not go with those of")
    for result in found:
        assert result["seconds"] < PATIENCE / 2
        assert_unchanged(result)


def test_every_mismatch_is_tested():
    marks = test_a_mismatch_raises_on_every_rank.pytestmark
    assert {case[0] for case in marks[0].args[1]} == set(mismatches())


def test_fit_from_the_moments_of_all_ranks(ranks):
    known = scenarios()["four"]
    expected = MahalanobisDetector(relative=True).fit(known.X, known.y)
    for scores in results(ranks, "detector"):
        assert_allclose(scores, expected.score_samples(known.X), rtol=1e-9, atol=1e-9)


def test_rows_can_follow(ranks):
    known = scenarios()["four"]
    for state in results(ranks, "goes on"):
        assert_moments(state, np.tile(known.X, (2, 1)), np.tile(known.y, 2))


def test_a_rank_that_does_not_come(ranks):
    found = results(ranks, "late")
    assert len(found) == SIZE - 1
    for result in found:
        assert_failed(result)


@pytest.mark.parametrize("how", DIES_AT)
def test_a_rank_that_dies(ranks, how):
    found = results(ranks, how)
    assert len(found) == SIZE - 1 - list(DIES_AT).index(how)
    for result in found:
        assert_failed(result)


def assert_failed(result):
    assert result["seconds"] < LATE + PATIENCE / 4
    kind, text = result["error"]
    assert kind == "RuntimeError"
    assert text.startswith("all_reduce failed on rank ")
    assert "These moments are as they were" in text
    assert_unchanged(result)


def test_no_process_group():
    known = scenarios()["two"]
    moments = gather(known, 0)
    before = moments.to_dict()
    with pytest.raises(ValueError, match="on every rank first"):
        moments.all_reduce()
    assert_same_state(moments.to_dict(), before)


def test_torch_that_was_never_imported(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")
    with pytest.raises(ValueError, match="needs a process group"):
        ClassMoments().update([[1.0]]).all_reduce()
