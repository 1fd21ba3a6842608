"""The only file that imports, or overrides, an underscore name of scikit-learn."""

from sklearn.base import BaseEstimator
from sklearn.base import _fit_context as fit_context
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metaestimators import _BaseComposition as BaseComposition
from sklearn.utils.validation import check_is_fitted

from sklearn_collapse.utils._html import FittedAttributes
from sklearn_collapse.utils._kept import looking

__all__ = [
    "BaseComposition",
    "FittedHTMLMixin",
    "HasMethods",
    "Interval",
    "StrOptions",
    "fit_context",
]

# Since 1.9 scikit-learn asks each estimator, also inside others, for this part.
_ASKED_FOR = hasattr(BaseEstimator, "_get_fitted_attr_html")


class FittedHTMLMixin(BaseEstimator):
    """HTML representation whose fitted attributes are not computed for it.

    scikit-learn's own reads every attribute and shortens the names in ``metrics_``.
    """

    def _repr_html_inner(self):
        with looking():
            return super()._repr_html_inner() + self._fitted_below()

    def _repr_mimebundle_(self, **kwargs):
        with looking():
            bundle = super()._repr_mimebundle_(**kwargs)
            if "text/html" in bundle:
                bundle["text/html"] += self._fitted_below()
        return bundle

    def _get_fitted_attr_html(self, doc_link=""):
        # An unfitted estimator in a fitted one is asked as well.
        return FittedAttributes(self) if _is_fitted(self) else ()

    def _fitted_below(self):
        """Fitted attributes, for versions of scikit-learn that do not ask for them."""
        if _ASKED_FOR or not _is_fitted(self):
            return ""
        return FittedAttributes(self)._repr_html_inner()

    def _metrics_to_show(self):
        return None

    def _about_metric(self, name):
        return None, ""

    def _more_to_show(self):
        return ()


def _is_fitted(estimator):
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    return True
