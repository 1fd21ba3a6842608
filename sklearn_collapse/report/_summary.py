"""What the numbers mean, in sentences, and the most telling of them."""

import math

from sklearn_collapse.report._page_numbers import percent, short


def summary_of(numbers):
    """Sentences that say what the numbers mean; those that cannot be said are left."""
    train, test = numbers["collapse"]["train"], numbers["collapse"]["held_out"]
    ratios = train["nc1_trace_ratio"], test["nc1_trace_ratio"]
    if all(map(math.isfinite, ratios)):
        yield (
            f"Within-class variation is {short(ratios[0])} times that between the "
            f"class means on the training rows and {short(ratios[1])} times on the "
            f"test rows; it is 0 for a network that has collapsed completely."
        )
    error = train["nc2_etf_error"]
    if math.isfinite(error):
        yield (
            f"The class means are {short(error)} from a simplex, the shape they "
            f"approach as training goes on; 0 is exactly a simplex."
        )
    disparity = numbers["alignment"]["train"]["disparity"]
    if math.isfinite(disparity):
        yield (
            f"The best rotation and scale leave {percent(disparity)} of the simplex "
            f"unexplained."
        )
    whitening = numbers["whitening"]["total"]
    if whitening["rank"] > 1:
        yield (
            f"The features vary in {whitening['rank']:,} of "
            f"{numbers['data']['n_features']:,} directions, in the widest of them "
            f"{short(whitening['condition_before'] ** 0.5)} times as far as in the "
            f"narrowest."
        )
    data = numbers["data"]
    if data["head_accuracy_test"] is not None:
        accuracy = percent(data["head_accuracy_test"])
        sentence = (
            f"The network's last layer classifies {accuracy} of the test rows correctly"
        )
        if "nc4_agreement" in test:
            sentence += (
                f" and agrees with the nearest class mean on "
                f"{percent(test['nc4_agreement'])} of them"
            )
        yield f"{sentence}."
    best = best_of_sets(numbers["ood"])
    if best:
        hardest = min(best.values(), key=lambda row: row["auroc"])
        easiest = max(best.values(), key=lambda row: row["auroc"])
        yield (
            f"Of {len(best)} out-of-distribution sets the hardest is "
            f"“{hardest['set']}”, where the best detector ({hardest['detector']}) "
            f"reaches an AUROC of {percent(hardest['auroc'])}; the easiest is "
            f"“{easiest['set']}” with {percent(easiest['auroc'])}."
            if len(best) > 1
            else f"Rows of “{hardest['set']}” are told apart with an AUROC of "
            f"{percent(hardest['auroc'])} by the best detector, {hardest['detector']}."
        )


def tiles_of(numbers):
    """Pairs of a number and what it is, for the head of the page."""
    train, test = numbers["collapse"]["train"], numbers["collapse"]["held_out"]
    yield short(test["vci"]), "variability collapse index of the test rows"
    error = train["nc2_etf_error"]
    if math.isfinite(error):
        yield short(error), "distance of the class means from a simplex"
    if numbers["data"]["head_accuracy_test"] is not None:
        accuracy = percent(numbers["data"]["head_accuracy_test"])
        yield accuracy, "test accuracy of the last layer"
    else:
        yield percent(test["ncm_accuracy"]), "test accuracy of the nearest class mean"
    best = best_of_sets(numbers["ood"])
    if best:
        hardest = min(best.values(), key=lambda row: row["auroc"])
        yield percent(hardest["auroc"]), f"best AUROC on “{hardest['set']}”"


def best_of_sets(table):
    """Row with the largest AUROC of each set."""
    best: dict[str, dict] = {}
    for row in table:
        if row["set"] not in best or row["auroc"] > best[row["set"]]["auroc"]:
            best[row["set"]] = row
    return best


def summary_of_layers(layers):
    """Sentences on how the first layer and the last differ."""
    first, last = layers[0], layers[-1]
    yield (
        f"{len(layers)} layers or checkpoints, from “{first['name']}” to "
        f"“{last['name']}”."
    )
    told = [
        (
            "the variability collapse index of the test rows",
            ("collapse", "held_out"),
            "vci",
        ),
        (
            "the distance of the class means from a simplex",
            ("collapse", "train"),
            "nc2_etf_error",
        ),
        (
            "the test accuracy of the nearest class mean",
            ("collapse", "held_out"),
            "ncm_accuracy",
        ),
    ]
    changes = []
    for what, (section, part), name in told:
        before, after = (layer[section][part][name] for layer in (first, last))
        if math.isfinite(before) and math.isfinite(after):
            changes.append(f"{what} goes from {short(before)} to {short(after)}")
    if changes:
        text = ", ".join(changes[:-1]) + (" and " if changes[1:] else "") + changes[-1]
        yield f"From the first to the last {text}."
