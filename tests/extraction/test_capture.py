"""Layers by name, what they give, and a model that is left as it was."""

import threading

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

torch = pytest.importorskip("torch")

from torch_models import by_hand, conv_net, images, loader_of  # noqa: E402

from sklearn_collapse.extraction import extract, stream_moments  # noqa: E402
from sklearn_collapse.extraction._stream import feature_blocks  # noqa: E402

nn = torch.nn


@pytest.fixture
def model():
    return conv_net()


@pytest.fixture(scope="module")
def data():
    return images()


# -- layers by name --------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "step"),
    [
        ("conv", "conv"),
        ("norm", "norm"),
        ("relu:input", "norm"),
        ("relu", "relu"),
        ("pool", "relu"),
        ("fc:input", "features"),
        ("drop", "features"),
        ("fc", "fc"),
        ("", "fc"),
        ("module.fc:input", "features"),
        ("_orig_mod.fc", "fc"),
    ],
)
def test_layers(model, data, layer, step):
    """Also of what the next layer overwrites: the ReLU works in place."""
    X, y = data
    expected = by_hand(model, X)[step]
    expected = expected.mean((2, 3)) if expected.ndim == 4 else expected
    features, labels, head = extract(model, loader_of(X, y), layer)
    assert features.dtype == np.float32
    assert_allclose(features, expected, rtol=1e-4, atol=1e-6)
    assert_array_equal(labels, y)
    assert head is None


def test_rows_that_the_next_layer_overwrites():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(inplace=True))
    x = torch.randn(20, 4)
    with torch.no_grad():
        expected = model[0](x)
    assert (expected < 0).any()
    assert_array_equal(extract(model, [x], "0").features, expected)


def test_input_of_the_model(model, data):
    X, y = data
    features = extract(model, loader_of(X, y), ":input", pooling="flatten").features
    assert_array_equal(features, X.reshape(len(X), -1))


def test_unknown_layer(model, data):
    with pytest.raises(ValueError, match=r"no layer 'poool'\. It has 'pool'"):
        extract(model, loader_of(*data), "poool")
    with pytest.raises(ValueError, match=r"no layer 'modulefc'"):
        extract(model, loader_of(*data), "modulefc")
    with pytest.raises(TypeError, match=r"must be a torch\.nn\.Module, got function"):
        extract(lambda x: x, loader_of(*data))


def test_names_of_a_shared_module():
    """A module under two names has both."""
    model = nn.Sequential(nn.Linear(3, 3))
    model.alias = model[0]
    model.forward = model[0].forward
    with pytest.raises(ValueError, match="did not call its layers"):
        extract(model, [torch.ones(2, 3)], "alias")
    twice = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    twice.add_module("same", nn.Identity())
    twice.other = twice.same
    with pytest.raises(ValueError, match="'other' is called more than once"):
        extract(twice, [torch.ones(2, 3)], "other")


def test_layer_called_twice():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = nn.ReLU()
            self.fc = nn.Linear(3, 3)

        def forward(self, x):
            return self.relu(self.fc(self.relu(x)))

    model = Twice()
    message = r"In batch 0: Layer 'relu' is called more than once.*':input'|…:input"
    with pytest.raises(ValueError, match=message):
        extract(model, [torch.ones(2, 3)], "relu")
    assert extract(model, [torch.ones(2, 3)], "fc").features.shape == (2, 3)


def test_layer_not_called():
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    x = torch.randn(3, 5, 8)
    batch = [{"query": x, "key": x, "value": x}]
    message = r"did not call its layers \['out_proj'\].*Name the module around"
    with pytest.raises(ValueError, match=message):
        extract(attention, batch, "out_proj")
    with torch.no_grad():
        expected = attention(x, x, x)[0].mean(1)  # the first of two outputs
    assert_allclose(extract(attention, batch).features, expected, rtol=1e-4, atol=1e-6)


class Wrapping(nn.Module):
    def __init__(self, wrap):
        super().__init__()
        self.inner = nn.Linear(4, 3)
        self.wrap = wrap

    def forward(self, x):
        return self.wrap(self.inner(x))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda v: (v, 2 * v),
        lambda v: [None, v],
        lambda v: {"loss": v.sum(), "logits": v},
        lambda v: {"extra": 2 * v, "last_hidden_state": v},
    ],
    ids=["tuple", "list", "loss", "last_hidden_state"],
)
def test_wrapped_outputs(wrap):
    model, x = Wrapping(wrap), torch.randn(5, 4)
    with torch.no_grad():
        expected = model.inner(x)
    assert_array_equal(extract(model, [x]).features, expected)


@pytest.mark.parametrize("wrap", [lambda v: None, lambda v: [[v]], lambda v: "text"])
def test_output_without_tensor(wrap):
    with pytest.raises(TypeError, match=r"Layer '': it gives \w+ without a tensor"):
        extract(Wrapping(wrap), [torch.ones(2, 4)])


