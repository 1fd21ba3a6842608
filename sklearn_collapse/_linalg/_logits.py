"""Scores of rows of logits: how sure a classifier is."""


def msp(logits, temperature, xp):
    """Largest softmax probability."""
    return 1 / _partition(logits, temperature, xp)[1]


def max_logit(logits, temperature, xp):
    """Largest logit."""
    return xp.max(logits, axis=1)


def energy(logits, temperature, xp):
    """Negative free energy, T log sum_c exp(l_c / T)."""
    largest, total = _partition(logits, temperature, xp)
    return largest + temperature * xp.log(total)


# Each maps logits (n, C), the temperature and the namespace to scores (n,).
SCORES = {"msp": msp, "max_logit": max_logit, "energy": energy}


def _partition(logits, temperature, xp):
    """Largest logit, and the sum of exp((l_c - largest) / T), which is at least 1."""
    largest = xp.max(logits, axis=1, keepdims=True)
    # In the dtype of the logits a temperature may be zero, and the largest over it nan.
    least = float(xp.finfo(logits.dtype).smallest_normal)
    grown = xp.exp((logits - largest) / max(temperature, least))
    return largest[:, 0], xp.sum(grown, axis=1)
