"""Every setting of a training run, in one frozen dataclass that checks itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from comptool.errors import UsageError

Schedule = Literal["cosine", "step", "constant"]
Balance = Literal["none", "under", "over", "weights", "class-aware"]
Amp = Literal["auto", "bf16", "fp16", "off"]
Missing = Literal["zero", "drop"]
Weighting = Literal["effective", "inverse", "sqrt"]
Cache = Literal["auto", "ram", "disk", "off"]
DataOn = Literal["auto", "gpu", "cpu"]
Channels = Literal["1", "3", "auto"]
Compile = Literal["auto", "on", "off", "reduce-overhead"]

# What a resumed run may be given anew: it changes the weights by rounding at most.
FREE_TO_CHANGE = ("workers", "device", "compile", "cache", "data_on")
# Settings of earlier versions, which a resumed run may still name in its run.json.
REMOVED = ("cuda_graph",)
PATHS = ("init_from", "prior", "class_weights")
PRETRAINED_RATE, RANDOM_RATE = 1e-3, 3e-3
BATCH_SIZE, AS_MANY_AS_FIT = 32, 0


@dataclass(frozen=True)
class TrainSettings:
    """The settings of a run; :mod:`comptool.training.rows` says what they mean for the data.

    Raises
    ------
    UsageError
        If a value is out of its range or two contradict one another.
    """

    # The model and where its weights start.
    model: str = "mobilenetv2-dual"
    pretrained: str = "auto"  # auto, yes, no or a path
    init_from: Path | None = None
    model_option: tuple[str, ...] = ()  # "name=value"
    auxiliary_heads: bool = False  # one per stream, as further objectives
    reset_head: bool = False
    freeze: str | None = None  # one of PARTS
    # What is minimised; None leaves the loss its own value.
    loss: str | None = None  # None: the task's, see `comptool.training.task`
    gamma: float | None = None
    label_smoothing: float | None = None
    loss_option: tuple[str, ...] = ()  # "name=value"
    prior: Path | None = None  # table of `comptool prior`
    weighting: Weighting | None = None  # scheme of class weights
    class_weights: Path | None = None  # table or TOML file of class weights
    defer_weights: int = 0  # epochs before class weights act
    # Which rows a stage is about.
    drop_classes: tuple[str, ...] = ()
    keep_dropped_logits: bool = False
    per_class: int | None = None
    # What the model eats.
    img_size: tuple[str, ...] = ()  # "64", "64x48" or "sar=64"; empty: from the images
    channels: Channels | None = None  # None: 3, or those of the run that it starts from
    augment: str = "flips"
    cutout: float | None = None  # None leaves the policy its own value
    magnitude: float | None = None
    num_ops: int | None = None
    balance: Balance = "none"
    mixup: float = 0.0  # alpha of Beta(alpha, alpha)
    cutmix: float = 0.0
    balanced_mixup: float = 0.0  # alpha of Beta(alpha, 1)
    modality: tuple[str, ...] = ()
    missing_modality: Missing | None = None
    # The optimisation.
    epochs: int = 30
    batch_size: int = BATCH_SIZE  # images per process and step, before accumulation
    grad_accum: int = 1  # batches per update
    optimizer: str = "adamw"
    lr: float | None = None  # None: see `rate`
    weight_decay: float = 0.02
    layer_decay: float | None = None  # factor of the learning rate from a layer to the one below
    clip_grad: float | None = None  # largest gradient norm
    calibrate_gradients: tuple[str, ...] = ()  # "intra", "intra:max", "inter"
    calibration_limits: str | None = None  # of the factors, "0.1,10"
    schedule: Schedule = "cosine"
    warmup_epochs: float | None = None  # None: 5 % of the epochs, at most one
    decay_epochs: str | None = None  # "30" or, for milestones, "100,150"
    decay_rate: float | None = None
    min_lr: float | None = None
    cycle_epochs: float | None = None  # until a cosine starts anew; None: one for all epochs
    cycle_mul: int | None = None  # factor of the length from one cycle to the next
    ema: float = 0.0  # decay of the averaged weights; 0: none
    amp: Amp = "auto"
    compile: Compile = "auto"
    # When to stop, what to measure.
    patience: int | None = None
    metric: str | None = None
    fold: str = "0"  # a number, "all" or "none"
    seed: int = 0
    # Where it runs.
    device: str = "auto"
    workers: int | None = None
    cache: Cache = "auto"
    data_on: DataOn = "auto"  # where the images of training lie

    def __post_init__(self) -> None:
        # By name: a command reads the defaults for its help, and has none to check.
        import_module("comptool.training.setting_checks").check(self)

    @property
    def folds(self) -> int | Literal["all", "none"]:
        """The fold to validate on: a number, ``all`` or ``none``."""
        return self.fold if self.fold in ("all", "none") else int(self.fold)  # type: ignore[return-value]

    @property
    def augment_options(self) -> dict[str, float]:
        """What was given of the augmentation's options."""
        given = {name: getattr(self, name) for name in ("cutout", "magnitude", "num_ops")}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def warmup(self) -> float:
        """Warm-up in epochs."""
        return min(1.0, 0.05 * self.epochs) if self.warmup_epochs is None else self.warmup_epochs

    @property
    def scheme(self) -> Weighting | None:
        """How class weights follow from the rows; None: they do not."""
        return self.weighting or ("effective" if self.balance == "weights" else None)

    @property
    def weighted(self) -> str | None:
        """The option that asks for class weights, as it is typed; None without."""
        if self.class_weights is not None:
            return "--class-weights"
        if self.weighting is not None:
            return "--weighting"
        return "--balance weights" if self.balance == "weights" else None

    def rate(self, *, pretrained: bool) -> float:
        """Learning rate after warm-up: as given, else one for AdamW and its kin.

        From random weights 3e-3 came to a validation loss of 1.52 where 1e-3 came to 1.84, with
        MobileNetV2 on 500 pairs; weights that know something would be lost at that rate.
        """
        if self.lr is not None:
            return self.lr
        return PRETRAINED_RATE if pretrained else RANDOM_RATE

    @property
    def highest_rate(self) -> float:
        """The highest that :meth:`rate` can be, before anybody knows what the weights know."""
        unsure = self.init_from is None and self.pretrained in ("auto", "no")
        return self.rate(pretrained=not unsure)

    def check_min_lr(self, rate: float) -> None:
        """Raise a UsageError if the last learning rate is above the first."""
        if self.min_lr is not None and self.min_lr > rate:
            whose = "" if self.lr is not None else ", the default for the weights it starts from"
            raise UsageError(f"--min-lr {self.min_lr:g} is above --lr {rate:g}{whose}")

    @property
    def milestones(self) -> tuple[float, ...]:
        """Epochs given with ``--decay-epochs``: one is a period, several are points in time."""
        text = "30" if self.decay_epochs is None else self.decay_epochs
        return tuple(float(part) for part in text.split(","))

    def document(self) -> dict[str, Any]:
        """The settings as JSON values."""
        values = asdict(self)
        for name, value in values.items():
            if isinstance(value, Path):
                values[name] = str(value)
            elif isinstance(value, tuple):
                values[name] = list(value)
        return values

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> TrainSettings:
        """The settings of a :meth:`document`."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in document.items()
            if name not in REMOVED
        }
        for name in PATHS:
            if values.get(name) is not None:
                values[name] = Path(values[name])
        return cls(**values)
