"""What a preset is, and how one is made into an estimator."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from sklearn.pipeline import Pipeline

from sklearn_collapse.presets._ood import OOD_PRESETS


@dataclass(frozen=True)
class Preset:
    """Setting of a published detector.

    Parameters
    ----------
    name : str
        Name for `get_preset`.
    make : callable
        Returns the unfitted estimator, given the head if the setting takes one.
    formula : str
        Score of the reference, up to an increasing function.
    source : str
        Paper or code that the setting is of.
    note : str
        What differs from the source and does not change the ranking of rows, and on
        which rows it is to be fitted if not on those for training.

    See Also
    --------
    get_preset : Make the estimator.

    Examples
    --------
    >>> from sklearn_collapse.presets import PRESETS
    >>> PRESETS["openood_rmds"].needs_head
    False
    """

    name: str
    make: Callable[..., Any]
    formula: str
    source: str
    note: str = ""

    @property
    def needs_head(self):
        """Whether the setting has a head, the network's last layer."""
        return "head" in inspect.signature(self.make).parameters


PRESETS = {
    name: Preset(name, make, **facts) for name, (make, facts) in OOD_PRESETS.items()
}


def get_preset(name, *, head=None, **parameters):
    """Make the estimator of a published setting.

    Parameters
    ----------
    name : str
        A name in ``PRESETS``.
    head : classifier, default=None
        The network's last layer, usually a `LinearHead`; required by settings that
        have one (``PRESETS[name].needs_head``), refused by the others.
    **parameters
        Parameters of the estimator that are to differ from the setting, such as
        ``n_components`` or ``percentile``; in a Pipeline those of the step that has a
        parameter of that name, or ``step__parameter``.

    Returns
    -------
    estimator
        An unfitted detector, or a Pipeline that ends with one.

    See Also
    --------
    get_preset_names : All names.

    Notes
    -----
    Scores equal those of the reference up to an increasing function, which the preset
    names: areas under curves and false positive rates are the same, scores and
    thresholds need not be. Where a reference loses digits (float32 inverses, the
    pseudo-inverse of a covariance of another rank), the formula is what is kept.

    Examples
    --------
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.presets import get_preset
    >>> data = load_cifar8_features()
    >>> detector = get_preset("openood_vim", head=data.head, n_components=32)
    >>> detector.fit(data.data, data.target).score_samples(data.X_test).shape
    (2000,)
    """
    if not isinstance(name, str) or name not in PRESETS:
        close = get_close_matches(str(name), PRESETS, n=3)
        hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise ValueError(
            f"{name!r} is not the name of a preset.{hint} get_preset_names() lists "
            f"all of them."
        )
    preset = PRESETS[name]
    if preset.needs_head != (head is not None):
        what = (
            "needs head=, the network's last layer" if head is None else "has no head"
        )
        raise ValueError(f"The preset {name!r} {what}.")
    estimator = preset.make(head) if preset.needs_head else preset.make()
    for key, value in parameters.items():
        _owner(estimator, key, name).set_params(**{key: value})
    return estimator


def get_preset_names():
    """List the names of all presets.

    Returns
    -------
    list of str
        In alphabetical order.

    Examples
    --------
    >>> from sklearn_collapse.presets import get_preset_names
    >>> "openood_knn" in get_preset_names()
    True
    """
    return sorted(PRESETS)


def _owner(estimator, key, name):
    """Estimator, or step of a Pipeline, that has a parameter of its own."""
    parts = [estimator]
    if isinstance(estimator, Pipeline):
        parts = [step for _, step in reversed(estimator.steps)]
    for part in parts:
        if key in part.get_params(deep=False):
            return part
    if "__" in key and key in estimator.get_params():
        return estimator
    known = sorted({k for part in parts for k in part.get_params(deep=False)})
    raise TypeError(f"The preset {name!r} has no parameter {key!r}, but {known}.")
