"""Look at a fitted estimator without computing what nobody has asked for yet."""

from contextlib import contextmanager
from contextvars import ContextVar

_LOOKING = ContextVar("looking", default=False)


class NotKeptError(RuntimeError):
    """What was asked for would have to be computed."""


@contextmanager
def looking(on=True):
    """Have derived values that are not there yet raise `NotKeptError`, or not."""
    token = _LOOKING.set(on)
    try:
        yield
    finally:
        _LOOKING.reset(token)


def may_compute():
    """Raise while somebody is only looking."""
    if _LOOKING.get():
        raise NotKeptError("This has not been computed yet.")
