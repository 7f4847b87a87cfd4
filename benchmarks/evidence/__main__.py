"""Run a part of the study and print what it found as JSON.

    python -m benchmarks.evidence PART [--repeats 100] [--seed 0] [--only SETTING ...]
                                  [--logits FOLDER] [-o FILE]

Every part is a module of this folder with ``study(options) -> dict``. A rate is printed as
``[rate, low, high]``, with the exact binomial interval of 95 %. ``--logits`` adds a setting of real
logits: ``labels.npy`` and one ``NAME.npy`` for each member.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib import import_module
from pathlib import Path

OTHERS = {"__init__", "__main__", "families", "rates"}
PARTS = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in OTHERS)


def main() -> None:
    """Run, print and, with ``-o``, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", metavar="SETTING")
    parser.add_argument("--logits", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    start = time.perf_counter()
    found = import_module(f"benchmarks.evidence.{options.part}").study(options)
    asked = {"part": options.part, "repeats": options.repeats, "seed": options.seed}
    text = json.dumps(
        {**asked, **found, "seconds": round(time.perf_counter() - start, 1)}, indent=1
    )
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
