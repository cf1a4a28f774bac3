"""Rules of BigQuery's data sets and tables.

Source: terraform-provider-google at 6.50.0, ``google/services/bigquery/resource_*.go``.
"""

from __future__ import annotations

from scripts.rehearsal.google_provider.rules.resource_rules import Rules, same_case, same_json

RULES: dict[str, Rules] = {
    "google_bigquery_dataset": Rules(
        force_new=("dataset_id", "project", "location"),
        defaults={"location": "US", "delete_contents_on_destroy": False},
        patterns={"dataset_id": r"[0-9A-Za-z_]{1,1024}"},
        computed_blocks=("access",),
        same={"location": same_case},
    ),
    # Of a table's own schema the provider decides column by column what replaces it
    # (resourceBigQueryTableSchemaIsChangeable); here any change is one in place.
    "google_bigquery_table": Rules(
        force_new=("dataset_id", "table_id", "project", "external_data_configuration.schema"),
        defaults={
            "deletion_protection": True,
            "external_data_configuration.compression": "NONE",
        },
        enums={
            "external_data_configuration.compression": ("NONE", "GZIP"),
            "external_data_configuration.source_format": (
                "CSV",
                "GOOGLE_SHEETS",
                "NEWLINE_DELIMITED_JSON",
                "AVRO",
                "ICEBERG",
                "DATASTORE_BACKUP",
                "PARQUET",
                "ORC",
                "BIGTABLE",
                "DELTA_LAKE",
            ),
        },
        same={"schema": same_json},
        json=("schema",),
    ),
}
