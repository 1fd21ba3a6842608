"""GPUs: whether to use one, how rows get there, what can go wrong on it.

torch is named here without being imported before a torch device is in play. The lines
that only CUDA can run are marked so; they have not been run on a GPU yet.
"""

import importlib.util
import multiprocessing
import os
import sys
import threading
import warnings
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

# A copy to the GPU and back costs about as much as this many multiplications on it,
# in float64 on one where that takes twice the time of float32.
_WORTH_A_COPY = 2e11
# The compute capabilities of those: of P100, V100, A100, H100 and B200. On others
# float64 takes 32 or 64 times as long as float32.
_FAST_FLOAT64 = {(6, 0), (7, 0), (8, 0), (9, 0), (10, 0)}
_SLOWER = 32
# A GPU wants larger blocks than the caches of a CPU: the cost of a launch is fixed.
_LARGER = 8
# Where blocks of so few rows do not fit, it is not the block that is too large.
_FEWEST_ROWS = 32
# Bytes of a small array: pinned memory is kept by torch and never swapped out.
_PINNED = 2**24
_PARENT = os.getpid()
_here = threading.local()


# -- which device ----------------------------------------------------------------------


def gpu_for(device, work):
    """Return an empty tensor on the GPU that NumPy rows should go to, or None."""
    if device == "cpu":
        return None
    if device == "auto":
        return _gpu_if_worth_it(work)
    if importlib.util.find_spec("torch") is None:
        raise ValueError(
            f"device={device!r} needs torch, which is not installed. Install it with "
            f"'pip install sklearn-collapse[torch]', or pass device='cpu'."
        )
    import torch

    try:
        target = torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device={device!r} cannot be used: {reason}") from error
    check_float64(target)
    return target


