"""The catalogue says the truth about the embedded file, and follows Meta's rule of names."""

import re

from serving.sam.checkpoints import file_sha256, load_checkpoint
from serving.sam.families.table import find_family
from serving.sam.known_checkpoints import CHECKPOINTS, find_entry


def test_embedded_checkpoint_is_the_one_of_the_table() -> None:
    entry = CHECKPOINTS["vit_tiny"]
    assert entry.embedded_path is not None
    assert entry.embedded_path.stat().st_size == entry.size_bytes <= 8_000_000
    assert file_sha256(entry.embedded_path) == entry.sha256
    assert load_checkpoint(entry.embedded_path).name == "vit_tiny"


def test_published_entries_follow_the_rule_of_their_names() -> None:
    for name in ("vit_b", "vit_l", "vit_h"):
        entry = CHECKPOINTS[name]
        assert entry.file_name.startswith(f"sam_{name}_")
        assert entry.url is not None and entry.url.endswith(entry.file_name)
        assert len(bytes.fromhex(entry.sha256)) == 32
        assert find_entry(entry.file_name) is find_entry(name) is entry


def test_every_entry_says_its_family_and_licence_and_what_is_fetched_by_commit() -> None:
    for entry in CHECKPOINTS.values():
        family = find_family(entry.family)
        assert family.fits(entry.architecture)
        assert entry.licence == family.licence
    mobile = CHECKPOINTS["mobile_sam"]
    assert mobile.url is not None
    assert re.search(r"/MobileSAM/[0-9a-f]{40}/weights/mobile_sam\.pt$", mobile.url)
