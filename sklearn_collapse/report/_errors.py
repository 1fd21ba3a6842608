"""Problems that the command line tells in one line."""


class ReportError(Exception):
    """A problem with the input, in one line."""


class MissingExtraError(Exception):
    """What the page is made with is not installed."""


def one_line(error):
    """Text of an error for standard error."""
    return f"sklearn-collapse: error: {' '.join(str(error).split())}"


def failure_line(text):
    """Text of a condition that holds, for standard error."""
    return f"sklearn-collapse: failed: {' '.join(text.split())}"
