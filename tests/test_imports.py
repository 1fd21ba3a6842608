"""Tests of what importing loads, and of who may import whom."""

import ast
import os
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import sklearn_collapse

PACKAGE = "sklearn_collapse"
ROOT = Path(sklearn_collapse.__file__).parent
FAMILIES = ("whitening", "collapse", "etf", "ood")
# From the bottom up; what is not named is a module between utils and metrics.
LAYERS = {
    "utils": 0,
    "_linalg": 0,
    "metrics": 2,
    **dict.fromkeys(FAMILIES, 3),
    **dict.fromkeys(
        [
            *("model_selection", "plotting", "datasets", "presets", "extraction"),
            "report",
        ],
        4,
    ),
}
# scikit-learn loads none of these, whatever is installed.
OPTIONAL = {
    *("torch", "matplotlib", "polars", "jax", "cupy", "dask", "array_api_strict"),
    *("pytest", "jinja2", "numpydoc", "tqdm"),
    *("distributed", "lightning", "pytorch_lightning", "transformers", "accelerate"),
}


# -- what importing loads --------------------------------------------------------


def run_python(code, **environment):
    """Standard output of a fresh interpreter that sees this package."""
    env = {k: v for k, v in os.environ.items() if k != "SCIPY_ARRAY_API"}
    paths = [str(ROOT.parent), env.get("PYTHONPATH", "")]
    env.update(environment, PYTHONPATH=os.pathsep.join(filter(None, paths)))
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env=env,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def modules_after(code, **environment):
    """Names of all modules that are loaded after running code."""
    code = f"{code}\nimport sys; print(); print(*sys.modules)"
    return set(run_python(code, **environment).splitlines()[-1].split())


def packages(modules):
    """Third-party packages among modules."""
    names = {name.partition(".")[0] for name in modules}
    return names - set(sys.stdlib_module_names)


EVERYTHING = """
import sklearn_collapse
for name in sklearn_collapse.__all__:
    getattr(sklearn_collapse, name)
"""


@pytest.fixture(scope="module", params=["0", "1"], ids=["", "SCIPY_ARRAY_API"])
def loaded(request):
    """Modules after the whole public API was loaded."""
    return modules_after(EVERYTHING, SCIPY_ARRAY_API=request.param)


def test_everything_is_loaded(loaded):
    for name in sklearn_collapse.__all__:
        member = getattr(sklearn_collapse, name)
        if hasattr(member, "__path__"):
            assert f"{PACKAGE}.{name}" in loaded
    for name in (
        "collapse",
        "datasets",
        "metrics",
        "model_selection",
        "moments",
        "ood",
    ):
        assert f"{PACKAGE}.{name}" in loaded


def test_public_api_loads_no_optional_package(loaded):
    assert not packages(loaded) & OPTIONAL


def test_public_api_loads_little_beside_scikit_learn(loaded):
    """Nothing but array_api_compat that the same parts of scikit-learn do not load."""
    parts = sorted(
        name
        for name in loaded
        if name.partition(".")[0] == "sklearn" and ".externals" not in name
    )
    without = modules_after("\n".join(f"import {name}" for name in parts))
    extra = packages(loaded) - packages(without)
    assert extra == {PACKAGE, "array_api_compat"}


def test_package_alone_loads_next_to_nothing():
    """Families load on first use."""
    loaded = modules_after(f"import {PACKAGE}")
    bare = modules_after("pass")
    assert packages(loaded) - packages(bare) == {PACKAGE}
    assert {name for name in loaded if name.startswith(PACKAGE)} == {PACKAGE}


def test_scoring_numpy_rows_loads_no_torch():
    code = """
import numpy as np
from sklearn_collapse.ood import MahalanobisDetector
from sklearn_collapse.collapse import NeuralCollapseScorer
X = np.random.default_rng(0).normal(size=(40, 3))
MahalanobisDetector().fit(X).predict(X)
NeuralCollapseScorer(head="lda").fit(X, np.arange(40) % 2).metrics_
"""
    assert not packages(modules_after(code)) & OPTIONAL


