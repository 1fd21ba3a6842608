"""Conformal p-values and common scales of scores by their definitions: loops, float64.

Nothing here imports the library.
"""

import math
from fractions import Fraction

import numpy as np


def p_values(calibration, scores, weights=None):
    """(1 + #{calibration scores <= s}) / (1 + n), weights as frequencies."""
    weights = [1.0] * len(calibration) if weights is None else weights
    found = []
    for s in scores:
        below = sum(w for c, w in zip(calibration, weights, strict=True) if c <= s)
        found.append((1 + below) / (1 + sum(weights)))
    return np.array(found)


def benjamini_hochberg(p, alpha):
    """Which hypotheses are rejected, in exact arithmetic.

    p are fractions, alpha is one too.
    """
    m = len(p)
    order = sorted(range(m), key=lambda i: p[i])
    most = 0
    for k in range(1, m + 1):
        if p[order[k - 1]] <= alpha * Fraction(k, m):
            most = k
    rejected = np.zeros(m, dtype=bool)
    rejected[order[:most]] = True
    return rejected


def share(training, s, weights=None):
    """Mid-rank of a score, linear between training scores, bounded beyond them."""
    weights = [1.0] * len(training) if weights is None else weights
    pairs = list(zip(training, weights, strict=True))

    def mid(t):
        below = sum(w for c, w in pairs if c < t)
        return (below + sum(w for c, w in pairs if c == t) / 2) / sum(weights)

    knots = sorted({float(c) for c, w in pairs if w > 0})
    shares = [mid(t) for t in knots]
    low, high = np.interp([0.25, 0.75], shares, knots)
    scale = high - low or knots[-1] - knots[0] or max(map(abs, knots)) or 1.0
    if s < knots[0]:
        return shares[0] / (1 + (knots[0] - s) / scale)
    if s > knots[-1]:
        return 1 - (1 - shares[-1]) / (1 + (s - knots[-1]) / scale)
    for k in range(len(knots) - 1):
        if knots[k] <= s <= knots[k + 1]:
            way = (s - knots[k]) / (knots[k + 1] - knots[k])
            return shares[k] + way * (shares[k + 1] - shares[k])
    return shares[0]


def standard_score(training, s, weights=None):
    """(s - mean) / std, normaliser n."""
    weights = [1.0] * len(training) if weights is None else weights
    n = sum(weights)
    mean = sum(w * t for t, w in zip(training, weights, strict=True)) / n
    variance = sum(w * (t - mean) ** 2 for t, w in zip(training, weights, strict=True))
    return (s - mean) / math.sqrt(variance / n)


def binomial_tail(n, p, k):
    """P(at least k of n) for independent events of probability p."""
    if k <= 0:
        return 1.0
    log_p, log_q = math.log(p), math.log1p(-p)
    total = 0.0
    for j in range(k, n + 1):
        log = math.lgamma(n + 1) - math.lgamma(j + 1) - math.lgamma(n - j + 1)
        total += math.exp(log + j * log_p + (n - j) * log_q)
    return total
