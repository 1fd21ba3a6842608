"""Error of covariance estimates when more and more rows are outliers, and their cost.

``python -m benchmarks.robust_covariance`` prints the relative error in the Frobenius
norm, the median of some draws, for rows of which a share lies far out in one place,
and the seconds that one fit takes.
"""

import time

import numpy as np
from sklearn.covariance import EmpiricalCovariance, MinCovDet

from sklearn_collapse.ood import ComedianCovariance

_ESTIMATORS = {
    "comedian": ComedianCovariance(),
    "unshrunk": ComedianCovariance(0.0),
    "MinCovDet": MinCovDet(random_state=0),
    "empirical": EmpiricalCovariance(),
}
_SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.45)
_TIMED = ((2000, 16), (2000, 64))


def main(n=500, d=10, draws=5):
    """Print a row per share of outliers, and a row per size with the seconds."""
    header = "".join(f"{name:>12}" for name in _ESTIMATORS)
    print(f"relative error, n = {n}, d = {d}\n{'outliers':>12}{header}")
    for share in _SHARES:
        errors = np.median([_errors(n, d, share, seed) for seed in range(draws)], 0)
        print(f"{share:12.0%}" + "".join(f"{error:12.3f}" for error in errors))
    print(f"\nseconds\n{'n x d':>12}{header}")
    for shape in _TIMED:
        X = np.random.default_rng(0).normal(size=shape)
        label = f"{shape[0]} x {shape[1]}"
        seconds = "".join(f"{_seconds(e, X):12.3f}" for e in _ESTIMATORS.values())
        print(f"{label:>12}{seconds}", flush=True)


def _errors(n, d, share, seed):
    """Error of each estimator on rows of variances 1 to 4 in random directions."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    root = turn * np.linspace(1, 2, d)
    X = rng.normal(size=(n, d)) @ root.T
    outliers = int(share * n)
    X[:outliers] = 20 + 0.5 * rng.normal(size=(outliers, d))
    truth = root @ root.T
    return [
        np.linalg.norm(estimator.fit(X).covariance_ - truth) / np.linalg.norm(truth)
        for estimator in _ESTIMATORS.values()
    ]


def _seconds(estimator, X):
    start = time.perf_counter()
    estimator.fit(X)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
