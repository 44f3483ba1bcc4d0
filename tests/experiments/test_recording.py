"""Recording: the same dataset whoever plays it, whenever it was interrupted, and only good episodes in it."""

import contextlib
import dataclasses
import io
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from gato.cli.collect import collect
from gato.data.sources.minari import MinariSource
from gato.envs import get_task
from gato.evaluation.scores import normalized_score
from gato.experiments.recording import Collection, Part, Recording, make_recording, record_part
from gato.experiments.recording_pool import record_all

CARTPOLE = Recording(task="cartpole", episodes=23, seed=5, noise=(0.0, 0.6))


def quiet() -> Console:
    return Console(file=io.StringIO())


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def episodes_of(folder: Path) -> list[tuple]:
    source = MinariSource(folder, "recorded")
    episodes = [source[index] for index in range(len(source))]
    return [(one.seed, one.observations.tobytes(), one.actions.tobytes(), one.rewards.tobytes()) for one in episodes]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    record_all([CARTPOLE], folder, 2, quiet())
    return folder / "cartpole"


def test_other_workers_record_the_same(recorded, tmp_path):
    record_all([CARTPOLE, Recording(task="dark-room", episodes=3, keep="all")], tmp_path, 1, quiet())
    assert episodes_of(tmp_path / "cartpole") == episodes_of(recorded)


def test_episodes_are_the_first_good_ones_in_the_order_of_their_seeds(recorded):
    source = MinariSource(recorded, "recorded")
    scores = get_task("cartpole").scores
    seeds = [source[index].seed for index in range(len(source))]
    assert len(source) == 23
    assert seeds == sorted(set(seeds))
    assert seeds[-1] > 5 + 22, "with so much noise some episodes are left out"
    for index in range(len(source)):
        assert normalized_score(source[index].episode_return, scores.random.mean, scores.expert.mean) >= 0.8


def test_recorded_actions_replay_to_the_same_return(recorded):
    source = MinariSource(recorded, "recorded")
    env = get_task("cartpole").make()
    for index in range(3):
        episode = source[index]
        env.reset(seed=episode.seed)
        rewards = [env.step(action)[1] for action in episode.actions]
        assert rewards == episode.rewards.tolist()


