"""``pytest -p plugin``: the tests of this process have a card."""

import json

import card

MODE = None


def pytest_configure(config) -> None:
    """Enter the mode before the first test."""
    global MODE
    MODE = card.install()


def pytest_terminal_summary(terminalreporter) -> None:
    """Say what was computed, and what the CPU cannot compute."""
    found = {"operations": MODE.operations, "unknown": dict(MODE.unknown)}
    terminalreporter.write_line(f"card: {json.dumps(found)}")
