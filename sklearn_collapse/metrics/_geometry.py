"""What the collapse metrics share: class means and scatter, decomposed once."""

from functools import cached_property

import numpy as np

from sklearn_collapse._linalg._spectrum import eigh_by_rank, floored_inverse
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.utils._arrays import as_like, namespace, to_numpy
from sklearn_collapse.utils._decompositions import svd
from sklearn_collapse.utils._labels import as_label_array, encode_labels, shorten
from sklearn_collapse.utils._validation import (
    check_features,
    check_lengths,
    check_weights,
    drop_zero_weights,
)
from sklearn_collapse.utils._warnings import CollapseWarning, warn_caller


class ClassGeometry:
    """Means, within-class covariance and their decompositions, in float64.

    Parameters
    ----------
    moments : ClassMoments
        At least two classes.
    class_weight : {None, "balanced"}
        Weight of the classes in the mean of the means, between- and within-class
        covariance alike.
    sizes : ndarray of shape (C,), default=None
        Number of rows of each class, where the moments are those of reweighted rows.
    """

    def __init__(self, moments, class_weight=None, sizes=None):
        check_two_classes(moments.classes_)
        self.sizes = to_numpy(moments.counts_) if sizes is None else sizes
        self.moments = moments
        self.class_weight = class_weight
        self.xp = namespace(moments.means_)
        self.n_classes, self.n_features = moments.means_.shape
        self.eps = float(self.xp.finfo(self.xp.float64).eps)
        self._is_pooled = not self.balanced
        self.warned_of_simplex = False
        self.cosine_spread = None  # what two metrics of the angles share

    @cached_property
    def counts(self):
        """Sum of weights of each class, on the host."""
        return to_numpy(self.moments.counts_)

    @cached_property
    def balanced(self):
        """Whether classes of different weight are to count alike."""
        even = np.allclose(self.counts, self.counts[0], rtol=1e-12, atol=0)
        return self.class_weight == "balanced" and not even

    @cached_property
    def shares(self):
        """Weight p_c of each class, on the host."""
        counts = np.ones(self.n_classes) if self.balanced else self.counts
        return counts / counts.sum()

    @cached_property
    def root(self):
        """Rows sqrt(p_c) m_c: its Gram matrix is the between-class covariance."""
        return self.moments._between_root("balanced" if self.balanced else None)

    @cached_property
    def means(self):
        """Centred class means m_c."""
        return self.root / self.local(np.sqrt(self.shares))[:, None]

    @cached_property
    def mean(self):
        """Mean of the class means, weighted by the shares."""
        return self.xp.matmul(self.local(self.shares), self.moments.means_)

    @cached_property
    def within(self):
        """Within-class covariance, normaliser n; the mean over classes if balanced."""
        if self._is_pooled:
            return self.moments.within_covariance()
        self._need_class_scatter()
        weights = self.local(self.shares / self.counts)[:, None, None]
        return self.xp.sum(weights * self.moments.class_scatter_, axis=0)

    @cached_property
    def variances(self):
        """Mean squared distance of each class's rows to its mean."""
        return self.moments.class_scatter_trace_ / self.moments.counts_

    @cached_property
    def within_spectrum(self):
        """Spectrum of the within-class covariance, its rank decided."""
        if self._is_pooled:
            return self.moments._spectrum()
        return self._decompose(self.within)

    @cached_property
    def total_spectrum(self):
        """Spectrum of the covariance of all rows, its rank decided."""
        if self._is_pooled:
            return self.moments._spectrum("total")
        between = self.xp.matmul(self.xp.matrix_transpose(self.root), self.root)
        return self._decompose(self.within + between)

    def _decompose(self, covariance):
        eps = float(self.xp.finfo(getattr(self.xp, self.moments.dtype_)).eps)
        return eigh_by_rank(covariance, self.moments._noise, eps, None, self.xp)

    @cached_property
    def between(self):
        """Thin singular value decomposition of `root`, kept part only: (U, s, Vt)."""
        return self.kept_part(self.root)

    def kept_part(self, root):
        """Thin singular value decomposition of class means, its rank decided."""
        xp = self.xp
        left, values, right = svd(root)
        rounding = max(root.shape) * self.eps * float(values[0])
        noise = xp.sqrt(self.moments._noise(xp.matrix_transpose(right) ** 2))
        kept = xp.nonzero((values > rounding) & (values > noise))[0]
        return (
            xp.take(left, kept, axis=1),
            xp.take(values, kept),
            xp.take(right, kept, axis=0),
        )

    @cached_property
    def whitener(self):
        """Root R of the floored inverse of the within-class covariance: R R^T."""
        spectrum = self.within_spectrum
        level = self.moments._zero_level(spectrum)
        inverse, _ = floored_inverse(spectrum, level=level, xp=self.xp)
        return spectrum.vectors * self.xp.sqrt(inverse)

    @cached_property
    def mean_rounding(self):
        """Norms below which the centred class means are rounding, (C, 1)."""
        xp = self.xp
        squares = xp.vecdot(self.means, self.means)[:, None]
        largest = float(xp.max(squares)) ** 0.5
        # What rounding of the input may put into the direction of each mean.
        safe = xp.where(squares > 0, squares, xp.ones_like(squares))
        noise = self.moments._noise(xp.matrix_transpose(self.means**2 / safe))
        least = max(self.means.shape) * self.eps * largest
        return xp.clip(xp.sqrt(noise)[:, None], least, None)

    @property
    def means_coincide(self):
        """Whether the class means are equal, to rounding."""
        return not self.between[1].shape[0]

    @property
    def few_rows(self):
        """Whether there are so few rows that any labels look collapsed."""
        return self.counts.sum() <= self.n_features + self.n_classes

    @property
    def single_rows(self):
        """Which classes have no more than one row, and so no variance; on the host."""
        return self.sizes <= 1

    def warn_of_single_rows(self, what):
        """Warn that classes are left out, or that they all are."""
        single = self.single_rows
        if single.any():
            names = shorten(self.moments.classes_[single])
            warn_caller(
                f"{what}: classes of a single row (or whose weights sum to 1 or less) "
                f"have no variance and are left out ({int(single.sum())} of "
                f"{self.n_classes}: {names}). Weights are frequencies.",
                CollapseWarning,
            )

    def with_within(self, within, variances):
        """The same class means with another within-class covariance."""
        twin = ClassGeometry(self.moments, self.class_weight, self.sizes)
        # The between-class decomposition stays; the within-class one is done anew.
        kept = ("counts", "balanced", "shares", "root", "means", "mean", "between")
        twin.__dict__.update({name: getattr(self, name) for name in kept})
        twin.__dict__.update(within=within, variances=variances)
        twin._is_pooled = False
        return twin

    def local(self, values):
        """Put a NumPy array where the moments are."""
        return as_like(values, self.moments.means_)

    def _need_class_scatter(self):
        if not self.moments.class_scatter:
            raise ValueError(
                "class_weight='balanced' needs the scatter of each class: gather the "
                "moments with ClassMoments(class_scatter=True), or use fit(X, y)."
            )


