"""Settings of a training run and their checks; no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

from comptool import tasks
from comptool.errors import UsageError, unknown_name
from comptool.losses import LOSSES, check_task
from comptool.machine import check_device_name
from comptool.models import HEADS, parse_name
from comptool.options import (
    ADVANCED,
    EMBEDDINGS,
    PROBE,
    Output,
    WithCompetition,
    WithDevice,
    WithMaxPixels,
    WithSeed,
    argument,
    check,
    filled,
    kebab,
    option,
    to_json,
)

Reference = Literal["mean", "max", "min"]
LIMITS = (0.1, 10.0)
CALIBRATE, LIMITED, AUXILIARY = "--calibrate-gradients", "--calibration-limits", "--auxiliary-heads"


@dataclass(frozen=True)
class Calibration:
    """Gradient calibration; see :mod:`comptool.training.gradient_balancing`."""

    intra: Reference | None = None  # common gradient norm of the modalities; None: unchanged
    inter: bool = False  # balance the objectives
    limits: tuple[float, float] = LIMITS  # factor of a modality: 0 < low <= 1 <= high

    def __post_init__(self) -> None:
        if self.intra is not None and self.intra not in get_args(Reference):
            raise unknown_name("reference of gradient norms", self.intra, get_args(Reference))
        low, high = self.limits
        if not 0 < low <= 1 <= high < math.inf:
            raise UsageError(
                f"factors of gradients are limited to {low:g} and {high:g}; the smallest has to be "
                "above 0 and at most 1, the largest 1 or more and finite"
            )


def parse_calibration(texts: Sequence[str], limits: str | None = None) -> Calibration:
    """Parse ``--calibrate-gradients`` and ``--calibration-limits``.

    Examples
    --------
    >>> parse_calibration(["inter,intra:max"])
    Calibration(intra='max', inter=True, limits=(0.1, 10.0))
    """
    known = ["intra", *(f"intra:{reference}" for reference in get_args(Reference)), "inter"]
    words = [word.strip() for text in texts for word in text.split(",")]
    for word in words:
        if word not in known:
            raise unknown_name("gradient calibration", word, known)
    levels = {word.partition(":")[0]: word.partition(":")[2] for word in words}
    if len(levels) < len(words):
        raise UsageError(f"a gradient calibration is asked for twice: {', '.join(words)}")
    if limits is not None and "intra" not in levels:
        raise UsageError(f"{LIMITED} limits the factors of {CALIBRATE} intra, which is not given")
    intra = cast(Reference, levels["intra"] or "mean") if "intra" in levels else None
    return Calibration(intra, "inter" in levels, _limits(limits))


def calibration_of(settings: TrainSettings) -> Calibration | None:
    """The gradient calibration of a training, or None."""
    texts, limits = settings.calibrate_gradients, settings.calibration_limits
    return parse_calibration(texts, limits) if texts or limits is not None else None


def check_objectives(settings: TrainSettings) -> None:
    """Check gradient calibration and auxiliary heads against the model."""
    calibration = calibration_of(settings)
    if calibration is None and not settings.auxiliary_heads:
        return
    name = parse_name(settings.model)
    if name.streams < 2:
        asked = AUXILIARY if calibration is None else CALIBRATE
        raise UsageError(
            f"{asked} is for models of several streams, and '{name}' has one; try "
            f"'{replace(name, streams=2)}'"
        )
    heads = [entry.name for entry in HEADS if "auxiliary_heads" in entry.option_names()]
    if settings.auxiliary_heads and name.head not in heads:
        raise UsageError(
            f"{AUXILIARY} go with the heads {', '.join(heads[:-1])} and {heads[-1]}; that of "
            f"'{name}' is {name.head}"
        )
    if calibration is not None and calibration.inter and not settings.auxiliary_heads:
        raise UsageError(
            f"{CALIBRATE} inter balances objectives, and the model has one; add {AUXILIARY}, or "
            "leave inter out"
        )


def _limits(text: str | None) -> tuple[float, float]:
    if text is None:
        return LIMITS
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        raise UsageError(
            f"{LIMITED} is '{text}'; it has to be two numbers such as 0.1,10"
        ) from None
    return low, high


Schedule = Literal["cosine", "step", "constant"]
Balance = Literal["none", "under", "over", "weights", "class-aware"]
Amp = Literal["auto", "bf16", "fp16", "off"]
Missing = Literal["zero", "drop"]
Weighting = Literal["effective", "inverse", "sqrt"]
Cache = Literal["auto", "ram", "disk", "off"]
DataOn = Literal["auto", "gpu", "cpu"]
Channels = Literal["1", "3", "auto"]
Compile = Literal["auto", "on", "off", "reduce-overhead"]

# A resumed run may change these: they alter the weights by rounding at most.
FREE_TO_CHANGE = ("workers", "device", "compile", "cache", "data_on")
# Settings of earlier versions, ignored in run.json.
REMOVED = ("cuda_graph",)
PRETRAINED_RATE, RANDOM_RATE = 1e-3, 3e-3
BATCH_SIZE, AS_MANY_AS_FIT = 32, 0
# A selection of timm's, listed to check names without torch.
OPTIMIZERS = (
    "adamw adam nadam nadamw radam adamp adan adopt adabelief adafactor lamb lars lion muon "
    "madgrad rmsprop rmsproptf sgd momentum nesterov"
).split()
BACKBONE = "backbone"
PARTS = (BACKBONE, "head")
COSINE_ALONE = ("min_lr", "cycle_epochs", "cycle_mul")
EVENED = ("under", "over", "class-aware")  # values of --balance that resample the rows

# Panels of --help.
MODEL, LOSS, BALANCE, IMAGES = "Model", "Loss", "Class balance", "Images"
OPTIMISATION, VALIDATION, STAGES = "Optimisation", "Validation", "Training in stages"


def parse_batch_size(text: str) -> int:
    """The batch size, or :data:`AS_MANY_AS_FIT` for ``auto``; a ValueError otherwise."""
    if text == "auto":
        return AS_MANY_AS_FIT
    if not text.isdecimal() or not int(text):
        raise ValueError(f"'{text}' is not a number of images from 1 on, and not auto.")
    return int(text)


@dataclass(frozen=True)
class WithWorkers:
    """Options of a command that loads images in worker processes."""

    workers: int | None = option(
        help="Processes that load images.",
        names=("--workers", "-j"),
        min=0,
        shown="by the number of cores",
        panel=ADVANCED,
    )


@dataclass(frozen=True)
class TrainSettings(WithWorkers, WithDevice, WithSeed):
    """Settings of a training run, as recorded in its ``run.json``."""

    model: str = option(
        "mobilenetv2-dual",
        help="Model: <backbone>[-dual][+<head>]; see comptool models.",
    )
    epochs: int = option(30, help="Passes over the training rows.", min=1)
    batch_size: int = option(
        BATCH_SIZE,
        help="Images per batch; auto: as many as fit into GPU memory.",
        names=("--batch-size", "-b"),
        min=0,
        metavar="IMAGES",
        parse=parse_batch_size,
    )
    lr: float | None = option(
        help="Learning rate.", above=0, shown="0.001; 0.003 from random weights"
    )
    img_size: tuple[str, ...] = option(
        (),
        help="Image size: 64, 64x48 (height x width) or sar=64; repeatable.",
        metavar="SIZE",
        shown="the images' own",
    )
    augment: str = option(
        "flips",
        help="Augmentation: none, flips, weak, strong or an albumentations file.",
    )
    loss: str | None = option(
        help="Loss; see comptool losses.",
        shown="ce; with several labels per row bce",
    )
    fold: str = option(
        "0", help="Validation fold; all: one model per fold; none: train on all rows."
    )
    init_from: Path | None = option(help="Trained run to start from; the optimizer starts fresh.")
    pretrained: str = option(
        "auto",
        help="Pretrained weights: auto (if available), yes, no, a file, or package:NAME (of an "
        "installed package).",
        panel=MODEL,
    )
    model_option: tuple[str, ...] = option(
        (),
        help="Option of the backbone (drop_path_rate, drop_block, depth, widen, "
        "grad_checkpointing) or the head (drop_rate, scale, dropout, num_queries, "
        "learnable_queries, hidden_dim).",
        metavar="NAME=VALUE",
        panel=MODEL,
    )
    auxiliary_heads: bool = option(
        False,
        help="-dual models: also train a head on each encoder; the losses are summed.",
        panel=ADVANCED,
    )
    label_smoothing: float | None = option(
        help="Label smoothing.",
        min=0,
        below=1,
        shown="the loss's own",
        panel=LOSS,
    )
    gamma: float | None = option(
        help="Focal losses: focusing exponent.", min=0, shown="the loss's own", panel=LOSS
    )
    loss_option: tuple[str, ...] = option(
        (),
        help="Option of the loss (see comptool losses LOSS), such as gamma_neg=2; repeatable.",
        metavar="NAME=VALUE",
        panel=LOSS,
    )
    prior: Path | None = option(
        help="Class prior from comptool prior, for partial-asl with mode=selective.",
        panel=LOSS,
    )
    balance: Balance = option(
        "none",
        help="Long tails: none, undersampling (under), oversampling (over), class weights in the "
        "loss (weights), or classes drawn in turn (class-aware; the only one with several labels).",
        metavar="METHOD",
        panel=BALANCE,
    )
    weighting: Weighting | None = option(
        help="Class weights of the loss, from the class counts: effective, inverse or sqrt.",
        metavar="METHOD",
        panel=BALANCE,
    )
    class_weights: Path | None = option(
        help="Class weights from a CSV (class,weight) or TOML file (class = weight).",
        panel=BALANCE,
    )
    defer_weights: int = option(
        0, help="Epochs before class weights apply (deferred re-weighting).", min=0, panel=ADVANCED
    )
    balanced_mixup: float = option(
        0.0,
        help="Balanced mixup for long tails: alpha of Beta(alpha, 1).",
        min=0,
        shown="0, off",
        panel=BALANCE,
    )
    mixup: float = option(
        0.0, help="Mixup: alpha of Beta(alpha, alpha).", min=0, shown="0, off", panel=IMAGES
    )
    cutmix: float = option(
        0.0,
        help="CutMix: alpha of Beta(alpha, alpha); with --mixup, one per batch.",
        min=0,
        shown="0, off",
        panel=IMAGES,
    )
    cutout: float | None = option(
        help="Cutout (not with flips): side, as a share of the image.",
        above=0,
        max=1,
        shown="0.5",
        panel=IMAGES,
    )
    magnitude: float | None = option(
        help="--augment weak: strength of its operations.",
        min=0,
        max=30,
        shown="9",
        panel=ADVANCED,
    )
    num_ops: int | None = option(
        help="--augment weak: operations per image.", min=1, shown="2", panel=ADVANCED
    )
    channels: Channels | None = option(
        help="Input channels of grey and colour images: 1, 3, or auto (1 if all are grey).",
        shown="3 or as --init-from",
        panel=ADVANCED,
    )
    modality: tuple[str, ...] = option(
        (),
        help="Modality to use, in the model's order; repeatable.",
        metavar="NAME",
        shown="all",
        panel=IMAGES,
    )
    reader: str | None = option(
        help="Reader of the image files: FILE.py:function, or a name.",
        shown="the competition's, otherwise by suffix",
        panel=IMAGES,
    )
    missing_modality: Missing | None = option(
        help="Missing image: replace with black (zero), or drop the row.",
        metavar="zero|drop",
        shown="an error",
        panel=IMAGES,
    )
    optimizer: str = option(
        "adamw",
        help="Optimizer of timm: adamw, adam, sgd, lion, ...",
        choices=OPTIMIZERS,
        kind="optimizer",
        panel=OPTIMISATION,
    )
    weight_decay: float = option(
        0.02, help="Weight decay; biases and norm layers have none.", min=0, panel=OPTIMISATION
    )
    schedule: Schedule = option(
        "cosine",
        help="Learning rate schedule: cosine, step or constant.",
        metavar="NAME",
        panel=OPTIMISATION,
    )
    warmup_epochs: float | None = option(
        help="Learning rate warm-up, in epochs.",
        min=0,
        shown="5 % of the epochs, at most 1",
        panel=OPTIMISATION,
    )
    min_lr: float | None = option(
        help="--schedule cosine: final learning rate.", min=0, shown="0", panel=ADVANCED
    )
    ema: float = option(
        0.0,
        help="Exponential moving average (EMA) of the weights: decay.",
        min=0,
        below=1,
        shown="0, off",
        panel=OPTIMISATION,
    )
    clip_grad: float | None = option(
        help="Gradient clipping: largest norm.", above=0, shown="off", panel=OPTIMISATION
    )
    grad_accum: int = option(
        1,
        help="Gradient accumulation: batches per update.",
        min=1,
        panel=OPTIMISATION,
    )
    amp: Amp = option(
        "auto",
        help="Mixed precision; auto: the faster type of the GPU, off on a CPU.",
        panel=OPTIMISATION,
    )
    compile: Compile = option(
        "auto",
        help="torch.compile: auto (long runs, if faster), on, off, reduce-overhead.",
        metavar="MODE",
        panel=ADVANCED,
    )
    deterministic: bool = option(
        False,
        help="The same weights in every repetition on one machine, also on a GPU; slower.",
        panel=OPTIMISATION,
    )
    metric: str | None = option(
        help="Metric that selects the checkpoint: a name of comptool metrics or FILE.py:function.",
        shown="the competition's",
        panel=VALIDATION,
    )
    patience: int | None = option(
        help="Early stopping: epochs without improvement.", min=1, shown="off", panel=VALIDATION
    )
    pool: Literal["mean", "max", "noisy-or", "attention"] | None = option(
        help="Several images per answer: how the predictions of a bag's images are pooled for "
        "validation, and with --bag-size in training; infer does the same. attention: weights "
        "that the network learns, with --bag-size.",
        metavar="mean|max|noisy-or|attention",
        shown="mean",
        panel=VALIDATION,
    )
    bag_size: int | None = option(
        help="Several images per answer: train on bags, of at most as many images drawn anew in "
        "each epoch; the loss is that of the bag.",
        min=1,
        metavar="IMAGES",
        shown="train on images",
        panel=IMAGES,
    )
    freeze: str | None = option(
        help="Part of the model to freeze, with its BatchNorm statistics.",
        choices=PARTS,
        kind="part of a model",
        metavar="backbone|head",
        panel=STAGES,
    )
    reset_head: bool = option(
        False, help="With --init-from: start from a randomly initialised head.", panel=STAGES
    )
    per_class: int | None = option(
        help="Rows per class and epoch: large classes are sampled, small ones repeated.",
        min=1,
        panel=STAGES,
    )
    drop_classes: tuple[str, ...] = option(
        (),
        help="Classes to leave out: a,b,c; the model keeps their outputs.",
        metavar="CLASSES",
        panel=STAGES,
    )
    keep_dropped_logits: bool = option(
        False, help="Keep the logits of dropped classes in the loss.", panel=STAGES
    )
    layer_decay: float | None = option(
        help="Layer-wise learning rate decay: factor per layer, towards the input.",
        above=0,
        max=1,
        panel=ADVANCED,
    )
    decay_epochs: str | None = option(
        help="--schedule step: epochs between decays (30), or of each (100,150).",
        metavar="EPOCHS",
        shown="30",
        panel=ADVANCED,
    )
    decay_rate: float | None = option(
        help="--schedule step: factor of each decay.",
        above=0,
        shown="0.1",
        panel=ADVANCED,
    )
    cycle_epochs: float | None = option(
        help="--schedule cosine: epochs to the first warm restart.",
        above=0,
        shown="no restarts",
        panel=ADVANCED,
    )
    cycle_mul: int | None = option(
        help="--cycle-epochs: factor of the cycle length after each restart.",
        min=1,
        shown="1",
        panel=ADVANCED,
    )
    calibrate_gradients: tuple[str, ...] = option(
        (),
        help="Gradient balancing of -dual models: intra (or intra:mean, intra:max, intra:min) "
        "scales the gradients of both encoders to one norm; inter balances the losses of "
        "--auxiliary-heads; or both: intra,inter.",
        metavar="LEVELS",
        panel=ADVANCED,
    )
    calibration_limits: str | None = option(
        help="--calibrate-gradients intra: smallest and largest factor.",
        metavar="LOW,HIGH",
        shown="0.1,10",
        panel=ADVANCED,
    )
    cache: Cache = option(
        "auto",
        help="Cache of decoded images; auto: on disk or in memory, if it fits.",
        panel=ADVANCED,
    )
    data_on: DataOn = option(
        "auto",
        help="Training images in GPU memory, or loaded by worker processes; auto: gpu if they fit "
        "into half of its free memory.",
        panel=ADVANCED,
    )

    def __post_init__(self) -> None:
        self._check()

    @property
    def held_out_fold(self) -> int | Literal["all", "none"]:
        """The fold to validate on: a number, ``all`` or ``none``."""
        return self.fold if self.fold in ("all", "none") else int(self.fold)  # type: ignore[return-value]

    @property
    def augment_options(self) -> dict[str, float]:
        """The given options of the augmentation."""
        given = {name: getattr(self, name) for name in ("cutout", "magnitude", "num_ops")}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def missing(self) -> str:
        """What a missing image is: an ``error``, or black (``zero``); see ``ImageFiles``."""
        return "zero" if self.missing_modality == "zero" else "error"

    @property
    def warmup(self) -> float:
        """Warm-up in epochs."""
        return min(1.0, 0.05 * self.epochs) if self.warmup_epochs is None else self.warmup_epochs

    @property
    def scheme(self) -> Weighting | None:
        """Formula of the class weights, or None."""
        return self.weighting or ("effective" if self.balance == "weights" else None)

    @property
    def weighted(self) -> str | None:
        """The given option for class weights, or None."""
        if self.class_weights is not None:
            return "--class-weights"
        if self.weighting is not None:
            return "--weighting"
        return "--balance weights" if self.balance == "weights" else None

    @property
    def trained_pool(self) -> str | None:
        """How the images of a bag are pooled in training; None if it is on images."""
        from comptool.tasks.pooling import MEAN  # late: imports numpy

        return None if self.bag_size is None else self.pool or MEAN

    @property
    def per_batch(self) -> int:
        """Samples per batch: images, or bags of ``bag_size`` images."""
        return self.batch_size // (self.bag_size or 1)

    def rate(self, *, pretrained: bool) -> float:
        """Learning rate after warm-up; the default is for AdamW.

        From random weights, MobileNetV2 on 500 image pairs reached a validation loss of 1.52 at
        3e-3 and of 1.84 at 1e-3.
        """
        if self.lr is not None:
            return self.lr
        return PRETRAINED_RATE if pretrained else RANDOM_RATE

    def check_min_lr(self, rate: float) -> None:
        """Raise a UsageError if the final learning rate is above the first."""
        if self.min_lr is not None and self.min_lr > rate:
            whose = "" if self.lr is not None else ", the default for the weights it starts from"
            raise UsageError(f"--min-lr {self.min_lr:g} is above --lr {rate:g}{whose}")

    @property
    def milestones(self) -> tuple[float, ...]:
        """Values of ``--decay-epochs``: one is a period, several are epochs."""
        text = "30" if self.decay_epochs is None else self.decay_epochs
        return tuple(float(part) for part in text.split(","))

    def document(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return to_json(self)

    def _check(self) -> None:
        check(self)
        self._check_names()
        self._check_schedule()
        self._check_stage()
        self._check_bags()
        check_objectives(self)

    def _check_names(self) -> None:
        if self.fold not in ("all", "none") and not self.fold.isdecimal():
            raise UsageError(f"--fold is '{self.fold}'; it has to be a number, 'all' or 'none'")
        check_device_name(self.device)
        for place, name in enumerate(self.modality):
            if name in self.modality[:place]:
                raise UsageError(
                    f"--modality {name} is given twice; a model takes each of them once"
                )
        try:
            points = self.milestones
        except ValueError:
            points = ()
        rising = list(points) == sorted(set(points)) and all(map(math.isfinite, points))
        if not points or not rising or points[0] <= 0:
            raise UsageError(
                f"--decay-epochs is '{self.decay_epochs}'; it has to be a number of epochs such as "
                "30, or rising points in time such as 100,150"
            )

    def _check_schedule(self) -> None:
        refused = {
            "cosine": ("decay_epochs", "decay_rate"),
            "step": COSINE_ALONE,
            "constant": ("decay_epochs", "decay_rate", *COSINE_ALONE),
        }
        for name in refused[self.schedule]:
            if getattr(self, name) is not None:
                raise UsageError(f"{kebab(name)} has no meaning with --schedule {self.schedule}")
        if self.warmup >= self.epochs:
            raise UsageError(
                f"--warmup-epochs {self.warmup:g} leaves nothing of --epochs {self.epochs}"
            )
        if self.cycle_mul is not None and self.cycle_epochs is None:
            raise UsageError("--cycle-mul needs --cycle-epochs, the length of the first cycle")
        # Before the weights are known, the higher of the default rates.
        unsure = self.init_from is None and self.pretrained in ("auto", "no")
        self.check_min_lr(self.rate(pretrained=not unsure))
        if self.deterministic and self.batch_size == AS_MANY_AS_FIT:
            raise UsageError(
                "--batch-size auto depends on how much memory is free, which --deterministic "
                "must not; give a number"
            )
        if self.fold == "none" and self.patience is not None:
            raise UsageError("--patience needs a validation, and --fold none has none")
        if self.init_from is not None and self.pretrained not in ("auto", "no"):
            raise UsageError("--init-from brings the weights; leave --pretrained out")

    def _check_stage(self) -> None:
        if self.freeze == BACKBONE and self.calibrate_gradients:
            raise UsageError("--freeze backbone leaves --calibrate-gradients nothing to calibrate")
        if self.reset_head and self.init_from is None:
            raise UsageError("--reset-head is for --init-from, whose head it leaves out")
        if self.freeze == "head" and (self.reset_head or self.init_from is None):
            raise UsageError(
                "--freeze head would keep a random head as it is; start from a run with --init-from"
            )
        if self.keep_dropped_logits and not self.drop_classes:
            raise UsageError("--keep-dropped-logits has no meaning without --drop-classes")
        if self.per_class is not None and self.balance in EVENED:
            raise UsageError(
                f"--per-class takes as many rows of each class; leave --balance {self.balance} out"
            )
        if self.class_weights is not None and self.scheme is not None:
            other = "--weighting" if self.weighting else "--balance weights"
            raise UsageError(
                f"--class-weights and {other} both set class weights; give one of them"
            )
        if self.defer_weights and not self.weighted:
            raise UsageError("--defer-weights needs --weighting or --class-weights to defer")
        if self.defer_weights >= self.epochs:
            raise UsageError(
                f"--defer-weights {self.defer_weights} leaves nothing of --epochs {self.epochs}"
            )

    def _check_bags(self) -> None:
        from comptool.tasks.pooling import ATTENTION  # late: imports numpy

        if self.bag_size is None:
            if self.pool == ATTENTION:
                raise UsageError(
                    f"--pool {ATTENTION} learns to weigh the images of a bag, which needs training "
                    "on bags; add --bag-size IMAGES"
                )
            return
        for name in ("mixup", "cutmix", "balanced_mixup"):
            if getattr(self, name):
                raise UsageError(
                    f"{kebab(name)} mixes one image with one other, and with --bag-size a sample "
                    "is a bag of several; leave it out"
                )
        if self.batch_size != AS_MANY_AS_FIT and not self.per_batch:
            raise UsageError(
                f"--batch-size {self.batch_size} holds no bag of --bag-size {self.bag_size} "
                f"images; take --batch-size {self.bag_size} or more"
            )
        model = parse_name(self.model)
        heads = [entry.name for entry in HEADS if ATTENTION in entry.option_names()]
        if self.pool == ATTENTION and model.head not in heads:
            raise UsageError(
                f"--pool {ATTENTION} goes with the head {' and '.join(heads)}, whose logits of a "
                f"mean are the mean of logits; take '{replace(model, head=heads[0])}'"
            )


@dataclass(frozen=True)
class Files(WithCompetition):
    """Input tables of a training."""

    folds: Path | None = option(
        help="Table with folds, from comptool split.",
        shown="folds.csv, otherwise a hold-out of one fifth",
        panel=VALIDATION,
    )
    extra: Path | None = option(
        help="Additional rows to train on, never validated, such as pseudo.csv."
    )

    def document(self) -> dict[str, str | None]:
        """The paths as JSON values."""
        return {name: None if path is None else str(path) for name, path in asdict(self).items()}


@dataclass(frozen=True)
class TrainConfig(Output, Files, WithMaxPixels, TrainSettings):
    """The options of ``comptool train``."""

    run_name: str | None = option(
        help="Folder of the run, below weights/.", shown="the model and the extra table"
    )
    resume: bool = option(
        False, help="Resume an interrupted run with the settings it was started with."
    )
    typed: tuple[str, ...] = filled("typed")

    def __post_init__(self) -> None:
        if self.force and self.resume:
            raise UsageError("--resume continues a run and --force replaces it; give one of them")
        # The settings of a resumed run are checked when merged with run.json.
        if not self.resume:
            self._check()

    def given(self) -> dict[str, Any]:
        """The options on the command line, by name."""
        return {name: getattr(self, name) for name in self.typed}


@dataclass(frozen=True)
class PriorConfig(Output, WithMaxPixels, WithWorkers, WithDevice):
    """The options of ``comptool prior``."""

    run: str | None = argument(None, help="Multi-label run.", shown="the latest")
    output: Path = option(Path("prior.csv"), help="Class prior to write.", names=("--output", "-o"))
    batch_size: int = option(64, help="Images per batch.", names=("--batch-size", "-b"), min=1)


# Loss options with a command-line option of their own.
TYPED = {
    "gamma": "--gamma",
    "smoothing": "--label-smoothing",
    "class_weights": "--balance weights",
    "prior": "--prior",
}
OF_ONE_CLASS = ("under", "over", "weights")


def for_task(settings: TrainSettings, task: str) -> TrainSettings:
    """The settings with the default loss of the task, checked against the task."""
    kind = tasks.find(task)
    loss = settings.loss or kind.default_loss
    check_task(loss, task)
    if kind.cells and settings.balance in OF_ONE_CLASS:
        raise UsageError(
            f"--balance {settings.balance} needs one class per image, and the task is {task}; "
            "take --balance class-aware (an image of each class in turn) or "
            "--loss distribution-balanced"
        )
    for name, why in kind.refused.items():
        if getattr(settings, name) not in (None, 0, (), "none"):
            raise UsageError(f"{kebab(name)} {why}, and the task is {task}")
    _check_mixing(settings, loss)
    if settings.prior is not None and not LOSSES.find(loss).takes_prior:
        takers = " and ".join(f"'{entry.name}'" for entry in LOSSES if entry.takes_prior)
        raise UsageError(f"--prior is for the loss {takers}, and the loss is '{loss}'")
    _check_options(settings, loss)
    return replace(settings, loss=loss)


def _check_mixing(settings: TrainSettings, loss: str) -> None:
    hard = LOSSES.find(loss).hard_targets
    for name in ("mixup", "cutmix", "balanced_mixup"):
        if hard and getattr(settings, name):
            raise UsageError(
                f"the loss '{loss}' needs targets of 0 and 1, and {kebab(name)} mixes them; "
                "leave it out"
            )
    others = [kebab(name) for name in ("mixup", "cutmix", "per_class") if getattr(settings, name)]
    if settings.balance in EVENED:
        others.append(f"--balance {settings.balance}")
    if settings.balanced_mixup and others:
        raise UsageError(
            "--balanced-mixup mixes the rows as they come with one of each class in turn; leave "
            f"out {' and '.join(others)}"
        )


def _check_options(settings: TrainSettings, loss: str) -> None:
    given = {
        "gamma": settings.gamma is not None,
        "smoothing": settings.label_smoothing is not None,
        "class_weights": settings.weighted is not None,
    }
    taken = LOSSES.find(loss).option_names()
    for name, is_given in given.items():
        if is_given and name not in taken:
            asked = settings.weighted if name == "class_weights" else TYPED[name]
            known = ", ".join(typed for own, typed in TYPED.items() if own in taken) or "none"
            raise UsageError(
                f"the loss '{loss}' has no use for {asked}; of such options it takes {known}"
            )


ProbeMethod = Literal["linear", "knn", "prototype", "lda"]


@dataclass(frozen=True)
class ProbeConfig(WithSeed, Output, WithCompetition):
    """The options of ``comptool probe``."""

    features: tuple[Path, ...] = argument(
        (), help="Features, from comptool embed; several are joined.", shown=str(EMBEDDINGS)
    )
    method: ProbeMethod = option(
        "linear",
        help="linear: logistic regression; knn: nearest neighbours; prototype: the nearest mean of "
        "a class; lda: discriminant analysis with shrinkage.",
    )
    columns: str | None = option(
        help="Columns of the tables beside the features, such as age:num,sex:cat; for linear and "
        "lda.",
        metavar="NAME:KIND",
        shown="none",
    )
    folds: Path | None = option(
        help="Table with folds, from comptool split.",
        shown="folds.csv, otherwise a hold-out of one fifth",
    )
    metric: str | None = option(help="Metric to print.", shown="the competition's")
    output: Path = option(
        PROBE,
        help="Predictions of the test set to write; the out-of-fold rows go next to it, as "
        "oof_NAME.",
        names=("--output", "-o"),
    )

    @property
    def kinds(self) -> dict[str, str]:
        """The kind, num or cat, of each column."""
        if self.columns is None:
            return {}
        if self.method in ("knn", "prototype"):
            raise UsageError(
                f"--columns is for --method linear and lda: {self.method} measures distances, in "
                "which a column among hundreds of features counts for nothing"
            )
        found: dict[str, str] = {}
        for part in self.columns.split(","):
            name, colon, kind = part.strip().rpartition(":")
            if not colon or not name or kind not in ("num", "cat"):
                raise UsageError(
                    f"--columns has '{part}'; a column is given as NAME:num or NAME:cat"
                )
            if name in found:
                raise UsageError(f"--columns names '{name}' twice")
            found[name] = kind
        return found
