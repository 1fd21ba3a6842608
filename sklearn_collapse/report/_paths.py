"""Names of the numbers in a document: its keys, joined by dots."""

# Longer prefixes first.
_SHORT = (
    ("collapse.train.", ""),
    ("collapse.held_out.", "test."),
    ("collapse.", ""),
    ("alignment.train.", "alignment."),
    ("alignment.held_out.", "test.alignment."),
    ("intervals.metrics.", ""),
)
_ENDS = ("low", "high", "standard_error")


def numbers_of(layer):
    """Every number of a layer by its name.

    Keys are joined by dots, rows of the out-of-distribution table are
    "ood.SET.DETECTOR.KEY", and what is asked for most has short names: "vci" for
    "collapse.train.vci", "test.vci" for "collapse.held_out.vci", "vci.low" for
    "intervals.metrics.vci.low", "alignment.disparity" and "test.alignment.disparity"
    for those under "train" and "held_out".

    Parameters
    ----------
    layer : dict
        An entry of "layers".

    Returns
    -------
    dict of str to float or None
        None where there is no value.
    """
    return {_shortened(name): value for name, value in _walk(layer, "")}


def _shortened(name):
    for prefix, short in _SHORT:
        if name.startswith(prefix):
            return short + name.removeprefix(prefix)
    return name


def _walk(value, name):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _walk(inner, f"{name}.{key}" if name else key)
    elif name == "ood":
        for row in value:
            numbers = {k: v for k, v in row.items() if k not in ("set", "detector")}
            yield from _walk(numbers, f"ood.{row['set']}.{row['detector']}")
    elif value is None and name.startswith("intervals.metrics."):
        # No interval can be given.
        yield from ((f"{name}.{end}", None) for end in _ENDS)
    elif value is None or as_number(value) is not None:
        yield name, as_number(value)


def as_number(value):
    """A number of a document as a float; None for what is none."""
    if isinstance(value, str) and value in ("nan", "inf", "-inf"):
        return float(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return None