def check_two_classes(classes):
    """Raise unless there are two classes to compare."""
    if len(classes) < 2:
        raise ValueError(
            f"y holds {len(classes)} class ({classes.tolist()}), but at least two "
            f"classes are needed to compare class means."
        )


def balanced_weights(codes, n_classes, weights):
    """Weights n / (C n_c) of the rows, times their own."""
    counts = np.bincount(codes, weights=weights, minlength=n_classes)
    scale = counts.sum() / (n_classes * np.where(counts > 0, counts, 1.0))
    return scale[codes] if weights is None else scale[codes] * weights


def check_class_weight(class_weight):
    """Raise unless a class weight is one that there is."""
    if class_weight not in (None, "balanced"):
        raise ValueError(
            f"class_weight must be None or 'balanced', got {class_weight!r}."
        )


def labelled(X, y, sample_weight=None, class_weight=None):
    """Check the arguments that the functions of labelled rows share.

    Returns
    -------
    X : array of shape (n, d)
        Rows of zero weight are dropped.
    y : ndarray of shape (n,)
    weights : ndarray of shape (n,) or None
    """
    X, _ = check_features(X, min_samples=2)
    if y is None:
        raise ValueError(
            "This metric requires y to be passed, but the target y is None."
        )
    check_class_weight(class_weight)
    X, kept, weights = drop_zero_weights(X, check_weights(sample_weight, X.shape[0]))
    return X, as_label_array(y)[kept], weights


def geometry_of(X, y, sample_weight=None, class_weight=None):
    """Geometry of labelled rows for the metric functions."""
    X, y, weights = labelled(X, y, sample_weight, class_weight)
    sizes = None
    if class_weight == "balanced":
        classes, codes = encode_labels(y)
        check_lengths(X, codes)
        sizes = np.bincount(codes, weights=weights).astype(float)
        weights = balanced_weights(codes, len(classes), weights)
    return ClassGeometry(ClassMoments.from_arrays(X, y, weights), sizes=sizes)
