"""Methods that exist under some parameters only, and say why where they do not."""

from functools import update_wrapper
from types import MethodType


class NotAvailableError(ValueError, AttributeError):
    """A method does not exist under these parameters.

    An AttributeError, so that ``hasattr`` is false, as with scikit-learn's
    ``available_if``, whose error does not tell the reason.
    """


def available_unless(reason):
    """Make a method raise on access where there is a reason for it.

    Parameters
    ----------
    reason : callable
        Maps the estimator to a text, what is not available and what to do, or to an
        empty one.

    Returns
    -------
    callable
        Decorator.
    """
    return lambda function: _Conditional(function, reason)


class _Conditional:
    """Descriptor of such a method."""

    def __init__(self, function, reason):
        self.function, self.reason = function, reason
        update_wrapper(self, function)  # type: ignore[arg-type]

    def __get__(self, instance, owner=None):
        if instance is None:
            return self.function
        if text := self.reason(instance):
            raise NotAvailableError(text)
        return MethodType(self.function, instance)
