from __future__ import annotations

import pytest
import torch

from hpsearch.errors import HpsearchError
from hpsearch.training import devices
from hpsearch.training.devices import half_precision

CPU = torch.device("cpu")


def test_the_cpu_is_always_there() -> None:
    assert devices.device("cpu") == CPU
    assert devices.describe(CPU).startswith("cpu, ")


@pytest.mark.parametrize("name", ["cuda:99", "mps:7", "meta", "gpu", ""])
def test_a_device_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(HpsearchError, match=f"device '{name}' is not on this machine.*cpu"):
        devices.device(name)


def test_local_devices_can_be_had() -> None:
    assert [str(devices.device(name)) for name in devices.local()] == devices.local()


def test_prepare_sets_the_threads() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        devices.prepare(CPU, 1)
        assert torch.get_num_threads() == 1
        devices.prepare(CPU, None)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_seeded_leaves_the_outer_generator_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    with devices.seeded(CPU, 5):
        inside = torch.rand(3)
    assert torch.equal(torch.rand(2), expected)
    with devices.seeded(CPU, 5):
        assert torch.equal(torch.rand(3), inside)


def test_out_of_memory_is_told_from_other_errors() -> None:
    assert devices.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(RuntimeError) as real:
        torch.empty(2**50)
    assert devices.is_out_of_memory(real.value)
    assert not devices.is_out_of_memory(RuntimeError("shapes do not match"))
    assert not devices.is_out_of_memory(ValueError("not enough memory"))


def test_no_half_precision_without_a_gpu_for_it() -> None:
    assert not half_precision(CPU)  # that of the fixtures always says so


def test_what_a_network_computes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "half_precision", lambda device: device.type == "cuda")
    gpu = torch.device("cuda", 0)
    for precision, device, maps, expected in (
        ("auto", gpu, True, True), ("auto", gpu, False, False), ("auto", CPU, True, False),
        ("float32", gpu, True, False), ("bf16", gpu, False, True), ("bf16", CPU, False, True),
    ):  # fmt: skip
        assert devices.computes_in_half(device, precision, maps=maps) is expected
    with devices.half(CPU, on=True):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with devices.half(CPU, on=False):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_float32_has_all_its_digits_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    gpu = torch.device("cuda", 0)
    try:
        for device, precision, product in (
            (gpu, "float32", "highest"), (gpu, "auto", "high"), (CPU, "float32", "high"),
        ):  # fmt: skip
            with devices.all_digits(device, precision):
                assert torch.get_float32_matmul_precision() == product
                assert torch.backends.cudnn.allow_tf32 is (product == "high")
            assert torch.get_float32_matmul_precision() == "high"
            assert torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision(before)
