"""The ``review`` command: an out-of-fold file in, ``review.csv`` and its page out."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from comptool.competition.classes import left_out
from comptool.competition.config import Competition
from comptool.competition.samples import Samples
from comptool.errors import UsageError
from comptool.io import provenance
from comptool.io.atomic import together
from comptool.io.tables import write_table
from comptool.label_review.gallery import Gallery, write_gallery
from comptool.label_review.issues import KINDS, Doubts
from comptool.postprocess.oof import OutOfFold, networks_of, read_evidence

OTHER_TABLE = "Give the label table that the run was trained with: --labels FILE"


@dataclass(frozen=True)
class ReviewFiles:
    """What a review writes.

    Parameters
    ----------
    table
        The doubted labels, ranked.
    page
        The page of them.
    pairs
        The pairs of classes of the confident joint, or None.
    """

    table: Path
    page: Path
    pairs: Path | None = None

    def __iter__(self) -> Iterator[Path]:
        return (path for path in (self.table, self.page, self.pairs) if path is not None)


@dataclass(frozen=True)
class Reviewed:
    """A review that has been written.

    Parameters
    ----------
    doubts
        What was found.
    gallery
        What its page shows.
    num_rows
        N.
    notes
        What to know of the networks, one sentence each.
    """

    doubts: Doubts
    gallery: Gallery
    num_rows: int
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """What was found and how right it is."""
        lines = [*(f"warning: {note}" for note in self.notes), *self.doubts.lines]
        if self.gallery.without_image:
            lines.append(f"warning: no image of {len(self.gallery.without_image)} ids on the page")
        return "\n".join(lines)


def review_file(
    found: OutOfFold,
    competition: Competition,
    files: ReviewFiles,
    *,
    labels: Path | None = None,
    truth: Path | None = None,
    kinds: Collection[str] = KINDS,
    limit: int = 500,
    force: bool = False,
) -> Reviewed:
    """Rank the labels that the out-of-fold predictions doubt, and write them with a page.

    Parameters
    ----------
    found
        Out-of-fold predictions.
    competition
        Says what the columns are called.
    files
        Where it all goes.
    labels
        The label table; by default the one that the run was trained with.
    truth
        A table with the true labels, to measure the ranking by, or None.
    kinds
        See `comptool.label_review.issues.review`; of several labels per image alone.
    limit
        Cards on the page.
    force
        Whether outputs that exist are replaced.

    Raises
    ------
    UsageError
        If something is asked for that the task has not.
    InputError
        If the predictions are no evidence, no table has their rows, or the classes differ.
    """
    labelled, samples = read_evidence(
        found, competition, labels=labels, whole=False, mend=OTHER_TABLE
    )
    try:
        doubts: Doubts = competition.kind.step("review")(
            labelled, kinds, truth, label=competition.label, pairs=files.pairs is not None
        )
    except UsageError as error:
        raise UsageError(
            f"{error}, and '{competition.name}' has {competition.kind.has} (if that is wrong, "
            "correct 'task' in comptool.toml)"
        ) from error
    read = provenance.hashes(path for path in (found.path, samples.source, truth) if path)
    arguments = {"labels": labels, "truth": truth, "kinds": sorted(kinds), "limit": limit}
    with together():
        write_table(files.table, doubts.table, force=force)
        if files.pairs is not None and doubts.pairs is not None:
            write_table(files.pairs, doubts.pairs, force=force)
        gallery = write_gallery(
            files.page, doubts.cards, _images(samples), doubts.sheet,
            title=f"Label review: {competition.name}", limit=limit, force=force,
        )  # fmt: skip
        for path in files:
            provenance.record(path, command="review", arguments=arguments, inputs=read)
    networks = networks_of(found.path).items()
    notes = tuple(note for folder, header in networks if (note := left_out(folder, header)))
    return Reviewed(doubts, gallery, len(labelled), notes)


def _images(samples: Samples) -> dict[str, list[Path]]:
    columns = [samples.frame[column] for column in samples.paths.values()]
    return {
        name: [samples.folder / path for path in paths if path]
        for name, *paths in zip(samples.frame[samples.id], *columns, strict=True)
    }
