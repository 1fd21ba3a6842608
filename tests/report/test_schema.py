"""The schema of the report's JSON: what is written is valid, what differs is not."""

import json
from copy import deepcopy

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from sklearn_collapse.metrics import METRICS
from sklearn_collapse.report._schema_command import schema_text
from sklearn_collapse.report.cli import main

SCHEMA = json.loads(schema_text())
VALIDATOR = Draft202012Validator(SCHEMA)


def make_arrays(n=240, d=4, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    means = 2 * rng.normal(size=(n_classes, d))
    head = {"W": means + 0.3 * rng.normal(size=means.shape), "b": np.zeros(n_classes)}
    return {"X": means[y] + rng.normal(size=(n, d)), "y": y, **head}


@pytest.fixture
def document(tmp_path, capsys):
    """Run the report and read its JSON."""

    def call(*arguments, **files):
        paths = []
        for name, arrays in files.items():
            paths.append(str(tmp_path / f"{name}.npz"))
            np.savez(paths[-1], **arrays)
        few = ["--resamples", "20"]  # which may be given again
        assert main(["report", *paths, *few, *arguments, "--json", "-"]) == 0
        return json.loads(capsys.readouterr().out)

    return call


def errors(document):
    return [f"{e.json_path}: {e.message}" for e in VALIDATOR.iter_errors(document)]


def without(arrays, *keys):
    return {key: value for key, value in arrays.items() if key not in keys}


def test_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_command(capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA


def fields(schema, path="$"):
    """Every schema of a field, with its path."""
    for name, inner in schema.get("properties", {}).items():
        yield f"{path}.{name}", inner
        yield from fields(inner, f"{path}.{name}")
    for inner in schema.get("anyOf", []):
        yield from fields(inner, path)
    for name, inner in schema.get("$defs", {}).items():
        yield f"{path}/{name}", inner
        yield from fields(inner, f"{path}/{name}")


def test_every_field_is_described():
    found = dict(fields(SCHEMA))
    assert len(found) > 100
    for path, schema in found.items():
        assert schema.get("description", "").endswith("."), path
        if schema.get("type") == "object" and "properties" in schema:
            assert schema["additionalProperties"] is False, path


def test_metrics_are_those_of_the_registry():
    """Names, ranges and directions."""
    collapse = SCHEMA["$defs"]["layer"]["properties"]["collapse"]["properties"]
    names = [
        name
        for name, metric in METRICS.items()
        if metric.family == "collapse" and "unit_moments" not in metric.needs
    ]
    assert list(collapse["train"]["properties"]) == names
    needs_head = {name for name in names if "head" in METRICS[name].needs}
    assert set(collapse["train"]["required"]) == set(names) - needs_head
    for part in ("train", "held_out"):
        for name, schema in collapse[part]["properties"].items():
            metric, text = METRICS[name], schema["description"]
            low, high = text.split("Range ")[1][1:].split(", ")
            high = high.split("]")[0].split(")")[0]
            ends = [float(low), float(high)]
            assert ends == pytest.approx(list(metric.range), rel=1e-3), name
            assert f"{metric.direction.capitalize()} is more collapsed." in text


# -- what is written -------------------------------------------------------------


def test_bundled(document):
    found = document()
    assert errors(found) == []
    assert found["layers"][0]["ood"]
    assert found["layers"][0]["intervals"]


@pytest.mark.parametrize("class_weight", [[], ["--class-weight", "balanced"]])
def test_with_head(document, class_weight):
    found = document(*class_weight, full=make_arrays())
    assert errors(found) == []
    assert found["layers"][0]["intervals"]["metrics"]["vci"]


def test_without_head_and_sets(document):
    found = document(plain=without(make_arrays(), "W", "b"))
    assert errors(found) == []
    layer = found["layers"][0]
    assert layer["ood"] == []
    assert layer["data"]["head_accuracy_test"] is None
    assert "nc4_agreement" not in layer["collapse"]["train"]


def test_without_intervals(document):
    found = document("--resamples", "0", full=make_arrays())
    assert errors(found) == []
    assert found["layers"][0]["intervals"] is None
    found = document(wide=make_arrays(d=30))
    assert errors(found) == []
    assert found["layers"][0]["intervals"]["metrics"]["vci"] is None


def test_undefined_values(document):
    """More classes than a simplex can have, a constant class, a singular covariance."""
    arrays = make_arrays(n_classes=6, d=3)
    arrays["X"][:, 2] = 1.0
    arrays["X_test"], arrays["y_test"] = arrays["X"][:2], arrays["y"][:2]
    found = document(odd=without(arrays, "W", "b"))
    text = json.dumps(found)
    assert '"nan"' in text
    assert '"inf"' in text
    assert errors(found) == []


def test_several_layers(document):
    sets = {"ood_far": 20 + np.random.default_rng(0).normal(size=(20, 4))}
    found = document(one=make_arrays(), two=make_arrays(seed=1) | sets)
    assert len(found["layers"]) == 2
    assert errors(found) == []


# -- what differs ----------------------------------------------------------------


def places(value, path=()):
    """Paths of the keys of a document; of what is alike, the first alone."""
    if isinstance(value, dict):
        alike = path[-1:] in [("classes",), ("metrics",)]
        keys = list(value)[:1] if alike else list(value)
        for key in keys:
            inner = value[key]
            yield (*path, key)
            yield from places(inner, (*path, key))
    if isinstance(value, list) and value:
        yield from places(value[0], (*path, 0))


def changed(document, path, change):
    """A copy in which the parent of a path was changed."""
    twin = deepcopy(document)
    parent = twin
    for key in path[:-1]:
        parent = parent[key]
    change(parent, path[-1])
    return twin


@pytest.fixture
def whole(document):
    rng = np.random.default_rng(0)
    sets = {"ood_far": 20 + rng.normal(size=(20, 4))}
    return document(full=make_arrays() | sets)


def test_every_field_is_needed_and_has_its_type(whole):
    """Each key in turn: removed, of another type, accompanied by an unknown one."""
    # One of what is alike: a detector, an interval.
    (layer,) = whole["layers"]
    layer["ood"] = layer["ood"][:1]
    found = layer["intervals"]["metrics"]
    found |= dict.fromkeys(list(found)[1:])
    assert errors(whole) == []
    head = ("nc3_", "nc4_", "head_")  # may be missing
    tried = 0
    for path in places(whole):
        name = str(path[-1])
        changes = [lambda parent, key: parent.update({key: [True]})]
        if path[-2:-1] not in [("classes",), ("ood_rows",)]:
            changes.append(lambda parent, key: parent.update({"more": 1}))
            if not name.startswith(head):
                changes.append(lambda parent, key: parent.pop(key))
        for change in changes:
            assert not VALIDATOR.is_valid(changed(whole, path, change)), path
        tried += 1
    assert tried > 100


@pytest.mark.parametrize("value", ["NaN", "high", True])
def test_numbers_are_numbers(whole, value):
    path = ("layers", 0, "collapse", "train", "vci")
    assert errors(changed(whole, path, lambda p, key: p.update({key: value})))


def test_other_versions(whole):
    assert errors(whole | {"version": 2})
    assert errors(whole | {"format": "else"})
    assert errors(whole | {"layers": []})
