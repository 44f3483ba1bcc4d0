"""What became of the control domains that Gato was trained on: which run here, and what the others lack.

Source of the domains and their numbers of tasks: Gato (Reed et al., 2022), table 1.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

# Whether a domain's tasks run here and have an expert, run here but need demonstrations of the user's own, or do not
# run at all.
Standing: TypeAlias = Literal["runs", "needs data", "does not run"]


@dataclass(frozen=True, kw_only=True)
class PaperDomain:
    """A row of table 1."""

    name: str
    num_tasks: int
    standing: Standing
    remark: str


PAPER_DOMAINS: tuple[PaperDomain, ...] = (
    PaperDomain(
        name="DM Lab", num_tasks=254, standing="does not run", remark="on no package registry: it is built from source"
    ),
    PaperDomain(
        name="ALE Atari",
        num_tasks=51,
        standing="needs data",
        remark="57 of the games of family atari; the paper's data are not public, others' demonstrations are",
    ),
    PaperDomain(
        name="ALE Atari Extended",
        num_tasks=28,
        standing="needs data",
        remark="other modes and difficulties of the same games, which family atari does not list",
    ),
    PaperDomain(name="Sokoban", num_tasks=1, standing="runs", remark="family sokoban, with our own levels and solver"),
    PaperDomain(name="BabyAI", num_tasks=46, standing="runs", remark="family babyai, every distinct level"),
    PaperDomain(
        name="DM Control Suite",
        num_tasks=30,
        standing="runs",
        remark="family dm_control; those without an expert need your data",
    ),
    PaperDomain(
        name="DM Control Suite Pixels",
        num_tasks=28,
        standing="runs",
        remark="view pixels of family dm_control; those without an expert need your data",
    ),
    PaperDomain(
        name="DM Control Suite Random Small",
        num_tasks=26,
        standing="does not run",
        remark="the randomised bodies were not published",
    ),
    PaperDomain(
        name="DM Control Suite Random Large",
        num_tasks=26,
        standing="does not run",
        remark="the randomised bodies were not published",
    ),
    PaperDomain(
        name="Meta-World",
        num_tasks=45,
        standing="runs",
        remark="family metaworld: the same 45, in version 3, and the five held-out ones",
    ),
    PaperDomain(
        name="Procgen", num_tasks=16, standing="does not run", remark="no wheels for the versions of Python in use"
    ),
    PaperDomain(name="RGB Stacking simulator", num_tasks=1, standing="does not run", remark="a project in source form"),
    PaperDomain(name="RGB Stacking real robot", num_tasks=1, standing="does not run", remark="a robot"),
    PaperDomain(name="Modular RL", num_tasks=38, standing="does not run", remark="a project in source form"),
    PaperDomain(
        name="DM Manipulation Playground", num_tasks=4, standing="does not run", remark="was not published as used"
    ),
    PaperDomain(name="Playroom", num_tasks=1, standing="does not run", remark="was not published"),
)
