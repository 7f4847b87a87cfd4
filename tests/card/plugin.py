"""``pytest -p plugin``: the tests of this process have a card."""

import json

import card

IGNORED = "Synchronization debug mode is a prototype"  # torch says so of its own mode
MODE = None


def pytest_configure(config) -> None:
    """Enter the mode before the first test; a warning of torch fails a test."""
    global MODE
    config.addinivalue_line("filterwarnings", "error::UserWarning")
    config.addinivalue_line("filterwarnings", f"ignore:{IGNORED}")
    MODE = card.install()


def pytest_terminal_summary(terminalreporter) -> None:
    """Say what was computed, and what the CPU cannot compute."""
    found = {"operations": MODE.operations, "unknown": dict(MODE.unknown)}
    terminalreporter.write_line(f"card: {json.dumps(found)}")
