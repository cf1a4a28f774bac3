"""What a deployment costs while it stands: Workbench, deployed models, the bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.cloud.deployment import Deployment
from scripts.costs.prices import HOURS_A_MONTH, prices
from scripts.terminal.errors import OperatorError
from serving.sam.plain_text import count

Row = dict[str, Any]


def deployment_costs(outputs: Path) -> list[Row]:
    """List what bills: ``what``, ``usd_an_hour``, ``usd_a_month`` and a ``note`` for each.

    A price that is not known is ``None``.

    Args:
        outputs: file that 'cdktf deploy' wrote.

    Raises:
        OperatorError: the outputs cannot be read, what they name is gone, or Vertex AI cannot be
            asked.
        StorageError: the bucket cannot be listed.
    """
    deployment = Deployment.from_outputs(outputs)
    rows = list(_workbench(deployment))
    if deployment.endpoint_resource_name:
        rows += _deployed_models(outputs)
    rows += _bucket(deployment)
    return rows


def _row(what: str, hour: float | None, note: str = "") -> Row:
    month = None if hour is None else round(hour * HOURS_A_MONTH, 2)
    rounded = None if hour is None else round(hour, 5)
    return {"what": what, "usd_an_hour": rounded, "usd_a_month": month, "note": note}


def _workbench(deployment: Deployment) -> Iterator[Row]:
    shape = deployment.workbench_shape
    if not shape:
        return
    machine, accelerator = str(shape["machine"]), str(shape["accelerator"])
    hour = prices().workbench_hour(machine, accelerator)
    note = "while it runs; it stops when idle"
    yield _row(f"Workbench {deployment.workbench_name}, {machine}", hour, note)
    disks_gb = int(shape["disk_gb"])
    hour = disks_gb * prices().usd["disk_gb_month"] / HOURS_A_MONTH
    yield _row(f"its disks, {disks_gb} GB", hour, "always")
    if shape.get("nat"):
        hour = prices().usd["nat_machine_hour"] + prices().usd["nat_address_hour"]
        gigabyte = prices().usd["nat_gib"]
        yield _row("its Cloud NAT", hour, f"while it runs; and ${gigabyte} a GiB of its traffic")


def _deployed_models(outputs: Path) -> Iterator[Row]:
    from scripts.releases.release import Releases
    from scripts.releases.request import read_request
    from scripts.releases.versions import version_table

    versions = version_table(Releases(read_request(outputs)))
    deployed = [version for version in versions if version["deployed_model_ids"]]
    for version in deployed:
        note = f"{version['traffic_percent']} % of the traffic; bills whether it is asked or not"
        what = f"deployed model, version {version['version']}"
        yield _row(what, version["usd_an_hour"], note)
    if not deployed:
        yield _row("endpoint without a model", 0.0)


def _bucket(deployment: Deployment) -> Iterator[Row]:
    from scripts.cloud.bucket_contents import FolderContents, stored
    from serving.storage import StorageError

    def row(what: str, contents: FolderContents, note: str) -> Row:
        gigabytes = contents.size_bytes / 1e9
        hour = gigabytes * prices().usd["storage_gb_month"] / HOURS_A_MONTH
        return _row(
            f"{what}, {count(contents.objects, 'object')}", hour, f"{gigabytes:.3f} GB{note}"
        )

    try:
        objects, earlier = stored(deployment.bucket_name)
    except StorageError as error:
        if not error.missing:
            raise
        raise OperatorError(
            f"the deployment in the outputs is gone: there is no bucket {deployment.bucket_name}",
            hint="remove the outputs' file, or name another with --outputs",
        ) from error
    yield row(f"bucket {deployment.bucket_name}", objects, "")
    if earlier.objects:
        yield row("its earlier versions", earlier, ", until their time is up")
