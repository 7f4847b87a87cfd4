"""What can be asked of a recalibration, and which of it contradicts itself."""

from __future__ import annotations

from dataclasses import dataclass

from comptool.errors import UsageError

THRESHOLDS = "thresholds"
QUOTAS = ("quota", "quota-optimal")
TOP_K_HEAD = 4
FRACTION = 0.1
# Which methods use a setting; those that are not here are used by all.
USED_BY = {
    "top_k_head": QUOTAS,
    "head_classes": QUOTAS,
    "fraction": QUOTAS,
    "alpha": ("can",),
    "entropy_threshold": ("can",),
    "top_k": ("can",),
    "iterations": ("can",),
    "prior": ("can",),
    "average": (THRESHOLDS,),
    "beta": (THRESHOLDS,),
}
# Nothing is presumed of a multi-label test set, and CAN has its own option.
WITHOUT_TARGET = ("can", THRESHOLDS)


@dataclass(frozen=True)
class Settings:
    """What was asked for; None stands for the method's own default.

    Parameters
    ----------
    method
        A name of :data:`comptool.decisions.recalibration.METHODS`, or for several labels of
        :data:`comptool.decisions.recalibration.CELL_METHODS`.
    top_k_head
        How many of the most frequent training classes are head classes.
    head_classes
        Their names instead, separated by commas, in the order in which they take rows.
    fraction
        Share of the rows that each head class takes, 0 to 1.
    alpha, entropy_threshold, top_k, iterations
        See :func:`comptool.decisions.alternating.by_alternating`.
    prior
        ``"uniform"`` or ``"train"``: class shares that CAN presumes in the test set.
    oof
        Run or out-of-fold file with labelled rows; the runs of the predictions by default.
    target_prior
        ``"uniform"``, ``"train"`` or a file: class shares that the family presumes.
    average, beta
        ``"macro"`` or ``"micro"``, and the beta of the F-score that thresholds are best for.
    """

    method: str = "quota"
    top_k_head: int | None = None
    head_classes: str | None = None
    fraction: float | None = None
    alpha: float | None = None
    entropy_threshold: float | None = None
    top_k: int | None = None
    iterations: int | None = None
    prior: str | None = None
    oof: str | None = None
    target_prior: str | None = None
    average: str | None = None
    beta: float | None = None

    def check(self) -> None:
        """Refuse settings that the method would not use.

        Raises
        ------
        UsageError
            If there is one.
        """
        for name, owners in USED_BY.items():
            if getattr(self, name) is not None and self.method not in owners:
                option = "--" + name.replace("_", "-")
                named = " and ".join(owners)
                raise UsageError(f"{option} belongs to --method {named}, not to {self.method}")
        if self.target_prior is not None and self.method in WITHOUT_TARGET:
            raise UsageError(f"--target-prior has no meaning for --method {self.method}")
        self._check_heads()

    def check_compare(self) -> None:
        """Refuse settings that a comparison of methods would not use.

        Raises
        ------
        UsageError
            If there is one.
        """
        for name, owners in USED_BY.items():
            if owners != QUOTAS and getattr(self, name) is not None:
                option = "--" + name.replace("_", "-")
                raise UsageError(f"{option} has no meaning for --compare, which takes its default")
        self._check_heads()

    def _check_heads(self) -> None:
        if self.head_classes is not None and self.top_k_head is not None:
            raise UsageError("--head-classes and --top-k-head both say which classes are head")

    def check_cells(self) -> None:
        """Refuse shares of classes where a row may have several.

        Raises
        ------
        UsageError
            If some are given.
        """
        for name in ("top_k_head", "head_classes", "fraction", "target_prior"):
            if getattr(self, name) is not None:
                option = "--" + name.replace("_", "-")
                raise UsageError(f"{option} is for one class per image, and here a row has several")
