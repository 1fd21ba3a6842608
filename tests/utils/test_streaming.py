"""GPUs without a GPU: the order of copies, memory that runs out, full precision."""

import random
import threading
import types

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from test_common import ONE_OF_EACH_CLASS

from sklearn_collapse import ClassMoments, LinearHead
from sklearn_collapse._linalg import _rows
from sklearn_collapse._linalg._rows import class_distances, class_metric, map_rows
from sklearn_collapse.collapse import NeuralCollapseScorer
from sklearn_collapse.metrics import cdnv, effective_rank, lid
from sklearn_collapse.ood import MahalanobisDetector
from sklearn_collapse.utils import _arrays, _gpu
from sklearn_collapse.utils._arrays import Rows, namespace
from sklearn_collapse.utils._gpu import Feed, check_float64, full_precision, halved

torch = pytest.importorskip("torch")


METHODS = (
    *("calibrate", "score_samples", "decision_function", "transform", "predict"),
    *("predict_proba", "p_values", "score"),
)


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 256 rows."""
    monkeypatch.setattr(_arrays, "_BLOCK_BYTES", 1)


@pytest.fixture
def elsewhere(monkeypatch):
    """NumPy rows go to torch; main memory stands for a GPU."""
    monkeypatch.setattr(_arrays, "gpu_for", lambda device, work: torch.empty(0))


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 7, 1500)
    return rng.normal(size=(1500, 5)) + 3 * rng.normal(size=(7, 5))[y], y


# -- blocks on their way ---------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 4, 5, 8, 23])
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "bool"])
def test_feed(n, ordered, dtype):
    X = (np.arange(2 * 30).reshape(30, 2) % 7).astype(dtype)
    X.flags.writeable = False
    order = np.random.default_rng(0).permutation(30)[:n] if ordered else None
    X = X if ordered else X[:n]
    feed = Feed(X, order, 4, torch.empty(0))
    expected = X if order is None else X[order]
    for start in range(0, n, 4):
        here = slice(start, min(start + 4, n))
        block = feed.block(here)
        assert str(block.dtype).endswith(dtype)
        assert_array_equal(block.numpy(), expected[here])
    feed.close()


def test_feed_where_the_program_has_another_default_device():
    torch.set_default_device("meta")
    try:
        feed = Feed(np.eye(3), None, 2, torch.empty(0, device="cpu"))
        assert_array_equal(feed.block(slice(0, 2)).numpy(), np.eye(3)[:2])
    finally:
        torch.set_default_device(None)


def test_feed_sends_the_next_block_ahead(monkeypatch):
    sent = []
    send = _gpu._Lane.send

    def spy(lane, X, index):
        sent.append((index.start, index.stop))
        send(lane, X, index)

    monkeypatch.setattr(_gpu._Lane, "send", spy)
    feed = Feed(np.zeros((10, 2)), None, 4, torch.empty(0))
    seen = []
    for here in (slice(0, 4), slice(4, 8), slice(8, 10)):
        feed.block(here)
        seen.append(sent.copy())
    assert seen == [sent[:2], sent, sent]
    assert sent == [(0, 4), (4, 8), (8, 10)]


class FakeCuda:
    """Streams and events of torch.cuda, whose work is done late and in any order.

    Work waits in queues. Now and then some of it is done: always the first of a
    queue, and nothing behind an event that has not happened.
    """

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.main = Queue(self)
        self.queues = [self.main]
        self.using = [self.main]
        self.log = []

    def Stream(self, device):
        self.queues.append(Queue(self))
        return self.queues[-1]

    def Event(self):
        return Event(self)

    def current_stream(self, device=None):
        return self.using[-1]

    def stream(self, queue):
        cuda = self

        class Using:
            def __enter__(self):
                cuda.using.append(queue)

            def __exit__(self, *error):
                cuda.using.pop()

        return Using()

    def run(self, steps):
        for _ in range(steps):
            ready = [q for q in self.queues if q.jobs and q.jobs[0][0]()]
            if not ready:
                return False
            self.random.choice(ready).jobs.pop(0)[1]()
        return True

    def sometimes(self):
        self.run(self.random.choice([0, 0, 1, 3]))

    def finish(self):
        while self.run(1):
            pass
        assert not any(q.jobs for q in self.queues)


class Queue:
    def __init__(self, cuda):
        self.cuda, self.jobs = cuda, []

    def add(self, job, ready=lambda: True):
        self.jobs.append((ready, job))
        self.cuda.sometimes()

    def wait_event(self, event):
        recorded = event.recorded
        self.add(lambda: None, lambda: event.happened >= recorded)

    def wait_stream(self, other):
        event = Event(self.cuda)
        event.record(other)
        self.wait_event(event)


class Event:
    def __init__(self, cuda):
        self.cuda, self.recorded, self.happened = cuda, 0, 0

    def record(self, queue):
        self.recorded += 1
        number = self.recorded
        queue.add(lambda: setattr(self, "happened", number))

    def synchronize(self):
        while self.happened < self.recorded:
            assert self.cuda.run(1), "the host waits for ever"


@pytest.fixture(params=range(40))
def fake_cuda(request, monkeypatch):
    """Let tensors in main memory live on a GPU whose work is done late."""
    cuda = FakeCuda(request.param)
    for name in ("Stream", "Event", "current_stream", "stream"):
        monkeypatch.setattr(torch.cuda, name, getattr(cuda, name))
    empty, copy = torch.empty, torch.Tensor.copy_

    def late_copy(there, source, non_blocking=False):
        if not non_blocking:
            return copy(there, source)
        return cuda.current_stream().add(
            lambda: (cuda.log.append("copy"), copy(there, source))
        )

    def unpinned(*args, pin_memory=False, **options):
        return empty(*args, **options)

    monkeypatch.setattr(torch.Tensor, "copy_", late_copy)
    monkeypatch.setattr(torch, "empty", unpinned)
    monkeypatch.setattr(_gpu, "on_cuda", lambda x: isinstance(x, torch.Tensor))
    monkeypatch.setattr(_gpu, "_switch_tf32_off", lambda: lambda: None)
    monkeypatch.setattr(_arrays, "repays_float64", lambda target, work: True)
    return cuda


@pytest.mark.parametrize("ordered", [False, True])
def test_copies_and_work_wait_for_each_other(fake_cuda, monkeypatch, ordered):
    monkeypatch.setattr(_arrays, "gpu_for", lambda device, work: torch.empty(0))
    monkeypatch.setattr(_arrays, "block_rows", lambda width: 3)
    monkeypatch.setattr(_arrays, "block_factor", lambda x: 1)
    X = np.arange(58.0).reshape(29, 2)
    order = np.random.default_rng(1).permutation(29) if ordered else None
    found = np.full((29, 2), np.nan)

    def work(block, here):
        # A kernel that reads the block twice and leaves it overwritten.
        def first():
            found[here] = block.numpy()

        def second():
            found[here] = (found[here] + block.numpy()) / 2
            block.fill_(-1)

        fake_cuda.main.add(first)
        fake_cuda.main.add(second)

    # What ran before may still use memory that the buffers were given.
    fake_cuda.main.add(lambda: fake_cuda.log.append("earlier work"))
    Rows(X).visit(work, 2, torch.float64, order=order, copy=True)
    fake_cuda.finish()
    assert_array_equal(found, X if order is None else X[order])
    assert fake_cuda.log == ["earlier work", *["copy"] * 10]


def test_an_error_waits_for_copies_under_way(fake_cuda, monkeypatch):
    """Only then may the memory that they write to be given to someone else."""
    monkeypatch.setattr(_arrays, "gpu_for", lambda device, work: torch.empty(0))
    monkeypatch.setattr(_arrays, "block_rows", lambda width: 3)

    def work(block, here):
        raise KeyError(here.start)

    with pytest.raises(KeyError):
        Rows(np.zeros((1000, 2))).visit(work, 2, torch.float64)
    reused = []
    fake_cuda.main.add(lambda: reused.append(len(fake_cuda.queues[1].jobs)))
    fake_cuda.finish()
    assert reused == [0]


def test_large_results_come_home_block_by_block(
    rows, small_blocks, elsewhere, monkeypatch
):
    X, y = rows
    means = np.array([X[y == c].mean(axis=0) for c in range(7)])
    expected = np.linalg.norm(X[:, None] - means, axis=2)
    metric = class_metric(means, means.mean(axis=0), None, namespace(X))
    sizes = []
    home = Rows.home

    def spy(self, values):
        if not isinstance(values, np.ndarray) and values.ndim == 2:
            sizes.append(values.shape[0])
        return home(self, values)

    monkeypatch.setattr(Rows, "home", spy)
    for less, largest in ((0, 1500), (1, 256)):
        monkeypatch.setattr(_rows, "_COLLECTED", 8 * expected.size - less)
        sizes.clear()
        found = class_distances(Rows(X), metric)
        assert type(found) is np.ndarray
        assert_allclose(found, expected, rtol=1e-10)
        assert max(sizes) == largest
    # Several results, each of its own width, and none at all.
    wide, narrow = map_rows(Rows(X), lambda b, _: (b, b[:, 0] > 0), 5, home=True)
    assert_array_equal(wide, X)
    assert_array_equal(narrow, X[:, 0] > 0)


# -- memory that runs out --------------------------------------------------------------


class Memory:
    """Raises for blocks of more rows than fit, after some of their work was done."""

    def __init__(self, limit):
        self.limit, self.sizes = limit, []
        self.error = torch.cuda.OutOfMemoryError("full")

    def check(self, block):
        self.sizes.append(block.shape[0])
        if block.shape[0] > self.limit:
            raise self.error


@pytest.fixture
def memory(monkeypatch):
    """Room for blocks of 70 rows: 256 are halved twice."""
    memory = Memory(70)
    fetch, block = Rows.fetch, Feed.block

    def full_fetch(self, index, dtype, *, copy=False):
        rows = fetch(self, index, dtype, copy=copy)
        memory.check(rows)
        return rows

    def full_block(self, here):
        rows = block(self, here)
        memory.check(rows)
        return rows

    monkeypatch.setattr(Rows, "fetch", full_fetch)
    monkeypatch.setattr(Feed, "block", full_block)
    return memory


@pytest.fixture(params=["streamed", "tensors"])
def placed(request):
    """NumPy rows that are worked on elsewhere, and tensors."""
    if request.param == "tensors":
        return torch.asarray
    request.getfixturevalue("elsewhere")
    return np.asarray


def test_blocks_are_halved(rows, small_blocks, memory, placed):
    X, _ = rows
    seen = []
    work = Rows(placed(X))
    work.visit(lambda b, here: seen.append(here), 5, torch.float64)
    assert memory.sizes[:4] == [256, 128, 64, 64]
    # It sticks, in this pass and the next.
    assert set(memory.sizes[2:-1]) == {64}
    assert [here.start for here in seen] == list(range(0, 1500, 64))
    memory.sizes.clear()
    work.visit(lambda b, here: None, 5, torch.float64, order=np.arange(100))
    assert memory.sizes == [64, 36]


def test_buffers_shrink_with_the_blocks(rows, small_blocks, elsewhere, monkeypatch):
    """Their own memory may be what is lacking, and what the work lacks."""
    sizes, init = [], _gpu._Lane.__init__

    def small(self, shape, dtype, device, stream):
        sizes.append(shape[0])
        if shape[0] > 140:
            raise torch.cuda.OutOfMemoryError("full")
        init(self, shape, dtype, device, stream)

    monkeypatch.setattr(_gpu._Lane, "__init__", small)
    seen = []

    def work(block, here):
        if len(block) > 70:
            raise torch.cuda.OutOfMemoryError("full")
        seen.append(block.clone())

    Rows(rows[0]).visit(work, 5, torch.float64)
    assert sizes == [256, 128, 128, 64, 64]
    assert_array_equal(torch.cat(seen).numpy(), rows[0])


@pytest.mark.parametrize("class_scatter", [False, True])
def test_moments_when_memory_runs_out(
    rows, small_blocks, memory, placed, class_scatter, monkeypatch
):
    """Every step of a block may be the one that fails."""
    X, y = rows
    weights = np.linspace(0.5, 2, len(y))
    options = {"class_scatter": class_scatter, "normalize": True}
    monkeypatch.setattr(memory, "limit", 10**9)
    expected = ClassMoments.from_arrays(placed(X), y, weights, **options).to_dict()
    from sklearn_collapse._linalg import _moments

    steps = ["unit_rows", "_centre", "_pooling_weights"]
    steps += ["_run_scatters", "outer"] if class_scatter else ["add_gram", "_add_few"]
    for name in steps:
        whole, failed = getattr(_moments, name), []

        def step(*args, whole=whole, failed=failed):
            result = whole(*args)
            if len(failed) < 3:
                failed.append(1)
                raise torch.cuda.OutOfMemoryError("full")
            return result

        with monkeypatch.context() as patch:
            patch.setattr(_moments, name, step)
            patch.setattr(_moments, "_FEW", 2)
            patch.setattr(_gpu, "_FEWEST_ROWS", 8)
            state = ClassMoments.from_arrays(placed(X), y, weights, **options)
            state = state.to_dict()
        assert len(failed) == 3, name
        for key, value in expected.items():
            if value.dtype.kind == "f":
                assert_allclose(state[key], value, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.filterwarnings("ignore::sklearn_collapse.metrics.CollapseWarning")
def test_estimators_when_memory_runs_out(rows, small_blocks, memory, placed):
    X, y = rows
    X = X.astype(np.float32)
    memory.limit = 10**9
    detector = MahalanobisDetector(relative=True).fit(placed(X), y)
    scores = np.asarray(detector.score_samples(placed(X)))
    scorer = NeuralCollapseScorer(head="lda").fit(placed(X), y)
    distances = np.asarray(scorer.transform(placed(X)))
    memory.limit = 70
    memory.sizes.clear()
    again = MahalanobisDetector(relative=True).fit(placed(X), y)
    assert max(memory.sizes) > 70
    assert_allclose(np.asarray(again.score_samples(placed(X))), scores, rtol=1e-4)
    assert_allclose(again.offset_, detector.offset_, rtol=1e-4)
    other = NeuralCollapseScorer(head="lda").fit(placed(X), y)
    assert other.metrics_ == pytest.approx(scorer.metrics_, rel=1e-6, nan_ok=True)
    assert_allclose(np.asarray(other.transform(placed(X))), distances, rtol=1e-5)


def test_no_memory_at_all(rows, small_blocks, memory, placed):
    memory.limit = 0
    match = "memory does not even hold the work on 32 rows.*device='cpu'.*: full$"
    with pytest.raises(torch.cuda.OutOfMemoryError, match=match) as raised:
        ClassMoments.from_arrays(placed(rows[0]))
    assert memory.sizes == [256, 128, 64, 32]
    assert str(raised.value.__cause__) == "full"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("no memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        ValueError("CUDA error: out of memory"),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
def test_other_errors_are_raised_at_once(rows, small_blocks, memory, placed, error):
    memory.limit, memory.error = 0, error
    with pytest.raises(type(error)) as raised:
        ClassMoments.from_arrays(placed(rows[0]))
    assert raised.value is error
    assert memory.sizes == [256]


def test_memory_errors_of_numpy_are_not_swallowed(rows, small_blocks, memory):
    memory.limit, memory.error = 0, MemoryError("no memory")
    with pytest.raises(MemoryError, match="no memory"):
        ClassMoments.from_arrays(rows[0])
    assert memory.sizes == [256]


@pytest.mark.parametrize(
    "message",
    [
        "CUDA error: out of memory\nCUDA kernel errors might be …",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
)
def test_errors_that_say_it_in_words(message):
    assert halved(100, RuntimeError(message)) == 50


def test_out_of_memory_without_torch(monkeypatch):
    monkeypatch.delitem(_gpu.sys.modules, "torch")
    error = RuntimeError("CUDA error: out of memory")
    with pytest.raises(RuntimeError) as raised:
        halved(100, error)
    assert raised.value is error


def test_a_failed_block_holds_no_memory(rows, small_blocks, elsewhere, monkeypatch):
    """What the failed call held is free before the next try."""
    import weakref

    held, alive = [], []

    def work(block, here):
        alive.append(sum(ref() is not None for ref in held))
        if len(held) < 2:
            work.temporary = None
            temporary = torch.zeros(3)
            held.append(weakref.ref(temporary))
            raise torch.cuda.OutOfMemoryError("full")

    freed = []
    monkeypatch.setattr(
        torch.cuda,
        "empty_cache",
        lambda: freed.append(sum(ref() is not None for ref in held)),
    )
    Rows(rows[0]).visit(work, 5, torch.float64)
    assert alive[:3] == [0, 0, 0]
    # Then what torch itself keeps is given back, for cuBLAS and the like.
    assert freed == [0, 0]


# -- full precision --------------------------------------------------------------------


@pytest.fixture
def precision(monkeypatch):
    """Tensors count as CUDA's, and the program's settings are put back."""
    monkeypatch.setattr(_gpu, "on_cuda", lambda x: isinstance(x, torch.Tensor))
    monkeypatch.setattr(_gpu, "_PINNED", 0)
    monkeypatch.setattr(_arrays, "repays_float64", lambda target, work: True)
    matmul = torch.backends.cuda.matmul
    fine = hasattr(matmul, "fp32_precision")
    before = torch.get_float32_matmul_precision()
    every = torch.backends.fp32_precision if fine else None
    yield matmul
    if fine:
        torch.backends.fp32_precision = every
        matmul.fp32_precision = "none"
        torch.set_float32_matmul_precision("highest")
        torch.backends.mkldnn.matmul.fp32_precision = "none"
        matmul.fp32_precision = "none"
    torch.set_float32_matmul_precision(before)
    if fine:
        torch.backends.mkldnn.matmul.fp32_precision = "none"
        matmul.fp32_precision = "none"


SETTINGS = {
    "nothing": lambda: None,
    "highest": lambda: torch.set_float32_matmul_precision("highest"),
    "high": lambda: torch.set_float32_matmul_precision("high"),
    "medium": lambda: torch.set_float32_matmul_precision("medium"),
    "allow_tf32": lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
    "matmul": lambda: setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32"),
    "all": lambda: setattr(torch.backends, "fp32_precision", "tf32"),
    "all but matmul": lambda: (
        setattr(torch.backends, "fp32_precision", "tf32"),
        setattr(torch.backends.cuda.matmul, "fp32_precision", "ieee"),
    ),
}


def settings():
    """All that a program can read of the settings."""
    matmul, found = torch.backends.cuda.matmul, {}
    for name, read in (
        ("old", torch.get_float32_matmul_precision),
        ("allow_tf32", lambda: matmul.allow_tf32),
        ("fine", lambda: matmul.fp32_precision),
        ("all", lambda: torch.backends.fp32_precision),
        ("cpu", lambda: torch.backends.mkldnn.matmul.fp32_precision),
    ):
        try:
            found[name] = read()
        except (RuntimeError, AttributeError) as error:
            found[name] = type(error)
    return found


def is_full(matmul):
    if hasattr(matmul, "fp32_precision"):
        return matmul.fp32_precision != "tf32"
    return not matmul.allow_tf32


@pytest.mark.parametrize("name", SETTINGS)
def test_full_precision(precision, name):
    if name.startswith(("matmul", "all ")) or name == "all":
        pytest.importorskip("torch", "2.9", reason="a setting of later versions")
    SETTINGS[name]()
    before = settings()
    was_full = name in ("nothing", "highest", "all but matmul")
    assert is_full(precision) == was_full
    x = torch.zeros(1)
    with full_precision(x):
        assert is_full(precision)
        inside = settings()
        # Old and new settings agree: torch raises where they do not.
        if name != "all but matmul":
            assert inside["allow_tf32"] is False
        with full_precision(x):
            assert is_full(precision)
        assert is_full(precision)
    assert settings() == before
    with pytest.raises(KeyError, match="inside"), full_precision(x):
        raise KeyError("inside" if is_full(precision) else "TF32")
    assert settings() == before


def test_an_inherited_setting_is_inherited_again(precision):
    if not hasattr(precision, "fp32_precision"):
        pytest.skip("a setting of later versions")
    torch.backends.fp32_precision = "tf32"
    with full_precision(torch.zeros(1)):
        pass
    torch.backends.fp32_precision = "ieee"
    assert precision.fp32_precision == "ieee"


def test_precision_is_left_alone_elsewhere(monkeypatch):
    monkeypatch.setattr(_gpu._full_precision, "enter", lambda: 1 / 0)
    for x in (np.zeros(1), torch.zeros(1), None):
        with full_precision(x):
            pass


@pytest.mark.filterwarnings("ignore::sklearn_collapse.metrics.CollapseWarning")
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_full_precision_under_autocast(rows, placed, dtype):
    """Features are often handed over where a network runs in half precision."""
    X, y = rows
    X = placed(X.astype(np.float32))
    head = LinearHead(np.linspace(-1, 1, 15).reshape(3, 5))
    detector, scorer = MahalanobisDetector().fit(X, y), NeuralCollapseScorer().fit(X, y)

    def results():
        single = ClassMoments(precision="single").update(X, y)
        return [
            *(detector.score_samples(X), scorer.transform(X), single.scatter_),
            head.decision_function(torch.asarray(X)),
        ]

    expected = results()
    with torch.autocast("cpu", dtype=getattr(torch, dtype)):
        found = results()
        assert torch.is_autocast_enabled("cpu")
    for values, plain in zip(found, expected, strict=True):
        assert_array_equal(np.asarray(values), np.asarray(plain))


def test_full_precision_until_the_last_thread_is_done(precision):
    torch.set_float32_matmul_precision("high")
    first, second, done = (threading.Event() for _ in range(3))

    def other():
        with full_precision(torch.zeros(1)):
            second.set()
            done.wait(10)

    with full_precision(torch.zeros(1)):
        thread = threading.Thread(target=other)
        thread.start()
        second.wait(10)
        first.set()
    assert is_full(precision)
    done.set()
    thread.join()
    assert not is_full(precision)


@pytest.mark.filterwarnings("ignore::sklearn_collapse.metrics.CollapseWarning")
def test_products_run_in_full_precision(
    rows, precision, placed, small_blocks, monkeypatch
):
    """Everything that multiplies rows by something, on tensors and streamed rows."""
    if placed is np.asarray:  # copies to main memory, as if to a GPU
        monkeypatch.setattr(Feed, "__init__", fed_without_streams(Feed.__init__))
    X, y = rows
    X = placed(X.astype(np.float32))
    torch.set_float32_matmul_precision("high")
    xp = namespace(torch.empty(0))
    matmul, seen = xp.matmul, []

    def spy(a, b):
        if a.dtype == torch.float32 and a.shape[0] > 200:
            seen.append(is_full(precision))
        return matmul(a, b)

    monkeypatch.setattr(xp, "matmul", spy)
    detector = MahalanobisDetector().fit(X, y)
    detector.score_samples(X)
    NeuralCollapseScorer(head="lda").fit(X, y).transform(X)
    ClassMoments(precision="single").update(X, y).means_  # noqa: B018
    LinearHead(np.eye(5)).decision_function(torch.asarray(X))
    assert len(seen) > 5
    assert all(seen)
    assert not is_full(precision)


def fed_without_streams(init):
    def plain(self, X, order, step, target):
        cuda, _gpu.on_cuda = _gpu.on_cuda, lambda x: False
        try:
            init(self, X, order, step, target)
        finally:
            _gpu.on_cuda = cuda

    return plain


# -- float64 where it is fast ----------------------------------------------------------


@pytest.mark.parametrize(
    ("capability", "fast"),
    [((7, 0), True), ((8, 0), True), ((9, 0), True), ((10, 0), True), ((6, 0), True),
     ((6, 1), False), ((7, 5), False), ((8, 6), False), ((8, 9), False),
     ((10, 3), False), ((12, 0), False)],
)  # fmt: skip
def test_auto_counts_work_at_the_rate_of_float64(
    elsewhere, monkeypatch, capability, fast
):
    monkeypatch.setattr(_gpu, "on_cuda", lambda x: isinstance(x, torch.Tensor))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    wide, narrow = np.zeros((2, 2)), np.zeros((2, 2), dtype=np.float32)
    for work, anywhere in ((2e11, False), (63e11, False), (64e11, True)):
        goes = fast or anywhere
        assert Rows(wide, "auto", work).streamed == goes
        assert Rows(np.zeros((2, 2), dtype=int), "auto", work).streamed == goes
        assert Rows(narrow, "auto", work).streamed
        assert Rows(narrow, "auto", work, double=True).streamed == goes
        assert Rows(wide, "auto", work, double=False).streamed
        # Whoever names a device gets it.
        assert Rows(wide, "cuda", work).streamed


@pytest.mark.parametrize("precision", ["double", "single"])
def test_moments_count_the_precision_of_their_products(monkeypatch, precision):
    asked = []
    plain = Rows.__init__

    def spy(self, X, device, work=0.0, *, double=None):
        asked.append((work, double))
        plain(self, X, device, work, double=double)

    monkeypatch.setattr(Rows, "__init__", spy)
    X = np.ones((5, 3), dtype=np.float32)
    ClassMoments(precision=precision).update(X).means_  # noqa: B018
    assert asked[-1] == (45.0, precision == "double")


# -- devices without float64 -----------------------------------------------------------


@pytest.fixture
def no_float64(monkeypatch):
    """The device "meta" refuses float64, as Apple's does."""
    empty = torch.empty

    def refuse(*args, dtype=None, device=None, **options):
        if str(device) == "meta" and dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return empty(*args, dtype=dtype, device=device, **options)

    monkeypatch.setattr(torch, "empty", refuse)
    return empty(6, 2, device="meta")


