"""A training with ``--deterministic`` is repeated bit for bit on a card."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.numpy import load_file
from small import TRAIN


def test_a_run_on_a_card_is_repeated_bit_for_bit(folder, on_card):
    for name in ("one", "two"):
        ran = on_card(*TRAIN, "--augment", "weak", "--deterministic", "--run-name", name)
        assert ran.warnings == []
    one, two = (load_file(f"weights/{name}/best.safetensors") for name in ("one", "two"))
    assert all((one[name] == two[name]).all() for name in one)
    assert json.loads(Path("weights/one/run.json").read_text())["computed"]["deterministic"]


def test_an_operation_without_a_deterministic_version_ends_the_training(folder, on_card):
    Path("odd.py").write_text(
        "import torch\n"
        "class Odd(torch.nn.Module):\n"
        "    def forward(self, logits, targets):\n"
        "        if logits.is_cuda:\n"
        "            logits.detach().clone().put_(targets[:1], logits.detach()[0, :1])\n"
        "        return torch.nn.functional.cross_entropy(logits, targets)\n"
    )
    given = (*TRAIN, "--loss", "odd.py:Odd", "--deterministic", "--run-name", "one")
    ran = on_card(*given, check=False)
    assert ran.code == 2, ran.errors[-2000:]
    assert "--deterministic: torch has no deterministic version of put_," in ran.errors
    assert "Traceback" not in ran.errors
