"""Recalibration: two families of methods, for one class per image and for several.

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
class Method(Entry):
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


ROOM = "comptool.decisions.recalibration"

METHODS: Registry[Method] = Registry(
    "recalibration",
    Method("none", f"{ROOM}.known:nothing", "The most probable class, as predicted.", "-"),
    Method(
        "quota",
        f"{ROOM}.quota:quota",
        "Head classes in turn take their quota of the surest rows.",
        "Dual-stream Fusion and Data Augmentation for SAR and EO, 2023",
        of_sets=True,
    ),
    Method(
        "quota-optimal",
        f"{ROOM}.optimal:quota_optimal",
        "The assignment of greatest total log-probability that meets the quotas.",
        "transportation problem, Hitchcock 1941",
        of_sets=True,
    ),
    Method(
        "prior",
        f"{ROOM}.priors:prior",
        "Class shares exchanged by Bayes' rule; the test set's estimated where not given.",
        "Saerens, Latinne & Decaestecker 2002, doi:10.1162/089976602753284446",
        of_sets=True,
    ),
    Method(
        "logit-adjust",
        f"{ROOM}.priors:logit_adjust",
        "Class shares exchanged to a power that is searched.",
        "Menon et al. 2021, arXiv:2007.07314",
        fitted=True,
    ),
    Method(
        "sinkhorn",
        f"{ROOM}.sinkhorn:sinkhorn",
        "Columns scaled until the mean probabilities are the presumed shares.",
        "Sinkhorn & Knopp 1967, doi:10.2140/pjm.1967.21.343",
        presuming=True,
        of_sets=True,
    ),
    Method(
        "can",
        f"{ROOM}.known:can",
        "Uncertain rows normalised against confident ones and the presumed shares.",
        "Jia et al. 2021, arXiv:2109.13449",
        presuming=True,
        of_sets=True,
    ),
    Method(
        "temperature",
        f"{ROOM}.scaling:temperature",
        "Log-probabilities divided by one number; answers stay.",
        "Guo et al. 2017, arXiv:1706.04599",
        fitted=True,
    ),
    Method(
        "vector",
        f"{ROOM}.scaling:vector",
        "Log-probabilities scaled and shifted class by class.",
        "Guo et al. 2017, arXiv:1706.04599",
        fitted=True,
    ),
    Method(
        "isotonic",
        f"{ROOM}.isotonic:isotonic",
        "A rising curve per class, one against the rest, normalised.",
        "Zadrozny & Elkan 2002, doi:10.1145/775047.775151",
        fitted=True,
    ),
)

CELL_METHODS: Registry[Entry] = Registry(
    "recalibration of several labels",
    Entry("none", f"{ROOM}.cells:nothing", "The probabilities as predicted.", "-"),
    Entry(
        "thresholds",
        f"{ROOM}.cells:thresholds",
        "The threshold of best F-score of each class becomes one half.",
        "Dinkelbach 1967 for all cells together",
    ),
    Entry(
        "temperature",
        f"{ROOM}.cells:temperature",
        "All log-odds divided by one number; answers stay.",
        "Guo et al. 2017, arXiv:1706.04599",
    ),
    Entry(
        "vector",
        f"{ROOM}.cells:vector",
        "Log-odds scaled and shifted class by class.",
        "Platt 1999; Guo et al. 2017, arXiv:1706.04599",
    ),
    Entry(
        "isotonic",
        f"{ROOM}.cells:isotonic",
        "A rising curve per class.",
        "Zadrozny & Elkan 2002, doi:10.1145/775047.775151",
    ),
)
