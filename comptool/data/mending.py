"""A training table as findings mend it: cells not known, rows left out, copies kept together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from comptool.errors import InputError
from comptool.evaluation.label_corrections import apply_corrections
from comptool.findings import links, of_training, read_findings
from comptool.samples import Samples

GROUP = "duplicate_group"


def findings_about(samples: Samples, path: Path) -> pd.DataFrame:
    """The findings of a file, which have to be about these samples.

    Raises
    ------
    InputError
        If the file holds no findings, or those of other samples.
    """
    found = read_findings(path)
    named = of_training(found, found["kind"].unique().tolist())["id"]
    unknown = named[~named.isin(samples.frame[samples.id]) & (named != "")].tolist()
    if unknown:
        raise InputError(
            f"{len(unknown)} of its findings are about samples that {samples.source} lacks",
            file=path,
            values=unknown,
            mend="Look at this table: comptool inspect",
        )
    return found


def without_cells(
    samples: Samples, found: pd.DataFrame, kinds: Sequence[str], file: Path
) -> tuple[Samples, str]:
    """The samples with the cells that findings of some kinds doubt not annotated.

    Parameters
    ----------
    samples
        Multi-label samples.
    found
        From `findings_about`.
    kinds
        Of `comptool.findings.MASKABLE`.
    file
        Where the findings came from, for messages.

    Raises
    ------
    InputError
        If the labels are lists, in which nothing can be unknown, or a finding names a class that
        is not there.
    """
    if samples.label is not None:
        what = f"a list of labels (column '{samples.label}') cannot say that one is not known"
        raise InputError(what, file=samples.source, mend="Leave such rows out with --exclude")
    columns = [str(name) for name in samples.frame.columns if name in samples.labels]
    doubted = of_training(found, kinds)
    cells = [
        (identity, name, "-1")
        for identity, *ends in zip(
            doubted["id"], doubted["column"], doubted["other_column"], strict=True
        )
        for name in _between(columns, ends)
    ]
    said = pd.DataFrame(cells, columns=["id", "class", "label"]).drop_duplicates()
    done = apply_corrections(
        samples.frame, said, id_column=samples.id, classes=samples.labels, file=file
    )
    told = f"{file}: cells that are not annotated ({', '.join(kinds)}): {done.changed}"
    return replace(samples, frame=done.frame), told


def _between(columns: Sequence[str], ends: Sequence[str]) -> Sequence[str]:
    if not set(ends) <= set(columns):
        return ends  # `apply_corrections` tells which class there is not.
    first, last = (columns.index(name) for name in ends)
    return columns[first : last + 1]


def without_rows(
    samples: Samples, found: pd.DataFrame, kinds: Sequence[str], file: Path
) -> tuple[Samples, str]:
    """The samples but for those that findings of some kinds are about.

    Parameters
    ----------
    samples
        N samples.
    found
        From `findings_about`.
    kinds
        Of `comptool.findings.EXCLUDABLE`.
    file
        Where the findings came from, for messages.

    Raises
    ------
    InputError
        If no sample is left.
    """
    kept = ~samples.frame[samples.id].isin(of_training(found, kinds)["id"]).to_numpy()
    if not kept.any():
        raise InputError("its findings leave no sample", file=file, values=kinds)
    told = f"{file}: rows left out ({', '.join(kinds)}): {int((~kept).sum())}"
    return replace(samples, frame=samples.frame[kept].reset_index(drop=True)), told


def kept_together(samples: Samples, found: pd.DataFrame, file: Path) -> tuple[Samples, str]:
    """The samples with a group column by which copies, and what was a group before, stay together.

    Parameters
    ----------
    samples
        N samples.
    found
        From `findings_about`.
    file
        Where the findings came from, for messages.
    """
    pairs = links(found)
    places = pd.Index(samples.frame[samples.id])
    one, other = (places.get_indexer(pd.Index(pairs[name])) for name in ("id", "other_id"))
    there = (one >= 0) & (other >= 0)
    told = f"{file}: pairs of copies that stay together: {int(there.sum())}"
    if not there.any():
        return samples, told
    one, other = one[there], other[there]
    if samples.group is not None:
        groups = samples.frame[samples.group]
        rows = np.arange(len(samples))
        heads = pd.Series(rows).groupby(groups.to_numpy()).transform("first")
        one, other = np.append(one, rows), np.append(other, heads)
    graph = coo_array((np.ones(len(one)), (one, other)), (len(samples), len(samples)))
    parts = connected_components(graph, directed=False)[1]
    ids = samples.frame[samples.id].to_numpy(dtype=object)
    order = np.argsort(ids)
    first = order[np.unique(parts[order], return_index=True)[1]]
    return replace(
        samples, frame=samples.frame.assign(**{GROUP: ids[first[parts]]}), group=GROUP
    ), told
