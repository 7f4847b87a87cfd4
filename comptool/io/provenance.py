"""Provenance of an output ``X``: its record ``X.meta.json``.

The record also carries facts that have no column in the table, such as the class counts of the
published training set, which ``recalibrate`` needs.
"""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from comptool import __version__
from comptool.errors import AlreadyDoneError, OutputExistsError
from comptool.io.atomic import (
    EXISTS,
    REPLACE,
    Waiting,
    as_written,
    atomic_output,
    refuse_existing,
    waiting_for,
)
from comptool.io.digests import hashes as hashes
from comptool.io.digests import sha256 as sha256
from comptool.io.records import Computed, FittedCombination, Kind, known, parse
from comptool.io.seals import seal_text
from comptool.io.verification import MEND, ChangedError, read
from comptool.io.verification import Provenance as Provenance
from comptool.io.verification import meta_path as meta_path
from comptool.io.verification import recall as recall
from comptool.options import running

# The times of files tell, which a copy may change.
OR_BEFORE = "or before they or their reader were changed or copied"
RECORDED_PACKAGES = ("torch", "timm", "albumentations", "numpy", "pandas", "polars")


class Facts:
    """Facts for later commands that have no column in the table."""

    def document(self) -> dict[str, Any]:
        """The JSON object without unknown facts."""
        return known(self)


@dataclass(frozen=True, kw_only=True)
class EvidenceTrace(Facts):
    """The runs, out-of-fold file or ensemble that predictions come from.

    ``pool`` says how the images of a bag became one answer, ``"none"`` that they did not.
    """

    runs: list[str] | None = None
    pool: str | None = None
    out_of_fold: str | None = None
    ensemble: EnsembleFacts | None = None

    @property
    def traced(self) -> bool:
        """Whether it is known which out-of-fold rows belong to the predictions."""
        return bool(self.runs or self.out_of_fold or self.ensemble)


@dataclass(frozen=True, kw_only=True)
class WeightOrigin(Facts):
    """Origin of ensemble weights: a search (metric, settings, figures) or a file."""

    metric: str | None = None
    search: dict[str, Any] | None = None
    scores: dict[str, Any] | None = None
    weights_file: str | None = None


@dataclass(frozen=True, kw_only=True)
class EnsembleFacts(WeightOrigin):
    """Members and weights of an ensemble.

    ``method`` and ``power`` are those of :func:`comptool.postprocess.ensemble.combine.combine`;
    ``class_weights`` has shape (members, classes); ``combination`` replaces weights and method.
    """

    members: list[str]
    method: str
    weights: list[float]
    made_of: list[EvidenceTrace] = field(default_factory=list)
    power: float | None = None
    class_weights: list[list[float]] | None = None
    combination: FittedCombination | None = None


@dataclass(frozen=True, kw_only=True)
class PredictionFacts(EvidenceTrace):
    """Facts about predictions, out-of-fold rows and submissions.

    Parameters
    ----------
    leak
        Why out-of-fold rows are no evidence; None if they are, empty if not checked.
    evidence
        Out-of-fold score of the views, or why it is not known.
    scores
        ``"ranks"`` if the numbers are not probabilities.
    recalibration
        The method and its figures.
    layout, rows
        Of a submission.
    images
        Number of images, if a row is the answer of several.
    samples
        Digest of the predicted samples and their images, see `comptool.data.sample_digest`.
    computed
        How the networks were computed.
    """

    task: str | None = None
    classes: list[str] | None = None
    metric: str | None = None
    class_counts: dict[str, int] | None = None
    leak: str | None = ""
    views: list[str] | None = None
    merge: str | None = None
    weights: list[float] | None = None
    evidence: dict[str, Any] | str | None = None
    scores: str | None = None
    recalibration: dict[str, Any] | None = None
    layout: str | None = None
    rows: int | None = None
    images: int | None = None
    samples: str | None = None
    computed: Computed | None = None


