"""How many channels a network takes of each modality's images: ``--channels``; no torch."""

from __future__ import annotations

from comptool.data.files import ImageFiles, spread
from comptool.data.images import is_grey
from comptool.errors import UsageError
from comptool.runs import read_header
from comptool.training.plan import Member, Plan
from comptool.training.rows import Rows

GREY, COLOUR = 1, 3  # published weights are those of colour: grey chips are repeated
LOOKED_AT = 64  # images per modality


def channels_of(plan: Plan, member: Member) -> dict[str, int]:
    """The channels that a network is given, 1 or 3 by modality.

    A member that starts from another run takes those of that run, of which its weights are.

    Parameters
    ----------
    plan
        Where it leaves the choice to the images, some of all rows are looked at, so that the
        members of ``--fold all`` agree.
    member
        What is trained.

    Raises
    ------
    UsageError
        If other channels are asked for than those of the run that it starts from.
    InputError
        If an image is missing or damaged.
    """
    asked = plan.settings.channels
    if member.parent is not None:
        return _inherited(member, plan.modalities, asked)
    if asked == "auto":
        missing = "zero" if plan.settings.missing_modality == "zero" else "error"
        return {
            name: GREY if _all_grey(plan.rows, name, missing) else COLOUR
            for name in plan.modalities
        }
    return dict.fromkeys(plan.modalities, COLOUR if asked is None else int(asked))


def _inherited(member: Member, modalities: tuple[str, ...], asked: str | None) -> dict[str, int]:
    assert member.parent is not None
    theirs = {name: int(read_header(member.parent)["channels"][name]) for name in modalities}
    other = [name for name in modalities if asked in ("1", "3") and theirs[name] != int(asked)]
    if other:
        raise UsageError(
            f"--channels is {asked}, and {member.parent}, whose weights it starts from, takes "
            f"{theirs[other[0]]} of each {other[0]} image; leave --channels out"
        )
    return theirs


def _all_grey(rows: Rows, modality: str, missing: str) -> bool:
    looked_at = spread(len(rows.samples), LOOKED_AT)
    samples = rows.take(looked_at)
    files = ImageFiles(samples, missing)
    place = list(samples.paths).index(modality)
    images = (files.read(row, place) for row in range(len(looked_at)))
    return all(is_grey(image) for image in images if image is not None)
