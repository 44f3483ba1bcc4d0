import os
import signal
import subprocess
import sys
import threading

import pytest

from gato.training.stop import StopRequest

WAITING = """
import time
from gato.training.stop import StopRequest
with StopRequest() as stop:
    print("ready", flush=True)
    while True:
        time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_is_noted_and_handlers_come_back(number, capfd):
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert stop.signal_name is None
        os.kill(os.getpid(), number)
        assert stop.signal_name == number.name
    assert signal.getsignal(number) == before
    assert f"{number.name}: ends after this step, at once if repeated" in capfd.readouterr().err


def test_second_signal_ends_the_process_at_once():
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        process.stderr.readline()
        assert "SIGINT: ends after this step" in process.stderr.readline()
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == -signal.SIGTERM


def test_other_threads_may_train_without_handlers():
    entered = []

    def enter():
        with StopRequest() as stop:
            entered.append(stop)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered
