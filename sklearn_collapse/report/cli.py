"""The command line: ``sklearn-collapse``."""

import argparse
import os
import sys

from sklearn_collapse import __version__
from sklearn_collapse.report import (
    _compare_command,
    _metrics_command,
    _report_command,
    _schema_command,
)
from sklearn_collapse.report._errors import ReportError, one_line

# One module per command: add_parser(commands) describes it, and sets ``run``, a
# function of the parsed arguments that returns the exit code.
_COMMANDS = (_report_command, _compare_command, _metrics_command, _schema_command)


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
    try:
        return arguments.run(arguments)
    except ReportError as error:
        print(one_line(error), file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader has seen enough, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="sklearn-collapse",
        description="Geometry of learned representations.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
