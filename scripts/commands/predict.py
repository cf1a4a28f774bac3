"""``sam-vertex predict``: one online prediction, by a model server here or by the endpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from scripts.cloud import deployment
from scripts.commands import options
from scripts.online_predictions.requests import (
    innermost_message,
    make_instance,
    make_prompts,
    post,
    records_of,
    save_json,
)
from scripts.terminal.errors import CLOUD, OperatorError, reporting_errors
from serving.sam.prompts import Prompt

EXAMPLES = (
    "Examples: sam-vertex predict photo.jpg --point 300,200 | "
    "sam-vertex predict photo.jpg --box 10,10,200,180 --endpoint | "
    "sam-vertex predict photo.jpg --save-request request.json"
)
LOCAL = "http://127.0.0.1:8080/predict"


def predict(
    image: Annotated[str, typer.Argument(help="An image file, or gs:// with --endpoint.")],
    point: Annotated[
        list[str] | None, typer.Option(help="X,Y or X,Y,LABEL: 1 on the object, 0 off it.")
    ] = None,
    box: Annotated[
        list[str] | None, typer.Option(help="X0,Y0,X1,Y1; several are several objects.")
    ] = None,
    url: Annotated[str, typer.Option(help="A model server's address.")] = LOCAL,
    endpoint: Annotated[
        bool, typer.Option("--endpoint", help="Ask the deployed endpoint.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="Folder for overlay and masks; default: the current.")
    ] = None,
    points_per_side: options.PointsPerSide = None,
    multimask: Annotated[bool, typer.Option(help="Three candidates, the best is drawn.")] = False,
    save_request: Annotated[
        Path | None, typer.Option(help="Write the request's JSON there and send nothing.")
    ] = None,
    outputs: options.Outputs = deployment.DEFAULT_PATH,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Segment one image: what the points and boxes name, or everything.

    Writes IMAGE.overlay.png and IMAGE.masks.json to the output folder (default: the current one).
    """
    with reporting_errors(debug):
        prompts = make_prompts(point or [], box or [])
        data, name, uri = _read(image, endpoint)
        instance = make_instance(name, data, uri, prompts, multimask=multimask)
        parameters: dict[str, Any] = {"mask_format": "rle"}
        if points_per_side is not None:
            parameters["points_per_side"] = points_per_side
        body = {"instances": [instance], "parameters": parameters}
        if save_request is not None:
            save_json(save_request, body)
            typer.echo(f"{save_request}: {save_request.stat().st_size} bytes")
            return
        reply = _ask_endpoint(body, outputs) if endpoint else post(url, body)
        if as_json:
            typer.echo(json.dumps(reply))
            return
        _write(reply, prompts, data, name, output or Path())


def _read(image: str, endpoint: bool) -> tuple[bytes | None, str, str]:
    """Content, name and URI of the image; a ``gs://`` one is read by the server."""
    if image.startswith("gs://"):
        if not endpoint:
            raise OperatorError(f"{image}: a server here reads no bucket", hint="--endpoint")
        return None, image.rpartition("/")[2], image
    path = Path(image).expanduser()
    try:
        return path.read_bytes(), path.name, ""
    except OSError as error:
        raise OperatorError(
            f"cannot read {path}: {error.strerror or error}", hint="give an image file"
        ) from error


def _ask_endpoint(body: dict[str, Any], outputs: Path) -> dict[str, Any]:
    """Ask the deployed endpoint by the SDK."""
    from google.api_core.exceptions import GoogleAPICallError

    from scripts.cloud.vertex_sdk import connect, patiently

    found = deployment.Deployment.from_outputs(outputs)
    if not found.endpoint_resource_name:
        raise OperatorError(f"{outputs} holds no endpoint", hint="cdktf deploy sam-serving")
    size = len(json.dumps(body))
    if found.reply_limit_bytes and size > found.reply_limit_bytes:
        raise OperatorError(
            f"the request has {size} bytes, this endpoint takes {found.reply_limit_bytes}",
            hint="upload the image to the bucket and give its gs:// URI, or scale it down",
        )
    sdk = connect(found.project_id, found.region)
    try:
        endpoint = patiently(lambda: sdk.Endpoint(found.endpoint_resource_name))
        answer = patiently(
            lambda: endpoint.predict(instances=body["instances"], parameters=body["parameters"])
        )
    except (GoogleAPICallError, ValueError) as error:
        # ValueError is the SDK's word for any refusal of a dedicated endpoint.
        raise OperatorError(
            f"the endpoint refuses: {innermost_message(str(error))}",
            hint="'sam-vertex model list' shows what is deployed",
            exit_code=CLOUD,
        ) from error
    return {"predictions": answer.predictions, "deployed_model_id": answer.deployed_model_id}


def _write(
    reply: dict[str, Any], prompts: tuple[Prompt, ...], data: bytes | None, name: str, folder: Path
) -> None:
    (prediction,) = reply["predictions"]
    records = records_of(prediction, prompts)
    masks = folder / f"{name}.masks.json"
    save_json(masks, {"image": name, "masks": records})
    typer.echo(f"{len(records)} masks: {masks}")
    if data is not None:
        from pipeline.shard.pictures import draw_overlay, encode_png
        from serving.sam.images import decode_image

        overlay = folder / f"{name}.overlay.png"
        overlay.write_bytes(encode_png(draw_overlay(decode_image(data, name), records)))
        typer.echo(f"overlay: {overlay}")
