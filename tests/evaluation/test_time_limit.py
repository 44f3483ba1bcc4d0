"""CPU time limits: endless calls end, quick ones do not notice."""

import signal
import threading
import time

import gymnasium
import pytest

from gato.evaluation.actors import ExpertActor
from gato.evaluation.rollout import rollout
from gato.evaluation.time_limit import TimeLimitExceededError, cpu_time_limit


def spin(seconds: float = float("inf")) -> None:
    begun = time.process_time()
    while time.process_time() - begun < seconds:
        pass


def test_an_endless_call_is_interrupted():
    begun = time.process_time()
    with pytest.raises(TimeLimitExceededError, match=r"0\.2 CPU-seconds"), cpu_time_limit(0.2):
        spin()
    assert 0.1 < time.process_time() - begun < 5


def test_a_quick_call_passes_and_leaves_no_timer():
    handler = signal.getsignal(signal.SIGPROF)
    with cpu_time_limit(0.1):
        pass
    spin(0.3)
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGPROF) is handler


def test_waiting_costs_no_cpu_time():
    with cpu_time_limit(0.1):
        time.sleep(0.3)


def test_other_threads_are_told_that_it_cannot_work():
    caught = []

    def enter() -> None:
        try:
            with cpu_time_limit(1):
                pass
        except RuntimeError as error:
            caught.append(str(error))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert "main thread" in caught[0]


def test_an_expert_that_never_answers_ends_the_rollout():
    class Thinker:
        def reset(self) -> None:
            pass

        def act(self, observation):
            spin()

    actor = ExpertActor(lambda env, rng: Thinker(), cpu_seconds=0.1)
    with pytest.raises(TimeLimitExceededError):
        list(rollout(lambda: gymnasium.make("CartPole-v1"), actor, [0]))
