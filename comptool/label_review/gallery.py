"""The `review` command and its page, where doubtful labels are ticked and exported as corrections.

The page is one HTML file with its images (data URIs), style and script; its security policy forbids
it to load anything. Label tools need a server.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from comptool.competition.classes import left_out
from comptool.competition.config import Competition
from comptool.competition.samples import Samples, read_samples
from comptool.data.image_io import COLOUR, GREY, ImagePart, ImageSource, read_pixels, source_of
from comptool.errors import InputError, UsageError
from comptool.io import provenance
from comptool.io.atomic import atomic_output, together
from comptool.io.tables import write_table
from comptool.label_review.issues import KINDS, Card, Doubts, Sheet
from comptool.postprocess.oof import OutOfFold, networks_of, read_evidence

QUALITY = 80


def data_uri(image: Path | ImageSource, size: int) -> str | None:
    """The image as a JPEG data URI, or None if it is not readable."""
    pixels = _shown(image)
    if pixels is None:
        return None
    height, width = pixels.shape[:2]
    scale, smaller = size / max(height, width), pixels
    if scale < 1:
        shape = max(1, round(width * scale)), max(1, round(height * scale))
        smaller = np.asarray(cv2.resize(pixels, shape, interpolation=cv2.INTER_AREA), np.uint8)
    _, encoded = cv2.imencode(".jpg", smaller, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def _shown(image: Path | ImageSource) -> npt.NDArray[np.uint8] | None:
    """The pixels as BGR bytes, (H, W, 3) or (H, W); None for an unreadable image.

    Of more channels the first three are shown, and of two the first. Pixels that are no bytes are
    stretched to the range of each image.
    """
    source = image if isinstance(image, ImageSource) else ImageSource((ImagePart(image),))
    try:
        pixels = read_pixels(source)
    except InputError:
        return _damaged(source)
    colours = pixels[:, :, : COLOUR if pixels.shape[2] >= COLOUR else GREY]
    if colours.dtype != np.uint8:
        known = np.nan_to_num(colours.astype(np.float32), posinf=0, neginf=0)
        low = min(float(known.min()), 0.0)
        known = (known - low) * (255 / max(float(known.max()) - low, 1e-9))
        colours = np.asarray(known, np.uint8)
    return np.ascontiguousarray(colours[:, :, ::-1], np.uint8)


def _damaged(source: ImageSource) -> npt.NDArray[np.uint8] | None:
    """What OpenCV makes of a damaged file: half of an image is better than none."""
    try:
        content = np.frombuffer(source.parts[0].path.read_bytes(), dtype=np.uint8)
    except OSError:
        return None
    found = None
    if len(source.parts) == 1 and not source.parts[0].member and content.size:
        with suppress(cv2.error):
            found = cv2.imdecode(content, cv2.IMREAD_COLOR)
    return None if found is None else np.asarray(found, np.uint8)


THUMBNAIL = 192
# Images of a card; a bag may have hundreds.
MOST_IMAGES = 6


@dataclass(frozen=True)
class Gallery:
    """Content of a page."""

    cards: int  # cards on the page
    # ids of cards without a readable image
    without_image: tuple[str, ...]


def write_gallery(
    path: Path,
    cards: Sequence[Card],
    images: Mapping[str, Sequence[Path | ImageSource]],
    sheet: Sheet,
    *,
    title: str = "Label review",
    limit: int = 500,
    force: bool = False,
) -> Gallery:
    """Write the page."""
    shown = cards[:limit]
    with atomic_output(path, force=force) as temporary:
        thumbnails = {
            name: [
                uri
                for image in images.get(name, ())[:MOST_IMAGES]
                if (uri := data_uri(image, THUMBNAIL))
            ]
            for name in dict.fromkeys(card.id for card in shown)
        }
        more = {name: max(0, len(images.get(name, ())) - MOST_IMAGES) for name in thumbnails}
        text = page(shown, thumbnails, sheet, title, len(cards), more)
        temporary.write_text(text, encoding="utf-8")
    bare = tuple(name for name, uris in thumbnails.items() if not uris)
    return Gallery(cards=len(shown), without_image=bare)


def page(
    shown: Sequence[Card],
    thumbnails: Mapping[str, Sequence[str]],
    sheet: Sheet,
    title: str,
    total: int,
    more: Mapping[str, int],
) -> str:
    """The page as HTML; ``more`` is the number of images of a card that are not shown."""
    from jinja2 import Environment, StrictUndefined

    text = resources.files("comptool.label_review").joinpath("gallery.html").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    of_class, kind = sheet.filters
    return environment.from_string(text).render(
        title=title,
        # Ticks are stored by position, so they depend on the order of the cards.
        digest=hashlib.sha256(repr((shown, thumbnails)).encode()).hexdigest()[:16],
        first="All" if len(shown) == total else f"The first {len(shown)} of",
        total=total,
        sheet=sheet,
        filters=[
            ("class", of_class, Counter(card.of_class for card in shown)),
            ("kind", kind, Counter(card.kind for card in shown)),
        ],
        cards=shown,
        thumbnails=thumbnails,
        more=more,
    )


OTHER_TABLE = "Give the label table that the run was trained with: --labels FILE"


@dataclass(frozen=True)
class ReviewFiles:
    """Output files: ranked labels, their page, and optionally the pairs of the confident joint."""

    table: Path
    page: Path
    pairs: Path | None = None

    def __iter__(self) -> Iterator[Path]:
        return (path for path in (self.table, self.page, self.pairs) if path is not None)


@dataclass(frozen=True)
class Reviewed:
    """A written review."""

    doubts: Doubts
    gallery: Gallery
    num_rows: int  # N
    notes: tuple[str, ...] = ()  # on the networks, one sentence each

    def text(self) -> str:
        """The findings and their precision."""
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
    """Rank the doubtful labels by out-of-fold predictions, and write them with a page.

    ``labels`` is the label table, by default that of the run; ``truth`` a table with the true
    labels, to measure the ranking. ``kinds`` of doubts are for several labels per image only, and
    ``limit`` is the number of cards on the page.

    Raises
    ------
    UsageError
        If an option does not fit the task.
    InputError
        If the predictions are not evidence, no table has their rows, or the classes differ.
    """
    _check_options(competition, files, kinds)
    labelled, samples = read_evidence(
        found, competition, labels=labels, whole=False, mend=OTHER_TABLE
    )
    doubts: Doubts = competition.kind.step("review")(
        labelled, kinds, truth, label=competition.label
    )
    read = provenance.hashes(path for path in (found.path, samples.source, truth) if path)
    arguments = {"labels": labels, "truth": truth, "kinds": sorted(kinds), "limit": limit}
    with together():
        write_table(files.table, doubts.table, force=force)
        if files.pairs is not None and doubts.pairs is not None:
            write_table(files.pairs, doubts.pairs, force=force)
        gallery = write_gallery(
            files.page, doubts.cards, _images(samples, competition), doubts.sheet,
            title=f"Label review: {competition.name}", limit=limit, force=force,
        )  # fmt: skip
        for path in files:
            provenance.record(path, command="review", arguments=arguments, inputs=read)
    networks = networks_of(found.path).items()
    notes = tuple(note for folder, header in networks if (note := left_out(folder, header)))
    return Reviewed(doubts, gallery, len(labelled), notes)


def _check_options(competition: Competition, files: ReviewFiles, kinds: Collection[str]) -> None:
    task, refused = competition.kind, ""
    if task.cells and files.pairs is not None:
        refused = "--pairs is for one class per image"
    if not task.cells and set(kinds) != set(KINDS):
        refused = "--kind is for several labels per image"
    if refused:
        raise UsageError(
            f"{refused}, and '{competition.name}' has {task.has} (if that is wrong, correct 'task' "
            "in comptool.toml)"
        )


def _images(samples: Samples, competition: Competition) -> dict[str, list[ImageSource]]:
    """The images of each sample, or of each bag."""
    if samples.bag is not None:
        # Of evidence by bags a row of each was kept, with its first image.
        every = read_samples(samples.source, competition, labelled=True)
        if set(samples.frame[samples.id]) <= set(every.frame[samples.bag]):
            samples = replace(every, id=samples.bag)
    columns = [samples.frame[column] for column in samples.paths.values()]
    found: dict[str, list[ImageSource]] = {}
    for name, *paths in zip(samples.frame[samples.id], *columns, strict=True):
        sources = [source_of(samples.folder, path, samples.reader) for path in paths if path]
        found.setdefault(name, []).extend(sources)
    return found
