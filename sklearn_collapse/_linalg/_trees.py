"""Edge lengths of the minimum spanning tree of rows.

They are the heights of single linkage and the lifetimes of the components in
0-dimensional persistent homology.
"""

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from scipy.spatial.distance import pdist

from sklearn_collapse._linalg._neighbors import Search
from sklearn_collapse.utils._arrays import to_numpy

# Points whose distances are all held at once, as float64: 16 MB.
_DENSE = 2048

# Neighbours of every point that are kept from the first search.
_NEIGHBORS = 15


def tree_lengths(points, *, device="auto"):
    """Edge lengths of the minimum spanning tree, in ascending order.

    Parameters
    ----------
    points : Points
    device : str
        For NumPy rows.

    Returns
    -------
    ndarray of shape (n - 1,)
        Of all n rows: equal rows are joined by edges of length zero.
    """
    zeros = np.zeros(int(points.counts.sum()) - len(points))
    if len(points) == 1:
        return zeros
    if len(points) <= _DENSE:
        # Here, since few programs ask for trees, and this takes a while to load.
        from scipy.cluster.hierarchy import linkage

        rows = points.unit * to_numpy(points.rows).astype(np.float64)
        lengths = linkage(pdist(rows), method="single")[:, 2]
    else:
        lengths = np.sort(_boruvka(Search(points, None, device), len(points)))
    return np.concatenate([zeros, lengths / points.unit])


def _boruvka(search, m):
    """Join every component but the largest with its nearest, until one is left.

    Most points have a neighbour outside their component among the few that were found
    at first. A point that has none is only searched for again if those few are nearer
    than what its component has found elsewhere.
    """
    near = search.run(np.arange(m), min(_NEIGHBORS, m - 1))
    component, n_components, lengths = np.arange(m), m, []
    while n_components > 1:
        outside = component[near.points] != component[:, None]
        column = np.argmax(outside, axis=1)[:, None]
        length = np.take_along_axis(near.distances, column, axis=1)[:, 0]
        target = np.take_along_axis(near.points, column, axis=1)[:, 0]
        some = np.any(outside, axis=1)
        length[~some] = np.inf
        best = np.full(n_components, np.inf)
        np.minimum.at(best, component, length)
        # The largest may wait to be joined by the others.
        waits = component == np.argmax(np.bincount(component))
        again = np.flatnonzero(
            ~some & ~waits & (near.distances[:, -1] < best[component])
        )
        if len(again):
            found = search.run(again, 1, component)
            length[again], target[again] = found.distances[:, 0], found.points[:, 0]
        length[waits] = np.inf
        # The shortest way out of each component; of equals, the first.
        order = np.lexsort((target, np.arange(m), length, component))
        _, first = np.unique(component[order], return_index=True)
        edges = order[first]
        edges = edges[np.isfinite(length[edges])]
        edges = edges[np.argsort(length[edges], kind="stable")]
        # Ranks in place of lengths: none is zero, and equals make no cycle.
        ends = component[edges], component[target[edges]]
        ranks = np.arange(1, len(edges) + 1)
        graph = csr_matrix((ranks, ends), shape=(n_components, n_components))
        forest = minimum_spanning_tree(graph)
        lengths.append(length[edges[forest.data.astype(np.int64) - 1]])
        n_components, joined = connected_components(forest, directed=False)
        component = joined[component]
    return np.concatenate(lengths)
