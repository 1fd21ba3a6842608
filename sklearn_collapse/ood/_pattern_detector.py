"""Detectors that look at a row together with the class that it is taken for."""

from typing import NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._linalg._patterns import pattern_means
from sklearn_collapse._linalg._rows import centring, map_rows
from sklearn_collapse.ood._rows_detector import HeadRowsDetector
from sklearn_collapse.utils._arrays import Array, device_of, float_dtype, to_numpy
from sklearn_collapse.utils._finite import raise_nonfinite
from sklearn_collapse.utils._labels import positions
from sklearn_collapse.utils._sklearn_private import HasMethods, StrOptions

# Without a head these detectors would have no class to look at.
HEAD_OR_LDA = [StrOptions({"lda"}), HasMethods(["fit", "predict"])]


class OneClassDetector(HeadRowsDetector):
    """Detector with a head that ``"lda"`` does without where there is one class."""

    def _check_labels(self, y):
        return super(HeadRowsDetector, self)._check_labels(y)

    def _resolve(self, X, y, weights):
        classes = self._fitted.classes
        if isinstance(self.head_, str) and (classes is None or len(classes) == 1):
            return None
        return super()._resolve(X, y, weights)

    def _n_logits(self, X):
        return 1 if self._head is None else len(self._head.head.classes)

    def _checked(self, scores, rows):
        """Scores in the precision of the rows, or an error that says why not."""
        xp = rows.xp
        with np.errstate(over="ignore"):
            scores = xp.astype(scores, float_dtype(rows.X, xp), copy=False)
        if not bool(xp.all(xp.isfinite(scores))):
            raise_nonfinite(rows.X, overflow=False)
            raise ValueError(
                f"Scores, or the logits behind them, overflow {scores.dtype}, in which "
                f"these rows are scored. Rescale X or the weights of the head."
            )
        return rows.home(scores)


class _Patterns(NamedTuple):
    """Mean rows of the classes that have rows."""

    means: Array  # (P, d), float64
    codes: np.ndarray  # (P,): positions among the classes of the head
    classes: np.ndarray | None  # (P,): their labels


class PatternDetector(OneClassDetector):
    """Detector that compares a row with the mean row of its predicted class.

    Subclasses extend ``_learn`` and define ``_score_rows``.
    """

    _left_by_fit = (*OneClassDetector._left_by_fit, "_patterns")

    @property
    def patterns_(self):
        """Mean of the correctly classified training rows of each class."""
        check_is_fitted(self, "_patterns")
        return self._patterns.means

    @property
    def pattern_classes_(self):
        """Labels of the patterns."""
        check_is_fitted(self, "_patterns")
        return self._patterns.classes

    def _learn(self, X, y, weights):
        super()._learn(X, y, weights)
        n, d = X.shape
        rows = self._rows(X)
        labels = predicted = np.zeros(n, dtype=np.int64)
        classes = self._fitted.classes
        if self._head is not None:
            decide, width = self._decided(rows), max(d, self._n_logits(X))
            found = map_rows(rows, lambda block, _: (decide(block)[0],), width)[0]
            labels = predicted = to_numpy(found)
            classes = self._head.head.classes
            if y is not None:
                labels = positions(y, classes)
        n_classes = self._n_logits(X)
        right = labels == predicted
        means, codes = pattern_means(rows, labels, n_classes, weights, right)
        classes = None if classes is None else classes[codes]
        self._patterns = _Patterns(rows.home(means), codes, classes)

    # Whether the logits of a classifier that decides by itself are needed as well.
    _needs_logits = False

    def _decided(self, rows, known=None):
        """Map of blocks to the position of the predicted class and to the logits.

        ``known`` are the positions of the classes that may be predicted; by default
        all may. Logits that nobody needs are None.
        """
        xp = rows.xp
        if self._head is None:
            like = {"dtype": xp.int64, "device": device_of(rows.local(np.zeros(0)))}
            return lambda block: (xp.zeros(block.shape[0], **like), None)
        head = self._head.head.placed(rows)
        centred = centring(rows, self._head.centre, float_dtype(rows.X, xp))
        n_classes = len(head.classes)
        every = known is None or len(known) == n_classes
        allowed = np.zeros(n_classes, dtype=bool)
        allowed[slice(None) if every else known] = True
        allowed = rows.local(allowed)

        def decide(block):
            block = centred(block)
            plain = head.estimator is None
            needed = plain or not every or self._needs_logits
            logits = head.logits(block) if needed else None
            codes = xp.argmax(logits, axis=1) if plain else head.predict_codes(block)
            if not every:
                least = xp.full_like(logits, -xp.inf)
                best = xp.argmax(xp.where(allowed[None, :], logits, least), axis=1)
                codes = xp.where(xp.take(allowed, codes), codes, best)
            return codes, logits

        return decide

    def _matched(self, rows):
        """Map of blocks to the position of their pattern and to the logits."""
        codes = self._patterns.codes
        decide = self._decided(rows, codes)
        place = np.zeros(self._n_logits(rows.X), dtype=np.int64)
        place[codes] = np.arange(len(codes))
        place, xp = rows.local(place), rows.xp

        def match(block):
            found, logits = decide(block)
            return xp.take(place, found), logits

        return match
