"""In which type networks are computed: as asked, as fits the device, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from comptool.errors import UsageError
from comptool.inference import config
from comptool.inference.config import Computing
from comptool.inference.torch_backend import autocast_dtype

CPU, CARD = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def card(monkeypatch):
    """A card of some compute capability, with or without bf16."""

    def made(capability, bf16):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation: bf16 or including_emulation
        )

    return made


def test_a_cpu_computes_in_full_precision_unless_told_otherwise():
    assert autocast_dtype("auto", CPU) is None
    assert autocast_dtype("fp32", CPU) is None
    assert autocast_dtype("bf16", CPU) == torch.bfloat16


@pytest.mark.parametrize(
    ("capability", "wanted"), [((6, 1), None), ((7, 0), torch.float16), ((9, 0), torch.float16)]
)
def test_a_card_computes_in_fp16_where_that_is_faster(card, capability, wanted):
    card(capability, bf16=True)
    assert autocast_dtype("auto", CARD) == wanted
    assert autocast_dtype("fp32", CARD) is None
    assert autocast_dtype("fp16", CARD) == torch.float16


def test_bf16_is_refused_by_a_card_without_it(card):
    card((7, 5), bf16=False)
    with pytest.raises(UsageError, match="does not compute in bf16; take --fp16"):
        autocast_dtype("bf16", CARD)
    card((8, 0), bf16=True)
    assert autocast_dtype("bf16", CARD) == torch.bfloat16


def test_onnx_runtime_is_tried_where_nobody_asks_for_less_than_full_precision(monkeypatch):
    here = Computing(precision="auto")
    monkeypatch.setattr(config, "has_cuda", lambda: False)
    assert here.tries_onnx and not here.may_be_half
    assert not replace(here, precision="fp16").tries_onnx
    monkeypatch.setattr(config, "has_cuda", lambda: True)
    assert not here.tries_onnx and here.may_be_half
    on_cpu = replace(here, device="cpu")
    assert on_cpu.tries_onnx and not on_cpu.may_be_half


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_card_here_has_a_type():
    assert autocast_dtype("auto", CARD) in (None, torch.float16)
