"""How often optimal matching finds a frame whose rows were permuted, under noise.

``python -m benchmarks.matching_success`` prints, for frames of more and more classes,
the disparity of the planted assignment and how often one that is as good was found.
"""

import time

import numpy as np

from sklearn_collapse import ClassMoments
from sklearn_collapse.etf import ETFAligner, spread_frame

_SHAPES = ((15, 5), (30, 8), (60, 12), (100, 16), (100, 32))
_NOISE = (0.1, 0.15, 0.2, 0.3)  # length of the noise, in units of a vertex


def main(draws=5):
    """Print one row per frame and size of the noise."""
    print(f"{'frame':>12}{'noise':>8}{'planted':>10}{'found':>8}{'seconds':>9}")
    for shape in _SHAPES:
        frame = spread_frame(*shape)
        for noise in _NOISE:
            results = [_match(frame, noise, seed) for seed in range(draws)]
            planted, hits, seconds = np.mean(results, axis=0)
            size = f"{shape[0]} x {shape[1]}"
            share = f"{hits:.0%}"
            print(f"{size:>12}{noise:8.2f}{planted:10.3f}{share:>8}{seconds:9.1f}")


def _match(frame, noise, seed):
    """Planted disparity, whether one as small was found, and the time it took."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(frame))
    means = frame[order] + rng.normal(
        scale=noise / frame.shape[1] ** 0.5, size=frame.shape
    )
    labels = np.repeat(np.arange(len(frame)), 2)
    moments = ClassMoments.from_arrays(np.repeat(means, 2, axis=0), labels)
    planted = ETFAligner(frame[order]).fit_moments(moments).disparity_
    start = time.perf_counter()
    found = ETFAligner(frame, matching="optimal").fit_moments(moments).disparity_
    return planted, found <= planted * (1 + 1e-9), time.perf_counter() - start


if __name__ == "__main__":
    main()
