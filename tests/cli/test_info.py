import re
import shlex
from pathlib import Path

import pytest

from gato.cli.info import memory_row, plan_row
from gato.cli.main import run
from gato.config import RunConfig, TokenizerConfig
from gato.model.cost.chips import CHIPS, chip_named
from gato.model.cost.scale_plan import scale_plan
from gato.model.cost.size import flops_per_token, parameter_counts

PAGE = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text(encoding="utf-8")
# A command and the tables below it, up to the next block or heading.
PLANS = re.findall(r"```bash\n(gato info [^`]*)```\n([^`#]*)", PAGE)


def printed(command: str, capsys, monkeypatch) -> list[tuple[str, ...]]:
    """The lines of the tables with headings that a command prints, cell by cell."""
    monkeypatch.setenv("COLUMNS", "250")
    run(shlex.split(command.replace("\\\n", " "))[1:])
    lines = [line for line in capsys.readouterr().out.splitlines() if line[:1] in ("┃", "│")]
    first = next(index for index, line in enumerate(lines) if line[0] == "┃")
    return [tuple(cell.strip() for cell in line.strip("┃│").split(line[0])) for line in lines[first:]]


@pytest.mark.parametrize(("command", "tables"), PLANS, ids=[command.split()[2] for command, _ in PLANS])
def test_the_tables_of_the_page_are_what_its_commands_print(command, tables, capsys, monkeypatch):
    lines = [line.strip("|").split("|") for line in tables.splitlines() if line.startswith("|")]
    shown = [tuple(cell.strip() for cell in line) for line in lines if set("".join(line)) != {"-"}]
    assert shown == printed(command, capsys, monkeypatch)


def test_the_page_plans_all_three_sizes_of_the_paper():
    commands = [command.split()[2] for command, _ in PLANS]
    assert {"gato-79m", "gato-364m", "gato-1-2b"} <= set(commands)


def test_the_chips_of_the_page_are_those_of_the_table():
    rows = re.findall(r"^\| (\w+) \| (\d+) \| (\d+) \| (\d+) \| (\d+|–) \| (\d+) \|$", PAGE, flags=re.MULTILINE)
    assert rows == [
        (
            chip.name,
            f"{chip.peak_flops / 1e12:.0f}",
            f"{chip.memory_bytes / 1e9:.0f}",
            f"{chip.link_bandwidth / 1e9:.0f}",
            "–" if chip.network_bandwidth is None else f"{chip.network_bandwidth / 1e9:.0f}",
            f"{chip.num_linked}",
        )
        for chip in CHIPS
    ]


def test_a_row_of_a_plan_holds_together():
    config = RunConfig()  # 512 rows of 1,024, a million steps
    plan = scale_plan(config, chip_named("h200"), 8, 0.5)
    row = plan_row(config, plan, 3.0)
    hours = 1e6 * plan.step_s / 3600 * 8
    assert row["chips"] == "8"
    assert row["step, ms"] == f"{1e3 * plan.step_s:,.1f}"
    assert row["chip-hours"] == f"{hours:,.0f}"
    assert row["price"] == f"{3 * hours:,.0f}"
    assert float(row["days"]) == pytest.approx(hours / 24 / 8, rel=1e-2)
    assert float(row["tokens per day"].split()[0]) * 1e9 == pytest.approx(512 * 1024 / plan.step_s * 86_400, rel=1e-2)


def test_parts_of_memory_add_up():
    plan = scale_plan(RunConfig(), chip_named("h200"), 64, 0.5)
    chips, *parts, together = memory_row(plan).values()
    assert chips == "64"
    assert sum(map(float, parts)) == pytest.approx(float(together), abs=0.21)
    assert float(together) == pytest.approx(sum(plan.memory_bytes.values()) / 1e9, abs=0.06)


def test_a_plan_that_does_not_fit_says_so(capsys, monkeypatch):
    rows = printed("gato info gato-1-2b --chips 8 --chip v5e", capsys, monkeypatch)
    assert any(cell.endswith("too much") for cell in rows[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--chips", "8", "--chip", "b300"], "no chip is called 'b300'"),
        (["--chips", "7"], "cannot be shared by 7 chips"),
        (["--chips", "8", "--mfu", "40"], "must lie in (0, 1]"),
    ],
)
def test_what_cannot_be_planned_ends_with_a_message(options, message, capsys):
    with pytest.raises(SystemExit) as ended:
        run(["info", "gato-79m", *options])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_short_timesteps_are_told_by_their_parts(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    grouped = ["tokenizer.values_per_token=32", "tokenizer.action_tokens=grouped", "tokenizer.own_actions=hidden"]
    config = RunConfig().override(grouped)
    run(["info", "gato-79m", "--set", *grouped])
    told = dict(re.findall(r"│ (.+?) +│ +(\S.*?) +│", capsys.readouterr().out))
    for part, count in parameter_counts(config.model, config.tokenizer).items():
        assert told[part] == f"{count:,}" or part in ("patch stem", "group stem")  # which have memory, too
    assert told["group stem"].endswith(" GB")
    per_token = flops_per_token(config.model, config.tokenizer, 1024, target_fraction=0)
    assert told["per token, at 1024 tokens per row, no text among the targets"] == f"{per_token:,}"
    stem = 6 * 256 * (32 * 16 + 768)
    assert told["per token of 32 numbers, besides"] == f"{stem:,}"
    number = 768**2 + 1024 * 768
    assert told["per action that is learned, one number of 1,024 bins, besides"] == f"{6 * (768**2 + number):,}"
    assert told["per further number of it, besides"] == f"{6 * number:,}"
    step = told["per step of 512 rows of such tokens, without their actions"]
    assert float(step) == pytest.approx((per_token + stem) * 512 * 1024, rel=1e-2)


def test_a_plan_of_short_timesteps_holds_together():
    tokenizer = TokenizerConfig(values_per_token=32, action_tokens="grouped")
    config = RunConfig(tokenizer=tokenizer)
    plan, paper = (scale_plan(one, chip_named("h200"), 64, 0.5) for one in (config, RunConfig()))
    row = memory_row(plan)
    assert list(row) == ["chips", "state", "activations", "patch stem", "group stem", "logits and scores", "all"]
    assert float(row["group stem"]) > 0
    assert row["logits and scores"] == memory_row(paper)["logits and scores"]
    assert plan.flops - paper.flops == 512 * 1024 * 6 * 256 * (32 * 16 + 768)
