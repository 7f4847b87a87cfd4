"""Classes of a competition, and their comparison with other lists and with runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from comptool.competition.config import Competition
from comptool.competition.samples import labelled_table, training_samples
from comptool.errors import InputError, unknown_name
from comptool.io.records import RunHeader
from comptool.tasks.labels import class_names

SHOWN = 5


def competition_classes(competition: Competition) -> tuple[str, ...] | None:
    """All class names in class order; None if nothing defines them.

    Source: ``classes`` of ``comptool.toml``, the 0/1 columns of a multi-label competition, the
    columns of numbers, or the labels of the training data.

    Raises
    ------
    InputError
        If the training data cannot be read.
    """
    if competition.classes is not None:
        return competition.classes
    if competition.labels:
        return competition.labels
    train = competition.train
    if train is None:
        return None
    if train.is_dir():
        return class_names(training_samples(competition).frame[competition.label])
    table = labelled_table(competition, train)
    task = competition.kind
    task.check_labels(competition, train, table)
    return task.classes_of(competition, train, table)


def against(one: Sequence[str], other: Sequence[str]) -> str:
    """Difference between two lists of names, in a few words.

    Examples
    --------
    >>> against(["a", "b"], ["b", "a"]), against(["a", "b"], ["a", "c"])
    ('the same 2 in another order', 'a, b against a, c')
    >>> against(list("abcdef"), list("abcdefg")), against(list("abcdefx"), list("abcdef"))
    ('without g', 'with x in addition')
    """
    if sorted(one) == sorted(other):
        return f"the same {len(one)} in another order"
    if max(len(one), len(other)) > SHOWN:
        more, less = ([n for n in a if n not in b] for a, b in ((one, other), (other, one)))
        if not (more and less):
            return f"with {listed(more)} in addition" if more else f"without {listed(less)}"
        one, other = more, less
    return f"{listed(one)} against {listed(other)}"


def check_classes(
    file: Path,
    classes: Sequence[str],
    expected: Sequence[str],
    owner: str | Path,
    *,
    mend: str | None = None,
) -> None:
    """Raise an InputError if a file does not have the expected classes in their order."""
    if tuple(classes) != tuple(expected):
        what = f"its classes are not those of {owner}: {against(classes, expected)}"
        raise InputError(what, file=file, mend=mend)


def named_classes(texts: Iterable[str], classes: Sequence[str]) -> tuple[int, ...]:
    """Indices, in rising order, of the classes that an option names.

    Parameters
    ----------
    texts
        Class names, or class names joined by commas. A text that is itself a class name, commas
        included, is that class.
    classes
        The K class names.

    Raises
    ------
    UsageError
        If there is no such class.

    Examples
    --------
    >>> named_classes(["a,c", "b, 1"], ["a", "b", "c", "b, 1"])
    (0, 2, 3)
    """
    wanted: set[str] = set()
    for text in texts:
        wanted |= {text} if text in classes else {part.strip() for part in text.split(",")}
    for name in sorted(wanted):
        if name not in classes:
            raise unknown_name("class", name, classes)
    return tuple(place for place, name in enumerate(classes) if name in wanted)


def listed(names: Sequence[str]) -> str:
    """Up to five names, and the number of further ones."""
    shown = ", ".join(names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown


def left_out(run: Path, header: RunHeader) -> str | None:
    """Warning about a run trained without some of its classes; None for other runs."""
    dropped = header.dropped
    if not dropped:
        return None
    return (
        f"{run} was trained without {listed(dropped)} (--drop-classes): what it gives for what "
        "was left out means little"
    )
