"""What one rank does in the tests of `ClassMoments.all_reduce`, and with which rows.

    python all_reduce_ranks.py FOLDER

Every scenario runs in the same four processes: starting them costs more than all else.
"""

import importlib
import multiprocessing
import os
import pickle
import sys
import time
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np

SIZE = 4
LATE = 2.0  # seconds that groups in which a rank fails wait for it
PATIENCE = 60.0  # seconds that other groups would wait, and all ranks may take
FINE = 2.0**-39
DIES_AT = {"at first": 0, "among the sums": 3, "at the end": 5}  # sums before


class Scenario(NamedTuple):
    """Rows of all ranks and how each gathers its own."""

    parts: list  # of index arrays, one per rank
    X: Any
    y: Any = None
    weights: Any = None
    options: dict = {}
    of_rank: dict = {}  # options of single ranks
    library: str = "numpy"
    libraries: dict = {}  # of single ranks
    batch: int = 40


def scenarios():
    """All that end with the moments of all ranks, by name."""
    rng = np.random.default_rng(0)
    n, d = 240, 5
    y = rng.integers(1, 6, n)
    X = rng.normal(size=(n, d)) + 3 * y[:, None]
    weights = rng.integers(0, 4, n) / 2

    def cut(*edges):
        return np.split(np.arange(n), edges)

    y_alone = y.copy()
    y_alone[:4], y_alone[-4:] = 0, 9  # on the first and the last rank only
    none = np.zeros(0, dtype=int)
    words = np.array(["a", "bb", "ccc", "dddd", "a longer one"], dtype=object)[y - 1]
    few_words = cut(120)
    words[few_words[0]] = np.where(np.arange(120) % 2, "a", "bb")
    mixed = np.array([*y[:120].tolist(), *words[120:].tolist()], dtype=object)
    return {
        "two": Scenario(cut(10), X, y),
        "three": Scenario(cut(10, 100), X, y_alone, weights),
        "four": Scenario(cut(60, 100, 200), X, y_alone),
        "class scatter": Scenario(
            cut(60, 100, 200), X, y_alone, weights, {"class_scatter": True}
        ),
        "first empty": Scenario(
            [none, *cut(100)], X, y, options={"class_scatter": True}
        ),
        "two empty": Scenario([cut()[0], none, none], X, y),
        "all empty": Scenario([none, none], X, y),
        "far": Scenario(cut(50, 100, 180), X + 1e4, y),
        # About 2^13, in units of its rounding; one row per class and rank.
        "very far": Scenario(
            [np.arange(k, 12, 4) for k in range(4)],
            2.0**13 + FINE * rng.integers(-64, 64, (12, d)),
            np.repeat(np.arange(3), 4),
        ),
        "words": Scenario(few_words, X, words),
        "words and numbers": Scenario(few_words, X, mixed),
        "no labels": Scenario(cut(100), X),
        "unit rows": Scenario(cut(100), X, y, options={"normalize": True}),
        "tensors": Scenario([*cut(60, 100), none], X, y, library="torch"),
        "strict": Scenario(cut(60), X, y, library="array_api_strict"),
        "one single": Scenario(cut(60), X, y, of_rank={1: {"precision": "single"}}),
        "declared": Scenario(cut(60), X, y, options={"classes": [*range(10)]}),
    }


def mismatches():
    """Those that raise on every rank; rank 1 differs."""
    good = scenarios()["three"]._replace(y=None, weights=None)
    labelled = good._replace(y=np.arange(240) % 3)
    return {
        "normalize": good._replace(of_rank={1: {"normalize": True}}),
        "class_scatter": good._replace(of_rank={1: {"class_scatter": True}}),
        "n_features": good,
        "labelled": good,
        "names": good,
        "library": good._replace(libraries={1: "torch"}),
        "classes": labelled._replace(of_rank={1: {"classes": [0, 1]}}),
        "pickle": labelled,
        "unpickle": labelled,
        "device": scenarios()["tensors"]._replace(
            parts=[*np.split(np.arange(240), [99])]
        ),
        # Ranks 0 and 1 on one side, rank 2 on the other; each alone is fine.
        "overflow": good._replace(
            X=np.where(np.arange(240)[:, None] < 100, 5e152, -5e152) * np.ones(5)
        ),
    }


class Local:
    """A label that cannot be sent, since its class cannot be found by name."""


Local.__qualname__ = "nowhere.Local"


class Elsewhere:
    """A label that can be sent, and read on rank 1 only."""

    rank = None

    def __reduce__(self):
        return read_elsewhere, ()


def read_elsewhere():
    """Read what `Elsewhere` sends."""
    if Elsewhere.rank != 1:
        raise ModuleNotFoundError("No module named 'elsewhere'")
    return Elsewhere()


def fail_once(owner, name):
    """Let a method raise when it is called next."""
    whole = getattr(owner, name)

    def failing(*args):
        setattr(owner, name, whole)
        raise AssertionError("Torch not compiled with CUDA enabled")

    setattr(owner, name, failing)


