"""How the spectrum of a covariance is had: from moments, from rows, from a covariance.

Moments stream, and their d x d covariance is decomposed once ("eigh"). With fewer rows
than features the rows themselves are decomposed ("svd", "gram"): nothing of size d x d
exists then, but all rows are needed at once, so there are no moments to continue.
"""

from numbers import Integral, Real

from sklearn_collapse._components import RULES, count_components
from sklearn_collapse._moments_factored import FactoredMoments
from sklearn_collapse.utils._arrays import namespace
from sklearn_collapse.utils._available import available_unless
from sklearn_collapse.utils._sklearn_private import Interval, StrOptions, fit_context
from sklearn_collapse.whitening._base import LinearTransformer

# Below this many features nothing of size d x d is worth avoiding.
_MANY_FEATURES = 1024


def _not_streaming(estimator):
    if reason := estimator._needs_all_rows():
        return (
            f"partial_fit and fit_moments are not available with {reason}, which needs "
            f"all rows at once. Use fit, or solver='eigh' without covariance=."
        )
    return ""


class SpectralEstimator(LinearTransformer):
    """Transformer that is a function of the eigenvectors of a covariance.

    For the parameters ``n_components``, ``scatter``, ``ddof``, ``rank_tol``,
    ``solver`` and ``device``. Subclasses define ``_factorise()``; what it returns has
    ``values`` (those that count) and ``n_kept`` as well.
    """

    _parameter_constraints: dict = {
        "n_components": [
            None,
            Interval(Integral, 1, None, closed="left"),
            Interval(Real, 0, 1, closed="neither"),
            StrOptions(set(RULES)),
        ],
        "scatter": [StrOptions({"total", "within"})],
        "ddof": [Interval(Real, 0, None, closed="left")],
        "rank_tol": [None, Interval(Real, 0, 1, closed="left")],
        "solver": [StrOptions({"auto", "eigh", "svd", "gram"})],
        "device": [str],
    }

    _left_by_fit = (*LinearTransformer._left_by_fit, "_of_rows", "_without_labels")

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Gather the covariance and decide what is kept.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of any array library; at least two rows.
        y : array-like of shape (n,), default=None
            Class labels for ``scatter="within"``; None is one class.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows. Rows of weight 0 are left out: fitting on a
            reference subset is a matter of weights.

        Returns
        -------
        self : object
            Fitted transformer.
        """
        return self._fit_rows(X, y, sample_weight)

    @available_unless(_not_streaming)
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, sample_weight=None):
        """Add rows to the moments; not with a solver that needs all rows.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of the library of the rows before them.
        y : array-like of shape (n,), default=None
            Class labels for ``scatter="within"``, in every block or in none.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        self : object
            The transformer. That ``n_components`` exceeds the rank shows on use.
        """
        if hasattr(self, "_of_rows"):
            raise ValueError(
                "The fit before this needed all rows at once, as it does with "
                "covariance=, or with solver='auto' where there are far fewer rows "
                "than features: there are no moments to add to. Fit with "
                "covariance=None and solver='eigh' to continue with partial_fit."
            )
        return self._add_rows(X, y, sample_weight)

    @available_unless(_not_streaming)
    def fit_moments(self, moments):
        """Fit from moments that were gathered elsewhere.

        Parameters
        ----------
        moments : ClassMoments
            It is left as it is.

        Returns
        -------
        self : object
            The transformer. What needs rows is absent or raises.
        """
        return super().fit_moments(moments)

    @property
    def eigenvalues_(self):
        """Eigenvalues that count."""
        return self._fitted().values

    @property
    def rank_(self):
        """Number of directions with variance."""
        return self._fitted().values.shape[0]

    @property
    def n_components_(self):
        """Number of directions that are kept."""
        return self._fitted().n_kept

    @property
    def solver_(self):
        """Solver that was used."""
        return getattr(self._statistics, "solver", "eigh")

    @property
    def _statistics(self):
        return getattr(self, "_of_rows", None) or super()._statistics

    @property
    def _scale(self):
        """Covariance with the estimator's normaliser, over that with n."""
        n = self._statistics.n_samples_
        return n / self._statistics._degrees(self.ddof)

    def _needs_all_rows(self):
        """Parameter for which all rows are needed at once, or nothing."""
        return f"solver={self.solver!r}" if self.solver in ("svd", "gram") else ""

    def _knows_directions(self):
        """Whether the directions of the rows, and a level for the rest, are enough."""
        return True

    def _check_labels(self, y):
        if self.scatter == "within":
            return y
        labels = self._labels_of_total(y)
        if y is not None and labels is None:
            self._without_labels = True
        return labels

    def _check_parameters(self):
        super()._check_parameters()
        if self.scatter == "within" and hasattr(self, "_without_labels"):
            raise ValueError(
                "scatter='within' needs the labels, which the fit with "
                "scatter='total' left aside: fit again."
            )

    def _gather(self, X, y, weights):
        n, d = X.shape
        solver = self.solver
        if solver == "auto":
            few = 2 * n <= d and d > _MANY_FEATURES
            solver = "gram" if few and self._knows_directions() else "eigh"
        if solver == "eigh":
            super()._gather(X, y, weights)
        else:
            self._of_rows = FactoredMoments(
                X, y, weights, solver=solver, device=self.device
            )

    def _learn_from_rows(self, X, y, weights):
        self._fitted()  # raises if the parameters ask for what there is not

    def _learn_from_partitions(self, parts):
        super()._learn_from_partitions(parts)
        self._fitted()  # as from rows

    def _more_to_show(self):
        values = self._fitted().values
        if values.shape[0]:
            about = (
                "Condition number: the largest eigenvalue over the least that counts"
            )
            xp = namespace(values)
            yield "condition", float(xp.max(values) / xp.min(values)), about

    def _count(self, spectrum, deviations=None, *, all_count=False, plain=None):
        """Number of directions to keep.

        ``all_count`` says that directions without variance are kept as well; ``plain``
        is the spectrum without shrinkage, if there is some.
        """
        wanted, rank = self.n_components, spectrum.rank
        d = spectrum.values.shape[0]
        if wanted is None and all_count:
            return d
        counted = isinstance(wanted, Integral)
        if not rank and (counted or not self._keeps_columns):
            raise ValueError(
                f"The {self.scatter} covariance is zero: there is no direction to "
                f"keep. Check the features{self._without_direction()}."
            )
        if counted and wanted > rank:
            raise ValueError(
                f"n_components={wanted} is more than the rank {rank} of the "
                f"{self.scatter} covariance of {d} features. Keep at most {rank} "
                f"directions, or pass n_components=None for all that there are."
            )
        if wanted is None or not rank:
            return rank
        return count_components(
            self._statistics,
            spectrum,
            wanted,
            deviations,
            scatter=self.scatter,
            plain=plain,
        )

    def _without_direction(self):
        """What to do where the covariance is zero."""
        return ", or pass n_components=None, which maps all to 0"

    def _check_known(self, spectrum, k):
        """Raise if directions are to be kept whose eigenvectors are not known."""
        known, d = spectrum.vectors.shape[1], spectrum.values.shape[0]
        if known < k and (k < d or not self._keeps_columns):
            raise ValueError(
                f"{k} directions are to be kept, but the rows span {known}; the other "
                f"{d - known} eigenvalues are equal, and solver={self.solver_!r} does "
                f"not choose a basis for them. Pass n_components of at most {known}, "
                f"or solver='eigh'."
            )
