import pytest

from gato.model.cost.chips import CHIPS, chip_named, find_chip


@pytest.mark.parametrize(
    ("device_kind", "name", "tflops"),
    [
        ("NVIDIA H100 80GB HBM3", "h100", 989),
        ("NVIDIA H200", "h200", 989),
        ("NVIDIA A100-SXM4-80GB", "a100", 312),
        ("NVIDIA A100 80GB PCIe", "a100", 312),
        ("TPU v4", "v4", 275),
        ("TPU v5 lite", "v5e", 197),
        ("TPU v5e", "v5e", 197),
        ("TPU v5", "v5p", 459),
        ("TPU v5p", "v5p", 459),
        ("TPU v6 lite", "v6e", 918),
    ],
)
def test_devices_are_known_by_what_jax_calls_them(device_kind, name, tflops):
    chip = find_chip(device_kind)
    assert (chip.name, chip.peak_flops) == (name, tflops * 1e12)


@pytest.mark.parametrize(
    "device_kind", ["cpu", "NVIDIA H20", "NVIDIA H100 PCIe", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "TPU v4 lite"]
)
def test_what_has_another_peak_is_not_taken_for_a_known_chip(device_kind):
    assert find_chip(device_kind) is None


def test_chips_are_found_by_name_and_others_refused():
    assert all(chip_named(chip.name.upper()) is chip for chip in CHIPS)
    with pytest.raises(ValueError, match=r"'b300'.*h100, h200"):
        chip_named("b300")
