"""Peaks of accelerators, by their makers' tables: the denominator of utilisation, and of plans.

Peaks are those of dense bfloat16 matrix products, without sparsity, whatever a run computes in: a run in float32 has a
low utilisation and is meant to. Bandwidths are a chip's own, of all its links together, in one direction; the tables
that give both directions are halved.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Chip:
    """One kind of accelerator."""

    name: str  # as commands spell it
    device_kind: str  # regular expression for the whole of what JAX calls it
    peak_flops: float  # per second
    memory_bytes: float
    num_linked: int  # chips that the fast links join: an NVLink machine, a TPU pod
    link_bandwidth: float  # bytes per second that a chip sends over them
    network_bandwidth: float | None  # bytes per second that a chip sends beyond; None = plans stay within the links
    source: str


CHIPS: tuple[Chip, ...] = (
    Chip(
        name="h100",
        device_kind=r"NVIDIA H100 80GB HBM3",
        peak_flops=989e12,
        memory_bytes=80e9,
        num_linked=8,
        link_bandwidth=450e9,
        network_bandwidth=50e9,
        source="NVIDIA H100 data sheet, SXM5; eight 400 Gb/s InfiniBand ports in a DGX H100",
    ),
    Chip(
        name="h200",
        device_kind=r"NVIDIA H200",
        peak_flops=989e12,
        memory_bytes=141e9,
        num_linked=8,
        link_bandwidth=450e9,
        network_bandwidth=50e9,
        source="NVIDIA H200 data sheet, SXM; eight 400 Gb/s InfiniBand ports in a DGX H200",
    ),
    Chip(
        name="a100",
        device_kind=r"NVIDIA A100(-SXM4|-PCIE|-SXM)?-(40|80)GB|NVIDIA A100 80GB PCIe",
        peak_flops=312e12,
        memory_bytes=80e9,
        num_linked=8,
        link_bandwidth=300e9,
        network_bandwidth=25e9,
        source="NVIDIA A100 data sheet, SXM4 of 80 GB; eight 200 Gb/s InfiniBand ports in a DGX A100",
    ),
    Chip(
        name="v4",
        device_kind=r"TPU v4",
        peak_flops=275e12,
        memory_bytes=32 * 2**30,
        num_linked=4096,
        link_bandwidth=300e9,
        network_bandwidth=None,
        source="cloud.google.com/tpu/docs/v4; links: TPU v4 (Jouppi et al., 2023), six of 50 GB/s",
    ),
    Chip(
        name="v5e",
        device_kind=r"TPU v5 ?(lite|e)",
        peak_flops=197e12,
        memory_bytes=16e9,
        num_linked=256,
        link_bandwidth=200e9,
        network_bandwidth=None,
        source="cloud.google.com/tpu/docs/v5e",
    ),
    Chip(
        name="v5p",
        device_kind=r"TPU v5p?",
        peak_flops=459e12,
        memory_bytes=95e9,
        num_linked=8960,
        link_bandwidth=600e9,
        network_bandwidth=None,
        source="cloud.google.com/tpu/docs/v5p",
    ),
    Chip(
        name="v6e",
        device_kind=r"TPU v6 ?(lite|e)",
        peak_flops=918e12,
        memory_bytes=32e9,
        num_linked=256,
        link_bandwidth=400e9,
        network_bandwidth=None,
        source="cloud.google.com/tpu/docs/v6e",
    ),
)


def find_chip(device_kind: str) -> Chip | None:
    """Returns the chip that JAX calls so; None for a CPU, a slice of a chip, and what is not in the table."""
    return next((chip for chip in CHIPS if re.fullmatch(chip.device_kind, device_kind)), None)


def chip_named(name: str) -> Chip:
    """Returns the chip of that name.

    Raises:
        ValueError: there is none.
    """
    for chip in CHIPS:
        if chip.name == name.lower():
            return chip
    raise ValueError(f"no chip is called {name!r}: known are {', '.join(chip.name for chip in CHIPS)}")
