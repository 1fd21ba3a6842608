"""Make the feature files that sklearn_collapse.datasets bundles.

    python benchmarks/make_cifar8_subset.py FULL.npz [--output SUBSET.npz]
    python benchmarks/make_cifar8_subset.py --trajectory FULL.npz [--output SUBSET.npz]

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
TRAJECTORY_PER_CLASS = 250
DATA = Path(__file__).parents[1].joinpath("sklearn_collapse", "datasets", "data")


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


def make_trajectory(full):
    """Draw the same rows at every epoch."""
    rng = np.random.RandomState(SEED)
    rows = draw_rows(full["y"], TRAJECTORY_PER_CLASS, rng)
    subset = {"y": full["y"][rows]}
    for key, value in full.items():
        if key.startswith("X_epoch"):
            subset[key] = value[rows].astype(np.float16)
        elif key != "y":
            subset[key] = value
    return subset


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("full", type=Path, help="file with all features (.npz)")
    parser.add_argument("--output", type=Path, help="file to write")
    parser.add_argument(
        "--trajectory", action="store_true", help="make the file of several epochs"
    )
    args = parser.parse_args()
    make = make_trajectory if args.trajectory else make_subset
    name = "cifar8_trajectory.npz" if args.trajectory else "cifar8_features.npz"
    output = args.output or DATA / name
    with np.load(args.full, allow_pickle=False) as full:
        # Each look-up in an open archive decompresses anew; read every array once.
        subset = make({key: full[key] for key in full.files})
    np.savez_compressed(output, **subset)
    print(f"{output}: {output.stat().st_size / 1e6:.2f} MB")
    for key, value in subset.items():
        print(f"  {key:<22}{value.shape!s:<12} {value.dtype}")


if __name__ == "__main__":
    main()
