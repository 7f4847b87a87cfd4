"""Registry of recalibration methods, for one class per image and for several labels.

A method for one class per image is called as ``method(context, **options)`` with a
:class:`~.context.CalibrationContext` and gives a function from the probabilities of a test set to
an :class:`~.context.Answer`. Fitting happens in the first call, so that one fit serves many test
sets. A method for several labels is called as ``method(targets, probabilities, **options)`` with
out-of-fold rows and gives a :class:`~.multilabel_methods.Fitted`.

To add a method: a file with its function, and an entry here with the names of its options.
"""

from __future__ import annotations

from dataclasses import dataclass

from comptool.registry import Entry, Registry


@dataclass(frozen=True)
class CalibrationMethod(Entry):
    """An entry of the registry of methods."""

    # Names of its options, the keyword parameters of its function. Options without a flag are given
    # as ``--method-option NAME=VALUE``.
    takes: tuple[str, ...] = ()
    fitted: bool = False  # whether it needs labelled out-of-fold rows
    of_sets: bool = False  # whether the answer to a row depends on the other rows of the test set
    # Whether out-of-fold rows and presumed class shares only estimate its gain and do not affect
    # its answers.
    weighed: bool = False
    own_prior: bool = False  # whether ``--target-prior`` has no meaning for it
    costs: bool = False  # whether it answers by the costs of mistakes, and is measured by them
    # Whether it needs the groups of the rows, ``--by``; of test sets it is given whole groups.
    grouped: bool = False
    estimates: bool = False  # whether it estimates the shares of the test set if none are given
    ordered: bool = False  # whether it is for grades alone

    @property
    def rows(self) -> bool:
        """Whether out-of-fold rows have a use: to fit it, for a prior, or to measure it."""
        return self.fitted or self.costs or not self.own_prior


CONTEXT = ("pool", "strength", "exponent")
QUOTAS = ("top_k_head", "head_classes", "fraction")

METHODS: Registry[CalibrationMethod] = Registry(
    "recalibration",
    CalibrationMethod(
        "none",
        "comptool.postprocess.calibration.context:nothing",
        "The most probable class, as predicted.",
        "-",
    ),
    CalibrationMethod(
        "quota",
        "comptool.postprocess.calibration.quota:quota_method",
        "Head classes in turn take their quota of the most probable rows.",
        "Dual-stream Fusion and Data Augmentation for SAR and EO, 2023",
        takes=QUOTAS,
        weighed=True,
        of_sets=True,
    ),
    CalibrationMethod(
        "quota-optimal",
        "comptool.postprocess.calibration.transport:quota_optimal",
        "The assignment of greatest total log-probability that meets the quotas.",
        "transportation problem, Hitchcock 1941",
        takes=QUOTAS,
        of_sets=True,
    ),
    CalibrationMethod(
        "prior",
        "comptool.postprocess.calibration.label_shift:prior",
        "Class shares replaced by Bayes' rule; those of the test set estimated if not given.",
        "Saerens, Latinne & Decaestecker 2002, doi:10.1162/089976602753284446",
        of_sets=True,
        estimates=True,
    ),
    CalibrationMethod(
        "logit-adjust",
        "comptool.postprocess.calibration.label_shift:logit_adjust",
        "Class shares replaced to a searched power.",
        "Menon et al. 2021, arXiv:2007.07314",
        fitted=True,
    ),
    CalibrationMethod(
        "sinkhorn",
        "comptool.postprocess.calibration.transport:sinkhorn",
        "Columns scaled until mean probabilities are the presumed shares.",
        "Sinkhorn & Knopp 1967, doi:10.2140/pjm.1967.21.343",
        of_sets=True,
    ),
    CalibrationMethod(
        "can",
        "comptool.postprocess.calibration.can:can",
        "Uncertain rows normalised against confident ones and the presumed shares.",
        "Jia et al. 2021, arXiv:2109.13449",
        takes=("alpha", "entropy_threshold", "top_k", "iterations", "prior"),
        own_prior=True,
        of_sets=True,
    ),
    CalibrationMethod(
        "temperature",
        "comptool.postprocess.calibration.scaling:temperature",
        "Log-probabilities divided by a temperature; answers stay.",
        "Guo et al. 2017, arXiv:1706.04599",
        fitted=True,
    ),
    CalibrationMethod(
        "vector",
        "comptool.postprocess.calibration.scaling:vector",
        "Log-probabilities scaled and shifted per class.",
        "Guo et al. 2017, arXiv:1706.04599",
        fitted=True,
    ),
    CalibrationMethod(
        "isotonic",
        "comptool.postprocess.calibration.scaling:isotonic",
        "Isotonic regression per class, one against the rest, normalised.",
        "Zadrozny & Elkan 2002, doi:10.1145/775047.775151",
        fitted=True,
    ),
    CalibrationMethod(
        "context",
        "comptool.postprocess.calibration.group_context:context",
        "Rows blended with the mean, maximum or power mean of their groups.",
        "-",
        takes=CONTEXT,
        fitted=True,
        own_prior=True,
        grouped=True,
    ),
    CalibrationMethod(
        "cost",
        "comptool.postprocess.calibration.cost:cost",
        "The answer of least expected cost by a matrix or a taxonomy.",
        "Elkan 2001, The Foundations of Cost-Sensitive Learning",
        takes=("cost", "tree"),
        own_prior=True,
        costs=True,
    ),
    CalibrationMethod(
        "thresholds",
        "comptool.postprocess.calibration.grade_thresholds:thresholds",
        "Grades by thresholds on the expected grade, with the greatest weighted kappa.",
        "Dinkelbach 1967 for the ratio, and dynamic programming",
        takes=("power",),
        fitted=True,
        ordered=True,
    ),
)

CELL_METHODS: Registry[CalibrationMethod] = Registry(
    "recalibration of several labels",
    CalibrationMethod(
        "none",
        "comptool.postprocess.calibration.multilabel_methods:nothing",
        "The probabilities as predicted.",
        "-",
    ),
    CalibrationMethod(
        "thresholds",
        "comptool.postprocess.calibration.multilabel_methods:thresholds",
        "Thresholds of best F-score per class, moved to one half.",
        "Dinkelbach 1967 for all cells together",
        takes=("average", "beta"),
    ),
    CalibrationMethod(
        "temperature",
        "comptool.postprocess.calibration.multilabel_methods:temperature",
        "All log-odds divided by a temperature; answers stay.",
        "Guo et al. 2017, arXiv:1706.04599",
    ),
    CalibrationMethod(
        "vector",
        "comptool.postprocess.calibration.multilabel_methods:vector",
        "Log-odds scaled and shifted per class.",
        "Platt 1999; Guo et al. 2017, arXiv:1706.04599",
    ),
    CalibrationMethod(
        "isotonic",
        "comptool.postprocess.calibration.multilabel_methods:isotonic",
        "Isotonic regression per class.",
        "Zadrozny & Elkan 2002, doi:10.1145/775047.775151",
    ),
    CalibrationMethod(
        "context",
        "comptool.postprocess.calibration.group_context:cells_context",
        "Rows blended with the mean, maximum or power mean of their groups.",
        "-",
        takes=CONTEXT,
        grouped=True,
    ),
)


def owners(option: str) -> tuple[str, ...]:
    """Names of the methods that take the option."""
    return tuple(dict.fromkeys(m.name for m in (*METHODS, *CELL_METHODS) if option in m.takes))
