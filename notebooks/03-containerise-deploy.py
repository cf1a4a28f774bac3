# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Segment Anything
#     language: python
#     name: sam
# ---

# %% [markdown]
# # 3. The container, the model and the endpoint
#
# Builds the image, serves it on this machine, releases it, asks the endpoint by command, SDK and
# curl, and undeploys it. It needs a deployment (`docs/deploying.md`):
#
# ```bash
# npx cdktf deploy sam-platform sam-serving --outputs-file outputs.json
# ```
#
# From the release on, a machine with a T4 bills. The last cells take it away, and so does every
# cell that fails.

# %% tags=["parameters"]
outputs = "../outputs.json"  # what cdktf deploy wrote
checkpoint = "vit_tiny"  # vit_b, vit_l or vit_h for real work
port = 8080  # of the server on this machine

# %%
from pathlib import Path

from scripts.notebooks import begin, shell, shell_json

begin()
shell("sam-vertex doctor", may_fail=True)

# %% [markdown]
# ## The image
#
# With a Docker engine it is built here, otherwise by Cloud Build. A Workbench has none.

# %%
image = shell_json("sam-vertex image build --json --outputs " + outputs)["image"]
print(image)

# %% [markdown]
# ## The same server on this machine
#
# What the container runs, with its health and predict routes.

# %%
import requests

from scripts.development.demo import write_images
from scripts.notebooks.session import model_server

write_images(Path("work/photos"))
photo = "work/photos/coffee.jpg"
with model_server(checkpoint, port) as url:
    print("health", requests.get(f"{url}/health", timeout=10).status_code)
    shell(f"sam-vertex predict {photo} --point 290,160 --url {url}/predict --output work/here")

# %%
from scripts.notebooks import show_image
from serving.sam import load_image

show_image(load_image("work/here/coffee.jpg.overlay.png"))

# %% [markdown]
# ## The release
#
# Uploads a version, deploys it beside the one that serves, checks it, and moves the traffic. From
# here on a machine bills; if a later cell fails, the model is undeployed.

# %%
from scripts.notebooks import undeploy_after_failure

uploaded = shell_json(f"sam-vertex checkpoint upload {checkpoint} --json --outputs {outputs}")
undeploy_after_failure(outputs)
shell(
    f"sam-vertex model release --image {image} --checkpoint {uploaded['checkpoint']} "
    f"--outputs {outputs}"
)

# %%
from scripts.notebooks import show_table

show_table(shell_json(f"sam-vertex model list --json --outputs {outputs}"))

# %% [markdown]
# ## Asked by the command

# %%
shell(
    f"sam-vertex predict {photo} --point 290,160 --endpoint --outputs {outputs} --output work/there"
)

# %% [markdown]
# ## Asked by the SDK

# %%
import json

from scripts.cloud.deployment import Deployment
from scripts.cloud.vertex_sdk import connect

shell(f"sam-vertex predict {photo} --point 290,160 --save-request work/request.json")
request = json.loads(Path("work/request.json").read_text())
deployment = Deployment.from_outputs(Path(outputs))
aiplatform = connect(deployment.project_id, deployment.region)  # aiplatform.init, and credentials
endpoint = aiplatform.Endpoint(deployment.endpoint_resource_name)
reply = endpoint.predict(instances=request["instances"])
print(sorted(reply.predictions[0]), reply.predictions[0]["scores"])

# %% [markdown]
# ## Asked by curl
#
# The token goes by standard input, so that no list of processes shows it, and never over plain
# http.

# %%
from scripts.notebooks.session import access_token

host = endpoint.dedicated_endpoint_dns.removeprefix("https://")

shell(
    f"curl --config - --proto =https --silent --show-error --fail --output work/reply.json "
    f"--header 'Content-Type: application/json' --data @work/request.json "
    f"https://{host}/v1/{endpoint.resource_name}:predict",
    stdin=f'header = "Authorization: Bearer {access_token(deployment.project_id)}"\n',
)
print(Path("work/reply.json").stat().st_size, "bytes")

# %% [markdown]
# ## Undeploy
#
# The endpoint and the versions stay, which cost nothing; `sam-vertex model release` deploys
# again.

# %%
shell(f"sam-vertex model undeploy --outputs {outputs}")

# %% [markdown]
# ## What is still billing

# %%
from scripts.notebooks import still_billing

still_billing(outputs)
