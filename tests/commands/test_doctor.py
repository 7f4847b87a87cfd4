"""``comptool doctor`` on a machine without a GPU."""

from __future__ import annotations

import json

import pytest
import torch

from comptool.profiling import doctor

NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")


@NO_GPU
def test_a_cpu_is_described_and_timed(comptool):
    result = comptool("doctor", "--json", "-q")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert found["devices"] == [] and found["device"] == "cpu" and found["unusable"] is None
    assert found["versions"]["torch"] == torch.__version__
    assert all(spent > 0 for speed in found["speeds"] for spent in speed["milliseconds"].values())
    ways = {speed["what"]: list(speed["milliseconds"]) for speed in found["speeds"]}
    assert ways == {"training": ["float32"], "prediction": ["torch", "ONNX Runtime"]}


@NO_GPU
def test_a_report_for_a_person(comptool, monkeypatch):
    monkeypatch.setattr(
        doctor, "_speeds_of_cpu", lambda: [doctor.Speed("training", {"float32": 2})]
    )
    lines = comptool("doctor").stdout.splitlines()
    assert lines[0].startswith("machine    ") and "memory free" in lines[0]
    assert "device     cpu; torch finds no GPU" in lines
    assert "by default on cpu:" in lines
    assert lines[-1] == "  training    float32 2"


@NO_GPU
def test_a_gpu_that_torch_cannot_use_is_an_error_after_the_report(comptool, monkeypatch):
    monkeypatch.setattr("comptool.device.has_cuda", lambda: True)
    monkeypatch.setattr(doctor, "has_cuda", lambda: True)
    result = comptool("doctor", "-q")
    assert result.exit_code == 3
    assert result.stdout.startswith("machine    ")
    assert "\ndevice     a GPU that torch cannot use\n" in result.stdout
    assert result.stderr.startswith("comptool doctor: this machine has a GPU")


@NO_GPU
def test_a_device_that_is_not_there_is_a_usage_error(comptool):
    result = comptool("doctor", "--device", "cuda:3", "-q")
    assert result.exit_code == 2
    assert result.stderr == (
        "comptool doctor: there is no device 'cuda:3'; this machine has no CUDA device: "
        "leave --device out\n"
    )
