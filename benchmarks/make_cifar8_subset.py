"""Make the feature file that sklearn_collapse.datasets bundles.

    python benchmarks/make_cifar8_subset.py FULL.npz [--output SUBSET.npz]

FULL.npz holds all features that were extracted, under the keys listed in
sklearn_collapse/datasets/data/README.md. Rows are drawn with a fixed seed and keep
the order they have in FULL.npz, so the same input always gives the same arrays.
"""

import argparse
from pathlib import Path

import numpy as np

SEED = 0
TRAIN_PER_CLASS = 1000
TEST_PER_CLASS = 250
NEAR_PER_CLASS = 250
FAR_PER_SET = 500
FAR_KEYS = ("X_far_texture", "X_far_digits", "X_far_noise")
OUTPUT = (
    Path(__file__)
    .parents[1]
    .joinpath("sklearn_collapse", "datasets", "data", "cifar8_features.npz")
)


def draw_rows(labels, n_per_label, rng):
    """Draw rows of every label without replacement; return sorted indices."""
    drawn = [
        rng.choice(np.flatnonzero(labels == label), n_per_label, replace=False)
        for label in np.unique(labels)
    ]
    return np.sort(np.concatenate(drawn))


def make_subset(full):
    """Draw the bundled arrays from a mapping of the full ones."""
    # RandomState, unlike Generator, keeps its stream from one NumPy to the next.
    rng = np.random.RandomState(SEED)
    subset = {}
    for features, labels, n_per_label in [
        ("X_train", "y_train", TRAIN_PER_CLASS),
        ("X_test", "y_test", TEST_PER_CLASS),
        ("X_near_ood", "near_ood_label", NEAR_PER_CLASS),
    ]:
        rows = draw_rows(full[labels], n_per_label, rng)
        subset[features] = full[features][rows].astype(np.float16)
        subset[labels] = full[labels][rows]
    for key in FAR_KEYS:
        X = full[key]
        rows = np.sort(rng.choice(X.shape[0], FAR_PER_SET, replace=False))
        subset[key] = X[rows].astype(np.float16)
    for key in ("coef", "intercept", "class_names"):
        subset[key] = full[key]
    return subset


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("full", type=Path, help="file with all features (.npz)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="file to write")
    args = parser.parse_args()
    with np.load(args.full, allow_pickle=False) as full:
        # Each look-up in an open archive decompresses anew; read every array once.
        subset = make_subset({key: full[key] for key in full.files})
    np.savez_compressed(args.output, **subset)
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.2f} MB")
    for key, value in subset.items():
        print(f"  {key:<15}{value.shape!s:<12} {value.dtype}")


if __name__ == "__main__":
    main()
