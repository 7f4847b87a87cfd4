"""Plots: curves, confusion matrix, reliability diagram and scatter plots; sizes are in pixels."""

from __future__ import annotations

import colorsys
import unicodedata
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from comptool.errors import quoted
from comptool.io.atomic import atomic_output
from comptool.metrics.reliability import BINS, Reliability

OWN = "DejaVu Sans"  # comes with matplotlib
# Preferred fonts, legible and with whole scripts.
PREFERRED = ("notosanscjk", "notosanskr", "nanumgothic", "malgun", "applesdgothic", "notosans")
# Placeholder and colour fonts, which cannot be drawn.
USELESS = ("last resort", "lastresort", "color emoji", "adobe blank")


def shown(name: str) -> str:
    """A name as one line: NFC, a space for unprintable characters."""
    composed = unicodedata.normalize("NFC", name)
    return "".join(letter if letter.isprintable() else " " for letter in composed)


def families(names: Iterable[str]) -> list[str]:
    """Installed font families that together cover names, as far as possible."""
    return [OWN, *_chosen(_foreign(names))[0]]


def unwritable(names: Sequence[str]) -> str | None:
    """A warning about letters that no installed font has, or None."""
    missing = _chosen(_foreign(names))[1]
    if not missing:
        return None
    concerned = [name for name in names if missing & set(shown(name))]
    return (
        f"no installed font can write {quoted(sorted(missing))} in the pictures, as in "
        f"{quoted(concerned)}: boxes stand for them. Install a font that can, such as the package "
        "fonts-noto-cjk of Debian and Ubuntu"
    )


def _foreign(names: Iterable[str]) -> frozenset[str]:
    letters = frozenset("".join(map(shown, names)))
    if all(map(str.isascii, letters)):
        return frozenset()
    from matplotlib import font_manager

    return letters - _letters(font_manager.findfont(OWN))


