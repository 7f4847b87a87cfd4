"""Fonts for names in scripts that matplotlib's own font does not have."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
import warnings

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg

from comptool.reports import plots
from comptool.reports.plots import OWN, draw_confusion, families, save_picture, shown, unwritable

INSTALLED = font_manager.findSystemFonts()


def font(path, family, letters):
    """A font of rectangles, the higher the later a letter comes."""
    glyphs = {".notdef": TTGlyphPen(None).glyph()}
    for number, letter in enumerate(letters):
        pen = TTGlyphPen(None)
        top = 200 + 150 * number
        pen.moveTo((100, 0))
        for corner in ((100, top), (800, top), (800, 0)):
            pen.lineTo(corner)
        pen.closePath()
        glyphs[f"u{ord(letter):X}"] = pen.glyph()
    builder = FontBuilder(1000)
    builder.setupGlyphOrder(list(glyphs))
    builder.setupCharacterMap({ord(letter): f"u{ord(letter):X}" for letter in letters})
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (900, 100)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    builder.save(path)
    return str(path)


@pytest.fixture
def installed(monkeypatch):
    """Have only these fonts installed."""
    known = list(font_manager.fontManager.ttflist)

    def install(*paths):
        monkeypatch.setattr(font_manager, "findSystemFonts", lambda: list(paths))
        plots._chosen.cache_clear()

    yield install
    plots._chosen.cache_clear()
    font_manager.fontManager.ttflist[:] = known


def label(name):
    """The pixels of the name beside the first row of a confusion matrix."""
    figure = draw_confusion(np.eye(2), [name, "x"])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba())[:, :, 0]
    box = figure.axes[0].get_yticklabels()[0].get_window_extent()
    left, low, right, high = (round(float(side)) for side in box.extents)
    return picture[len(picture) - high : len(picture) - low, left:right]


def test_letters_of_europe_need_no_other_font(installed):
    installed()
    names = ["été", "Ångström", "žluťoučký", "Ελλάδα", "Корабль", "a_b $x$", "naïve…"]
    assert families(names) == [OWN]
    assert unwritable(names) is None


def test_a_font_is_found_for_each_letter_that_lacks_one(installed, tmp_path):
    installed(
        font(tmp_path / "b.ttf", "Ships", "군함"),
        font(tmp_path / "a.ttf", "Tanks", "전차"),
        font(tmp_path / "c.ttf", "Both", "군함전차"),
    )
    assert families(["군함", "ship"]) == [OWN, "Ships"]
    assert families(["군함", "전차"]) == [OWN, "Tanks", "Ships"]
    assert unwritable(["군함", "전차"]) is None


def test_letters_are_drawn_in_the_font_that_has_them(installed, tmp_path):
    installed(font(tmp_path / "b.ttf", "Ships", "군함"))
    low, high = label("군"), label("함")
    assert (low < 128).sum() > 20
    assert (high < 128).sum() > 1.3 * (low < 128).sum()


def test_what_no_font_has_is_said_once_and_drawn_as_boxes(installed, tmp_path):
    installed(font(tmp_path / "b.ttf", "Ships", "군함"))
    names = ["군함", "전차", "ship", "차"]
    assert unwritable(names) == (
        "no installed font can write '전', '차' in the pictures, as in '전차', '차': boxes stand "
        "for them. Install a font that can, such as the package fonts-noto-cjk of Debian and Ubuntu"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_picture(tmp_path / "a.png", draw_confusion(np.eye(4), names))


@pytest.mark.parametrize("content", [b"", b"not a font", b"\x00\x01\x00\x00" * 9, None])
def test_a_font_that_cannot_be_read_is_passed_over(installed, tmp_path, content):
    if content is not None:
        (tmp_path / "a.ttf").write_bytes(content)
    installed(str(tmp_path / "a.ttf"), font(tmp_path / "b.ttf", "Ships", "군함"))
    assert families(["군함"]) == [OWN, "Ships"]


def test_a_font_of_placeholders_is_passed_over(installed, tmp_path):
    installed(font(tmp_path / "a.ttf", "Last Resort", "군함"))
    assert "'군', '함'" in unwritable(["군함"])


def test_a_name_is_one_line_of_composed_letters():
    assert shown(unicodedata.normalize("NFD", "군함 été")) == "군함 été"
    assert shown("a\nb\tc\x00\u202e") == "a b c  "


@pytest.mark.skipif(
    all("군" not in plots._letters(path) for path in INSTALLED), reason="no font with Korean"
)
def test_korean_is_written_where_a_font_for_it_is_installed():
    names = ["군함", "잠수함", "컨테이너선", "쀍"]
    assert unwritable(names) is None
    pictures = [label(letter) for letter in "군함쀍"]
    assert all((picture < 128).sum() > 15 for picture in pictures)
    height, width = np.min([picture.shape for picture in pictures], axis=0)
    cut = [picture[:height, :width].astype(int) for picture in pictures]
    assert (abs(cut[0] - cut[1]) > 100).sum() > 10 and (abs(cut[1] - cut[2]) > 100).sum() > 10


def test_names_in_ascii_wait_for_no_font():
    code = (
        "import sys; from comptool.reports.plots import unwritable\n"
        "sys.exit(unwritable(['ship', 'a_b']) is not None or 'matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
