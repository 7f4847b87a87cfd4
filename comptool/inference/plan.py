"""The inference plan: which runs agree, which images they need, and what they held out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from comptool import models
from comptool.competition import config as competitions
from comptool.competition.bags import Bags, no_bags
from comptool.competition.classes import against, competition_classes, left_out, listed
from comptool.competition.config import FILE, Competition
from comptool.competition.samples import Samples, read_samples, test_samples
from comptool.competition.schema import variable_of
from comptool.data.sample_digest import sample_digest
from comptool.errors import InputError, UsageError
from comptool.inference.config import InferConfig, TtaConfig
from comptool.io.atomic import refuse_existing
from comptool.io.image_readers import users_reader
from comptool.io.provenance import PredictionFacts
from comptool.io.records import RunHeader, named_by
from comptool.io.runs import (
    BEST,
    check_finished,
    find_run,
    held_out_images,
    members,
    read_header,
)
from comptool.io.tables import read_table
from comptool.postprocess.oof import FOLDS, labelled_rows, no_table
from comptool.tasks.pooling import ATTENTION, MEAN, NO_POOL


@dataclass(frozen=True)
class TrainedMember:
    """One trained network: its folder and what its checkpoint says of itself."""

    folder: Path
    header: RunHeader


def read_members(runs: Sequence[Path]) -> tuple[TrainedMember, ...]:
    """The networks of the runs, those of a folded run in the order of its folds."""
    found = [TrainedMember(folder, read_header(folder)) for run in runs for folder in members(run)]
    for member in found:
        models.check_recorded(member.header, member.folder / BEST)
    return tuple(found)


def check_alike(
    networks: Sequence[TrainedMember], keys: Sequence[str], consequence: str, mend: str
) -> None:
    """Check that the headers of networks agree."""
    first = networks[0]
    for other in networks[1:]:
        for key in keys:
            theirs, ours = getattr(other.header, key), getattr(first.header, key)
            if theirs != ours:
                raise InputError(
                    f"its {key} are not those of {first.folder}, and {consequence}: "
                    f"{_differing(theirs, ours)}",
                    file=other.folder,
                    mend=mend,
                )


def check_competition(member: TrainedMember, competition: Competition) -> None:
    """Check that a network was trained for this competition."""
    header = member.header
    lacking = [name for name in header.modalities if name not in competition.modalities]
    if lacking:
        raise InputError(
            f"this run takes the modalities {listed(header.modalities)}, and the competition "
            f"has {listed(list(competition.modalities))}",
            file=member.folder,
            mend="Correct [modalities] in comptool.toml",
        )
    wanted = {"task": competition.task, "classes": competition_classes(competition)}
    for key, value in wanted.items():
        if value is not None and _listing(value) != _listing(getattr(header, key)):
            raise InputError(
                f"this run was trained for another competition; its {key} against the "
                f"competition's: {_differing(getattr(header, key), value)}",
                file=member.folder,
                mend=f"Name another run, or correct {variable_of(key) or FILE}",
            )


def in_model_order(samples: Samples, header: RunHeader) -> Samples:
    """``samples`` with the modalities that a checkpoint names, in its order."""
    return replace(samples, paths={name: samples.paths[name] for name in header.modalities})


def with_reader(
    competition: Competition, members: Sequence[TrainedMember]
) -> tuple[Competition, list[str]]:
    """The competition with the runs' reader, unless it has its own, and notes on other readers."""
    chosen = competition.reader or members[0].header.reader
    if chosen and not competition.reader:
        with named_by(members[0].folder / BEST, "reader"):
            users_reader(chosen)
    notes = [
        f"{member.folder} was trained on images read by {member.header.reader or 'our readers'}, "
        f"and {chosen} reads now"
        for member in members
        if member.header.reader != chosen
    ]
    return replace(competition, reader=chosen or None), notes


def held_out(member: TrainedMember, competition: Competition) -> Samples:
    """The samples that a member has validated on, from the table that it was trained with."""
    oof = held_out_images(member.folder)
    if not oof.exists():
        raise InputError("this run held no rows out", file=member.folder)
    ids = read_table(oof).iloc[:, 0].tolist()
    recorded = [Path(text) for text in member.header.inputs]
    samples = labelled_rows(ids, [*recorded, FOLDS], competition)
    if samples is None:
        raise no_table(ids, oof, recorded, competition)
    return in_model_order(samples, member.header)


def _listing(value: str | Sequence[str]) -> str | list[str]:
    return value if isinstance(value, str) else list(value)


def _differing(one: str | Sequence[str], other: str | Sequence[str]) -> str:
    if isinstance(one, str) or isinstance(other, str):
        return f"{one} against {other}"
    return against(one, other)


AGREEING = ("task", "classes", "modalities")


