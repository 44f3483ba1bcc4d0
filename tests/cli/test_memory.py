import os
import subprocess
import sys

import pytest

from gato.cli import main, memory
from gato.cli.memory import COMMANDS, OPT_OUT, Machine, keeps_memory

_GLIBC = sys.platform == "linux" and "CS_GNU_LIBC_VERSION" in os.confstr_names

# One call's buffer, allocated and freed ten times in a thread, as XLA does. Prints how many pages were mapped anew.
_PROGRAM = """
import ctypes, resource, sys, threading
from gato.cli.memory import keep_freed_memory
print(keep_freed_memory(sys.argv[1]))
c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
c.free.argtypes, c.memset.argtypes = [ctypes.c_void_p], [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
faults = []
def steps():
    for _ in range(10):
        buffer = c.malloc(80 << 20)
        c.memset(buffer, 1, 80 << 20)
        c.free(buffer)
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
thread = threading.Thread(target=steps)
thread.start()
thread.join()
print(faults[-1] - faults[0])
"""


def _machine(system="linux", libc="glibc 2.36", has_accelerator_plugin=False, **environment):
    return Machine(
        system=system,
        libc=libc,
        has_accelerator_plugin=has_accelerator_plugin,
        environment={"HOME": "/", **environment},
    )


@pytest.mark.parametrize(
    "machine",
    [
        _machine(),
        _machine(JAX_PLATFORMS="cpu", has_accelerator_plugin=True),
        _machine(JAX_PLATFORMS="cpu,cuda"),
        _machine(LD_PRELOAD="", GLIBC_TUNABLES="glibc.rtld.nns=4"),
        _machine(**{OPT_OUT: "1"}),
    ],
)
def test_freed_memory_is_kept_with_glibc_on_the_cpu(machine):
    assert keeps_memory(machine)


@pytest.mark.parametrize(
    "machine",
    [
        _machine(system="darwin", libc=""),
        _machine(system="win32", libc=""),
        _machine(libc=""),  # musl
        _machine(has_accelerator_plugin=True),
        _machine(JAX_PLATFORMS="cuda"),
        _machine(JAX_PLATFORMS="cuda,cpu"),
        _machine(JAX_PLATFORMS="tpu"),
        _machine(MALLOC_ARENA_MAX="2"),
        _machine(MALLOC_CONF="narenas:1"),
        _machine(GLIBC_TUNABLES="glibc.malloc.hugetlb=1"),
        _machine(LD_PRELOAD="/usr/lib/libjemalloc.so.2"),
        _machine(**{OPT_OUT: "0"}),
    ],
)
def test_memory_is_left_to_the_system_elsewhere_and_where_the_user_has_chosen(machine):
    assert not keeps_memory(machine)


def test_commands_with_large_steps_are_commands():
    assert set(COMMANDS) <= set(main.COMMANDS)


def _faults(command, **environment):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_", "LD_"))}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, command],
        env={**kept, "JAX_PLATFORMS": "cpu", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    applied, faults = done.stdout.split()
    return applied == "True", int(faults), done.stderr


@pytest.mark.skipif(not _GLIBC, reason="another C library")
def test_a_buffer_is_mapped_once_and_the_command_says_so():
    applied, faults, told = _faults("train")
    assert applied
    assert faults < 1_000
    assert told.count("\n") == 1
    assert "freed buffers are kept" in told
    assert f"{OPT_OUT}=0 turns this off" in told


@pytest.mark.skipif(not _GLIBC, reason="another C library")
@pytest.mark.parametrize("command, environment", [("train", {OPT_OUT: "0"}), ("tasks", {})])
def test_without_it_a_buffer_is_mapped_at_every_step_and_nothing_is_said(command, environment):
    applied, faults, told = _faults(command, **environment)
    assert not applied
    assert told == ""
    assert faults > 1_000


def test_a_call_of_the_entry_point_from_python_leaves_the_allocator_alone(monkeypatch, capsys):

    monkeypatch.setattr(memory, "keep_freed_memory", lambda command: pytest.fail("set in a caller's process"))
    with pytest.raises(SystemExit):
        main.run(["train", "no-such-config"])
    assert "no-such-config" in capsys.readouterr().err


def test_the_program_sets_it_for_a_run_and_not_for_its_help(monkeypatch, capsys):

    commands = []
    monkeypatch.setattr(memory, "keep_freed_memory", commands.append)
    for arguments in (["train", "no-such-config"], ["train", "--help"]):
        monkeypatch.setattr(sys, "argv", ["gato", *arguments])
        with pytest.raises(SystemExit):
            main.run()
    assert commands == ["train"]
