"""Records that hold the digest of their own values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comptool.errors import InputError
from comptool.io import provenance
from comptool.io.seals import SEAL, read_sealed, seal_text

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
documents = st.dictionaries(st.text(max_size=4).filter(lambda name: name != SEAL), plain)


def write(folder: Path, text: str) -> Path:
    path = folder / "record.json"
    path.write_text(text, encoding="utf-8")
    return path


@given(documents)
def test_the_values_come_back_whatever_the_layout_of_the_text(tmp_path_factory, values):
    folder = tmp_path_factory.getbasetemp()
    text = seal_text(values)
    turned = dict(reversed(json.loads(text).items()))
    for written in (text, json.dumps(turned, separators=(",", ":"), ensure_ascii=True)):
        read = read_sealed(write(folder, written))
        assert json.dumps(read, sort_keys=True) == json.dumps(values, sort_keys=True)


@given(documents, st.text(max_size=4).filter(lambda name: name != SEAL), plain)
def test_another_value_is_refused(tmp_path_factory, values, name, value):
    sealed = json.loads(seal_text(values))
    changed = sealed | {name: value}
    if json.dumps(changed, sort_keys=True) == json.dumps(sealed, sort_keys=True):
        return
    path = write(tmp_path_factory.getbasetemp(), json.dumps(changed))
    with pytest.raises(InputError, match="delete its key `seal`") as caught:
        read_sealed(path, mend="Make it again")
    assert str(path) in str(caught.value)


def test_a_record_without_a_seal_is_taken_as_it_is(tmp_path):
    sealed = json.loads(seal_text({"score": 1.0}))
    del sealed[SEAL]
    assert read_sealed(write(tmp_path, json.dumps(sealed))) == {"score": 1.0}


@pytest.mark.parametrize("seal", [None, "", 1, [], "0" * 64])
def test_another_seal_is_refused(tmp_path, seal):
    with pytest.raises(InputError, match="its values are not those of its seal"):
        read_sealed(write(tmp_path, json.dumps({"score": 1.0, SEAL: seal})))


def test_a_changed_fact_of_a_prediction_file_is_refused(tmp_path):
    output = tmp_path / "preds.csv"
    output.write_text("id,a,b\n1,0.5,0.5\n")
    path = provenance.record(output, command="infer", arguments={}, facts={"runs": ["weights/a"]})
    path.write_text(path.read_text().replace("weights/a", "weights/b"))
    with pytest.raises(InputError, match="was changed or damaged"):
        provenance.recall(output)
