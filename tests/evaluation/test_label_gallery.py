from __future__ import annotations

import base64
import csv
import io
import json
import shutil
import subprocess
from html.parser import HTMLParser

import cv2
import numpy as np
import pandas as pd
import pytest

from comptool.errors import OutputExistsError
from comptool.label_review.gallery import data_uri
from comptool.label_review.gallery import write_gallery as write_cards
from comptool.label_review.issues import SHEET, Card, Sheet, cell_cards

NASTY = '"><script>alert(1)</script>&amp;'


def write_gallery(path, table, images, **options):
    return write_cards(path, cell_cards(table), images, SHEET, **options)


class Page(HTMLParser):
    """Elements of a page with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        return [
            found
            for name, found in self.elements
            if name == tag and attributes.items() <= found.items()
        ]


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": ["007", NASTY, "007"],
            "class": ["sea", NASTY, "海 & sand"],
            "label": [0, 1, 0],
            "suggested": [1, 0, 1],
            "probability": [0.9, 0.1, 0.8],
            "score": [0.5, 0.4, 0.3],
        }
    )


@pytest.fixture
def images(tmp_path) -> dict:
    files = [tmp_path / "sar.png", tmp_path / "eo.png"]
    cv2.imwrite(str(files[0]), np.full((30, 600, 3), 200, np.uint8))
    cv2.imwrite(str(files[1]), np.full((32, 32), 50, np.uint8))
    return {"007": files, NASTY: [tmp_path / "gone.png"]}


def test_every_cell_is_there_with_all_that_the_export_needs(tmp_path, table, images):
    gallery = write_gallery(tmp_path / "review.html", table, images, title="A & B")
    page = Page((tmp_path / "review.html").read_text(encoding="utf-8"))
    cells = page.all("li")
    assert [
        [cell[f"data-{name}"] for name in ("id", "class", "kind", "suggested")] for cell in cells
    ] == [
        ["007", "sea", "missing", "1"],
        [NASTY, NASTY, "extra", "0"],
        ["007", "海 & sand", "missing", "1"],
    ]
    assert len(page.all("input", type="checkbox")) == len(page.all("label")) - 3 == 3
    assert [option["value"] for option in page.all("option")][:4] == ["", NASTY, "sea", "海 & sand"]
    assert "probability 0.900, score 0.500" in page.text
    assert "All 3 cells that the predictions doubt" in page.text
    assert "A & B" in page.text
    assert (gallery.cards, gallery.without_image) == (3, (NASTY,))


# A document of the page's cells, without a browser: as much of one as its script asks for.
STAND_IN = """
const boxes = %s.map((dataset) => {
  const box = { checked: true };
  return { dataset, hidden: false, querySelector: () => box };
});
const element = () => ({ value: "", addEventListener() {} });
const elements = {};
const document = {
  body: { dataset: %s },
  querySelectorAll: () => boxes,
  getElementById: (id) => (elements[id] ??= element()),
  addEventListener() {},
};
const localStorage = { getItem: () => %s, setItem() {} };
"""


def exported(text, ticked) -> tuple[str, str]:
    """The corrections that a page's script makes of these ticks, and its status line."""

    def data(element):
        return {name.removeprefix("data-"): value for name, value in element.items()}

    cells, (body,) = map(data, Page(text).all("li")), map(data, Page(text).all("body"))
    stand_in = STAND_IN % tuple(map(json.dumps, (list(cells), body, json.dumps(ticked))))
    script = text.partition("<script>")[2].partition("</script>")[0]
    ending = "process.stdout.write(JSON.stringify([corrections(), elements.status.value]));"
    done = subprocess.run(
        ["node", "-"], input="\n".join([stand_in, script, ending]),
        capture_output=True, text=True, encoding="utf-8", timeout=60, check=True,
    )  # fmt: skip
    corrections, status = json.loads(done.stdout)
    return corrections, status


@pytest.mark.skipif(shutil.which("node") is None, reason="no node")
@pytest.mark.parametrize("ticked", [[], [1], [0, 1, 2]])
def test_the_pages_script_exports_the_ticked_cells_as_corrections(tmp_path, table, images, ticked):
    table.loc[2, "class"] = 'a "b",\nc'
    write_gallery(tmp_path / "review.html", table, images)
    text = (tmp_path / "review.html").read_text(encoding="utf-8")
    corrections, status = exported(text, ticked)
    rows = table.iloc[ticked][["id", "class", "suggested"]].astype(str).to_numpy().tolist()
    assert list(csv.reader(io.StringIO(corrections))) == [["id", "class", "label"], *rows]
    assert status == f"3 shown, {len(ticked)} ticked"


@pytest.mark.skipif(shutil.which("node") is None, reason="no node")
def test_a_page_of_rows_exports_the_suggested_class_of_each(tmp_path, images):
    cards = [
        Card("007", "bus", "car", "bus", "labelled so", "change", "", "car"),
        Card(NASTY, "car", 'a "b",\nc', "car", "labelled so", "change", "", 'a "b",\nc'),
    ]
    pairs = pd.DataFrame({"label": [NASTY], "counted": [3]})
    sheet = Sheet(
        "rows", "in turn", ("Label", "Suggested"), {"id": "id", "label": "suggested"},
        tables={"Confident joint": pairs},
    )  # fmt: skip
    write_cards(tmp_path / "review.html", cards, images, sheet)
    text = (tmp_path / "review.html").read_text(encoding="utf-8")
    corrections, _ = exported(text, [0, 1])
    said = [["id", "label"], ["007", "car"], [NASTY, 'a "b",\nc']]
    assert list(csv.reader(io.StringIO(corrections))) == said
    page = Page(text)
    assert len(page.all("script")) == len(page.all("table")) == 1
    assert "Confident joint" in page.text
    assert [option["value"] for option in page.all("option")][:6] == [
        "", "bus", "car", "", 'a "b",\nc', "car",
    ]  # fmt: skip


