"""The options of ``comptool train`` that no other command has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from ._help import option as _option

MODEL, OPTIMISATION = "Model", "Optimisation"
VALIDATION, RUN = "Validation", "Run"

Model = Annotated[str, _option(MODEL, "<backbone>[-dual][+<head>]; see comptool models.")]
Pretrained = Annotated[
    str,
    _option(MODEL, "Published weights: auto (if they can be had), yes, no, or a file of weights."),
]
InitFrom = Annotated[
    Path | None, _option(MODEL, "A run whose weights to start from; the optimizer is new.")
]

ModelOption = Annotated[
    list[str] | None,
    _option(
        MODEL,
        "name=value of the backbone (drop_path_rate, drop_block, depth, widen, grad_checkpointing) "
        "or head (drop_rate, scale; dropout, num_queries, learnable_queries, "
        "hidden_dim), as the model has them; may be repeated.",
    ),
]
AuxiliaryHeads = Annotated[
    bool,
    _option(
        MODEL,
        "For -dual models: a head for each encoder too, for training alone; the losses add up.",
        "--auxiliary-heads",
    ),
]

Epochs = Annotated[int, _option(OPTIMISATION, "Passes over the training rows.", min=1)]
Optimizer = Annotated[str, _option(OPTIMISATION, "adamw, adam, sgd, lion, ...; timm's names.")]
Lr = Annotated[
    float | None,
    _option(OPTIMISATION, "Learning rate. [default: 0.003 from random weights, 0.001 from others]"),
]
WeightDecay = Annotated[float, _option(OPTIMISATION, "Not of biases and norms.", min=0)]
LayerDecay = Annotated[
    float | None,
    _option(OPTIMISATION, "Factor of the learning rate from each layer to the one below."),
]
CalibrateGradients = Annotated[
    list[str] | None,
    _option(
        OPTIMISATION,
        "For -dual models: intra (or intra:mean, intra:max, intra:min) brings the gradients that "
        "enter the two encoders to one norm; inter balances the objectives of --auxiliary-heads. "
        "With a comma, or repeated.",
    ),
]
CalibrationLimits = Annotated[
    str | None,
    _option(OPTIMISATION, "Smallest and largest factor of intra. [default: 0.1,10]"),
]
ClipGrad = Annotated[float | None, _option(OPTIMISATION, "Largest gradient norm.")]
Schedule = Annotated[
    Literal["cosine", "step", "constant"], _option(OPTIMISATION, "Of the learning rate.")
]
WarmupEpochs = Annotated[
    float | None, _option(OPTIMISATION, "[default: 5 % of the epochs, at most 1]", min=0)
]
DecayEpochs = Annotated[
    str | None,
    _option(OPTIMISATION, "For step: every 30 epochs, or at 100,150. [default: 30]"),
]
DecayRate = Annotated[float | None, _option(OPTIMISATION, "For step: factor. [default: 0.1]")]
MinLr = Annotated[float | None, _option(OPTIMISATION, "For cosine: last rate. [default: 0]")]
CycleEpochs = Annotated[
    float | None,
    _option(OPTIMISATION, "For cosine: restart after so many epochs. [default: never]"),
]
CycleMul = Annotated[
    int | None,
    _option(OPTIMISATION, "Of --cycle-epochs: factor of each next length. [default: 1]", min=1),
]
Ema = Annotated[
    float,
    _option(OPTIMISATION, "Decay of averaged weights, such as 0.999; 0 is off.", min=0, max=1),
]
Amp = Annotated[
    Literal["auto", "bf16", "fp16", "off"],
    _option(OPTIMISATION, "Mixed precision; auto: what the card is fast in, off on a CPU."),
]
Compile = Annotated[
    Literal["auto", "on", "off", "reduce-overhead"],
    _option(
        OPTIMISATION,
        "torch.compile; auto: in runs of over ten minutes, where it pays; reduce-overhead: with "
        "CUDA graphs.",
    ),
]

Fold = Annotated[
    str, _option(VALIDATION, "The fold to validate on; all: one member each; none: train on all.")
]
Folds = Annotated[
    Path | None,
    _option(VALIDATION, "Table of comptool split. [default: folds.csv, else a fifth is held out]"),
]
Metric = Annotated[str | None, _option(VALIDATION, "[default: the competition's]")]
Patience = Annotated[
    int | None, _option(VALIDATION, "Stop after so many epochs without a better score.", min=1)
]
Extra = Annotated[
    Path | None, _option(VALIDATION, "Rows to train on and never validate, such as pseudo.csv.")
]

RunName = Annotated[
    str | None, _option(RUN, "Folder below weights/. [default: the model, and the extra table]")
]
Resume = Annotated[
    bool, _option(RUN, "Go on with a stopped run, with the settings it was begun with.", "--resume")
]
