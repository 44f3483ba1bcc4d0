"""`gato report`: what a training run has done so far, as a page of plots."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from gato.config import RunConfig
from gato.reports.page import write_page
from gato.reports.run_page import marks_of, run_page, training_figure_panels
from gato.reports.run_plots import run_panels
from gato.reports.style import save_figure
from gato.run_files import CONFIG_FILE, EVENTS_FILE, METRICS_FILE
from gato.training.events import read_events
from gato.training.progress import line_printer
from gato.training.writers import read_metrics

REPORT_FILE = "training.html"  # in the run folder, if no other name is given
_PICTURES = (".png", ".svg", ".pdf")


def report(run: Annotated[Path, tyro.conf.Positional], out: Path | None = None) -> None:
    """Draws the losses, the optimizer and the speed of a run. Example: gato report runs/mine

    Works while the run goes on: it shows the lines that have been written.

    Args:
        run: folder of the run.
        out: an .html file, or a .png, .svg or .pdf with the plots alone; training.html in the run folder if not given.
    """
    out = out or run / REPORT_FILE
    if out.suffix != ".html" and out.suffix not in _PICTURES:
        raise ValueError(f"out is {out}, expected a file that ends in .html, {', '.join(_PICTURES[:-1])} or .pdf")
    path, config_path = run / METRICS_FILE, run / CONFIG_FILE
    for needed in (path, config_path):
        if not needed.is_file():
            raise FileNotFoundError(f"{needed} does not exist: give the folder of a run that gato train has begun")
    metrics, config = read_metrics(path), RunConfig.load(config_path)
    events = read_events(run / EVENTS_FILE) if (run / EVENTS_FILE).exists() else []
    resumed = [event.step for event in events if event.kind == "resumed"]
    page = run_page(
        metrics,
        name=run.resolve().name,  # not the config's: runs of one config are told apart by their folders
        num_steps=config.training.num_steps,
        resumed=resumed,
        history=[
            (f"{datetime.fromtimestamp(event.time_s, UTC):%Y-%m-%d %H:%M:%S}", event.kind, f"{event.step:,}")
            for event in events
            if event.kind != "saved"
        ],
        config_json=config.to_json(),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".html":
        write_page(out, page)
    else:
        save_figure(out, run_panels(training_figure_panels(metrics), marks_of(metrics, resumed)))
    line_printer(Console())(f"{page.lead} {out}")
