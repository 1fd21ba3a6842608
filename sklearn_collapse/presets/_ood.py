"""Settings of out-of-distribution detectors, by name."""

from sklearn.pipeline import make_pipeline

from sklearn_collapse.ood import (
    ActivationShaper,
    FDBDDetector,
    KNNDetector,
    LogitDetector,
    MahalanobisDetector,
    NCIDetector,
    NECODetector,
    SHEDetector,
    ViMDetector,
)

_NECO = 'Ben Ammar et al., "NECO", ICLR 2024, and its code'
_OPENOOD = 'Zhang et al., "OpenOOD v1.5", 2023, and its code'
_PSEUDO = (
    "Singular covariances have the reference's pseudo-inverse (floor=0), which is "
    "blind to units that never fired in training; the default floor is not."
)
_STANDARD = (
    "Mean and scale are those of the training rows, of whose variance the first m "
    "components reach 90 %."
)


def _neco(denominator):
    def make(head):
        return NECODetector(0.9, head=head, denominator=denominator)

    return make


def _shaped(method, percentile):
    def make(head):
        shaper = ActivationShaper(method, percentile=percentile)
        return make_pipeline(shaper, LogitDetector("energy", head=head))

    return make


def _logits(method):
    return lambda head: LogitDetector(method, head=head)


# Name: how it is made, and what is said about it.
OOD_PRESETS: dict = {
    "neco2024_vit": (
        _neco("scaled"),
        {
            "formula": "||V_m^T z|| / ||z|| * max_c l_c, z standardised",
            "source": _NECO,
            "note": _STANDARD,
        },
    ),
    "neco2024_deit": (
        _neco("raw"),
        {
            "formula": "||V_m^T z|| / ||x|| * max_c l_c, z standardised",
            "source": _NECO,
            "note": f"{_STANDARD} The length below is that of the raw features.",
        },
    ),
    "neco2024_swin": (
        _neco("raw"),
        {
            "formula": "||V_m^T z|| / ||x|| * max_c l_c, z standardised",
            "source": _NECO,
            "note": f"{_STANDARD} The length below is that of the raw features.",
        },
    ),
    "neco2024_resnet": (
        lambda: NECODetector(0.9),
        {
            "formula": "||V_m^T z|| / ||z||, z standardised",
            "source": _NECO,
            "note": f"{_STANDARD} No logits.",
        },
    ),
    "openood_mds": (
        lambda: MahalanobisDetector(floor=0),
        {
            "formula": "-min_c (z - mu_c)^T S^+ (z - mu_c)",
            "source": _OPENOOD,
            "note": f"The last layer alone, without perturbed inputs. {_PSEUDO}",
        },
    ),
    "openood_rmds": (
        lambda: MahalanobisDetector(relative=True, floor=0),
        {
            "formula": "-(min_c d_c - d_0)",
            "source": _OPENOOD,
            "note": _PSEUDO,
        },
    ),
    "mahalanobis2025": (
        lambda: MahalanobisDetector(normalize=True, floor=0),
        {
            "formula": "-min_c d_c of z / ||z||",
            "source": 'Mueller and Hein, "Mahalanobis++", ICML 2025, and its code',
            "note": _PSEUDO,
        },
    ),
    "relative_mahalanobis2025": (
        lambda: MahalanobisDetector(normalize=True, relative=True, floor=0),
        {
            "formula": "-(min_c d_c - d_0) of z / ||z||",
            "source": 'Mueller and Hein, "Mahalanobis++", ICML 2025, and its code',
            "note": _PSEUDO,
        },
    ),
    "openood_vim": (
        lambda head: ViMDetector(head, origin="head"),
        {
            "formula": "logsumexp(l) - alpha ||R^T (z - u)||, u = -W^+ b",
            "source": _OPENOOD,
            "note": (
                "n_components is the paper's rule: 1000 for 2048 features and more, "
                "512 for 768 and more, else d // 2. The code sets it per data set."
            ),
        },
    ),
    "openood_knn": (
        lambda: KNNDetector(50),
        {
            "formula": "-||z - z_(50)||^2, unit rows",
            "source": _OPENOOD,
            "note": "The distance, not its square; without the 1e-10 in each entry.",
        },
    ),
    "openood_nci": (
        lambda head: NCIDetector(head, alpha=1e-4),
        {
            "formula": "w_c^T (z - mu) / ||z - mu|| + alpha ||z||_1, c predicted",
            "source": _OPENOOD,
            "note": "The code then chooses alpha from 1e-4 to 0.1 on validation data.",
        },
    ),
    "nci2025": (
        lambda head: NCIDetector(head, alpha=1e-3),
        {
            "formula": "w_c^T (z - mu) / ||z - mu|| + alpha ||z||_1, c predicted",
            "source": (
                'Liu and Qin, "Detecting Out-of-Distribution through the Lens of '
                'Neural Collapse", CVPR 2025'
            ),
        },
    ),
    "openood_fdbd": (
        lambda head: FDBDDetector(head),
        {
            "formula": "sum_k |l_c - l_k| / ||w_c - w_k|| / ||z - mu||, c predicted",
            "source": _OPENOOD,
            "note": (
                "The mean over k, not the sum. The code chooses ||z|| in place of "
                "||z - mu|| on validation data where that is better; the paper does "
                "not."
            ),
        },
    ),
    "openood_msp": (
        _logits("msp"),
        {"formula": "max_c p_c", "source": _OPENOOD},
    ),
    "openood_mls": (
        _logits("max_logit"),
        {"formula": "max_c l_c", "source": _OPENOOD},
    ),
    "openood_ebo": (
        _logits("energy"),
        {"formula": "logsumexp(l)", "source": _OPENOOD},
    ),
    "openood_gen": (
        _logits("gen"),
        {
            "formula": "-sum over the 100 largest p of p^0.1 (1 - p)^0.1",
            "source": _OPENOOD,
            "note": "The code then chooses both numbers on validation data.",
        },
    ),
    "openood_klm": (
        _logits("klm"),
        {
            "formula": "-min_c KL(p || mean of p over rows predicted c)",
            "source": _OPENOOD,
            "note": "The code fits on validation rows of the known classes.",
        },
    ),
    "openood_she": (
        lambda head: SHEDetector(head),
        {
            "formula": "z^T m_c, m_c the mean of rows of c that are predicted c",
            "source": _OPENOOD,
        },
    ),
    "openood_ash": (
        _shaped("ash_b", 90),
        {
            "formula": "logsumexp of the logits of ASH-B features, percentile 90",
            "source": _OPENOOD,
            "note": "Of pooled features. The code then chooses the percentile.",
        },
    ),
    "openood_scale": (
        _shaped("scale", 85),
        {
            "formula": "logsumexp of the logits of SCALE features, percentile 85",
            "source": _OPENOOD,
            "note": "Of pooled features. The code then chooses the percentile.",
        },
    ),
    "openood_react": (
        _shaped("react", 90),
        {
            "formula": "logsumexp of the logits of features clipped at percentile 90",
            "source": _OPENOOD,
            "note": (
                "The code takes the percentile over validation rows of the known "
                "classes."
            ),
        },
    ),
}