def gather(scenario, rank, name=""):
    """Moments of a rank's own rows."""
    from sklearn_collapse import ClassMoments

    options = {**scenario.options, **scenario.of_rank.get(rank, {})}
    if name == "classes" and rank == 1:
        scenario.parts[1] = scenario.parts[1][scenario.parts[1] % 3 < 2]
    moments = ClassMoments(**options)
    index, library = scenario.parts[rank], scenario.library
    X = scenario.X
    y, odd = scenario.y, rank == 1
    X = X[:, :3] if odd and name == "n_features" else X
    y = np.arange(len(X)) % 2 if odd and name == "labelled" else y
    if odd and name == "pickle":
        y = np.array([Local()] * len(X), dtype=object)
    if odd and name == "unpickle":
        y = np.array([Elsewhere()] * len(X), dtype=object)
    if odd and name == "device":  # a rank without rows looks for one
        from sklearn_collapse._moments_reduce import Group

        fail_once(Group, "empty")
        return moments
    for start in range(0, len(index), scenario.batch):
        rows = index[start : start + scenario.batch]
        block = place(X[rows], scenario.libraries.get(rank, library))
        if name == "names":
            import pandas

            columns = [f"{'x' if odd else 'z'}{j}" for j in range(X.shape[1])]
            block = pandas.DataFrame(block, columns=columns)
        parts = (None if v is None else v[rows] for v in (y, scenario.weights))
        moments.update(block, *parts)
    return moments


def place(X, library):
    """Rows in an array library."""
    return X if library == "numpy" else __import__(library).asarray(X)


def seen(moments):
    """Everything that can be told about moments; None of empty ones."""
    if "empty" in repr(moments):
        return None
    state = moments.to_dict()
    if isinstance(
        state["classes"][0], (Local, Elsewhere)
    ):  # these cannot be sent to the test either
        state["classes"] = np.array([id(label) for label in state["classes"]])
    return {
        **state,
        "device": moments.device_,
        "n_features": moments.n_features,
        "library": type(moments.scatter_).__module__.partition(".")[0],
    }


def attempt(moments, group, call=None):
    """What all_reduce does to moments: what was there, what is, what was raised."""
    before, error, result = seen(moments), None, None
    start = time.monotonic()
    try:
        result = call() if call else moments.all_reduce(group)
    except Exception as raised:
        error = (type(raised).__name__, str(raised))
    return {
        "before": before,
        "after": seen(moments),
        "error": error,
        "itself": result is moments,
        "seconds": time.monotonic() - start,
    }


def run(rank, folder):
    """Run every scenario as one of the ranks."""
    import torch
    import torch.distributed as dist

    Elsewhere.rank = rank
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=SIZE,
        timeout=timedelta(seconds=PATIENCE),
    )

    def group_of(size, seconds):
        dist.barrier()  # a short timeout holds for the start of the group as well
        return dist.new_group(range(size), timeout=timedelta(seconds=seconds))

    groups = {n: group_of(n, PATIENCE) for n in (1, 2, 3)} | {SIZE: None}  # that of all
    late = group_of(SIZE, LATE)
    doomed = {n: group_of(n, LATE) for n in (4, 3, 2)}
    found = {}
    for name, scenario in {**scenarios(), **mismatches()}.items():
        if rank < len(scenario.parts):
            group = groups[len(scenario.parts)]
            found[name] = attempt(gather(scenario, rank, name), group)

    known = scenarios()["four"]
    moments = gather(known, rank)
    found["alone"] = attempt(moments, groups[1])  # rank 0; the others are not in it
    found["detector"] = fitted_scores(gather(known, rank), known.X)
    found["goes on"] = goes_on(known, rank)
    if rank:
        found["late"] = attempt(moments, late)
    for (how, n_sums), (size, group) in zip(
        DIES_AT.items(), doomed.items(), strict=True
    ):
        victim = size - 1
        if rank == victim:
            write(found, folder, rank)
            die_after(dist, n_sums, how)
        if rank <= victim:
            found[how] = attempt(moments, group)
    write(found, folder, rank)
    os._exit(0)  # a group that has lost a rank cannot be taken down


def fitted_scores(moments, X):
    """Scores of a detector that was fitted on the moments of all ranks."""
    from sklearn_collapse.ood import MahalanobisDetector

    detector = MahalanobisDetector(relative=True).fit_moments(moments.all_reduce())
    return detector.score_samples(X)


def goes_on(scenario, rank):
    """Rows that come after the sum, on this rank alone."""
    moments = gather(scenario, rank).all_reduce()
    return seen(moments.update(scenario.X, scenario.y))


def die_after(dist, n_sums, how):
    """Let this process end in the middle, with that many sums behind it."""
    original, calls = dist.all_reduce, []

    def all_reduce(*args, **kwargs):
        if len(calls) == n_sums:
            os._exit(7)
        calls.append(how)
        return original(*args, **kwargs)

    def all_gather_object(*args, **kwargs):
        os._exit(7)

    dist.all_reduce = all_reduce
    if how == "at first":
        dist.all_gather_object = all_gather_object


def write(found, folder, rank):
    """Leave what was found for the test."""
    with open(os.path.join(folder, f"{rank}.pkl"), "wb") as file:
        pickle.dump(found, file)


def main(folder):
    """Run all ranks, forked from one process that has imported everything."""
    for name in ("array_api_strict", "pandas", "torch", "sklearn_collapse.ood"):
        importlib.import_module(name)
    method = "fork" if sys.platform == "linux" else "spawn"
    context = multiprocessing.get_context(method)
    ranks = [context.Process(target=run, args=(r, folder)) for r in range(SIZE)]
    deadline = time.monotonic() + PATIENCE
    try:
        for process in ranks:
            process.start()
        for process in ranks:
            process.join(max(0.0, deadline - time.monotonic()))
        print(*[process.exitcode for process in ranks])
    finally:
        for process in ranks:
            process.kill()


if __name__ == "__main__":
    main(sys.argv[1])
