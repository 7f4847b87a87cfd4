"""Trained networks by what their checkpoints say: which agree, and which rows they held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from comptool.classes import against, competition_classes, left_out, listed
from comptool.competition import Competition
from comptool.errors import InputError
from comptool.evaluation.held_out import FOLDS, labelled_rows, no_table
from comptool.runs import OOF, members, read_header
from comptool.samples import Samples
from comptool.tables import read_table


@dataclass(frozen=True)
class Member:
    """One trained network: its folder and what its checkpoint says of itself."""

    folder: Path
    header: dict[str, Any]


def read_members(runs: Sequence[Path]) -> tuple[Member, ...]:
    """The networks of the runs, those of a folded run in the order of its folds.

    Raises
    ------
    InputError
        If a checkpoint cannot be read.
    """
    return tuple(Member(folder, read_header(folder)) for run in runs for folder in members(run))


def check_alike(
    networks: Sequence[Member], keys: Sequence[str], consequence: str, mend: str
) -> None:
    """Check that the headers of networks agree.

    Parameters
    ----------
    networks
        One or more.
    keys
        In what: ``task``, ``classes``, ``modalities``.
    consequence, mend
        What cannot be done where they do not, and what to do about it.

    Raises
    ------
    InputError
        Naming the first network that differs from the first of all, and in what.
    """
    first = networks[0]
    for other in networks[1:]:
        for key in keys:
            if other.header[key] != first.header[key]:
                raise InputError(
                    f"its {key} are not those of {first.folder}, and {consequence}: "
                    f"{_differing(other.header[key], first.header[key])}",
                    file=other.folder,
                    mend=mend,
                )


def check_competition(member: Member, competition: Competition) -> None:
    """Check that a network was trained for this competition.

    Raises
    ------
    InputError
        If the competition lacks a modality that it takes, or task or classes are others.
    """
    header = member.header
    lacking = [name for name in header["modalities"] if name not in competition.modalities]
    if lacking:
        raise InputError(
            f"this run takes the modalities {listed(header['modalities'])}, and the competition "
            f"has {listed(list(competition.modalities))}",
            file=member.folder,
            mend="Correct [modalities] in comptool.toml",
        )
    wanted = {"task": competition.task, "classes": competition_classes(competition)}
    for key, value in wanted.items():
        if value is not None and _listing(value) != _listing(header[key]):
            raise InputError(
                f"this run was trained for another competition; its {key} against the "
                f"competition's: {_differing(header[key], value)}",
                file=member.folder,
                mend="Name another run, or correct comptool.toml",
            )


def in_model_order(samples: Samples, header: dict[str, Any]) -> Samples:
    """``samples`` with the modalities that a checkpoint names, in its order."""
    return replace(samples, paths={name: samples.paths[name] for name in header["modalities"]})


def held_out(member: Member, competition: Competition) -> Samples:
    """The samples that a member has validated on, from the table that it was trained with.

    Raises
    ------
    InputError
        If it held nothing out, or no table here has all of those samples.
    """
    oof = member.folder / OOF
    if not oof.exists():
        raise InputError("this run held no rows out", file=member.folder)
    ids = read_table(oof).iloc[:, 0].tolist()
    recorded = [Path(text) for text in member.header.get("inputs", {})]
    samples = labelled_rows(ids, [*recorded, FOLDS], competition)
    if samples is None:
        raise no_table(ids, oof, recorded, competition)
    return in_model_order(samples, member.header)


def without_classes(networks: Sequence[Member]) -> list[str]:
    """A sentence for each network that was trained without some of its classes."""
    told = (left_out(member.folder, member.header) for member in networks)
    return [sentence for sentence in told if sentence]


def _listing(value: str | Sequence[str]) -> str | list[str]:
    return value if isinstance(value, str) else list(value)


def _differing(one: str | Sequence[str], other: str | Sequence[str]) -> str:
    if isinstance(one, str) or isinstance(other, str):
        return f"{one} against {other}"
    return against(one, other)
