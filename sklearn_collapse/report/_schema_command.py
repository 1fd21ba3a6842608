"""``sklearn-collapse schema``: the schema of the report's JSON."""

import sys
from importlib.resources import files


def add_parser(commands):
    """Describe the command."""
    parser = commands.add_parser(
        "schema",
        help="JSON Schema of what report --json writes",
        description="Print the JSON Schema (draft 2020-12) of the document that "
        "`sklearn-collapse report --json` writes. It describes every field, with its "
        "range.",
    )
    parser.set_defaults(run=run)


def run(arguments):
    """Print it."""
    sys.stdout.write(schema_text())
    return 0


def schema_text():
    """Text of the schema."""
    return (files(__package__) / "schema.json").read_text(encoding="utf-8")