def test_devices_without_float64(no_float64):
    match = "Device 'meta' has no float64.*device='cpu'.*CUDA device"
    with pytest.raises(ValueError, match=match):
        Rows(no_float64)
    with pytest.raises(ValueError, match=match):
        _gpu.gpu_for("meta", 1.0)


def test_estimators_on_devices_without_float64(no_float64):
    match = "Device 'meta' has no float64"
    with pytest.raises(ValueError, match=match):
        ClassMoments().update(no_float64)
    for device in ("auto", "meta"):
        with pytest.raises(ValueError, match=match):
            MahalanobisDetector(device=device).fit(no_float64)
        with pytest.raises(ValueError, match=match):
            NeuralCollapseScorer(device=device).fit(no_float64, [0, 1, 0, 1, 0, 1])
    with pytest.raises(ValueError, match=match):
        MahalanobisDetector(device="meta").fit(np.eye(4))
    with pytest.raises(ValueError, match=match):
        ClassMoments(device="meta").update(np.eye(4))


@pytest.mark.filterwarnings("ignore::sklearn_collapse.metrics.CollapseWarning")
@pytest.mark.parametrize("estimator", ONE_OF_EACH_CLASS, ids=repr)
def test_every_estimator_refuses_them(estimator, no_float64, rows):
    """Before it does anything, and it stays as it was."""
    match = "Device 'meta' has no float64"
    X, y = np.abs(rows[0][:60]), rows[1][:60] % 3
    bad = no_float64
    for name in ("fit", "partial_fit"):
        if hasattr(estimator, name):
            new = clone(estimator)
            with pytest.raises(ValueError, match=match):
                getattr(new, name)(bad, [0, 1, 0, 1, 0, 1])
            if "device" in new.get_params(deep=False):
                new.set_params(device="meta")
                for some, labels in ((bad, [0, 1, 0, 1, 0, 1]), (X, y)):
                    with pytest.raises(ValueError, match=match):
                        getattr(new, name)(some, labels)
            assert vars(new).keys() == vars(clone(new)).keys()
    fitted = clone(estimator).fit(X, y)
    for name in METHODS:
        if hasattr(fitted, name):
            with pytest.raises(ValueError, match=match):
                getattr(fitted, name)(bad)


