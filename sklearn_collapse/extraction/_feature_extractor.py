"""A layer of a torch model as a transformer."""

import copy
from collections.abc import Mapping
from numbers import Integral

import numpy as np
import torch
from scipy import sparse
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from sklearn_collapse._base import unchanged_on_error
from sklearn_collapse.extraction._batches import Inputs
from sklearn_collapse.extraction._capture import Layers
from sklearn_collapse.extraction._inference import check_autocast
from sklearn_collapse.extraction._pooling import POOLINGS
from sklearn_collapse.utils._arrays import (
    is_foreign,
    is_sparse_tensor,
    slices,
    to_numpy,
)
from sklearn_collapse.utils._finite import check_finite
from sklearn_collapse.utils._parallel import with_progress
from sklearn_collapse.utils._sklearn_private import Interval, StrOptions, fit_context


class FeatureExtractor(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """Features of one layer of a trained torch model.

    Goes in front of anything that takes features: ``make_pipeline(
    FeatureExtractor(model, "fc:input"), MahalanobisDetector())``. The model is run
    batch by batch in evaluation mode, without gradients, and left as it was.

    Parameters
    ----------
    model : torch.nn.Module
        Trained model. It is shared by clones, not copied, and never moved.
    layer : str, default=""
        Name of a module as ``model.named_modules()`` lists it, whose output is taken.
        With ":input" appended, as in "fc:input", its first input. "" is the model
        itself. Of several outputs (tuples, dictionaries) the first tensor counts, or
        "last_hidden_state".
    batch_size : int, default=256
        Samples per pass.
    device : {"auto"}, str or torch.device, default="auto"
        "auto" is where the model's first parameter is. Any other must be the same: a
        model that is elsewhere raises.
    pooling : {"auto", "mean", "max", "flatten", "first", "last"} or callable, \
            default="auto"
        How outputs with more than two dimensions become rows. Three are tokens, (n,
        tokens, d), more are maps with channels first, (n, channels, ...). "auto" and
        "mean" average over tokens or positions, "max" takes the largest, "flatten"
        keeps all; "first" and "last" take one token. With an attention mask only the
        tokens count that it keeps, except for "flatten". Anything else, such as maps
        with channels last or (n, channels, length), is for a callable that takes
        values and mask (or None) and returns rows, ``lambda values, mask:
        values.mean((1, 2))``.
    autocast : torch.dtype or bool, default=None
        Run the model in mixed precision: torch.bfloat16, torch.float16, or True for
        the default of the device. Features become float32 all the same.
    progress : bool, default=False
        Whether to show a progress bar (with tqdm).

    Attributes
    ----------
    n_features_in_ : int
        Size of the second axis of X in ``fit``. Absent for mappings and token ids,
        whose length may change.
    feature_names_in_ : ndarray of str
        Column names of X in ``fit``, if it was a DataFrame.

    See Also
    --------
    extract : Features, labels and head from a DataLoader.
    stream_moments : Class moments of several layers without storing features.

    Notes
    -----
    X is copied batch by batch to the model's device. Floats become the dtype of the
    model's first floating-point parameter. Integers become floats as well, unless the
    model begins with an embedding or X is a mapping: then they stay.

    The model's layers are hooked for the time of one batch. It is run without what
    wraps it for several devices and uncompiled, since compiled code passes by hooks. A
    layer that is called more than once in one pass raises. Gradients are off by
    `torch.no_grad`, not by inference mode: tensors that a model keeps from its first
    pass could not be trained with afterwards. Every module's training flag is set and
    restored by itself, without calling ``eval()``.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_collapse.extraction import FeatureExtractor
    >>> from sklearn_collapse.ood import MahalanobisDetector
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(
    ...     torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(),
    ...     torch.nn.Linear(8 * 4 * 4, 10),
    ... )
    >>> images = np.random.default_rng(0).normal(size=(100, 3, 6, 6))
    >>> FeatureExtractor(model, "1").fit_transform(images).shape
    (100, 8)
    >>> detector = make_pipeline(FeatureExtractor(model, "1"), MahalanobisDetector())
    >>> detector.fit(images).predict(100 * images[:3])
    array([-1, -1, -1])
    """

    _parameter_constraints: dict = {
        "model": [torch.nn.Module],
        "layer": [str],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "device": [str, torch.device],
        "pooling": [StrOptions(set(POOLINGS)), callable],
        "autocast": [None, "boolean", torch.dtype],
        "progress": ["boolean"],
    }

    def __init__(
        self,
        model,
        layer="",
        *,
        batch_size=256,
        device="auto",
        pooling="auto",
        autocast=None,
        progress=False,
    ):
        self.model = model
        self.layer = layer
        self.batch_size = batch_size
        self.device = device
        self.pooling = pooling
        self.autocast = autocast
        self.progress = progress

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Check X and the parameters, and run the model on one sample.

        Nothing is learned: ``transform`` works without it. Names of the features that
        come out are known afterwards.

        Parameters
        ----------
        X : array-like of shape (n, ...) or mapping of such
            Inputs of the model.
        y : object, default=None
            Ignored.

        Returns
        -------
        FeatureExtractor
            The transformer itself.
        """
        with unchanged_on_error(self):
            for name in ("n_features_in_", "feature_names_in_"):
                if hasattr(self, name):
                    delattr(self, name)
            run = _Run(self)
            X = run.checked(X, reset=True)
            for here in slices(_n_samples(X), self.batch_size):
                run.part(X, here)
            self._n_features_out = run.features(run.part(X, slice(0, 1))).shape[1]
        return self

    def transform(self, X):
        """Compute features.

        Parameters
        ----------
        X : array-like of shape (n, ...) or mapping of such
            Inputs of the model: images, token ids, rows. A mapping, such as a
            tokenizer gives, holds its arguments by name; an "attention_mask" among
            them governs the pooling of tokens. Cross-validation needs plain arrays.

        Returns
        -------
        ndarray or tensor of shape (n, d)
            Of float32, or float64 of a model in float64. A tensor on the device of X
            for a tensor, or for a mapping of tensors; NumPy for anything else.
        """
        self._validate_params()
        run = _Run(self)
        X = run.checked(X, reset=False)
        n, out = _n_samples(X), None
        parts = list(slices(n, self.batch_size))
        for here in with_progress(parts, len(parts), self.progress, "batches"):
            rows = run.features(run.part(X, here), first_row=here.start)
            if out is None:
                out = _empty_like(X, n, rows)
            out[here] = rows if isinstance(out, torch.Tensor) else to_numpy(rows)
        return out

    def __sklearn_clone__(self):
        """Clone with the same model: it may be large, and is never changed."""
        without = copy.copy(self)
        without.model = None
        twin = super(FeatureExtractor, without).__sklearn_clone__()
        twin.model = self.model
        return twin

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        # It is the model's dtype that features have.
        tags.transformer_tags.preserves_dtype = []
        return tags


class _Run:
    """The steps of one call of an extractor."""

    def __init__(self, extractor):
        check_autocast(extractor.autocast)
        self._extractor = extractor
        self._inputs = Inputs(extractor.model, extractor.device)
        self._layers = Layers(
            extractor.model,
            [extractor.layer],
            pooling=extractor.pooling,
            autocast=extractor.autocast,
        )

    def checked(self, X, reset):
        """Check everything but finiteness."""
        # Some sparse matrices of SciPy are mappings.
        if isinstance(X, Mapping) and not sparse.issparse(X):
            return _checked_mapping(X)
        given = X
        if isinstance(X, torch.Tensor):
            X = _checked_tensor(X, type(self._extractor).__name__)
        else:
            X = to_numpy(X) if is_foreign(X) else X
            X = check_array(
                X,
                dtype="numeric",
                allow_nd=True,
                ensure_all_finite=False,
                estimator=self._extractor,
                input_name="X",
            )
        if not (self._inputs.embeds and _holds_integers(X)):
            names = given if hasattr(given, "columns") else X
            validate_data(self._extractor, names, skip_check_array=True, reset=reset)
        return X

    def part(self, X, here):
        """Samples of a slice; raises if one is not finite."""
        if isinstance(X, dict):
            return {name: self.part(values, here) for name, values in X.items()}
        part = X[here]
        numbers = np.arange(here.start, here.start + len(part))
        check_finite(part.reshape(len(part), -1), row_numbers=numbers)
        return part

    def features(self, part, first_row=0):
        """Rows of the layer."""
        # A mapping may not be split: its "y" is an argument like others.
        batch = self._inputs.read_alone(part)
        rows = self._layers.features(batch)[self._extractor.layer]
        numbers = np.arange(first_row, first_row + len(rows))
        check_finite(rows, row_numbers=numbers, name="features of the layer")
        return rows


def _checked_mapping(X):
    parts = {}
    for name, values in X.items():
        parts[name] = (
            values.detach() if isinstance(values, torch.Tensor) else np.asarray(values)
        )
        if parts[name].ndim == 0:
            raise ValueError(f"X[{name!r}] must be an array of one row per sample.")
    lengths = {name: len(values) for name, values in parts.items()}
    if len(set(lengths.values())) != 1 or not all(lengths.values()):
        raise ValueError(
            f"A mapping X must hold arrays with the same number of samples, at least "
            f"one: got {lengths}."
        )
    return parts


def _checked_tensor(X, name):
    """Checks of `check_array`."""
    if is_sparse_tensor(X):
        raise TypeError("Sparse data was passed for X, but dense data is required.")
    if X.is_complex():
        raise ValueError("Complex data not supported: X must be real.")
    if X.ndim < 2:
        raise ValueError(
            f"Expected an array of at least two dimensions, got shape "
            f"{tuple(X.shape)}. Reshape X to (n_samples, ...)."
        )
    for axis, what in ((0, "sample"), (1, "feature")):
        if not X.shape[axis]:
            raise ValueError(
                f"Found array with 0 {what}(s) (shape={tuple(X.shape)}) while a "
                f"minimum of 1 is required by {name}."
            )
    return X.detach()


def _holds_integers(X):
    return (
        not X.is_floating_point()
        if isinstance(X, torch.Tensor)
        else X.dtype.kind in "iu"
    )


def _n_samples(X):
    return len(next(iter(X.values()))) if isinstance(X, dict) else len(X)


def _empty_like(X, n, rows):
    """Room for n rows where X lives."""
    first = next(iter(X.values())) if isinstance(X, dict) else X
    shape = (n, rows.shape[1])
    if isinstance(first, torch.Tensor):
        return torch.empty(shape, dtype=rows.dtype, device=first.device)
    return np.empty(shape, to_numpy(rows[:0]).dtype)
