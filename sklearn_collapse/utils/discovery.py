"""Find the estimators of the library."""

import inspect
from importlib import import_module

_FAMILIES = ("collapse", "etf", "ood", "whitening")


def all_estimators():
    """List every public estimator.

    Returns
    -------
    list of (str, type)
        Name and class, sorted by name. `LinearHead` is not among them: it is the
        fitted last layer of a network, and its width is fixed. Nor is
        `extraction.FeatureExtractor`: it needs torch and a model.

    Examples
    --------
    >>> from sklearn_collapse.utils import all_estimators
    >>> "SpectralWhitener" in [name for name, _ in all_estimators()]
    True
    """
    found = {}
    for family in _FAMILIES:
        module = import_module(f"sklearn_collapse.{family}")
        for name in module.__all__:
            member = getattr(module, name)
            if inspect.isclass(member) and hasattr(member, "get_params"):
                found[name] = member
    return sorted(found.items())
