"""Commands at the same time: what each leaves is what it leaves alone.

For each seed: eight trainings that fill one cache of decoded images, two of which are killed; two
trainings of one name, one of which has to be refused; a prediction during a training.
"""

from __future__ import annotations

import random
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.campaign import forked
from benchmarks.campaign.killing import Kill
from benchmarks.campaign.kills import difference, hidden
from benchmarks.campaign.states import PAIRS, Stage, States, contents, copy_state

TOGETHER, KILLED = 8, 2
FIRST_EVENT, LAST_EVENT = 3, 40  # of a training of 71 events: decoding, and the first checkpoint
WAIT = forked.NORMAL_SECONDS * TOGETHER


def campaign(
    folder: Path,
    seed: int,
    number: int,
    minutes: float,
    only: int | None = None,
    names: set[str] | None = None,
) -> dict[str, Any]:
    """``number`` seeds from ``seed`` on."""
    until = time.monotonic() + 60 * minutes
    states = States(folder)
    states.build({"infer"})
    faults: dict[str, list[str]] = {}
    tried = 0
    for one in range(seed, seed + number) if only is None else (only,):
        if time.monotonic() > until:
            break
        tried += 1
        for check in (one_cache, one_name, infer_and_train):
            found = check(states, one)
            if found:
                faults[f"{check.__name__}, seed {one}"] = found
                print(check.__name__, one, found, file=sys.stderr, flush=True)
    return {"seed": seed, "seeds": tried, "checks": 3 * tried, "wrong": len(faults), **faults}


def alone(states: States, before: Path, *commands: tuple[str, ...]) -> dict[str, str]:
    """Contents after commands one after the other."""
    copy_state(before, states.work)
    for command in commands:
        ended = forked.run(states.work, command)
        if ended.code != 0:
            raise RuntimeError(f"{' '.join(command)}: {ended.stderr}")
    return contents(states.work)


def one_cache(states: States, seed: int) -> list[str]:
    """Eight trainings fill one cache, two of them are killed and trained again."""
    before = states.stages["train"].before
    commands = [(*PAIRS, "--run-name", f"run{n}", "--seed", str(n), "--cache", "disk")
                for n in range(TOGETHER)]  # fmt: skip
    expected = alone(states, before, *commands)
    copy_state(before, states.work)
    draw = random.Random(seed)
    killed = set(draw.sample(range(TOGETHER), KILLED))
    kill = Kill(str(states.folder / "events.log"))
    running = []
    for n, command in enumerate(commands):
        at = draw.randint(FIRST_EVENT, LAST_EVENT)
        arm = replace(kill, number=at).arm if n in killed else None
        running.append(forked.start(states.work, command, arm))
    ended = [one.wait(WAIT) for one in running]
    faults = [f"run{n}: {one.code} {one.message}" for n, one in enumerate(ended)
              if n not in killed and one.code != 0]  # fmt: skip
    faults += [f"run{n} was not killed" for n in killed if ended[n].code != -9]
    for n in killed:
        again = forked.run(states.work, (*commands[n], "--force"))
        if again.code != 0:
            faults.append(f"run{n} again: {again.code} {again.message}")
    return faults + compared(expected, states.work)


def one_name(states: States, seed: int) -> list[str]:
    """Two trainings of one name: one is refused in a sentence, the other is not disturbed."""
    stage: Stage = states.stages["train"]
    copy_state(stage.before, states.work)
    first = forked.start(states.work, stage.step.arguments)
    time.sleep(random.Random(seed).uniform(0, 0.6))
    second = forked.start(states.work, stage.step.arguments)
    ended = sorted((one.wait(WAIT) for one in (first, second)), key=lambda one: str(one.code))
    codes = [one.code for one in ended]
    # The second may find the finished run, which is said and is no error.
    faults = [] if codes in ([0, 3], [0, 0]) else [f"they end with {codes}"]
    faults += [one.message for one in ended if one.fault]
    return faults + compared(contents(stage.after), states.work)


def infer_and_train(states: States, seed: int) -> list[str]:
    """A prediction by one run while another is trained."""
    before = states.stages["infer"].before
    commands = [(*PAIRS, "--run-name", "other", "--seed", str(seed)), ("infer", "a")]
    expected = alone(states, before, *commands)
    copy_state(before, states.work)
    ended = [one.wait(WAIT) for one in [forked.start(states.work, one) for one in commands]]
    faults = [f"{one.code} {one.message}" for one in ended if one.code != 0]
    return faults + compared(expected, states.work)


def compared(expected: dict[str, str], work: Path) -> list[str]:
    """Differences but for temporary files, which are the subject of `kills`."""
    found = {name: digest for name, digest in contents(work).items() if not hidden(name)}
    return difference(expected, found)
