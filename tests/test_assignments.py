"""Options typed as name=value become values of the type that each option has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pytest

from comptool.errors import UsageError
from comptool.key_value import parse_assignments
from comptool.losses import LOSSES
from comptool.models import HEADS

HINTS = {
    "gamma": float,
    "alpha": float | None,
    "top_k": int,
    "learnable": bool,
    "mode": Literal["ignore", "negative"],
    "weight": float | Sequence[float],
    "name": str,
}


def parsed(*texts: str) -> dict[str, object]:
    return parse_assignments("--loss-option", "the loss 'x'", texts, HINTS)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("gamma=2", 2.0),
        ("gamma= -1e-3 ", -1e-3),
        ("alpha=none", None),
        ("alpha=0.25", 0.25),
        ("top_k=3", 3),
        ("top-k=3", 3),
        ("learnable=true", True),
        ("learnable=no", False),
        ("mode=ignore", "ignore"),
        ("weight=2", 2.0),
        ("weight=1,2.5", [1.0, 2.5]),
        ("name=a=b", "a=b"),
    ],
)
def test_a_value_is_read_by_its_type(text, value):
    (found,) = parsed(text).values()
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["gamma"], "--loss-option is 'gamma'; it is name=value"),
        (["=2"], "--loss-option is '=2'; it is name=value"),
        (["gamma=two"], "--loss-option gamma is 'two'; it has to be a number"),
        (["alpha=x"], "--loss-option alpha is 'x'; it has to be a number or none"),
        (["top_k=1.5"], "--loss-option top_k is '1.5'; it has to be a whole number"),
        (["learnable=2"], "--loss-option learnable is '2'; it has to be true or false"),
        (["mode=ignored"], "--loss-option mode is 'ignored'; it has to be 'ignore' or 'negative'"),
        (["weight=1,x"], "--loss-option weight is '1,x'; it has to be a number or numbers joined "
                         "by commas"),
        (["gamma=1", "gamma=2"], "--loss-option gives 'gamma' twice"),
        (["gama=1"], "no option of the loss 'x' is called 'gama'; did you mean 'gamma', 'name' or "
                     "'alpha'?"),
    ],
)  # fmt: skip
def test_what_is_no_assignment_is_told(texts, message):
    with pytest.raises(UsageError) as refusal:
        parsed(*texts)
    assert str(refusal.value) == message


def test_an_owner_without_options_says_so():
    with pytest.raises(UsageError, match="--model-option a: the model 'y' takes no options"):
        parse_assignments("--model-option", "the model 'y'", ["a=1"], {})


@pytest.mark.parametrize("entry", [*LOSSES, *HEADS], ids=lambda entry: entry.name)
def test_every_default_is_of_the_type_that_is_declared(entry):
    types = entry.types()
    for name, default in entry.options().items():
        if isinstance(default, (bool, int, float, str)):
            text = f"{name}={default}"
            assert parse_assignments("--o", "it", [text], types) == {name: default}
