"""Parts that lack what their kind promises."""

from __future__ import annotations

import pytest

from comptool.losses.sigmoid import CellLoss
from comptool.models.heads.query_heads import Decoder
from comptool.models.streams import StreamModel


@pytest.mark.parametrize(
    ("kind", "lacking"),
    [
        (StreamModel, "forward"),
        (StreamModel, "forward_features"),
        (Decoder, "forward"),
        (CellLoss, "terms"),
    ],
)
def test_a_part_that_lacks_what_its_kind_promises_cannot_be_made(kind, lacking):
    others = {"forward", "forward_features", "terms"} - {lacking}
    part = type("Part", (kind,), {name: lambda self: None for name in others})
    with pytest.raises(TypeError, match=rf"abstract method '?{lacking}\b"):
        part()
