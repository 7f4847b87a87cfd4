"""A planned training from its first to its last file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np

from comptool import provenance
from comptool.errors import InputError
from comptool.holding import hold
from comptool.predictions import read_predictions
from comptool.runs import OOF, RUNNING
from comptool.training.batch_size import with_batch_size
from comptool.training.keeping import Keeper, clear, write_oof
from comptool.training.loop import Loop
from comptool.training.plan import Member, Plan
from comptool.training.preparation import identity, prepare
from comptool.training.processes import Processes, joined
from comptool.training.record import write_record
from comptool.training.stages import kept_score
from comptool.training.state import Progress

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What a training gave.

    Parameters
    ----------
    run
        Its folder.
    metric
        Name of the metric.
    score
        Of the best checkpoint or, for ``--fold all``, of all rows out of fold; None without
        validation.
    epoch
        Of the best checkpoint, from 1; for ``--fold all`` one per member.
    seconds
        Spent now.
    """

    run: Path
    metric: str
    score: float | None
    epoch: int | list[int] | None
    seconds: float

    def document(self) -> dict[str, object]:
        """The outcome as JSON values."""
        return {
            "run": str(self.run),
            "metric": self.metric,
            "score": self.score,
            "epoch": self.epoch,
            "seconds": round(self.seconds, 3),
        }


def train(plan: Plan, say: Say, *, quiet: bool = False, force: bool = False) -> Outcome | None:
    """Train what is planned.

    Parameters
    ----------
    plan
        Checked by :func:`comptool.training.plan.make_plan`.
    say
        Takes messages.
    quiet
        Whether there is no bar.
    force
        Whether a run in the folder is replaced.

    Returns
    -------
    Outcome or None
        None in the processes of a ``torchrun`` that do not speak.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, with the line to go on by.
    UsageError
        If the device, an option of the loss or the number of processes does not fit.
    InputError
        If a file cannot be used or written, or the loss is no longer a number.
    """
    started = perf_counter()
    with joined(plan.settings.device) as processes, ExitStack() as training:
        if not processes.first:
            say = _silent
        plan = with_batch_size(plan, processes, say)
        begin = partial(_begin, plan, processes, force, training)
        epoch: int | list[int] | None
        if plan.folded:
            score, epoch = _train_folds(plan, processes, say, quiet, begin)
        else:
            end, _ = _train_member(plan, plan.members[0], processes, say, quiet, begin)
            score, epoch = end.best_score, end.best_epoch
        if not processes.first:
            return None
    return Outcome(plan.run, plan.metric, score, epoch, perf_counter() - started)


def _silent(text: str) -> None:
    pass


def _nothing() -> None:
    pass


def _begin(plan: Plan, processes: Processes, force: bool, training: ExitStack) -> None:
    """What is done to the run's folder once nothing can be wrong any more."""
    if not processes.first:
        return
    training.enter_context(hold(plan.run))
    if force:
        clear(plan.run)
    if plan.folded:
        facts = {"metric": plan.metric, "num_folds": len(plan.members)}
        record = partial(write_record, plan.run, plan.settings, plan.files, facts=facts)
        record(RUNNING)
        training.push(partial(_note_stop, record))


def _note_stop(record: Callable[[str], None], kind: type[BaseException] | None, *_: object) -> None:
    """Write down that a folded run was stopped, as `_run` does of every fold."""
    if kind is not None:
        with suppress(InputError):
            record("stopped")


def _train_folds(
    plan: Plan, processes: Processes, say: Say, quiet: bool, begin: Callable[[], None]
) -> tuple[float | None, list[int]]:
    """Train the members that are not finished; score of all rows, and the members' epochs."""
    ends = []
    for member in plan.members:
        ends.append(_train_member(plan, member, processes, say, quiet, begin))
        if ends[-1][1]:
            begin = _nothing
    epochs = [end.best_epoch or 0 for end, _ in ends]
    if not processes.first:
        return None, epochs
    changed = any(trained for _, trained in ends) or not (plan.run / OOF).exists()
    return _join_folds(plan, write=changed), epochs


def _train_member(
    plan: Plan,
    member: Member,
    processes: Processes,
    say: Say,
    quiet: bool,
    begin: Callable[[], None],
) -> tuple[Progress, bool]:
    """Train a member; how far it is, and whether anything was left to do."""
    ready = prepare(plan, member, processes, say)
    if ready.session is None:
        return ready.progress, False
    ready.session.decode_once(say, quiet)
    keeper = Keeper(plan, member, ready.header, identity(plan, processes), processes.first)
    begin()
    loop = Loop(ready.session, ready.progress, keeper, say, quiet)
    facts = {"device": str(processes.device), "precision": ready.session.precision.name}
    _run(loop, keeper, **facts, way=asdict(ready.session.compute))
    return ready.progress, True


def _run(loop: Loop, keeper: Keeper, **facts: object) -> None:
    """The loop between two records of its state."""
    progress = loop.progress

    def record(state: str, **end: object) -> None:
        split = {} if progress.at_once is None else {"images_at_once": progress.at_once}
        keeper.record(state, **facts, **split, **end)

    record(RUNNING)
    try:
        # At once, so that a run that is killed in its first epoch can be resumed too.
        loop.save()
        loop.run()
    except BaseException:
        # If this cannot be written either, what stopped the run is the better message.
        with suppress(InputError):
            record("stopped")
        raise
    record("finished", score=progress.best_score, epoch=progress.best_epoch)


def _join_folds(plan: Plan, *, write: bool) -> float:
    """Score of all folds together; writes their ``oof.csv``, in the table's order."""
    task = plan.competition.task
    parts = [read_predictions(member.folder / OOF, task=task) for member in plan.members]
    rows = np.concatenate([member.valid for member in plan.members])
    order = np.argsort(rows, kind="stable")
    probabilities = np.concatenate([part.probabilities for part in parts])[order]
    rows = rows[order]
    score = kept_score(plan.metric, plan.rows.labels[rows], probabilities, plan.dropped)
    if not write:
        return score
    leaks = [provenance.facts(member.folder / OOF).get("leak") for member in plan.members]
    write_oof(
        plan.run,
        plan,
        np.array(plan.rows.ids(rows), dtype=object),
        plan.rows.fold[rows],
        probabilities.astype(np.float32),
        {"leak": next((leak for leak in leaks if leak), None)},
    )
    facts = {"metric": plan.metric, "num_folds": len(plan.members), "score": score}
    write_record(plan.run, plan.settings, plan.files, "finished", facts)
    return score
