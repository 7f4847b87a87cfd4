"""Pictures: which colour stands where, and that what is written can be read."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from comptool.errors import OutputExistsError
from comptool.metrics.reliability import BINS, Reliability
from comptool.reports.plots import (
    BLUE,
    PALE_GREY,
    RED,
    Curves,
    Panel,
    class_colours,
    draw_confusion,
    draw_curves,
    draw_reliability,
    draw_scatter,
    save_picture,
)

WHITE, BLACK = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
LONG = "Éléphants_of_a_very_long_taxonomic_name_with_$x_2$_and_^more_{}_at_the_end"


def pixels(figure):
    """The picture, of shape (H, W, 3), red first, 0 to 1."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3] / 255


def square(figure, axes, x, y, half=0):
    """The pixels around a place in the data of axes."""
    picture = pixels(figure)
    across, up = (round(float(place)) for place in axes.transData.transform((x, y)))
    down = len(picture) - 1 - up
    return picture[down - half : down + half + 1, across - half : across + half + 1]


def has(figure, axes, x, y, colour, half=1):
    """Whether a colour is at a place, or a pixel or two from it."""
    around = square(figure, axes, x, y, half)
    return bool((np.abs(around - colour).max(axis=2) < 0.02).any())


def texts(figure):
    """What is written, with the box of each text in pixels."""
    with patch.object(Text, "draw", autospec=True, side_effect=Text.draw) as drawing:
        pixels(figure)
    drawn = {call.args[0] for call in drawing.call_args_list}
    return [
        (text.get_text(), text.get_window_extent().extents)
        for text in drawn if text.get_visible() and text.get_text()
    ]  # fmt: skip


def check_legible(figure):
    """No text overlaps another, leaves the picture or is tiny; what is written."""
    width, height = figure.get_size_inches() * figure.dpi
    found = texts(figure)
    boxes = np.array([box for _, box in found])
    inside = (boxes >= 0).all(axis=1) & (boxes[:, 2] <= width) & (boxes[:, 3] <= height)
    assert inside.all(), found[int(inside.argmin())]
    left, low, right, high = boxes.T
    across = np.minimum.outer(right, right) - np.maximum.outer(left, left)
    up = np.minimum.outer(high, high) - np.maximum.outer(low, low)
    # The box of a text has some room above small letters.
    overlap = (across > 1) & (up > 1) & ~np.eye(len(boxes), dtype=bool)
    assert not overlap.any(), [found[one] for one in np.argwhere(overlap)[0]]
    assert np.minimum(right - left, high - low).min() >= 4
    assert np.maximum(right - left, high - low).min() >= 7
    return [text for text, _ in found]


def names(number, kind):
    """Names of classes, all different."""
    patterns = {"short": "c{}", "korean": "{}호 컨테이너 운반선", "long": LONG}
    return [patterns[kind].format(index) for index in range(number)]


KINDS = pytest.mark.parametrize("kind", ["short", "korean", "long"])
CLASSES = pytest.mark.parametrize(
    ("number", "kind"),
    [(2, "short"), (5, "long"), (25, "korean"), (26, "long"), (45, "korean"), (61, "long"),
     (400, "korean")],
)  # fmt: skip