def test_command_line_loads_no_optional_package():
    code = """
from sklearn_collapse.report.cli import main
main(["report", "--resamples", "0"])
"""
    assert not packages(modules_after(code)) & OPTIONAL


def test_help_does_not_wait_for_scikit_learn():
    code = """
from sklearn_collapse.report.cli import main
try:
    main(["report", "--help"])
except SystemExit:
    pass
"""
    assert not packages(modules_after(code)) & {"sklearn", "numpy", "scipy"}


def test_linalg_loads_no_scikit_learn():
    """Not through what it imports either."""
    modules = [f"{PACKAGE}._linalg.{m.name}" for m in submodules("_linalg")]
    assert len(modules) >= 4
    loaded = modules_after("\n".join(f"import {name}" for name in modules))
    assert set(modules) <= loaded
    assert "sklearn" not in packages(loaded)


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="no attribute 'whitenning'"):
        sklearn_collapse.whitenning  # noqa: B018
    assert set(sklearn_collapse.__all__) == set(dir(sklearn_collapse))


@pytest.mark.parametrize("name", sklearn_collapse.__all__)
def test_public_names_exist(name):
    if name == "extraction":
        pytest.importorskip("torch")
    member = getattr(sklearn_collapse, name)
    for inner in getattr(member, "__all__", ()):
        assert hasattr(member, inner), inner


# -- who may import whom ---------------------------------------------------------


class Import(NamedTuple):
    """One imported module or name, as written in the source."""

    file: str  # relative to the package
    line: int
    target: str  # absolute: a.b for `import a.b`, a.b.c for `from a.b import c`
    lazy: bool  # inside a function
    typing_only: bool  # under `if TYPE_CHECKING:`


def submodules(name):
    return list(pkgutil.iter_modules([str(ROOT / name)]))


def imports_of(path):
    """Yield every import statement of a file, at any depth."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    package = parts[:-1]  # also of an __init__: its own package

    def visit(node, lazy, typing_only):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            lazy = True
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            typing_only = True
        targets = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base = ".".join([*base, *filter(None, [node.module])])
            targets = [f"{base}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and node.args:
            # importlib.import_module("name") and __import__("name")
            called = ast.unparse(node.func).rpartition(".")[2]
            first = node.args[0]
            if called in ("import_module", "__import__") and isinstance(
                first, ast.Constant
            ):
                targets = [first.value]
        file = path.relative_to(ROOT).as_posix()
        for target in targets:
            yield Import(file, node.lineno, target, lazy, typing_only)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, lazy, typing_only)

    return visit(ast.parse(path.read_text(encoding="utf-8")), False, False)


IMPORTS = [found for path in sorted(ROOT.rglob("*.py")) for found in imports_of(path)]


def part_of(path):
    """Sub-package or module that a file or an imported name belongs to."""
    inside = path.removeprefix(f"{PACKAGE}.").removesuffix(".py")
    return inside.replace("/", ".").partition(".")[0]


def layer_of(part):
    return LAYERS.get(part, 1)


def test_imports_are_found():
    """The rules below would hold for an empty list."""
    assert len(IMPORTS) > 100
    assert any(found.lazy for found in IMPORTS)
    assert {layer_of(part_of(f.file)) for f in IMPORTS} >= {0, 2, 3, 4}
    for sub in ROOT.iterdir():  # a new sub-package must be given its layer
        assert not (sub / "__init__.py").exists() or sub.name in LAYERS, sub.name


def test_imports_run_one_way():
    """From the upper layers to the lower, and never between families."""
    wrong = []
    for found in IMPORTS:
        if not found.target.startswith(f"{PACKAGE}."):
            continue
        if found.file == "__init__.py" and (found.lazy or found.typing_only):
            continue  # the lazy front door
        here, there = part_of(found.file), part_of(found.target)
        if there in ("__version__", here):
            continue
        allowed = layer_of(there) <= layer_of(here)
        if here in FAMILIES and there in FAMILIES:
            allowed = False
        if found.file in ("utils/discovery.py", "utils/estimator_checks.py"):
            allowed = allowed or found.lazy  # they exist to look at the families
        if {here, there} == {"utils", "_linalg"}:
            allowed = here == "_linalg"
        if not allowed:
            wrong.append(found)
    assert wrong == []


def test_package_imports_nothing_at_once():
    front = [f for f in IMPORTS if f.file == "__init__.py" and not f.typing_only]
    assert {f.target.partition(".")[0] for f in front} <= {"importlib", "typing"}


def test_array_libraries_are_named_in_two_files():
    """Beside code that is about torch itself."""
    libraries = {"torch", "array_api_compat", "array_api_strict", "cupy", "jax"}
    wrong = [
        found
        for found in IMPORTS
        if found.target.partition(".")[0] in libraries
        and found.file not in ("utils/_arrays.py", "utils/_gpu.py")
        and not found.file.startswith("extraction/")
    ]
    assert wrong == []
    used = {f.target.partition(".")[0]: f.lazy for f in IMPORTS}
    assert used["torch"] is True  # only ever inside a function
    assert used["array_api_compat"] is False


def test_decompositions_are_called_in_one_file():
    """Elsewhere a failure of a GPU's library would be an error."""
    guarded = {"eigh", "eigvalsh", "svd", "svdvals"}
    wrong = [
        (path.name, node.lineno)
        for path in sorted(ROOT.rglob("*.py"))
        if path.name != "_decompositions.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in guarded
        and ast.unparse(node.value).endswith("linalg")
    ]
    assert wrong == []


