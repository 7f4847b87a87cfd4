"""Registry of recalibration methods, for one class per row and for several labels.

Recalibration: two families of methods, for one class per image and for several.

A method of one class per image is called with what is `known` (labelled rows that the models were
not trained on, the class shares that the predictions presume, those that the test set is presumed
to have) and gives a function from the probabilities of a test set to an :class:`~.known.Answer`.
What can be fitted is fitted in the first call, so that one fit serves many test sets. A method of
several labels is called with cells and probabilities of out-of-fold rows and gives a
:class:`~.cells.Fitted`.
"""

from __future__ import annotations

from dataclasses import dataclass

from comptool.registry import Entry, Registry


@dataclass(frozen=True)
class CalibrationMethod(Entry):
    """A row of the table of methods.

    Parameters
    ----------
    fitted
        Whether it needs labelled out-of-fold rows.
    presuming
        Whether it needs to be told the test set's class shares.
    of_sets
        Whether the answer to a row depends on the other rows of its test set.
    """

    fitted: bool = False
    presuming: bool = False
    of_sets: bool = False


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
        "Head classes in turn take their quota of the surest rows.",
        "Dual-stream Fusion and Data Augmentation for SAR and EO, 2023",
        of_sets=True,
    ),
    CalibrationMethod(
        "quota-optimal",
        "comptool.postprocess.calibration.optimal:quota_optimal",
        "The assignment of greatest total log-probability that meets the quotas.",
        "transportation problem, Hitchcock 1941",
        of_sets=True,
    ),
    CalibrationMethod(
        "prior",
        "comptool.postprocess.calibration.label_shift:prior",
        "Class shares exchanged by Bayes' rule; the test set's estimated where not given.",
        "Saerens, Latinne & Decaestecker 2002, doi:10.1162/089976602753284446",
        of_sets=True,
    ),
    CalibrationMethod(
        "logit-adjust",
        "comptool.postprocess.calibration.label_shift:logit_adjust",
        "Class shares exchanged to a power that is searched.",
        "Menon et al. 2021, arXiv:2007.07314",
        fitted=True,
    ),
    CalibrationMethod(
        "sinkhorn",
        "comptool.postprocess.calibration.sinkhorn:sinkhorn",
        "Columns scaled until the mean probabilities are the presumed shares.",
        "Sinkhorn & Knopp 1967, doi:10.2140/pjm.1967.21.343",
        presuming=True,
        of_sets=True,
    ),
    CalibrationMethod(
        "can",
        "comptool.postprocess.calibration.context:can",
        "Uncertain rows normalised against confident ones and the presumed shares.",
        "Jia et al. 2021, arXiv:2109.13449",
        presuming=True,
        of_sets=True,
    ),
    CalibrationMethod(
        "temperature",
        "comptool.postprocess.calibration.scaling:temperature",
        "Log-probabilities divided by one number; answers stay.",
        "Guo et al. 2017, arXiv:1706.04599",
        fitted=True,
    ),
    CalibrationMethod(
        "vector",
        "comptool.postprocess.calibration.scaling:vector",
        "Log-probabilities scaled and shifted class by class.",
        "Guo et al. 2017, arXiv:1706.04599",
        fitted=True,
    ),
    CalibrationMethod(
        "isotonic",
        "comptool.postprocess.calibration.isotonic:isotonic",
        "A rising curve per class, one against the rest, normalised.",
        "Zadrozny & Elkan 2002, doi:10.1145/775047.775151",
        fitted=True,
    ),
)

CELL_METHODS: Registry[Entry] = Registry(
    "recalibration of several labels",
    Entry(
        "none",
        "comptool.postprocess.calibration.cells:nothing",
        "The probabilities as predicted.",
        "-",
    ),
    Entry(
        "thresholds",
        "comptool.postprocess.calibration.cells:thresholds",
        "The threshold of best F-score of each class becomes one half.",
        "Dinkelbach 1967 for all cells together",
    ),
    Entry(
        "temperature",
        "comptool.postprocess.calibration.cells:temperature",
        "All log-odds divided by one number; answers stay.",
        "Guo et al. 2017, arXiv:1706.04599",
    ),
    Entry(
        "vector",
        "comptool.postprocess.calibration.cells:vector",
        "Log-odds scaled and shifted class by class.",
        "Platt 1999; Guo et al. 2017, arXiv:1706.04599",
    ),
    Entry(
        "isotonic",
        "comptool.postprocess.calibration.cells:isotonic",
        "A rising curve per class.",
        "Zadrozny & Elkan 2002, doi:10.1145/775047.775151",
    ),
)