def test_first_axis_is_not_that_of_samples():
    model = nn.LSTM(4, 3)  # (tokens, samples, d)
    batch = (torch.randn(7, 5, 4),)
    assert extract(model, [batch]).features.shape == (7, 3)
    wrong = Wrapping(lambda v: v[:2])
    with pytest.raises(ValueError, match=r"became 2 rows, but the batch has 5 samples"):
        extract(wrong, [torch.ones(5, 4)])


# -- the model is left as it was ---------------------------------------------------


def states(model):
    return [
        (m.training, len(m._forward_hooks), len(m._forward_pre_hooks))
        for m in model.modules()
    ]


def test_model_is_left_as_it_was(model, data):
    model.train()
    model.norm.eval()  # frozen statistics
    model.fc.weight.requires_grad_(False)
    before, flags = states(model), [p.requires_grad for p in model.parameters()]
    values = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.random.get_rng_state()
    stream_moments(model, loader_of(*data), ["norm", "fc:input", ""])
    assert states(model) == before
    assert [p.requires_grad for p in model.parameters()] == flags
    assert all(p.grad is None for p in model.parameters())
    assert_array_equal(torch.random.get_rng_state(), random)
    for name, value in model.state_dict().items():
        assert_array_equal(value, values[name], err_msg=name)


def test_eval_and_train_are_not_called(model, data):
    """Some models merge weights there, and would go on training merged."""
    calls = []
    model.train = calls.append
    extract(model, loader_of(*data))
    assert calls == []


def test_user_code_between_batches(model, data):
    """Sees gradients and the model's own mode, whatever becomes of the generator."""
    before = states(model)
    fastpath = torch.backends.mha.get_fastpath_enabled()

    def check():
        assert states(model) == before
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        assert not torch.is_autocast_enabled("cpu")
        assert torch.backends.mha.get_fastpath_enabled() == fastpath

    def loader():
        for batch in loader_of(*data):
            check()
            yield batch

    blocks = feature_blocks(model, loader(), ["fc"], autocast=torch.bfloat16)
    for _, (number, rows, _) in zip(range(2), blocks, strict=False):
        check()
        assert not rows["fc"].requires_grad
        assert not rows["fc"].is_inference()
        assert number < 2
    check()  # the generator is still open


