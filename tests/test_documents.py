"""Documents are read with limits: on size and depth, and on what a format leaves open."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comptool.errors import InputError
from comptool.io.documents import DEEPEST, TABLE, is_too_deep, read_json, read_toml, read_yaml
from comptool.io.image_records import holds_records, read_record_table
from comptool.io.json_tables import read_json as read_table

DEEP = f"it is nested more than {DEEPEST} levels deep"
JSON = {
    "brackets": (b"[" * 100_000, DEEP),
    "objects": (b'{"a":' * 100_000, DEEP),
    "closed": (b"[" * 5000 + b"]" * 5000, DEEP),
    "after a text with brackets": (b'["]]]]", ' + b"[" * 101 + b"]" * 101 + b"]", DEEP),
    "repeated key": (b'{"a": {"b": 1, "c": 2, "b": 3}}', 'an object has the key "b" twice'),
    "digits": (
        b"[" + b"9" * 5000 + b"]",
        "Exceeds the limit (4300 digits) for integer string conversion: value has 5000 digits",
    ),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "it is not UTF-8: byte 0xff at 0"),
    "Latin-1": ('{"a": "é"}'.encode("latin-1"), "it is not UTF-8: byte 0xe9 at 7"),
    "half a pair": (rb'{"a": "\ud800"}', "a text has half of a surrogate pair"),
    "comma": (
        b'{"a": 1,\n}',
        "Expecting property name enclosed in double quotes: line 2 column 1 (char 9)",
    ),
    "nothing": (b"", "Expecting value: line 1 column 1 (char 0)"),
}
TOML = {
    "brackets": (b"a = " + b"[" * 5000 + b"]" * 5000, DEEP),
    "tables": (b"a = " + b"[" * 150 + b"]" * 150, DEEP),
    "long key": (b"a." * 300_000 + b"b = 1", f"a key has more than {DEEPEST} parts"),
    "quoted key": (b'"a b" . ' * 60_000 + b"b = 1", f"a key has more than {DEEPEST} parts"),
    "repeated key": (b"a = 1\na = 2", "Cannot overwrite a value (at end of document)"),
    "digits": (b"a = 0x" + b"f" * 5000, "a whole number has more than 64 bits"),
    "size": (b"#" * 1_048_577, "it has 1,048,577 bytes, and at most 1,048,576 are read"),
    "Latin-1": (b'a = "\xe9"', "it is not UTF-8: byte 0xe9 at 5"),
}


@pytest.mark.parametrize("name", JSON)
def test_json_that_is_not_read(tmp_path, name):
    content, reason = JSON[name]
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError) as refusal:
        read_json(tmp_path / "a.json", mend="Make it again")
    assert str(refusal.value) == (
        f"{tmp_path}/a.json: is not readable as JSON ({reason}). Make it again"
    )


@pytest.mark.parametrize("name", TOML)
def test_toml_that_is_not_read(tmp_path, name):
    content, reason = TOML[name]
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(InputError) as refusal:
        read_toml(tmp_path / "a.toml")
    assert str(refusal.value) == f"{tmp_path}/a.toml: is not readable as TOML ({reason})"


def test_a_folder_in_the_place_of_a_document(tmp_path):
    for read, form in ((read_json, "JSON"), (read_toml, "TOML"), (read_yaml, "YAML")):
        with pytest.raises(InputError) as refusal:
            read(tmp_path)
        assert str(refusal.value) == f"{tmp_path}: is not readable as {form} (Is a directory)"


@pytest.mark.parametrize("read", [read_table, read_record_table])
def test_a_table_of_two_gigabytes_is_refused_before_it_is_read(tmp_path, read):
    with (tmp_path / "a.json").open("wb") as stream:
        stream.write(b'[{"a": 1}')
        stream.truncate(TABLE + 1)  # sparse
    with pytest.raises(InputError, match="it has 2,000,000,001 bytes, and at most 2,000,000,000"):
        read(tmp_path / "a.json")


def test_a_byte_order_mark_and_awkward_texts_are_read(tmp_path):
    value = {"007": "[[[", "é\\": '"{', "😀": "\u2028", "a": [1.5, None, True]}
    for ascii_only in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_only)
        (tmp_path / "a.json").write_text(text, encoding="utf-8-sig")
        assert read_json(tmp_path / "a.json") == value
        lines = f"{text}\n\n{text}\r\n"
        (tmp_path / "a.jsonl").write_text(lines, encoding="utf-8-sig", newline="")
        assert read_json(tmp_path / "a.jsonl", lines=True) == [value, value]
    (tmp_path / "a.toml").write_text('a = "[[["\nb.c = 0.5\n', encoding="utf-8-sig")
    assert read_toml(tmp_path / "a.toml") == {"a": "[[[", "b": {"c": 0.5}}


def test_a_wrong_line_is_named(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a": }\n')
    with pytest.raises(InputError) as refusal:
        read_table(tmp_path / "a.jsonl")
    assert str(refusal.value) == (
        f"{tmp_path}/a.jsonl: is not readable as JSON (Expecting value: line 2 column 7)"
    )
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a": 1, "a": 2}\n')
    with pytest.raises(InputError, match='has the key "a" twice in line 2'):
        read_table(tmp_path / "a.jsonl")


def test_an_id_that_a_table_of_labels_repeats_is_not_lost(tmp_path):
    (tmp_path / "a.json").write_text('{"x.png": "cat", "y.png": "dog", "x.png": "dog"}')
    with pytest.raises(InputError, match=r'has the key "x\.png" twice'):
        read_table(tmp_path / "a.json")


def test_records_of_images_that_are_too_deep_are_refused(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"id": "a", "x": ' + "[" * 200_000)
    assert not holds_records(path)
    with pytest.raises(InputError, match=DEEP):
        read_record_table(path)


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


TEXTS = st.text(alphabet='[]{}"\\a\n', max_size=6)
VALUES = st.recursive(
    TEXTS | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, st.integers(0, DEEPEST + 20), st.integers(0, DEEPEST), st.booleans())
def test_depth_is_that_of_the_value_whatever_its_texts_hold(value, around, beside, listed):
    for _ in range(around):
        value = [value] if listed else {'"]': value}
    text = json.dumps([value, ["["] * beside], indent=1)
    assert is_too_deep(text.encode()) == (depth_of(json.loads(text)) > DEEPEST)


def test_where_a_file_is_cut_it_is_not_called_deep(tmp_path):
    content = json.dumps({"images": [{"id": n, "a": [[n]]} for n in range(200)]}).encode()
    for end in range(0, len(content), 97):
        assert not is_too_deep(content[:end])


def test_yaml_of_standard_types_is_read(tmp_path):
    path = Path(tmp_path / "a.yaml")
    path.write_text("a: &x [1, 2]\nb: *x\n")
    assert read_yaml(path) == {"a": [1, 2], "b": [1, 2]}
    path.write_text("a: [1")
    with pytest.raises(InputError) as refusal:
        read_yaml(path)
    assert str(refusal.value) == (
        f"{path}: is not readable as YAML (expected ',' or ']', but got '<stream end>': line 1 "
        "column 6)"
    )
