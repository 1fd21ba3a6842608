"""What the README shows runs and prints what it should."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)


def test_there_are_examples():
    assert len(BLOCKS) == 3


def test_examples_run(capsys):
    names = {}
    for block in BLOCKS:
        exec(compile(block, "README.md", "exec"), names)
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


def test_example_of_ten_lines():
    lines = [line for line in BLOCKS[0].splitlines() if line.strip()]
    assert len(lines) <= 10


def test_table_names_what_is_there():
    from sklearn_collapse.utils import all_estimators

    text = README.read_text(encoding="utf-8")
    assert all(name in text for name, _ in all_estimators())
