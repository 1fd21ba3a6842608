"""What the README shows runs and prints what it should."""

import re
from pathlib import Path

import pytest
from numpy.testing import assert_allclose

from sklearn_collapse.collapse import NeuralCollapseScorer
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.ood import MahalanobisDetector

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)


# The first need nothing optional, then Parquet, Dask, torch.
N_PLAIN = 3


def run(blocks, names):
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    return names


def with_optional(first_line, **stand_ins):
    """Names after the block that begins so, which comes after the plain ones."""
    (block,) = (b for b in BLOCKS if b.startswith(first_line))
    return run([BLOCKS[0], BLOCKS[2], block], stand_ins)


def test_there_are_examples():
    assert len(BLOCKS) == N_PLAIN + 3


def test_examples_run(capsys):
    names = run(BLOCKS[:N_PLAIN], {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + (1 + 4) + 1
    etf_error, held_out_vci = map(float, lines[0].split())
    # The network had not reached its terminal phase: far from an ETF.
    assert 0.5 < etf_error < 1
    assert -0.5 < held_out_vci < -0.2
    assert lines[1].split()[:3] == ["detector", "set", "auroc"]
    assert lines[2].split()[:4] == ["relative", "near", "(cat,", "truck)"]
    assert 0.75 < float(lines[2].split()[4]) < 0.85
    assert lines[6].startswith("{'whiten__n_components': 20} 0.9")
    whole = names["NeuralCollapseScorer"]().fit(
        names["data"].data, names["data"].target
    )
    streamed = names["scorer"].metrics_
    assert streamed["vci"] == pytest.approx(whole.metrics_["vci"], rel=1e-9)


def test_example_with_parquet(tmp_path, monkeypatch):
    pa = pytest.importorskip("pyarrow")
    write_table = pytest.importorskip("pyarrow.parquet").write_table
    data = load_cifar8_features()
    for name, X, y in (
        ("train", data.data, data.target),
        ("held_out", data.X_test, data.y_test),
    ):
        columns = {"embedding": list(X), "label": y}
        write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    monkeypatch.chdir(tmp_path)
    found = with_optional("from pyarrow")["detector"]
    whole = MahalanobisDetector().fit(data.data, data.target).calibrate(data.X_test)
    assert found.offset_ == pytest.approx(whole.offset_, rel=1e-5)


def test_example_with_dask():
    pytest.importorskip("dask.array")
    names = with_optional("import dask")
    data = names["data"]
    whole = MahalanobisDetector().fit(data.data, data.target)
    assert names["detector"].offset_ == pytest.approx(whole.offset_, rel=1e-5)
    expected = whole.score_samples(data.data)
    assert_allclose(names["scores"].compute(), expected, rtol=1e-4)


def test_example_with_torch(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    data = load_cifar8_features()
    model = torch.nn.Sequential()
    model.add_module("layer4", torch.nn.Identity())
    model.add_module("fc", torch.nn.Linear(96, 8))
    rows = torch.as_tensor(data.data), torch.as_tensor(data.target)
    monkeypatch.chdir(tmp_path)
    names = with_optional(
        "from sklearn_collapse.extraction",
        model=model,
        loader=list(zip(*(values.split(1000) for values in rows), strict=True)),
        n_epochs=2,
        train_one_epoch=lambda model: None,
    )
    whole = NeuralCollapseScorer().fit(data.data, data.target).metrics_["vci"]
    assert names["scorer"].metrics_["vci"] == pytest.approx(whole, rel=1e-9)
    tracker = type(names["tracker"]).load("collapse.json")
    assert tracker.epochs_ == [0, 1]
    assert tracker.history_[1]["layer4"]["vci"] == pytest.approx(whole, rel=1e-9)


def test_example_of_ten_lines():
    lines = [line for line in BLOCKS[0].splitlines() if line.strip()]
    assert len(lines) <= 10


def test_table_names_what_is_there():
    from sklearn_collapse.utils import all_estimators

    text = README.read_text(encoding="utf-8")
    assert all(name in text for name, _ in all_estimators())
