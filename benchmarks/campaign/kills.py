"""Commands killed at the events that change files, then repeated and compared.

A first run counts the events of each command; the kills are spread evenly over the commands and
over the events of each. After a kill the command is repeated as its message says: alone, with
``--resume`` or with ``--force``. Found are: a file torn under its final name, an earlier file lost,
a temporary file left, a result that differs from that without a kill, a traceback, a hang.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.campaign import forked
from benchmarks.campaign.killing import Kill
from benchmarks.campaign.states import (
    Stage,
    States,
    content,
    contents,
    copy_state,
    files_of,
)

REPEATS = 4
MANY, LAST = 200, 30
SHOWN = 6
# Of ten kills of a command: seven at events, two in a worker, if it has any, one by size.
WORKER_SHARE, SIZE_SHARE = 0.2, 0.12


@dataclass(frozen=True)
class Counted:
    """What a command does without a kill: events of the main process and of one worker, sizes."""

    main: int
    worker: int
    sizes: list[int]


@dataclass(frozen=True)
class Case:
    """One kill of one step."""

    number: int
    step: str
    role: str
    at: int

    @property
    def where(self) -> str:
        """In words."""
        return f"{self.role} {self.at}"


def count(stage: Stage, states: States) -> Counted:
    """Run a step whole, and check that it gives what it gave before."""
    log = states.folder / "events.log"
    log.unlink(missing_ok=True)
    copy_state(stage.before, states.work)
    ended = forked.run(states.work, stage.step.arguments, Kill(str(log)).arm)
    differing = difference(contents(stage.after), contents(states.work))
    if ended.code != 0 or differing:
        raise RuntimeError(f"{stage.step.name} is not repeatable: {differing} {ended.message}")
    events = Counter(tuple(line.split("\t")[:2]) for line in log.read_text().splitlines())
    of = {role: [events[key] for key in events if key[0] == role] for role in ("main", "worker")}
    old = contents(stage.before)
    written = [name for name, now in contents(states.work).items() if old.get(name) != now]
    sizes = sorted({(states.work / name).stat().st_size for name in written} - {0})
    return Counted(sum(of["main"]), min(of["worker"], default=0), sizes)


def plan(counted: dict[str, Counted], number: int, seed: int) -> list[Case]:
    """Kills spread evenly over the steps, and over the events of each."""
    names = list(counted)
    cases = []
    for index, name in enumerate(names):
        kills = number // len(names) + (index < number % len(names))
        of = counted[name]
        draw = random.Random(f"{seed} {name}")
        worker = max(round(kills * WORKER_SHARE), 1) if of.worker and kills > 1 else 0
        size = round(kills * SIZE_SHARE + draw.random() * 0.5) if of.sizes and kills > 1 else 0
        main = kills - worker - size
        cases += [(name, "main", place) for place in spread(of.main, main, draw)]
        cases += [(name, "worker", place) for place in spread(of.worker, worker, draw)]
        # Just below the size of a file its last write is cut.
        cases += [
            (name, "size", max(int(draw.choice(of.sizes) * draw.uniform(0.1, 0.99)), 1))
            for _ in range(size)
        ]
    random.Random(seed).shuffle(cases)
    return [Case(number, *case) for number, case in enumerate(cases)]


def spread(events: int, kills: int, draw: random.Random) -> list[int]:
    """Places 1 to ``events``, one in each of ``kills`` equal parts; of many, a third at the end."""
    # Of thousands of images the last events, which give names, would be missed.
    late = kills // 3 if events > MANY else 0
    part = events / max(kills - late, 1)
    places = [min(int((n + draw.random()) * part) + 1, events) for n in range(kills - late)]
    return places + [events - draw.randrange(LAST) for _ in range(late)]


def difference(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """Names of the files that are missing, differ or are too many."""
    names = expected.keys() | found.keys()
    return sorted(
        f"{name}: "
        + ("missing" if name not in found else "extra" if name not in expected else "differs")
        for name in names
        if expected.get(name) != found.get(name)
    )


def hidden(name: str) -> bool:
    """Whether a file, or a folder that it is in, has a name for the time of writing."""
    return any(part.startswith(".") for part in Path(name).parts)


def still_there(path: Path) -> bool:
    """Whether an earlier file exists, or is of a run that ``train --force`` replaces.

    That one is kept in ``replaced`` until the new one has a checkpoint, from which it goes on.
    """
    replaced = path.parent / "replaced"
    return path.exists() or (replaced / path.name).exists() or (path.parent / "last.pt").exists()


def torn_or_lost(before: dict[str, str], after: dict[str, str], work: Path) -> list[str]:
    """Faults of the files as a kill leaves them: final names only."""
    # A practice competition that is replaced has other images.
    kept = [name for name in before if name in after]
    found = [f"{name}: lost by the kill" for name in kept if not still_there(work / name)]
    for name in files_of(work):
        if hidden(name):
            continue
        now = content(work / name)
        if now in (before.get(name), after.get(name)):
            continue
        # A training writes these again after each epoch.
        if work.joinpath(name).name in ("run.json", "last.pt", "metrics.csv", "best.safetensors",
                                        "oof.csv", "oof.csv.meta.json"):  # fmt: skip
            if now.startswith("unreadable"):
                found.append(f"{name}: torn by the kill")
            continue
        found.append(f"{name}: torn by the kill")
    return found


def strike(case: Case, stage: Stage, states: States) -> dict[str, Any] | None:
    """One kill and what follows; None if it did not hit."""
    before, after = contents(stage.before), contents(stage.after)
    log = states.folder / "events.log"
    log.unlink(missing_ok=True)
    copy_state(stage.before, states.work)
    kill = (
        Kill(str(log), "main", None, case.at)
        if case.role == "size"
        else Kill(str(log), case.role, case.at)
    )
    ended = forked.run(states.work, stage.step.arguments, kill.arm)
    lines = log.read_text().splitlines() if log.exists() else []
    struck = [line.split("\t")[3] for line in lines if line.endswith("\tkill")]
    if case.role == "size":
        if ended.code != -25:  # SIGXFSZ
            return None
    elif not struck:
        return None
    faults = torn_or_lost(before, after, states.work)
    if case.role == "worker" and ended.fault in ("hang", "traceback"):
        faults.append(f"a killed worker ends the command by a {ended.fault}: {ended.message}")
    seconds = ended.seconds
    arguments = list(stage.step.arguments)
    messages = []
    for _ in range(REPEATS):
        repeated = forked.run(states.work, arguments)
        seconds += repeated.seconds
        if repeated.fault:
            faults.append(f"the second command ends by a {repeated.fault}: {repeated.message}")
            break
        if repeated.code == 0:
            break
        messages.append(repeated.message)
        more = remedy(repeated.message, arguments)
        if more is None:
            break
        arguments = more
    refused = repeated.code not in (0, None) and not repeated.fault
    left = [name for name in files_of(states.work) if name not in after and hidden(name)]
    faults += [f"{name}: left after the second command" for name in left]
    if repeated.code == 0:
        found = {name: digest for name, digest in contents(states.work).items() if name not in left}
        faults += difference(after, found)
    return {
        "case": case.number,
        "step": case.step,
        "at": case.where,
        "event": struck[0] if struck else "",
        "verdict": "wrong" if faults else "refused" if refused else "equal",
        "faults": [*faults[:SHOWN], *([f"{len(faults)} in all"] if len(faults) > SHOWN else [])],
        "messages": messages,
        "seconds": round(seconds, 2),
    }


def kinds(faults: list[str]) -> set[str]:
    """Faults without names of files and messages."""
    return {" ".join(fault.split(": ")[1 if ": " in fault else 0].split()[:6]) for fault in faults}


def remedy(message: str, arguments: list[str]) -> list[str] | None:
    """The command that a message asks for; None if it names no option that was not given yet."""
    if (
        "--resume" in message
        and "Leave --resume out" not in message
        and "--resume" not in arguments
    ):
        return [argument for argument in arguments if argument != "--force"] + ["--resume"]
    if "Leave --resume out" in message and "--resume" in arguments:
        return [argument for argument in arguments if argument != "--resume"]
    if "--force" in message and "--force" not in arguments:
        return [argument for argument in arguments if argument != "--resume"] + ["--force"]
    return None


def campaign(
    folder: Path,
    seed: int,
    number: int,
    minutes: float,
    only: int | None = None,
    names: set[str] | None = None,
) -> dict[str, Any]:
    """Kill ``number`` times, or the one numbered ``only``; steps of ``names`` or all."""
    until = time.monotonic() + 60 * minutes
    states = States(folder)
    states.build(names)
    stages = {
        name: stage for name, stage in states.stages.items() if names is None or name in names
    }
    counted = {name: count(stage, states) for name, stage in stages.items()}
    results: list[dict[str, Any]] = []
    missed = 0
    for case in plan(counted, number, seed):
        if only is not None and case.number != only:
            continue
        if time.monotonic() > until:
            break
        result = strike(case, stages[case.step], states)
        if result is None:
            # A worker with fewer images, a file that was not written anew: the same role, sooner.
            sooner = Case(case.number, case.step, case.role, max(case.at // 2, 1))
            result = strike(sooner, stages[case.step], states)
        if result is None:
            missed += 1
            continue
        results.append(result)
        if result["verdict"] != "equal":
            print(result, file=sys.stderr, flush=True)
    verdicts = Counter(result["verdict"] for result in results)
    return {
        "seed": seed,
        "asked": number,
        "kills": len(results),
        "did not hit": missed,
        "of them": dict(Counter(result["at"].split()[0] for result in results)),
        "events": {name: [found.main, found.worker] for name, found in counted.items()},
        **{verdict: verdicts[verdict] for verdict in ("equal", "refused", "wrong")},
        "faults": dict(Counter(kind for result in results for kind in kinds(result["faults"]))),
        "messages": dict(Counter(m for result in results for m in result["messages"])),
        "findings": [result for result in results if result["verdict"] == "wrong"],
    }
