"""Random data for any metric, by what METRICS says about it.

Well-conditioned features of more rows than columns, with class labels, continuous
targets and a head where the metric takes them.
"""

import inspect
from typing import Any, NamedTuple

import numpy as np

from sklearn_collapse import LinearHead

N_TARGETS = 2


class Problem(NamedTuple):
    """What a metric measures."""

    X: np.ndarray
    y: Any = None
    head: Any = None

    def moved(self, kind, rng, strength=1.0):
        """The same after a random map of one kind.

        Stretches of an invertible map reach from 10^-strength to 10^strength.
        """
        X, d = self.X, self.X.shape[1]
        rotation = np.linalg.qr(rng.normal(size=(d, d)))[0]
        if kind == "cloning":
            times = int(rng.integers(2, 4))
            y = None if self.y is None else np.repeat(self.y, times, axis=0)
            return self._replace(X=np.repeat(X, times, axis=0), y=y)
        if kind == "rotation":
            X = X @ rotation
        elif kind == "translation":
            X = X + rng.normal(size=d) * 10 ** rng.uniform(-2, 3)
        elif kind == "scale":
            X = 10 ** rng.uniform(-6, 6) * X
        else:
            other = np.linalg.qr(rng.normal(size=(d, d)))[0]
            X = X @ (rotation * 10 ** np.linspace(-strength, strength, d)) @ other
        return self._replace(X=X)


def parameters_of(facts):
    """Parameters of the metric's function."""
    return inspect.signature(facts.function).parameters


def options_of(facts, **options):
    """Those of the options that the metric has, and a seed if it draws."""
    known = parameters_of(facts)
    options = {name: value for name, value in options.items() if name in known}
    return options | ({"random_state": 0} if "random_state" in known else {})


def measure(facts, problem, **options):
    """Value of a metric, called as its signature says."""
    further = [name for name in ("y", "head") if name in parameters_of(facts)]
    arguments = [getattr(problem, name) for name in further]
    return facts.function(problem.X, *arguments, **options_of(facts, **options))


def random_problem(facts, rng, n=72, d=14):
    """Features of a falling spectrum, by no means isotropic, and what belongs to them.

    As many columns as a slope of the spectrum from the tenth eigenvalue on needs.
    """
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    X = rng.normal(size=(n, d)) * np.geomspace(2.0, 0.2, d) @ turn
    n_classes = 4
    y = rng.permutation(np.append(np.arange(n_classes), rng.choice(4, n - n_classes)))
    if facts.family == "regression":
        maps = rng.normal(size=(d, N_TARGETS))
        y = X @ maps + rng.normal(size=(n, N_TARGETS))
        head = rng.normal(size=(N_TARGETS, d))
    else:
        X = X + 10 ** rng.uniform(-0.5, 0.5) * rng.normal(size=(n_classes, d))[y]
        head = LinearHead(rng.normal(size=(n_classes, d)), rng.normal(size=n_classes))
    return Problem(X + 0.5 * rng.normal(size=d), y, head)
