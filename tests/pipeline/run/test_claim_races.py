"""A claim survives storage that fails and runs that act at the same moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from pipeline.run import claim as claims
from pipeline.run.claim import (
    Claim,
    ClaimLostError,
    acquire_claim,
    claimed,
    read_claim,
    release_claim,
    renew_claim,
)
from pipeline.run.output_layout import LOCK
from pipeline.run.parameters import RunError
from serving.storage import Folder, Patience, StorageError, StoredFile, open_folder
from serving.storage.client import storage_client
from tests.stand_ins.faulty_storage import FaultyStorage

IMPATIENT = Patience(request_seconds=2.0, total_seconds=1.0)


class Race:
    """An output whose requests pass a proxy, and the same output past it."""

    def __init__(self, uri: str, direct: Folder, proxy: FaultyStorage) -> None:
        self.output = open_folder(uri, IMPATIENT)
        self.direct = direct
        self.proxy = proxy

    def owner(self) -> str:
        claim = read_claim(self.direct)
        return claim.run if claim else ""

    def before_next(self, wanted_method: str, act: Callable[[], None]) -> None:
        """Act before the next request with that method; honour the generation it asks for.

        The stand-in itself deletes whatever the generation is.
        """

        def intercept(method: str, address: str) -> int:
            if method != wanted_method:  # an upload names the object in its body
                return 0
            self.proxy.intercept = lambda _method, _address: 0
            act()
            expected = parse_qs(urlsplit(address).query).get("ifGenerationMatch")
            stored = self.direct.stat(LOCK)
            generation = str(stored.generation) if stored else "0"
            return 412 if expected and expected[0] != generation else 0

        self.proxy.intercept = intercept

    def take_over(self) -> None:
        claim = Claim("other", 60)
        self.direct.write_bytes(LOCK, claim.to_json(), "application/json")


@pytest.fixture
def race(
    bucket: Callable[[str], str], storage_server: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Race]:
    direct = open_folder(bucket("runs/1"))  # its client speaks to the stand-in itself
    proxy = FaultyStorage(storage_server, every=0)
    proxy.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
    storage_client.cache_clear()
    yield Race(bucket("runs/1"), direct, proxy)
    proxy.stop()


def test_claim_that_cannot_be_read_is_not_taken(race: Race) -> None:
    acquire_claim(race.direct, "first", 3600)
    race.proxy.intercept = lambda method, address: (
        503 if method == "GET" and ".run.lock" in address else 0
    )
    for act in (acquire_claim, renew_claim):
        with pytest.raises(StorageError, match="injected"):
            act(race.output, "second", 60)
    for look in (read_claim, lambda output: release_claim(output, "first")):
        with pytest.raises(StorageError, match="injected"):
            look(race.output)
    assert race.owner() == "first"


def test_claim_that_is_taken_while_it_is_renewed_is_lost(race: Race) -> None:
    acquire_claim(race.direct, "slow", 1)
    race.before_next("POST", race.take_over)
    with pytest.raises(ClaimLostError, match=r"taken over here \(other\)"):
        renew_claim(race.output, "slow", 60)
    assert race.owner() == "other"


def test_claim_that_is_taken_while_it_is_released_stays(race: Race) -> None:
    acquire_claim(race.direct, "slow", 1)
    race.before_next("DELETE", race.take_over)
    release_claim(race.output, "slow")
    assert race.owner() == "other"


def test_claim_that_has_gone_is_lost(race: Race) -> None:
    """Another run took it and has ended: what it left must not be written over."""
    acquire_claim(race.direct, "slow", -1)
    acquire_claim(race.direct, "other", 60)
    release_claim(race.direct, "other")
    with pytest.raises(ClaimLostError, match="has gone"):
        renew_claim(race.output, "slow", 60)
    assert race.owner() == ""


def test_one_of_many_shards_renews_the_claim(race: Race) -> None:
    """Cloud Storage takes one write a second of one object; a run may have 1000 shards."""
    acquire_claim(race.direct, "job", 1)
    generations = {stat_of(race.direct).generation}
    for _shard in range(20):
        renew_claim(race.output, "job", 60)
        generations.add(stat_of(race.direct).generation)
    assert len(generations) == 2
    claim = read_claim(race.direct)
    assert claim is not None and claim.seconds == 60


def stat_of(output: Folder) -> StoredFile:
    stored = output.stat(LOCK)
    assert stored is not None
    return stored


def test_process_that_loses_its_claim_learns_it_at_its_end(
    race: Race, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "PROCESS_SECONDS", 0.4)
    with pytest.raises(RunError, match=r"taken over here \(other\)"), claimed(race.output, "first"):
        race.take_over()
        time.sleep(0.4)
    assert race.owner() == "other"
