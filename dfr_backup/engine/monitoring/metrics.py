"""Prometheus' text format (version 0.0.4), of which every scraper reads every
version."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})
LABEL_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


@dataclass(frozen=True)
class Metric:
    """One metric: ``kind`` is "gauge" or "counter", ``samples`` are (labels, value).
    A sample whose value is None is left out: there is nothing to tell."""

    name: str
    kind: str
    help: str
    samples: list[tuple[Mapping[str, str], float | None]]


def exposition(metrics: Iterable[Metric]) -> str:
    """Return the text that a scraper gets."""
    return "".join(f"{line}\n" for metric in metrics for line in _lines(metric))


def _lines(metric: Metric) -> Iterable[str]:
    known = [(labels, value) for labels, value in metric.samples if value is not None]
    if not known:
        return
    yield f"# HELP {metric.name} {metric.help.translate(ESCAPES)}"
    yield f"# TYPE {metric.name} {metric.kind}"
    for labels, value in known:
        pairs = (
            f'{name}="{text.translate(LABEL_ESCAPES)}"' for name, text in labels.items()
        )
        # repr of a float keeps all of its digits; sizes in bytes are exact up to 8 PiB
        yield f"{metric.name}{{{','.join(pairs)}}} {float(value)!r}"
