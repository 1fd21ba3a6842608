"""``sklearn-collapse compare``: reports that were written as JSON, side by side."""

import json

from sklearn_collapse.report._conditions import add_fail_if, exit_code


def add_parser(commands):
    """Describe the command."""
    parser = commands.add_parser(
        "compare",
        help="reports written with --json, side by side, with intervals",
        description="Compare reports that `sklearn-collapse report --json` wrote: each "
        "collapse metric with its interval, and the difference to the first report "
        "with its own, marked where it leaves out zero. Where the rows of two reports "
        "were resampled alike, as those of two layers or checkpoints of the same rows, "
        "the differences are of pairs, and their intervals narrower.",
    )
    parser.add_argument(
        "reports",
        metavar="FILE[#LAYER]",
        nargs="+",
        help="report as JSON: all its layers, or the one that is named",
    )
    parser.add_argument(
        "--metrics",
        metavar="NAME,NAME",
        type=lambda text: [name.strip() for name in text.split(",")],
        help="only these collapse metrics",
    )
    parser.add_argument(
        "--json", metavar="FILE", help="write the numbers as JSON; - prints only them"
    )
    add_fail_if(
        parser,
        "vci.difference>0.02",
        "names are those of report, for any of the reports, and with .difference, "
        ".difference.low or .difference.high what was added to the first",
    )
    parser.set_defaults(run=run)


def run(arguments):
    """Print the comparison, and write what was asked for."""
    from sklearn_collapse.report._compare import compare, numbers_for_conditions
    from sklearn_collapse.report._compare_text import as_text
    from sklearn_collapse.report._document import plain
    from sklearn_collapse.report._output import write
    from sklearn_collapse.report._read import read_entries

    entries = read_entries(arguments.reports)
    comparison = compare(entries, arguments.metrics)
    if arguments.json is not None:
        text = json.dumps(plain(comparison), indent=2, allow_nan=False)
        write(text, arguments.json)
    if arguments.json != "-":
        print(as_text(comparison), flush=True)
    numbers = numbers_for_conditions(entries, comparison)
    return exit_code(arguments.fail_if, numbers)
