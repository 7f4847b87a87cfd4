"""Class weights: by formula from counts, and by hand from a file."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comptool.errors import InputError, UsageError
from comptool.losses.class_weights import (
    class_weights,
    effective_number_weights,
    read_class_weights,
)

COUNTS = [5000, 400, 16]
NUMBER = "a class weight has to be a positive number"
STRANGER = "weights of unknown classes"
TWICE = "has two weights for a class"
MEND = "Give every class one weight, and no other"


def test_weights_are_those_of_the_formulas():
    counts = np.array(COUNTS, dtype=float)
    for found, raw in (
        (effective_number_weights(COUNTS), (1 - 0.9999) / (1 - 0.9999**counts)),
        (effective_number_weights(COUNTS, beta=0.9), 0.1 / (1 - 0.9**counts)),
        (class_weights("inverse", COUNTS), 1 / counts),
        (class_weights("sqrt", COUNTS), counts**-0.5),
    ):
        assert found == pytest.approx(3 * raw / raw.sum(), rel=1e-12)


@settings(max_examples=50, deadline=None)
@given(
    counts=st.lists(st.integers(0, 10**6), min_size=2, max_size=12),
    scheme=st.sampled_from(["effective", "inverse", "sqrt"]),
)
def test_weights_sum_to_the_classes_and_fall_with_the_count(counts, scheme):
    weights = class_weights(scheme, counts)
    assert sum(weights) == pytest.approx(len(counts))
    order = np.argsort(np.maximum(counts, 1), kind="stable")
    assert (np.diff(np.array(weights)[order]) <= 1e-9).all()


def test_the_effective_number_lies_between_none_and_the_inverse_frequency():
    assert effective_number_weights(COUNTS, beta=0) == pytest.approx([1, 1, 1])
    near = effective_number_weights(COUNTS, beta=1 - 1e-9)
    assert near == pytest.approx(class_weights("inverse", COUNTS), rel=1e-3)


def test_an_unknown_scheme_names_the_nearest():
    with pytest.raises(UsageError) as error:
        class_weights("invers", COUNTS)
    assert str(error.value) == (
        "no scheme of class weights is called 'invers'; did you mean 'inverse', 'effective' or "
        "'sqrt'?"
    )


def test_weights_by_hand_come_in_the_order_of_the_classes(tmp_path):
    table = tmp_path / "weights.csv"
    table.write_text("class,weight\n007,2\nsedan,0.5\n1e5,1\n")
    assert read_class_weights(table, ["1e5", "007", "sedan"]) == [1, 2, 0.5]
    toml = tmp_path / "weights.toml"
    toml.write_text('"007" = 2\nsedan = 0.5\n1e5 = 1\n')
    assert read_class_weights(toml, ["1e5", "007", "sedan"]) == [1, 2, 0.5]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "class,weight\na,1\n", f"has no weight for the class 'b'. {MEND}"),
        ("a.csv", "class,weight\na,1\nb,-2\n", f", row 2, column 'weight': {NUMBER} (found '-2')"),
        ("a.csv", "class,weight\na,1\nb,\n", f", row 2, column 'weight': {NUMBER} (found '')"),
        ("a.csv", "class,weight\na,1\nb,2\nc,1\n", f"has {STRANGER} (found 'c'). {MEND}"),
        (
            "a.csv",
            "class,weight\na,1\na,2\n",
            f", row 2, column 'class': {TWICE} (found 'a'). {MEND}",
        ),
        ("a.toml", "a = 1\nb = 0\n", f"{NUMBER} (found 'b = 0')"),
        ("a.toml", "a = 1\nb = [1]\n", f"{NUMBER} (found 'b = [1]')"),
        ("a.toml", "a = inf\nb = 1\n", f"{NUMBER} (found 'a = inf')"),
        ("a.toml", "a = 1\nb = true\n", f"{NUMBER} (found 'b = True')"),
        ("a.toml", "a = \n", "is not readable as TOML ("),
    ],
)
def test_a_mistake_in_weights_by_hand_is_named(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_class_weights(path, ["a", "b"])
    separator = "" if message.startswith(",") else ": "
    assert str(error.value).startswith(f"{path}{separator}{message}")
    assert message.endswith("(") or str(error.value).endswith(message)
