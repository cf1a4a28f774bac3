"""What the suite knows of its tests: which are quick, how long others take, which may skip."""

from __future__ import annotations

# Tests below these start servers, Terraform, browsers or whole runs, or compute for long; all
# others are `unit`, which `make check` runs at every save.
NOT_UNIT = (
    "tests/contracts/test_docs.py::test_blocks_run_as_they_stand",
    "tests/contracts/test_families.py",
    "tests/infra/test_access.py",
    "tests/infra/test_destroy.py",
    "tests/infra/test_lifecycle.py",
    "tests/infra/test_model.py",
    "tests/infra/test_plan.py",
    "tests/infra/test_stacks.py",
    "tests/infra/test_startup.py",
    "tests/journeys",
    "tests/live",
    "tests/notebooks/test_notebooks.py::test_it_runs_without_google_cloud",
    "tests/notebooks/test_session.py",
    "tests/notebooks/test_widget.py",
    "tests/pipeline/report/test_drawn.py",
    "tests/pipeline/report/test_html.py",
    "tests/pipeline/report/test_page.py",
    "tests/pipeline/report/test_report.py",
    "tests/pipeline/report/test_viewer.py",
    "tests/pipeline/steps/test_segment_shard.py",
    "tests/pipeline/test_local_engine.py",
    "tests/pipeline/steps/test_steps.py",
    "tests/scripts/annotate/test_app.py",
    "tests/scripts/annotate/test_bucket.py",
    "tests/scripts/annotate/test_command.py",
    "tests/scripts/annotate/test_page.py",
    "tests/scripts/annotate/test_page_hands.py",
    "tests/scripts/annotate/test_page_looks.py",
    "tests/scripts/annotate/test_page_saving.py",
    "tests/scripts/annotate/test_remote.py",
    "tests/scripts/annotate/test_review.py",
    "tests/scripts/batch_predictions/test_batch.py",
    "tests/scripts/commands/test_early_refusals.py",
    "tests/scripts/commands/test_platform.py",
    "tests/scripts/development",
    "tests/scripts/experiment",
    "tests/scripts/prerequisites/test_checks.py",
    "tests/scripts/rehearsal",
    "tests/scripts/releases/test_release.py",
    "tests/scripts/training",
    "tests/serving/sam/machine/test_torchvision_ops.py",
    "tests/serving/sam/test_limits.py",
    "tests/serving/sam/test_mobile_sam.py",
    "tests/serving/sam/test_parity.py",
    "tests/serving/sam/test_pretended_gpu.py",
    "tests/serving/test_any_request.py",
    "tests/serving/test_bad_requests.py",
    "tests/serving/test_container.py",
    "tests/serving/test_launch.py",
    "tests/serving/test_predictor.py",
    "tests/serving/test_server.py",
)

# Seconds on one idle core. What takes long starts first, so that no worker is left alone with it at
# the end. Each entry is a group that one worker runs; what is not listed is grouped by file.
SECONDS = {
    "tests/contracts/test_docs.py::test_blocks_run_as_they_stand[README.md]": 15,
    "tests/contracts/test_docs.py::test_blocks_run_as_they_stand[deploying.md]": 25,
    "tests/contracts/test_docs.py::test_blocks_run_as_they_stand[interop.md]": 12,
    "tests/contracts/test_docs.py::test_blocks_run_as_they_stand[running.md]": 12,
    "tests/contracts/test_docs.py::test_blocks_run_as_they_stand[serving.md]": 25,
    "tests/contracts/test_families.py": 20,
    "tests/infra/test_destroy.py": 25,
    "tests/infra/test_lifecycle.py": 45,
    "tests/infra/test_model.py": 15,
    "tests/infra/test_plan.py": 25,
    "tests/journeys/test_chaos.py": 25,
    "tests/journeys/test_rehearse.py": 30,
    "tests/journeys/test_rehearse.py::test_whole_journey_leaves_a_report_and_nothing_else": 215,
    "tests/journeys/test_run.py": 40,
    "tests/journeys/test_run.py::test_run_killed_and_run_again_equals_an_undisturbed_run": 30,
    "tests/journeys/test_run_log.py": 25,
    "tests/journeys/test_survival.py": 40,
    "tests/journeys/test_survival.py::test_shard_killed_at_random_equals_an_undisturbed_run": 25,
    "tests/journeys/test_survival.py::test_storage_that_fails_for_a_while_costs_time_only": 45,
    "tests/journeys/test_vertex_run.py": 120,
    "tests/notebooks/test_notebooks.py": 45,
    "tests/notebooks/test_widget.py": 10,
    "tests/pipeline/report": 30,  # together: they share a run
    "tests/pipeline/steps/test_segment_shard.py": 25,
    "tests/pipeline/steps/test_steps.py": 25,
    "tests/pipeline/test_local_engine.py": 15,
    "tests/scripts/annotate/test_app.py": 12,
    "tests/scripts/annotate/test_command.py": 15,
    "tests/scripts/annotate/test_page.py": 18,
    "tests/scripts/annotate/test_page_hands.py": 8,
    "tests/scripts/annotate/test_page_looks.py": 12,
    "tests/scripts/annotate/test_page_saving.py": 15,
    "tests/scripts/annotate/test_remote.py": 10,
    "tests/scripts/batch_predictions/test_batch.py": 15,
    "tests/scripts/development": 20,
    "tests/scripts/experiment": 20,
    "tests/scripts/rehearsal/google_provider/test_strictness.py": 20,
    "tests/scripts/rehearsal/vertex_ai": 45,
    "tests/scripts/releases/test_release.py": 70,
    "tests/serving/sam/test_limits.py": 25,
    "tests/serving/sam/test_mobile_sam.py": 15,
    "tests/serving/sam/test_parity.py": 40,
    "tests/serving/sam/test_pretended_gpu.py": 20,
    "tests/serving/test_any_request.py": 25,
    "tests/serving/test_bad_requests.py": 15,
    "tests/serving/test_launch.py": 30,
    "tests/serving/test_server.py": 25,
}  # fmt: skip

# With CI set, a test that skips for any other reason fails: nothing stops testing by itself.
MAY_SKIP_IN_CI = (
    "root may write everywhere",
    "this machine lets nobody mount a file system",
    "no CUDA GPU on this machine",
)


def is_unit(nodeid: str) -> bool:
    """Whether a test is quick."""
    return not any(_is_below(nodeid, path) for path in NOT_UNIT)


def group_of(nodeid: str) -> str:
    """The group whose tests one worker runs: the narrowest entry of the table, or the file."""
    entries = [entry for entry in SECONDS if _is_below(nodeid, entry)]
    return max(entries, key=len, default=nodeid.partition("::")[0])


def _is_below(nodeid: str, entry: str) -> bool:
    return nodeid == entry or nodeid.startswith((f"{entry}/", f"{entry}::", f"{entry}["))
