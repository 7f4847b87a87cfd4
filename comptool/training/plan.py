"""What a training will do, settled and checked before torch is imported."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from comptool import models
from comptool.competition import Competition, load
from comptool.data.augment import POLICIES, POLICY_FILES, check_options
from comptool.errors import InputError, UsageError, unknown_name
from comptool.evaluation import metrics
from comptool.losses import LOSSES
from comptool.losses.weight_table import read_class_weights
from comptool.runs import LAST, find_run
from comptool.training.ancestry import check_parent, find_leak, parent_member
from comptool.training.annotation import loss_notes
from comptool.training.config import Files, TrainSettings
from comptool.training.gaps import check_measurable, gaps
from comptool.training.labelled import Indices
from comptool.training.prior import read_prior
from comptool.training.record import check_folder
from comptool.training.rows import Rows, divide, read_rows
from comptool.training.sizes import parse_sizes
from comptool.training.stages import check_shares, dropped_classes, stage_notes
from comptool.training.task import for_task

COSINE = "cosine"  # the head whose logits have a scale


@dataclass(frozen=True)
class Member:
    """One model to be trained: all there is to do, or one fold of ``--fold all``.

    Parameters
    ----------
    folder
        Where it is kept.
    fold
        The fold that it validates on, None for none.
    train, valid
        Its rows.
    parent
        Folder of the run whose weights it starts from, or None.
    leak
        Why its validation is no evidence, or None.
    """

    folder: Path
    fold: int | None
    train: Indices
    valid: Indices
    parent: Path | None = None
    leak: str | None = None


@dataclass(frozen=True)
class Plan:
    """A checked training.

    Parameters
    ----------
    settings
        How.
    files
        From which tables.
    competition
        Of what.
    rows
        Every row.
    metric
        Name of the metric that is validated by.
    run
        Folder of the run.
    members
        What is trained, one after another.
    resume
        Whether it goes on from what the folders hold.
    prior
        Of the K classes, or None.
    class_weights
        Of the K classes, as somebody wrote them down, or None.
    dropped
        Indices of the classes that are neither trained on nor scored.
    notes
        What was taken and why, one sentence each.
    """

    settings: TrainSettings
    files: Files
    competition: Competition
    rows: Rows
    metric: str
    run: Path
    members: tuple[Member, ...]
    resume: bool
    prior: tuple[float, ...] | None = None
    class_weights: tuple[float, ...] | None = None
    dropped: tuple[int, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def loss(self) -> str:
        """Name of the loss."""
        assert self.settings.loss is not None  # the task has settled it
        return self.settings.loss

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities in the order in which the model takes them."""
        return tuple(self.rows.samples.paths)

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The tables that were read, and the file of the augmentation."""
        beside = (self.settings.prior, self.settings.class_weights, self.policy_file)
        return (*self.rows.inputs, *(path for path in beside if path is not None))

    @property
    def policy_file(self) -> Path | None:
        """The file of the augmentation, where it is none of ours."""
        path = Path(self.settings.augment)
        return path if path.suffix in POLICY_FILES else None

    @property
    def folded(self) -> bool:
        """Whether the run has a folder for each fold."""
        return self.settings.held_out_fold == "all"

    def text(self) -> str:
        """What would be read and written, for a dry run."""
        lines = []
        for member in self.members:
            validated = "nothing" if member.fold is None else f"{len(member.valid)} rows"
            lines.append(
                f"would train {self.settings.model} on {len(member.train)} rows, validate "
                f"{validated} by {self.metric}, and write {member.folder}"
            )
        read = ", ".join(str(path) for path in self.inputs)
        return "\n".join([*lines, f"would read {read} and the images they name"])


def make_plan(
    settings: TrainSettings, files: Files, run: Path, *, force: bool = False, resume: bool = False
) -> Plan:
    """Settle and check a training.

    Parameters
    ----------
    settings, files
        How, and from which tables.
    run
        Folder of the run.
    force
        Whether a run in that folder is replaced.
    resume
        Whether a run in that folder is gone on with.

    Raises
    ------
    UsageError
        If a name is unknown, options contradict one another, or the model takes another number of
        images than there are modalities.
    InputError
        If a table, an image or a checkpoint cannot be used.
    OutputExistsError
        If the folder holds a run, and neither ``force`` nor ``resume`` is given.
    """
    check_folder(run, force=force, resume=resume)
    _check_names(settings)
    competition = load(files.competition)
    settings = for_task(settings, competition.task)
    metric = settings.metric or competition.metric
    metrics.table(competition.task).find(metric)
    for name in settings.modality:
        if name not in competition.modalities:
            raise unknown_name("modality", name, competition.modalities)
    modalities = settings.modality or tuple(competition.modalities)
    models.check_modalities(settings.model, modalities)
    parse_sizes(settings.img_size, modalities)
    rows = read_rows(competition, settings, files.folds, files.extra)
    members = tuple(
        _with_parent(settings, competition.task, rows, member)
        # One that goes on has its parent's weights already.
        if settings.init_from is not None and not (resume and (member.folder / LAST).exists())
        else member
        for member in _members(settings, rows, run)
    )
    dropped = dropped_classes(settings, rows.classes)
    check_shares(rows.labels, rows.targets, settings)
    for member in members:
        check_measurable(metric, rows, member.valid, member.fold, dropped)
    weights = settings.class_weights
    return Plan(
        settings,
        files,
        competition,
        rows,
        metric,
        run,
        members,
        resume,
        prior=None if settings.prior is None else read_prior(settings.prior, rows.classes),
        class_weights=None if weights is None else tuple(read_class_weights(weights, rows.classes)),
        dropped=dropped,
        notes=_notes(settings, rows, members, dropped),
    )


def _check_names(settings: TrainSettings) -> None:
    models.parse_name(settings.model)
    if settings.loss is not None:
        LOSSES.find(settings.loss)
    if Path(settings.augment).suffix in POLICY_FILES:
        if not Path(settings.augment).is_file():
            raise InputError("there is no such augmentation file", file=settings.augment)
    elif settings.augment not in POLICIES:
        raise unknown_name("augmentation", settings.augment, POLICIES.names)
    check_options(settings.augment, settings.augment_options)
    if settings.pretrained not in ("auto", "yes", "no") and not Path(settings.pretrained).is_file():
        raise UsageError(
            f"--pretrained is '{settings.pretrained}'; it is auto, yes, no or a file of weights"
        )


def _members(settings: TrainSettings, rows: Rows, run: Path) -> list[Member]:
    wanted = settings.held_out_fold
    places: list[tuple[Path, int | None]] = [(run, None)]
    if wanted == "all":
        if not rows.folds:
            raise InputError("no row has a fold to validate on", file=rows.samples.source)
        places = [(run / f"fold-{fold}", fold) for fold in rows.folds]
    elif wanted != "none":
        places = [(run, wanted)]
    return [Member(folder, fold, *divide(rows, settings, fold)) for folder, fold in places]


def _with_parent(settings: TrainSettings, task: str, rows: Rows, member: Member) -> Member:
    parent = parent_member(find_run(settings.init_from), member.fold)
    wanted = {
        "task": task,
        "model": settings.model,
        "modalities": list(rows.samples.paths),
        "classes": list(rows.classes),
    }
    check_parent(parent, wanted)
    return replace(member, parent=parent, leak=find_leak(parent, rows.ids(member.valid)))


def _notes(
    settings: TrainSettings, rows: Rows, members: tuple[Member, ...], dropped: tuple[int, ...]
) -> tuple[str, ...]:
    notes = [*rows.notes, *_scale_notes(settings)]
    for member in members:
        notes += stage_notes(settings, rows.classes, dropped, rows.labels, member.train)
        notes += [f"{member.folder}: {gap}" for gap in gaps(rows, member.train, member.valid)]
        notes += loss_notes(settings, rows, member.train)
        if member.leak is not None:
            notes.append(
                f"WARNING: the score of {member.folder} and its oof.csv are no evidence: "
                f"{member.leak}"
            )
    return tuple(notes)


def _scale_notes(settings: TrainSettings) -> list[str]:
    """A warning of margins that are not on the scale of the logits."""
    name = models.parse_name(settings.model)
    scaled = any(text.partition("=")[0].strip() == "scale" for text in settings.loss_option)
    if settings.loss != "ldam" or name.head == COSINE or scaled:
        return []
    return [
        f"WARNING: the margins of the loss 'ldam' are for cosines times 30, which '{name}' does "
        f"not give; take '{replace(name, head=COSINE)}', or --loss-option scale=3"
    ]
