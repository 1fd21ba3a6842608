"""How class moments are gathered: blocks wait, are worked on and are merged."""

from typing import Any

import numpy as np

from sklearn_collapse._linalg._moments import Moments, NonFiniteError, gather, merge
from sklearn_collapse._moments_buffer import Buffer
from sklearn_collapse._moments_checks import check_allowed, check_block
from sklearn_collapse._moments_derived import PRODUCTS, DerivedMoments
from sklearn_collapse.utils._arrays import (
    Rows,
    as_like,
    block_rows,
    input_eps,
    is_memmap,
    namespace,
    slices,
)
from sklearn_collapse.utils._finite import (
    check_finite,
    raise_nonfinite,
    sum_of_squares,
)
from sklearn_collapse.utils._kept import may_compute
from sklearn_collapse.utils._labels import encode_labels, unite
from sklearn_collapse.utils._validation import (
    check_features,
    check_lengths,
    check_weights,
)

_MEMMAP_ROWS = 2**18
TOO_LARGE = (
    "The features are so large that their squares overflow when they are summed up. "
    "Rescale the features."
)


class GatheredMoments(DerivedMoments):
    """State of `ClassMoments` and the steps of its public methods."""

    def _start(self, classes):
        """Begin with nothing; ``classes`` are the labels that may occur."""
        self._allowed_labels = None if classes is None else encode_labels(classes)[0]
        self._labels: Any = None
        self._moments: Moments | None = None
        self._labelled: bool | None = None
        self._buffer = Buffer()
        self._names: Any = None
        self._input: Any = None  # (dtype name, spacing) of the coarsest input
        self._device_used: Any = None
        self._cache: dict = {}

    def _update(self, X, y, sample_weight, first_row=0):
        """Update; errors count rows from ``first_row``."""
        X, names = check_features(X)
        Rows(X, self.device)  # raises if the device cannot be used
        classes, codes = self._encode(X, y)
        weights = check_weights(sample_weight, X.shape[0])
        check_block(self, X, names, labelled=y is not None)
        n_rows = X.shape[0] if weights is None else np.count_nonzero(weights)
        enough = self._block_size(X.shape[1], len(classes))
        if n_rows >= enough:
            self._absorb(X, classes, codes, weights, first_row)
        else:
            self._wait(X, classes, codes, weights, first_row, enough)
        self._remember(X, names, labelled=y is not None)
        return self

    def _wait(self, X, classes, codes, weights, first_row, enough):
        """Put a small block into the buffer; gather what waits there if it is enough.

        Whatever is wrong with a block raises now, not when the buffer is gathered.
        """
        numbers = first_row + np.arange(X.shape[0])
        if weights is not None and not weights.all():
            kept = np.flatnonzero(weights)
            X = namespace(X).take(X, as_like(kept, X), axis=0)
            present, codes = np.unique(codes[kept], return_inverse=True)
            classes, weights, numbers = classes[present], weights[kept], numbers[kept]
        squares, product = 0.0, PRODUCTS[self.precision]
        if self.normalize:
            check_finite(X, row_numbers=numbers)
        else:
            squares = sum_of_squares(X, weights, product)
            if not np.isfinite(squares):
                raise_nonfinite(X, row_numbers=numbers)
        self._buffer.add(X, classes, codes, weights, squares)
        # Squares of deviations add up to no more, but are added up twice: until now
        # they could not overflow.
        large = self._buffer.squares > np.finfo(product).max / 4
        if large or self._buffer.n_rows >= enough:
            try:
                self._flush()
            except BaseException:
                self._buffer.drop_last()
                raise

    def _add_partitions(self, parts):
        """Add the rows of a Dask collection; this object has none yet."""
        check_block(self, np.empty((0, parts.n_features)), parts.names, labelled=None)
        empty = self.copy()
        empty.n_features = parts.n_features
        empty._names = parts.names
        return self.merge(parts.sum(empty, "_of_partition")["moments"])

    def _of_partition(self, X, y, sample_weight):
        """Moments of one partition, gathered like these."""
        moments = self.copy()._update(X, y, sample_weight)
        moments._flush()
        return {"moments": moments}

    def _unlabelled(self):
        """Moments of the same rows as one class."""
        twin = self.copy()
        if not self.labelled:
            return twin
        moments, root = self._gathered(), self._between_root()
        root = root * self.n_samples_**0.5
        xp = namespace(root)
        scatter = moments.scatter + xp.matmul(xp.matrix_transpose(root), root)
        trace = xp.sum(moments.traces) + xp.sum(root * root)
        twin._labels, twin._labelled = np.zeros(1, dtype=int), False
        twin._allowed_labels = None
        twin._moments = Moments(
            np.asarray([self.n_samples_]),
            self.mean_[None, :],
            scatter,
            xp.reshape(trace, (1,)),
            scatter[None, :, :] if self.class_scatter else None,
        )
        return twin

    def _encode(self, X, y):
        if y is None:
            return np.zeros(1, dtype=int), np.zeros(X.shape[0], dtype=int)
        classes, codes = encode_labels(y)
        check_lengths(X, codes)
        check_allowed(self, classes)
        return classes, codes

    def _remember(self, X, names, labelled):
        xp = namespace(X)
        dtype = (str(X.dtype).rsplit(".", 1)[-1], input_eps(X, xp))
        self._input = max(self._input or dtype, dtype, key=spacing)
        self._names = self._names if self._names is not None else names
        self._labelled = labelled
        self.n_features = X.shape[1]
        self._cache = {}

    def _block_size(self, d, n_classes):
        """Rows below which a block waits: as many as repay adding d x d and C x d.

        They take no more room than those sums do.
        """
        known = 0 if self._labels is None else len(self._labels)
        n_classes = max(known, n_classes)
        most = max(4 * block_rows(d), n_classes)
        return max(block_rows(d), d, min(10 * n_classes, most))

    def _absorb(self, X, classes, codes, weights, first_row=0):
        """Gather a block that is worth it and merge it."""
        # A file is read in order: its pages would be fetched once per class.
        step = _MEMMAP_ROWS if is_memmap(X) else X.shape[0]
        if weights is not None and not weights.all():
            codes = np.where(weights > 0, codes, -1)
        whole = object.__new__(type(self))
        whole.__dict__.update(self.__dict__, _moments=None, _labels=None)
        try:
            for part in slices(X.shape[0], step):
                if not (codes[part] >= 0).any():
                    continue
                w = None if weights is None else weights[part]
                whole._add(*whole._gather(X[part, :], classes, codes[part], w))
        except NonFiniteError:
            numbers = first_row + np.arange(X.shape[0])
            raise_nonfinite(X, row_numbers=numbers, left_out=codes < 0)
        self._device_used = whole._device_used
        self._add(whole._labels, whole._moments)

    def _gather(self, X, classes, codes, weights):
        """Moments of rows; those of code -1 are left out."""
        found = np.bincount(codes + 1, minlength=len(classes) + 1)[1:] > 0
        if not found.all():
            # Codes of the classes that are there; -1 stays.
            codes = np.append(np.cumsum(found) - 1, -1)[codes]
            classes = classes[found]
        n, d = X.shape
        double = self.precision == "double"
        rows = Rows(X, self.device, work=float(n) * d * d, double=double)
        self._device_used = rows.place
        moments = gather(
            rows,
            codes,
            len(classes),
            weights,
            dtype=PRODUCTS[self.precision],
            normalize=self.normalize,
            class_scatter=self.class_scatter,
        )
        return classes, moments

    def _add(self, labels, moments):
        self._cache = {}
        if self._moments is None:
            self._labels, self._moments = labels, moments
            return
        union, mine, theirs = unite(self._labels, labels)
        like = moments.means
        xp = namespace(like)
        merged = merge(
            self._moments, moments, mine, theirs, xp, lambda v: as_like(v, like)
        )
        if not bool(xp.isfinite(xp.sum(merged.traces) + xp.sum(merged.means))):
            raise ValueError(TOO_LARGE)
        self._labels, self._moments = union, merged

    def _flush(self):
        """Gather what waits in the buffer."""
        if not self._buffer.n_rows:
            return
        may_compute()
        self._absorb(*self._buffer.joined())
        self._buffer = Buffer()

    def _gathered(self):
        self._flush()
        if self._moments is None:
            raise ValueError(
                "ClassMoments is empty: call update with at least one row first."
            )
        return self._moments


def spacing(dtype):
    """Spacing of a dtype kept as (name, spacing)."""
    return dtype[1]