@dataclass(frozen=True, kw_only=True)
class TableFacts(Facts):
    """Facts about a table of samples.

    Parameters
    ----------
    folder
        The data folder, relative to the folder of the table.
    class_counts
        Training rows per class as published, before balancing.
    zero_is_unknown
        Whether the 0 of a multi-label table was mapped to "not annotated".
    """

    folder: str | None = None
    class_counts: dict[str, int] | None = None
    zero_is_unknown: bool | None = None


@dataclass(frozen=True, kw_only=True)
class SplitFacts(TableFacts):
    """Facts about folds: the seed, the strategy in words and, for multi-label tasks, figures."""

    seed: int
    strategy: str
    split: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class PseudoLabelFacts(TableFacts):
    """Facts about pseudo-labels.

    ``kept`` counts rows per class; ``expected`` is the expected precision, None without out-of-fold
    rows.
    """

    runs: list[str]
    classes: list[str]
    kept: dict[str, int]
    round: int
    soft: bool
    expected: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class PracticeFacts(Facts):
    """Facts about a practice competition; ``contents`` has a digest of each entry."""

    task: str | None = None
    metric: str | None = None
    classes: list[str] | None = None
    contents: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class GraphFacts(Facts):
    """Facts about an ONNX graph: format, and difference from torch."""

    graph: int | None = None
    difference: float | None = None


@dataclass(frozen=True, kw_only=True)
class PriorFacts(Facts):
    """Facts about a class prior: the run that estimated it, and the number of rows."""

    run: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class EmbeddingFacts(Facts):
    """Facts about features of a network that was not trained on these rows.

    Parameters
    ----------
    model, weights
        The network, and the origin of its weights.
    img_size
        Height and width in pixels by modality, in the order of the network.
    views
        Views whose features were averaged; None: the image as it is.
    test
        The file of the test set, of the same network; None in that file, or without a test set.
    samples
        Digest of the rows and their images, see `comptool.data.sample_digest`.
    computed
        How the network was computed.
    """

    model: str = ""
    weights: str = ""
    img_size: dict[str, list[int]] = field(default_factory=dict)
    views: list[str] | None = None
    test: str | None = None
    samples: str | None = None
    computed: Computed | None = None


@dataclass(frozen=True, kw_only=True)
class FeatureFacts(Facts):
    """Facts about a picture of features: the classes, and the figures of each network."""

    classes: list[str]
    panels: list[dict[str, Any]]


def record(
    output: Path,
    *,
    command: str,
    arguments: Mapping[str, object],
    inputs: Iterable[Path] | Mapping[str, str | None] = (),
    facts: Facts | Mapping[str, object] | None = None,
) -> Path:
    """Write the record of ``output``, replacing an older one.

    In a block of `comptool.io.atomic.together` it is written after its output, which appears with
    it.

    Parameters
    ----------
    output
        The file or folder just written.
    command, arguments
        Subcommand and its arguments; values that JSON does not know are written as text.
    inputs
        Files that were read; each is recorded with its SHA-256, folders without. A command that
        may write over one of them gives `hashes`, taken before it writes.
    facts
        What later commands need and the table has no column for.

    Raises
    ------
    OutputExistsError
        If the running command made an ``output`` that exists, and now makes another.
    """
    waiting = waiting_for(output)
    written = as_written(output)
    is_file = written.is_file()
    now = running()
    made = Provenance(
        command,
        dict(arguments),
        dict(inputs) if isinstance(inputs, Mapping) else hashes(inputs),
        versions(),
        git_commit(),
        datetime.now(UTC).isoformat(timespec="seconds"),
        facts.document() if isinstance(facts, Facts) else dict(facts or {}),
        sha256(written) if is_file else None,
        written.stat().st_size if is_file else None,
        None if now is None or now.command != command else now.options,
    )
    if waiting is not None and waiting.repeated:
        _refuse_others(waiting, made)
    path = meta_path(output)
    with atomic_output(path, force=True) as temporary:
        temporary.write_text(seal_text(vars(made)), encoding="utf-8")
    return path


