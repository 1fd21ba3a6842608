"""What detectors do with scores before they are given out."""

from sklearn_collapse.utils._arrays import namespace
from sklearn_collapse.utils._finite import raise_nonfinite


def finite_scores(scores, X=None, remedy="Rescale X or the head."):
    """Return the scores of rows X, or raise if they overflow.

    Without X the rows are known to be finite.
    """
    xp = namespace(scores)
    if not bool(xp.all(xp.isfinite(scores))):
        if X is not None:
            raise_nonfinite(X, overflow=False)
        raise ValueError(
            f"Scores overflow {scores.dtype}, in which these rows are scored. {remedy}"
        )
    return scores
