"""The catalogue of known checkpoints: the embedded one, Meta's and MobileSAM's."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from serving.sam.architectures import MOBILE_SAM, VIT_B, VIT_H, VIT_L, VIT_TINY, Architecture
from serving.sam.automatic_settings import AutomaticSettings
from serving.sam.machine.user_cache import user_cache

_ASSETS = Path(__file__).parent / "assets"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointEntry:
    """One known checkpoint.

    Attributes:
        name: what operators call it.
        file_name: the published file's name.
        size_bytes: the file's length.
        sha256: the file's digest, hex.
        url: where to fetch it; ``None`` if it lies in this package.
        architecture: the network it belongs to.
        family: how it is fed and read, by its name in ``families.table``.
        licence: of the weights.
        automatic: thresholds that suit its scores.
        summary: one line for a listing.
    """

    name: str
    file_name: str
    size_bytes: int
    sha256: str
    url: str | None
    architecture: Architecture
    family: str = "sam"
    licence: str = "Apache-2.0"
    automatic: AutomaticSettings = dataclasses.field(default_factory=AutomaticSettings)
    summary: str

    @property
    def embedded_path(self) -> Path | None:
        """Path of the file in this package; ``None`` unless it lies there."""
        return _ASSETS / self.file_name if self.url is None else None

    @property
    def path_here(self) -> Path:
        """Where it lies on this machine, or will lie once ``checkpoint fetch`` has fetched it."""
        return self.embedded_path or user_cache() / "checkpoints" / self.file_name

    @property
    def is_demo(self) -> bool:
        """Whether it is a demonstration network, which finds nothing in many photographs."""
        return self.url is None


_MOBILE = "https://raw.githubusercontent.com/ChaoningZhang/MobileSAM/"
_META = "https://dl.fbaipublicfiles.com/segment_anything/"

# Sizes and digests of Meta's files: facebookresearch/segment-anything, README; the file names end
# in the first six digits of the MD5.
CHECKPOINTS: dict[str, CheckpointEntry] = {
    entry.name: entry
    for entry in (
        CheckpointEntry(
            name="vit_tiny",
            file_name="sam_vit_tiny.pth",
            size_bytes=4_374_927,
            sha256="a50962d8fb23ef6bce0c9c033176a4dffd502e54533d984e4522e8c8fd4abffe",
            url=None,
            architecture=VIT_TINY,
            automatic=AutomaticSettings(
                points_per_side=16,
                points_per_batch=8,
                pred_iou_thresh=0.5,
                stability_score_thresh=0.75,
            ),
            summary="embedded, 2 M parameters: for demo, tests and rehearsal, not Meta's SAM",
        ),
        # Its authors publish no digest: size and digest are what other projects pin, all ten that
        # were found alike. That this address has that file is UNVERIFIED; another is refused.
        CheckpointEntry(
            name="mobile_sam",
            file_name="mobile_sam.pt",
            size_bytes=40_728_226,
            sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
            url=_MOBILE + "34bbbfdface3c18e5221aa7de6032d7220c6c6a1/weights/mobile_sam.pt",
            architecture=MOBILE_SAM,
            family="mobile_sam",
            summary="MobileSAM, 10 M parameters: SAM's decoder behind a small encoder, for CPUs",
        ),
        CheckpointEntry(
            name="vit_b",
            file_name="sam_vit_b_01ec64.pth",
            size_bytes=375_042_383,
            sha256="ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            url=_META + "sam_vit_b_01ec64.pth",
            architecture=VIT_B,
            summary="Meta's SAM with ViT-B, 91 M parameters",
        ),
        CheckpointEntry(
            name="vit_l",
            file_name="sam_vit_l_0b3195.pth",
            size_bytes=1_249_524_607,
            sha256="3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            url=_META + "sam_vit_l_0b3195.pth",
            architecture=VIT_L,
            summary="Meta's SAM with ViT-L, 308 M parameters",
        ),
        CheckpointEntry(
            name="vit_h",
            file_name="sam_vit_h_4b8939.pth",
            size_bytes=2_564_550_879,
            sha256="a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            url=_META + "sam_vit_h_4b8939.pth",
            architecture=VIT_H,
            summary="Meta's SAM with ViT-H, 636 M parameters; the most exact",
        ),
    )
}


def find_entry(name: str) -> CheckpointEntry | None:
    """Return the known checkpoint of that name or file name, or ``None``."""
    for entry in CHECKPOINTS.values():
        if name in (entry.name, entry.file_name):
            return entry
    return None


def find_digest(sha256: str) -> CheckpointEntry | None:
    """Return the known checkpoint of a file with that digest, whatever its name, or ``None``."""
    return next((entry for entry in CHECKPOINTS.values() if entry.sha256 == sha256), None)
