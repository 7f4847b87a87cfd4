"""Copies on both sides of a border that they must not cross: of labels, folds and groups."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool import findings
from comptool.data.given_split import torn_groups
from comptool.label_matrix import PRESENT, UNKNOWN
from comptool.samples import Samples


def label_conflicts(links: pd.DataFrame, samples: Samples) -> pd.DataFrame:
    """Copies whose labels differ; each of the two is a finding, for either may be wrong.

    A cell that is not annotated differs from none.

    Parameters
    ----------
    links
        From `comptool.findings.links`.
    samples
        The labelled training samples.
    """
    told = _labels(samples)
    pairs = links[_contradict(links, samples)] if samples.labels else _apart(links, told)
    turned = pairs.assign(id=pairs["other_id"], other_id=pairs["id"])
    both = pd.concat([pairs, turned], ignore_index=True)
    values = [f"{told[one]} / {told[other]}" for one, other in _both(both)]
    return findings.made(
        findings.LABEL_CONFLICT,
        findings.TRAIN,
        both["id"],
        column=samples.label or "",
        other_table=findings.TRAIN,
        other_id=both["other_id"].to_numpy(),
        value=values,
        score=both["score"].to_numpy(),
    )


def _both(links: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(links["id"], links["other_id"], strict=True))


def _apart(links: pd.DataFrame, sides: Mapping[str, str]) -> pd.DataFrame:
    return links[np.array([sides[one] != sides[other] for one, other in _both(links)], np.bool_)]


def _contradict(links: pd.DataFrame, samples: Samples) -> npt.NDArray[np.bool_]:
    """Which pairs have a class that is present in one and absent in the other."""
    matrix, ids = samples.label_matrix(), pd.Index(samples.frame[samples.id])
    one, other = (matrix[ids.get_indexer(pd.Index(links[name]))] for name in ("id", "other_id"))
    known = (one != UNKNOWN) & (other != UNKNOWN)
    contradict: npt.NDArray[np.bool_] = (known & (one != other)).any(axis=1)
    return contradict


def _labels(samples: Samples) -> dict[str, str]:
    ids = samples.frame[samples.id]
    if not samples.labels:
        return dict(zip(ids, samples.frame[samples.label], strict=True))
    names = np.array(samples.labels, dtype=object)
    rows = samples.label_matrix() == PRESENT
    return {name: ", ".join(names[row]) for name, row in zip(ids, rows, strict=True)}


def crossings(
    kind: str, links: pd.DataFrame, sides: Mapping[str, str], column: str
) -> pd.DataFrame:
    """Copies on different sides of a border.

    Parameters
    ----------
    kind
        What such a finding is.
    links
        From `comptool.findings.links`.
    sides
        The side, a fold or a group, that each sample is on; others are left out.
    column
        What the sides are called.
    """
    pairs = links[links["id"].isin(sides) & links["other_id"].isin(sides)]
    pairs = _apart(pairs, sides)
    return findings.made(
        kind,
        findings.TRAIN,
        pairs["id"],
        column=column,
        other_table=findings.TRAIN,
        other_id=pairs["other_id"].to_numpy(),
        other_column=column,
        value=[f"{sides[one]} / {sides[other]}" for one, other in _both(pairs)],
        score=pairs["score"].to_numpy(),
    )


def torn(folds: Samples) -> pd.DataFrame:
    """Groups with rows in several folds; the sample named is the first of the group.

    Parameters
    ----------
    folds
        Samples with a column ``fold``.
    """
    if folds.group is None:
        return findings.made(findings.TORN_GROUP, findings.TRAIN, [])
    names = torn_groups(folds, folds.frame["fold"].to_numpy(np.int64))
    of_group = folds.frame.groupby(folds.group)
    inside = of_group["fold"].unique()
    told = [f"{name}: folds {', '.join(map(str, sorted(inside[name])))}" for name in names]
    ids = of_group[folds.id].min()[names]
    return findings.made(findings.TORN_GROUP, findings.TRAIN, ids, column=folds.group, value=told)
