"""Check what a built wheel holds: python .ci/check_wheel.py WHEEL."""

import sys
import zipfile
from pathlib import Path

PACKAGE = "sklearn_collapse"
MAX_BYTES = 6_000_000  # bundled data are 4.4 MB of it
REQUIRED = (
    f"{PACKAGE}/py.typed",
    f"{PACKAGE}/datasets/data/README.md",
    f"{PACKAGE}/report/page/page.html.j2",
    f"{PACKAGE}/report/schema.json",
)


def source_files(root):
    """Files of the package as they lie in the working tree."""
    return {
        path.relative_to(root).as_posix()
        for path in (root / PACKAGE).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def problems_of(wheel, root):
    """Yield a line for everything that is wrong with the wheel."""
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name[-1] != "/"}
    metadata = {name for name in packed if ".dist-info/" in name}
    expected = source_files(root) | set(REQUIRED)
    yield from (f"missing: {name}" for name in sorted(expected - packed))
    yield from (f"unexpected: {name}" for name in sorted(packed - metadata - expected))
    if not any(name.startswith(f"{PACKAGE}/datasets/data/") for name in packed):
        yield "no bundled data"
    if not any(Path(name).name == "LICENSE" for name in metadata):
        yield "no LICENSE"
    if wheel.stat().st_size > MAX_BYTES:
        yield f"larger than {MAX_BYTES / 1e6:g} MB"


def main():
    wheel = Path(sys.argv[1])
    problems = list(problems_of(wheel, Path(__file__).parents[1]))
    n_files = len(zipfile.ZipFile(wheel).namelist())
    print(f"{wheel.name}: {n_files} files, {wheel.stat().st_size / 1e6:.2f} MB")
    print("\n".join(problems) or "content as expected")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
