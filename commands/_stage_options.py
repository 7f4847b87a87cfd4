"""The options of ``comptool train`` that say what is minimised: by which loss, in which stages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from ._help import option as _option

LOSS, STAGES = "Loss", "Stages"

Loss = Annotated[
    str | None,
    _option(LOSS, "See comptool losses. [default: ce; bce where a row may have several classes]"),
]
Gamma = Annotated[
    float | None, _option(LOSS, "Focusing exponent. [default: the loss's own]", min=0)
]
LabelSmoothing = Annotated[
    float | None,
    _option(LOSS, "Share spread over all classes. [default: the loss's own]", min=0, max=1),
]
LossOption = Annotated[
    list[str] | None,
    _option(LOSS, "name=value, such as gamma_neg=2; may be repeated; see comptool losses NAME."),
]
Prior = Annotated[
    Path | None, _option(LOSS, "For partial-asl, selective: a table of comptool prior.")
]
Balance = Annotated[
    Literal["none", "under", "over", "weights", "class-aware"],
    _option(
        LOSS,
        "Long tails: cut classes to the smallest, repeat to the largest, weights by effective "
        "number, or one row of each class in turn (the only one for several classes per image).",
    ),
]
Weighting = Annotated[
    Literal["effective", "inverse", "sqrt"] | None,
    _option(LOSS, "Class weights of the loss by effective number, 1/n or 1/sqrt(n)."),
]
ClassWeights = Annotated[
    Path | None,
    _option(LOSS, "Class weights by hand: a CSV of class, weight, or a TOML of class = weight."),
]
DeferWeights = Annotated[
    int, _option(LOSS, "Epochs before class weights act (deferred re-weighting).", min=0)
]

ResetHead = Annotated[
    bool,
    _option(STAGES, "With --init-from: random weights behind the backbone.", "--reset-head"),
]
Freeze = Annotated[
    str | None,
    _option(
        STAGES,
        "backbone or head: no gradients, and no statistics that move; the optimizer has the rest.",
    ),
]
DropClasses = Annotated[
    list[str] | None,
    _option(
        STAGES,
        "Leave the rows of these classes out of training and of the score, and their logits out of "
        "the loss; names with commas, or repeated. The model keeps all classes.",
    ),
]
KeepDroppedLogits = Annotated[
    bool,
    _option(STAGES, "The logits of dropped classes count in the loss.", "--keep-dropped-logits"),
]
PerClass = Annotated[
    int | None,
    _option(
        STAGES,
        "So many rows of each class: a random choice of a large class, repeats of a small one, "
        "each augmented for itself.",
        min=1,
    ),
]
