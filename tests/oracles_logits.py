"""Scores of logits by their definitions: loops, in decimals of many digits."""

from decimal import Decimal, localcontext

import numpy as np


def softmax(row, temperature=1.0):
    """Probabilities and one minus each, as decimals that keep their digits."""
    grown = [(Decimal(v) / Decimal(temperature)) for v in row]
    top = max(grown)
    grown = [(v - top).exp() for v in grown]
    total = sum(grown)
    shares = [v / total for v in grown]
    others = [
        sum(v for j, v in enumerate(grown) if j != k) / total for k in range(len(grown))
    ]
    return shares, others


def by_rows(function, logits, *args, digits=50):
    """Values of a function of each row, as floats."""
    with localcontext() as context:
        context.prec, context.Emin = digits, -(10**12)
        rows = np.asarray(logits, dtype=float).tolist()
        return np.array([float(function(row, *args)) for row in rows])


def negative_entropy(row, temperature):
    shares, _ = softmax(row, temperature)
    return sum(p * p.ln() for p in shares if p)


def generalized(row, temperature, gamma=0.1, n_top=100):
    pairs = sorted(zip(*softmax(row, temperature), strict=True), reverse=True)[:n_top]
    power = Decimal(gamma)
    return -sum((power * (p.ln() + q.ln())).exp() for p, q in pairs if p and q)


def margin(row, temperature=None):
    first, second = sorted(map(Decimal, row))[-1:-3:-1]
    return first - second


def mean_softmax(logits, temperature=1.0, weights=None):
    """Mean probabilities by the class of the largest logit: a dictionary."""
    weights = np.ones(len(logits)) if weights is None else weights
    sums: dict = {}
    for row, w in zip(np.asarray(logits, dtype=float), weights, strict=True):
        if w > 0:
            c = int(np.argmax(row))
            p = np.exp((row - row.max()) / temperature)
            total, count = sums.get(c, (0.0, 0.0))
            sums[c] = total + w * p / p.sum(), count + w
    return {c: total / count for c, (total, count) in sorted(sums.items())}


def matching(logits, means, temperature=1.0):
    """Negative divergence to the closest of the means."""
    tiny = np.finfo(float).tiny

    def score(row):
        shares, _ = softmax(row, temperature)
        return -min(
            sum(
                p * (p.ln() - Decimal(max(float(d), tiny)).ln())
                for p, d in zip(shares, mean, strict=True)
                if p
            )
            for mean in means
        )

    return by_rows(score, logits)
