"""The invariances that METRICS lists are true, and they are all."""

import math
import warnings

import numpy as np
import pytest
from fake_metrics import FAKES
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_problems import measure, random_problem

from sklearn_collapse.metrics import METRICS, CollapseWarning
from sklearn_collapse.metrics._metric import INVARIANCES

# The fakes show that nothing here knows a name.
ALL = {**METRICS, **FAKES}
HOLDS = [(name, kind) for name in ALL for kind in sorted(ALL[name].invariances)]
FAILS = [
    (name, kind)
    for name in ALL
    for kind in INVARIANCES
    if kind not in ALL[name].invariances
]
SEEDS = st.integers(0, 2**32 - 1)
# A change that is no rounding: far above the error of any metric on these problems.
SEEN = 1e-3


def is_same(facts, kind, seed, strength=1.0, rtol=1e-7, n=72, **options):
    """Whether a metric stays under one random map of one random problem."""
    rng = np.random.default_rng(seed)
    problem = random_problem(facts, rng, n=n)
    before = measure(facts, problem, **options)
    after = measure(facts, problem.moved(kind, rng, strength), **options)
    assert math.isfinite(before), "the problem says nothing about this metric"
    return math.isclose(before, after, rel_tol=rtol, abs_tol=1e-12)


def ever_changes(facts, kind):
    """Whether there is an example that changes a metric."""
    examples = [{"strength": strength} for strength in (1.0, 1.0, 2.0, 2.0)]
    if kind == "cloning":  # min(n, d) may be what counts
        examples.append({"n": 10})
    with warnings.catch_warnings():
        # Values that are easily misread, as those of copied rows, are values still.
        warnings.simplefilter("ignore", CollapseWarning)
        return any(
            not is_same(facts, kind, seed, rtol=SEEN, **example)
            for seed, example in enumerate(examples)
        )


@settings(max_examples=4)
@given(seed=SEEDS, class_weight=st.sampled_from([None, "balanced"]))
@pytest.mark.parametrize(("name", "kind"), HOLDS)
def test_listed_invariances_hold(name, kind, seed, class_weight):
    assert is_same(ALL[name], kind, seed, class_weight=class_weight)


@pytest.mark.parametrize(("name", "kind"), FAILS)
def test_no_invariance_is_missing(name, kind):
    assert ever_changes(ALL[name], kind)


@pytest.mark.parametrize("name", FAKES)
def test_wrong_facts_are_seen(name):
    """The tests above tell true facts from wrong ones."""
    for kind in INVARIANCES:
        assert ever_changes(ALL[name], kind) == (kind not in ALL[name].invariances)
