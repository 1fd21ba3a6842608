"""Areas and rates of two sets of scores, for many weightings of the rows at once.

A resample of rows is a weight per row. The scores are sorted once; every metric is then
a sum over runs of equal scores, best score first, of cumulative weights.
"""

from typing import NamedTuple

import numpy as np

# Weights that are held at a time.
_HELD = 2**21


class Runs(NamedTuple):
    """Weights of the rows at each distinct score, descending, and how many are above.

    Arrays have shape (R, g): R weightings, g distinct scores.
    """

    inside: np.ndarray
    outside: np.ndarray
    inside_above: np.ndarray  # or equal
    outside_above: np.ndarray

    @property
    def mirrored(self):
        """The same with the other rows as positives and the scores negated."""
        inside, outside = self.inside[:, ::-1], self.outside[:, ::-1]
        return Runs(
            outside, inside, np.cumsum(outside, axis=1), np.cumsum(inside, axis=1)
        )


class SortedScores:
    """Scores of in-distribution and other rows, sorted once.

    Parameters
    ----------
    inside, outside : ndarray of shape (n,), (m,)
        Scores, without nan; larger = more in-distribution.
    """

    def __init__(self, inside, outside):
        scores = np.concatenate([inside, outside])
        order = np.argsort(-scores, kind="stable")
        scores = scores[order]
        first = np.r_[True, scores[1:] != scores[:-1]]
        run_of_row = np.empty(len(scores), dtype=np.intp)
        run_of_row[order] = np.cumsum(first) - 1
        self._runs = run_of_row[: len(inside)], run_of_row[len(inside) :]
        self.n_runs = int(np.count_nonzero(first))

    def runs(self, inside, outside):
        """Weights at each distinct score, given those of the rows.

        Parameters
        ----------
        inside, outside : ndarray of shape (R, n), (R, m)
            Weights of the rows, of which some are positive in each set.

        Returns
        -------
        Runs
        """
        inside, outside = (
            self._gathered(weights, runs)
            for weights, runs in zip((inside, outside), self._runs, strict=True)
        )
        above = (np.cumsum(weights, axis=1) for weights in (inside, outside))
        return Runs(inside, outside, *above)

    def _gathered(self, weights, runs):
        offsets = self.n_runs * np.arange(len(weights))[:, None]
        total = np.bincount(
            (runs + offsets).ravel(),
            weights=weights.ravel(),
            minlength=self.n_runs * len(weights),
        )
        return total.reshape(len(weights), self.n_runs)


def auroc(runs):
    """Share of pairs whose in-distribution row scores higher; ties count half."""
    below = runs.outside_above[:, -1:] - runs.outside_above + runs.outside / 2
    pairs = runs.inside_above[:, -1] * runs.outside_above[:, -1]
    return np.sum(runs.inside * below, axis=1) / pairs


def average_precision(runs):
    """Mean over the positives of the precision at their scores."""
    found = runs.inside_above + runs.outside_above
    # Runs without weight at the top: nothing is found there, and nothing gained.
    precision = runs.inside_above / np.where(found > 0, found, 1)
    return np.sum(runs.inside * precision, axis=1) / runs.inside_above[:, -1]


def fpr(runs, tpr=0.95):
    """Share of the negatives at the strictest threshold that accepts ``tpr``."""
    inside, outside = runs.inside_above, runs.outside_above
    # Rounding of tpr * n must not ask for one row more than it says.
    enough = inside >= tpr * inside[:, -1:] * (1 - 1e-12)
    last = np.argmax(enough, axis=1)
    return outside[np.arange(len(outside)), last] / outside[:, -1]


# Functions of Runs, one value per weighting.
OOD_METRICS = {
    "auroc": auroc,
    "aupr_in": average_precision,
    "aupr_out": lambda runs: average_precision(runs.mirrored),
    "fpr95_id": fpr,
    "fpr95_ood": lambda runs: fpr(runs.mirrored),
}


def resampled_metrics(inside, outside, draws_inside, draws_outside):
    """Metrics of scores whose rows are drawn with replacement, each set by itself.

    Parameters
    ----------
    inside, outside : ndarray of shape (n,), (m,)
        Scores.
    draws_inside, draws_outside : ndarray of int of shape (R,)
        Seeds of the draws: equal seeds draw the same rows.

    Returns
    -------
    dict of str to ndarray of shape (R,)
    """
    scores = SortedScores(inside, outside)
    step = max(1, _HELD // (len(inside) + len(outside)))
    found: dict = {name: [] for name in OOD_METRICS}
    for start in range(0, len(draws_inside), step):
        here = slice(start, start + step)
        runs = scores.runs(
            _counts(draws_inside[here], len(inside)),
            _counts(draws_outside[here], len(outside)),
        )
        for name, metric in OOD_METRICS.items():
            found[name].append(metric(runs))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _counts(seeds, n):
    """How often each of n rows is drawn, for each seed."""
    return np.stack(
        [
            np.bincount(np.random.default_rng(seed).integers(n, size=n), minlength=n)
            for seed in seeds.tolist()
        ]
    ).astype(float)
