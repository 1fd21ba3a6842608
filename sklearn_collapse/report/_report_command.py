"""``sklearn-collapse report``: from files of features to text, JSON and a page."""

import argparse
import os
import sys
from pathlib import Path

from sklearn_collapse.report._conditions import add_fail_if, exit_code
from sklearn_collapse.report._errors import MissingExtraError, ReportError, one_line
from sklearn_collapse.report._output import save, write

_MIN_RESAMPLES, _MAX_RESAMPLES = 20, 2000


def add_parser(commands):
    """Describe the command."""
    report = commands.add_parser(
        "report",
        help="collapse metrics and out-of-distribution table of extracted features",
        description="Print the collapse metrics of extracted features, how their class "
        "means align with a simplex, how well whitening holds on test rows, and how "
        "well detectors tell out-of-distribution sets from those. Without FILE "
        "the bundled features of a real network are used.",
    )
    report.add_argument(
        "features",
        metavar="[NAME=]FILE",
        nargs="*",
        help=".npz with X, y and optionally X_test, y_test, W, b, classes, ood_NAME; "
        "or two .npy files, of features and of labels. Several .npz are layers or "
        "checkpoints of one report; NAME is by default the file's stem",
    )
    report.add_argument(
        "--ood",
        metavar="NAME=FILE",
        action="append",
        default=[],
        help="out-of-distribution features, .npy, or .npz with X or one array; may be "
        "repeated. Sets of several layers stand in their files as ood_NAME",
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
        "--resamples",
        type=_resamples,
        metavar="N",
        help="bootstrap resamples for the intervals of the collapse metrics; 0 for no "
        "intervals. Default: 100, or 0 for features so many that those would take more "
        "than about ten seconds: rows x features x (features + classes) > 10^9",
    )
    report.add_argument(
        "--seed",
        type=_seed,
        default=0,
        help="seed of the split and of the resamples (default: 0)",
    )
    add_fail_if(
        report,
        "vci>0.5",
        "names are those of the JSON, keys joined by dots, with short ones for "
        "collapse metrics of the training rows (vci, the ends of its interval vci.low "
        "and vci.high), of the test rows (test.vci), for alignment.disparity and "
        "ood.SET.DETECTOR.auroc; of several layers any counts",
    )
    report.set_defaults(run=run)


def run(arguments):
    """Print the report, and write what was asked for."""
    # scikit-learn takes a second to import: not for --help.
    from sklearn_collapse.report._document import as_json
    from sklearn_collapse.report._html import as_html, check_extra
    from sklearn_collapse.report._paths import numbers_of
    from sklearn_collapse.report._text import as_text

    code, page = 0, arguments.output is not None
    if page:
        try:
            check_extra()
        except MissingExtraError as error:
            message = f"{arguments.output}: not written: {error}"
            print(one_line(message), file=sys.stderr)
            code, page = 2, False
    reports = [_report(features, arguments, page) for features in _layers(arguments)]
    if page:
        _progress("HTML report")
        save(as_html(reports), arguments.output)
    if arguments.json is not None:
        write(as_json(reports), arguments.json)
    if arguments.json != "-":
        print(as_text(reports), flush=True)
    layers = [report.numbers for report in reports]
    numbers = {layer["name"]: numbers_of(layer) for layer in layers}
    return max(code, exit_code(arguments.fail_if, numbers))


def _layers(arguments):
    """Yield the features of each layer, so that only one is in memory."""
    from sklearn_collapse.report._load import bundled, from_files, layer_files

    if not arguments.features:
        if arguments.ood:
            raise ReportError("--ood needs FILE: the bundled features bring sets.")
        yield bundled()
        return
    layers = layer_files(arguments.features)
    if len(layers) > 1:
        if arguments.ood:
            raise ReportError(
                "--ood is for one layer: save the sets of each of several layers in "
                "its file, as ood_NAME."
            )
        for layer in layers:  # before hours are spent on those before it
            if not os.path.exists(layer.features):
                raise ReportError(f"{layer.features}: no such file.")
    for layer in layers:
        if len(layers) > 1:
            _progress(f"layer {layer.name}")
        yield from_files(layer, arguments.ood, arguments.test_size, arguments.seed)


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


def _resamples(text):
    value = int(text) if text.isdigit() else -1
    if value != 0 and not _MIN_RESAMPLES <= value <= _MAX_RESAMPLES:
        raise argparse.ArgumentTypeError(
            f"must be 0, or a whole number from {_MIN_RESAMPLES} to {_MAX_RESAMPLES}, "
            f"got {text}"
        )
    return value


def _report(features, arguments, page):
    """Numbers of a layer; its rows are let go."""
    from sklearn_collapse.report._compute import compute

    try:
        report = compute(
            features,
            class_weight=arguments.class_weight,
            n_resamples=arguments.resamples,
            seed=arguments.seed,
            progress=_progress,
        )
    except (ValueError, TypeError) as error:
        layer = features.layer
        named = "" if Path(features.name).stem == layer else f"layer {layer}: "
        raise ReportError(f"{features.name}: {named}{error}") from error
    if page:
        from sklearn_collapse.report._pictures import draw

        _progress("pictures")
        report = report._replace(pictures=draw(report))
    return report._replace(study=None)


def _progress(text):
    """Say on standard error, if somebody watches, what is being done."""
    if sys.stderr.isatty():
        print(f"… {text}", file=sys.stderr, flush=True)
