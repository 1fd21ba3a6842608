"""Comparisons of class moments, for several files of tests."""

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal


def assert_moments(moments, expected, rtol=1e-11):
    """Compare with `oracles.class_moments`, relative to the largest entries."""
    assert_array_equal(moments.classes_, expected["classes"])
    found = {
        "counts": moments.counts_,
        "means": moments.means_,
        "scatter": moments.scatter_,
        "traces": moments.class_scatter_trace_,
    }
    if moments.class_scatter:
        found["class_scatter"] = moments.class_scatter_
    for name, values in found.items():
        size = np.abs(expected[name]).max()
        assert_allclose(
            np.asarray(values), expected[name], rtol, rtol * size, err_msg=name
        )


def assert_same_state(found, expected):
    """Compare what `to_dict` returned, or None of empty moments, bit for bit."""
    if expected is None:
        assert found is None
        return
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert_array_equal(found[name], value, err_msg=name)