class TestCurves:
    def test_a_line_goes_through_its_values_in_a_colour_of_its_own(self):
        figure = draw_curves([Curves("norms", {"sar": [1.0, 1.0, 1.0], "eo": [4.0, 2.0, 4.0]})])
        (axes,) = figure.axes
        sar, eo = class_colours(2)
        assert all(has(figure, axes, epoch, 1, sar) for epoch in (1, 1.5, 2.5, 3))
        assert has(figure, axes, 2, 2, eo) and has(figure, axes, 1.5, 3, eo)
        assert (square(figure, axes, 1.5, 2, 3) == 1).all()

    def test_a_name_has_one_colour_in_all_panels_and_one_place_in_the_legend(self):
        first = Curves("a", {"sar": [1.0, 1.0], "eo": [2.0, 2.0]})
        second = Curves("b", {"eo": [1.0, 1.0], "more": [4.0, 4.0]})
        figure = draw_curves([first, second])
        assert has(figure, figure.axes[1], 1.5, 1, class_colours(3)[1])
        assert [axes.get_title("left") for axes in figure.axes] == ["a", "b"]
        written = [text for text, _ in texts(figure)]
        assert [written.count(name) for name in ("sar", "eo", "more")] == [1, 1, 1]
        alone = draw_curves([second])
        assert has(alone, alone.axes[0], 1.5, 1, class_colours(2)[0])

    def test_a_missing_value_leaves_a_gap(self):
        figure = draw_curves([Curves("norms", {"sar": [1.0, 1.0, None, 1.0, 2.0]})])
        (axes,) = figure.axes
        (sar,) = class_colours(1)
        found = [has(figure, axes, epoch, 1, sar) for epoch in (1.5, 2.5, 3, 3.5)]
        assert found == [True, False, False, False]

    def test_a_level_is_drawn_across(self):
        figure = draw_curves([Curves("ratios", {"sar": [2.0, 2.0]}, 1.0)])
        assert has(figure, figure.axes[0], 1.5, 1, to_rgb(PALE_GREY))

    @pytest.mark.parametrize("line", [[0.7], [None, None], [-0.3, 0.2], [0.0, 0.0], [1e-12] * 99])
    def test_any_history_can_be_drawn(self, line):
        figure = draw_curves([Curves("weights", {"joint head": line})])
        check_legible(figure)
        epochs = figure.axes[0].get_xlim()
        assert 0 < epochs[0] < 1 and len(line) < epochs[1] < len(line) + 1
        shown = [float(tick) for tick in figure.axes[0].get_xticks() if tick > epochs[0]]
        assert all(tick == int(tick) for tick in shown)

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.floats(-1e6, 1e6) | st.none(), min_size=1, max_size=9))
    def test_the_axis_has_all_values_and_zero(self, line):
        figure = draw_curves([Curves("norms", {"sar": line})])
        low, high = figure.axes[0].get_ylim()
        assert low < min([0, *(value for value in line if value is not None)])
        assert high > max([0, *(value for value in line if value is not None)])

    @KINDS
    def test_many_long_names_are_legible(self, kind):
        lines = {name: [1.0, 2.0] for name in names(12, kind)}
        check_legible(draw_curves([Curves("a", lines), Curves("b", lines)]))


class TestConfusion:
    def test_a_cell_is_the_darker_the_larger_its_share_of_the_true_class(self):
        figure = draw_confusion(np.array([[30.0, 10.0], [0.0, 0.0]]), ["ship", "a tank"])
        axes = figure.axes[0]
        for column, share in enumerate((0.75, 0.25)):
            expected = 1 + share * (np.array(BLUE) - 1)
            assert has(figure, axes, column - 0.4, -0.4, expected)
            assert has(figure, axes, column - 0.4, 0.6, WHITE)  # a class without rows
        written = {text.get_text(): text.get_color() for text in axes.texts}
        assert written == {"30": "white", "10": "black"}
        assert [label.get_text() for label in axes.get_yticklabels()] == ["ship", "a tank"]
        assert [label.get_text() for label in axes.get_xticklabels()] == ["ship", "a tank"]
        assert (axes.get_ylabel(), axes.get_xlabel()) == ("true class", "answer")

    def test_many_classes_have_cells_without_numbers(self):
        confusion = np.full((40, 40), 7.0)
        figure = draw_confusion(confusion, names(40, "short"))
        assert list(figure.axes[0].texts) == []
        shades = [square(figure, figure.axes[0], *place)[0, 0] for place in ((0, 0), (39, 7))]
        np.testing.assert_array_equal(*shades)
        assert (shades[0] < 1).any()

    def test_a_confusion_among_many_classes_is_seen_although_it_is_rare(self):
        confusion = np.diag(np.full(45, 99.0))
        confusion[3, 8] = 1
        figure = draw_confusion(confusion, names(45, "short"))
        assert square(figure, figure.axes[0], 8, 3).min() < 0.95
        assert square(figure, figure.axes[0], 3, 8).min() == 1

    @CLASSES
    def test_names_are_legible(self, number, kind):
        confusion = np.eye(number) * 123456789 + 99999
        classes = names(number, kind)
        figure = draw_confusion(confusion, classes)
        check_legible(figure)
        shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        assert len(set(shown)) == number
        assert kind == "long" or shown == classes
        limits = figure.axes[0].get_xlim(), figure.axes[0].get_ylim()
        assert limits == ((-0.5, number - 0.5), (number - 0.5, -0.5))

    def test_of_very_many_classes_the_names_are_left_out(self):
        figure = draw_confusion(np.eye(700), names(700, "long"))
        assert max(figure.get_size_inches()) * figure.dpi < 7000
        assert not any("taxonomic" in text for text in check_legible(figure))

    def test_a_long_name_keeps_its_beginning_and_its_end(self):
        figure = draw_confusion(np.eye(2), ["a\nship", LONG.format(7)])
        ship, long = (label.get_text() for label in figure.axes[0].get_yticklabels())
        assert ship == "a ship"
        assert "…" in long and long.startswith("Éléph") and long.endswith("7_at_the_end")