def _gpu_if_worth_it(work):
    """Return an empty tensor on the GPU if it repays a copy and can be used."""
    if not _auto_may_use_gpu(work) or importlib.util.find_spec("torch") is None:
        return None
    try:
        import torch

        return torch.empty(0, device="cuda") if torch.cuda.is_available() else None
    # A broken installation, or a GPU that is full or kept by another process.
    except (ImportError, OSError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        warnings.warn(
            f"The GPU cannot be used ({reason}), so device='auto' is the CPU. Pass "
            f"device='cpu' to say so.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


def repays_float64(target, work):
    """Whether work in float64 repays a copy to the GPU on which ``target`` lives."""
    if not on_cuda(target):
        return True
    capability = sys.modules["torch"].cuda.get_device_capability(target.device)
    slower = 1 if tuple(capability) in _FAST_FLOAT64 else _SLOWER
    return work >= slower * _WORTH_A_COPY


def _auto_may_use_gpu(work):
    """Whether the work repays a copy and this process may own a GPU context."""
    in_worker = multiprocessing.current_process().name != "MainProcess"
    in_worker = in_worker or getattr(_here, "auto_is_cpu", False)
    return work >= _WORTH_A_COPY and not in_worker and os.getpid() == _PARENT


@contextmanager
def auto_is_cpu():
    """Let "auto" mean the CPU in this thread, one of several that share the GPU."""
    before = getattr(_here, "auto_is_cpu", False)
    _here.auto_is_cpu = True
    try:
        yield
    finally:
        _here.auto_is_cpu = before


def check_float64(x):
    """Raise if x is a tensor on a device without float64, such as Apple's."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(x, torch.Tensor):
        return
    if x.device.type in ("cpu", "cuda"):
        return
    try:
        torch.empty(0, dtype=torch.float64, device=x.device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"Device {str(x.device)!r} has no float64, in which moments are summed. "
            f"Pass NumPy arrays with device='cpu', or move tensors to the CPU "
            f"(X.cpu()) or to a CUDA device."
        ) from error


def check_values(x):
    """Raise if x is a tensor that has a shape and no values."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(x, torch.Tensor) and x.device.type == "meta":
        raise ValueError(
            "X is a tensor on the device 'meta', which holds no values. Pass one on "
            "the CPU or on a CUDA device."
        )


def on_cuda(x):
    """Whether x is a tensor on a CUDA device."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor) and x.device.type == "cuda"


def block_factor(x):
    """How many times larger blocks of rows are where x lives."""
    return _LARGER if on_cuda(x) else 1


# -- out of memory ---------------------------------------------------------------------


def is_out_of_memory(error):
    """Whether an exception says that a GPU's memory is exhausted."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(error, RuntimeError):
        return False
    # cuBLAS, and the driver when it is asked for pinned memory, say it in words.
    words = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, torch.cuda.OutOfMemoryError) or any(
        word in str(error) for word in words
    )


def halved(n_rows, error):
    """Half of a block that did not fit; raises if that is not what went wrong."""
    if not is_out_of_memory(error):
        raise error
    if n_rows < 2 * _FEWEST_ROWS:
        raise type(error)(
            f"The GPU's memory does not even hold the work on {n_rows} rows: something "
            f"else fills it. Free memory there, or pass NumPy arrays with "
            f"device='cpu'. The first line of the error was: "
            f"{str(error).partition(chr(10))[0]}"
        ) from error
    return n_rows // 2


def free_cached():
    """Give memory that torch keeps back to the GPU, for libraries beside torch.

    Those, such as cuBLAS, are not served from what torch keeps.
    """
    sys.modules["torch"].cuda.empty_cache()


# -- full precision --------------------------------------------------------------------


class _FullPrecision:
    """Switches TF32 off while any thread works on a GPU; torch has one switch."""

    def __init__(self):
        self._lock = threading.Lock()
        self._depth = 0
        self._undo: Any = None

    def enter(self):
        with self._lock:
            if not self._depth:
                self._undo = _switch_tf32_off()
            self._depth += 1

    def leave(self):
        with self._lock:
            self._depth -= 1
            if not self._depth:
                self._undo()


_full_precision = _FullPrecision()


@contextmanager
def full_precision(x):
    """Keep float32 products in float32 where x lives, whatever the program has set."""
    with ExitStack() as undo:
        if _is_autocast(x):
            torch = sys.modules["torch"]
            undo.enter_context(torch.autocast(x.device.type, enabled=False))
        if on_cuda(x):
            _full_precision.enter()
            undo.callback(_full_precision.leave)
        yield


def _is_autocast(x):
    """Whether torch would multiply float32 tensors where x lives in half precision."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(x, torch.Tensor):
        return False
    return x.device.type in ("cpu", "cuda") and torch.is_autocast_enabled(x.device.type)


def _switch_tf32_off():
    """Switch TF32 products off; return what switches them back.

    From 2.9 torch has a second, finer setting beside the old one and raises where the
    two disagree. What the caller has used is read and written, the other left alone.
    """
    import torch

    matmul = torch.backends.cuda.matmul
    if getattr(matmul, "fp32_precision", "tf32") != "tf32":
        return _nothing
    try:
        before = torch.get_float32_matmul_precision()
    except RuntimeError:  # only the finer setting was used
        matmul.fp32_precision = "ieee"
        return _restore_fp32_precision
    if before == "highest":
        return _nothing
    matmul.allow_tf32 = False

    def restore():
        if before == "medium":
            torch.set_float32_matmul_precision(before)
        else:  # touches nothing but CUDA products
            matmul.allow_tf32 = True

    return restore


def _restore_fp32_precision():
    import torch

    matmul = torch.backends.cuda.matmul
    matmul.fp32_precision = "none"  # that of all backends counts
    if matmul.fp32_precision != "tf32":
        matmul.fp32_precision = "tf32"


def _nothing():
    pass


# -- small arrays on their way ---------------------------------------------------------


def sent(values, like, dtype=None):
    """NumPy array as a tensor where another one lives; the host waits for no GPU.

    A copy out of ordinary memory would wait for all work under way. One out of pinned
    memory does not, and torch keeps that memory until the copy is done.
    """
    torch = sys.modules["torch"]
    tensor = torch.from_numpy(values)
    tensor = tensor if dtype is None else tensor.to(dtype)
    if on_cuda(like) and 0 < values.nbytes <= _PINNED:
        return tensor.pin_memory().to(like.device, non_blocking=True)
    return tensor.to(like.device)


# -- rows on their way -----------------------------------------------------------------


class Feed:
    """Blocks of NumPy rows on a torch device; the next is copied while one is used.

    Two pairs of buffers, one on the host and one on the device, take turns. A block
    is valid until the next one is asked for.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    order : ndarray of int or None
        Rows in the order in which they are visited.
    step : int
        Rows of a block.
    target : tensor
        On the device.
    """

    def __init__(self, X, order, step, target):
        self._X, self._order, self._step = X, order, step
        self._n = X.shape[0] if order is None else len(order)
        self._stream = _CopyStream(target.device) if on_cuda(target) else None
        shape = (min(step, self._n), X.shape[1])
        turns = 1 if self._n <= step else 2
        self._lanes = [
            _Lane(shape, X.dtype, target.device, self._stream) for _ in range(turns)
        ]
        self._sent = None

    def block(self, here):
        """Rows at these positions; those behind them are sent on their way."""
        lane = self._lanes[0]
        if self._sent != here:
            lane.send(self._X, self._index(here))
        behind = slice(here.stop, min(here.stop + self._step, self._n))
        if behind.start < self._n:
            self._lanes[-1].send(self._X, self._index(behind))
        self._sent = behind
        self._lanes.reverse()
        return lane.receive(here.stop - here.start)

    def close(self):
        """Wait, on the device, for copies under way; then memory can be reused."""
        if self._stream is not None:  # CUDA only
            self._stream.finish()

    def _index(self, here):
        return here if self._order is None else self._order[here]


class _Lane:
    """A buffer on the host and one on the device, and the copy between them."""

    def __init__(self, shape, dtype, device, stream):
        import torch

        # Rows of a file may have the other byte order; copies to the host's turn it.
        dtype = torch.from_numpy(np.empty(0, dtype.newbyteorder("="))).dtype
        # The device is named, since the program may have set another default.
        pinned = stream is not None
        self._host = torch.empty(shape, dtype=dtype, device="cpu", pin_memory=pinned)
        self._there = torch.empty(shape, dtype=dtype, device=device)
        self._stream = stream
        if stream is not None:  # CUDA only
            self._copied = torch.cuda.Event()

    def send(self, X, index):
        """Copy rows to the device."""
        if self._stream is not None:  # CUDA only
            self._copied.synchronize()  # the host's buffer may still be read
        if isinstance(index, slice):
            size = index.stop - index.start
            np.copyto(self._host.numpy()[:size], X[index])
        else:
            size = len(index)
            X.take(index, axis=0, out=self._host.numpy()[:size], mode="clip")
        there, host = self._there[:size], self._host[:size]
        if self._stream is None:
            there.copy_(host)
        else:  # CUDA only
            self._stream.copy(there, host, then=self._copied)

    def receive(self, size):
        """First rows of the buffer on the device, once they are there."""
        if self._stream is not None:  # CUDA only
            self._stream.current().wait_event(self._copied)
        return self._there[:size]


class _CopyStream:  # CUDA only
    """A stream beside the one that computes."""

    def __init__(self, device):
        import torch

        self._cuda, self._device = torch.cuda, device
        self._stream = torch.cuda.Stream(device)

    def current(self):
        return self._cuda.current_stream(self._device)

    def copy(self, there, host, *, then):
        """Copy behind all work asked for so far, and record an event behind that.

        That work was the last to use the buffer: work on a block is asked for after
        the next one was sent.
        """
        self._stream.wait_stream(self.current())
        with self._cuda.stream(self._stream):
            there.copy_(host, non_blocking=True)
        then.record(self._stream)

    def finish(self):
        """Let work asked for from here on wait for the copies."""
        self.current().wait_stream(self._stream)
