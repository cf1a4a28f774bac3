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
# # 7. Time and cost against the number of images
#
# Measures batches of several sizes, with and without prompts, and plots them beside the figures
# that the original published. Nothing here needs Google Cloud; with `engine = "vertex"` it
# measures there.

# %% tags=["parameters"]
outputs = "../outputs.json"  # for engine = "vertex"
engine = "local"  # or vertex
checkpoint = "vit_tiny"
sizes = "2,4,8"  # the original measured 5, 50, 100, 500 and 1000
points_per_side = 8  # 32 is SAM's own; fewer makes this quick
photos = ""  # a local folder; empty for photographs of scikit-image

# %%
from pathlib import Path

from scripts.notebooks import begin, shell

begin()
shell("sam-vertex doctor", may_fail=True)

# %% [markdown]
# ## Measure
#
# What was measured before with the same settings is not measured again, so this cell also just
# reads.

# %%
from scripts.development.demo import write_images

if not photos:
    photos = "work/photos"
    write_images(Path(photos))
shell(
    f"sam-vertex experiment {photos} --engine {engine} --checkpoint {checkpoint} --sizes {sizes} "
    f"--points-per-side {points_per_side} --output work/experiment --outputs {outputs} "
    + ("--yes" if engine == "vertex" else "")
)

# %% [markdown]
# ## The figures
#
# Dotted: the original's published times on a T4 with vit_b. Another machine and another network,
# so the slopes can be compared, not the heights.

# %%
from scripts.notebooks import show_image
from serving.sam import load_image

show_image(load_image("work/experiment/time.png"))

# %%
show_image(load_image("work/experiment/cost.png"))

# %% [markdown]
# ## As numbers

# %%
from scripts.experiment.results import REFERENCE, read_result
from scripts.notebooks import show_table

result = read_result(Path("work/experiment"), {})
show_table(
    [
        {
            "images": row["images"],
            "mode": row["mode"],
            "seconds": row["seconds"],
            "seconds an image": row["seconds"] / row["images"],
            "failed": row["failed"],
        }
        for row in result["rows"]
    ]
)

# %%
show_table(
    [
        {"images": n, "original, automatic (s an image)": 60 * a / n, "with prompts": 60 * p / n}
        for n, a, p in zip(
            REFERENCE["images"],
            REFERENCE["automatic_minutes"],
            REFERENCE["prompted_minutes"],
            strict=True,
        )
    ]
)

# %% [markdown]
# ## What is still billing

# %%
from scripts.notebooks import still_billing

still_billing(outputs)
