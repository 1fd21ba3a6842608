"""FeatureExtractor as a transformer: scikit-learn's checks, pipelines, inputs."""

import copy
import os
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_estimator

torch = pytest.importorskip("torch")

from torch_models import by_hand, conv_net, images  # noqa: E402

import sklearn_collapse  # noqa: E402
from sklearn_collapse.extraction import FeatureExtractor  # noqa: E402
from sklearn_collapse.ood import MahalanobisDetector  # noqa: E402
from sklearn_collapse.utils import estimator_checks as ours  # noqa: E402

nn = torch.nn
# Not in test_common.py, which runs without torch as well. A model that takes any
# number of columns: the width of the checks' rows varies.
INSTANCES = [
    FeatureExtractor(nn.Flatten()),
    FeatureExtractor(nn.Sequential(nn.Identity(), nn.LeakyReLU()), "1:input"),
    FeatureExtractor(
        nn.Sequential(nn.Unflatten(1, (1, -1)), nn.ReplicationPad1d(1)),
        batch_size=7,
        pooling="flatten",
    ),
]
# One takes rows before any fit; the other wants float64 of all that is no array library
# of its own, where features have the model's dtype.
DO_NOT_APPLY = {"check_unfitted", "check_dtypes"}


@pytest.fixture(scope="module")
def data():
    return images()


@pytest.fixture(scope="module")
def model():
    return conv_net()


# -- common checks -------------------------------------------------------------------


@pytest.mark.parametrize("estimator", INSTANCES, ids=lambda e: repr(e.model)[:20])
def test_scikit_learn_checks(estimator):
    results = check_estimator(
        estimator, on_skip=None, on_fail=None, expected_failed_checks={}
    )
    other = {
        r["check_name"]: r["exception"] for r in results if r["status"] != "passed"
    }
    assert not other
    passed = Counter(r["check_name"] for r in results)
    assert sum(passed.values()) >= 42, passed
    assert {"check_transformer_general", "check_n_features_in"} <= set(passed)


@pytest.mark.parametrize("check", ours.estimator_checks(), ids=lambda c: c.__name__)
@pytest.mark.parametrize("estimator", INSTANCES, ids=lambda e: repr(e.model)[:20])
def test_our_checks(estimator, check):
    if check.__name__ not in DO_NOT_APPLY:
        check(estimator)


def test_checks_that_do_not_apply_exist():
    assert {check.__name__ for check in ours.estimator_checks()} >= DO_NOT_APPLY


# -- features --------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 7, 50, 256])
def test_features(model, data, batch_size):
    X, _ = data
    expected = by_hand(model, X)["features"]
    for layer in ("pool", "fc:input", "relu"):
        extractor = FeatureExtractor(model, layer, batch_size=batch_size)
        for features in (extractor.transform(X), extractor.fit_transform(X)):
            assert features.dtype == np.float32
            assert_allclose(features, expected, rtol=1e-4, atol=1e-6)


def test_tensors_stay_tensors(model, data):
    X, _ = data
    extractor = FeatureExtractor(model, "fc:input")
    features = extractor.fit_transform(torch.as_tensor(X).requires_grad_())
    assert isinstance(features, torch.Tensor)
    assert not features.requires_grad
    assert not features.is_inference()
    assert_array_equal(features, extractor.transform(X))
    exact = extractor.transform(X.astype(np.float64).tolist())
    assert exact.dtype == np.float32
    assert_array_equal(exact, features)


def test_other_array_libraries(model):
    strict = pytest.importorskip("array_api_strict")
    X = np.eye(3)
    features = FeatureExtractor(nn.Flatten()).transform(strict.asarray(X))
    assert_array_equal(features, X)


def test_memory_map(model, data, tmp_path):
    X, _ = data
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    extractor = FeatureExtractor(model, batch_size=20)
    assert_array_equal(extractor.transform(mapped), extractor.transform(X))


