"""``sam-vertex platform``: what Terraform calls for what its provider has no resource for."""

from __future__ import annotations

from typing import Annotated

import typer

from scripts.commands import options
from scripts.terminal.amounts import amount
from scripts.terminal.command_line import CommandGroup
from scripts.terminal.errors import OperatorError, reporting_errors
from serving.sam.plain_text import count

app = CommandGroup(help="What Terraform calls while it deploys and destroys.")
Project = Annotated[str, typer.Option(help="Google Cloud project.")]


@app.callback()
def _group() -> None:
    """What Terraform calls while it deploys and destroys."""


@app.command(
    "make-agent",
    epilog="sam-vertex platform make-agent aiplatform.googleapis.com --project my-project",
)
def make_agent(
    service: Annotated[str, typer.Argument(help="Such as aiplatform.googleapis.com.")],
    project: Project,
    debug: options.Debug = False,
) -> None:
    """Make the service agent of an API, or find the one that is there."""
    with reporting_errors(debug):
        from scripts.cloud import service_agents

        email = service_agents.make_agent(service, project)
        typer.echo(f"agent of {service}: {email or 'none in a local cloud'}")


@app.command(
    "clear-bucket", epilog="sam-vertex platform clear-bucket my-project-sam --project my-project"
)
def clear_bucket(
    bucket: Annotated[str, typer.Argument(help="Name of the bucket.")],
    project: Project,
    ours: Annotated[
        list[str] | None, typer.Option(help="Folder whose objects nobody would miss, startup/.")
    ] = None,
    table: Annotated[
        str, typer.Option(help="Our table, as DATASET.TABLE; its data set goes too.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Delete the user's data as well.")] = False,
    debug: options.Debug = False,
) -> None:
    """Empty the bucket before Terraform destroys it, or refuse where it holds the user's data."""
    with reporting_errors(debug):
        from scripts.cloud import bucket_contents, data_sets

        folders = {} if force else bucket_contents.user_data(bucket, ours or ())
        if folders:
            held = ", ".join(
                f"{name or 'no folder'}: {folder.objects} object(s), "
                f"{amount(folder.size_bytes, 'bytes')}"
                for name, folder in sorted(folders.items())
            )
            raise OperatorError(
                f"gs://{bucket} of {project} holds your data ({held}); nothing of the platform is "
                "destroyed",
                hint=f"copy what you want to keep (gcloud storage cp -r gs://{bucket} FOLDER), "
                "then destroy again with SAM_FORCE_DESTROY=true",
            )
        data_set, _, name = table.partition(".")
        tables = data_sets.other_tables(project, data_set, ours=name) if table else []
        if tables and not force:
            raise OperatorError(
                f"the data set {data_set} of {project} holds tables of yours "
                f"({', '.join(tables)}); nothing of the platform is destroyed",
                hint=f"copy what you want to keep (bq cp {data_set}.TABLE OTHER.TABLE), "
                "then destroy again with SAM_FORCE_DESTROY=true",
            )
        for other in tables:
            data_sets.delete_table(project, data_set, other)
        if tables:
            typer.echo(f"{count(len(tables), 'table')} of {data_set} deleted")
        deleted = bucket_contents.clear(bucket)
        typer.echo(f"gs://{bucket} is empty: {deleted} objects and earlier versions deleted")


@app.command(
    "wait-for-apis",
    epilog="sam-vertex platform wait-for-apis compute iam --project my-project --region us-west1",
)
def wait_for_apis(
    apis: Annotated[list[str], typer.Argument(help="Such as compute.")],
    project: Project,
    region: Annotated[str, typer.Option(help="Region of the questions.")],
    billing_account: Annotated[str, typer.Option(help="Whose budgets are asked for.")] = "",
    debug: options.Debug = False,
) -> None:
    """Wait until APIs that were enabled a moment ago answer."""
    with reporting_errors(debug):
        from scripts.cloud import api_settling

        asked = api_settling.wait_for_apis(apis, project, region, billing_account)
        typer.echo(f"{len(asked)} APIs answer")


@app.command(epilog="sam-vertex platform remains --project my-project --region us-west1")
def remains(
    project: Project,
    region: Annotated[str, typer.Option(help="Region whose jobs and endpoints are looked for.")],
    soft_delete_days: Annotated[int, typer.Option(help="Days that deleted objects bill.")] = 0,
    state_bucket: Annotated[str, typer.Option(help="Bucket with Terraform's state.")] = "",
    log_bucket: Annotated[str, typer.Option(help="Bucket with access logs.")] = "",
    kms_key: Annotated[str, typer.Option(help="Key that encrypted everything.")] = "",
    request_log: Annotated[str, typer.Option(help="Table with logged requests.")] = "",
    debug: options.Debug = False,
) -> None:
    """Print what still bills after the platform is destroyed."""
    with reporting_errors(debug):
        from scripts.bills.left_after_destroy import ASKED, Leftovers, what_is_left

        leftovers = Leftovers(
            soft_delete_days=soft_delete_days,
            state_bucket=state_bucket,
            log_bucket=log_bucket,
            kms_key=kms_key,
            request_log=request_log,
        )
        lines = what_is_left(project, region, leftovers)
        typer.echo("still billing:" if lines else "nothing of this platform bills any more")
        for line in lines:
            typer.echo(f"- {line}")
        typer.echo(f"(looked for in {region}: {', '.join(ASKED)}; nothing else, and nowhere else)")