def page_of(name, path, images) -> Page:
    """A page on which a name is id, class, kind, suggestion, heading, title, header and value."""
    sheet = Sheet(
        name, name, (name, name), {name: "suggested"}, {name: name},
        {name: pd.DataFrame({name: [name, "x"]})},
    )  # fmt: skip
    write_cards(path, [Card(name, *[name] * 7)], {name: images}, sheet, title=name)
    return Page(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "name",
    [
        NASTY,
        "</title></script><script>alert(1)</script>.png",
        "' onmouseover='alert(1)",
        '" onerror="alert(1)" x="',
        "{{ 7 * 7 }}{% if x %}${shown}$title",
        "<!-- 한국어 --> <b>군함 & 전차</b>",
        "잠수함, \"함선\"\n'été'.png",
    ],
)
def test_a_name_is_shown_as_it_is_wherever_it_stands(tmp_path, images, name):
    page = page_of(name, tmp_path / "review.html", images["007"])
    plain = page_of("a-class", tmp_path / "plain.html", images["007"])
    assert [
        (tag, list(attributes)) for tag, attributes in page.elements
    ] == [(tag, list(attributes)) for tag, attributes in plain.elements]  # fmt: skip
    (cell,) = page.all("li")
    assert cell == {
        "class": "cell", "data-id": name, "data-class": name, "data-kind": name,
        "data-suggested": name,
    }  # fmt: skip
    (body,) = page.all("body")
    assert (body["data-header"], body["data-exported"]) == (name, "suggested")
    assert [image["alt"] for image in page.all("img")] == [name, name]
    assert page.text.count(name) == plain.text.count("a-class") > 10


def test_nothing_in_a_table_becomes_markup(tmp_path, table, images):
    write_gallery(tmp_path / "review.html", table, images, title=NASTY)
    page = Page((tmp_path / "review.html").read_text(encoding="utf-8"))
    assert len(page.all("script")) == 1
    assert "alert(1)" in page.text


def test_the_page_refers_to_nothing_outside_itself(tmp_path, table, images):
    write_gallery(tmp_path / "review.html", table, images)
    text = (tmp_path / "review.html").read_text(encoding="utf-8")
    page = Page(text)
    sources = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "action", "data", "poster")
    ]
    assert len(sources) == 4
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert "://" not in text
    assert "url(" not in text
    assert "@import" not in text
    policy = page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_images_of_each_modality_are_shrunk_but_not_enlarged(tmp_path, table, images):
    write_gallery(tmp_path / "review.html", table, images)
    page = Page((tmp_path / "review.html").read_text(encoding="utf-8"))
    shapes = []
    for image in page.all("img"):
        content = base64.b64decode(image["src"].partition(",")[2])
        shapes.append(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR).shape)
        assert image["alt"] == "007"
    assert shapes == [(10, 192, 3), (32, 32, 3)] * 2
    assert "no image" in page.text


def test_a_limit_shows_the_first_cells_and_says_so(tmp_path, table, images):
    gallery = write_gallery(tmp_path / "review.html", table, images, limit=1)
    page = Page((tmp_path / "review.html").read_text(encoding="utf-8"))
    assert gallery.cards == len(page.all("li")) == 1
    assert "The first 1 of 3 cells" in page.text


def test_an_existing_page_is_not_replaced_unasked(tmp_path, table, images):
    path = tmp_path / "review.html"
    path.write_text("mine")
    with pytest.raises(OutputExistsError):
        write_gallery(path, table, images)
    assert path.read_text() == "mine"
    write_gallery(path, table, images, force=True)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_has_no_thumbnail(tmp_path, content):
    path = tmp_path / "x.png"
    path.write_bytes(content)
    assert data_uri(path, 32) is None
    assert data_uri(tmp_path, 32) is None
    assert data_uri(tmp_path / "gone.png", 32) is None


def test_a_dark_image_of_sixteen_bits_can_be_seen(tmp_path):
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), np.linspace(0, 179, 64 * 64).reshape(64, 64).astype(np.uint16))
    uri = data_uri(path, 64)
    content = np.frombuffer(base64.b64decode(uri.split(",")[1]), np.uint8)
    seen = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE)
    assert seen.min() < 5
    assert seen.max() > 250


@pytest.mark.parametrize(("count", "shown", "many", "more"), [
    (1, 1, False, ""), (3, 3, False, ""), (6, 6, True, ""), (7, 6, True, "(and 1 more image)"),
    (40, 6, True, "(and 34 more images)"),
])  # fmt: skip
def test_a_card_has_several_images_of_a_bag_up_to_six(tmp_path, table, count, shown, many, more):
    image = tmp_path / "i.png"
    cv2.imwrite(str(image), np.full((8, 8, 3), 90, np.uint8))
    one = table.iloc[:1]
    write_gallery(tmp_path / "p.html", one, {"007": [image] * count})
    page = Page((tmp_path / "p.html").read_text(encoding="utf-8"))
    assert len(page.all("img")) == shown
    assert len(page.all("span", **{"class": "images many"})) == int(many)
    assert ("more image" in page.text) == bool(more)
    assert more in page.text
