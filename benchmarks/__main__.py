"""Print one table, all measured in this run, and write it as CSV beside it."""

import argparse
import csv
import os
import platform
from pathlib import Path

import numpy as np
import scipy
import sklearn

from benchmarks._cases import CASES
from sklearn_collapse import __version__

_HEAD = ("work", "what", "value", "unit", "against", "ratio")


def main():
    """Run the cases."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("-n", type=int, default=100_000, help="rows")
    parser.add_argument("-d", type=int, default=512, help="features")
    parser.add_argument("-c", "--classes", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--csv", default=str(Path(__file__).parent / "results" / "latest.csv")
    )
    arguments = parser.parse_args()
    print(
        f"sklearn_collapse {__version__}, numpy {np.__version__}, scipy "
        f"{scipy.__version__}, scikit-learn {sklearn.__version__}, Python "
        f"{platform.python_version()}, {os.cpu_count()} cores\n"
        f"n = {arguments.n}, d = {arguments.d}, C = {arguments.classes}, float32 "
        f"input, best of {arguments.repeats}\n"
    )
    print(f"{'work':<12} {'what':<42} {'value':>10}       {'ratio':>6}  against")
    rows = []
    for case in CASES:
        size = (arguments.n, arguments.d, arguments.classes, arguments.repeats)
        for work, what, value, unit, against, ratio in case(*size):
            shown = f"{ratio:6.2f}" if ratio != "" else " " * 6
            print(
                f"{work:<12} {what:<42} {value:10.4g} {unit:<5} {shown}  {against}",
                flush=True,
            )
            rows.append((work, what, value, unit, against, ratio))
    with open(arguments.csv, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([_HEAD, *rows])


if __name__ == "__main__":
    main()
