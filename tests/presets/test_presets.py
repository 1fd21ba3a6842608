"""Every preset against its formula, written out with NumPy and scikit-learn."""

import numpy as np
import oracles_ood as oracles
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV

from sklearn_collapse import LinearHead
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.metrics import get_scorer
from sklearn_collapse.model_selection import LeaveClassesOut
from sklearn_collapse.ood import ViMDetector
from sklearn_collapse.presets import PRESETS, Preset, get_preset, get_preset_names

INSIDE = 300  # in-distribution rows, the first of the new ones


@pytest.fixture(scope="module")
def data():
    """Real features in float64, and those they are told from."""
    data = load_cifar8_features()
    order = np.random.default_rng(0).permutation(len(data.data))[:2000]
    sets = [v[:60] for v in data.ood.values()]
    new = np.vstack([data.X_test[:INSIDE], *sets])
    found = oracles.Problem(
        data.data[order], data.target[order], new, data.coef, data.intercept
    )
    found.head = data.head
    return found


FORMULAS = {
    "neco2024_vit": lambda data: oracles.neco(data, raw=False, logits=True),
    "neco2024_deit": lambda data: oracles.neco(data, raw=True, logits=True),
    "neco2024_swin": lambda data: oracles.neco(data, raw=True, logits=True),
    "neco2024_resnet": lambda data: oracles.neco(data, raw=False, logits=False),
    "openood_mds": oracles.mahalanobis,
    "openood_rmds": lambda data: oracles.mahalanobis(data, relative=True),
    "mahalanobis2025": lambda data: oracles.mahalanobis(data.unit),
    "relative_mahalanobis2025": lambda d: oracles.mahalanobis(d.unit, relative=True),
    "openood_vim": oracles.vim,
    "openood_knn": lambda data: oracles.knn(data.unit),
    "openood_nci": lambda data: oracles.nci(data, 1e-4),
    "nci2025": lambda data: oracles.nci(data, 1e-3),
    "openood_fdbd": oracles.fdbd,
    "openood_msp": oracles.msp,
    "openood_mls": oracles.max_logit,
    "openood_ebo": oracles.energy,
    "openood_gen": oracles.gen,
    "openood_klm": oracles.klm,
    "openood_she": oracles.she,
    "openood_ash": lambda data: oracles.by_rank(data, "ash_b", 90),
    "openood_scale": lambda data: oracles.by_rank(data, "scale", 85),
    "openood_react": oracles.react,
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
    inside = np.arange(len(data.new)) < INSIDE
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
