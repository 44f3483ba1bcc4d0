"""The section of a page that shows episodes of an evaluation, each as it was scored and as it was played once more."""

from collections.abc import Sequence

from gato.reports.format import counted, number
from gato.reports.page import Block, Grid, GridImage, Scrubber, Section, Tabs
from gato.reports.shown_episodes import ShownEpisode


def episode_section(shown: Sequence[ShownEpisode]) -> Section:
    """Shows episodes behind tabs, by task: what became of them, the video, and the timesteps."""
    by_task: dict[str, list[ShownEpisode]] = {}
    for episode in shown:
        by_task.setdefault(episode.spec.task, []).append(episode)
    return Section(
        title="Episodes",
        blocks=(
            "Of the first tasks, as many as --videos says, the best and the worst episode of each record, "
            "played once more from their seeds and demonstrations. Below each video stands what the network was "
            "shown at each timestep and how likely it held each action to be, at the temperature that it acts with.",
            Tabs(
                panels=tuple(
                    Section(title=task, blocks=(Tabs(panels=tuple(_episode(one) for one in group)),))
                    for task, group in by_task.items()
                )
            ),
        ),
    )


def _episode(episode: ShownEpisode) -> Section:
    spec, result = episode.spec, episode.result
    setting = "" if spec.variants == "all" else f", {_prompt(spec.prompt)}, {spec.variants}"
    answers = [
        f"{name}: {'yes' if answer else 'no'}"
        for name, answer in (("solved", result.success), ("did what it was shown", result.followed))
        if answer is not None
    ]
    shown = (
        "no demonstration"
        if spec.shown is None
        else f"shown: {spec.shown.task}, variant {spec.shown.variant}, "
        f"seed{'s' * (len(spec.shown.seeds) > 1)} {', '.join(map(str, spec.shown.seeds))}"
    )
    facts = [
        f"Return {number(result.episode_return)} in {counted(result.length, 'step')}",
        f"episode {spec.episode}, seed {spec.seed}, variant {spec.variant}",
        shown,
        *answers,
    ]
    blocks: list[Block] = ["; ".join(facts) + "."]
    if episode.replayed_return is not None and (
        episode.replayed_return != result.episode_return or episode.replayed_length != result.length
    ):
        blocks.append(
            f"Played again, it went otherwise: return {number(episode.replayed_return)} in "
            f"{counted(episode.replayed_length or 0, 'step')}. What is shown is not the scored episode: the "
            "environment is not repeatable, or rounding in a batch of another size decided between actions that "
            "were all but equally likely."
        )
    if episode.problem:
        blocks.append(episode.problem)
    if episode.video is not None:
        alt = f"{spec.task}, {episode.rank} episode{setting}"
        blocks.append(Grid(images=(GridImage(content=episode.video, alt=alt),)))
    if episode.content is not None and episode.content["steps"]:
        if len(episode.content["steps"]) < episode.content["num_timesteps"]:
            blocks.append(f"Shown are {len(episode.content['steps'])} of {episode.content['num_timesteps']} timesteps.")
        blocks.append(Scrubber(content=episode.content))
    return Section(title=f"{episode.rank}{setting}", blocks=tuple(blocks))


def _prompt(kind: str) -> str:
    return f"{'no' if kind == 'none' else kind} demonstration"
