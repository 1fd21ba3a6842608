"""The one statistic the library stands on: class counts, class means, scatter."""

from sklearn_collapse._moments_buffer import Buffer
from sklearn_collapse._moments_checks import check_allowed, check_mergeable
from sklearn_collapse._moments_derived import PRODUCTS
from sklearn_collapse._moments_gathering import GatheredMoments, spacing
from sklearn_collapse._moments_reduce import all_reduce
from sklearn_collapse._moments_state import restored, state_of
from sklearn_collapse.utils._arrays import slices
from sklearn_collapse.utils._batches import for_each_block
from sklearn_collapse.utils._labels import encode_labels
from sklearn_collapse.utils._tables import Columns
from sklearn_collapse.utils._validation import (
    check_features,
    check_lengths,
    check_weights,
)


class ClassMoments(GatheredMoments):
    """Counts, means and pooled within-class scatter of labelled rows.

    Gathered in one pass over any stream of blocks, in any order, and mergeable, so
    that whatever can map and reduce can compute it. Every estimator of the library
    that is a function of plain moments can be fitted from it (``fit_moments``).

    Parameters
    ----------
    n_features : int, default=None
        Number of features d. By default taken from the first block.
    classes : array-like of shape (C,), default=None
        The labels that may occur; others then raise. By default any label may, and
        new ones may appear at any time.
    precision : {"double", "single"}, default="double"
        Precision of the products. With float32 products every eigenvalue below about
        1e-7 of the largest is noise.
    normalize : bool, default=False
        Whether rows are divided by their Euclidean norm first. Zero rows stay zero.
    class_scatter : bool, default=False
        Whether one d x d scatter per class is kept as well.
    device : str, default="auto"
        Where rows are worked on. "auto": foreign arrays where they live, NumPy rows
        on a CUDA GPU if torch sees one and the work repays the copy; "cpu" never
        touches torch; any other name insists on that torch device.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Sorted labels that were seen with positive weight, as a NumPy array.
    counts_ : array of shape (C,)
        Sum of weights of each class.
    means_ : array of shape (C, d)
        Class means.
    scatter_ : array of shape (d, d)
        Pooled within-class scatter: the sum over rows of
        w (x - mean_c)(x - mean_c)^T, not divided by anything.
    class_scatter_trace_ : array of shape (C,)
        Trace of each class's scatter.
    class_scatter_ : array of shape (C, d, d)
        Scatter of each class, with ``class_scatter=True``.
    n_samples_ : float
        Sum of all weights.
    mean_ : array of shape (d,)
        Mean of all rows.
    dtype_ : {"float64", "float32"}
        Precision of the products; a merge keeps the coarser.
    input_dtype_ : str
        Dtype that was handed in; a merge keeps the coarser. Rounding of the input is
        part of the rank rule.
    device_ : str
        Device on which the rows were last worked on.
    feature_names_ : ndarray of str or None
        Column names, if the blocks were DataFrames.

    See Also
    --------
    sklearn_collapse.collapse.NeuralCollapseScorer : Collapse metrics of the moments.
    sklearn_collapse.ood.MahalanobisDetector : Out-of-distribution scores from them.

    Notes
    -----
    Each block is centred by its own class means before its Gram product and merged by
    the pairwise update of Chan, Golub and LeVeque [1]_: merging equals one batch to
    rounding, in any order. Small blocks are buffered until a product is worth it.
    Weights are frequencies: rows of zero weight do not exist. Memory is
    O(d^2 + C d) plus one block.

    References
    ----------
    .. [1] Chan, T. F., Golub, G. H., LeVeque, R. J. (1979). "Updating formulae and a
       pairwise algorithm for computing sample variances". Stanford STAN-CS-79-773.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_collapse import ClassMoments
    >>> X = np.array([[0.0, 0.0], [2.0, 0.0], [5.0, 1.0], [5.0, 3.0]])
    >>> moments = ClassMoments().update(X, [0, 0, 1, 1])
    >>> moments.means_
    array([[1., 0.],
           [5., 2.]])
    >>> moments.within_covariance()
    array([[0.5, 0. ],
           [0. , 0.5]])
    >>> first = ClassMoments().update(X[:3], [0, 0, 1])
    >>> second = ClassMoments().update(X[3:], [1])
    >>> np.allclose((first + second).scatter_, moments.scatter_)
    True
    """

    def __init__(
        self,
        n_features=None,
        classes=None,
        *,
        precision="double",
        normalize=False,
        class_scatter=False,
        device="auto",
    ):
        if precision not in PRODUCTS:
            raise ValueError(
                f"precision must be 'double' or 'single', got {precision!r}."
            )
        self.n_features = n_features
        self.precision = precision
        self.normalize = bool(normalize)
        self.class_scatter = bool(class_scatter)
        self.device = device
        self._start(classes)

    # -- gathering ---------------------------------------------------------------

    def update(self, X, y=None, sample_weight=None):
        """Add a block of rows.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows: NumPy, list, DataFrame, or an array of another library, which then
            stays where it is.
        y : array-like of shape (n,), default=None
            Labels. None is one class, in every block or in none.
        sample_weight : array-like of shape (n,), default=None
            Frequencies: not negative, not all zero.

        Returns
        -------
        ClassMoments
            The object itself. A block that raises leaves it as it was.
        """
        return self._update(X, y, sample_weight)

    @classmethod
    def from_arrays(cls, X, y=None, sample_weight=None, *, batch_size=None, **options):
        """Gather the moments of whole arrays.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows. A memory map is read in order, in large pieces.
        y : array-like of shape (n,), default=None
            Labels; None is one class.
        sample_weight : array-like of shape (n,), default=None
            Frequencies.
        batch_size : int, default=None
            Rows per update. By default all rows at once, which visits them class by
            class and needs no more memory than one block.
        **options
            Arguments of the constructor.

        Returns
        -------
        ClassMoments
        """
        moments = cls(**options)
        if batch_size is None:
            return moments.update(X, y, sample_weight)
        X, names = check_features(X)
        moments._names = names
        labels = None if y is None else encode_labels(y)
        if labels is not None:
            check_lengths(X, labels[1])
        weights = check_weights(sample_weight, X.shape[0])
        for rows in slices(X.shape[0], batch_size):
            part = None if weights is None else weights[rows]
            if part is None or part.any():
                block_y = None if labels is None else labels[0][labels[1][rows]]
                moments._update(X[rows, :], block_y, part, first_row=rows.start)
        return moments

    @classmethod
    def from_batches(
        cls, batches, *, features=None, label=None, weight=None, **options
    ):
        """Gather the moments of a stream of blocks.

        Parameters
        ----------
        batches : iterable
            Blocks X, or pairs (X, y), or triples (X, y, sample_weight), such as a
            DataLoader over extracted features; or tables: Arrow record batches, such
            as ``pyarrow.parquet.ParquetFile(path).iter_batches()`` and
            ``pyarrow.dataset.dataset(path).to_batches()`` give, DataFrames, or
            mappings of column to array. Blocks without rows, or all of zero weight,
            are passed over.
        features : str or list of str, default=None
            In tables, the column that holds one list of numbers per row, all equally
            long, which is used where it is; or the columns of numbers, one for each
            feature. None: all columns of integers and floats but those below.
        label : str, default=None
            In tables, the column of labels; None is one class.
        weight : str, default=None
            In tables, the column of frequencies.
        **options
            Arguments of the constructor.

        Returns
        -------
        ClassMoments
            Empty if there were no rows.

        Notes
        -----
        An error in a block names it, and the row in it, counted from 0. What the
        iterable itself raises passes as it is.

        Examples
        --------
        >>> from sklearn_collapse import ClassMoments
        >>> blocks = [
        ...     {"x": [[0.0, 1.0], [2.0, 3.0]], "y": ["cat", "dog"]},
        ...     {"x": [[4.0, 5.0]], "y": ["cat"]},
        ... ]
        >>> moments = ClassMoments.from_batches(blocks, features="x", label="y")
        >>> moments.classes_.tolist(), moments.means_.tolist()
        (['cat', 'dog'], [[2.0, 3.0], [2.0, 3.0]])
        """
        moments = cls(**options)
        for_each_block(batches, Columns(features, label, weight), moments.update)
        return moments

    def merge(self, other):
        """Add the rows of another ClassMoments to this one.

        Parameters
        ----------
        other : ClassMoments
            Its classes may differ; ``normalize``, ``class_scatter``, the number and
            names of features, the library and the device must not.

        Returns
        -------
        ClassMoments
            The object itself; ``other`` is left as it was.
        """
        if not isinstance(other, ClassMoments):
            raise TypeError(f"Only ClassMoments can be merged, got {type(other)}.")
        check_mergeable(self, other)
        self._flush()
        other._flush()
        if self._allowed_labels is not None and other._labels is not None:
            check_allowed(self, other._labels)
        if other._moments is not None:
            self._add(other._labels, other._moments)
            self._names = self._names if self._names is not None else other._names
            self._labelled = other._labelled
            self._device_used = other._device_used
            self.n_features = other.n_features
            self._input = max(self._input or other._input, other._input, key=spacing)
            if other.precision == "single":
                self.precision = "single"
        return self

    def __add__(self, other):
        """Return the moments of both, leaving both as they were."""
        return self.copy().merge(other)

    def __radd__(self, other):
        """Let ``sum`` start from 0."""
        return self.copy() if other == 0 else NotImplemented

    def all_reduce(self, group=None):
        """Add the rows of all ranks of a torch.distributed group, on each of them.

        Every rank calls this once, after its last block.

        Parameters
        ----------
        group : torch.distributed.ProcessGroup, default=None
            By default all ranks.

        Returns
        -------
        ClassMoments
            The object itself, in the library and on the device that it had. A rank
            without rows takes part, and takes those of the others.

        Raises
        ------
        ValueError
            If the moments of the ranks cannot be merged, on every rank alike, or if
            there is no process group.
        RuntimeError
            If a rank dies, or is late by more than the group's timeout. In either
            case all moments are as they were.

        Notes
        -----
        Equals merging the moments of all ranks, to rounding. Classes may differ from
        rank to rank; what `merge` asks for must not, but each rank may have a GPU of
        its own. Matrices are summed, not collected: memory is that of the moments,
        whatever the number of ranks. gloo and NCCL sum each entry in one place, so
        all ranks get the same bits. A second call would count every row once for
        each rank. In a group of one rank nothing happens.

        Groups of gloo sum in main memory. Those of NCCL sum on the current CUDA device
        of each rank, for NumPy moments as well; that has not been run yet. There a rank
        that dies may end the others, which is torch's default, before they can raise.
        """
        return all_reduce(self, group)

    def copy(self):
        """Return an independent copy.

        Returns
        -------
        ClassMoments
            Updating one leaves the other as it is.
        """
        self._flush()
        twin = object.__new__(type(self))
        # The arrays are never written to once they are here, so they are shared.
        twin.__dict__.update(self.__dict__, _buffer=Buffer(), _cache={})
        return twin

    __copy__ = copy

    # -- what is known ---------------------------------------------------------------

    def to_dict(self):
        """Plain arrays under fixed names, for savez, Arrow or a remote call.

        Returns
        -------
        dict of str to ndarray
            `from_dict` reads it back, also from an open ``.npz`` file. Labels of
            mixed types make an object array, which NumPy saves only by pickling.
        """
        return state_of(self)

    @classmethod
    def from_dict(cls, state):
        """Read what `to_dict` wrote.

        Parameters
        ----------
        state : mapping of str to array
            Such as an open ``.npz`` file.

        Returns
        -------
        ClassMoments
            With NumPy arrays.
        """
        return restored(cls, state)

    def __repr__(self):
        """Show what has been gathered."""
        if self._moments is None and not self._buffer.n_rows:
            return "ClassMoments(empty)"
        moments = self._gathered()
        size = f"n_samples={moments.counts.sum():g}, n_features={self.n_features}"
        return f"ClassMoments({size}, n_classes={len(moments.counts)})"