@cache
def _chosen(letters: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Families that each add letters, and the letters that none has."""
    if not letters:
        return (), letters
    from matplotlib import font_manager

    found = []
    # matplotlib's cached list lacks newly installed fonts.
    for path in sorted(font_manager.findSystemFonts(), key=_rank):
        if letters & _letters(path):
            letters -= _letters(path)
            font_manager.fontManager.addfont(path)
            found.append(font_manager.get_font(path).family_name)
        if not letters:
            break
    return tuple(found), letters


@cache
def _letters(path: str) -> frozenset[str]:
    """Letters of a font; none if unreadable or not drawable."""
    from matplotlib import font_manager

    try:
        font = font_manager.get_font(path)
        if not font.scalable or any(one in font.family_name.lower() for one in USELESS):
            return frozenset()
        return frozenset(map(chr, font.get_charmap()))
    except (OSError, RuntimeError, ValueError):
        return frozenset()


def _rank(path: str) -> tuple[int, bool, str]:
    name = Path(path).stem.lower()
    places = [place for place, known in enumerate(PREFERRED) if known in name]
    return min(places, default=len(PREFERRED)), "bold" in name or "italic" in name, path


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

Colour = tuple[float, float, float]  # red, green, blue

DPI = 100
POINT = DPI / 72
SIZE, SMALL = 9.0, 8.0  # of letters, in points
LINE = 19  # pixels of a line of text
NAME = 260  # pixels that a name takes, at most
MOST_NAMED = 500  # classes beyond which their names are left out
GREY, PALE_GREY = "0.45", "0.8"
BLUE, RED = (30 / 255, 90 / 255, 160 / 255), (220 / 255, 60 / 255, 60 / 255)
PALE = 0.5  # share of white in the colours of other classes


def class_colours(number: int, highlighted: Collection[int] = ()) -> list[Colour]:
    """A hue for each class, every other one darker; paled where others are highlighted."""
    colours = []
    for index in range(number):
        value, saturation = (0.9, 0.85) if index % 2 == 0 else (0.6, 1.0)
        red, green, blue = colorsys.hsv_to_rgb(index / number, saturation, value)
        white = PALE if highlighted and index not in highlighted else 0.0
        colours.append(
            (white + (1 - white) * red, white + (1 - white) * green, white + (1 - white) * blue)
        )
    return colours


def save_picture(path: Path, figure: Figure, *, force: bool = False) -> None:
    """Write a picture as PNG, atomically and reproducibly.

    OutputExistsError if ``path`` exists and ``force`` is off, InputError if it cannot be written.
    """
    with atomic_output(path, force=force) as temporary, _style():
        figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})


@contextmanager
def _style(names: Iterable[str] = ()) -> Iterator[None]:
    """Plot style, independent of matplotlib's settings, with fonts for names."""
    import matplotlib

    settings: dict[Any, Any] = dict(matplotlib.rcParamsDefault)
    del settings["backend"]  # Its default is the choice of pyplot, which it imports.
    settings |= {"font.family": families(names), "font.size": SIZE, "text.parse_math": False}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # `unwritable` reports it once.
        warnings.filterwarnings("ignore", "Glyph ", UserWarning)
        yield


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure((width / DPI, height / DPI), dpi=DPI)


def _axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    across, down = (float(size) * DPI for size in figure.get_size_inches())
    return figure.add_axes(
        (left / across, 1 - (top + height) / down, width / across, height / down)
    )


def _fitted(
    names: Sequence[str], size: float = SIZE, most: float = NAME
) -> tuple[list[str], float]:
    """Names as drawn, long ones without their middle, and the width of the widest."""
    ruler = _figure(1, 1).text(0, 0, "", fontsize=size)

    def width(text: str) -> float:
        ruler.set_text(text)
        return float(ruler.get_window_extent().width)

    def fit(name: str) -> str:
        whole = width(name)
        if whole <= most:
            return name
        kept = int(len(name) * most / whole)
        while kept and width(_without_middle(name, kept)) > most:
            kept -= 1
        return _without_middle(name, kept)

    fitted = [fit(shown(name)) for name in names]
    return fitted, max(map(width, fitted))


def _without_middle(name: str, kept: int) -> str:
    return f"{name[: kept - kept // 2]}…{name[len(name) - kept // 2 :]}"


WIDTH, HEIGHT = 560, 220  # of a panel's axes
LEFT, RIGHT, HEAD, FOOT = 70, 30, 34, 44  # around them
EPOCHS = 10  # ticks across, at most
DOTTED = 60  # most epochs drawn with dots


@dataclass(frozen=True)
class Curves:
    """Lines by name, one value or None for each of E epochs; ``level`` is a reference value."""

    title: str
    series: Mapping[str, Sequence[float | None]]
    level: float | None = None


def draw_curves(panels: Sequence[Curves]) -> Figure:
    """Panels of E epochs below one another; a name has one colour in all of them."""
    from matplotlib.lines import Line2D

    names = list(dict.fromkeys(name for panel in panels for name in panel.series))
    colours = dict(zip(names, class_colours(len(names)), strict=True))
    with _style(names):
        keys = [Line2D([], [], color=colours[name], marker="o", markersize=4) for name in names]
        each = HEAD + HEIGHT + FOOT
        figure = _above_legend(LEFT + WIDTH + RIGHT, each * len(panels), keys, names)
        for place, panel in enumerate(panels):
            axes = _axes(figure, LEFT, each * place + HEAD, WIDTH, HEIGHT)
            _draw_curves_panel(axes, panel, colours)
    return figure


def _draw_curves_panel(axes: Axes, panel: Curves, colours: Mapping[str, Colour]) -> None:
    from matplotlib.ticker import MaxNLocator

    epochs = max(len(line) for line in panel.series.values())
    dots = "o" if epochs <= DOTTED else ""
    if panel.level is not None:
        axes.axhline(panel.level, color=PALE_GREY, linewidth=1)
    for name, line in panel.series.items():
        values = [np.nan if value is None else value for value in line]
        across = np.arange(1, len(line) + 1)
        axes.plot(across, values, color=colours[name], marker=dots, markersize=4)
    values = [value for line in panel.series.values() for value in line if value is not None]
    lowest, highest = min([0.0, *values]), max([0.0, panel.level or 0.0, *values])
    height = highest - lowest or 1.0
    axes.set_ylim(lowest - 0.03 * height, lowest + 1.06 * height)
    room = min(0.02 * (epochs - 1), 0.9) or 0.5
    axes.set_xlim(1 - room, epochs + room)
    axes.xaxis.set_major_locator(MaxNLocator(EPOCHS, integer=True, min_n_ticks=1))
    axes.set_title(panel.title, loc="left", fontsize=SIZE + 1)
    axes.set_xlabel("epoch")


def _above_legend(
    width: float, height: float, keys: Sequence[Line2D], names: Sequence[str]
) -> Figure:
    em = SIZE * POINT
    drawn, most = _fitted(names)
    columns = max(1, int((width - 2 * em) // (most + 4 * em)))
    figure = _figure(width, height)
    legend = figure.legend(
        keys, drawn, ncols=columns, loc="lower left", bbox_to_anchor=(0, 0),
        frameon=False, handlelength=1.5, handletextpad=0.6, columnspacing=1.9, borderaxespad=0.4,
    )  # fmt: skip
    below = legend.get_window_extent().height + em
    figure.set_size_inches(width / DPI, (height + below) / DPI)
    return figure


CELLS = {5: 80, 25: 44, 60: 20, MOST_NAMED: 14}  # pixels of a cell by the number of classes
MOST_NUMBERED = 25  # classes beyond which cells are too small for their numbers
LONGEST = 6000  # pixels of a side of very many classes
BAR, LOWEST_BAR, GAP = 14, 160, 24  # of the scale of shades, and between it and the matrix
GUIDES = 5  # classes between two lines across a matrix without numbers


def draw_confusion(confusion: npt.NDArray[np.number], classes: Sequence[str]) -> Figure:
    """The confusion matrix: true classes down, answers across."""
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    num_classes = len(classes)
    cell = next((size for most, size in CELLS.items() if num_classes <= most), 0)
    side = cell * num_classes or max(1, LONGEST // num_classes) * num_classes
    size = SIZE if cell > 14 else SMALL
    with _style(classes):
        names, widest = _fitted(classes, size) if cell else ([], LINE)
        around = 2 * LINE + 12 + widest
        figure = _figure(
            around + side + GAP + BAR + 4 * LINE, LINE + max(side + around, LOWEST_BAR + LINE)
        )
        axes = _axes(figure, around, LINE, side, side)
        shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
        shades = LinearSegmentedColormap.from_list("shares", [(1, 1, 1), BLUE])
        # Makes small shares visible without numbers.
        scale = PowerNorm(1 if num_classes <= MOST_NUMBERED else 0.5, 0, 1)
        image = axes.imshow(shares, cmap=shades, norm=scale, aspect="auto", interpolation="nearest")
        axes.set_xlabel("answer")
        axes.set_ylabel("true class")
        if cell:
            axes.set_xticks(range(num_classes), names, rotation=90, fontsize=size)
            axes.set_yticks(range(num_classes), names, fontsize=size)
        if num_classes <= MOST_NUMBERED:
            _write_numbers(axes, confusion, shares)
        elif cell:
            guides = np.arange(GUIDES, num_classes, GUIDES) - 0.5
            axes.hlines(guides, -0.5, num_classes - 0.5, color=PALE_GREY, linewidth=0.5)
            axes.vlines(guides, -0.5, num_classes - 0.5, color=PALE_GREY, linewidth=0.5)
        bar = _axes(figure, around + side + GAP, LINE, BAR, np.clip(side, LOWEST_BAR, 400))
        figure.colorbar(image, cax=bar, label="share of the true class")
    return figure


def _write_numbers(
    axes: Axes, confusion: npt.NDArray[np.number], shares: npt.NDArray[np.floating]
) -> None:
    for row, column in np.argwhere(confusion):
        axes.text(
            column, row, _short(int(confusion[row, column])), fontsize=8, ha="center",
            va="center_baseline", color="white" if shares[row, column] > 0.6 else "black",
        )  # fmt: skip


def _short(number: int) -> str:
    if number < 100_000:
        return str(number)
    return f"{number / 1e3:.0f}k" if number < 1_000_000 else f"{number / 1e6:.1f}M"


SIDE, MARGIN = 480, 70  # of the reliability diagram


def draw_reliability(found: Reliability, error: float) -> Figure:
    """The reliability diagram: mean accuracy of each bin of confidence, with the diagonal."""
    with _style():
        figure = _figure(SIDE + 2 * MARGIN, SIDE + 2 * MARGIN)
        axes = _axes(figure, MARGIN, MARGIN, SIDE, SIDE)
        (bins,) = np.nonzero(found.number > 0)
        left, right = bins / BINS, (bins + 1) / BINS
        axes.bar(
            left, found.accuracy[bins], 1 / BINS, align="edge", color=BLUE, edgecolor="white",
            label="share that is right",
        )  # fmt: skip
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, label="as promised")
        axes.hlines(
            found.confidence[bins], left, right, color=RED, linewidth=2.5, label="mean confidence"
        )
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy")
        axes.set_title(f"reliability: ECE {error:.4f}, {BINS} bins", loc="left", fontsize=SIZE + 1)
        axes.legend(loc="upper left")
    return figure


def draw_numbers(
    targets: npt.NDArray[np.floating], predicted: npt.NDArray[np.floating], names: Sequence[str]
) -> Figure:
    """Predicted numbers (N, T) against the true ones, a panel for each of T, with the diagonal."""
    with _style(names):
        side = SIDE + 2 * MARGIN
        figure = _figure(side * len(names), side)
        for place, name in enumerate(names):
            axes = _axes(figure, place * side + MARGIN, MARGIN, SIDE, SIDE)
            truth, found = targets[:, place], predicted[:, place]
            ends = [min(truth.min(), found.min()), max(truth.max(), found.max())]
            axes.plot(ends, ends, color=GREY, linewidth=1)
            axes.scatter(truth, found, s=RADIUS**2, color=BLUE, alpha=OPACITY, linewidths=0)
            axes.set(xlabel="true", ylabel="predicted")
            axes.set_title(shown(name), loc="left", fontsize=SIZE + 1)
    return figure


SCATTER_SIDE, SCATTER_HEAD, SCATTER_GAP = 400, 48, 16  # of a panel: its square, above, around it
ACROSS = 4  # panels in a row
# A single panel of many classes is larger, for its legend.
LARGE, MANY = 1000, 30
RADIUS = 3.0  # of a point, in pixels
OPACITY = 0.75  # so that points below others are seen
# Markers tell many classes apart: their hues are too similar.
MARKERS, MOST_DOTS = "os^dv<P>X*", 20


@dataclass(frozen=True)
class Panel:
    """A scatter plot with its own scale: points (N, 2) with their class indices (N,)."""

    title: str
    subtitle: str
    points: npt.NDArray[np.floating]
    targets: npt.NDArray[np.integer]


@dataclass(frozen=True)
class _Mark:
    colour: Colour
    marker: str
    radius: float


def draw_scatter(
    panels: Sequence[Panel], classes: Sequence[str], highlighted: Collection[int] = ()
) -> Figure:
    """Scatter plots, four in a row, with a legend of the K classes; ``highlighted`` are indices."""
    from matplotlib.lines import Line2D

    shapes = MARKERS if len(classes) > MOST_DOTS else "o"
    marks = [
        _Mark(colour, shapes[index % len(shapes)], RADIUS * (1.5 if index in highlighted else 1))
        for index, colour in enumerate(class_colours(len(classes), highlighted))
    ]
    across = min(len(panels), ACROSS)
    side = LARGE if len(panels) == 1 and len(classes) > MANY else SCATTER_SIDE
    with _style([*classes, *(panel.title for panel in panels)]):
        keys = [
            Line2D([], [], color=mark.colour, marker=mark.marker, markersize=5, linestyle="")
            for mark in marks
        ]
        names = list(classes)
        if len(classes) > MOST_NAMED:
            keys, names = keys[:1], [f"{len(classes)} classes, too many to be named"]
        each = SCATTER_HEAD + side + SCATTER_GAP
        figure = _above_legend(
            SCATTER_GAP + across * (side + SCATTER_GAP),
            -(-len(panels) // across) * each,
            keys,
            names,
        )
        for number, panel in enumerate(panels):
            row, column = divmod(number, across)
            left = SCATTER_GAP + column * (side + SCATTER_GAP)
            axes = _axes(figure, left, SCATTER_HEAD + row * each, side, side)
            _draw_scatter_panel(axes, panel, marks, side)
    return figure


def _draw_scatter_panel(axes: Axes, panel: Panel, marks: Sequence[_Mark], side: float) -> None:
    from matplotlib.collections import PathCollection
    from matplotlib.markers import MarkerStyle
    from matplotlib.transforms import IdentityTransform

    # Shuffled, so that no class covers another; highlighted classes last.
    order = np.random.default_rng(0).permutation(len(panel.points))
    radii = np.array([marks[target].radius for target in panel.targets])
    order = order[np.argsort(radii[order], kind="stable")]
    drawn = [marks[target] for target in panel.targets[order]]
    outlines = {mark.marker: MarkerStyle(mark.marker) for mark in drawn}
    paths = {
        name: outline.get_path().transformed(outline.get_transform())
        for name, outline in outlines.items()
    }
    low, high = panel.points.min(axis=0), panel.points.max(axis=0)
    centred = (panel.points - (low + high) / 2) / max(float(np.max(high - low)), 1e-30)
    points = PathCollection(
        [paths[mark.marker] for mark in drawn],
        sizes=[(2 * mark.radius / POINT) ** 2 for mark in drawn],
        offsets=centred[order], offset_transform=axes.transData,
        facecolors=[(*mark.colour, OPACITY) for mark in drawn], linewidths=0,
    )  # fmt: skip
    points.set_transform(IdentityTransform())
    axes.add_collection(points)
    half = 0.5 * side / (side - 6 * RADIUS)
    axes.set(xlim=(-half, half), ylim=(-half, half), xticks=[], yticks=[])
    axes.spines[:].set_color(PALE_GREY)
    lines, _ = _fitted([panel.title, panel.subtitle], most=side)
    axes.set_title("\n".join(lines), loc="left", fontsize=SIZE)
