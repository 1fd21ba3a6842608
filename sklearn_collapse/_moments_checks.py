"""Which blocks go together and which moments can be merged."""

from sklearn_collapse.utils._arrays import place_of
from sklearn_collapse.utils._labels import positions, shorten


def check_allowed(moments, classes):
    """Raise on labels outside those that were declared."""
    if moments._allowed_labels is None:
        return
    new = classes[positions(classes, moments._allowed_labels) < 0]
    if len(new):
        raise ValueError(
            f"y contains labels that are not among `classes`: {new[:5].tolist()}. "
            f"Allowed: {shorten(moments._allowed_labels)}."
        )


def check_block(moments, X, names, labelled):
    """Raise unless a block goes with those before it."""
    if moments.n_features is not None and X.shape[1] != moments.n_features:
        raise ValueError(
            f"X has {X.shape[1]} features, but ClassMoments is expecting "
            f"{moments.n_features} features."
        )
    known = moments.place
    if known is not None and place_of(X) != known:
        raise ValueError(
            f"Blocks must use the same namespace and device: got {place_of(X)} "
            f"after {known}."
        )
    check_names(moments, names)
    if moments._labelled not in (None, labelled):
        raise ValueError(
            "Blocks with and without labels cannot be mixed: y=None is one class. "
            "Pass y with every block or with none."
        )


def check_names(moments, names):
    """Raise on columns of other names or in another order."""
    known = moments._names
    if names is not None and known is not None and list(names) != list(known):
        raise ValueError(
            f"The feature names should match those of the first block: got "
            f"{list(names)[:5]}…, expected {list(known)[:5]}…. Reorder the columns."
        )


def check_mergeable(moments, other):
    """Raise unless two sets of moments can be merged."""
    for flag in ("normalize", "class_scatter"):
        mine, theirs = getattr(moments, flag), getattr(other, flag)
        if mine != theirs:
            raise ValueError(
                f"Moments with {flag}={mine} and {flag}={theirs} cannot be "
                f"merged: gather both in the same way."
            )
    for what, mine, theirs in (
        ("numbers of features", moments.n_features, other.n_features),
        ("libraries or devices", moments.place, other.place),
        ("kinds of labels (with and without y)", moments._labelled, other._labelled),
    ):
        if None not in (mine, theirs) and mine != theirs:
            raise ValueError(
                f"Moments of different {what} cannot be merged: {mine} and {theirs}."
            )
    check_names(moments, other._names)
