"""``run.json``, the rules of ``--resume`` and ``--init-from``, and leakage checks; no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from comptool import __version__, models
from comptool.competition.schema import variable_of
from comptool.errors import AlreadyDoneError, InputError, OutputExistsError, UsageError
from comptool.io import provenance
from comptool.io.atomic import atomic_output, refuse_existing
from comptool.io.locks import refuse_held
from comptool.io.names import check_run_name
from comptool.io.records import parse
from comptool.io.runs import (
    BEST,
    FINISHED,
    LAST,
    OOF,
    RUN_JSON,
    RUNNING,
    WEIGHTS,
    RunRecord,
    damaged_record,
    fold_folders,
    held_out_images,
    is_trained,
    members,
    read_header,
    read_state,
)
from comptool.io.seals import read_sealed, seal_text
from comptool.io.tables import read_table
from comptool.io.verification import is_consistent, options_changed
from comptool.options import FOLDS, kebab
from comptool.training.config import FREE_TO_CHANGE, REMOVED, Files, TrainSettings

MEND = "Train again with --force"


def write_record(folder: Path, record: RunRecord) -> None:
    """Write ``run.json`` with versions and time, replacing an older one."""
    record = replace(
        record,
        versions=provenance.versions(),
        git_commit=provenance.git_commit(),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        # Whether a lock shows that it is still running, see `comptool.io.runs.read_state`.
        held=bool(is_trained(folder)) if record.state == RUNNING else None,
    )
    with atomic_output(folder / RUN_JSON, force=True) as temporary:
        temporary.write_text(seal_text(record.document()), encoding="utf-8")


def finish_record(folder: Path, score: float | None, epoch: int | None) -> None:
    """Complete the ``run.json`` of a run that was killed when nothing else was left to do."""
    record = _record(folder)
    if record.state != FINISHED:
        write_record(folder, replace(record, state=FINISHED, held=None, score=score, epoch=epoch))


def _record(folder: Path) -> RunRecord:
    path = folder / RUN_JSON
    return parse(RunRecord, read_sealed(path, mend=MEND), path, mend=MEND)


def read_record(folder: Path) -> tuple[TrainSettings, Files]:
    """The settings and files in ``run.json``."""
    path = folder / RUN_JSON
    if not path.exists():
        raise InputError("there is no run to resume", file=folder, mend="Leave --resume out")
    record = _record(folder)
    known = {name: value for name, value in record.arguments.items() if name not in REMOVED}
    try:
        settings = parse(TrainSettings, known, path, place="arguments", mend=MEND, whole=True)
    except UsageError as error:
        raise InputError(f"its record is damaged: {error}", file=path, mend=MEND) from error
    return settings, parse(Files, record.files, path, place="files", mend=MEND, whole=True)


def run_folder(name: str | None, model: str, extra: Path | None) -> Path:
    """``weights/<name>``; by default the model's name, with the extra table's appended.

    Raises a UsageError if the name is blank, a path, or ``fold-<number>``; or the model is unknown.
    """
    if name is None:
        models.parse_name(model)
        return WEIGHTS / (model if extra is None else f"{model}-{extra.stem}")
    if Path(name).name != name or name.startswith((".", "-")) or not name.isprintable():
        raise UsageError(f"--run-name is {name!r}; it names one folder below {WEIGHTS}")
    if not name or name != name.strip():
        raise UsageError(f"--run-name is '{name}'; it needs a name without blanks around it")
    check_run_name("--run-name", name)
    if re.fullmatch(r"fold-\d+", name):
        raise UsageError(f"--run-name is '{name}'; folders of such names hold the folds of a run")
    return WEIGHTS / name


def has_begun(folder: Path) -> bool:
    """Whether a member has trained: otherwise it is resumed from the beginning.

    A run that was killed before its first ``last.pt`` has its settings in ``run.json`` alone.
    """
    return (folder / LAST).exists() or (folder / BEST).exists()


def check_folder(run: Path, *, force: bool, resume: bool) -> bool:
    """Check that the run is not in training, and its folder writable: new, resumed or replaced.

    Returns whether it holds a finished run of the running command line, see `stop_if_trained`.
    """
    refuse_held(run)
    refuse_existing(run / BEST, force=True)
    begun = [name for name in (BEST, LAST, RUN_JSON, OOF) if (run / name).exists()]
    if resume and not (run / RUN_JSON).exists():
        raise InputError("there is no run to resume", file=run, mend="Leave --resume out")
    if force or resume or not (begun or fold_folders(run)):
        return False
    other = "replace it by --force, or give another --run-name"
    if damage := damaged_record(run):
        what = f"holds a run already, whose record is damaged ({damage})"
        raise OutputExistsError(what, file=run, mend=other.capitalize())
    state, options = read_state(run), recorded_options(run)
    change = "" if options is None else options_changed("train", options)
    if state != FINISHED:
        state = "running, or killed" if state == RUNNING else state
        raise OutputExistsError(
            f"holds a run that is not finished ({state}){change}",
            file=run,
            mend=f"Go on with it by --resume, {other}",
        )
    if options is None or change:
        what = f"holds a finished run already{change}"
        raise OutputExistsError(what, file=run, mend=other.capitalize())
    return True


def recorded_options(run: Path) -> dict[str, Any] | None:
    """The command line in ``run.json``; None if it has none, or was written by another version."""
    try:
        record = parse(RunRecord, read_sealed(run / RUN_JSON), run / RUN_JSON)
    except InputError:
        return None
    return record.options if record.versions.get("comptool") == __version__ else None


def recorded_samples(run: Path) -> str | None:
    """The digest of rows and images in ``run.json``; None if it has none."""
    try:
        return parse(RunRecord, read_sealed(run / RUN_JSON), run / RUN_JSON).samples
    except InputError:
        return None


def stop_if_trained(
    run: Path,
    folders: Sequence[Path],
    inputs: Sequence[Path],
    *,
    samples: str,
    metric: str,
    metric_options: Mapping[str, Any],
) -> NoReturn:
    """End a training whose run is finished.

    Raises
    ------
    AlreadyDoneError
        If it was trained on ``inputs`` and ``samples``, a digest of rows and images, as they are
        now and validated by the metric, and its files are those that it wrote.
    OutputExistsError
        Otherwise.
    """
    now = provenance.hashes(inputs)
    other = ""
    for folder in folders:
        header = read_header(folder)
        if header.metric != metric:
            other = f", validated by {header.metric}, now {metric}"
        elif header.metric_options != metric_options:
            other = f", validated by {metric} with other [metric-options]"
        recorded = header.inputs
        more = provenance.hashes(Path(name) for name in recorded if name not in now)
        changed = [name for name, digest in (now | more).items() if recorded.get(name) != digest]
        if changed:
            other = f", trained before {changed[0]} changed"
    if not other and _record(run).samples != samples:
        other = f", trained on other rows or images, {provenance.OR_BEFORE}"
    if not other and all(map(is_consistent, {run, *folders})):
        raise AlreadyDoneError([run])
    raise OutputExistsError(
        f"holds a finished run already{other or ', whose files were changed'}",
        file=run,
        mend="Replace it by --force, or give another --run-name",
    )


def settle(
    folder: Path, given: Mapping[str, Any], *, resume: bool = False
) -> tuple[TrainSettings, Files]:
    """Settings and files of a run from the values of given options; others are ignored.

    ``resume`` takes options that are not given from the run, not the defaults. Raises a UsageError
    or InputError if settings are invalid, or must not change in a resumed run.
    """
    settings = {name: given[name] for name in _names(TrainSettings) if name in given}
    files = {name: given[name] for name in _names(Files) if name in given}
    if resume:
        refuse_held(folder)
        return resumed(folder, settings, files)
    if "folds" not in files and FOLDS.exists():
        files["folds"] = FOLDS
    return TrainSettings(**settings), Files(**files)


def resumed(
    folder: Path, settings: Mapping[str, Any], files: Mapping[str, Path]
) -> tuple[TrainSettings, Files]:
    """The settings and files of a resumed run, with the changes that are allowed.

    ``workers``, ``device``, ``compile``, ``cache`` and ``data_on`` may change; ``epochs`` may grow
    if the learning rate does not depend on it, so that the result equals an uninterrupted run.
    """
    own, own_files = read_record(folder)
    wanted = replace(own, **settings)
    changed = [name for name in settings if getattr(wanted, name) != getattr(own, name)]
    refused = [name for name in changed if name not in FREE_TO_CHANGE]
    if "epochs" in refused and _may_grow(own, wanted):
        refused.remove("epochs")
    kept = [_shown(name, getattr(own, name)) for name in refused]
    kept += [
        _shown(name, getattr(own_files, name))
        for name, path in files.items()
        if path != getattr(own_files, name)
    ]
    if kept:
        hint = ""
        if refused == ["epochs"]:
            hint = (
                "; epochs can only be added, and only with --schedule step or constant, or "
                "--cycle-epochs, whose learning rate does not depend on their number"
            )
        raise UsageError(
            f"a resumed run keeps its settings; {folder} was begun with {', '.join(kept)}{hint}. "
            "Leave them out, or start another run with --init-from"
        )
    return wanted, own_files


def _names(kind: type[TrainSettings] | type[Files]) -> list[str]:
    return [field.name for field in fields(kind)]


def _may_grow(own: TrainSettings, wanted: TrainSettings) -> bool:
    ends = own.schedule == "cosine" and own.cycle_epochs is None
    return wanted.epochs > own.epochs and not ends and wanted.warmup == own.warmup


def _shown(name: str, value: object) -> str:
    if value is None or value == ():
        return f"no {kebab(name)}"
    if isinstance(value, bool):
        return kebab(name) if value else f"no {kebab(name)}"
    return f"{kebab(name)} {' '.join(map(str, value)) if isinstance(value, tuple) else value}"


def parent_member(run: Path, fold: int | None) -> Path:
    """The folder of a run with the initial weights for a training on ``fold``."""
    folders = members(run)
    if folders == [run]:
        return run
    for folder in folders:
        if folder.name == f"fold-{fold}":
            return folder
    raise UsageError(
        f"{run} has {len(folders)} members; name the one to start from, such as --init-from "
        f"{folders[0]}"
    )


def check_parent(parent: Path, wanted: dict[str, Any]) -> None:
    """Check that a parent run has the same task, classes, modalities and model."""
    header = read_header(parent)
    models.check_recorded(header, parent / BEST)
    found = {**header.document(), "model": header.model.name}
    for key in ("task", "model", "modalities", "classes"):
        theirs, ours = found[key], wanted[key]
        if isinstance(theirs, str):
            if theirs != ours:
                by = f" by {variable}" if (variable := variable_of(key)) else ""
                raise InputError(
                    f"its {key} is '{theirs}' and this run's is '{ours}'{by}",
                    file=parent,
                    mend=f"Use --model {theirs}" if key == "model" else None,
                )
        elif list(theirs) != list(ours):
            raise InputError(
                _difference(key, list(theirs), list(ours)),
                file=parent,
                mend="A run starts only from one with the same classes and modalities",
            )


def find_leak(parent: Path, validated: Sequence[str]) -> str | None:
    """Why validation after ``--init-from`` is biased: rows not held out by ``parent``; or None."""
    if not validated:
        return None
    header = read_header(parent)
    if header.leak:
        return f"{parent}, which it starts from, has no clean validation: {header.leak}"
    held_out: set[str] = set()
    if (rows := held_out_images(parent)).exists():
        provenance.recall(rows)
        held_out = set(read_table(rows).iloc[:, 0])
    seen = sum(identity not in held_out for identity in validated)
    if not seen:
        return None
    return (
        f"{seen} of the {len(validated)} validated rows were not held out by {parent}, which it "
        "starts from"
    )


def _difference(key: str, theirs: list[str], ours: list[str]) -> str:
    if sorted(theirs) == sorted(ours):
        return f"its {key} are in another order ({', '.join(theirs[:3])}, ...)"
    more, fewer = sorted(set(theirs) - set(ours)), sorted(set(ours) - set(theirs))
    parts = [f"it has {', '.join(more[:3])}"] if more else []
    parts += [f"it lacks {', '.join(fewer[:3])}"] if fewer else []
    return f"its {key} are others: {' and '.join(parts)}"
