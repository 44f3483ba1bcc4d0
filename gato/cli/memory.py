"""Memory that a step frees is kept for the next one, so that the kernel need not hand out new pages for each step.

XLA takes the temporary buffers of every call from the C library's allocator. glibc asks the kernel for a buffer above
32 MiB each time, and gives it back after the call: every page of it is then cleared and mapped anew at every step,
which was up to 29 % of a training step's CPU time. Three of the allocator's own settings together keep such buffers:
one arena (others are limited to 64 MiB and send larger buffers to the kernel), no mappings of single buffers, and no
trimming. They are set in the running process, so nothing is started again and no child inherits them.
"""

import ctypes
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

OPT_OUT = "GATO_KEEP_MEMORY"
COMMANDS = ("quickstart", "train", "finetune", "evaluate")  # those that run large steps

# Numbers of mallopt's parameters, from glibc's malloc.h; -1 never trims.
_SETTINGS = {"M_ARENA_MAX": (-8, 1), "M_MMAP_MAX": (-4, 0), "M_TRIM_THRESHOLD": (-1, -1)}


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What decides whether freed memory is to be kept."""

    system: str  # as sys.platform
    libc: str  # "glibc 2.36"; empty where it is another
    environment: Mapping[str, str]
    has_accelerator_plugin: bool  # JAX can run on something else than the CPU

    @staticmethod
    def here() -> "Machine":
        """Describes this process; imports neither JAX nor a plugin."""
        has_name = sys.platform == "linux" and "CS_GNU_LIBC_VERSION" in os.confstr_names
        plugins = importlib.metadata.entry_points(group="jax_plugins")
        return Machine(
            system=sys.platform,
            libc=(os.confstr("CS_GNU_LIBC_VERSION") or "") if has_name else "",
            environment=os.environ,
            has_accelerator_plugin=bool(plugins) or any(map(importlib.util.find_spec, ("jax_plugins", "libtpu"))),
        )


def keeps_memory(machine: Machine) -> bool:
    """Returns whether freed memory is to be kept: with glibc's allocator as it comes, and steps on the CPU."""
    environment = machine.environment
    if machine.system != "linux" or not machine.libc.startswith("glibc "):
        return False
    if environment.get(OPT_OUT) == "0":
        return False
    chosen = environment.get("LD_PRELOAD") or "glibc.malloc" in environment.get("GLIBC_TUNABLES", "")
    if chosen or any(name.startswith("MALLOC_") for name in environment):
        return False  # the user has chosen an allocator, or its settings
    platforms = environment.get("JAX_PLATFORMS", "")
    return platforms.split(",")[0] == "cpu" if platforms else not machine.has_accelerator_plugin


def keep_freed_memory(command: str) -> bool:
    """Sets the allocator of this process for a command with large steps, where it applies, and says so on stderr.

    Must come before other threads allocate memory.

    Returns:
        Whether it did.
    """
    if command not in COMMANDS or not keeps_memory(Machine.here()):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    if not all(mallopt(parameter, value) for parameter, value in _SETTINGS.values()):
        return False
    names = ", ".join(f"{name}={value}" for name, (_, value) in _SETTINGS.items())
    print(f"memory: freed buffers are kept for the next step ({names}); {OPT_OUT}=0 turns this off", file=sys.stderr)
    return True
