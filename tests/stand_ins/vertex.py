"""A project in a running local cloud, with a bucket, a registry and an endpoint, for any test."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import requests

from scripts.rehearsal import local_cloud as clouds
from scripts.rehearsal.google_provider.objects import Objects
from scripts.rehearsal.google_provider.world import World
from scripts.rehearsal.vertex_ai.permissions import agent_of

PARENT = "projects/p1/locations/us-west1"
ENDPOINT = f"{PARENT}/endpoints/sam"
REGISTRY = "us-west1-docker.pkg.dev/p1/images/sam"
PIPELINE = "sam-pipeline@p1.iam.gserviceaccount.com"  # an account that may use bucket and images
MACHINE = {"machineType": "n1-standard-4", "acceleratorType": "NVIDIA_TESLA_T4", "acceleratorCount": 1}  # fmt: skip # noqa: E501

# A container that starts at once; its environment decides how it behaves.
SERVER = """
import http.server, json, os, sys, time
if os.environ.get("SERVING_PRECISION") == "exit":
    print("cannot start", flush=True); sys.exit(3)
if os.environ.get("SERVING_PRECISION") == "slow":
    time.sleep(60)
MASK = {"size": [8, 8], "counts": "0P2"}  # every pixel
RECORD = {"segmentation": MASK, "area": 64, "bbox": [0, 0, 7, 7], "predicted_iou": 0.9,
          "point_coords": [[4, 4]], "stability_score": 0.9, "crop_box": [0, 0, 8, 8]}
