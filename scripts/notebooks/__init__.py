"""What the notebooks' cells call: commands as typed, masks as pictures, rows as tables."""

from scripts.notebooks.pictures import show_candidates, show_gallery, show_image, show_masks
from scripts.notebooks.session import (
    begin,
    shell,
    shell_json,
    still_billing,
    undeploy_after_failure,
)
from scripts.notebooks.tables import show_table

__all__ = [
    "begin",
    "shell",
    "shell_json",
    "show_candidates",
    "show_gallery",
    "show_image",
    "show_masks",
    "show_table",
    "still_billing",
    "undeploy_after_failure",
]
