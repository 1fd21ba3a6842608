"""What class moments hold, and what follows by d x d and C x d algebra alone."""

from typing import TYPE_CHECKING, Any

from sklearn_collapse._linalg._shrinkage import shrunk
from sklearn_collapse._linalg._spectrum import eigh_by_rank, input_noise
from sklearn_collapse.utils._arrays import (
    as_like,
    device_of,
    namespace,
    place_of,
    to_numpy,
)
from sklearn_collapse.utils._kept import may_compute

PRODUCTS = {"double": "float64", "single": "float32"}


class DerivedMoments:
    """Attributes, covariances, spectra; `ClassMoments` adds the gathering."""

    _cache: dict

    if TYPE_CHECKING:  # the state that the subclass keeps

        def __getattr__(self, name: str) -> Any: ...

    @property
    def classes_(self):
        """Sorted labels."""
        self._gathered()
        return self._labels

    @property
    def counts_(self):
        """Sum of weights of each class."""
        moments = self._gathered()
        return as_like(moments.counts, moments.means)

    @property
    def means_(self):
        """Class means."""
        return self._gathered().means

    @property
    def scatter_(self):
        """Pooled within-class scatter."""
        return self._gathered().scatter

    @property
    def class_scatter_trace_(self):
        """Trace of each class's scatter."""
        return self._gathered().traces

    @property
    def class_scatter_(self):
        """Scatter of each class."""
        scatter = self._gathered().class_scatter
        if scatter is None:
            raise AttributeError(
                "Class scatters were not gathered: use "
                "ClassMoments(class_scatter=True)."
            )
        return scatter

    @property
    def dtype_(self):
        """Precision of the products."""
        return PRODUCTS[self.precision]

    @property
    def input_dtype_(self):
        """Coarsest dtype that was handed in."""
        self._gathered()
        return self._input[0]

    @property
    def input_eps_(self):
        """Spacing of that dtype at 1."""
        self._gathered()
        return self._input[1]

    @property
    def device_(self):
        """Device on which the rows were last worked on."""
        self._gathered()
        return self._device_used[1]

    @property
    def place(self):
        """Library and device of the blocks; None before the first."""
        if self._moments is None:
            return self._buffer.place
        return place_of(self._moments.means)

    @property
    def labelled(self):
        """Whether the blocks came with labels."""
        self._gathered()
        return self._labelled

    @property
    def feature_names_(self):
        """Column names or None."""
        return self._names

    @property
    def n_samples_(self):
        """Sum of all weights."""
        return float(to_numpy(self.counts_).sum())

    @property
    def mean_(self):
        """Mean of all rows."""
        return namespace(self.means_).matmul(self._shares(), self.means_)

    def within_covariance(self, ddof=0):
        """Pooled within-class covariance, scatter / (n - ddof).

        Parameters
        ----------
        ddof : float, default=0
            The number of classes gives the unbiased estimate.

        Returns
        -------
        array of shape (d, d)
            Covariance of the rows about their class means.
        """
        return self.scatter_ / self._degrees(ddof)

    def between_covariance(self, class_weight=None):
        """Covariance of the class means, sum_c p_c (mean_c - mean)(mean_c - mean)^T.

        Parameters
        ----------
        class_weight : {None, "balanced"}, default=None
            None weighs class c by p_c = n_c / n, "balanced" by 1 / C, in the mean of
            the means as well.

        Returns
        -------
        array of shape (d, d)
            Covariance of the class means.
        """
        root = self._between_root(class_weight)
        xp = namespace(root)
        return xp.matmul(xp.matrix_transpose(root), root)

    def total_covariance(self, ddof=0):
        """Covariance of all rows, within plus between.

        Parameters
        ----------
        ddof : float, default=0
            The sum of squares is divided by n - ddof.

        Returns
        -------
        array of shape (d, d)
            Covariance of all rows about their mean.
        """
        between = self.n_samples_ * self.between_covariance()
        return (self.scatter_ + between) / self._degrees(ddof)

    def second_moment(self):
        """Mean of x x^T over the rows, about the origin.

        Returns
        -------
        array of shape (d, d)
            Second moment matrix.
        """
        mean = self.mean_
        return self.total_covariance() + mean[:, None] * mean[None, :]

    def __getstate__(self):
        """Leave derived arrays out of pickles."""
        return {**self.__dict__, "_cache": {}}

    def _cached(self, key, compute):
        """Return ``compute()``, computed once until the moments change."""
        self.classes_  # noqa: B018  adds waiting rows, which empties the cache
        if key not in self._cache:
            may_compute()
            self._cache[key] = compute()
        return self._cache[key]

    def _latest(self, owner, key, compute):
        """Return ``compute()``, kept until the moments change or another key comes."""
        kept = self._cached(owner, dict)
        if key not in kept:
            may_compute()
            # Replaced, not written to: threads of Dask share an estimator.
            kept = self._cache[owner] = {key: compute()}
        return kept[key]

    def _covariance(self, which="within", shrinkage=0.0):
        """Covariance (normaliser n) within classes or of all rows, shrunk.

        "second_moment" is that of all rows about the origin.
        """
        compute = {
            "within": self.within_covariance,
            "total": self.total_covariance,
            "second_moment": self.second_moment,
        }
        covariance = compute[which]()
        return shrunk(covariance, shrinkage, namespace(covariance))

    def _gram(self, matrix, which="within", shrinkage=0.0):
        """Return M^T S M of a matrix M of shape (d, k), S as for `_covariance`."""
        xp = namespace(matrix)
        covariance = self._covariance(which, shrinkage)
        return xp.matmul(xp.matrix_transpose(matrix), xp.matmul(covariance, matrix))

    def _variances(self, which="within"):
        """Variances of the columns (normaliser n)."""
        covariance = self._covariance(which)
        return namespace(covariance).linalg.diagonal(covariance)

    def _traces(self, which="within"):
        """Trace of a covariance (normaliser n), and that of its square.

        The second is in units of the first squared, which may overflow where their
        ratio does not.
        """
        covariance = self._covariance(which)
        xp = namespace(covariance)
        trace = float(xp.linalg.trace(covariance))
        unit = covariance / trace if trace else covariance
        return trace, float(xp.sum(unit * unit))

    def _spectrum(self, which="within", shrinkage=0.0, rank_tol=None):
        """Eigendecomposition of a covariance (normaliser n) with its rank decided.

        Parameters
        ----------
        which : {"within", "total", "second_moment"}, default="within"
            Within-class covariance, or that of all rows, about their mean or about
            the origin.
        shrinkage : float, default=0.0
            Share of the multiple of the identity that the covariance is mixed with.
        rank_tol : float, default=None
            Overrides the rank rule, relative to the largest eigenvalue.

        Returns
        -------
        Spectrum
        """
        return self._cached(
            ("spectrum", which, shrinkage, rank_tol),
            lambda: self._decompose(which, shrinkage, rank_tol),
        )

    def _correlations(self, which="within", shrinkage=0.0, rank_tol=None):
        """Eigendecomposition of the correlations belonging to a covariance.

        Parameters
        ----------
        which, shrinkage, rank_tol
            As for `_spectrum`; the covariance is shrunk, not the correlations.

        Returns
        -------
        spectrum : Spectrum
        deviations : array of shape (d,)
            Standard deviations (normaliser n); 0 for columns that are constant to the
            rounding of the input, whose correlations are 0.
        """
        return self._cached(
            ("correlations", which, shrinkage, rank_tol),
            lambda: self._decompose_correlations(which, shrinkage, rank_tol),
        )

    def _zero_level(self, spectrum):
        """Floor for a within-class covariance that is zero: the total's."""
        return None if spectrum.rank else (self._spectrum("total").floor or None)

    def _noise(self, squared_vectors):
        """Variance that rounding of the input may put into unit directions."""
        return self._rounding(squared_vectors, self._mean_square())

    def _mean_square(self):
        """Mean of x_j^2 over the rows."""
        xp = namespace(self.means_)
        return self._variances() + xp.matmul(self._shares(), self.means_**2)

    def _rounding(self, squared_vectors, mean_square):
        xp = namespace(mean_square)
        return input_noise(
            squared_vectors, mean_square, self.n_samples_, self.input_eps_, xp
        )

    def _product_eps(self):
        xp = namespace(self.means_)
        return float(xp.finfo(getattr(xp, self.dtype_)).eps)

    def _decompose(self, which, shrinkage, rank_tol):
        covariance = self._covariance(which, shrinkage)
        xp = namespace(covariance)
        return eigh_by_rank(covariance, self._noise, self._product_eps(), rank_tol, xp)

    def _decompose_correlations(self, which, shrinkage, rank_tol):
        covariance = self._covariance(which, shrinkage)
        xp = namespace(covariance)
        variances = xp.linalg.diagonal(covariance)
        mean_square = self._mean_square()
        inverse, deviations = self._column_scales(variances, mean_square)
        root = xp.sqrt(inverse)
        correlations = root[:, None] * covariance * root[None, :]
        spectrum = eigh_by_rank(
            correlations,
            lambda squared: self._rounding(squared, mean_square * inverse),
            self._product_eps(),
            rank_tol,
            xp,
        )
        return spectrum, deviations

    def _column_scales(self, variances, mean_square):
        """Inverse variances and deviations of columns; 0 for constant ones."""
        xp = namespace(variances)
        one = xp.ones((1, 1), dtype=variances.dtype, device=device_of(variances))
        # Column by column: each variance is as precise as its own column.
        least = self._rounding(one, mean_square[None, :])[0, :]
        zero = xp.zeros_like(variances)
        counts = variances > least
        inverse = xp.where(counts, 1 / xp.where(counts, variances, zero + 1), zero)
        return inverse, xp.sqrt(xp.where(counts, variances, zero))

    def _between_root(self, class_weight=None):
        """Rows sqrt(p_c) (mean_c - mean): its Gram matrix is the covariance."""
        if class_weight not in (None, "balanced"):
            raise ValueError(
                f"class_weight must be None or 'balanced', got {class_weight!r}."
            )
        means = self.means_
        xp = namespace(means)
        shares = self._shares()
        if class_weight == "balanced":
            shares = xp.full_like(shares, 1 / shares.shape[0])
        centred = means - xp.matmul(shares, means)
        # Once more: the first mean was rounded at the size of the means.
        centred = centred - xp.matmul(shares, centred)
        return xp.sqrt(shares)[:, None] * centred

    def _shares(self):
        counts = self.counts_
        return counts / self.n_samples_

    def _degrees(self, ddof):
        n = self.n_samples_
        if n <= ddof:
            raise ValueError(
                f"ddof={ddof} needs more than {ddof} samples, but only {n:g} were "
                f"gathered."
            )
        return n - ddof
