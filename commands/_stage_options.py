"""The options of ``comptool train`` that make one stage of several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from ._help import option as _option
from ._train_options import LOSS

STAGES = "Stages"

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
