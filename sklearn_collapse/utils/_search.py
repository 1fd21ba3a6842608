"""Nearest neighbours among NumPy rows, by scikit-learn."""

# Trees beat products of matrices in few dimensions only.
_TREE_COLUMNS = 8


def numpy_searcher(rows):
    """Return a function that finds the nearest of NumPy rows.

    It takes queries and k and returns distances and indices, of shape (n, k), nearest
    first. The answer does not depend on the number of threads.
    """
    # Here, because the arithmetic that this serves does without scikit-learn.
    from sklearn.neighbors import NearestNeighbors

    few = rows.shape[1] <= _TREE_COLUMNS
    search = NearestNeighbors(algorithm="kd_tree" if few else "brute").fit(rows)
    return search.kneighbors
