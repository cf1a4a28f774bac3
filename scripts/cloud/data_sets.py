"""What a data set of BigQuery holds beside the platform's own table."""

from __future__ import annotations

from scripts.cloud.project_services import ServiceRefusal, call, can_be_asked, fetch

HOST = "bigquery.googleapis.com"
_MOST = 1000  # tables that are looked at; whoever has more needs no exact number
_NOT_FOUND = 404


def other_tables(project_id: str, data_set: str, ours: str) -> list[str]:
    """Names of the tables and views in a data set, without our own.

    "You must delete all its tables before you can delete the dataset" (BigQuery's API reference,
    datasets.delete; its models and routines are not looked at here).

    Args:
        project_id: whose data set.
        data_set: its id; one that does not exist holds nothing.
        ours: the table that Terraform made.

    Raises:
        OperatorError: it cannot be listed.
    """
    if not can_be_asked():
        return []
    path = f"/bigquery/v2/projects/{project_id}/datasets/{data_set}/tables?maxResults={_MOST}"
    try:
        listed = fetch(HOST, path, project_id)
    except ServiceRefusal as error:
        if error.status == _NOT_FOUND:
            return []
        raise
    names = [str(table["tableReference"]["tableId"]) for table in listed.get("tables", [])]
    return sorted(name for name in names if name != ours)


def delete_table(project_id: str, data_set: str, table: str) -> None:
    """Delete a table or view; one that is gone already is no error.

    Raises:
        OperatorError: it cannot be deleted.
    """
    path = f"/bigquery/v2/projects/{project_id}/datasets/{data_set}/tables/{table}"
    try:
        call("DELETE", HOST, path, project_id)
    except ServiceRefusal as error:
        if error.status != _NOT_FOUND:
            raise