def test_nothing_else_is_left_in_the_folder(recorded):
    assert [path.name for path in recorded.parent.iterdir()] == ["cartpole"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
def test_a_killed_run_goes_on_to_the_same_dataset(recorded, tmp_path):
    """Kills the parent once the first part is there; its workers end with it."""
    code = (
        "from pathlib import Path; from rich.console import Console\n"
        "from gato.experiments.recording_pool import record_all; from gato.experiments.recording import Recording\n"
        "if __name__ == '__main__':\n"
        "    recording = Recording(task='cartpole', episodes=23, seed=5, noise=(0.0, 0.6))\n"
        f"    record_all([recording], Path({str(tmp_path)!r}), 1, Console())\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.DEVNULL)
    parts = tmp_path / ".cartpole.parts"
    deadline = time.monotonic() + 120
    while not (parts / "0.json").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    workers = children_of(process.pid)
    process.kill()
    process.wait()
    while any(is_running(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert workers
    assert not any(is_running(worker) for worker in workers)
    assert (parts / "0.json").exists()
    (parts / ".7.partial-1").mkdir(exist_ok=True)  # as a worker leaves it that is killed while it writes
    finished = json.loads((parts / "0.json").read_text())
    record_all([CARTPOLE], tmp_path, 1, quiet())
    assert finished["played"] == 10
    assert episodes_of(tmp_path / "cartpole") == episodes_of(recorded)
    assert not parts.exists()


def test_a_finished_recording_is_kept_and_another_is_refused(recorded):
    before = recorded.stat().st_mtime_ns
    record_all([CARTPOLE], recorded.parent, 1, quiet())
    assert recorded.stat().st_mtime_ns == before
    with pytest.raises(FileExistsError, match=r"another recording \(seed 5 instead of 6\)"):
        record_all([dataclasses.replace(CARTPOLE, seed=6)], recorded.parent, 1, quiet())


def test_two_processes_may_not_record_the_same(tmp_path):
    holder = Collection(CARTPOLE, tmp_path)
    with pytest.raises(FileExistsError, match="being recorded by another process"):
        Collection(CARTPOLE, tmp_path)
    holder.close()
    Collection(CARTPOLE, tmp_path).close()


def test_parts_are_asked_for_until_enough_is_under_way(tmp_path):
    collection = Collection(CARTPOLE, tmp_path)

    def part(kept: int) -> Part:
        return Part(played=10, kept=kept, timed_out=0, timesteps=0, return_sum=0.0, seconds=0.0)

    assert [collection.next_part() for _ in range(4)] == [0, 1, 2, None]
    collection.parts[0] = part(5)  # half are good, so the 20 under way are worth 10
    assert [collection.next_part() for _ in range(3)] == [3, 4, None]
    collection.parts |= {1: part(5), 2: part(5), 4: part(9)}
    assert collection.kept == 23
    assert collection.finish_if_enough() is None, "part 3 is missing, and its episodes come before those of part 4"
    collection.close()


def test_hopeless_recordings_end(tmp_path):
    with pytest.raises(ValueError, match=r"1 of 1 tasks .* only 0 of \d+ episodes are good enough"):
        record_all([Recording(task="cartpole", episodes=2, noise=(1.0, 1.0))], tmp_path, 1, quiet())


def test_one_failure_does_not_stop_the_others(tmp_path):
    hopeless = Recording(task="cartpole", episodes=2, noise=(1.0, 1.0))
    with pytest.raises(ValueError, match="1 of 2 tasks were not recorded, the first is cartpole"):
        record_all([hopeless, Recording(task="dark-room", episodes=3, keep="all")], tmp_path, 1, quiet())
    assert len(MinariSource(tmp_path / "dark-room", "rooms")) == 3


def test_success_is_a_filter_of_its_own(tmp_path):
    recording = Recording(task="mountain-car", episodes=1, keep="success", noise=(0.3, 0.9))
    part = record_part(recording, tmp_path, 0)
    source = MinariSource(tmp_path / "0", "cars")
    assert 0 < part.kept == len(source) < part.played
    assert all(source[index].terminated for index in range(len(source)))


def test_a_task_that_does_not_tell_its_success_is_not_cut(tmp_path):
    with pytest.raises(ValueError, match="'cartpole' does not tell when it succeeds"):
        record_part(Recording(task="cartpole", episodes=1, keep="all", linger=3), tmp_path, 0)


def test_a_cut_goes_with_success_only():
    with pytest.raises(ValueError, match="keep 'success' or 'all'"):
        Recording(task="cartpole", episodes=1, linger=3)


def test_collect_wants_tasks_and_experts(tmp_path):
    with pytest.raises(ValueError, match="no tasks are chosen"):
        collect(out=tmp_path)
    with pytest.raises(ValueError, match="did you mean 'cartpole'"):
        collect(tasks=("cartpool",), out=tmp_path)


def test_masks_and_options_travel(tmp_path):
    record_all([Recording(task="dark-room", episodes=12, keep="all", noise=(0.5, 0.5))], tmp_path, 1, quiet())
    source = MinariSource(tmp_path / "dark-room", "rooms")
    masks = np.concatenate([source[index].action_mask for index in range(len(source))])
    assert 0.3 < masks.mean() < 0.7
    assert len({json.dumps(source[index].options) for index in range(len(source))}) == 12
    for episode in (source[index] for index in range(len(source))):
        agree = episode.actions == episode.expert_actions
        assert agree[episode.action_mask].all()  # what is not random is what the expert said


def test_without_an_option_the_expert_plays_as_well_as_it_can():
    assert make_recording(get_task("cartpole"), "expert", episodes=3) == Recording(task="cartpole", episodes=3)
    weak = dataclasses.replace(get_task("cartpole"), expert_solves=False)
    assert make_recording(weak, "expert", episodes=3).keep == "success"
    assert make_recording(get_task("cartpole"), "expert", episodes=3, linger=2).keep == "success"


@pytest.mark.parametrize(
    "fields, noise",
    [({}, (0.1, 0.9)), ({"noise_share": 0.3, "noise_strength": 0.25}, (0.06, 0.54)), ({"noise_share": 0.0}, (0, 0))],
    ids=str,
)
def test_training_data_have_the_noise_that_the_expert_makes_up_for_and_all_episodes(fields, noise):
    task = dataclasses.replace(get_task("cartpole"), **{"noise_share": 0.5, **fields})
    made = make_recording(task, "training", episodes=3)
    strength = fields.get("noise_strength", 1.0)
    assert made == Recording(task="cartpole", episodes=3, noise=noise, noise_strength=strength, keep="all")


def test_training_data_that_show_what_is_asked_succeed():
    assert make_recording(get_task("dark-room"), "training", episodes=3).keep == "success"


def test_options_replace_what_the_recipe_says():
    made = make_recording(
        get_task("cartpole"), "training", episodes=3, noise=(0.0, 0.2), noise_strength=0.5, keep="return"
    )
    assert made == Recording(task="cartpole", episodes=3, noise=(0.0, 0.2), noise_strength=0.5)


def test_collected_training_data_hold_failures_and_mask_their_random_actions(tmp_path):
    collect(tasks=("pendulum",), episodes=30, recipe="training", out=tmp_path, num_workers=1)
    source = MinariSource(tmp_path / "pendulum", "recorded")
    episodes = [source[index] for index in range(len(source))]
    assert [one.seed for one in episodes] == list(range(30)), "none is left out"
    shares = np.array([1 - one.action_mask.mean() for one in episodes])
    assert shares.min() > 0.03
    assert shares.max() < 0.97
    assert np.ptp(shares) > 0.5, "the share is drawn per episode"
