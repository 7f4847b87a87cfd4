"""The quota as a method of the family; without scipy, whose import every command would wait for."""

from __future__ import annotations

from comptool.decisions.quotas import quota as in_turn
from comptool.decisions.recalibration.known import Answer, Apply, Floats, Known, rows_to_one


def quota(known: Known) -> Apply:
    """Each head class in turn takes the rows that are surest of it; probabilities stay."""
    head, fraction = list(known.head), known.fraction

    def apply(probabilities: Floats) -> Answer:
        labels = in_turn(probabilities, head, fraction)
        return Answer(rows_to_one(probabilities), labels, {"fraction": fraction})

    return apply
