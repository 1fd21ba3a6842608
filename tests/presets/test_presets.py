"""Every preset against its formula, written out with NumPy and scikit-learn."""

import numpy as np
import pytest
from numpy.linalg import norm
from numpy.testing import assert_allclose
from scipy.special import logsumexp, softmax
from sklearn.base import clone
from sklearn.covariance import EmpiricalCovariance
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from sklearn_collapse import LinearHead
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.metrics import get_scorer
from sklearn_collapse.model_selection import LeaveClassesOut
from sklearn_collapse.ood import ViMDetector
from sklearn_collapse.presets import PRESETS, Preset, get_preset, get_preset_names


class Data:
    """Real features in float64, and all that the references are computed from."""

    def __init__(self):
        data = load_cifar8_features()
        order = np.random.default_rng(0).permutation(len(data.data))[:2000]
        self.X, self.y = data.data[order].astype(float), data.target[order]
        self.inside = data.X_test[:300].astype(float)
        self.outside = np.vstack([v[:60] for v in data.ood.values()]).astype(float)
        self.new = np.vstack([self.inside, self.outside])
        self.head = data.head
        self.w, self.b = data.head.coef_, data.head.intercept_
        self.mean = self.X.mean(axis=0)

    def logits(self, X):
        return X @ self.w.T + self.b

    def class_means(self):
        return np.array([self.X[self.y == c].mean(axis=0) for c in range(8)])


@pytest.fixture(scope="module")
def data():
    return Data()


# -- the formulas ----------------------------------------------------------------


def neco(data, raw, logits):
    scaler = StandardScaler().fit(data.X)
    Z = scaler.transform(data.X)
    pca = PCA().fit(Z)
    m = np.where(np.cumsum(pca.explained_variance_ratio_) >= 0.9)[0][0] + 1
    z = scaler.transform(data.new)
    ratio = norm(pca.transform(z)[:, :m], axis=1)
    ratio /= norm(data.new if raw else z, axis=1)
    return ratio * data.logits(data.new).max(axis=1) if logits else ratio


def distances(data, X, new, relative):
    means = np.array([X[data.y == c].mean(axis=0) for c in range(8)])
    within = EmpiricalCovariance().fit(X - means[data.y]).precision_
    whole = EmpiricalCovariance().fit(X - X.mean(axis=0)).precision_
    scores = np.empty((len(new), 8))
    for i, x in enumerate(new):
        background = (x - X.mean(axis=0)) @ whole @ (x - X.mean(axis=0))
        for c in range(8):
            scores[i, c] = -(x - means[c]) @ within @ (x - means[c])
            scores[i, c] += background if relative else 0
    return scores.max(axis=1)


def unit(X):
    return X / norm(X, axis=1, keepdims=True)


