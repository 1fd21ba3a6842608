"""Nearest neighbours in few dimensions, by scikit-learn."""

# Trees beat products of matrices in few dimensions only.
TREE_COLUMNS = 8


def tree_search(rows):
    """Return a function that finds the nearest of NumPy rows of few columns.

    It takes queries and k and returns distances and indices, of shape (n, k), nearest
    first. The answer does not depend on the number of threads.
    """
    # Here, because the arithmetic that this serves does without scikit-learn.
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(algorithm="kd_tree").fit(rows).kneighbors
