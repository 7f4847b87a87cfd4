"""Tables whose records hold their images."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comptool.data.image_io import read_pixels, source_of
from comptool.errors import InputError
from comptool.io.image_records import holds_records
from comptool.io.tables import read_table


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read(cell: str):
    return read_pixels(source_of(Path(), cell))


BANDS = np.random.default_rng(0).normal(-20, 5, (3, 2, 9 * 9)).round(3)


def ships() -> list[dict[str, object]]:
    return [
        {
            "id": f"schöner {row}",
            "band_1": bands[0].tolist(),
            "band_2": bands[1].tolist(),
            "inc_angle": "na" if row else 39.5,
            "is_iceberg": row % 2,
        }
        for row, bands in enumerate(BANDS)
    ]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_list_of_json_records_is_a_table_with_places_of_its_arrays(indent, ascii_only):
    text = json.dumps(ships(), indent=indent, ensure_ascii=ascii_only)
    Path("train.json").write_text(text, encoding="utf-8")
    frame = read_table(Path("train.json"))
    assert list(frame.columns) == ["id", "band_1", "band_2", "inc_angle", "is_iceberg"]
    assert frame["id"].tolist() == ["schöner 0", "schöner 1", "schöner 2"]
    assert frame["inc_angle"].tolist() == ["39.5", "na", "na"]
    assert frame["is_iceberg"].tolist() == ["0", "1", "0"]
    for row, bands in enumerate(BANDS):
        pixels = read(f"{frame['band_1'][row]}|{frame['band_2'][row]}")
        expected = bands.reshape(2, 9, 9).transpose(1, 2, 0).astype(np.float32)
        np.testing.assert_array_equal(pixels, expected)


def test_one_json_record_per_line_and_nested_arrays_are_read():
    nested = [{"id": n, "image": np.full((3, 5), n).tolist()} for n in range(2)]
    Path("train.jsonl").write_text("\n".join(map(json.dumps, nested)) + "\n")
    frame = read_table(Path("train.jsonl"))
    assert read(frame["image"][1]).tolist() == np.full((3, 5, 1), 1).tolist()


def test_a_field_that_some_records_lack_is_blank():
    Path("train.jsonl").write_text(f'{FIRST}\n{{"y": "b"}}\n{{"id": 3}}\n')
    frame = read_table(Path("train.jsonl"))
    assert frame[["id", "y"]].to_dict("list") == {"id": ["1", "", "3"], "y": ["", "b", ""]}
    assert frame["image"].tolist() == ["train.jsonl#0+36/image", "", ""]


def test_a_flat_array_that_is_no_square_is_refused():
    Path("train.json").write_text(json.dumps([{"id": 1, "image": list(range(20))}]))
    cell = read_table(Path("train.json"))["image"][0]
    with pytest.raises(InputError) as error:
        read(cell)
    assert str(error.value) == (
        f"{cell}: this flat array of 20 numbers is not a square image; nested lists would give its "
        "rows"
    )


FIRST = '{"id": 1, "image": [[1, 2], [3, 4]]}'


def test_only_a_list_whose_first_record_holds_an_image_is_taken_for_records():
    Path("coco.json").write_text('{"images": [], "annotations": []}')
    Path("plain.json").write_text('[{"id": 1, "y": "cat", "box": [1, 2, 3, 4]}]')
    Path("marked.json").write_text(f"\ufeff  [{FIRST}]", encoding="utf-8")
    Path("lines.jsonl").write_text(f"{FIRST}\n{FIRST}\n")
    assert [holds_records(Path(name)) for name in ("coco.json", "plain.json", "train.csv")] == [
        False
    ] * 3
    assert read_table(Path("plain.json"))["y"].tolist() == ["cat"]
    for name in ("marked.json", "lines.jsonl"):
        assert holds_records(Path(name))
        cell = read_table(Path(name))["image"][0]
        assert read(cell)[..., 0].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f"[{FIRST}, 2]", "train.json: is not a list of records"),
        (f'[{FIRST}, {{"id": ', "train.json: is not readable as JSON ("),
    ],
)
def test_what_is_no_list_of_records_is_refused(text, what):
    Path("train.json").write_text(text)
    with pytest.raises(InputError) as error:
        read_table(Path("train.json"))
    assert str(error.value).startswith(what)


def picture(value: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((6, 7, 3), value, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def products() -> bytes:
    bson = pytest.importorskip("bson")
    return b"".join(
        bson.encode(
            {
                "_id": row,
                "category_id": 1000 + row,
                "imgs": [{"picture": picture(10 * row + n)} for n in range(1 + row)],
            }
        )
        for row in range(3)
    )


def test_bson_documents_are_a_table_with_the_first_of_their_images():
    Path("train.bson").write_bytes(products())
    frame = read_table(Path("train.bson"))
    assert frame["_id"].tolist() == ["0", "1", "2"]
    assert frame["category_id"].tolist() == ["1000", "1001", "1002"]
    assert frame.attrs["notes"] == [
        "2 records of train.bson have several images in 'imgs': the first of each is taken"
    ]
    for row in range(3):
        assert np.unique(read(frame["imgs"][row])) == [10 * row]


def test_a_number_after_a_field_is_the_place_of_an_image_in_it():
    Path("train.bson").write_bytes(products())
    frame = read_table(Path("train.bson"))
    assert frame.attrs["images"] == {"imgs": [1, 2, 3]}
    assert np.unique(read(frame["imgs"][2] + "/2")) == [22]
    with pytest.raises(InputError, match=r"this field holds 3 images"):
        read(frame["imgs"][2] + "/3")


def test_a_truncated_bson_file_is_refused():
    Path("train.bson").write_bytes(products()[:-5])
    with pytest.raises(InputError, match=r"train.bson: is damaged at byte \d+ \("):
        read_table(Path("train.bson"))


def test_a_record_that_has_moved_is_refused():
    content = products()
    Path("train.bson").write_bytes(content)
    cell = read_table(Path("train.bson"))["imgs"][2]
    Path("train.bson").write_bytes(b"another file" + content)
    with pytest.raises(
        InputError, match=r"is no longer a record .*; the table was made of another"
    ):
        read(cell)
    Path("train.bson").write_bytes(content[:9])
    with pytest.raises(InputError, match=r"train.bson: ends before the record"):
        read(cell)
