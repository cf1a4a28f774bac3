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
# # 6. The pipeline on Vertex AI
#
# Compiles the graph, predicts time and money, submits a run, leaves it and joins it again, and
# shows its report. It needs a deployment, an image (notebook 3) and the batch of notebook 5.

# %% tags=["parameters"]
outputs = "../outputs.json"  # what cdktf deploy wrote
checkpoint = "vit_tiny"  # vit_b, vit_l or vit_h for real work
shards = 2  # machines
accelerator = "NVIDIA_TESLA_T4"  # or none

# %%
import json
from pathlib import Path

from scripts.cloud.deployment import Deployment
from scripts.notebooks import begin, shell, shell_json

begin()
shell("sam-vertex doctor", may_fail=True)
deployment = Deployment.from_outputs(Path(outputs))
batch = json.loads(Path("work/batch.json").read_text())
output = f"{deployment.pipeline_uri}/notebook-run"

# %% [markdown]
# ## The graph

# %%
shell(f"sam-vertex pipeline compile --output work/pipeline.yaml --outputs {outputs}")
print(*Path("work/pipeline.yaml").read_text().splitlines()[:12], sep="\n")

# %% [markdown]
# ## What it will take
#
# Every figure says where it comes from: list prices with their date, and the best known
# throughput.

# %%
images = len(json.loads(Path(batch["prompts"]).read_text())) * 2
shell(f"sam-vertex cost --images {images} --shards {shards} --checkpoint {checkpoint}")

# %% [markdown]
# ## Submit, leave, join again
#
# The run goes on without this notebook.

# %%
run = shell_json(
    f"sam-vertex run {batch['images']} --engine vertex --checkpoint {checkpoint} "
    f"--prompts {batch['prompts']} --shards {shards} --accelerator {accelerator} "
    f"--output {output} --detach --json --outputs {outputs}"
)["run"]
print(run)

# %%
shell(f"sam-vertex run --attach {run} --outputs {outputs}")

# %%
shell(f"sam-vertex pipeline list --outputs {outputs}")

# %% [markdown]
# `sam-vertex pipeline cancel RUN` ends a run; what it finished stays, and the same `run` does the
# rest.

# %% [markdown]
# ## Its report
#
# The gallery lies in the bucket; `work/run/report.html` is its copy here.

# %%
from scripts.notebooks import show_gallery
from scripts.notebooks.results import fetch_run

fetch_run(output, Path("work/run"))
show_gallery("work/run")

# %%
print(Path("work/run/report.md").read_text()[:1500])

# %% [markdown]
# ## Predicted and measured

# %%
shell(f"sam-vertex cost --run {output} --outputs {outputs}")

# %% [markdown]
# ## What is still billing
#
# The machines of a run end with it. What the deployment costs as it stands:

# %%
from scripts.notebooks import still_billing

still_billing(outputs)
