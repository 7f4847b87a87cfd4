"""``python run.py COMMAND ...``: comptool on a pretended card; the last line says what it computed.

``CARD_WAITS=error`` makes each wait for the device inside the command an error.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import card
import torch


def main() -> None:
    """Run the command."""
    mode = card.install()
    if waits := os.environ.get("CARD_WAITS"):
        torch.cuda.set_sync_debug_mode(waits)
    if "LOCAL_RANK" in os.environ:  # NCCL needs a real card
        join = torch.distributed.init_process_group
        torch.distributed.init_process_group = lambda backend, **given: join("gloo", **given)
    from comptool.commands.app import main as command

    atexit.register(report, mode)
    command()


def report(mode: card.Card) -> None:
    """Print what the card computed."""
    figures = {name: getattr(mode, name) for name in ("operations", "unknown", "rounded")}
    sys.stderr.flush()
    # One write a line: two processes of torchrun share this stream.
    os.write(sys.stderr.fileno(), f"card: {json.dumps(figures)}\n".encode())


if __name__ == "__main__":
    main()
