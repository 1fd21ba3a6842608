"""Where the commands write to."""

from pathlib import Path

from sklearn_collapse.report._errors import ReportError


def write(text, target):
    """Write to a file, or print for "-"."""
    if target == "-":
        print(text, flush=True)
    else:
        save(text, target)


def save(text, target):
    """Write to a file."""
    try:
        # What UTF-8 lacks, parts of undecodable file names, becomes a question mark.
        Path(target).write_text(text + "\n", encoding="utf-8", errors="replace")
    except OSError as error:
        raise ReportError(f"{target}: cannot be written: {error.strerror}.") from error
