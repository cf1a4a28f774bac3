"""A run on this machine, with its progress."""

from __future__ import annotations

import tempfile
import threading
from typing import TYPE_CHECKING

from scripts.costs.throughput import THIS_MACHINE, remember
from scripts.runs.progress import RunMeter
from scripts.runs.summary import Summary, summary_of_output
from scripts.terminal.errors import as_operator_error
from scripts.terminal.progress import meter, repeating, report_line

if TYPE_CHECKING:
    from pipeline.run.parameters import RunParameters


def run_here(parameters: RunParameters, *, show_log: bool = False) -> Summary:
    """Run on this machine and show how far it is.

    Args:
        parameters: the run's; :func:`scripts.runs.preflight.check_run` has checked them.
        show_log: whether to print what Kubeflow and the steps logged, on standard error.

    Returns:
        The run's summary. This machine remembers the time of an image for later estimates.

    Raises:
        OperatorError: a step failed.
    """
    from pipeline.local_engine import StepError, run_locally
    from pipeline.run.manifest import read_json
    from pipeline.run.output_layout import METRICS
    from serving.storage import open_folder

    output = open_folder(parameters.output)
    with tempfile.TemporaryFile("w+", prefix="sam-run-", encoding="utf-8") as log:
        try:
            with meter("segmenting", notes_time=True) as bar:
                run_meter, begun = RunMeter(output, bar), threading.Event()

                def show() -> None:
                    if begun.is_set():  # before, what lies there is another run's
                        run_meter.show()

                with repeating(show, output.progress_seconds):
                    run_locally(parameters, log if show_log else None, begun.set)
        except StepError as error:
            raise as_operator_error(error) from error
        finally:
            if show_log:
                log.seek(0)
                report_line(log.read())
    metrics = read_json(output, METRICS)
    remember(metrics, THIS_MACHINE)
    return summary_of_output(parameters, output, metrics)
