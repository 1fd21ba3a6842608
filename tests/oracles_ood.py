"""Scores of detectors by their formulas: NumPy, SciPy and scikit-learn, float64.

Fast enough for thousands of rows of full rank. Nothing here imports the library.
"""

import copy
from functools import cached_property

import numpy as np
from numpy.linalg import norm
from scipy.special import log_softmax, logsumexp, softmax
from scipy.stats import multivariate_normal
from scipy.stats import norm as standard_normal
from sklearn.covariance import EmpiricalCovariance
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler


class Problem:
    """Training rows with labels 0, 1, ..., new rows, and weights and biases."""

    def __init__(self, X, y, new, w, b):
        self.X, self.new = np.asarray(X, dtype=float), np.asarray(new, dtype=float)
        self.y, self.n_classes = np.asarray(y), len(np.unique(y))
        self.w, self.b = np.asarray(w, dtype=float), np.asarray(b, dtype=float)
        self.mean = self.X.mean(axis=0)

    def with_head(self, w, b):
        """Copy with another head."""
        other = copy.copy(self)
        other.w, other.b = w, b
        return other

    def logits(self, X):
        return X @ self.w.T + self.b

    @cached_property
    def means(self):
        classes = range(self.n_classes)
        return np.array([self.X[self.y == c].mean(axis=0) for c in classes])

    @property
    def centred(self):
        return self.X - self.means[self.y]

    @property
    def unit(self):
        """The same with rows of length 1."""
        return Problem(unit(self.X), self.y, unit(self.new), self.w, self.b)

    @property
    def lda(self):
        """The same with the linear discriminant, logits centred over classes."""
        gaps = self.means - self.mean
        w = gaps @ EmpiricalCovariance().fit(self.centred).precision_
        share = np.bincount(self.y) / len(self.y)
        b = np.log(share) - ((self.means + self.mean) * w).sum(axis=1) / 2
        return self.with_head(w - w.mean(axis=0), b - b.mean())


def unit(X):
    return X / norm(X, axis=1, keepdims=True)


# -- logits --------------------------------------------------------------------------


def msp(data):
    return softmax(data.logits(data.new), axis=1).max(axis=1)


def max_logit(data):
    return data.logits(data.new).max(axis=1)


def energy(data, rows=None):
    return logsumexp(data.logits(data.new if rows is None else rows), axis=1)


def entropy(data):
    logs = log_softmax(data.logits(data.new), axis=1)
    return np.sum(np.exp(logs) * logs, axis=1)


def gen(data):
    p = np.sort(softmax(data.logits(data.new), axis=1), axis=1)[:, -100:]
    return -np.sum(p**0.1 * (1 - p) ** 0.1, axis=1)


def klm(data):
    p = softmax(data.logits(data.X), axis=1)
    predicted = p.argmax(axis=1)
    typical = [p[predicted == c].mean(axis=0) for c in range(data.n_classes)]
    new = softmax(data.logits(data.new), axis=1)
    return np.array([-min(np.sum(q * np.log(q / d)) for d in typical) for q in new])


def margin(data):
    ordered = np.sort(data.logits(data.new), axis=1)
    return ordered[:, -1] - ordered[:, -2]


# -- shaped activations, then energy -------------------------------------------------


def by_rank(data, method, percentile):
    d = data.X.shape[1]
    k = d - int(np.round(d * percentile / 100))
    shaped = np.zeros_like(data.new)
    for row, z in zip(shaped, data.new, strict=True):
        best = np.argsort(-z, kind="stable")[:k]
        growth = np.exp(z.sum() / z[best].sum())
        if method == "scale":
            row[:] = z * growth
        else:
            row[best] = {
                "ash_p": z[best],
                "ash_b": z.sum() / k,
                "ash_s": z[best] * growth,
            }[method]
    return energy(data, shaped)


def react(data):
    limit = np.percentile(data.X.ravel(), 90)
    return energy(data, np.minimum(data.new, limit))


def vra(data):
    low, high = np.percentile(data.X.ravel(), [60, 90])
    return energy(data, np.where(data.new < low, 0.0, np.minimum(data.new, high)))


