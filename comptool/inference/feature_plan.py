"""Which rows' features are drawn of which runs; checked before torch is imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from comptool import competition as competitions
from comptool.classes import named_classes
from comptool.competition import Competition
from comptool.errors import InputError, UsageError
from comptool.inference.members import (
    Member,
    check_alike,
    check_competition,
    held_out,
    in_model_order,
    read_members,
)
from comptool.outputs import refuse_existing
from comptool.runs import BEST, check_finished, find_run
from comptool.samples import Samples, read_samples
from comptool.training.labelled import label_indices

Indices = npt.NDArray[np.int64]
LEAST = 3  # rows; two are a line


@dataclass(frozen=True)
class Subject:
    """A network and the N rows whose features are drawn.

    Parameters
    ----------
    member
        The network.
    samples
        The rows, ``paths`` in the order in which it takes the modalities.
    targets
        Class index of each, shape (N,).
    """

    member: Member
    samples: Samples
    targets: Indices


@dataclass(frozen=True)
class FeaturePlan:
    """What `comptool.inference.features.draw_features` does.

    Parameters
    ----------
    subjects
        One panel each.
    classes
        The K classes, the same for all networks.
    highlighted
        Indices of those that stand out.
    output
        The picture; :attr:`table` is beside it.
    force
        Whether both may be replaced.
    notes
        What to know of the runs, one sentence each.
    """

    subjects: tuple[Subject, ...]
    classes: tuple[str, ...]
    highlighted: frozenset[int]
    output: Path
    force: bool
    notes: tuple[str, ...]

    @property
    def table(self) -> Path:
        """Where the points go."""
        return self.output.with_suffix(".csv")

    @property
    def inputs(self) -> list[Path]:
        """The files that the picture is made of, images aside."""
        files = [(one.samples.source, one.member.folder / BEST) for one in self.subjects]
        return list(dict.fromkeys(path for pair in files for path in pair))

    def __str__(self) -> str:
        told = [
            f"{one.member.folder}: {len(one.targets)} rows of {one.samples.source}"
            for one in self.subjects
        ]
        return "\n".join([*told, *(f"warning: {note}" for note in self.notes)])


def make_feature_plan(
    names: Sequence[str],
    *,
    output: Path,
    table: Path | None,
    highlight: Sequence[str],
    per_class: int,
    seed: int,
    competition: Path | None = None,
    force: bool = False,
) -> FeaturePlan:
    """Find runs and rows, draw some of each class, and check that they belong together.

    Parameters
    ----------
    names
        Names or folders of runs; none means the newest. Of a folded run each network is a subject.
    output
        The picture, a PNG file.
    table
        A labelled table; None: each network's validated rows.
    highlight
        Names of classes that stand out, see `comptool.classes.named_classes`.
    per_class
        Rows of each class, at most. The same are drawn for all networks that have the same rows.
    seed
        Of that draw.
    competition
        File of the competition's facts; None means the conventional one, else detection.
    force
        Whether outputs may be replaced.

    Raises
    ------
    UsageError
        If rows may have several classes, no class has a name that is highlighted, or the output is
        no PNG file.
    InputError
        If a run or its rows cannot be had, the runs differ in task or classes from one another or
        from the competition, or an output cannot be written.
    """
    if output.suffix != ".png":
        raise UsageError(f"--output is '{output}'; the picture is a .png, its points a .csv beside")
    for path in (output, output.with_suffix(".csv")):
        refuse_existing(path, force)
    runs = tuple(dict.fromkeys(find_run(name) for name in names)) or (find_run(),)
    notes = [note for run in runs if (note := check_finished(run))]
    networks = read_members(runs)
    check_alike(
        networks, ("task", "classes"), "they are not drawn side by side", "Draw each by itself"
    )
    header = networks[0].header
    if header["task"] == "multilabel":
        raise UsageError("features are drawn by the class of each row, and here it has several")
    classes = tuple(header["classes"])
    highlighted = frozenset(named_classes(highlight, classes))
    facts = competitions.load(competition)
    subjects = []
    for member in networks:
        check_competition(member, facts)
        if table is None and member.header.get("leak"):
            notes.append(f"{member.folder} may have been trained on these: {member.header['leak']}")
        subjects.append(_subject(member, facts, table, per_class, seed))
    return FeaturePlan(tuple(subjects), classes, highlighted, output, force, tuple(notes))


def _subject(
    member: Member, competition: Competition, table: Path | None, per_class: int, seed: int
) -> Subject:
    if table is None:
        samples = held_out(member, competition)
    else:
        given = read_samples(table, competition, labelled=True)
        samples = in_model_order(given, member.header)
    targets = label_indices(samples, member.header["classes"])
    ids = samples.frame[samples.id].to_numpy(dtype=np.str_)
    places = draw_rows(ids, targets, per_class, seed)
    if len(places) < LEAST:
        raise InputError(f"a projection needs {LEAST} rows or more", file=samples.source)
    frame = samples.frame.iloc[places].reset_index(drop=True)
    return Subject(member, replace(samples, frame=frame), targets[places])


def draw_rows(
    ids: npt.NDArray[np.str_], targets: Indices, per_class: int, seed: int
) -> npt.NDArray[np.intp]:
    """Places of rows drawn from each class, in the order of the table.

    Parameters
    ----------
    ids, targets
        Id and class index of N rows, shape (N,). The order of the rows does not matter: the same
        ids are drawn.
    per_class
        Of each class, at most.
    seed
        Of the draw.
    """
    order = np.argsort(ids, kind="stable")
    drawn = []
    for target in np.unique(targets):
        own = order[targets[order] == target]
        rng = np.random.default_rng([seed, int(target)])
        drawn.append(rng.permutation(own)[:per_class])
    return np.sort(np.concatenate(drawn))