def test_torch_is_never_imported_at_once():
    optional = {*OPTIONAL, "pandas", "pyarrow", "psutil"}
    wrong = [
        found
        for found in IMPORTS
        if found.target.partition(".")[0] in optional
        and not (found.lazy or found.typing_only)
        and not found.file.startswith(("extraction/", "plotting/"))
    ]
    assert wrong == []


def test_private_names_of_scikit_learn():
    """One file imports them: one place breaks when they change."""
    private = [
        found
        for found in IMPORTS
        if found.target.partition(".")[0] == "sklearn"
        and any(part.startswith("_") for part in found.target.split("."))
    ]
    assert {found.file for found in private} == {"utils/_sklearn_private.py"}


def test_linalg_is_pure():
    """No scikit-learn, no input and output, no warnings."""
    forbidden = {"sklearn", "warnings", "pathlib", "io", "os", "logging", "joblib"}
    wrong = [
        found
        for found in IMPORTS
        if found.file.startswith("_linalg/")
        and found.target.partition(".")[0] in forbidden
    ]
    assert wrong == []


def test_parsing_of_imports(tmp_path, monkeypatch):
    """The reader of sources itself: relative, lazy, typed and computed imports."""
    monkeypatch.setitem(globals(), "ROOT", tmp_path / PACKAGE)
    folder = tmp_path / PACKAGE / "ood"
    folder.mkdir(parents=True)
    (folder / "_a.py").write_text(
        "import torch.nn\n"
        "from . import _base\n"
        "from .._linalg._rows import x as y\n"
        "if TYPE_CHECKING:\n    from sklearn_collapse.etf import z\n"
        "def f():\n    import_module('pandas')\n"
    )
    found = [(f.target, f.lazy, f.typing_only) for f in imports_of(folder / "_a.py")]
    assert found == [
        ("torch.nn", False, False),
        ("sklearn_collapse.ood._base", False, False),
        ("sklearn_collapse._linalg._rows.x", False, False),
        ("sklearn_collapse.etf.z", False, True),
        ("pandas", True, False),
    ]