def optimal(data):
    """A factor for each of 100 ranges of activations."""
    low, high = np.quantile(data.X, [0.001, 0.999])
    edges = np.linspace(low, high, 101)
    predicted = data.logits(data.X).argmax(axis=1)
    parts, place = data.w[predicted] * data.X, np.digitize(data.X, edges)
    # Place b + 1 is range b; 0 and 101 are outside of all.
    means = np.bincount(place.ravel(), parts.ravel(), minlength=102)[1:101]
    factors = np.zeros(102)
    factors[1:101] = 1000 * means / norm(means)
    return energy(data, factors[np.digitize(data.new, edges)] * data.new)


# -- distances -----------------------------------------------------------------------


def squared(gaps, precision):
    return np.sum(gaps @ precision * gaps, axis=1)


def nearest(data, precision):
    """Negative squared distance to the nearest class mean."""
    return -np.min([squared(data.new - m, precision) for m in data.means], axis=0)


def mahalanobis(data, relative=False):
    score = nearest(data, EmpiricalCovariance().fit(data.centred).precision_)
    if relative:
        whole = EmpiricalCovariance().fit(data.X)
        score = score + squared(data.new - data.mean, whole.precision_)
    return score


def one_class(data):
    return -np.sqrt(EmpiricalCovariance().fit(data.X).mahalanobis(data.new))


def class_density(data, relative=False):
    """Largest log-density of the classes, each with its covariance."""

    def density(rows):
        law = EmpiricalCovariance().fit(rows)
        return multivariate_normal(law.location_, law.covariance_).logpdf(data.new)

    score = np.max(
        [density(data.X[data.y == c]) for c in range(data.n_classes)], axis=0
    )
    return score - density(data.X) if relative else score


def directions(data, components, share):
    """Distances along the fewest directions that hold a share of the variance."""
    pca = PCA().fit(data.centred)
    ratio, basis = pca.explained_variance_ratio_, pca.components_
    if components == "bottom":
        ratio, basis = ratio[::-1], basis[::-1]
    kept = basis[: np.searchsorted(np.cumsum(ratio), share) + 1].T
    return mahalanobis(
        Problem(data.X @ kept, data.y, data.new @ kept, data.w @ kept, data.b)
    )


