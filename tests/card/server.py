"""Commands in forks of one process, which has imported torch and its like once.

``python server.py`` reads a request per line (JSON) and prints the exit code of each.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

PATIENCE = 300  # seconds; far more than any command here takes
# No module that starts threads, which a fork would lose.
HEAVY = ("torch", "torchvision", "timm", "cv2", "pandas", "sklearn.metrics", "safetensors.torch")


class Server:
    """A process with this environment that runs commands one after the other."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None

    def run(
        self, program: Path | None, arguments: list[str], more: dict[str, str], folder: Path | None
    ) -> tuple[int, str, str]:
        """Exit code, output and errors of a program, None for comptool itself.

        ``more`` is added to the environment of this process, which the program gets.
        """
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        names = ("LD_PRELOAD", "LD_LIBRARY_PATH", "OMP_NUM_THREADS")
        fixed = {name: self._environment[name] for name in names if name in self._environment}
        here = {name: os.environ[name] for name in os.environ if name != "CUDA_VISIBLE_DEVICES"}
        with tempfile.TemporaryDirectory() as made:
            request = {
                "program": None if program is None else str(program),
                "arguments": arguments,
                "environment": {**here, **fixed, **more},
                "folder": str(folder or Path.cwd()),
                "prints": [f"{made}/output", f"{made}/errors"],
            }
            assert self._process.stdin is not None and self._process.stdout is not None
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            code = int(self._process.stdout.readline())
            output, errors = (Path(path).read_text() for path in request["prints"])
        return code, output, errors

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.communicate()


def serve() -> dict | None:
    """Answer requests, each by a fork; in a fork its request, at the end None."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            return json.loads(line)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    return None


def become(request: dict) -> None:
    """Make this process that of the request."""
    signal.alarm(PATIENCE)
    for number, path in enumerate(request["prints"], start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = [request["program"] or "comptool", *request["arguments"]]


if __name__ == "__main__":
    for module in HEAVY:
        __import__(module)
    if request := serve():
        become(request)
        if request["program"] is None:
            runpy.run_module("comptool", run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(request["program"], run_name="__main__")
