"""Vertices of regular polytopes: frames that can be written down.

All in NumPy, float64, with unit rows that sum to zero where their number allows it.
"""

import math

import numpy as np
from scipy.linalg import helmert


def simplex_frame(n_classes):
    """Coordinates of a simplex equiangular tight frame in its C - 1 dimensions.

    Rows are unit, sum to zero and have cosines -1 / (C - 1); shape (C, C - 1). The
    last class lies along the last axis, each one before it needs an axis more.
    """
    return math.sqrt(n_classes / (n_classes - 1)) * helmert(n_classes).T


def simplex_axes(n_classes):
    """The same frame among C axes, one per class: sqrt(C / (C - 1)) (I - 1 1^T / C)."""
    root = math.sqrt(n_classes / (n_classes - 1))
    return root * (np.eye(n_classes) - 1 / n_classes)


def orthoplex(n_classes):
    """First C of the vertices e_1, -e_1, e_2, -e_2, … in ceil(C / 2) dimensions."""
    index = np.arange(n_classes)
    frame = np.zeros((n_classes, (n_classes + 1) // 2))
    frame[index, index // 2] = 1.0 - 2.0 * (index % 2)
    return frame


def hypercube(n_classes):
    """First C vertices of the smallest cube that has them, in opposite pairs."""
    index = np.arange(n_classes)
    n_bits = hypercube_dimension(n_classes)
    # Bits of the number of a pair, all of them flipped for its second vertex.
    bits = (index[:, None] // 2 >> np.arange(n_bits)) ^ index[:, None]
    return (1.0 - 2.0 * (bits % 2)) / math.sqrt(n_bits)


def hypercube_dimension(n_classes):
    """Dimension of the smallest cube with C vertices."""
    return max(1, (n_classes - 1).bit_length())
