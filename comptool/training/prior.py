"""``prior.csv``: how often each class is there, as a model estimates it; no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool import provenance
from comptool.errors import InputError
from comptool.outputs import together
from comptool.tables import read_table, refuse_rows, write_table

CLASS, PRIOR = "class", "prior"


def read_prior(path: Path, classes: Sequence[str]) -> tuple[float, ...]:
    """The prior of each class, in [0, 1] and in the order of ``classes``.

    Parameters
    ----------
    path
        A table with the columns ``class`` and ``prior``, in any order of rows.
    classes
        The K classes that are trained.

    Raises
    ------
    InputError
        If the table cannot be used, is of other classes, or a prior is no number in [0, 1].
    """
    frame = read_table(path, required=(CLASS, PRIOR))
    names = frame[CLASS].tolist()
    strange = sorted(set(names) ^ set(classes)) or sorted({n for n in names if names.count(n) > 1})
    if strange:
        raise InputError(
            f"the prior is not of the {len(classes)} classes that are trained, one row each",
            file=path,
            column=CLASS,
            values=strange,
            mend="Estimate one from a run of this competition: comptool prior RUN",
        )
    values = pd.to_numeric(frame[PRIOR], errors="coerce").to_numpy(np.float64)
    wrong = ~((values >= 0) & (values <= 1))
    refuse_rows(path, frame[PRIOR], wrong, "a prior is a number from 0 to 1")
    found = dict(zip(names, values.tolist(), strict=True))
    return tuple(found[name] for name in classes)


def write_prior(
    path: Path,
    classes: Sequence[str],
    prior: npt.NDArray[np.float64],
    *,
    arguments: Mapping[str, object],
    inputs: Sequence[Path],
    facts: Mapping[str, object],
    force: bool = False,
) -> None:
    """Write the prior (K,) of the classes and its record.

    Raises
    ------
    OutputExistsError
        If ``path`` exists and ``force`` is off.
    """
    # Numbers as they are, so that they read back exactly.
    frame = pd.DataFrame({CLASS: list(classes), PRIOR: [repr(value) for value in prior.tolist()]})
    with together():
        write_table(path, frame, force=force)
        provenance.record(path, command="prior", arguments=arguments, inputs=inputs, facts=facts)