def comedian(data):
    """The comedian of the class-centred rows, shrunk by its standard errors."""
    X = data.centred - np.median(data.centred, axis=0)
    n, d = X.shape
    factor = 1 / standard_normal.ppf(0.75) ** 2
    first = int(np.floor((n - 1) / 2 - np.sqrt(n) / 2))
    last = n - 1 - first
    places = [first, (n - 1) // 2, n // 2, last]
    S, E = np.empty((d, d)), np.empty((d, d))
    for j in range(d):
        low, a, b, high = np.partition(X[:, [j]] * X, places, axis=0)[places]
        S[j] = factor * (a + b) / 2
        E[j] = factor * (high - low) / 2 * np.sqrt(n) / (last - first)
    nu = np.trace(S) / d
    share = min(1.0, np.sum(E**2) / np.sum((S - nu * np.eye(d)) ** 2))
    values, vectors = np.linalg.eigh(S)
    values = (1 - share) * np.maximum(values, 0) + share * nu
    return nearest(data, vectors / values @ vectors.T)


def knn(data):
    """Minus the distance to the 50th training row."""
    search = NearestNeighbors(n_neighbors=50, algorithm="brute").fit(data.X)
    return -search.kneighbors(data.new)[0][:, -1]


def nnguide(data, neighbors):
    """Energy times the mean over 10 rows of cosine times energy."""
    own, bank, scores = energy(data, data.X), unit(data.X), []
    for block in np.array_split(unit(data.new), 16):
        for cosine in block @ bank.T:
            by = cosine * own if neighbors == "scaled" else cosine
            best = np.argpartition(-by, 10)[:10]
            scores.append(np.mean(cosine[best] * own[best]))
    return energy(data) * scores


# -- subspaces -----------------------------------------------------------------------


def neco(data, raw, logits):
    scaler = StandardScaler().fit(data.X)
    Z = scaler.transform(data.X)
    pca = PCA().fit(Z)
    m = np.where(np.cumsum(pca.explained_variance_ratio_) >= 0.9)[0][0] + 1
    z = scaler.transform(data.new)
    ratio = norm(pca.transform(z)[:, :m], axis=1)
    ratio /= norm(data.new if raw else z, axis=1)
    return ratio * max_logit(data) if logits else ratio


def leading(rows, k):
    """First eigenvectors of the second moment about the origin, and the others."""
    values, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
    vectors = vectors[:, np.argsort(-values)]
    return vectors[:, :k], vectors[:, k:]


def class_subspaces(data, centered):
    """Largest share of a row's length along the first direction of a class."""
    m = data.means.mean(axis=0) if centered else 0.0
    shares = [
        norm((data.new - m) @ leading(data.X[data.y == c] - m, 1)[0], axis=1)
        for c in range(data.n_classes)
    ]
    return np.max(shares, axis=0) / norm(data.new - m, axis=1)


def residual(data):
    rest = leading(data.X - data.mean, data.X.shape[1] // 2)[1]
    return -norm((data.new - data.mean) @ rest, axis=1)


def vim(data, u=None):
    """Energy and residual about the origin of the head, or about a point."""
    u = -np.linalg.pinv(data.w) @ data.b if u is None else u
    rest = leading(data.X - u, data.X.shape[1] // 2)[1]
    alpha = data.logits(data.X).max(axis=1).mean()
    alpha /= norm((data.X - u) @ rest, axis=1).mean()
    return energy(data) - alpha * norm((data.new - u) @ rest, axis=1)


def reconstruction(data):
    """Squared distance under probabilistic PCA of half of the dimensions."""
    d = data.X.shape[1]
    # scikit-learn's covariances have the normaliser n - 1: a constant factor.
    model = PCA(d // 2, svd_solver="full").fit(data.X)
    return -squared(data.new - data.mean, np.linalg.inv(model.get_covariance()))


# -- weights and class means ---------------------------------------------------------


def nci(data, alpha):
    gap = data.new - data.mean
    w = data.w[data.logits(data.new).argmax(axis=1)]
    along = (w * gap).sum(axis=1) / norm(gap, axis=1)
    return along + alpha * norm(data.new, ord=1, axis=1)


def fdbd(data):
    scores = []
    for z, logits in zip(data.new, data.logits(data.new), strict=True):
        best = logits.argmax()
        total = sum(
            abs(logits[k] - logits[best]) / norm(data.w[k] - data.w[best])
            for k in range(data.n_classes)
            if k != best
        )
        scores.append(total / norm(z - data.mean) / (data.n_classes - 1))
    return np.array(scores)


def she(data, metric="inner_product"):
    right = data.logits(data.X).argmax(axis=1) == data.y
    stored = [data.X[right & (data.y == c)].mean(axis=0) for c in range(data.n_classes)]
    predicted = data.logits(data.new).argmax(axis=1)
    similarity = {
        "inner_product": np.dot,
        "cosine": lambda z, m: z @ m / norm(z) / norm(m),
        "euclidean": lambda z, m: -norm(z - m),
    }[metric]
    pairs = zip(data.new, predicted, strict=True)
    return np.array([similarity(z, stored[c]) for z, c in pairs])


def costarr(data):
    """Cosine with the class mean of [z, w_c z], times the largest logit in [0, 1]."""
    seen, logits = data.logits(data.X), data.logits(data.new)
    predicted = seen.argmax(axis=1)
    right = predicted == data.y
    both = np.hstack([data.X, data.w[predicted] * data.X])
    stored = np.array(
        [both[right & (data.y == c)].mean(axis=0) for c in range(data.n_classes)]
    )
    best = logits.argmax(axis=1)
    rows = np.hstack([data.new, data.w[best] * data.new])
    cosine = np.sum(unit(rows) * unit(stored[best]), axis=1)
    return cosine * (logits.max(axis=1) - seen.min()) / (seen.max() - seen.min())


# -- several detectors ---------------------------------------------------------------


def ensemble(pairs, combine):
    """Scores of members on training rows and on new ones, combined."""
    if combine == "rank":
        return np.mean([mid_ranks(*pair) for pair in pairs], axis=0)
    scaled = [(new - seen.mean()) / seen.std() for seen, new in pairs]
    return np.mean(scaled, axis=0) if combine == "z" else np.min(scaled, axis=0)


def mid_ranks(seen, new):
    """Share of the training scores below, interpolated, and bounded beyond them."""
    knots, counts = np.unique(seen, return_counts=True)
    shares = (np.cumsum(counts) - counts / 2) / len(seen)
    low, high = np.interp([0.25, 0.75], shares, knots)
    below = np.maximum(knots[0] - new, 0) / (high - low)
    above = np.maximum(new - knots[-1], 0) / (high - low)
    inside = np.interp(new, knots, shares)
    found = np.where(new < knots[0], shares[0] / (1 + below), inside)
    return np.where(new > knots[-1], 1 - (1 - shares[-1]) / (1 + above), found)
