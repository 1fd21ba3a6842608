"""Conditions on the numbers of a document, for the exit code: ``--fail-if``."""

import argparse
import math
import operator
import re
import sys
from difflib import get_close_matches
from typing import NamedTuple

from sklearn_collapse.report._errors import ReportError, failure_line

_OPERATORS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
# Names of sets may hold such characters as well: the last operator counts.
_CONDITION = re.compile(r"(?P<name>.*\S)\s*(?P<sign>[<>]=?)\s*(?P<limit>[^<>=\s]+)\s*")


class Condition(NamedTuple):
    """NAME OPERATOR NUMBER."""

    name: str
    sign: str
    limit: float

    def __str__(self):
        """As it is written."""
        return f"{self.name}{self.sign}{self.limit:g}"


def add_fail_if(parser, example, names):
    """Add the option to a command.

    Parameters
    ----------
    parser : ArgumentParser
    example : str
        A condition.
    names : str
        What names there are.
    """
    parser.add_argument(
        "--fail-if",
        metavar="CONDITION",
        type=as_condition,
        action="append",
        default=[],
        help=f'exit with 1 if this holds, as in "{example}": NAME, one of < <= > >=, '
        f"and a number; {names}. A value that is undefined counts as a failure. What "
        f"was asked for is written all the same. May be repeated",
    )


def as_condition(text):
    """Read a condition.

    Parameters
    ----------
    text : str

    Returns
    -------
    Condition
    """
    match = _CONDITION.fullmatch(text.strip())
    limit = _finite(match["limit"]) if match else None
    if match is None or limit is None:
        raise argparse.ArgumentTypeError(
            f"must be NAME, one of {' '.join(_OPERATORS)}, and a number, as in "
            f"vci>0.5, got {text!r}"
        )
    return Condition(match["name"], match["sign"], limit)


def exit_code(conditions, numbers):
    """1 if a condition holds, with a line on standard error for each; else 0.

    Parameters
    ----------
    conditions, numbers
        As for `failures`.

    Returns
    -------
    int
    """
    failed = failures(conditions, numbers)
    for line in failed:
        print(failure_line(line), file=sys.stderr)
    return 1 if failed else 0


def failures(conditions, numbers):
    """What holds of the conditions.

    Parameters
    ----------
    conditions : list of Condition
    numbers : dict of str to dict of str to float or None
        By the name of a layer. A condition is about the layers that have its name.

    Returns
    -------
    list of str
        A line for each condition and layer for which it holds, or the value is not
        defined.

    Raises
    ------
    ReportError
        If no layer has the name.
    """
    lines = []
    for condition in conditions:
        known = [layer for layer, found in numbers.items() if condition.name in found]
        if not known:
            raise ReportError(_unknown(condition, numbers))
        for layer in known:
            value = numbers[layer][condition.name]
            if value is None or math.isnan(value):
                lines.append(f"{layer}: {condition.name} is undefined: {condition}")
            elif _OPERATORS[condition.sign](value, condition.limit):
                lines.append(f"{layer}: {condition.name} is {value:.6g}: {condition}")
    return lines


def _finite(text):
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _unknown(condition, numbers):
    names = list(dict.fromkeys(name for found in numbers.values() for name in found))
    close = get_close_matches(condition.name, names, n=3)
    hint = f"did you mean {' or '.join(map(repr, close))}?"
    if not close:
        hint = "names are those of the JSON, such as 'vci' or 'test.vci'."
    return f"--fail-if {condition}: there is no {condition.name!r}; {hint}"
