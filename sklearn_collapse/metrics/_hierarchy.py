"""How severe mistakes are, where the classes form a hierarchy."""

import math

import numpy as np
from scipy.cluster.hierarchy import is_valid_linkage

from sklearn_collapse.utils._arrays import detach, is_foreign, to_numpy
from sklearn_collapse.utils._labels import encode_known, encode_labels
from sklearn_collapse.utils._validation import check_lengths, check_weights

_CONTAINERS = (list, tuple, set, frozenset, dict)


def mistake_severity(
    y_true, y_pred, hierarchy, *, classes=None, distance="height", sample_weight=None
):
    """Mean distance in a hierarchy between true and predicted class of the errors.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Labels.
    y_pred : array-like of shape (n,)
        Predicted labels.
    hierarchy : nested containers of labels, or array
        Lists, tuples, sets and dictionaries are inner nodes and everything else in
        them a label: ``[["cat", "dog"], "ship"]``, or, with names for the nodes,
        ``{"animal": ["cat", "dog"], "vehicle": ["ship"]}``. An array is either a
        matrix of distances, (C, C), rows for true classes, or the linkage of
        `scipy.cluster.hierarchy`, (C - 1, 4).
    classes : array-like of shape (C,), default=None
        Labels of the rows of a matrix or of the leaves of a linkage; by default
        0, …, C - 1. Nested containers hold the labels themselves.
    distance : {"height", "path"}, default="height"
        Of two classes in a tree: the height of their lowest common ancestor, as in the
        paper, or the number of edges between them. A matrix is taken as it is.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.

    Returns
    -------
    float
        In [0, inf), lower is better; nan where there is no error.

    See Also
    --------
    ncm_accuracy : How many errors the nearest class mean makes.

    Notes
    -----
    The height of a node is the largest number of edges down to a leaf; in a linkage it
    is the height at which the clusters were joined. Only errors count, so that a
    classifier with fewer and worse errors can have the larger value.

    References
    ----------
    .. [1] Bertinetto, L., Mueller, R., Tertikas, K., Samangooei, S., Lord, N. A.
       (2020). "Making Better Mistakes: Leveraging Class Hierarchies with Deep
       Networks". CVPR.

    Examples
    --------
    >>> from sklearn_collapse.metrics import mistake_severity
    >>> tree = {"animal": ["cat", "dog"], "vehicle": ["ship", "truck"]}
    >>> y_true = ["cat", "cat", "ship", "truck"]
    >>> mistake_severity(y_true, ["cat", "dog", "ship", "cat"], tree)
    1.5
    >>> mistake_severity(y_true, ["cat", "dog", "ship", "cat"], tree, distance="path")
    3.0
    """
    labels, distances = class_distances(hierarchy, classes, distance)
    true, predicted = (
        encode_known(y, labels, "in the hierarchy") for y in (y_true, y_pred)
    )
    check_lengths(true, predicted)
    weights = check_weights(sample_weight, len(true))
    wrong = true != predicted
    if weights is not None:
        wrong &= weights > 0
    if not wrong.any():
        return math.nan
    weights = None if weights is None else weights[wrong]
    return float(np.average(distances[true[wrong], predicted[wrong]], weights=weights))


def class_distances(hierarchy, classes, distance, name="hierarchy"):
    """Labels, sorted, and the distances between them.

    Parameters
    ----------
    hierarchy : nested containers of labels, or array
    classes : array-like of shape (C,) or None
        Labels of an array; by default 0, …, C - 1.
    distance : {"height", "path"}
        In a tree.
    name : str
        That of the argument, for errors.

    Returns
    -------
    labels : ndarray of shape (C,)
    distances : ndarray of shape (C, C)
    """
    if distance not in ("height", "path"):
        raise ValueError(f"distance must be 'height' or 'path', got {distance!r}.")
    if isinstance(hierarchy, _CONTAINERS):
        if classes is not None:
            raise ValueError(
                f"classes goes with an array as {name}; nested containers hold the "
                "labels themselves. Pass np.asarray(…) if yours holds numbers."
            )
        return _nested_distances(hierarchy, distance, name)
    array = _as_numbers(hierarchy, name)
    # The diagonal tells a linkage of five classes from the distances of four.
    is_square = array.ndim == 2 and array.shape[0] == array.shape[1]
    if is_square and not np.diagonal(array).any():
        distances = _checked_distances(array, name)
    elif array.ndim == 2 and array.shape[1] == 4 and is_valid_linkage(array):
        distances = _linkage_distances(_checked_distances(array, name), distance)
    else:
        raise _not_a_hierarchy(name, f"an array of shape {array.shape}")
    n_classes = len(distances)
    if classes is None:
        return np.arange(n_classes), distances
    labels, codes = encode_labels(classes, "classes")
    if len(codes) != n_classes or len(labels) != n_classes:
        raise ValueError(
            f"classes must hold {n_classes} distinct labels, one per class of the "
            f"hierarchy, got {len(codes)} with {len(labels)} distinct."
        )
    order = np.argsort(codes)
    return labels, distances[np.ix_(order, order)]


