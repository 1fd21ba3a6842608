"""What one of two processes does in the tests of a tracker of distributed training.

python tracker_ranks.py FOLDER RANK
"""

import json
import sys
import warnings
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch

from sklearn_collapse.extraction import CollapseTracker
from sklearn_collapse.extraction._epoch import is_distributed

SIZE = 2
PATIENCE = 60.0  # seconds that a rank waits for the other


def make_model():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(5, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)
    )


def make_rows():
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    X = rng.normal(size=(90, 5)) + y[:, None]
    return torch.tensor(X, dtype=torch.float32), torch.tensor(y)


def make_tracker():
    return CollapseTracker("2:input", head="2", metrics="all")


class Loader:
    """Share of a rank, of another size than that of the other."""

    def __init__(self, rank, fault):
        X, y = make_rows()
        mine = slice(0, 20) if rank == 0 else slice(20, None)
        self.X, self.y = X[mine].clone(), y[mine]
        self.fault = fault if rank == 1 else None
        if self.fault == "nan":
            self.X[40, 2] = torch.nan

    def __iter__(self):
        for rows in torch.arange(len(self.X)).split(16):
            yield self.X[rows], self.y[rows]
        if self.fault == "disk":
            raise OSError("disk gone")


def main(folder, rank):
    torch.distributed.init_process_group(
        "gloo",
        store=torch.distributed.FileStore(str(folder / "store"), SIZE),
        rank=rank,
        world_size=SIZE,
        timeout=timedelta(seconds=PATIENCE),
    )
    tracker, told = make_tracker(), {"distributed": is_distributed()}
    for fault in (None, "disk", "nan"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                tracker(make_model(), Loader(rank, fault), distributed=True)
            except (OSError, RuntimeError) as error:
                told[fault] = f"{type(error).__name__}: {error}"
        told[f"warnings of {fault}"] = [str(w.message) for w in caught]
    torch.distributed.destroy_process_group()
    told["records"] = tracker.state_dict()["epochs"]
    (folder / f"{rank}.json").write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
