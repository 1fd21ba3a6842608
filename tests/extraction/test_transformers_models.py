"""Architectures of transformers, small and untrained: nothing is downloaded."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from sklearn_collapse.extraction import (  # noqa: E402
    FeatureExtractor,
    extract,
    stream_moments,
)

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}


@pytest.fixture(scope="module")
def bert():
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=30, max_position_embeddings=12, num_labels=3, **SIZES
    )
    return transformers.BertForSequenceClassification(config).train()


@pytest.fixture(scope="module")
def sentences():
    """Sentences of 1 to 8 tokens, padded on the right."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 9, 20)
    mask = (np.arange(8) < lengths[:, None]).astype(np.int64)
    ids = rng.integers(0, 30, (20, 8)) * mask
    return {"input_ids": torch.as_tensor(ids), "attention_mask": torch.as_tensor(mask)}


def hidden_states(bert, sentences):
    """Tokens of each sentence by itself, without padding."""
    bert.eval()
    states = []
    with torch.no_grad():
        for ids, mask in zip(*sentences.values(), strict=True):
            found = bert.bert(ids[mask > 0][None])
            states.append(found.last_hidden_state[0].double().numpy())
    bert.train()
    return states


def batches(sentences, labels=None, size=6):
    n = len(sentences["input_ids"])
    for start in range(0, n, size):
        here = slice(start, start + size)
        batch = {name: values[here] for name, values in sentences.items()}
        yield batch if labels is None else {**batch, "labels": labels[here]}


@pytest.mark.parametrize("pooling", ["auto", "max", "first", "last"])
@pytest.mark.parametrize("layer", ["bert", "bert.encoder.layer.1", "bert.pooler:input"])
def test_bert(bert, sentences, pooling, layer):
    labels = torch.arange(20) % 3
    found = extract(bert, batches(sentences, labels), layer, pooling=pooling)
    steps = {
        "max": lambda s: s.max(0),
        "first": lambda s: s[0],
        "last": lambda s: s[-1],
    }
    step = steps.get(pooling, lambda s: s.mean(0))
    expected = [step(s) for s in hidden_states(bert, sentences)]
    assert_allclose(found.features, expected, rtol=1e-3, atol=1e-5)
    assert_array_equal(found.labels, labels)
    assert bert.training


def test_bert_left_padding(bert, sentences):
    """The last token is the last column, the first one is not the first."""
    flipped = {name: values.flip(1) for name, values in sentences.items()}
    layer = "bert.embeddings.word_embeddings"
    table = bert.get_submodule(layer).weight.detach().numpy()
    ids, mask = (values.numpy() for values in flipped.values())
    first = table[ids[np.arange(20), mask.argmax(1)]]
    for pooling, expected in (("first", first), ("last", table[ids[:, -1]])):
        found = extract(bert, batches(flipped), layer, pooling=pooling)
        assert_array_equal(found.features, expected)


def test_bert_head(bert, sentences):
    """Logits from the features and the head are those of the model."""
    bert.eval()
    with torch.no_grad():
        expected = bert(**sentences).logits
    bert.train()
    features, _, head = extract(bert, batches(sentences), head="classifier")
    logits = head.decision_function(features)
    assert_allclose(logits, expected, rtol=1e-4, atol=1e-6)
    assert_allclose(extract(bert, batches(sentences)).features, expected, atol=1e-6)


def test_bert_as_transformer(bert, sentences):
    encoding = transformers.BatchEncoding(dict(sentences))
    extractor = FeatureExtractor(bert, "bert", batch_size=7).fit(encoding)
    expected = [s.mean(0) for s in hidden_states(bert, sentences)]
    assert_allclose(extractor.transform(encoding), expected, rtol=1e-3, atol=1e-5)
    assert len(extractor.get_feature_names_out()) == 16
    # Ids alone: every token counts.
    ids = sentences["input_ids"].numpy()
    found = FeatureExtractor(bert, "bert").fit_transform(ids)
    bert.eval()
    with torch.no_grad():
        expected = bert.bert(sentences["input_ids"]).last_hidden_state.mean(1)
    bert.train()
    assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_vit():
    torch.manual_seed(0)
    config = transformers.ViTConfig(image_size=8, patch_size=4, num_labels=3, **SIZES)
    model = transformers.ViTForImageClassification(config).eval()
    X = np.random.default_rng(0).normal(size=(10, 3, 8, 8))
    with torch.no_grad():
        outputs = model(torch.as_tensor(X).float(), output_hidden_states=True)
        tokens = model.vit(torch.as_tensor(X).float()).last_hidden_state
    assert tokens.shape == (10, 5, 16)
    first = FeatureExtractor(model, "vit", pooling="first", batch_size=4)
    assert_allclose(first.fit_transform(X), tokens[:, 0], rtol=1e-3, atol=1e-5)
    patches = FeatureExtractor(model, "vit", pooling=lambda v, mask: v[:, 1:].mean(1))
    assert_allclose(
        patches.fit_transform(X), tokens[:, 1:].mean(1), rtol=1e-3, atol=1e-5
    )
    loader = [{"pixel_values": torch.as_tensor(X), "labels": torch.arange(10) % 2}]
    found = extract(model, loader, head="classifier")
    assert_allclose(found.features, tokens[:, 0], rtol=1e-3, atol=1e-5)
    moments = stream_moments(model, loader, ["vit", "classifier"])
    mean = outputs.logits.mean(0)
    assert_allclose(moments["classifier"].mean_, mean, rtol=1e-3, atol=1e-5)
    assert_allclose(moments["vit"].mean_, tokens.mean((0, 1)), rtol=1e-3, atol=1e-5)
