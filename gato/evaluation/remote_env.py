"""Environments in worker processes, for simulators whose steps take longer than a message does.

A worker holds several environments and serves one request after another, so replies come in the order of the requests.
What an environment does in a worker is what it would do here.
"""

import copy
import multiprocessing
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Self

import gymnasium as gym


class EnvWorkers:
    """Processes that hold environments; a context manager, whose end ends them."""

    def __init__(self, num_workers: int) -> None:
        """Starts the processes."""
        if num_workers < 1:
            raise ValueError(f"num_workers is {num_workers}, needs 1 or more")
        self._workers = [_Worker() for _ in range(num_workers)]
        self._num_made = 0

    def make(
        self, make_env: Callable[[], gym.Env], observation_space: gym.Space, action_space: gym.Space
    ) -> "RemoteEnv":
        """Makes an environment in the process that holds fewest.

        Args:
            make_env: a function of a module, or a `functools.partial` of one, since it runs in another process.
            observation_space: of that environment; not asked from there, since not every space can be sent.
            action_space: likewise; the environment gets a copy.
        """
        worker = min(self._workers, key=lambda worker: worker.num_envs)
        self._num_made += 1
        return RemoteEnv(worker, self._num_made, make_env, observation_space, action_space)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        for worker in self._workers:
            worker.stop()


class RemoteEnv(gym.Env):
    """An environment in another process. What is asked for early is worked on while others are asked."""

    def __init__(
        self,
        worker: "_Worker",
        number: int,
        make_env: Callable[[], gym.Env],
        observation_space: gym.Space,
        action_space: gym.Space,
    ) -> None:
        self.observation_space = observation_space
        self.action_space = copy.deepcopy(action_space)
        self._worker, self._number = worker, number
        self._asked: str | None = None
        worker.num_envs += 1
        self._call("make", make_env)

    def ask_reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Begins the next `reset`, which then takes no other arguments."""
        self._ask("reset", seed, options)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Resets the environment and seeds its action space, as a rollout does."""
        return self._call("reset", seed, options)

    def ask_step(self, action: Any) -> None:
        """Begins the next `step`, which then takes no other action."""
        self._ask("step", action)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self._call("step", action)

    def render(self) -> Any:
        return self._call("render")

    def close(self) -> None:
        """Closes the environment over there; a process that has ended has closed it already."""
        if self._worker.is_alive:
            self._ask("close")
            self._worker.num_envs -= 1

    def _ask(self, method: str, *arguments: Any) -> None:
        self._worker.send(self._number, method, arguments)
        self._asked = method

    def _call(self, method: str, *arguments: Any) -> Any:
        if self._asked != method:
            self._ask(method, *arguments)
        self._asked = None
        return self._worker.receive(self._number)


class _Worker:
    """This end of one process."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        # A daemon: it also ends when this program does, however that comes about.
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self._replies: dict[int, tuple[bool, Any]] = {}
        self.num_envs = 0
        self.is_alive = True

    def send(self, number: int, method: str, arguments: tuple[Any, ...]) -> None:
        try:
            self._pipe.send((number, method, arguments))
        except OSError as error:
            raise self._died() from error

    def receive(self, number: int) -> Any:
        """Returns the reply to the environment's last request; those to others are kept for them."""
        while number not in self._replies:
            try:
                replier, succeeded, value = self._pipe.recv()
            except (EOFError, OSError) as error:
                raise self._died() from error
            self._replies[replier] = succeeded, value
        succeeded, value = self._replies.pop(number)
        if not succeeded:
            raise RuntimeError(f"an environment in a worker process failed:\n{value}")
        return value

    def stop(self) -> None:
        """Ends the process by ending its pipe."""
        self.is_alive = False
        self._pipe.close()
        self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.kill()

    def _died(self) -> RuntimeError:
        self.is_alive = False
        return RuntimeError("a process that holds environments died, perhaps for want of memory: use fewer of them")


def _serve(pipe: Connection) -> None:
    """Answers requests in a worker process until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes: the parent decides what becomes of it
    environments: dict[int, gym.Env] = {}
    while True:
        try:
            number, method, arguments = pipe.recv()
        except (EOFError, OSError):
            break
        try:
            reply = True, _answer(environments, number, method, arguments)
        except Exception:
            reply = False, traceback.format_exc()
        if method != "close":
            pipe.send((number, *reply))
    for env in environments.values():
        env.close()


def _answer(environments: dict[int, gym.Env], number: int, method: str, arguments: tuple[Any, ...]) -> Any:
    if method == "make":
        (make_env,) = arguments
        environments[number] = make_env()
        return None
    env = environments[number]
    if method == "reset":
        seed, options = arguments
        first = env.reset(seed=seed, options=options)
        env.action_space.seed(seed)
        return first
    if method == "step":
        return env.step(*arguments)
    if method == "render":
        return env.render()
    assert method == "close"
    environments.pop(number).close()
    return None
