"""Numbers as text: the one place that decides how a score, an interval, a share or a count is written."""

from gato.evaluation.scores import ScoreRecord
from gato.evaluation.statistics import Interval

UNKNOWN = "–"


def number(value: float) -> str:
    """Returns three digits or so, with a real minus sign."""
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return minus(f"{value:z.{decimals}f}")


def signed_number(value: float) -> str:
    """Returns `number`, with a plus sign where it is positive."""
    text = number(value)
    return f"+{text}" if text.strip("0.") and not text.startswith("−") else text


def minus(text: str) -> str:
    """Replaces the hyphen of a formatted number by a real minus sign."""
    return text.replace("-", "−")


def percent(share: float | None, decimals: int = 0) -> str:
    """Returns a share in percent, or a dash where it is unknown."""
    return UNKNOWN if share is None else f"{share:.{decimals}%}"


def interval_text(interval: Interval | None, *, in_percent: bool = False) -> str:
    """Returns the two ends without the value between them, or a dash where there is none."""
    if interval is None:
        return UNKNOWN
    text = percent if in_percent else number
    return f"{text(interval.low)} to {text(interval.high)}"


def with_interval(interval: Interval | None, *, signed: bool = False, in_percent: bool = False) -> str:
    """Returns the value and its interval in brackets, or a dash where there is none."""
    if interval is None:
        return UNKNOWN
    text = percent if in_percent else signed_number if signed else number
    return f"{text(interval.value)} ({text(interval.low)} to {text(interval.high)})"


def score_text(record: ScoreRecord | None) -> str:
    """Returns the normalised score with its interval, the mean return where there is none, a dash without a record."""
    if record is None:
        return UNKNOWN
    return f"return {number(record.return_mean)}" if record.interval is None else with_interval(record.interval)


def big_number(value: float) -> str:
    """Returns three digits and a unit."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1e3 if unit == 'k' else size):.3g}{unit}"
    return f"{value:,.0f}"


def low_to_high(low: float, high: float) -> str:
    """Returns the range of some numbers."""
    return f"from {low:.4g} to {high:.4g}"


def counted(count: int, one: str, many: str = "") -> str:
    """Returns a count with the noun that goes with it; `many` where that is not `one` with an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
