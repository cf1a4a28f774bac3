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
# # 2. Requests for the endpoint
#
# What an online prediction sends: with prompts, without, with several objects, and with an image
# that stays in the bucket. Nothing here needs Google Cloud. `docs/serving.md` describes every
# field.

# %% tags=["parameters"]
photo = ""  # your own photograph; empty for one of scikit-image's
point = (290, 160)  # XY pixels from the top left
boxes = [(172, 16, 414, 316), (74, 20, 480, 392)]  # X0, Y0, X1, Y1 of each object
in_bucket = "gs://my-project-sam/batch-prediction-images/coffee.jpg"

# %%
from pathlib import Path

from scripts.development.demo import write_images
from scripts.notebooks import begin, shell

begin()
shell("sam-vertex doctor", may_fail=True)
if not photo:
    write_images(Path("work/photos"))
    photo = "work/photos/coffee.jpg"

# %% [markdown]
# ## With a prompt, and without
#
# `--save-request` writes the JSON that `predict` would send, and sends nothing. The image goes as
# it lies on the disk, in base64: it is not decoded and encoded again.

# %%
x, y = point
shell(f"sam-vertex predict {photo} --point {x},{y} --save-request work/with-prompt.json")
shell(f"sam-vertex predict {photo} --save-request work/without-prompt.json")

# %%
import json


def shortened(instance):
    """The instance with the first characters of its image."""
    image = instance.get("image", "")
    return {
        **instance,
        **({"image": f"{image[:24]}... ({len(image)} characters)"} if image else {}),
    }


for name in ("with-prompt", "without-prompt"):
    request = json.loads(Path(f"work/{name}.json").read_text())
    print(name, json.dumps([shortened(i) for i in request["instances"]], indent=1))

# %% [markdown]
# ## Several objects
#
# Each box is one object of the same image, which is sent and embedded once.

# %%
options = " ".join(f"--box {','.join(map(str, box))}" for box in boxes)
shell(f"sam-vertex predict {photo} {options} --save-request work/several.json")
print(json.loads(Path("work/several.json").read_text())["instances"][0]["input_box"])

# %% [markdown]
# ## An image in the bucket
#
# The model server reads it itself, as the account that serves, so the request stays small
# whatever the image's size.

# %%
shell(
    f"sam-vertex predict {in_bucket} --point {x},{y} --endpoint --save-request work/in-bucket.json"
)
print(Path("work/in-bucket.json").read_text())

# %% [markdown]
# ## Size against the endpoint's limit
#
# A shared endpoint takes 1.5 MB, a dedicated one 10 MB (Google, "Vertex AI quotas and limits").
# What is larger goes by its `gs://` address.

# %%
from scripts.notebooks import show_table

show_table(
    [
        {
            "request": path.stem,
            "bytes": path.stat().st_size,
            "shared endpoint (1.5 MB)": "fits" if path.stat().st_size <= 1_500_000 else "too large",
            "dedicated endpoint (10 MB)": "fits"
            if path.stat().st_size <= 10_000_000
            else "too large",
        }
        for path in sorted(Path("work").glob("*.json"))
        if "instances" in path.read_text()
    ]
)

# %% [markdown]
# ## Is each a request that the server takes?
#
# The server's own check, without a server:

# %%
from serving.contract import parse_request
from serving.settings import ServingSettings

for name in ("with-prompt", "without-prompt", "several"):
    request = parse_request(json.loads(Path(f"work/{name}.json").read_text()), ServingSettings())
    print(name, "is taken:", len(request.instances), "instance")

# %% [markdown]
# ## What is still billing

# %%
from scripts.notebooks import still_billing

still_billing("../outputs.json")
