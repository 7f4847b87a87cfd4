"""A training table as findings mend it: cells not known, rows left out, copies kept together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy

from comptool.errors import InputError
from comptool.evaluation.label_corrections import apply_corrections
from comptool.findings import links, of_training, read_findings
from comptool.samples import Samples

GROUP = "duplicate_group"
Rows = npt.NDArray[np.intp]


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
        N samples, here with several labels each.
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
    samples, found, file
        See `without_cells`.
    kinds
        Of `comptool.findings.EXCLUDABLE`.

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


def families(samples: Samples, found: pd.DataFrame) -> pd.Series[int]:
    """The number of the family of copies that each sample belongs to, by its id.

    Copies of one another are of one family, directly or by way of others: also of such that are
    left out afterwards.

    Parameters
    ----------
    samples
        N samples.
    found
        From `findings_about`.
    """
    pairs, ids = links(found), pd.Index(samples.frame[samples.id])
    one, other = (ids.get_indexer(pd.Index(pairs[name])) for name in ("id", "other_id"))
    there = (one >= 0) & (other >= 0)
    return pd.Series(_joined(one[there], other[there], len(ids)), index=ids)


def kept_together(samples: Samples, family: pd.Series[int], file: Path) -> tuple[Samples, str]:
    """The samples with a group column by which copies, and what was a group before, stay together.

    Parameters
    ----------
    samples
        N samples.
    family
        From `families`, of these samples and perhaps of more.
    file
        Where the findings came from, for messages.
    """
    own = family.loc[samples.frame[samples.id]].to_numpy()
    copies = len(own) - len(np.unique(own))
    told = f"{file}: pairs of copies that stay together: {copies}"
    if not copies:
        return samples, told
    rows = np.arange(len(samples))
    keys = [own] if samples.group is None else [own, samples.frame[samples.group].to_numpy()]
    heads = [pd.Series(rows).groupby(key).transform("first") for key in keys]
    parts = _joined(np.tile(rows, len(keys)), np.concatenate(heads), len(rows))
    names = samples.frame[samples.id].groupby(parts).transform("min")
    return replace(samples, frame=samples.frame.assign(**{GROUP: names}), group=GROUP), told


def _joined(one: Rows, other: Rows, count: int) -> npt.NDArray[np.int32]:
    """The number of the part of a graph that each of its nodes belongs to."""
    # SciPy loads `sparse` at its first mention here: a split without findings never waits for it.
    sparse = scipy.sparse
    graph = sparse.coo_array((np.ones(len(one)), (one, other)), (count, count))
    parts: npt.NDArray[np.int32] = sparse.csgraph.connected_components(graph, directed=False)[1]
    return parts
