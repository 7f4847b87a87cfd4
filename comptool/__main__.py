"""``python -m comptool``."""

from __future__ import annotations

from importlib import import_module

if __name__ == "__main__":
    import_module("comptool.commands.program").main()