class TestReliability:
    def test_a_bar_is_the_accuracy_of_its_bin_and_a_mark_its_confidence(self):
        number, confidence, accuracy = np.zeros((3, BINS))
        number[10], confidence[10], accuracy[10] = 5, 0.7, 0.4
        figure = draw_reliability(Reliability(number, confidence, accuracy), 0.3)
        (axes,) = figure.axes
        middle = 10.3 / BINS
        assert all(has(figure, axes, middle, y, BLUE) for y in (0.1, 0.38))
        assert has(figure, axes, middle, 0.45, WHITE, half=0)
        assert has(figure, axes, middle, 0.7, RED)
        assert has(figure, axes, 4.5 / BINS, 0.1, WHITE, half=0)  # an empty bin
        check_legible(figure)
        assert "ECE 0.3000" in axes.get_title("left")
        assert pixels(figure).shape == (620, 620, 3)

    def test_without_an_answer_there_is_no_bar(self):
        nothing = np.zeros(BINS)
        figure = draw_reliability(Reliability(nothing, nothing, nothing), float("nan"))
        check_legible(figure)


CORNERS = np.array([[0.0, 0.0], [4.0, 4.0]])


def panel(points=CORNERS, targets=(0, 1), title="a run"):
    return Panel(title, "PCA", np.asarray(points, float), np.array(targets))


def inside(axes, figure):
    """The pixels of a panel without its frame."""
    picture = pixels(figure)
    left, low, right, high = (round(float(side)) for side in axes.get_window_extent().extents)
    return picture[len(picture) - high + 3 : len(picture) - low - 3, left + 3 : right - 3]


def hue(colour):
    return int(np.argmax(colour)), int(np.argmin(colour))


def coloured(picture):
    """Rows and columns of the pixels that are not white, and the colours there."""
    rows, columns = np.nonzero((picture < 0.9).any(axis=2))
    return rows, columns, picture[rows, columns]


