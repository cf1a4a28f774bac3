"""Checks of the Workbench: its machine, its people, its network."""

from __future__ import annotations

import re

from infra.availability import WORKBENCH_IMAGES
from infra.checks.requirement import check_emails, check_machine, require
from infra.settings import Settings, listed


def check_workbench(settings: Settings) -> None:
    """Check the machine and its image, the owner or the users, and the network with its NAT."""
    require(
        settings.workbench or not (settings.network or settings.workbench_owner),
        "workbench",
        "is false, but SAM_NETWORK or SAM_WORKBENCH_OWNER describes one",
        "leave the two empty, or set SAM_WORKBENCH=true",
    )
    require(
        not settings.workbench_ssh or (settings.workbench and not settings.network),
        "workbench_ssh",
        "is for the network that is made here with the Workbench",
        "with a network of your own, allow 35.235.240.0/20 to port 22 there",
    )
    if not settings.workbench:
        return
    check_machine(settings, "workbench_machine", "workbench_accelerator")
    require(
        settings.workbench_image in WORKBENCH_IMAGES,
        "workbench_image",
        f"unknown image {settings.workbench_image!r}",
        f"known: {', '.join(WORKBENCH_IMAGES)}",
    )
    require(
        not settings.repository_url or re.fullmatch(r"https://[^\s]+", settings.repository_url),
        "repository_url",
        f"expected https://..., got {settings.repository_url!r}",
        "the Workbench clones without credentials, so the repository must be public or mirrored",
    )
    for field in ("workbench_owner", "workbench_users"):
        check_emails(settings, field)
    require(
        len(listed(settings.workbench_owner)) <= 1,
        "workbench_owner",
        "a Workbench has one owner at most",
        "leave it empty and list the people in SAM_WORKBENCH_USERS",
    )
    require(
        not (settings.workbench_owner and settings.workbench_users),
        "workbench_users",
        "conflicts with SAM_WORKBENCH_OWNER: a single-owner Workbench has no other users",
        "set one of the two",
    )
    require(
        bool(settings.network) == bool(settings.subnet),
        "subnet" if settings.network else "network",
        "SAM_NETWORK and SAM_SUBNET go together",
        "set both to use an existing network, or neither to have one made with its NAT",
    )
    require(
        not settings.subnet or f"/regions/{settings.region}/subnetworks/" in settings.subnet,
        "subnet",
        f"expected projects/P/regions/{settings.region}/subnetworks/S, got {settings.subnet!r}",
        "the subnet lies in SAM_REGION and is named in full",
    )
    require(
        not settings.network or "/global/networks/" in settings.network,
        "network",
        f"expected projects/P/global/networks/N, got {settings.network!r}",
        "name the network in full",
    )
    require(
        not settings.nat or settings.network,
        "nat",
        "is only for an existing network; the network made here has its own",
        "set SAM_NETWORK and SAM_SUBNET too, or leave SAM_NAT empty",
    )
    require(
        settings.workbench_public_ip or not settings.network or settings.nat,
        "nat",
        "a Workbench without public address needs a NAT to clone its repository",
        "SAM_NAT=existing if the subnet has one, SAM_NAT=create, or SAM_WORKBENCH_PUBLIC_IP=true",
    )