def test_training_after_extraction(model, data):
    """What a model keeps of its first pass can be trained with."""

    class Positions(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.table = nn.Linear(4, 4), None

        def forward(self, x):
            if self.table is None:
                self.table = torch.arange(4.0) + 0 * x[:1]
            return self.fc(x) * self.table

    keeps, x = Positions(), torch.randn(5, 4)
    extract(keeps, [x])
    keeps(x).sum().backward()
    assert keeps.fc.weight.grad is not None


def test_training_under_autocast_after_extraction(data):
    model, x = nn.Linear(4, 3), torch.randn(5, 4)
    with torch.autocast("cpu", torch.bfloat16):
        extract(model, [x])
        extract(model, [x], autocast=True)
        model(x).float().sum().backward()
    assert model.weight.grad is not None


@pytest.mark.parametrize("where", ["forward", "loader", "pooling"])
def test_restored_after_an_error(model, data, where):
    before = states(model)

    class Boom(Exception):
        pass

    def fail(*args):
        raise Boom

    loader, options = loader_of(*data), {}
    if where == "forward":
        handle = model.pool.register_forward_hook(fail)
        before = states(model)
    elif where == "loader":
        good = loader

        def half():
            yield from good[:2]
            raise Boom

        loader = half()
    else:
        options["pooling"] = fail
    with pytest.raises(Boom):
        extract(model, loader, "fc:input", **options)
    assert states(model) == before
    assert torch.is_grad_enabled()
    if where == "forward":
        handle.remove()


def test_threads_take_turns(model, data):
    """Two threads on one model get their own features, and it keeps its modes."""
    X, y = data
    before, expected = states(model), by_hand(model, X)
    found = {}

    def run(name):
        found[name] = [
            extract(model, loader_of(X, y, 2), name).features for _ in range(3)
        ]

    threads = [threading.Thread(target=run, args=(name,)) for name in ("fc", "pool")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert states(model) == before
    for k in range(3):
        assert_allclose(found["fc"][k], expected["fc"], rtol=1e-4, atol=1e-6)
        assert_allclose(found["pool"][k], expected["features"], rtol=1e-4, atol=1e-6)


# -- compiled, wrapped, fused --------------------------------------------------------


def compiled_whole(model):
    return torch.compile(model, backend="eager")


def compiled_in_place(model):
    model.compile(backend="eager")
    return model


def compiled_part(model):
    model.pool = torch.compile(model.pool, backend="eager")
    return model


@pytest.mark.parametrize(
    "wrap", [compiled_whole, compiled_in_place, compiled_part, nn.DataParallel]
)
def test_wrapped_models(data, wrap):
    X, y = data
    model = wrap(conv_net())
    inner = getattr(model, "module", getattr(model, "_orig_mod", model))
    model.eval()
    with torch.no_grad():
        model(torch.as_tensor(X[:16]))  # compiled code is there before the hooks
    expected = by_hand(inner, X)["features"]
    prefixes = {"", "module." if wrap is nn.DataParallel else "_orig_mod."}
    for prefix in prefixes:
        for layer in ("pool", "fc:input"):
            found = extract(model, loader_of(X, y), prefix + layer).features
            assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_head_of_a_wrapped_model(data):
    model = torch.compile(conv_net(), backend="eager")
    for head in ("fc", "_orig_mod.fc", model._orig_mod.fc):
        found = extract(model, loader_of(*data), head=head)
        assert found.features.shape == (50, 6)
        assert_allclose(found.head.coef_, model._orig_mod.fc.weight.detach())


def keeper(caught):
    return lambda module, args, output: caught.append(output)


@pytest.mark.parametrize("layer", ["layers.0", "layers.1.linear1", "layers.1", ""])
def test_fused_transformer(layer):
    """With padding, its fused path would hand nested tensors to the hooks."""
    torch.manual_seed(0)
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2
    ).eval()
    x, pad = torch.randn(3, 5, 8), torch.zeros(3, 5, dtype=torch.bool)
    pad[0, 3:] = pad[1, 4:] = pad[2, 4:] = True
    counts = (~pad)[:, :, None]

    def real_tokens(values, mask):
        assert values.shape[:2] == (3, 5)
        return (values * counts).sum(1) / counts.sum(1)

    batch = {"src": x, "src_key_padding_mask": pad}
    found = extract(encoder, [batch], layer, pooling=real_tokens).features
    # Each sample by itself, without its padding.
    modules = dict(encoder.named_modules())
    for row in range(3):
        caught = []
        encoder.train()  # no fused path, and no dropout either
        for module in encoder.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
            if isinstance(module, nn.MultiheadAttention):
                module.dropout = 0.0
        hook = modules[layer].register_forward_hook(keeper(caught))
        with torch.no_grad():
            encoder(x[row : row + 1, ~pad[row]])
        hook.remove()
        assert_allclose(found[row], caught[0][0].mean(0), rtol=1e-4, atol=1e-5)


# -- precision and devices -----------------------------------------------------------


def test_autocast(model, data):
    X, y = data
    exact = extract(model, loader_of(X, y), "fc").features
    for autocast in (torch.bfloat16, True):
        rough = extract(model, loader_of(X, y), "fc", autocast=autocast).features
        assert rough.dtype == np.float32
        size = np.abs(exact).max()
        error = np.abs(rough - exact).max() / size
        # bfloat16 has 8 bits; float32 would differ by rounding alone.
        assert 2.0**-14 < error < 2.0**-5
    same = extract(model, loader_of(X, y), "fc", autocast=False).features
    assert_array_equal(same, exact)
    with pytest.raises(
        ValueError, match=r"autocast must be None, True, torch.bfloat16"
    ):
        extract(model, loader_of(X, y), autocast=torch.float64)


def test_model_of_lower_and_higher_precision(model, data):
    X, y = data
    double = conv_net().double()
    features = extract(double, loader_of(X, y), "fc").features
    assert features.dtype == np.float64
    assert_allclose(features, by_hand(model, X)["fc"], rtol=1e-4, atol=1e-6)
    half = conv_net().bfloat16()
    assert extract(half, loader_of(X, y), "fc").features.dtype == np.float32


def test_devices(model, data):
    loader = loader_of(*data)
    expected = extract(model, loader).features
    for device in ("cpu", torch.device("cpu")):
        assert_array_equal(extract(model, loader, device=device).features, expected)
    with pytest.raises(ValueError, match=r"device='meta', but the model is on 'cpu'"):
        extract(model, loader, device="meta")
    with pytest.raises(ValueError, match=r"device='gpu' cannot be used"):
        extract(model, loader, device="gpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match=r"device='cuda' cannot be used"):
            extract(model, loader, device="cuda")


def test_inputs_follow_the_model():
    """To the first parameter's device; the meta device computes nothing but shapes."""
    model = nn.Linear(3, 2, device="meta")
    shapes = []

    def note(values, mask):
        shapes.append((values.device.type, tuple(values.shape)))
        return torch.zeros(len(values), 1)

    extract(model, [torch.ones(5, 3)], pooling=note)
    assert shapes == [("meta", (5, 2))]
