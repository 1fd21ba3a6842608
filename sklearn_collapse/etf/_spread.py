"""Frames whose least angle is as large as can be found."""

from sklearn.utils import check_random_state
from threadpoolctl import threadpool_limits

from sklearn_collapse._linalg._packing import largest_cosine, pack, polygon
from sklearn_collapse._linalg._polytopes import orthoplex, simplex_frame
from sklearn_collapse.etf._frames import check_count, place_frame

# Multiplications of a product of all pairs that "auto" shares among the starts, and
# the most starts it makes.
_WORK, _MOST_STARTS = 400_000, 32
# Multiplications of one product from which threads of BLAS are worth their waiting for
# each other: below, thousands of steps are several times slower with more than one.
_WORK_OF_THREADS = 1e8


def spread_frame(
    n_classes, n_features, random_state=None, *, n_init="auto", max_iter=100
):
    """Unit vectors whose least angle is as large as can be found.

    The frame to use where there are more classes than a simplex has room for.

    Parameters
    ----------
    n_classes : int
        Number of vectors C, at least 2.
    n_features : int
        Number of coordinates d. In one dimension there are only two unit vectors.
    random_state : None, int or RandomState, default=None
        None: always the same frame. Otherwise the starts of the search are drawn from
        it, or, where the best frame is known, a random orientation.
    n_init : "auto" or int, default="auto"
        Number of random starts, the best of which is returned. "auto" makes up to 32
        where they are cheap, and one from C^2 d = 400,000 on.
    max_iter : int, default=100
        Steps of the optimiser at each of ten levels of sharpness.

    Returns
    -------
    ndarray of shape (n_classes, n_features)
        Unit rows in float64.

    See Also
    --------
    frame_report : The angles of a frame and how far they are from the bounds.
    rankin_bound : The best that any frame can do.
    simplex_etf : The best frame of up to n_features + 1 classes.
    orthoplex_frame : A best frame of up to 2 n_features classes.

    Notes
    -----
    Best frames that are known are returned as they are: the simplex for C <= d + 1,
    the orthoplex for C <= 2 d, the regular polygon for d = 2. Otherwise the largest
    cosine is smoothed to ::

        1 / t ln sum_{i != j} exp(t cos_ij)

    and minimised by L-BFGS from random starts, with t growing fourfold from 5 to
    1.3e6. That finds the best codes known of up to two dozen vectors to five digits
    of the angle; of a hundred and more it finds good ones, which more starts and steps
    may better. Memory grows with C and not with its square. A step takes 4 C^2 d
    multiplications: seconds in all for 200 classes in 32 dimensions.

    The optimiser leads on from rounding: other machines find other frames that are
    as good.

    References
    ----------
    .. [1] Tammes, P. M. L. (1930). "On the origin of number and arrangement of the
       places of exit on the surface of pollen-grains". Recueil des travaux botaniques
       néerlandais 27.
    .. [2] Jiang, J., Zhou, J., Wang, P., Qu, Q., Mixon, D., You, C., Zhu, Z. (2024).
       "Generalized neural collapse for a large number of classes". ICML.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_collapse.etf import frame_report, spread_frame
    >>> round(frame_report(spread_frame(12, 3)).least_angle, 3)  # an icosahedron
    63.435
    """
    n_classes = check_count(n_classes, "n_classes", 2)
    n_features = check_count(n_features, "n_features", 1)
    if isinstance(n_init, str):
        if n_init != "auto":
            raise ValueError(f"n_init must be 'auto' or an int >= 1, got {n_init!r}.")
        work = n_classes**2 * n_features
        n_init = max(1, min(_MOST_STARTS, _WORK // work))
    n_init = check_count(n_init, "n_init", 1)
    max_iter = check_count(max_iter, "max_iter", 1)
    known = _known_frame(n_classes, n_features)
    if known is not None:
        return place_frame(known, n_features, random_state)
    rng = check_random_state(0 if random_state is None else random_state)
    return searched_frame(n_classes, n_features, rng, n_init, max_iter)


def _known_frame(n_classes, n_features):
    """A best frame that can be written down, or None."""
    if n_classes <= n_features + 1:
        return simplex_frame(n_classes)
    if n_features == 1:
        raise ValueError(
            f"n_features=1 has room for 2 unit vectors, got n_classes={n_classes}. "
            f"Raise n_features to 2 at least, or lower n_classes."
        )
    if n_classes <= 2 * n_features:
        return orthoplex(n_classes)
    return polygon(n_classes) if n_features == 2 else None


def searched_frame(n_classes, n_features, rng, n_init, max_iter):
    """The best of several frames from random starts."""
    starts = (rng.normal(size=(n_classes, n_features)) for _ in range(n_init))
    few = n_classes**2 * n_features < _WORK_OF_THREADS
    with threadpool_limits(1 if few else None):
        return min((pack(start, max_iter) for start in starts), key=largest_cosine)
