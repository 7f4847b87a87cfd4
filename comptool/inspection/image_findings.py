"""What is wrong with images, each for itself and beside the others."""

from __future__ import annotations

import pandas as pd

from comptool import findings
from comptool.inspection.duplicates import identical, nearly_identical
from comptool.inspection.looking import MISSING, Images

# Where nine of ten images have one size, another size is worth a look.
NEARLY_ALL = 0.9


def image_findings(images: Images, similarity: float) -> list[pd.DataFrame]:
    """Images that are missing, unreadable, constant, odd or copies of others.

    Parameters
    ----------
    images
        Of all tables.
    similarity
        See `comptool.inspection.duplicates.nearly_identical`; 1 looks for the same pixels only.
    """
    frame = images.frame
    missing = frame["problem"] == MISSING
    found = [
        _of(findings.MISSING, frame[missing]),
        _of(findings.UNREADABLE, frame[~missing & (frame["problem"] != "")], "problem"),
        _of(findings.CONSTANT, frame[frame["constant"] != ""], "constant"),
        *_odd(findings.ODD_SIZE, frame, "size"),
        *_odd(findings.ODD_MODE, frame, "mode"),
        _pairs(findings.DUPLICATE, frame, identical(images)),
    ]
    if similarity < 1:
        near = nearly_identical(images, similarity)
        found.append(_pairs(findings.NEAR_DUPLICATE, frame, near))
    return found


def _of(kind: str, images: pd.DataFrame, value: str | None = None) -> pd.DataFrame:
    told = images[value].to_numpy() if value else ""
    made = findings.made(kind, "", images["id"], column=images["column"].to_numpy(), value=told)
    return made.assign(table=images["table"].to_numpy())


def _odd(kind: str, frame: pd.DataFrame, field: str) -> list[pd.DataFrame]:
    readable = frame[frame["problem"] == ""]
    odd = []
    for _, images in readable.groupby("column"):
        shares = images[field].value_counts(normalize=True)
        if shares.iloc[0] >= NEARLY_ALL:
            odd.append(_of(kind, images[images[field] != shares.index[0]], field))
    return odd


def _pairs(kind: str, frame: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    one, other = (frame.take(pairs[name].tolist()) for name in ("image", "other"))
    return _of(kind, one).assign(
        other_table=other["table"].to_numpy(),
        other_id=other["id"].to_numpy(),
        other_column=other["column"].to_numpy(),
        score=pairs["score"].round(4).to_numpy(),
    )
