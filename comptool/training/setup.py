"""Set up a training run: model, input channels, scaling of pixels, data and optimizer.

Sensors of 10 to 14 bits store 16-bit images, which are nearly black if scaled as 16 bits. The bit
depth of each modality, or the range of its floating-point pixels, is found in a sample of the
images and kept in the checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from comptool import __version__, models
from comptool.data.augment.batches import Augmentation, send
from comptool.data.cache import PixelCache
from comptool.data.dataset import Batch, SampleDataset
from comptool.data.gpu_dataset import ResidentBatches
from comptool.data.image_io import (
    COLOUR,
    FULL_DEPTH,
    GREY,
    DeepPixels,
    ImageFiles,
    ImageSource,
    depth_of,
    is_grey,
    spread,
)
from comptool.data.pixel_ranges import (
    Ranges,
    find_ranges,
    needs_range,
    ranges_of,
    some_values,
    spelled_ranges,
)
from comptool.data.sampler import EpochBatches
from comptool.errors import InputError, UsageError, counted
from comptool.io import provenance
from comptool.io.records import ModelRecord, RunHeader, parse
from comptool.io.runs import BEST, LAST, read_header
from comptool.key_value import parse_assignments
from comptool.losses.wrappers import begin_epoch
from comptool.models.backbones import timm_backbone
from comptool.models.bag_pooling import BagPlaces, pool_outputs
from comptool.models.checkpoint_file import build_model, checked_options, load_weights
from comptool.models.late_fusion import DISPENSABLE
from comptool.models.pretrained import RANDOM, create_from
from comptool.models.streams import OutputScale, StreamModel
from comptool.precision import has_tf32
from comptool.tasks import Task
from comptool.tasks.pooling import ATTENTION
from comptool.training import data
from comptool.training.autotune import ComputeConfig, Measure, choose_config, use_threads
from comptool.training.class_subset import measured
from comptool.training.compilation import compiled
from comptool.training.config import (
    BACKBONE,
    BATCH_SIZE,
    FREE_TO_CHANGE,
    TrainSettings,
    calibration_of,
)
from comptool.training.criterion import make_loss
from comptool.training.data import TrainMember, TrainPlan
from comptool.training.distributed import INITIAL, Processes, joined, mixed
from comptool.training.gradient_balancing import (
    BalancedJunction,
    GradientLogger,
    average_over,
    total_loss,
)
from comptool.training.loaders import (
    Placement,
    draw_batches,
    open_augmentation,
    open_datasets,
    open_loaders,
    place,
)
from comptool.training.mixup import Mixing
from comptool.training.optim import (
    MixedPrecision,
    Optimisation,
    freeze,
    head_weights,
    set_training,
)
from comptool.training.resume import has_begun
from comptool.training.self_check import checked_amp, usable
from comptool.training.training_state import MEND, Progress, TrainState, read_state
from comptool.training.validate import InputTransform, ValidBags, black_images

GRADIENTS = "gradients"  # key of the gradient log in the gauges of last.pt
Phase = Callable[[str], AbstractContextManager[None]]
_NOTHING: AbstractContextManager[None] = nullcontext()


def _untimed(phase: str) -> AbstractContextManager[None]:
    return _NOTHING


class Seen(NamedTuple):
    """A training batch of B samples as the network takes it, on the device."""

    images: list[Tensor]  # of each modality, (n, C, H, W); n is B unless samples are bags
    targets: Tensor  # (B, ...)
    draws: npt.NDArray[np.int64] | None = None  # bag of each image, (n,), in order; None: no bags

    def split(self, most: int | None) -> list[Seen]:
        """Parts of about equal size, of at most as many samples; None: one part."""
        count = len(self.targets)
        if most is None or count <= most:
            return [self]
        number = -(-count // most)
        if self.draws is None:
            tensors = (*self.images, self.targets)
            split = zip(*(tensor.tensor_split(number) for tensor in tensors), strict=True)
            return [Seen(list(part[:-1]), part[-1]) for part in split]
        parts = []
        for samples in np.array_split(np.arange(count), number):
            first, end = int(samples[0]), int(samples[-1]) + 1
            start, stop = np.searchsorted(self.draws, [first, end])
            images = [tensor[start:stop] for tensor in self.images]
            draws = self.draws[start:stop] - first
            parts.append(Seen(images, self.targets[first:end], draws))
        return parts


@dataclass
class TrainSession:
    """Model, data and optimizer of one member."""

    settings: TrainSettings
    model: StreamModel  # the module that is saved
    called: Callable[..., Tensor]  # for training steps: compiled, distributed, or the model itself
    # Context without gradient synchronisation, for all but the last batch of an update.
    without_sync: Callable[[], AbstractContextManager[None]]
    criterion: nn.Module
    precision: MixedPrecision
    optimisation: Optimisation
    augmentation: Augmentation | None  # of whole batches; None where the data set augments images
    transform: InputTransform
    batches: EpochBatches  # row numbers of the training batches
    train_loader: Iterable[Batch]
    valid_loader: Iterable[Batch] | None  # None without validation
    processes: Processes
    mixing: Mixing
    task: Task
    counted: npt.NDArray[np.bool_]  # whether each validation row counts in score and loss, (n,)
    valid_bags: ValidBags | None  # of a training on bags
    datasets: tuple[SampleDataset, ...]  # training data and, if any, validation data
    placement: Placement
    gradients: GradientLogger | None  # columns of metrics.csv with gradient balancing
    compute: ComputeConfig
    tf32: bool  # whether float32 convolutions may round their factors
    asynchronous: bool  # whether batches are copied to the device beside the step before
    # Context around each part of an update: ``wait``, ``augment``, ``transfer``, ``forward``,
    # ``backward`` or ``optimizer``; replaced for profiling.
    phase: Phase = _untimed

    @property
    def updates_per_epoch(self) -> int:
        """Weight updates in one epoch."""
        return -(-self.batches.num_steps // self.settings.grad_accum)

    def decode_once(self, say: Callable[[str], None], quiet: bool) -> None:
        """Decode all images into the cache, and load those that stay on the GPU."""
        mode = self.settings.cache
        if mode == "auto" and self.settings.epochs == 1:
            mode = "off"
        cache = PixelCache(mode, say, quiet, sharers=self.processes.size)
        # The first process decodes, the others read its cache.
        for turn in (True, False):
            if self.processes.first == turn:
                for dataset in self.datasets:
                    dataset.decode_once(cache)
            self.processes.wait()
        for source in (self.train_loader, self.valid_loader):
            if isinstance(source, ResidentBatches):
                source.load(quiet=quiet)

    def begin_epoch(self, epoch: int) -> None:
        """Set training mode and the loss for an epoch, counted from 0."""
        set_training(self.model, self.settings.freeze)
        begin_epoch(self.criterion, epoch)

    def gauges(self) -> dict[str, Any]:
        """State of the optional columns of ``metrics.csv``, to resume within an epoch."""
        return {GRADIENTS: self.gradients.state_dict()} if self.gradients else {}

    def seen(self, batch: Batch) -> int:
        """Number of samples of a batch after mixing: of images, or of bags."""
        return self.mixing.left(int(self.batches.draw_of(batch.rows.numpy())[-1]) + 1)

    @property
    def unit(self) -> str:
        """What a sample is, in messages."""
        return "images" if self.settings.bag_size is None else "bags"

    def augment(self, batch: Batch) -> Batch:
        """The batch with augmented images, on the device."""
        if self.augmentation is None:
            return batch
        with self.phase("augment"):
            return self.augmentation(batch)

    def see(self, batch: Batch, epoch: int, step: int) -> Seen:
        """Normalised, mixed images and targets of a training batch, on the device.

        Seeds all random draws, also the model's, with the position in the run.
        """
        place = mixed(self.settings.seed, epoch, step, self.processes.rank)
        torch.manual_seed(place)
        images = self.transform.see(batch.images)
        assert batch.targets is not None
        targets = batch.targets.to(self.transform.device, non_blocking=True)
        if self.settings.bag_size is None:
            return Seen(*self.mixing(images, targets, np.random.default_rng(place)))
        draws = self.batches.draw_of(batch.rows.numpy())
        (first,) = send([np.unique(draws, return_index=True)[1]], targets.device)
        return Seen(images, targets.index_select(0, first), draws)

    def loss(
        self,
        images: Sequence[Tensor],
        targets: Tensor,
        draws: npt.NDArray[np.int64] | None = None,
    ) -> Tensor:
        """Mean loss over a batch from :meth:`see`, summed over the objectives."""
        with self.precision.autocast():
            outputs = self.called(*images)
        return sample_loss(self.criterion, outputs, targets, self.task, draws, self.settings)


def sample_loss(
    criterion: nn.Module,
    outputs: Tensor,
    targets: Tensor,
    task: Task,
    draws: npt.NDArray[np.int64] | None,
    settings: TrainSettings,
) -> Tensor:
    """Mean loss of samples by the outputs for their images, pooled where samples are bags."""
    logits = outputs.float()
    if draws is not None:
        assert settings.trained_pool is not None
        places = BagPlaces.of(draws, logits.device)
        logits = pool_outputs(task, logits, places, settings.trained_pool)
    return total_loss(criterion, logits, targets)


LOOKED_AT = 64  # images per modality


def channels_of(plan: TrainPlan, member: TrainMember) -> dict[str, int]:
    """Input channels per modality; with ``--init-from`` those of that run.

    Grey and colour images take 3 or as asked, since pretrained weights need 3 and grey images are
    repeated; images of other numbers of channels keep theirs. Raises an InputError if those of a
    modality differ.
    """
    asked = plan.settings.channels
    if member.parent is not None:
        return _inherited(member, plan.modalities, asked)
    found = {}
    for name in plan.modalities:
        first = {str(source): image.shape[2] for source, image in _some_read(plan, name, FIRST)}
        held = set(first.values())
        if held <= {GREY, COLOUR}:
            found[name] = COLOUR if asked is None or asked == "auto" else int(asked)
        elif len(held) > 1:
            numbers = list(first.values())
            odd = min(first, key=lambda source: numbers.count(first[source]))
            others = " or ".join(str(number) for number in sorted(held - {first[odd]}))
            raise InputError(
                f"has {counted(first[odd], 'channel')}, and other {name} images have {others}",
                file=odd,
                mend="Bring them to one with a reader of your own: --reader FILE.py:function",
            )
        elif asked in ("1", "3"):
            raise UsageError(
                f"--channels is {asked}, and the {name} images have {min(held)}; leave it out"
            )
        else:
            found[name] = min(held)
        if (asked, found[name]) == ("auto", COLOUR) and all(
            map(is_grey, _some_images(plan, name, LOOKED_AT))
        ):
            found[name] = GREY
    return found


def _inherited(
    member: TrainMember, modalities: tuple[str, ...], asked: str | None
) -> dict[str, int]:
    assert member.parent is not None
    theirs = {name: int(read_header(member.parent).channels[name]) for name in modalities}
    other = [name for name in modalities if asked in ("1", "3") and theirs[name] != int(asked)]
    if other:
        raise UsageError(
            f"--channels is {asked}, and {member.parent}, whose weights it starts from, takes "
            f"{theirs[other[0]]} of each {other[0]} image; leave --channels out"
        )
    return theirs


def _some_images(plan: TrainPlan, modality: str, count: int) -> Iterator[DeepPixels]:
    """Images of a modality from all over the rows, except missing ones."""
    return (image for _, image in _some_read(plan, modality, count))


def _some_read(
    plan: TrainPlan, modality: str, count: int
) -> Iterator[tuple[ImageSource, DeepPixels]]:
    samples = plan.rows.take(spread(len(plan.rows.samples), count))
    files = ImageFiles(samples, plan.settings.missing)
    place = list(samples.paths).index(modality)
    for row in range(len(samples)):
        image = files.read(row, place)
        if image is not None:
            yield files.source(row, place), image


FIRST, MOST = 16, 256  # images per modality: to detect what needs scaling, and to find how


class Scaling(NamedTuple):
    """How pixels become bytes, by modality: bit depths and ranges; and a note on each."""

    bits: dict[str, int]
    ranges: dict[str, Ranges]
    notes: list[str]


def find_scaling(plan: TrainPlan, member: TrainMember) -> Scaling:
    """Bit depths of 16-bit images and ranges of others; with a parent run, the parent's."""
    if member.parent is not None:
        header = read_header(member.parent)
        bits = {name: header.bits.get(name, FULL_DEPTH) for name in header.modalities}
        return Scaling(bits, ranges_of(header.ranges), [])
    found = Scaling({}, {}, [])
    for name in plan.modalities:
        found.bits[name] = FULL_DEPTH
        first = [image for image in _some_images(plan, name, FIRST) if image.dtype != np.uint8]
        if any(needs_range(image) for image in first):
            images = (image for image in _some_images(plan, name, MOST) if needs_range(image))
            ranges = found.ranges[name] = find_ranges([some_values(image) for image in images])
            what = _pixels_in_words(next(image for image in first if needs_range(image)))
            found.notes.append(
                f"{name} images have {what}: they are scaled {spelled_ranges(ranges)}"
            )
        if any(has_depth(image) for image in first):
            images = (image for image in _some_images(plan, name, MOST) if has_depth(image))
            brightest = max(int(image.max()) for image in images)
            depth = found.bits[name] = depth_of(brightest)
            found.notes.append(
                f"{name} images have 16 bits and values up to {brightest}: they are scaled so "
                f"that {2**depth - 1} ({depth} bits) is white"
            )
    return found


