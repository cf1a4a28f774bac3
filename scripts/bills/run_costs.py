"""What a run was predicted to take and cost, beside what it did."""

from __future__ import annotations

import dataclasses
from typing import Any

from scripts.terminal.errors import OperatorError


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PredictedAndActual:
    """A figure twice; ``None`` where the run says nothing of it."""

    predicted: float | None
    actual: float | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunCosts:
    """Time and money of a run.

    Attributes:
        images: of the run.
        computed: how many of them the last run computed.
        seconds: from its start to its report.
        usd: of the whole run.
        basis: assumptions of the prediction; empty where there was none.
    """

    images: int
    computed: int
    seconds: PredictedAndActual
    usd: PredictedAndActual
    basis: str

    def to_json(self) -> dict[str, Any]:
        """Return the form that ``--json`` prints."""
        return dataclasses.asdict(self)


def run_costs(output: str) -> RunCosts:
    """Read what a run took from its output.

    Args:
        output: folder of the run, local or ``gs://``.

    Raises:
        OperatorError: no run has ended there.
    """
    from pipeline.run.manifest import read_json
    from pipeline.run.output_layout import METRICS
    from serving.storage import StorageError, open_folder

    folder = open_folder(output)
    try:
        metrics = read_json(folder, METRICS)
    except StorageError as error:
        raise OperatorError(
            f"{output} has no {METRICS}: {error}", hint="name the OUTPUT of a run that has ended"
        ) from error
    run, forecast, usd = metrics["run"], metrics["forecast"], metrics["cost_usd"]
    return RunCosts(
        images=metrics["images"],
        computed=run["computed"],
        seconds=PredictedAndActual(predicted=forecast.get("seconds"), actual=run["wall_seconds"]),
        usd=PredictedAndActual(predicted=usd.get("estimated"), actual=usd.get("actual")),
        basis=forecast.get("basis", ""),
    )