@dataclass(frozen=True)
class InferencePlan:
    """Plan of a prediction."""

    runs: tuple[Path, ...]  # the chosen runs; a folded run is one
    # The averaged networks, of one task, class list and list of modalities.
    members: tuple[TrainedMember, ...]
    competition: Competition
    samples: Samples  # to predict; ``paths`` in the networks' order of modalities
    output: Path
    force: bool = False
    pool: str | None = None  # how rows of images become those of bags; None without bags
    chosen: str = ""  # how an unnamed run was chosen, otherwise empty
    notes: tuple[str, ...] = ()

    @property
    def header(self) -> RunHeader:
        """The first member's header; of what it says, all members share `AGREEING`."""
        return self.members[0].header

    @property
    def inputs(self) -> list[Path]:
        """The files that the predictions are made of, images aside."""
        return [self.samples.source, *(member.folder / BEST for member in self.members)]

    @cached_property
    def facts(self) -> PredictionFacts:
        """What later commands need to know of the predictions; of the images as they are first."""
        header = self.header
        return PredictionFacts(
            task=header.task,
            classes=header.classes,
            metric=header.metric,
            class_counts=header.class_counts,
            runs=[str(run) for run in self.runs],
            pool=self.pool,
            images=None if self.bags is None else len(self.samples),
            samples=sample_digest(self.samples),
        )

    @property
    def bags(self) -> Bags | None:
        """The bags that become one row each; None if every image has its row."""
        return None if self.pool in (None, NO_POOL) else self.samples.bags()

    def __str__(self) -> str:
        runs = ", ".join(str(run) for run in self.runs)
        averaged = f" ({len(self.members)} networks, averaged)" if len(self.members) > 1 else ""
        lines = [
            f"{'runs' if len(self.runs) > 1 else 'run'}: {runs}{self.chosen}{averaged}",
            *(f"warning: {note}" for note in self.notes),
            f"samples: {len(self.samples)} of {self.samples.source}",
            *(
                []
                if self.bags is None
                else [f"bags: {len(self.bags.names)}, pooled by {self.pool}"]
            ),
            f"output: {self.output}",
        ]
        return "\n".join(lines)


def _pool(
    asked: str | None, networks: Sequence[TrainedMember], competition: Competition
) -> str | None:
    """How rows of images become those of bags: as asked, or as the networks were validated."""
    if competition.bag is None:
        if asked is not None:
            raise UsageError(no_bags("--pool"))
        return None
    own = [one.header.arguments.get("pool") or MEAN for one in networks]
    _check_attention(asked, networks, own)
    pools = list(dict.fromkeys(own))
    if asked is None and len(pools) > 1:
        raise UsageError(
            f"the runs were validated with the pools {' and '.join(pools)}; choose one with --pool"
        )
    pool = asked or str(pools[0])
    if pool in (NO_POOL, ATTENTION):
        return pool
    recorded = named_by(networks[0].folder / BEST, "arguments.pool")
    with nullcontext() if asked else recorded:
        competition.kind.pool(
            np.ones((1, len(networks[0].header.classes))), np.zeros(1, np.int64), pool
        )
    return pool


def _check_attention(
    asked: str | None, networks: Sequence[TrainedMember], pools: Sequence[str]
) -> None:
    """Refuse attention of networks that have not learnt it, and other pools of those that have."""
    own = list(zip(networks, pools, strict=True))
    learnt = [one.folder for one, pool in own if pool == ATTENTION]
    others = [one.folder for one, pool in own if pool != ATTENTION]
    if asked == ATTENTION and others:
        raise UsageError(
            f"--pool {ATTENTION} is learnt in training, and {others[0]} has not: leave it out, or "
            f"train with --bag-size and --pool {ATTENTION}"
        )
    if learnt and asked not in (None, NO_POOL, ATTENTION):
        raise UsageError(
            f"{learnt[0]} has learnt to pool by {ATTENTION}, and what it gives to single images is "
            f"not meant for --pool {asked}; leave it out"
        )
    if learnt and others and asked is None:
        raise UsageError(
            f"{learnt[0]} pools by {ATTENTION} and {others[0]} does not; predict with each by "
            "itself, and average the files: comptool ensemble"
        )


def plan_prediction(config: InferConfig | TtaConfig) -> InferencePlan:
    """Find the runs and the samples of ``infer`` or ``tta``, and check that they belong together.

    Raises an InputError if a run or a table cannot be used or does not fit the others, an
    OutputExistsError if the output exists and may not be replaced.
    """
    refuse_existing(config.output, config.force)
    runs = tuple(dict.fromkeys(find_run(name) for name in config.runs)) or (find_run(),)
    unfinished = [note for run in runs if (note := check_finished(run))]
    networks = read_members(runs)
    check_alike(
        networks, AGREEING, "their predictions cannot be averaged", "Predict with each by itself"
    )
    incomplete = (left_out(member.folder, member.header) for member in networks)
    facts = competitions.load(config.competition, reader=config.reader)
    check_competition(networks[0], facts)
    facts, other_readers = with_reader(facts, networks)
    if config.test is None:
        samples = test_samples(facts)
    else:
        samples = read_samples(config.test, facts, labelled=False)
    pool = _pool(config.pool, networks, facts)
    if pool not in (None, NO_POOL):
        # The images of a bag one after the other, so that it is complete as early as possible.
        samples = samples.in_bag_order()
    return InferencePlan(
        runs=runs,
        members=networks,
        competition=facts,
        samples=in_model_order(samples, networks[0].header),
        output=config.output,
        force=config.force,
        pool=pool,
        chosen="" if config.runs else " (the latest)",
        notes=(*unfinished, *filter(None, incomplete), *other_readers, *samples.notes),
    )