def has_depth(image: DeepPixels) -> bool:
    """Whether an image is scaled by its bit depth."""
    return image.dtype == np.uint16 and not needs_range(image)


def _pixels_in_words(image: DeepPixels) -> str:
    channels = counted(image.shape[2], "channel")
    return f"{channels} of {'16 bits' if image.dtype == np.uint16 else 'floating-point numbers'}"


Say = Callable[[str], None]


def new_model(plan: TrainPlan, member: TrainMember, say: Say) -> tuple[StreamModel, RunHeader]:
    """The model of a new run, and the header of its checkpoints."""
    img_size = _sizes(plan, member)
    options = {
        "img_size": [list(img_size[name]) for name in plan.modalities],
        **model_options(plan.settings),
    }
    channels = channels_of(plan, member)
    torch.manual_seed(mixed(plan.settings.seed, INITIAL))
    in_chans = [channels[name] for name in plan.modalities]
    model, pretrained = _with_weights(plan, member, {**options, "in_chans": in_chans}, say)
    scaling = find_scaling(plan, member)
    for sentence in scaling.notes:
        say(sentence)
    origin = [] if member.parent is None else [member.parent / BEST]
    statistics = {name: model.data_config.statistics(channels[name]) for name in plan.modalities}
    header = RunHeader(
        comptool=__version__,
        model=ModelRecord(plan.settings.model, options),
        task=plan.competition.task,
        classes=list(plan.rows.classes),
        class_counts=plan.rows.class_counts,
        trained_counts=plan.rows.counts(member.drawn),
        modalities=list(plan.modalities),
        img_size=data.document(img_size),
        channels=channels,
        bits=scaling.bits,
        ranges={name: [list(pair) for pair in one] for name, one in scaling.ranges.items()},
        reader=plan.rows.samples.reader,
        mean={name: list(mean) for name, (mean, _) in statistics.items()},
        std={name: list(std) for name, (_, std) in statistics.items()},
        metric=plan.metric.name,
        metric_options=plan.metric.record,
        fold=member.fold,
        seed=plan.settings.seed,
        pretrained=pretrained,
        init_from=None if member.parent is None else str(member.parent),
        leak=member.leak,
        dropped=[plan.rows.classes[index] for index in plan.dropped],
        arguments=plan.settings.document(),
        inputs=provenance.hashes([*plan.inputs, *origin]),
    )
    return model, header


