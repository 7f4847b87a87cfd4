"""The training loop: epochs, validation, early stopping, and runs over folds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from comptool.data.dataset import Batch
from comptool.data.loader import naming_dead_loaders
from comptool.data.transfers import on_device
from comptool.device import memory_errors
from comptool.errors import InputError, UsageError
from comptool.io import provenance
from comptool.io.atomic import together
from comptool.io.locks import hold
from comptool.io.provenance import PredictionFacts
from comptool.io.records import Computed
from comptool.io.runs import (
    BEST,
    FINISHED,
    OOF,
    OOF_IMAGES,
    RUNNING,
    STOPPED,
    RunRecord,
    held_out_images,
)
from comptool.io.verification import run_digests
from comptool.training.auto_batch_size import with_batch_size
from comptool.training.checkpoint import (
    REPLACED,
    Checkpointer,
    asked_of,
    bring_back,
    columns,
    digests_of,
    fusion_columns,
    set_aside,
    write_oof,
)
from comptool.training.class_subset import kept_score
from comptool.training.data import Indices, TrainMember, TrainPlan, Validated
from comptool.training.distributed import Processes, joined
from comptool.training.nan_guard import BlankImages, Interruption, LossMonitor, blank_warnings
from comptool.training.resume import finish_record, write_record
from comptool.training.setup import TrainSession, identity, prepare
from comptool.training.train_step import TrainStep
from comptool.training.training_state import Progress
from comptool.training.validate import StoppedError, evaluate, has_numbers

INTERRUPTED = 130

Say = Callable[[str], None]


class Loop:
    """The training loop of one member; resumes from ``progress``."""

    def __init__(
        self, session: TrainSession, progress: Progress, keeper: Checkpointer, say: Say, quiet: bool
    ) -> None:
        self.session = session
        self.progress = progress
        self.keeper = keeper
        self.say = say
        self.quiet = quiet or not session.processes.first
        self.interruption = Interruption()
        self._blank = BlankImages()
        self._update = TrainStep(session, progress.at_once, say)
        late = session.processes.device.type == "cuda"
        self._watch = LossMonitor(session.processes, late=late)

    def run(self) -> None:
        """Train until the last epoch or early stopping."""
        with self.interruption:
            while not self.progress.finished:
                self._train()
                started = perf_counter()
                found = self._validate()
                self._close(found, perf_counter() - started)

    def save(self) -> None:
        """Write ``last.pt``."""
        self.keeper.save(self.progress, self.session)

    def _train(self) -> None:
        """The remaining updates of an epoch."""
        session, progress = self.session, self.progress
        session.begin_epoch(progress.epoch)
        session.batches.set_epoch(progress.epoch, progress.update * session.settings.grad_accum)
        self._watch.begin(progress.loss_sum)
        self._mark = perf_counter()
        batches = self._moved(session.train_loader)
        with self._bar() as bar:
            while progress.update < session.updates_per_epoch:
                with session.phase("wait"):
                    window = self._window(batches, bar)
                self._watch.add(self._update(window, progress.epoch, progress.update))
                bar.update(session.processes.size * self._count(window))
                self._look_if_due(bar)
            self._look(bar, wait=True)

    def _moved(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        session = self.session
        return on_device(batches, session.processes.device, asynchronous=session.asynchronous)

    def _window(self, batches: Iterator[Batch], bar: tqdm[Any]) -> list[Batch]:
        try:
            with memory_errors():
                return list(islice(batches, self.session.settings.grad_accum))
        except torch.OutOfMemoryError as error:
            raise UsageError(
                f"the memory of {self.session.processes.device} does not hold a batch of images "
                "and the model; take a smaller --batch-size, or --data-on cpu"
            ) from error
        except RuntimeError:
            # The signal may have ended the workers first.
            if not self.interruption.requested:
                raise
            if self.session.processes.size == 1:
                self._look(bar, wait=True)
            # The other processes are within an update: keep the last epoch's state.
            raise SystemExit(INTERRUPTED) from None

    def _count(self, window: Sequence[Batch]) -> int:
        """Record an update; returns the number of its samples."""
        progress = self.progress
        seen = sum(map(self.session.seen, window))
        if not progress.epoch:
            for batch in window:
                self._blank.look(batch)
        progress.update += 1
        progress.seen += seen
        progress.at_once = self._update.at_once
        return seen

    def _look_if_due(self, bar: tqdm[Any]) -> None:
        processes = self.session.processes
        if processes.size == 1 and self.interruption.requested:
            self._look(bar, wait=True)
        elif self.progress.update % processes.check_every == 0:
            self._look(bar, wait=False)

    def _look(self, bar: tqdm[Any], *, wait: bool) -> None:
        """Check for a divergent loss and for a stop request."""
        progress = self.progress
        sight = self._watch.look(progress.seen, self.interruption.requested, wait=wait)
        if sight is None:
            return
        if sight.diverged:
            raise self._diverged("training")
        bar.set_postfix(loss=f"{sight.loss_sum / max(sight.seen, 1):.4f}", refresh=False)
        if sight.stop and not wait:
            self._look(bar, wait=True)  # save the current loss
        if wait:
            progress.loss_sum = sight.loss_sum
            progress.seconds += perf_counter() - self._mark
            self._mark = perf_counter()
            if sight.stop:
                self._stop()

    def _validate(self) -> Validated | None:
        """Probabilities and loss of the validation rows; None without validation."""
        session = self.session
        if session.valid_loader is None:
            if not has_numbers(session.optimisation.evaluated):
                raise self._diverged("training")
            return None
        alone = session.processes.size == 1
        try:
            with memory_errors():
                found = evaluate(
                    session.optimisation.evaluated,
                    self._moved(session.valid_loader),
                    session.transform,
                    session.criterion,
                    session.processes,
                    # Several processes stop only between updates.
                    lambda: alone and self.interruption.requested,
                    task=session.task,
                    counted=session.counted,
                    bags=session.valid_bags,
                )
        except StoppedError:
            self._stop()
        except torch.OutOfMemoryError as error:
            raise UsageError(
                f"the memory of {session.processes.device} does not hold the validation, which "
                "takes twice as many images to the device as training; take a smaller --batch-size"
            ) from error
        tables = [one for one in (found.probabilities, found.pooled) if one is not None]
        if not all(np.isfinite(one).all() for one in tables):
            raise self._diverged("validation")
        return found

    def _close(self, found: Validated | None, seconds: float) -> None:
        """End an epoch: metrics, best checkpoint, state and early stopping."""
        progress, settings = self.progress, self.session.settings
        score = None if found is None else self.keeper.score(found)
        improved = self._improved(score)
        row = self._row(score, None if found is None else found.loss, seconds)
        progress.history.append(row)
        progress.stale += 1
        if improved:
            progress.best_score, progress.best_epoch = score, progress.epoch + 1
            progress.stale = 0
        progress.next_epoch()
        if progress.epoch >= settings.epochs:
            progress.finished = "epochs"
        elif settings.patience is not None and progress.stale >= settings.patience:
            progress.finished = "patience"
        best = self.session.optimisation.evaluated if improved else None
        self.keeper.publish(progress, best, found)
        self.save()
        self.say(_line(row, settings.epochs, improved))
        if progress.epoch == 1:
            for sentence in self._blank_images():
                self.say(sentence)
        if progress.finished == "patience":
            self.say(
                f"stopped: no better {self.keeper.metric} in {progress.stale} epochs; the best "
                f"checkpoint is that of epoch {progress.best_epoch}"
            )
        self.session.processes.wait()

    def _blank_images(self) -> list[str]:
        found = set().union(*self.session.processes.gather(self._blank.found))
        plan = self.keeper.plan
        return blank_warnings(found, plan.modalities, plan.rows.ids(self.keeper.member.train))

    def _improved(self, score: float | None) -> bool:
        best = self.progress.best_score
        if score is None or best is None:
            return True
        return score > best if self.keeper.greater_is_better else score < best

    def _row(
        self, score: float | None, val_loss: float | None, seconds: float
    ) -> dict[str, float | int | None]:
        """The epoch's row of ``metrics.csv``, over all processes."""
        progress = self.progress
        loss_sum, seen = self._totals()
        values = (
            progress.epoch + 1,
            self.session.optimisation.lr,
            loss_sum / seen,
            val_loss,
            score,
            round(progress.seconds + seconds, 3),
            round(seen * self.session.batches.images_per_draw / progress.seconds, 1),
        )
        row = dict(zip(columns(self.keeper.metric), values, strict=True))
        row |= fusion_columns(self.session.optimisation.evaluated)
        return row | (self.session.gradients.read() if self.session.gradients else {})

    def _totals(self) -> tuple[float, int]:
        """Loss sum and samples of the epoch so far, over all processes."""
        mine = (self.progress.loss_sum, self.progress.seen)
        shares = self.session.processes.gather(mine)
        return sum(loss for loss, _ in shares), sum(seen for _, seen in shares)

    def _stop(self) -> NoReturn:
        progress = self.progress
        progress.loss_sum, progress.seen = self._totals()
        self.save()
        if not self.session.processes.first:
            raise SystemExit(INTERRUPTED)  # only the first prints the message
        raise KeyboardInterrupt(
            f"stopped in epoch {progress.epoch + 1} of {self.session.settings.epochs} after "
            f"{progress.update} of {self.session.updates_per_epoch} updates; continue with: "
            f"{self.keeper.go_on}"
        )

    def _diverged(self, where: str) -> InputError:
        progress = self.progress
        kept = "no checkpoint was kept yet"
        if progress.best_epoch is not None:
            kept = f"the best checkpoint is that of epoch {progress.best_epoch}"
        return InputError(
            f"the loss became NaN or infinite in epoch {progress.epoch + 1} ({where}); {kept}",
            file=self.keeper.folder,
            mend="Start again with a lower --lr, with --clip-grad 1, or with --amp off",
        )

    def _bar(self) -> tqdm[Any]:
        session, progress = self.session, self.progress
        return tqdm(
            total=session.batches.num_draws,
            initial=progress.seen,  # of a resumed epoch, over all processes
            desc=f"epoch {progress.epoch + 1}/{session.settings.epochs}",
            unit=self.session.unit.removesuffix("s").replace("image", "img"),
            leave=False,
            disable=True if self.quiet else None,  # None: no bar without a terminal
        )


