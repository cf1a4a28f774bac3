"""The names of the files in a run's output."""

from __future__ import annotations

from serving.storage import WORK

LOCK = ".run.lock"  # whose claim the output is, see pipeline.run.claim
PLAN = f"{WORK}/plan.json"
PARAMETERS = f"{WORK}/parameters.json"  # of a run on Vertex AI, for what the graph does not start
PLANNED = f"{WORK}/planned.json"  # the last file of the plan, so it says that the plan is complete
BATCH = f"{WORK}/batch.json"  # the batch prediction whose results the output waits for
PROGRESS = f"{WORK}/progress"
ERROR = f"{WORK}/error.json"
LOG = f"{WORK}/log.txt"  # what Kubeflow and the steps of a local run print
MANIFEST = "manifest.jsonl"
FAILED = "failed.jsonl"  # the rows of the manifest that have no masks, with reasons
ANNOTATIONS = "annotations.json"
TABLES = "annotations"
CATEGORIES = "categories.json"  # of the prompts, in their owner's order
REVIEWED = "reviewed.jsonl"  # what people decided about masks
METRICS = "metrics.json"
MARKDOWN = "report.md"
HTML = "report.html"
# Subfolders of the output in which a run keeps its own files, pictures among them.
IMAGE_FOLDERS = (WORK, "masks", "overlays", "segments", "report_data")


def masks_name(image: str) -> str:
    """The file with an image's masks; the last one of an image, so its presence means done."""
    return f"masks/{image}.json"


def overlay_name(image: str, *, small: bool = False) -> str:
    """The picture of all masks on the image; a small file where it is the only picture."""
    return f"overlays/{image}.{'webp' if small else 'png'}"


def segment_name(image: str, number: int) -> str:
    """The picture of one segment; number 0 is the image itself."""
    return f"segments/{image}/{number:02d}.png"


def table_name(number: int) -> str:
    """A part of the masks as a table; by its ending BigQuery finds those of all runs."""
    return f"{TABLES}/part-{number:05d}.masks.parquet"


def shard_name(number: int) -> str:
    """The name of a shard, in listings and manifests."""
    return f"shard-{number:04d}"


def shard_plan_name(shard: str) -> str:
    """The list of a shard's images."""
    return f"{WORK}/{shard}.plan.jsonl"


def shard_rows_name(shard: str) -> str:
    """The manifest rows of a finished shard."""
    return f"{WORK}/{shard}.rows.jsonl"


def shard_summary_name(shard: str) -> str:
    """The figures of a finished shard: wall time, busy share, memory."""
    return f"{WORK}/{shard}.summary.json"


def shard_restarts_name(shard: str) -> str:
    """What the shard's processes died of."""
    return f"{WORK}/{shard}.restarts.json"


def shard_note_name(shard: str) -> str:
    """The image that the shard's process works on alone."""
    return f"{WORK}/{shard}.note.json"


def shard_progress_name(shard: str) -> str:
    """The file in which a running shard says how far it is; alone with its like in a folder."""
    return f"{PROGRESS}/{shard}.json"