def model_options(settings: TrainSettings) -> dict[str, Any]:
    """Options of the backbone and the head, by name."""
    name = models.parse_name(settings.model)
    types = models.encoder_entry(name.backbone).types() | models.HEADS.find(name.head).types()
    for own in ("img_size", "auxiliary_heads", ATTENTION):  # have command-line options
        types.pop(own, None)
    options = parse_assignments(
        "--model-option", f"the model '{settings.model}'", settings.model_option, types
    )
    chosen = {"auxiliary_heads": settings.auxiliary_heads, ATTENTION: settings.pool == ATTENTION}
    return options | {name: True for name, on in chosen.items() if on}


def _sizes(plan: TrainPlan, member: TrainMember) -> dict[str, data.Size]:
    given = data.parse_sizes(plan.settings.img_size, plan.modalities)
    if set(given) == set(plan.modalities):
        return given
    backbone = models.parse_name(plan.settings.model).backbone
    if models.encoder_entry(backbone).target == models.TIMM:
        published = timm_backbone.published(backbone)
        if published.fixed_input_size:
            height, width = published.input_size[1:]
            return dict.fromkeys(plan.modalities, (height, width)) | given
    return data.native_sizes(plan.rows.take(member.train), plan.settings.missing) | given


def _with_weights(
    plan: TrainPlan, member: TrainMember, options: dict[str, Any], say: Say
) -> tuple[StreamModel, str]:
    """The model, and the source of its weights."""
    name, task = plan.settings.model, plan.rows.task
    outputs = task.outputs(len(plan.rows.classes))
    if member.parent is None:
        model, origin = create_from(plan.settings.pretrained, name, outputs, say=say, **options)
    else:
        checked_options(read_header(member.parent).model, member.parent / BEST)
        model, origin = models.create(name, outputs, **options), str(member.parent)
    if task.numbers:
        model.output = OutputScale(*plan.rows.scale(member.drawn))
    if member.parent is None:
        return model, origin
    own_head = head_weights(model) if plan.settings.reset_head else {}
    load_weights(model, member.parent, dispensable=DISPENSABLE)
    model.load_state_dict(own_head, strict=False)
    return model, origin