def _line(row: Mapping[str, float | int | None], epochs: int, improved: bool) -> str:
    epoch, lr, train_loss, val_loss, score, seconds, speed, *_ = row.items()
    text = f"epoch {epoch[1]}/{epochs}: lr {lr[1]:.3g}, train loss {train_loss[1]:.4f}"
    if score[1] is not None:
        text += f", val loss {val_loss[1]:.4f}, {score[0]} {score[1]:.4f}"
    return text + f", {speed[1]:.0f} images/s, {seconds[1]:.1f} s" + " (best)" * improved


@dataclass(frozen=True)
class TrainOutcome:
    """Result of a training."""

    run: Path
    metric: str
    score: float | None  # of the best checkpoint, or out of fold; None without validation
    epoch: int | list[int] | None  # of the best checkpoint, from 1; of each with --fold all
    seconds: float  # since this start

    def document(self) -> dict[str, object]:
        """The outcome as JSON values."""
        return {
            "run": str(self.run),
            "metric": self.metric,
            "score": self.score,
            "epoch": self.epoch,
            "seconds": round(self.seconds, 3),
        }


def train(
    plan: TrainPlan, say: Say, *, quiet: bool = False, force: bool = False
) -> TrainOutcome | None:
    """Run a training planned by :func:`comptool.training.data.make_plan`.

    ``quiet`` hides the progress bar, ``force`` replaces an existing run. Returns None in all
    processes but the first.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, with the command to resume.
    UsageError
        If the device, an option of the loss or the number of processes does not fit.
    InputError
        If a file cannot be used or written, or the loss diverges.
    """
    started = perf_counter()
    deterministic = plan.settings.deterministic
    with (
        joined(plan.settings.device, deterministic=deterministic) as processes,
        ExitStack() as training,
        naming_dead_loaders(),
    ):
        if not processes.first:
            say = _nothing
        plan = with_batch_size(plan, processes, say)
        begin = partial(_begin, plan, processes, force, training, say)
        epoch: int | list[int] | None
        if plan.folded:
            score, epoch = _train_folds(plan, processes, say, quiet, begin)
        else:
            end, _ = _train_member(plan, plan.members[0], processes, say, quiet, begin)
            score, epoch = end.best_score, end.best_epoch
        if not processes.first:
            return None
    return TrainOutcome(plan.run, plan.metric.name, score, epoch, perf_counter() - started)


