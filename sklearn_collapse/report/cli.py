"""The command line: ``sklearn-collapse report``."""

import argparse
import os
import sys
from pathlib import Path

from sklearn_collapse import __version__


def main(argv=None):
    """Run the command line.

    Parameters
    ----------
    argv : list of str, default=None
        Arguments; by default those of the process.

    Returns
    -------
    int
        Exit code: 0, or 2 with one line on standard error. If only what makes the
        HTML report is missing, the text is still printed.
    """
    arguments = _parser().parse_args(argv)
    # scikit-learn takes a second to import: not for --help.
    from sklearn_collapse.report._compute import compute
    from sklearn_collapse.report._html import MissingExtraError, as_html, check_extra
    from sklearn_collapse.report._load import ReportError, bundled, from_files
    from sklearn_collapse.report._text import as_json, as_text

    code, page = 0, arguments.output is not None
    try:
        if page:
            try:
                check_extra()
            except MissingExtraError as error:
                code, page = _fail(f"{arguments.output}: not written: {error}"), False
        if arguments.features is None:
            if arguments.ood:
                raise ReportError("--ood needs FEATURES: the bundled ones bring sets.")
            features = bundled()
        else:
            features = from_files(
                arguments.features,
                arguments.labels,
                arguments.ood,
                arguments.test_size,
                arguments.seed,
            )
        report = _compute(compute, features, arguments, ReportError)
        if page:
            _progress("HTML report")
            _save(as_html(report), arguments.output, ReportError)
        if arguments.json is not None:
            _write(as_json(report.numbers), arguments.json, ReportError)
        if arguments.json != "-":
            print(as_text(report.numbers), flush=True)
    except ReportError as error:
        return _fail(error)
    except BrokenPipeError:  # the reader has seen enough, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _fail(error):
    """Say in one line what is wrong; returns the exit code."""
    message = " ".join(str(error).split())
    print(f"sklearn-collapse: error: {message}", file=sys.stderr)
    return 2


def _parser():
    parser = argparse.ArgumentParser(
        prog="sklearn-collapse",
        description="Geometry of learned representations.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    report = commands.add_parser(
        "report",
        help="collapse metrics and out-of-distribution table of extracted features",
        description="Print the collapse metrics of extracted features, how their class "
        "means align with a simplex, how well whitening holds on test rows, and how "
        "well detectors tell out-of-distribution sets from those. Without FEATURES "
        "the bundled features of a real network are used.",
    )
    report.add_argument(
        "features",
        metavar="FEATURES",
        nargs="?",
        help=".npz with X, y and optionally X_test, y_test, W, b, classes; or .npy",
    )
    report.add_argument(
        "labels", metavar="LABELS", nargs="?", help=".npy of labels, if X is an .npy"
    )
    report.add_argument(
        "--ood",
        metavar="NAME=FILE",
        action="append",
        default=[],
        help="out-of-distribution features, .npy, or .npz with X or one array; may be "
        "repeated",
    )
    report.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write the report with its pictures as one HTML page as well; needs "
        "pip install 'sklearn-collapse[report]', without which the text is printed "
        "and the exit code is 2",
    )
    report.add_argument(
        "--json", metavar="FILE", help="write the numbers as JSON; - prints only them"
    )
    report.add_argument(
        "--class-weight",
        choices=["balanced"],
        help="weigh classes alike (default: by their rows)",
    )
    report.add_argument(
        "--test-size",
        type=_share,
        default=0.2,
        metavar="SHARE",
        help="share held out if the file has no test rows (default: 0.2)",
    )
    report.add_argument(
        "--seed", type=_seed, default=0, help="seed of that split (default: 0)"
    )
    return parser


def _share(text):
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(
            f"must be a number between 0 and 1, got {text}"
        )
    return value


def _seed(text):
    if not text.isdigit() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(
            f"must be a whole number below 2**32, got {text}"
        )
    return int(text)


def _compute(compute, features, arguments, error_type):
    try:
        return compute(
            features, class_weight=arguments.class_weight, progress=_progress
        )
    except (ValueError, TypeError) as error:
        raise error_type(f"{features.name}: {error}") from error


def _write(text, target, error_type):
    if target == "-":
        print(text, flush=True)
    else:
        _save(text, target, error_type)


def _save(text, target, error_type):
    try:
        # What UTF-8 lacks, parts of undecodable file names, becomes a question mark.
        Path(target).write_text(text + "\n", encoding="utf-8", errors="replace")
    except OSError as error:
        raise error_type(f"{target}: cannot be written: {error.strerror}.") from error


def _progress(text):
    """Say on standard error, if somebody watches, what is being done."""
    if sys.stderr.isatty():
        print(f"… {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