def open_session(
    plan: TrainPlan,
    member: TrainMember,
    model: StreamModel,
    header: RunHeader,
    criterion: nn.Module,
    processes: Processes,
    say: Callable[[str], None],
    *,
    measure: Measure = "all",
) -> TrainSession:
    """Create the session of a member."""
    settings, device = plan.settings, processes.device
    model = model.to(device)
    freeze(model, settings.freeze)
    batches = draw_batches(plan, member, processes)
    _check_smallest_batch(
        model, batches, settings, InputTransform.of(header, device, False), header
    )
    steps = settings.epochs * batches.num_steps
    checks = measure != "nothing"
    amp = checked_amp(settings.amp, processes, say) if checks else settings.amp
    precision = MixedPrecision(amp, device)
    # Autocast has no float32 convolutions.
    tf32 = checks and precision.dtype is None and all(processes.gather(has_tf32(device)))
    tf32 = tf32 and usable("tf32", processes, say)
    torch.backends.cudnn.allow_tf32 = tf32
    asynchronous = not checks or usable("copies", processes, say)
    compute = choose_config(model, header, settings, precision, processes, steps, say, measure)
    use_threads(compute)
    if compute.channels_last:
        model = model.to(memory_format=torch.channels_last)
    transform = InputTransform.of(header, device, compute.channels_last)
    placement = place(plan, member, header, processes)
    if placement.note:
        say(placement.note)
    datasets = open_datasets(plan, member, header)
    train_loader, valid_loader = open_loaders(datasets, settings, batches, processes, placement)
    lr = settings.rate(pretrained=header.pretrained != RANDOM)
    settings.check_min_lr(lr)
    updates = -(-batches.num_steps // settings.grad_accum)
    wrapped = _distributed(model, processes)
    optimisation = Optimisation(model, settings, lr, updates, precision)
    # After the copy of the averaged weights, which have no gradients to balance.
    gradients = _balance(plan, model, optimisation, processes)
    return TrainSession(
        settings=settings,
        model=model,
        called=(
            compiled(wrapped, batches.images_per_step, settings.compile)
            if compute.compiled
            else wrapped
        ),
        without_sync=getattr(wrapped, "no_sync", nullcontext),
        criterion=criterion.to(device),
        precision=precision,
        optimisation=optimisation,
        augmentation=open_augmentation(plan, datasets[0], device),
        transform=transform,
        batches=batches,
        train_loader=train_loader,
        valid_loader=valid_loader,
        processes=processes,
        mixing=Mixing(
            settings.mixup,
            settings.cutmix,
            settings.balanced_mixup,
            len(plan.rows.classes),
            numbers=plan.rows.task.numbers,
        ),
        task=plan.rows.task,
        datasets=datasets,
        placement=placement,
        counted=measured(plan.rows.labels[member.valid], plan.dropped),
        valid_bags=_valid_bags(plan, member),
        gradients=gradients,
        compute=compute,
        tf32=tf32,
        asynchronous=asynchronous,
    )


def _valid_bags(plan: TrainPlan, member: TrainMember) -> ValidBags | None:
    if plan.settings.trained_pool is None or not len(member.valid):
        return None
    bags = plan.rows.take(member.valid).bags()
    targets = plan.rows.labels[member.valid][bags.first]
    return ValidBags(bags.of_row, bags.first, targets, plan.settings.trained_pool)


def _distributed(model: StreamModel, processes: Processes) -> nn.Module:
    if processes.size == 1:
        return model
    cards = [processes.device] if processes.device.type == "cuda" else None
    return DistributedDataParallel(model, device_ids=cards)


def _check_smallest_batch(
    model: StreamModel,
    batches: EpochBatches,
    settings: TrainSettings,
    transform: InputTransform,
    header: RunHeader,
) -> None:
    """Refuse batches of one image where batch normalisation gets one value per channel."""
    if batches.least_per_draw > 1 or (
        settings.per_batch > 1 and batches.num_draws > batches.num_steps
    ):
        return
    copied = deepcopy(model)  # keeps the statistics of the layers
    set_training(copied, settings.freeze)
    try:
        with torch.no_grad():
            copied(*transform.see(black_images(header, 1, transform.device)))
    except ValueError as error:
        raise UsageError(
            f"the batch normalisation of '{settings.model}' cannot learn from batches of one "
            f"image; take a --batch-size of {2 * (settings.bag_size or 1)} or more"
        ) from error


def _balance(
    plan: TrainPlan, model: StreamModel, optimisation: Optimisation, processes: Processes
) -> GradientLogger | None:
    calibration = calibration_of(plan.settings)
    if calibration is None:
        return None
    logger = GradientLogger(calibration, plan.modalities, processes.device)
    model.junction = BalancedJunction(
        calibration, average_over(processes), lambda: optimisation.loss_scale, logger.observe
    )
    return logger


# Settings that name a file whose content must not change.
OF_FILES = {
    "prior": "the prior is not the one that",
    "class_weights": "the class weights are not those that",
    "augment": "the augmentation file is not the one that",
}


@dataclass(frozen=True)
class Prepared:
    """A member ready to train."""

    progress: Progress
    header: RunHeader
    session: TrainSession | None  # None: finished


def rehearse(plan: TrainPlan) -> None:
    """Prepare every member with random weights; raises the errors of :func:`prepare`."""
    plan = without_published_weights(plan)
    # No search in a dry run.
    size = plan.settings.batch_size or max(BATCH_SIZE, plan.settings.bag_size or 1)
    plan = replace(plan, settings=replace(plan.settings, batch_size=size))
    with joined(plan.settings.device, deterministic=plan.settings.deterministic) as processes:
        for member in plan.members:
            prepare(plan, member, processes, lambda text: None, measure="nothing")


def without_published_weights(plan: TrainPlan) -> TrainPlan:
    """The plan with random weights in place of published ones, which need a download."""
    if plan.settings.pretrained not in ("auto", "yes") or plan.settings.init_from is not None:
        return plan
    return replace(plan, settings=replace(plan.settings, pretrained="no", min_lr=None))


def prepare(
    plan: TrainPlan,
    member: TrainMember,
    processes: Processes,
    say: Say,
    *,
    measure: Measure = "all",
) -> Prepared:
    """Create the session of a member, or restore it from its checkpoint.

    ``measure`` is which benchmarks may run to choose the compute configuration. Raises a UsageError
    if a name or an option is unknown, or the device is not available; an InputError if weights, an
    image or the state of a resumed run cannot be used.
    """
    criterion = make_loss(plan, member)
    state: TrainState | None = None
    path = member.folder / LAST
    if plan.resume and has_begun(member.folder):
        state = read_state(path)
        _check_identity(state.identity, identity(plan, processes), member)
        named = plan.policy_file is None and plan.settings.augment != "none"
        if named and "augmentation" not in state.identity:
            say(
                "WARNING: this run was begun by an earlier version, whose augmentation drew other "
                "random numbers; what is left of it is augmented by today's"
            )
        progress = _progress(state.progress, plan)
        header = state.header
        if (way := header.way) is not None:
            parse(ComputeConfig, way, path, "training state", place="header.way")
        # What may change leaves no trace in the checkpoint.
        begun = {
            name: header.arguments[name] for name in FREE_TO_CHANGE if name in header.arguments
        }
        header = replace(header, arguments=plan.settings.document() | begun)
        if progress.finished:
            say(f"{member.folder} is finished ({progress.epoch} epochs); nothing is left to train")
            return Prepared(progress, header, None)
        model = build_model(header, path)
    else:
        progress = Progress()
        model, header = new_model(plan, member, say)
    say(_introduction(plan, member, header, processes))
    if plan.settings.freeze == BACKBONE and header.pretrained == RANDOM:
        say("WARNING: the backbone has random weights and is frozen: it will not learn anything")
    session = open_session(plan, member, model, header, criterion, processes, say, measure=measure)
    header = replace(header, way=asdict(session.compute))
    if state is not None:
        _restore(session, state, path)
    if not processes.first:
        progress.loss_sum, progress.seen = 0.0, 0
    return Prepared(progress, header, session)


def _restore(session: TrainSession, state: TrainState, path: Path) -> None:
    """Bring a session to a saved state."""
    try:
        session.model.load_state_dict(state.weights)
        session.optimisation.load_state_dict(state.optimisation)
        saved = state.gauges.get(GRADIENTS)
        if session.gradients and saved:
            session.gradients.load_state_dict(saved)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"its training state does not fit the run ({reason})", file=path, mend=MEND
        ) from error