def _nothing(*_: object) -> None:
    pass


def _begin(
    plan: TrainPlan, processes: Processes, force: bool, training: ExitStack, say: Say
) -> None:
    """Lock and empty the run folder, once everything is checked."""
    if not processes.first:
        return
    training.enter_context(hold(plan.run))
    if force:
        set_aside(plan.run)
    training.push(partial(_keep_replaced, plan.run, say))
    if plan.folded:
        digests = run_digests(plan.run) or None
        record = replace(asked_of(plan), num_folds=len(plan.members), digests=digests)
        write_record(plan.run, replace(record, state=RUNNING))
        training.push(partial(_note_stop, plan.run, record))


def _keep_replaced(run: Path, say: Say, kind: type[BaseException] | None, *_: object) -> None:
    """After an error before the first checkpoint, bring the run back that was to be replaced.

    A run that was stopped is to go on: then it is kept until there is a checkpoint.
    """
    if kind is None or not (run / REPLACED).is_dir():
        return
    if not issubclass(kind, Exception):
        say(f"{run / REPLACED} keeps the run before until there is a new checkpoint")
    elif bring_back(run):
        say(f"{run} is again the run that was to be replaced")


def _note_stop(run: Path, record: RunRecord, kind: type[BaseException] | None, *_: object) -> None:
    """Record that a run over folds was stopped."""
    if kind is not None:
        with suppress(InputError):
            write_record(run, replace(record, state=STOPPED))