def _refuse_others(waiting: Waiting, made: Provenance) -> None:
    """Raise an OutputExistsError if a command made another output before, or of other inputs."""
    before = read(waiting.path) or Provenance()
    what = _other_input(before, made.inputs)
    if not what and before.sha256 != made.sha256:
        what = ", and the same command now makes another"
    if what:
        raise OutputExistsError(EXISTS + what, file=waiting.path, mend=REPLACE)


def _other_input(before: Provenance, inputs: Mapping[str, str | None]) -> str:
    for name in (*inputs, *before.inputs):
        if name not in before.inputs:
            return f", made without {name}"
        if name not in inputs:
            return f", made of {name}"
        if before.inputs[name] != inputs[name]:
            return f", made before {name} changed"
    return ""


def stop_if_done(
    output: Path,
    inputs: Iterable[Path],
    facts: PredictionFacts,
    *,
    also: Sequence[Path] = (),
    force: bool,
) -> None:
    """End a long command that has made its ``output`` already, and the other files ``also``.

    Raises
    ------
    AlreadyDoneError
        If the same command line of this version made ``output`` of ``inputs`` as they are now, with
        ``facts`` among its facts; ``facts.samples`` are those of the images.
    OutputExistsError
        If it exists otherwise, and ``force`` is off.
    """
    others = [path for path in also if path.exists()]
    if not all([refuse_existing(path, force) for path in (output, *others)]):
        return
    made = read(output) or Provenance()
    rows = made.facts.get("out_of_fold")
    if len(others) < len(also) or (rows and not Path(rows).exists()):
        return
    what = _other_input(made, hashes(inputs))
    for path in others:
        changed = changed_inputs(read(path) or Provenance())
        what = what or "".join(f", made before {one} changed" for one in changed[:1])
    known = facts.document()
    images = known.pop("samples", None)
    if not what and not known.items() <= made.facts.items():
        what = ", made by other runs or for another competition"
    if not what and images != made.facts.get("samples"):
        what = f", made of other images, {OR_BEFORE}"
    if what:
        raise OutputExistsError(EXISTS + what, file=output, mend=REPLACE)
    raise AlreadyDoneError([output])


def history(output: Path) -> Iterator[tuple[Path, Provenance]]:
    """Records of ``output`` and, recursively, of its inputs, the nearest first.

    Inputs that are not the files of their records have no history.
    """
    todo, seen = [output], {output}
    while todo:
        made = todo.pop(0)
        try:
            record = recall(made)
        except ChangedError:
            if made == output:
                raise
            continue
        if record is None:
            continue
        yield made, record
        inputs = [Path(name) for name in record.inputs]
        todo += [path for path in inputs if path not in seen]
        seen.update(inputs)


def changed_inputs(record: Provenance, suffixes: tuple[str, ...] = ("",)) -> list[Path]:
    """Files of a record with changed content."""
    return [
        Path(name)
        for name, digest in record.inputs.items()
        if digest is not None and name.endswith(suffixes)
        if Path(name).is_file() and sha256(Path(name)) != digest
    ]


def facts(output: Path, kind: type[Kind]) -> Kind:
    """Facts recorded with ``output``; the defaults of ``kind`` if there is no record.

    Raises
    ------
    InputError
        If the record is not readable or a value has the wrong type; names its key.
    """
    record = recall(output)
    if record is None:
        return kind()
    return parse(kind, record.facts, meta_path(output), place="facts", mend=MEND)


def versions() -> dict[str, str]:
    """Versions of comptool, Python and the installed packages that shape a result."""
    found = {"comptool": __version__, "python": platform.python_version()}
    for name in RECORDED_PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """Commit of the repository of the working directory, or None."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
