"""Share of bootstrap intervals that hold the true value: figures in the docstring.

    python -m benchmarks.bootstrap_coverage [--rows 200] [--runs 150]

The true value is that of 400,000 rows.
"""

import argparse

import numpy as np

from sklearn_collapse.metrics import METRICS, bootstrap_interval

MEANS = 1.5 * np.random.default_rng(5).normal(size=(4, 6))
SCALES = np.array([1.1, 1.0, 1.0, 1.0, 0.9])


def classes(rng, n):
    """Four Gaussian classes in six dimensions."""
    y = np.arange(n) % 4
    return MEANS[y] + rng.normal(size=(n, 6)), y


def cloud(rng, n):
    """Nearly isotropic rows in five dimensions, without labels."""
    return (rng.normal(size=(n, 5)) * SCALES,)


CASES = {
    "participation_ratio": cloud,
    "effective_rank": cloud,
    "vci": classes,
    "nc1_trace_ratio": classes,
    "nc1_pinv": classes,
    "cdnv": classes,
}


def coverage(name, n, runs):
    """Share of the intervals of each method that hold the true value."""
    draw, function = CASES[name], METRICS[name].function
    truth = function(*draw(np.random.default_rng(99), 400_000))
    rng, held = np.random.default_rng(1), {"basic": 0, "percentile": 0}
    for seed in range(runs):
        data = draw(rng, n)
        for method in held:
            found = bootstrap_interval(
                name, *data, n_resamples=150, method=method, random_state=seed
            )
            held[method] += found.low <= truth <= found.high
    return {method: count / runs for method, count in held.items()}


def main():
    """Print one line per metric."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--runs", type=int, default=150)
    args = parser.parse_args()
    for name in CASES:
        shares = coverage(name, args.rows, args.runs)
        print(f"{name:20}", *(f"{k} {v:.2f}" for k, v in shares.items()), flush=True)


if __name__ == "__main__":
    main()