def vim(data):
    u = -np.linalg.pinv(data.w) @ data.b
    covariance = EmpiricalCovariance(assume_centered=True).fit(data.X - u).covariance_
    values, vectors = np.linalg.eigh(covariance)
    rest = vectors[:, np.argsort(-values)[data.X.shape[1] // 2 :]]
    alpha = data.logits(data.X).max(axis=1).mean()
    alpha /= norm((data.X - u) @ rest, axis=1).mean()
    energy = logsumexp(data.logits(data.new), axis=1)
    return energy - alpha * norm((data.new - u) @ rest, axis=1)


def knn(data):
    bank, new = unit(data.X), unit(data.new)
    return np.array([-np.sort(norm(bank - z, axis=1))[49] for z in new])


def nci(data, alpha):
    gap = data.new - data.mean
    w = data.w[data.logits(data.new).argmax(axis=1)]
    return (w * gap).sum(axis=1) / norm(gap, axis=1) + alpha * norm(
        data.new, ord=1, axis=1
    )


def fdbd(data):
    scores = []
    for z, logits in zip(data.new, data.logits(data.new), strict=True):
        best = logits.argmax()
        total = sum(
            abs(logits[k] - logits[best]) / norm(data.w[k] - data.w[best])
            for k in range(8)
            if k != best
        )
        scores.append(total / norm(z - data.mean) / 7)
    return np.array(scores)


def gen(data):
    p = np.sort(softmax(data.logits(data.new), axis=1), axis=1)[:, -100:]
    return -np.sum(p**0.1 * (1 - p) ** 0.1, axis=1)


def klm(data):
    p = softmax(data.logits(data.X), axis=1)
    predicted = p.argmax(axis=1)
    typical = [p[predicted == c].mean(axis=0) for c in range(8)]
    new = softmax(data.logits(data.new), axis=1)
    return np.array([-min(np.sum(q * np.log(q / d)) for d in typical) for q in new])


def she(data):
    right = data.logits(data.X).argmax(axis=1) == data.y
    stored = [data.X[right & (data.y == c)].mean(axis=0) for c in range(8)]
    predicted = data.logits(data.new).argmax(axis=1)
    return np.array([z @ stored[c] for z, c in zip(data.new, predicted, strict=True)])


def ash_b(data, percentile=90):
    d = data.X.shape[1]
    k = d - int(np.round(d * percentile / 100))
    shaped = np.zeros_like(data.new)
    for row, z in zip(shaped, data.new, strict=True):
        row[np.argsort(-z, kind="stable")[:k]] = z.sum() / k
    return logsumexp(data.logits(shaped), axis=1)


def scale(data, percentile=85):
    d = data.X.shape[1]
    k = d - int(np.round(d * percentile / 100))
    shaped = np.array([z * np.exp(z.sum() / np.sort(z)[-k:].sum()) for z in data.new])
    return logsumexp(data.logits(shaped), axis=1)


def react(data):
    limit = np.percentile(data.X.ravel(), 90)
    return logsumexp(data.logits(np.minimum(data.new, limit)), axis=1)


FORMULAS = {
    "neco2024_vit": lambda data: neco(data, raw=False, logits=True),
    "neco2024_deit": lambda data: neco(data, raw=True, logits=True),
    "neco2024_swin": lambda data: neco(data, raw=True, logits=True),
    "neco2024_resnet": lambda data: neco(data, raw=False, logits=False),
    "openood_mds": lambda data: distances(data, data.X, data.new, False),
    "openood_rmds": lambda data: distances(data, data.X, data.new, True),
    "mahalanobis2025": lambda d: distances(d, unit(d.X), unit(d.new), False),
    "relative_mahalanobis2025": lambda d: distances(d, unit(d.X), unit(d.new), True),
    "openood_vim": vim,
    "openood_knn": knn,
    "openood_nci": lambda data: nci(data, 1e-4),
    "nci2025": lambda data: nci(data, 1e-3),
    "openood_fdbd": fdbd,
    "openood_msp": lambda d: softmax(d.logits(d.new), axis=1).max(axis=1),
    "openood_mls": lambda d: d.logits(d.new).max(axis=1),
    "openood_ebo": lambda d: logsumexp(d.logits(d.new), axis=1),
    "openood_gen": gen,
    "openood_klm": klm,
    "openood_she": she,
    "openood_ash": ash_b,
    "openood_scale": scale,
    "openood_react": react,
}


def test_a_formula_for_every_preset():
    assert set(FORMULAS) == set(PRESETS) == set(get_preset_names())


@pytest.mark.parametrize("name", PRESETS)
def test_parity(name, data):
    head = {"head": data.head} if PRESETS[name].needs_head else {}
    detector = get_preset(name, **head).fit(data.X, data.y)
    expected = FORMULAS[name](data)
    assert_allclose(detector.score_samples(data.new), expected, rtol=1e-6, atol=1e-9)
    # In the precision of networks: the same areas.
    narrow = get_preset(name, **head).fit(data.X.astype(np.float32), data.y)
    scores = narrow.score_samples(data.new.astype(np.float32))
    inside = np.repeat([1, 0], [len(data.inside), len(data.outside)])
    area = roc_auc_score(inside, scores)
    assert area == pytest.approx(roc_auc_score(inside, expected), abs=2e-4)


@pytest.mark.parametrize("name", PRESETS)
def test_facts(name, data):
    preset = PRESETS[name]
    assert isinstance(preset, Preset)
    assert preset.name == name
    assert preset.formula
    assert preset.source
    estimator = get_preset(name, **({"head": data.head} if preset.needs_head else {}))
    assert hasattr(clone(estimator), "score_samples")


def test_parameters(data):
    vim = get_preset("openood_vim", head=data.head, n_components=10)
    assert isinstance(vim, ViMDetector)
    assert vim.n_components == 10
    react = get_preset(
        "openood_react", head=data.head, percentile=80, contamination=0.1
    )
    assert react[0].percentile == 80
    assert react[-1].contamination == 0.1
    assert react[-1].head is data.head
    react = get_preset("openood_react", head=data.head, activationshaper__percentile=70)
    assert react[0].percentile == 70
    # The next one is as published again.
    assert get_preset("openood_react", head=data.head)[0].percentile == 90


def test_search(data):
    """Over parameters of a preset; the best of them make a preset again."""
    preset = get_preset("openood_scale", head=data.head)
    grid = {"activationshaper__percentile": [65, 85]}
    cv = LeaveClassesOut(n_splits=2, random_state=0)
    search = GridSearchCV(preset, grid, scoring=get_scorer("ood_auroc"), cv=cv)
    search.fit(data.X[:400], data.y[:400])
    again = get_preset("openood_scale", head=data.head, **search.best_params_)
    again.fit(data.X[:400], data.y[:400])
    assert_allclose(again.score_samples(data.new), search.score_samples(data.new))


@pytest.mark.parametrize("name", get_preset_names())
def test_tensors(name, data):
    torch = pytest.importorskip("torch")
    preset = get_preset(
        name, **({"head": data.head} if PRESETS[name].needs_head else {})
    )
    X, y, new = data.X[:300], data.y[:300], data.new[::20]
    expected = clone(preset).fit(X, y).score_samples(new)
    found = clone(preset).fit(torch.asarray(X), y).score_samples(torch.asarray(new))
    assert isinstance(found, torch.Tensor)
    assert_allclose(found.numpy(), expected, rtol=1e-7)


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("openood_vin", {}, ValueError, "Did you mean 'openood_vim'"),
        ("openood_vim", {}, ValueError, "needs head="),
        ("openood_mds", {"head": LinearHead(np.eye(2))}, ValueError, "has no head"),
        ("openood_mds", {"gamma": 1}, TypeError, "no parameter 'gamma', but"),
        (
            "openood_react",
            {"head": LinearHead(np.eye(2)), "a__b": 1},
            TypeError,
            "a__b",
        ),
        (3, {}, ValueError, "3 is not the name"),
        (["openood_vim"], {}, ValueError, "is not the name"),
    ],
)
def test_errors(name, options, error, message):
    with pytest.raises(error, match=message):
        get_preset(name, **options)
