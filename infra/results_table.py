"""An optional table of BigQuery over the masks of all runs, which stay where they are."""

from __future__ import annotations

import json

from cdktf import ITerraformDependable
from cdktf_cdktf_provider_google.bigquery_dataset import BigqueryDataset
from cdktf_cdktf_provider_google.bigquery_table import (
    BigqueryTable,
    BigqueryTableExternalDataConfiguration,
    BigqueryTableExternalDataConfigurationParquetOptions,
)
from constructs import Construct

from infra.settings import Settings
from infra.storage import PIPELINE, Storage

# A URI may have one '*' (BigQuery's API reference, "ExternalDataConfiguration", sourceUris). It
# goes through folders: Google's sample reads autolayout/dt=2020-11-15/file1.parquet by
# .../autolayout/* (googleapis/python-bigquery, create_table_external_hive_partitioned.py). The
# ending is that of a run's own files: an export to Parquet beside them counts no mask twice.
FILES = "*.masks.parquet"

# The columns are named here, since a new platform has no file yet from which BigQuery could learn
# them. Those of pipeline/report/table.py but point_coords, which is a list of lists: "Arrays of
# arrays are not supported" (BigQuery's page "Data types", Array type). UNVERIFIED: that a column
# of the files may be left out, and that required columns may be declared nullable.
COLUMNS = {
    "image": "STRING",
    "uri": "STRING",
    "width": "INTEGER",
    "height": "INTEGER",
    "mask": "INTEGER",
    "category": "STRING",
    "area": "INTEGER",
    "bbox": "FLOAT",
    "rle": "STRING",
    "predicted_iou": "FLOAT",
    "stability_score": "FLOAT",
    "prompt": "STRING",
    "checkpoint": "STRING",
}
REPEATED = ("bbox",)
TABLE = "masks"


class ResultsTable(Construct):
    """A data set with one external table. Nothing is copied, so only queries cost.

    Without a key of its own under CMEK: "data encryption is managed by Cloud Storage" for external
    sources (Google's page "Customer-managed Cloud KMS keys").

    Attributes:
        name: ``project.dataset.table``, as a query names it.
        within_project: ``dataset.table``, plain text.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        storage: Storage,
        after: list[ITerraformDependable],
    ) -> None:
        super().__init__(scope, id_)
        # Letters, digits and underscores only (the provider's page of google_bigquery_dataset).
        data_set = f"{settings.prefix.replace('-', '_')}_results"
        dataset = BigqueryDataset(
            self,
            "dataset",
            dataset_id=data_set,
            project=settings.project_id,
            location=settings.region,  # that of the bucket, as external tables need it
            description="Masks of the runs",
            labels={"app": settings.prefix},
            # What somebody else made in it is data, like a bucket's; ours holds none.
            delete_contents_on_destroy=settings.force_destroy,
            depends_on=after,
        )
        table = BigqueryTable(
            self,
            "table",
            dataset_id=dataset.dataset_id,
            table_id=TABLE,
            project=settings.project_id,
            description="A row for each mask of each run",
            labels={"app": settings.prefix},
            deletion_protection=False,  # true by default, and 'cdktf destroy' would end here
            schema=json.dumps(
                [
                    {
                        "name": name,
                        "type": kind,
                        "mode": "REPEATED" if name in REPEATED else "NULLABLE",
                    }
                    for name, kind in COLUMNS.items()
                ]
            ),
            external_data_configuration=BigqueryTableExternalDataConfiguration(
                autodetect=False,
                source_format="PARQUET",
                source_uris=[f"gs://{storage.bucket.name}/{PIPELINE}/{FILES}"],
                # Lists as arrays, not as records of list.element ("Loading Parquet data from Cloud
                # Storage", list logical type).
                parquet_options=BigqueryTableExternalDataConfigurationParquetOptions(
                    enable_list_inference=True
                ),
            ),
        )
        self.name = f"{settings.project_id}.{dataset.dataset_id}.{table.table_id}"
        self.within_project = f"{data_set}.{TABLE}"
