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
# # 5. Images and prompts for the pipeline
#
# A folder of replicated photographs with prompts for a random half of them, as the experiment of
# notebook 7 measures them, and its way into the bucket. It needs a deployment.

# %% tags=["parameters"]
outputs = "../outputs.json"  # what cdktf deploy wrote
photos = ""  # a local folder; empty for photographs of scikit-image
count = 10  # images of the batch
seed = 0  # chooses which half has prompts

# %%
from pathlib import Path

from scripts.notebooks import begin, shell, shell_json

begin()
shell("sam-vertex doctor", may_fail=True)

# %% [markdown]
# ## The batch
#
# The photographs in turn under unique names. The seed chooses the half that has prompts, so the
# same seed gives the same batch.

# %%
from scripts.development.demo import write_images

if not photos:
    photos = "work/photos"
    write_images(Path(photos))
batches = shell_json(
    f"sam-vertex experiment {photos} --sizes {count} --seed {seed} --prepare-only "
    f"--output work/experiment --json"
)
batch = Path(batches[str(count)])
print(*sorted(path.name for path in (batch / "images").iterdir()), sep="\n")

# %% [markdown]
# ## The three forms of a prompts file
#
# `docs/running.md` describes them; all three may stand in one file.

# %%
import json

forms = {
    "points.jpg": {"1": [[290, 160]], "0": [[20, 20]]},
    "objects.jpg": [{"box": [74, 20, 480, 392]}, {"points": [[290, 160]], "labels": [1]}],
    "older.jpg": [[290, 160], [1]],
}
print(json.dumps(forms, indent=1))

# %%
prompts = json.loads((batch / "prompts.json").read_text())
print(len(prompts), "of", count, "images have prompts, for example:")
print(json.dumps(dict(list(prompts.items())[:2]), indent=1))

# %% [markdown]
# ## Into the bucket
#
# What is there already with the same content is not sent again.

# %%
from scripts.cloud.deployment import Deployment

deployment = Deployment.from_outputs(Path(outputs))
target = f"{deployment.pipeline_uri}/inputs/{batch.name}"
shell(f"sam-vertex images upload {batch / 'images'} --to {target} --outputs {outputs}")
Path("work/batch.json").write_text(
    json.dumps({"images": target, "prompts": str(batch / "prompts.json")})
)

# %% [markdown]
# ## What is still billing

# %%
from scripts.notebooks import still_billing

still_billing(outputs)