def test_metrics_refuse_them(no_float64):
    for call in (
        lambda: cdnv(no_float64, [0, 1, 0, 1, 0, 1]),
        lambda: effective_rank(no_float64),
        lambda: lid(no_float64, n_neighbors=2),
        lambda: ClassMoments.from_batches([no_float64]),
        lambda: ClassMoments.from_arrays(no_float64, batch_size=2),
        lambda: ClassMoments(device="meta").update(np.eye(4)),
    ):
        with pytest.raises(ValueError, match="Device 'meta' has no float64"):
            call()


def test_tensors_without_values():
    bad = torch.empty(6, 2, device="meta")
    match = "device 'meta', which holds no values"
    for call in (
        lambda: ClassMoments().update(bad),
        lambda: ClassMoments.from_arrays(bad, batch_size=2),
        lambda: MahalanobisDetector().fit(bad),
        lambda: MahalanobisDetector().fit(torch.eye(6, 2)).score_samples(bad),
        lambda: NeuralCollapseScorer().fit(bad, [0, 1, 0, 1, 0, 1]),
        lambda: LinearHead(np.eye(2)).decision_function(bad),
    ):
        with pytest.raises(ValueError, match=match):
            call()


def test_devices_with_float64():
    for x in (torch.empty(0), torch.empty(0, device="meta"), np.zeros(1), None):
        check_float64(x)
    fake = types.SimpleNamespace(device=types.SimpleNamespace(type="mps"))
    check_float64(fake)  # not a tensor


@pytest.mark.parametrize("order", [None, np.asarray([3, 0, 2, 1])])
def test_other_byte_order(order):
    X = np.arange(8).reshape(4, 2)
    feed = _gpu.Feed(X.astype(">i4"), order, 2, torch.empty(0))
    found = [feed.block(slice(i, i + 2)).clone() for i in (0, 2)]
    assert_array_equal(torch.cat(found).numpy(), X if order is None else X[order])
