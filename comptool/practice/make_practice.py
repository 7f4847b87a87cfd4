"""The ``simulate`` command: a practice competition written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from comptool.errors import InputError, OutputError, OutputExistsError, UsageError
from comptool.io import provenance
from comptool.io.atomic import disk_error, refuse_existing, write_error
from comptool.io.leftovers import new_partial_folder, remove_leftovers
from comptool.machine import interrupts_wait, usable_cores
from comptool.practice.practice_registry import SIMULATIONS
from comptool.registry import refuse_unknown_options

J = TypeVar("J")
R = TypeVar("R")
COMMAND = "simulate"
CONTENTS = "contents"  # the fact that says what a practice competition held when made


@contextmanager
def whole_folder(output: Path, *, force: bool = False) -> Iterator[Path]:
    """A temporary folder beside ``output`` that becomes ``output`` when the block ends well.

    What stands there is replaced only with ``force``, and only if it is a practice competition that
    holds nothing but what comptool put there. Where the block fails it is left as it was.
    """
    check_folder(output, force=force)
    temporary: Path | None = None
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(output.parent)
        temporary = new_partial_folder(output)
        yield temporary
        temporary.chmod(0o755)
        _publish(temporary, output)
    except (OSError, OutputError) as error:
        if isinstance(error, OutputError) and disk_error(error) is None:
            raise
        # The user did not name the file inside it.
        raise write_error(output, error) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def check_folder(output: Path, *, force: bool) -> None:
    """Check that ``output`` can be made, before any work is done for it; see `whole_folder`."""
    if not output.exists():
        refuse_existing(output)
        return
    if not force:
        raise OutputExistsError("exists already", file=output, mend="Replace it with --force")
    record = provenance.recall(output)
    if not output.is_dir() or record is None or record.command != COMMAND:
        raise InputError(
            "is not a practice competition and is not replaced, even with --force", file=output
        )
    _refuse_strangers(output)
    refuse_existing(output.parent / f".{output.name}")


def _refuse_strangers(output: Path) -> None:
    # The record outlives a folder that is deleted and filled again, and people put their own files
    # next to the data; neither may be lost.
    recorded = provenance.facts(output, provenance.PracticeFacts).contents
    found = contents(output)
    changed = sorted(name for name in found if found[name] != recorded.get(name))
    if changed:
        raise InputError(
            "holds other files than comptool put there, and is not replaced, even with --force",
            file=output,
            values=changed,
            mend="Move them away, or give another -o",
        )


def contents(folder: Path) -> dict[str, str]:
    """What a folder holds: each entry with a digest of the names (not the bytes) beneath it."""
    held = {}
    for entry in sorted(folder.iterdir()):
        below = [entry, *(() if entry.is_symlink() else entry.rglob("*"))]
        names = "\n".join(sorted(path.relative_to(folder).as_posix() for path in below))
        held[entry.name] = hashlib.sha256(names.encode()).hexdigest()
    return held


def _publish(temporary: Path, output: Path) -> None:
    if not output.exists():
        temporary.rename(output)
        return
    # A folder cannot be replaced in one step; the old one goes only when the new one stands.
    with interrupts_wait():
        old = new_partial_folder(output)
        output.rename(old / output.name)
        temporary.rename(output)
    shutil.rmtree(old)


def in_parallel(
    work: Callable[[J], R], jobs: Sequence[J], *, processes: int | None, quiet: bool
) -> list[R]:
    """The results of all jobs, in order, computed on all cores or in as many processes as given.

    ``work`` is a function that other processes can import; what it writes may not depend on the
    order. One process is this one.
    """
    count = min(processes or usable_cores(), len(jobs))
    results = []
    bar = tqdm(total=len(jobs), unit="chunk", leave=False, disable=True if quiet else None)
    with bar:
        if count <= 1:
            for job in jobs:
                results.append(work(job))
                bar.update()
            return results
        # spawn: a fork of a process that has started threads may hang.
        context = get_context("spawn")
        with ProcessPoolExecutor(count, context, initializer=_follow_parent) as pool, _stopping():
            with _deaf_to_ctrl_c():
                # Not pool.map, which cancels jobs where the loop fails; Python 3.11 prints a
                # traceback when a pool breaks that has cancelled ones.
                coming = [pool.submit(work, job) for job in jobs]
            for future in coming:
                results.append(_result(future))
                bar.update()
    return results


def _result(future: Future[R]) -> R:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise InputError(
            "a process that draws was ended from outside, perhaps for want of memory; nothing was "
            "changed",
            mend="Use fewer with --workers",
        ) from error


def _follow_parent() -> None:
    """Let this worker end with the process that started it, even if that is killed."""
    parent = parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Processes started in this block never see Ctrl-C; this one sees it after the block."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _stopping() -> Iterator[None]:
    """Processes started in this block are ended at once where it fails, not after their jobs."""
    others = set(active_children())
    try:
        yield
    except BaseException:
        for worker in set(active_children()) - others:
            worker.terminate()
        raise


def write_png(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    """Write a grey (H, W) or colour (H, W, 3; blue first) image."""
    _, encoded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    path.write_bytes(encoded.tobytes())


# Keyword arguments of every simulation; all others are its own options.
SHARED = frozenset({"scale", "seed", "say", "processes", "quiet"})


def make(
    name: str,
    folder: Path,
    *,
    scale: float,
    seed: int,
    options: Mapping[str, Any],
    say: Callable[[str], None],
    processes: int | None = None,
    force: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Write a practice competition and its record, ``<folder>.meta.json``; give its facts.

    ``options`` are the simulation's own, ``say`` takes messages, ``processes`` is how many draw,
    None for one per core. ``force`` replaces a practice competition that stands there, and nothing
    else ever; a dry run checks, says what would be written and gives no facts.
    """
    entry = SIMULATIONS.find(name)
    own = [option for option in entry.options() if option not in SHARED]
    refuse_unknown_options(f"the practice competition '{name}'", options, own)
    if not 0 < scale <= 1:
        raise UsageError(f"--scale is {scale}; it has to be above 0 and at most 1")
    check_folder(folder, force=force)
    if dry_run:
        say(f"would write the practice competition '{name}' at scale {scale:g} to {folder}")
        return {}
    arguments = {"name": name, "scale": scale, "seed": seed, **options}
    with whole_folder(folder, force=force) as temporary:
        facts: dict[str, Any] = entry.load()(
            temporary, scale=scale, seed=seed, say=say, processes=processes, quiet=quiet, **options
        )
        # Again: drawing takes minutes, in which something may have been put there.
        check_folder(folder, force=force)
        # Before the folder is there: without its record it could not be replaced by --force.
        recorded = {**facts, CONTENTS: contents(temporary)}
        provenance.record(folder, command=COMMAND, arguments=arguments, facts=recorded)
    return facts
