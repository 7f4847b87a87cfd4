"""Typed records: what fits becomes a dataclass, what does not is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comptool.errors import InputError
from comptool.io.records import ModelRecord, RunHeader, header_of

FILE = Path("weights/run/best.safetensors")
HEADER = RunHeader(
    model=ModelRecord("resnet34", {"img_size": [[8, 8]]}),
    task="multiclass",
    classes=["a", "b"],
    class_counts={"a": 1, "b": 2},
    modalities=["x"],
    img_size={"x": [8, 9]},
    channels={"x": 3},
    mean={"x": [0, 0.5, 1]},
    std={"x": [1, 1, 1]},
    inputs={"train.csv": None},
)


def test_a_document_comes_back_as_it_was():
    text = json.dumps(HEADER.document())
    assert header_of(json.loads(text), FILE) == HEADER


def test_keys_of_other_versions_are_left_out():
    assert header_of(HEADER.document() | {"format": 1, "new": [1]}, FILE) == HEADER


def test_what_older_versions_did_not_write_has_a_default():
    old = HEADER.document()
    del old["bits"], old["leak"], old["fusion_weights"]
    assert header_of(old, FILE) == HEADER


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "resnet34"}, "is damaged: model must be an object, found \"resnet34\""),
        ({"model": {"name": "x"}}, "is damaged: model lacks options"),
        ({"classes": "ab"}, "is damaged: classes must be a list, found \"ab\""),
        ({"classes": ["a", 2]}, "is damaged: classes[1] must be text, found 2"),
        ({"class_counts": {"a": 1.5}},
         "is damaged: class_counts.a must be a whole number, found 1.5"),
        ({"channels": {"x": True}}, "is damaged: channels.x must be a whole number, found true"),
        ({"img_size": {"x": [8]}}, "is damaged: img_size.x must be height and width, found [8]"),
        ({"mean": {}}, "is damaged: mean lacks x"),
        ({"leak": 3}, "is damaged: leak must be text, found 3"),
        ({"inputs": [1]}, "is damaged: inputs must be an object, found [1]"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)  # fmt: skip
def test_a_value_of_another_type_is_named(changes, message):
    with pytest.raises(InputError) as refusal:
        header_of(HEADER.document() | changes, FILE)
    assert str(refusal.value) == f"{FILE}: its header {message}"


def test_a_record_that_is_no_object_is_refused():
    for document, shown in (([], "[]"), (3, "3"), (None, "null"), ("x", '"x"')):
        with pytest.raises(InputError) as refusal:
            header_of(document, FILE)
        damaged = f"its header is damaged: the top level must be an object, found {shown}"
        assert str(refusal.value) == f"{FILE}: {damaged}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(st.sampled_from(list(HEADER.document())), JSON)
def test_no_value_ends_in_a_traceback(key, value):
    try:
        header = header_of(HEADER.document() | {key: value}, FILE)
    except InputError as error:
        # A modality that is none has no size.
        named = (key, "img_size lacks") if key == "modalities" else key
        named = (key, "mean.x", "std.x") if key == "channels" else named
        assert str(error).removeprefix(f"{FILE}: its header is damaged: ").startswith(named)
    else:
        assert replace(header, **{key: getattr(HEADER, key)}) == HEADER