class TestScatter:
    def test_a_point_stands_where_its_numbers_say_in_the_colour_of_its_class(self):
        figure = draw_scatter([panel()], ["ship", "tank"])
        picture = inside(figure.axes[0], figure)
        height, width = picture.shape[:2]
        ship, tank = class_colours(2)
        _, _, low = coloured(picture[height - 30 :, :30])  # left and below
        _, _, high = coloured(picture[:30, width - 30 :])  # right and above
        assert hue(np.median(low, axis=0)) == hue(ship) != hue(tank)
        assert hue(np.median(high, axis=0)) == hue(tank)
        assert (picture[30 : height - 30] == 1).all()

    def test_both_directions_have_one_scale(self):
        figure = draw_scatter([panel([[0, 0], [10, 0], [5, 1]], (0, 0, 1))], ["a", "b"])
        picture = inside(figure.axes[0], figure)
        rows, columns, _ = coloured(picture)
        assert np.ptp(rows) < len(picture) / 5
        assert np.ptp(columns) > len(picture) * 0.9

    def test_points_that_are_all_the_same_stand_in_the_middle(self):
        figure = draw_scatter([panel([[3, 3], [3, 3]], (0, 0))], ["a", "b"])
        picture = inside(figure.axes[0], figure)
        rows, columns, _ = coloured(picture)
        assert abs(rows.mean() - len(picture) / 2) < 2
        assert abs(columns.mean() - picture.shape[1] / 2) < 2

    def test_a_highlighted_class_is_above_the_others_and_larger_and_they_are_paler(self):
        plain, chosen = class_colours(4), class_colours(4, {2})
        assert chosen[2] == plain[2]
        for index in (0, 1, 3):
            assert min(chosen[index]) >= 0.5 > min(plain[index])
        points = np.repeat([[0.0, 0.0], [9.0, 9.0]], 20, axis=0)
        targets = [2, *[0] * 19, 0, *[1] * 19]
        figure = draw_scatter([panel(points, targets)], list("abcd"), {2})
        picture = inside(figure.axes[0], figure)
        half = len(picture) // 2
        _, below, colours = coloured(picture[half:, :half])
        _, above, _ = coloured(picture[:half, half:])
        assert hue(np.median(colours, axis=0)) == hue(plain[2])
        assert np.ptp(below) > np.ptp(above)

    def test_classes_differ_in_colour_and_neighbours_among_many_in_shape(self):
        assert len(set(class_colours(60))) == 60
        points = np.arange(120.0).reshape(60, 2)
        figure = draw_scatter([panel(points, range(60))], names(60, "short"))
        (legend,) = figure.legends
        shapes = [key.get_marker() for key in legend.legend_handles]
        assert all(one != other for one, other in pairwise(shapes))
        few = draw_scatter([panel()], ["a", "b"])
        assert [key.get_marker() for key in few.legends[0].legend_handles] == ["o", "o"]

    def test_a_fifth_panel_begins_a_new_row(self):
        shapes = [
            pixels(draw_scatter([panel()] * number, ["a", "b"])).shape for number in (1, 4, 5)
        ]
        assert shapes[1][1] == shapes[2][1] == 4 * shapes[0][1] - 3 * 16
        assert shapes[0][0] == shapes[1][0] < shapes[2][0] - 400

    @pytest.mark.parametrize("panels", [1, 5])
    @CLASSES
    def test_names_are_legible(self, number, kind, panels):
        targets = np.arange(max(number, 3)) % number
        points = np.random.default_rng(0).normal(size=(len(targets), 2))
        one = panel(points, targets, title=f"weights/{kind}/{LONG}/{LONG}/fold-0")
        classes = names(number, kind)
        figure = draw_scatter([one] * panels, classes)
        check_legible(figure)
        shown = [text.get_text() for text in figure.legends[0].get_texts()]
        assert len(set(shown)) == number
        assert kind == "long" or shown == classes
        assert figure.axes[0].get_title("left").splitlines()[0].endswith("/fold-0")

    def test_very_many_classes_are_only_counted(self):
        figure = draw_scatter([panel()], names(700, "short"))
        assert [text.get_text() for text in figure.legends[0].get_texts()] == [
            "700 classes, too many to be named"
        ]


def test_the_same_picture_has_the_same_bytes_whatever_the_settings_of_matplotlib(tmp_path):
    import matplotlib

    def saved(name):
        figure = draw_confusion(np.eye(3) * 4, ["été", "군함", "a_b $x_$"])
        save_picture(tmp_path / name, figure)
        return (tmp_path / name).read_bytes()

    plain = saved("a.png")
    others = {"font.size": 20, "savefig.dpi": 300, "text.usetex": True, "savefig.bbox": "tight"}
    with matplotlib.rc_context(others):
        assert saved("b.png") == plain
        assert matplotlib.rcParams["font.size"] == 20
    assert plain.startswith(b"\x89PNG")
    with pytest.raises(OutputExistsError):
        saved("a.png")


def test_pictures_are_drawn_without_pyplot_and_its_state(tmp_path):
    code = (
        "import sys; import numpy as np; from pathlib import Path\n"
        "from comptool.reports.plots import draw_confusion, save_picture\n"
        "assert 'matplotlib' not in sys.modules\n"
        "save_picture(Path(sys.argv[1]), draw_confusion(np.eye(2), ['a', 'b']))\n"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "a.png")]
    assert subprocess.run(command, check=False).returncode == 0