# Raised when a named policy draws other numbers.
AUGMENTATION = 1


def identity(plan: TrainPlan, processes: Processes) -> dict[str, Any]:
    """JSON values, besides the settings, that must not change in a resumed run."""
    return {
        "rows": plan.rows.digest(),
        "metric": plan.metric.name,
        "metric_options": plan.metric.record,
        "processes": processes.size,
        "prior": None if plan.prior is None else list(plan.prior),
        "class_weights": None if plan.class_weights is None else list(plan.class_weights),
        "augment": None if plan.policy_file is None else provenance.sha256(plan.policy_file),
        "augmentation": AUGMENTATION,
    }


def _progress(progress: Progress, plan: TrainPlan) -> Progress:
    if progress.finished == "epochs" and progress.epoch < plan.settings.epochs:
        progress.finished = ""
    return progress


def _check_identity(found: dict[str, Any], wanted: dict[str, Any], member: TrainMember) -> None:
    folder = member.folder
    if found.get("rows") != wanted["rows"]:
        raise InputError(
            "the rows, folds or labels are not those that this run was begun with",
            file=folder,
            mend="Bring the tables back, or start another run with --init-from",
        )
    for name, what in OF_FILES.items():
        if found.get(name) != wanted[name]:
            raise InputError(
                f"{what} this run was begun with",
                file=folder,
                mend="Bring the file back, or start another run with --init-from",
            )
    for name, option in (("metric", "--metric"), ("processes", "--nproc-per-node")):
        if found.get(name) != wanted[name]:
            raise UsageError(
                f"a resumed run keeps its settings; {folder} was begun with {option} "
                f"{found.get(name)}"
            )
    # Runs of earlier versions have none.
    if found.get("metric_options", {}) != wanted["metric_options"]:
        raise UsageError(
            f"a resumed run keeps its settings; {folder} was begun with other [metric-options] in "
            "comptool.toml"
        )


def _channels_in_words(channels: int) -> str:
    if channels in (GREY, COLOUR):
        return " grey" if channels == GREY else ""
    return f"x{channels}"


def _introduction(
    plan: TrainPlan, member: TrainMember, header: RunHeader, processes: Processes
) -> str:
    sizes = ", ".join(
        f"{name} {h}x{w}{_channels_in_words(header.channels[name])}"
        for name, (h, w) in header.img_size.items()
    )
    device = f"{processes.size} x {processes.device.type}" if processes.size > 1 else None
    return (
        f"{member.folder}: {plan.settings.model} from {header.pretrained} weights on "
        f"{device or processes.device}; {member.training} to train on, {len(member.valid)} "
        f"to validate; {sizes} pixels"
    )
