"""Methods that exist under some parameters only."""

import inspect
import pickle

import pytest

from sklearn_collapse.utils._available import NotAvailableError, available_unless


class Thing:
    def __init__(self, broken):
        self.broken = broken

    @available_unless(lambda self: "It is broken: mend it." if self.broken else "")
    def work(self, a, *, b=1):
        """Work."""
        return a + b


def test_available():
    thing = Thing(False)
    assert thing.work(1, b=2) == 3
    thing.broken = True
    assert not hasattr(thing, "work")
    assert hasattr(Thing, "work")
    for error in (NotAvailableError, AttributeError, ValueError):
        with pytest.raises(error, match="It is broken: mend it"):
            thing.work(1)


def test_looks_like_a_method():
    assert inspect.isfunction(Thing.work)
    assert list(inspect.signature(Thing.work).parameters) == ["self", "a", "b"]
    assert list(inspect.signature(Thing(False).work).parameters) == ["a", "b"]
    assert Thing.work.__doc__ == "Work."
    assert pickle.loads(pickle.dumps(Thing(False))).work(1) == 2
