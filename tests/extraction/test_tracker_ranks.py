"""A tracker in two processes that train together."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import tracker_ranks  # noqa: E402

import sklearn_collapse  # noqa: E402
from sklearn_collapse.extraction._epoch import is_distributed  # noqa: E402

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available() or not torch.distributed.is_gloo_available(),
    reason="torch was built without gloo",
)
SCRIPT = Path(tracker_ranks.__file__)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What both processes write; they are ended in any case."""
    folder = tmp_path_factory.mktemp("ranks")
    root = Path(sklearn_collapse.__file__).parent.parent
    paths = [str(root), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    env["OMP_NUM_THREADS"] = "1"
    if sys.platform == "linux":
        env.setdefault("GLOO_SOCKET_IFNAME", "lo")  # there may be no network
    processes = []
    try:
        for rank in range(tracker_ranks.SIZE):
            command = [sys.executable, str(SCRIPT), str(folder), str(rank)]
            pipe = subprocess.PIPE
            process = subprocess.Popen(command, stderr=pipe, text=True, env=env)
            processes.append(process)
        for process in processes:
            _, errors = process.communicate(timeout=2 * tracker_ranks.PATIENCE)
            assert process.returncode == 0, errors
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    files = (folder / f"{rank}.json" for rank in range(tracker_ranks.SIZE))
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def test_each_has_the_numbers_of_all_rows(told):
    assert [one["distributed"] for one in told] == [True, True]
    assert not is_distributed()
    first, second = (one["records"][0]["layers"]["2:input"] for one in told)
    assert first == second
    X, y = tracker_ranks.make_rows()
    tracker = tracker_ranks.make_tracker()
    expected = tracker(tracker_ranks.make_model(), [(X, y)])["2:input"]
    rounding = 1e3 * torch.finfo(torch.float32).eps
    assert first == pytest.approx(expected, rel=rounding)
    assert {"nc4_agreement", "ncm_accuracy", "nc3_product"} <= set(first)


def test_a_loader_that_raises_keeps_nobody_waiting(told):
    assert told[0]["disk"].startswith("RuntimeError: Another process could not")
    assert told[1]["disk"] == "OSError: disk gone"
    # It is no epoch of the history: the next call takes its number.
    assert [len(one["records"]) for one in told] == [2, 2]


def test_features_of_one_that_are_not_finite(told):
    for one in told:
        row = one["records"][1]["layers"]["2:input"]
        assert row
        assert set(row.values()) == {"nan"}
        (message,) = one["warnings of nan"]
        assert "epoch 1 are not finite" in message
        assert one["warnings of None"] == one["warnings of disk"] == []