ALL = {"masks": [RECORD]}
class Handler(http.server.BaseHTTPRequestHandler):
    def _answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status); self.send_header("Content-Length", str(len(body)))
        self.end_headers(); self.wfile.write(body)
    def do_GET(self):
        self._answer(200, {})
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        first = request["instances"][0]
        if isinstance(first, dict) and "sleep" in first:
            time.sleep(first["sleep"])
        if first == "bad":
            return self._answer(400, {"error": {"code": 400, "message": "bad instance"}})
        if isinstance(first, dict) and first.get("file_path") == "check.png":  # a release's check
            if "image_uri" in first and os.environ.get("SERVING_PRECISION") == "blind":
                return self._answer(400, {"error": {"code": 400, "message": "cannot be read"}})
            if "input_point" not in first:
                return self._answer(200, {"predictions": [{"masks": []}]})
            side = 64 if os.environ.get("SERVING_PRECISION") != "mask" else 1
            return self._answer(200, {"predictions": [{"masks": [{"size": [side, side], "counts": "x"}]}]})
        if isinstance(first, dict) and "image_uri" in first:  # an image of eight by eight pixels
            time.sleep(60 if "held" in first["file_path"] else 3 if "slow" in first["file_path"] else 0)
            if "refused" in first["file_path"]:
                return self._answer(400, {"error": {"code": 400, "message": "refused"}})
            if "strange" in first["file_path"]:
                return self._answer(200, {"predictions": [{"echo": 1} for _ in request["instances"]]})
            return self._answer(200, {"predictions": [ALL for _ in request["instances"]]})
        if first == "large":
            return self._answer(200, {"predictions": ["x" * 11_000_000]})
        names = request.get("parameters", {}).get("tell", [])
        variables = {name: os.environ.get(name, "") for name in names}
        echoes = [{"echo": item, **variables} for item in request["instances"]]
        self._answer(200, {"predictions": echoes, "metadata": {"device": "cpu"}})
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["AIP_HTTP_PORT"])), Handler).serve_forever()
"""  # noqa: E501


class Vertex:
    """The stand-in as its clients see it."""

    def __init__(self, cloud: clouds.Cloud) -> None:
        self.cloud = cloud
        self.world = World(cloud.world_path)
        self.objects = Objects(cloud.storage_url)
        self.image = f"{REGISTRY}@sha256:{hashlib.sha256(b'image').hexdigest()}"

    def call(self, method: str, path: str, body: Any = None, **arguments: Any) -> requests.Response:
        return requests.request(
            method, f"{self.cloud.vertex_url}/v1/{path}", json=body, timeout=60, **arguments
        )

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        reply = self.call(method, path, body)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def wait(self, operation: Any) -> Any:
        """The response of an operation, or its error as ``{"error": ...}``."""
        deadline = time.monotonic() + 60
        while not operation["done"]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
            operation = self.ok("GET", operation["name"])
        return operation.get("response") or {"error": operation["error"]}

    def upload(self, **changes: Any) -> Any:
        spec = {"imageUri": self.image, "env": changes.pop("env", [])}
        where = {key: changes.pop(key) for key in ("modelId", "parentModel") if key in changes}
        model = {
            "displayName": "sam",
            "containerSpec": spec,
            "artifactUri": "gs://p1-bucket/model",
            **changes,
        }
        return self.call("POST", f"{PARENT}/models:upload", {**where, "model": model})

    def uploaded(self, **changes: Any) -> str:
        """Upload a model; its name with its version."""
        reply = self.upload(**changes)
        assert reply.status_code == 200, reply.text
        response = self.wait(reply.json())
        return f"{response['model']}@{response['modelVersionId']}"

    def deploy(self, model: str, split: Any = None, **resources: Any) -> requests.Response:
        dedicated = {
            "machineSpec": MACHINE, "minReplicaCount": 1, "maxReplicaCount": 1, **resources
        }  # fmt: skip
        body: dict[str, Any] = {"deployedModel": {"model": model, "dedicatedResources": dedicated}}
        if split is not None:
            body["trafficSplit"] = split
        return self.call("POST", f"{ENDPOINT}:deployModel", body)

    def deployed(self, model: str, split: Any = None) -> str:
        """Deploy a model; the id of its deployment."""
        reply = self.deploy(model, split)
        assert reply.status_code == 200, reply.text
        return str(self.wait(reply.json())["deployedModel"]["id"])

    def predict(self, *instances: Any, **parameters: Any) -> requests.Response:
        shown = self.ok("GET", ENDPOINT)
        return requests.post(
            f"https://{shown['dedicatedEndpointDns']}/v1/{ENDPOINT}:predict",
            json={"instances": list(instances), "parameters": parameters},
            timeout=60,
            verify=str(self.cloud.home / "vertex.pem"),
        )

    def clear(self) -> None:
        """Undeploy and delete everything."""
        for model in self.ok("GET", ENDPOINT)["deployedModels"]:
            split = self.ok("GET", ENDPOINT)["trafficSplit"]
            rest = [other for other in split if other != model["id"]]
            if split.get(model["id"]) and rest:
                self.ok("PATCH", ENDPOINT, {"trafficSplit": {rest[0]: 100}})
            body = {"deployedModelId": model["id"]}
            self.wait(self.ok("POST", f"{ENDPOINT}:undeployModel", body))
        for model in self.ok("GET", f"{PARENT}/models")["models"]:
            self.wait(self.ok("DELETE", model["name"]))
        with self.world.open() as world:
            world["vertex"]["faults"] = []
            world.pop("quotas", None)


def furnish(vertex: Vertex, tree: Path) -> None:
    """Make what Terraform and ``image build`` would have made."""
    tree.mkdir(parents=True, exist_ok=True)
    (tree / "server.py").write_text(SERVER)
    name, _, digest = vertex.image.partition("@")
    with vertex.world.open() as world:
        world.setdefault("images", {})[name] = [
            {
                "digest": digest, "tags": ["v1"], "tree": str(tree),
                "entrypoint": ["python", "server.py"],
            }
        ]  # fmt: skip
        world["resources"].setdefault("google_vertex_ai_endpoint", {})[ENDPOINT] = {
            "id": ENDPOINT, "name": "sam", "project": "p1", "location": "us-west1",
            "display_name": "sam", "dedicated_endpoint_enabled": True, "deployed_models": [],
            "traffic_split": "",
        }  # fmt: skip
        world["resources"]["google_project_service"] = {
            f"p1/{api}": {"project": "p1", "service": f"{api}.googleapis.com"}
            for api in ("aiplatform", "artifactregistry")
        }
        world["resources"]["google_storage_bucket"] = {
            "p1-bucket": {"name": "p1-bucket", "project": "p1", "versioning": []}
        }
        grant(world, PIPELINE, "roles/storage.admin", bucket="p1-bucket")
        where = {"project": "p1", "location": "us-west1", "repository": "images"}
        grant(world, PIPELINE, "roles/artifactregistry.reader", **where)
        account = f"projects/p1/serviceAccounts/{PIPELINE}"
        grant(world, agent_of("p1"), "roles/iam.serviceAccountAdmin", service_account_id=account)
    vertex.objects.create_bucket("p1-bucket", "p1")
    vertex.objects.put("p1-bucket", "model/weights.bin", b"weights")


def grant(world: Any, email: str, role: str, **target: str) -> None:
    """Let an account do something, as Terraform would.

    Args:
        world: contents of the world.
        email: of the account.
        role: such as ``roles/aiplatform.user``.
        target: the arguments that name the resource: ``bucket``, ``service_account_id``,
            ``project`` with ``location`` and ``repository``, or ``project`` alone.
    """
    kinds = {
        "bucket": "storage_bucket",
        "service_account_id": "service_account",
        "repository": "artifact_registry_repository",
        "project": "project",
    }
    kind = next(kind for argument, kind in kinds.items() if argument in target)
    grants = world["resources"].setdefault(f"google_{kind}_iam_member", {})
    values = {"role": role, "member": f"serviceAccount:{email}", "condition": [], **target}
    grants[f"{' '.join(target.values())} {role} {email}"] = values