def _not_a_hierarchy(name, got):
    return ValueError(
        f"{name} must be nested labels, a (C, C) matrix of distances with zeros on its "
        f"diagonal, or a linkage of shape (C - 1, 4), got {got}."
    )


def _as_numbers(hierarchy, name):
    """Array of float64 of what is not nested labels."""
    foreign = is_foreign(hierarchy)
    array = np.asarray(to_numpy(detach(hierarchy)) if foreign else hierarchy)
    if array.dtype.kind not in "biufO":
        raise _not_a_hierarchy(name, f"an array of dtype {array.dtype}")
    try:
        return array.astype(float)
    except (TypeError, ValueError) as error:
        got = type(hierarchy).__name__
        raise _not_a_hierarchy(name, f"{got} that holds no numbers") from error


def _checked_distances(array, name):
    wrong = ~np.isfinite(array) | (array < 0)
    if wrong.any():
        raise ValueError(
            f"Distances must be finite and not negative, got {array[wrong][0]} in "
            f"{name}."
        )
    return array


def _linkage_distances(linkage, distance):
    """Distances of the leaves of a SciPy linkage."""
    n_classes = len(linkage) + 1
    leaves = [np.array([leaf]) for leaf in range(n_classes)]
    depth = np.zeros(n_classes)
    distances = np.zeros((n_classes, n_classes))
    for first, second, height, _ in linkage:
        left, right = leaves[int(first)], leaves[int(second)]
        depth[left] += 1
        depth[right] += 1
        # Depths are counted from the joint node, which is what the path goes through.
        values = depth[left][:, None] + depth[right] if distance == "path" else height
        distances[np.ix_(left, right)] = values
        distances[np.ix_(right, left)] = np.transpose(values)
        leaves.append(np.concatenate([left, right]))
    return distances


def _nested_distances(tree, distance, name):
    """Labels of a nested hierarchy and the distances between them."""
    found: list = []
    nodes: list = []  # (positions of the leaves, height, depth) of every inner node
    depths: list = []
    try:
        _walk(tree, 0, found, depths, nodes, name)
    except RecursionError as error:
        raise ValueError(
            f"{name} is nested too deeply, or holds itself. Pass distances or a "
            f"linkage as an array."
        ) from error
    labels, codes = encode_labels(found, name)
    if len(labels) < len(found):
        repeated = labels[np.bincount(codes) > 1][:5].tolist()
        raise ValueError(
            f"{name} holds labels more than once: {repeated}. Pass distances or a "
            f"linkage as an array."
        )
    distances = np.zeros((len(found), len(found)))
    leaf_depths = np.array(depths)
    # From the root down: what lies deeper overwrites.
    for leaves, height, depth in sorted(nodes, key=lambda node: node[2]):
        inside = leaf_depths[leaves] - depth
        values = inside[:, None] + inside if distance == "path" else height
        distances[leaves, leaves] = values
    np.fill_diagonal(distances, 0)
    order = np.argsort(codes)
    return labels, distances[np.ix_(order, order)]


def _walk(node, depth, found, depths, nodes, name):
    """Collect leaves and inner nodes below a node; return its height."""
    if not isinstance(node, _CONTAINERS):
        if np.ndim(node):
            raise ValueError(
                f"{name} holds {type(node).__name__} of shape {np.shape(node)} for a "
                f"label. Pass lists for its nodes: .tolist() makes one."
            )
        found.append(node)
        depths.append(depth)
        return 0
    if not node:
        raise ValueError(f"{name} holds an empty node: every node needs a label.")
    children = node
    if isinstance(node, dict):
        # A name stands for a node; a single label is its one child.
        children = [v if isinstance(v, _CONTAINERS) else [v] for v in node.values()]
    start = len(found)
    height = 1 + max(_walk(c, depth + 1, found, depths, nodes, name) for c in children)
    nodes.append((slice(start, len(found)), height, depth))
    return height
