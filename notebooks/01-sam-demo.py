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
# # 1. Segment Anything, on one photograph
#
# Prompts, candidates, automatic masks, and the official code beside ours. Nothing here needs
# Google Cloud.
#
# `vit_tiny` is the small demo network inside this package: good enough to show how things work,
# not for real photographs. `sam-vertex checkpoint fetch vit_b` gets Meta's smallest; then say
# `vit_b` below.

# %% tags=["parameters"]
checkpoint = "vit_tiny"  # or vit_b, vit_l, vit_h, or the path of a file
photo = ""  # your own photograph; empty for two of scikit-image's
point = (320, 240)  # XY pixels from the top left
box = (290, 118, 350, 408)  # X0, Y0, X1, Y1
points_per_side = 16  # of the grid that finds everything; 32 is SAM's own

# %%
from pathlib import Path

from scripts.notebooks import begin, shell

begin()
shell("sam-vertex doctor", may_fail=True)

# %% [markdown]
# ## The photograph and the engine
#
# The engine embeds an image once; after that every prompt costs milliseconds.

# %%
from scripts.checkpoints.cache import resolve_checkpoint
from scripts.development.demo import write_images
from scripts.notebooks import show_image
from serving.sam import Engine, Prompt, load_image

write_images(Path("work/photos"))
image = load_image(photo or "work/photos/rocket.jpg")  # (H, W, 3) uint8 RGB
engine = Engine.load(resolve_checkpoint(checkpoint))
embedding = engine.embed(image)
print(
    f"{image.shape[1]} x {image.shape[0]} pixels; {checkpoint}, {engine.device}, {engine.precision}"
)
show_image(image)

# %% [markdown]
# ## One click, three candidates
#
# A click may mean a part, an object or a group, so the network proposes three masks and rates
# each.

# %%
from scripts.notebooks import show_candidates

click = Prompt(points=(point,), labels=(1,))
show_candidates(engine, image, click)

# %% [markdown]
# ## Boxes and several objects
#
# Each prompt is one object; points beside it have the label 0. The best mask of each stays.

# %%
from scripts.notebooks import show_masks

prompts = [click, Prompt(box_xyxy=box)]
records = engine.segment(embedding, prompts)
show_masks(image, records)

# %% [markdown]
# ## By hand
#
# The mask follows the pointer. Click to include, right-click to exclude, drag a box, press Enter to
# accept. (Without a running kernel, as on a page that only shows this notebook, nothing can be
# clicked; `sam-vertex annotate` is the same for whole folders.)

# %%
from scripts.notebooks.widget import ClickWidget

clicks = ClickWidget(engine, photo or "work/photos/rocket.jpg")
clicks

# %%
print(len(clicks.records), "masks accepted:", clicks.prompts)

# %% [markdown]
# ## Everything
#
# A grid of points, and of their masks those that the network itself finds good and stable.

# %%
import dataclasses

crowd = load_image(photo or "work/photos/coins.jpg")
settings = dataclasses.replace(engine.checkpoint.automatic, points_per_side=points_per_side)
records = engine.generate(crowd, settings)
print(len(records), "masks")
show_masks(crowd, records)

# %% [markdown]
# ## The official code beside ours
#
# Both with the same weights, on this machine, in turn. One run of each: `make bench` measures
# properly, and `docs/speed.md` has its figures.

# %%
from scripts.notebooks import show_table
from scripts.notebooks.comparison import compare_with_official

show_table(compare_with_official(resolve_checkpoint(checkpoint), crowd, click, settings))

# %% [markdown]
# ## The same masks by `sam-vertex run`
#
# The command segments a whole folder, here or on Vertex AI, with the same engine.

# %%
import json

Path("work/prompts.json").write_text(json.dumps({"rocket.jpg": [p.to_json() for p in prompts]}))
shell(
    f"sam-vertex run work/photos/rocket.jpg --prompts work/prompts.json "
    f"--checkpoint {checkpoint} --output work/demo"
)

# %%
written = json.loads(Path("work/demo/masks/rocket.jpg.json").read_text())["masks"]
if not photo:
    expected = engine.segment(embedding, prompts)
    assert [m["segmentation"] for m in written] == [m["segmentation"] for m in expected]
print(f"{len(written)} masks in work/demo/masks; open work/demo/report.html")

# %% [markdown]
# ## What is still billing

# %%
from scripts.notebooks import still_billing

still_billing("../outputs.json")