def _train_folds(
    plan: TrainPlan, processes: Processes, say: Say, quiet: bool, begin: Callable[[], None]
) -> tuple[float | None, list[int]]:
    """Train the unfinished members; returns the out-of-fold score and the best epochs."""
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
    plan: TrainPlan,
    member: TrainMember,
    processes: Processes,
    say: Say,
    quiet: bool,
    begin: Callable[[], None],
) -> tuple[Progress, bool]:
    """Train a member; returns its progress, and whether there was anything to do."""
    ready = prepare(plan, member, processes, say)
    if ready.session is None:
        if processes.first:
            finish_record(member.folder, ready.progress.best_score, ready.progress.best_epoch)
        return ready.progress, False
    ready.session.decode_once(say, quiet)
    keeper = Checkpointer(plan, member, ready.header, identity(plan, processes), processes.first)
    begin()
    loop = Loop(ready.session, ready.progress, keeper, say, quiet)
    record = replace(
        asked_of(plan),
        fold=member.fold,
        way=asdict(ready.session.compute),
    )
    _run(loop, keeper, record)
    return ready.progress, True


def _computed(session: TrainSession, progress: Progress) -> Computed:
    """What the run really uses so far."""
    processes = session.processes
    fallbacks = list(processes.fallbacks)
    if progress.at_once is not None:
        fallbacks.append(f"out of memory: at most {progress.at_once} images at once")
    cuda = processes.device.type == "cuda"
    return Computed(
        device=str(processes.device),
        card=torch.cuda.get_device_name(processes.device) if cuda else None,
        backend="torch",
        precision=session.precision.name,
        tf32=session.tf32,
        compiled=session.compute.compiled,
        asynchronous_copies=cuda and session.asynchronous,
        deterministic=session.settings.deterministic,
        fallbacks=fallbacks,
    )


def _run(loop: Loop, keeper: Checkpointer, begun: RunRecord) -> None:
    """Run the loop, and record its state before and after."""
    progress = loop.progress
    keeper.begin(progress)

    def record(known: RunRecord) -> None:
        keeper.record(replace(known, computed=_computed(loop.session, progress)), progress)

    record(replace(begun, state=RUNNING))
    try:
        # So that a run killed in its first epoch can be resumed.
        loop.save()
        loop.run()
    except BaseException as error:
        # The error that stopped the run is the better message.
        with suppress(InputError):
            record(replace(begun, state=STOPPED))
        if isinstance(error, KeyboardInterrupt) and not str(error):
            raise KeyboardInterrupt(f"interrupted; continue with: {keeper.go_on}") from error
        raise
    end = replace(begun, score=progress.best_score, epoch=progress.best_epoch)
    record(replace(end, state=FINISHED))
    # Ctrl-C after the last update: the next fold, if there is one, is not begun.
    if any(loop.session.processes.gather(loop.interruption.requested)):
        if not loop.session.processes.first:
            raise SystemExit(INTERRUPTED)
        raise KeyboardInterrupt(
            f"stopped when {keeper.folder} was finished; continue with: {keeper.go_on}"
        )


def _join_folds(plan: TrainPlan, *, write: bool) -> float:
    """Out-of-fold score of all members; writes the joint ``oof.csv`` in the table's order."""
    firsts = {member.folder: plan.rows.answered(member.valid) for member in plan.members}
    judged = _in_table_order(plan, firsts, lambda folder: folder / OOF)
    score = kept_score(plan.metric, plan.rows.labels[judged[0]], judged[1], plan.dropped)
    if not write:
        return score
    images = _in_table_order(
        plan, {member.folder: member.valid for member in plan.members}, held_out_images
    )
    leaks = [provenance.facts(member.folder / OOF, PredictionFacts).leak for member in plan.members]
    leak = next((leak for leak in leaks if leak), None)
    parts_read = [
        f"{member.folder.name}/{name}"
        for member in plan.members
        for name in (BEST, OOF, OOF_IMAGES)
    ]
    record = replace(asked_of(plan), state=FINISHED, num_folds=len(plan.members), score=score)
    with together():
        write_oof(plan.run, plan, judged, images, leak)
        digests = digests_of(plan.run, [OOF, OOF_IMAGES, *parts_read])
        write_record(plan.run, replace(record, digests=digests))
    return score


def _in_table_order(
    plan: TrainPlan, rows: Mapping[Path, Indices], file: Callable[[Path], Path]
) -> tuple[Indices, npt.NDArray[np.float32]]:
    """Row numbers, ascending, and probabilities of a file of each member, which has these rows."""
    parts = [plan.rows.task.read(file(folder)).probabilities for folder in rows]
    numbers = np.concatenate(list(rows.values()))
    order = np.argsort(numbers, kind="stable")
    return numbers[order], np.concatenate(parts)[order].astype(np.float32)
