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
# # 4. A batch prediction
#
# A folder of the bucket through Vertex AI's batch prediction, with the released model on machines
# of its own: nothing needs to be deployed on the endpoint. It needs a deployment and a released
# version (notebook 3).
#
# On Google Cloud a job starts for many minutes before it computes. For thousands of images the
# pipeline (notebook 6) is usually the better way; `docs/deploying.md` compares time and money.

# %% tags=["parameters"]
outputs = "../outputs.json"  # what cdktf deploy wrote
photos = ""  # a local folder; empty for photographs of scikit-image
batch_size = 2  # images in a request

# %%
from pathlib import Path

from scripts.notebooks import begin, shell

begin()
shell("sam-vertex doctor", may_fail=True)

# %% [markdown]
# ## Images into the bucket

# %%
from scripts.development.demo import write_images

if not photos:
    photos = "work/photos"
    write_images(Path(photos))
shell(f"sam-vertex images upload {photos} --outputs {outputs}")

# %% [markdown]
# ## The job
#
# Prompts for some of the images, by name; the others are segmented automatically. The command
# writes one JSON line an image into the bucket, submits the job, waits, and turns the results
# into the output of a run. Interrupt the cell and run it again: it finds its job.

# %%
import json

from scripts.cloud.deployment import Deployment

deployment = Deployment.from_outputs(Path(outputs))
prompts = {"coffee.jpg": [{"box": [74, 20, 480, 392]}], "chelsea.jpg": {"1": [[169, 116]]}}
Path("work/prompts.json").write_text(json.dumps(prompts))
shell(
    f"sam-vertex batch-predict {deployment.images_uri} --prompts work/prompts.json "
    f"--batch-size {batch_size} --output work/batch --outputs {outputs}"
)

# %% [markdown]
# ## Results

# %%
from scripts.notebooks import show_gallery, show_table

rows = [json.loads(line) for line in Path("work/batch/manifest.jsonl").read_text().splitlines()]
columns = ("image", "status", "masks", "reason")
show_table([{name: row.get(name, "") for name in columns} for row in rows])
show_gallery("work/batch")

# %% [markdown]
# ## What is still billing
#
# A batch prediction's machines end with it. What the deployment costs as it stands:

# %%
from scripts.notebooks import still_billing

still_billing(outputs)