def test_images_of_integers(model, data):
    X = np.random.default_rng(0).integers(0, 256, (4, 3, 6, 6), dtype=np.uint8)
    expected = by_hand(model, X.astype(np.float32))["fc"]
    found = FeatureExtractor(model).fit_transform(X)
    assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_tokens():
    """Ids stay integers, and their number may change; masks come in a mapping."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(10, 4), nn.Tanh())
    table = np.tanh(model[0].weight.detach().double().numpy())
    ids = np.random.default_rng(0).integers(0, 10, (9, 5))
    extractor = FeatureExtractor(model, batch_size=4).fit(ids)
    assert_allclose(extractor.transform(ids), table[ids].mean(1), rtol=1e-5, atol=1e-6)
    shorter = extractor.transform(ids[:, :3])
    assert_allclose(shorter, table[ids[:, :3]].mean(1), rtol=1e-5, atol=1e-6)
    assert not hasattr(extractor, "n_features_in_")

    class Reads(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = model

        def forward(self, input_ids, attention_mask, labels=None):
            assert labels is not None  # an argument like any other
            return {"loss": input_ids.sum(), "last_hidden_state": self.body(input_ids)}

    mask = np.arange(5) < np.arange(1, 10)[:, None]
    X = {"input_ids": ids, "attention_mask": mask.astype(int), "labels": ids[:, 0]}
    extractor = FeatureExtractor(Reads(), pooling="last", batch_size=4)
    last = np.minimum(np.arange(9), 4)
    expected = table[ids[np.arange(9), last]]
    found = extractor.fit_transform(X)
    assert isinstance(found, np.ndarray)
    assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    tensors = {name: torch.as_tensor(values) for name, values in X.items()}
    found = extractor.transform(tensors)
    assert isinstance(found, torch.Tensor)
    assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    for wrong in ({**X, "labels": ids[:4, 0]}, {}, {"input_ids": ids[:0]}):
        with pytest.raises(ValueError, match="same number of samples, at least one"):
            extractor.transform(wrong)
    with pytest.raises(ValueError, match=r"X\['scale'\] must be an array"):
        extractor.transform({**X, "scale": 2.0})
    X["attention_mask"][6] = 0
    with pytest.raises(ValueError, match="leaves no token in row 2"):
        extractor.transform(X)


# -- validation ------------------------------------------------------------------------


@pytest.mark.parametrize("as_array", [np.asarray, torch.as_tensor])
def test_what_is_wrong_with_X(model, data, as_array):
    X, _ = data
    extractor = FeatureExtractor(model, batch_size=8)
    bad = X.copy()
    bad[21, 2, 1, 1] = np.nan
    for method in (extractor.fit, extractor.transform):
        # Column 2 · 36 + 1 · 6 + 1 of the flattened image.
        with pytest.raises(ValueError, match="NaN: first in row 21, column 79"):
            method(as_array(bad))
        with pytest.raises(ValueError, match="0 sample"):
            method(as_array(X[:0]))
        with pytest.raises(ValueError, match=r"[Rr]eshape"):
            method(as_array(X[:, 0, 0, 0]))
        with pytest.raises(ValueError, match="Complex"):
            method(as_array(X.astype(np.complex64)))
    fitted = clone(extractor).fit(as_array(X))
    with pytest.raises(
        ValueError, match="X has 2 features, but FeatureExtractor is exp"
    ):
        fitted.transform(as_array(X[:, :2]))


def test_sparse_is_refused():
    X = sparse.eye_array(3, format="dok")  # which is a mapping as well
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        FeatureExtractor(nn.Flatten()).fit(X)
    with pytest.raises(TypeError, match="Sparse"):
        FeatureExtractor(nn.Flatten()).fit(torch.eye(3).to_sparse())


def test_features_that_are_not_finite():
    model = nn.Sequential(nn.Linear(1, 2))
    model.append(nn.Threshold(0.0, float("inf")))
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        model[0].bias.fill_(0.0)
    X = np.ones((20, 1))
    X[13] = -1
    message = r"features of the layer contains infinity \(inf\): first in row 13"
    with pytest.raises(ValueError, match=message):
        FeatureExtractor(model, batch_size=4).transform(X)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "resnet"}, "'model' parameter"),
        ({"layer": None}, "'layer' parameter"),
        ({"layer": "nothing"}, "no layer 'nothing'"),
        ({"batch_size": 0}, "'batch_size' parameter"),
        ({"pooling": "avg"}, "'pooling' parameter"),
        ({"device": 3}, "'device' parameter"),
        ({"device": "meta"}, "Call model.to"),
        ({"autocast": "bfloat16"}, "'autocast' parameter"),
        ({"autocast": torch.float64}, "autocast must be"),
        ({"progress": 3}, "'progress' parameter"),
    ],
)
def test_wrong_parameters(model, data, options, message):
    X, _ = data
    extractor = FeatureExtractor(model).set_params(**options)
    for method in (extractor.fit, extractor.transform):
        with pytest.raises(ValueError, match=message):
            method(X)


def test_failed_fit_leaves_it_as_it_was(model, data):
    X, _ = data
    extractor = FeatureExtractor(model).fit(X)
    before = dict(vars(extractor))
    with pytest.raises(RuntimeError):
        extractor.fit(X[:, :2])
    assert vars(extractor) == before


# -- as scikit-learn has it ------------------------------------------------------------


def test_clone_shares_the_model(model):
    extractor = FeatureExtractor(model, "pool", pooling="max", autocast=torch.bfloat16)
    extractor.set_output(transform="pandas")
    twin = clone(make_pipeline(extractor)).steps[0][1]
    assert twin is not extractor
    assert twin.model is extractor.model is model
    assert twin.get_params() == extractor.get_params()
    assert twin._sklearn_output_config == {"transform": "pandas"}
    twin.set_params(layer="fc")
    assert extractor.layer == "pool"
    assert copy.deepcopy(extractor).model is not model

    class Large(nn.Flatten):
        def __deepcopy__(self, memo):
            raise MemoryError

    clone(FeatureExtractor(Large()))
    fitted = clone(FeatureExtractor(model).fit(np.ones((2, 3, 6, 6))))
    assert not hasattr(fitted, "n_features_in_")


def test_pickle(model, data):
    X, _ = data
    extractor = FeatureExtractor(model, "fc:input").fit(X)
    twin = pickle.loads(pickle.dumps(extractor))
    assert_array_equal(twin.transform(X), extractor.transform(X))
    assert list(twin.get_feature_names_out()) == list(extractor.get_feature_names_out())


def test_names_of_features(model, data):
    pd = pytest.importorskip("pandas")
    X, _ = data
    extractor = FeatureExtractor(model, "fc:input")
    with pytest.raises(NotFittedError):
        extractor.get_feature_names_out()
    names = [f"featureextractor{k}" for k in range(6)]
    assert list(extractor.fit(X).get_feature_names_out()) == names
    frame = extractor.set_output(transform="pandas").transform(X)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == names
    assert not get_tags(extractor).requires_fit


def test_pipeline_and_search(model, data):
    X, y = data
    pipeline = make_pipeline(FeatureExtractor(model, "fc:input"), MahalanobisDetector())
    scores = pipeline.fit(X, y).score_samples(X)
    features = by_hand(model, X)["features"].astype(np.float32)
    expected = MahalanobisDetector().fit(features, y).score_samples(features)
    assert_allclose(scores, expected, rtol=1e-2)
    layers = ["norm", "fc:input"]
    search = GridSearchCV(
        make_pipeline(FeatureExtractor(model), LogisticRegression()),
        {"featureextractor__layer": layers},
        cv=3,
        error_score="raise",
    ).fit(X, y)
    assert search.best_params_["featureextractor__layer"] in layers
    assert search.best_estimator_[0].model is model
    assert model.training


def test_progress(model, data, capsys):
    pytest.importorskip("tqdm")
    FeatureExtractor(model, batch_size=20, progress=True).transform(data[0])
    assert "3/3" in capsys.readouterr().err


# -- without torch ---------------------------------------------------------------------


def test_missing_torch_is_named():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from sklearn_collapse import extraction\n"
        "print(dir(extraction))\n"
        "# A history needs torch only to run a model, callbacks bring it.\n"
        "without = {'CollapseTracker', 'lightning_callback', 'transformers_callback'}\n"
        "for name in sorted(set(extraction.__all__) - without):\n"
        "    try: getattr(extraction, name)\n"
        "    except ImportError as error: print(error)\n"
        "try: extraction.nothing\n"
        "except AttributeError as error: print(error)\n"
    )
    root = str(Path(sklearn_collapse.__file__).parents[1])
    env = {**os.environ, "PYTHONPATH": root}
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env=env,
        check=True,
    )
    lines = result.stdout.splitlines()
    assert "FeatureExtractor" in lines[0]
    for line in lines[1:-1]:
        assert "needs torch: pip install 'sklearn-collapse[torch]'" in line
    assert len(lines) >= 6
    assert "has no attribute 'nothing'" in lines[-1]
