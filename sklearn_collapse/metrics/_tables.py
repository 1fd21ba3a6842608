"""Tables of numbers, as text and as data frames."""


def text_table(lines):
    """Lines of cells, aligned: the first column to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if k else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def import_pandas(method, instead):
    """Import pandas for a method, or say what to use instead."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            f"{method} needs pandas: pip install pandas, or use {instead}."
        ) from error
    return pandas
