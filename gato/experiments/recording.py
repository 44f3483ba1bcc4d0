"""One task's demonstrations: episodes played in parts, filtered, stored, and joined to one dataset.

Episode number i is played from seed + i, whatever process plays it, and a dataset holds the first episodes in that
order that are good enough. So a dataset depends on the recording and the seed alone.

<out>/.<task>.parts/recording.json   what is being recorded
<out>/.<task>.parts/<number>.json    a part that is finished: its numbers
<out>/.<task>.parts/<number>/        its kept episodes, a Minari dataset
<out>/<task>/                        the finished dataset
"""

import importlib.metadata
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, TextIO

from gato.data.episode import Episode
from gato.data.sources.minari_writer import join_minari, write_minari
from gato.envs import Task, get_task
from gato.evaluation.actors import ExpertActor
from gato.evaluation.rollout import Actor, Rollout, rollout
from gato.evaluation.scores import normalized_score
from gato.evaluation.time_limit import TimeLimitExceededError
from gato.files import lock_file, remove_leftovers, replace_file
from gato.seeds import COLLECTION_SEED

Keep = Literal["return", "success", "all"]
Recipe = Literal["expert", "training"]

CALL_LIMIT = 20.0  # CPU-seconds in which an expert must answer; the slowest of ours takes two
_PARTS = 50  # of a large recording; progress is kept part by part
_SMALLEST_PART = 10  # episodes; below that, making the environment costs more than playing
_MOST_PLAYED = 10  # times the wanted episodes, before a recording is given up
_MANIFEST = "recording.json"


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What to record of one task."""

    task: str
    episodes: int  # that are kept
    seed: int = COLLECTION_SEED  # of the first episode
    noise: tuple[float, float] | None = None  # range of the fraction of random executed actions, drawn per episode
    noise_strength: float = 1.0  # of these, in a Box of floats: 0 is the expert's action, 1 a uniform one
    keep: Keep = "return"  # which episodes: a high return, success, or all
    min_score: float = 0.8  # what a high return is, normalised (section 3.1 of the paper: 80 % of the expert)
    linger: int | None = None  # steps after the success at which an episode is cut; None plays to the end
    agent: str | None = None  # digest of the weights whose actions are executed in place of random ones

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise ValueError(f"task {self.task!r}: {self.episodes} episodes are wanted, needs 1 or more")
        if self.linger is not None and self.keep == "return":
            raise ValueError(
                f"task {self.task!r}: the return of an episode that is cut after its success says little: keep "
                "'success' or 'all'"
            )

    @property
    def part_size(self) -> int:
        """Returns the number of episodes that are played together."""
        return max(_SMALLEST_PART, self.episodes // _PARTS)


def make_recording(
    task: Task,
    recipe: Recipe,
    *,
    episodes: int,
    seed: int = COLLECTION_SEED,
    noise: tuple[float, float] | None = None,
    noise_strength: float | None = None,
    keep: Keep | None = None,
    min_score: float = 0.8,
    linger: int | None = None,
) -> Recording:
    """Returns what to record of a task; what is None is filled in by the recipe.

    "expert" has no noise. It keeps episodes of a high return, and where episodes are cut or the expert is a weak one,
    those that succeed. "training" has the noise that the task's expert makes up for and keeps all episodes: its random
    actions carry no loss, and the expert's say what to do wherever they led. Where an episode is there to show what is
    asked, it keeps those that succeed.
    """
    if recipe == "training":
        default_keep: Keep = "success" if "context" in task.tags else "all"
        noise = noise or task.training_noise
        noise_strength = task.noise_strength if noise_strength is None else noise_strength
    else:
        default_keep = "return" if task.expert_solves and linger is None else "success"
    return Recording(
        task=task.name,
        episodes=episodes,
        seed=seed,
        noise=noise,
        noise_strength=1.0 if noise_strength is None else noise_strength,
        keep=keep or default_keep,
        min_score=min_score,
        linger=linger,
    )


@dataclass(frozen=True, kw_only=True)
class Part:
    """The numbers of one part."""

    played: int
    kept: int
    timed_out: int  # episodes dropped because the expert did not answer in time
    timesteps: int  # of the kept episodes
    return_sum: float  # likewise
    seconds: float


def check_recordable(recording: Recording) -> None:
    """Refuses what cannot work before anything is played.

    Raises:
        ValueError: the task has no expert, or no reference scores to filter by.
    """
    task = get_task(recording.task)
    if task.make_expert is None:
        raise ValueError(f"task {task.name!r} has no expert: give a dataset of it instead of recording one")
    if recording.keep == "return" and (task.scores is None or task.scores.expert is None):
        raise ValueError(f"task {task.name!r} has no reference scores to filter by: keep 'success' or 'all'")


def record_part(recording: Recording, folder: Path, number: int, substitute: Actor | None = None) -> Part:
    """Plays one part and stores it in `folder`; runs in a worker process.

    Args:
        substitute: the agent of the recording, if it has one.
    """
    begun = time.perf_counter()
    task = get_task(recording.task)
    first = recording.seed + number * recording.part_size
    kept: list[Episode] = []
    played = timed_out = 0
    for done in _play(task, recording, range(first, first + recording.part_size), substitute):
        played += 1
        if done is None:
            timed_out += 1
        elif _good_enough(task, recording, done):
            kept.append(done.episode)
    if kept:
        env = task.make()
        write_minari(
            folder / str(number),
            kept,
            env.observation_space,
            env.action_space,
            dataset_id=f"gato/{task.name}-v0",
        )
        env.close()
    part = Part(
        played=played,
        kept=len(kept),
        timed_out=timed_out,
        timesteps=sum(map(len, kept)),
        return_sum=sum(episode.episode_return for episode in kept),
        seconds=time.perf_counter() - begun,
    )
    replace_file(folder / f"{number}.json", json.dumps(asdict(part)))
    return part


def _play(task: Task, recording: Recording, seeds: range, substitute: Actor | None) -> Iterator[Rollout | None]:
    """Yields the episodes in order; None for one whose expert did not answer in time."""
    assert task.make_expert is not None
    actor = ExpertActor(task.make_expert, cpu_seconds=CALL_LIMIT)
    while seeds:
        options = [task.variants[seed % len(task.variants)] for seed in seeds]
        try:
            for done in rollout(
                task.make,
                actor,
                seeds,
                options=options,
                noise=recording.noise,
                noise_strength=recording.noise_strength,
                substitute=substitute,
                steps_after_success=recording.linger,
            ):
                if recording.linger is not None and "success" not in done.info:
                    raise ValueError(f"task {task.name!r} does not tell when it succeeds: record it without --linger")
                seeds = seeds[1:]
                yield done
        except TimeLimitExceededError:
            seeds = seeds[1:]
            yield None


def _good_enough(task: Task, recording: Recording, done: Rollout) -> bool:
    match recording.keep:
        case "all":
            return True
        case "success":
            return task.success(done.episode.episode_return, done.info)
        case "return":
            assert task.scores is not None
            assert task.scores.expert is not None
            random, expert = task.scores.random.mean, task.scores.expert.mean
            score = normalized_score(done.episode.episode_return, random, expert)
            return score is not None and score >= recording.min_score


class Collection:
    """A recording under way: its finished parts, and the part to play next. One process at a time may hold it."""

    def __init__(self, recording: Recording, out: Path) -> None:
        """Continues what an interrupted run left.

        Raises:
            FileExistsError: another recording of the task lies or is being made there.
        """
        self.recording = recording
        self.path = out / recording.task
        self.folder = out / f".{recording.task}.parts"
        self.parts: dict[int, Part] = {}
        self.failure: Exception | None = None
        self._manifest = _manifest(recording)
        self._next = 0
        self._lock: TextIO | None = None
        self.complete = self.path.exists()
        if self.complete:
            stored = json.loads((self.path / "data" / "metadata.json").read_text()).get("recording")
            self._compare(stored, self.path)
            shutil.rmtree(self.folder, ignore_errors=True)  # where the end came between joining and tidying up
        else:
            self._open_folder()

    @property
    def total(self) -> Part:
        """Sums up all finished parts."""
        return Part(
            **{item.name: sum(getattr(part, item.name) for part in self.parts.values()) for item in fields(Part)}
        )

    @property
    def kept(self) -> int:
        """Returns the episodes kept so far, at most as many as are wanted."""
        return self.recording.episodes if self.complete else min(self.total.kept, self.recording.episodes)

    def next_part(self) -> int | None:
        """Returns the number of the part to play next; None while the parts under way should be enough.

        Raises:
            ValueError: so few episodes are good enough that there is no sense in going on.
        """
        wanted = self.recording.episodes
        if self.complete or self.failure or self.kept >= wanted:
            return None
        played, kept = self.total.played, self.total.kept
        if played >= _MOST_PLAYED * wanted:
            raise ValueError(
                f"task {self.recording.task!r}: only {kept} of {played} episodes are good enough, {wanted} wanted: "
                "lower --min-score or the noise, or keep 'all'"
            )
        rate = kept / played if kept else 1.0
        under_way = (self._next - len(self.parts)) * self.recording.part_size
        if kept + under_way * rate >= wanted:
            return None
        self._next += 1
        return self._next - 1

    def finish_if_enough(self) -> str | None:
        """Joins the parts once they hold enough episodes; returns a summary then."""
        if self.complete or self.failure or self.kept < self.recording.episodes:
            return None
        if sorted(self.parts) != list(range(len(self.parts))):
            return None  # an earlier part is still being played, and its episodes come first
        numbers = [number for number in sorted(self.parts) if self.parts[number].kept]
        timesteps = join_minari(
            self.path,
            [self.folder / str(number) for number in numbers],
            self.recording.episodes,
            dataset_id=f"gato/{self.recording.task}-v0",
            metadata={
                "recording": self._manifest,
                "description": get_task(self.recording.task).description,
                "algorithm_name": "scripted expert",
            },
        )
        self.complete = True
        shutil.rmtree(self.folder, ignore_errors=True)  # a part may still be writing there: see `close`
        total = self.total
        return (
            f"{self.recording.task}: {self.recording.episodes} episodes, {timesteps} timesteps, "
            f"mean return {total.return_sum / total.kept:.4g}, {total.seconds:.0f} s; "
            f"{total.kept} of {total.played} good enough"
            + (f", {total.timed_out} out of time" if total.timed_out else "")
        )

    def close(self) -> None:
        """Lets another process take over, and tidies up once nothing plays any more."""
        if self.complete:
            shutil.rmtree(self.folder, ignore_errors=True)  # of parts that were still under way when there were enough
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _open_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        manifest = self.folder / _MANIFEST
        if manifest.exists():
            self._compare(json.loads(manifest.read_text()), self.folder)
        else:
            replace_file(manifest, json.dumps(self._manifest))
        try:
            self._lock = lock_file(manifest)
        except BlockingIOError as error:
            raise FileExistsError(f"{self.folder} is being recorded by another process: let it finish") from error
        numbers = {int(path.stem) for path in self.folder.glob("*.json") if path.name != _MANIFEST}
        for path in self.folder.iterdir():
            if path.is_dir() and (not path.name.isdigit() or int(path.name) not in numbers):
                shutil.rmtree(path)  # of a part that was interrupted
        remove_leftovers(self.path)  # of joining that was interrupted
        for number in sorted(numbers):
            if number == self._next:  # parts after a gap are played again
                self.parts[number] = Part(**json.loads((self.folder / f"{number}.json").read_text()))
                self._next += 1
            else:
                (self.folder / f"{number}.json").unlink()
                shutil.rmtree(self.folder / str(number), ignore_errors=True)

    def _compare(self, stored: dict[str, Any] | None, where: Path) -> None:
        if stored == self._manifest:
            return
        stored = stored or {}
        different = [key for key in self._manifest if stored.get(key) != self._manifest[key]]
        text = ", ".join(f"{key} {stored.get(key)!r} instead of {self._manifest[key]!r}" for key in different)
        raise FileExistsError(f"{where} holds another recording ({text}): choose another --out or remove it")


def _manifest(recording: Recording) -> dict[str, Any]:
    """Returns what a recording depends on, as JSON gives it back."""
    packages = ("gymnasium", "numpy", *get_task(recording.task).packages)
    versions = {package: importlib.metadata.version(package) for package in packages}
    settings = {name: value for name, value in asdict(recording).items() if name != "agent" or value is not None}
    return json.loads(json.dumps({**settings, "versions": versions}))
