"""After any disturbance, and as many as there were, the same command leaves the same output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serving.storage import Folder, open_folder
from serving.storage.client import storage_client
from tests.journeys.test_run import COMMAND, contents
from tests.stand_ins.chaos import ACTIONS, Chaos
from tests.stand_ins.faulty_storage import FaultyStorage

MOST_RUNS_UNTIL_DONE = 3  # a damaged masks file is noticed by a report, and mended by the next run
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="looks for processes in /proc"
)


def local_chaos(seed: int, folder: Path) -> Chaos:
    images = folder / "images"
    images.mkdir()
    return Chaos(
        seed=seed,
        command=list(COMMAND[:1]),
        images=images,
        inputs=str(images),
        output=open_folder(str(folder / "out")),
        add=lambda _path: None,
        proxy=None,
        home=folder / "chaos",
    )


def copied(output: Folder, folder: Path) -> Path:
    """The files of an output in a folder of this machine."""
    if output.is_local:
        return Path(output.uri)
    for file in output.files():
        path = folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(output.read_bytes(file.name))
    return folder


def check_end(chaos: Chaos, folder: Path, bad: int) -> None:
    """Run until all is done, and compare with one run that nobody disturbs."""
    for _ in range(MOST_RUNS_UNTIL_DONE):
        done = chaos.run()
        assert done.returncode == 0, f"{done.stderr}\n{chaos.disturbed}"
        if len(chaos.failed()) == bad:
            break
    failed = chaos.failed()
    assert len(failed) == bad, (failed, chaos.disturbed)
    undisturbed = Chaos(
        chaos.seed, chaos.command, chaos.images, chaos.inputs,
        open_folder(str(folder / "undisturbed")), chaos.add, None, folder / "calm",
    )  # fmt: skip
    assert undisturbed.run().returncode == 0
    attacked = copied(chaos.output, folder / "copied")
    assert contents(attacked) == contents(Path(undisturbed.output.uri)), chaos.disturbed
    assert failed == undisturbed.failed()
    manifest = (attacked / "manifest.jsonl").read_text().splitlines()
    assert len(manifest) == len(list(chaos.images.iterdir()))
    again = len(chaos.computed) - len(set(chaos.computed))
    print(
        f"seed {chaos.seed}: {len(chaos.disturbed)} disturbed runs, {len(set(chaos.computed))} "
        f"images, {again} computed again (at most {chaos.most_again}): {chaos.disturbed}",
        file=sys.stderr,
    )
    assert again <= chaos.most_again


def attack(chaos: Chaos, actions: list[str], kinds: list[str]) -> None:
    """Disturb runs, and add an image before each."""
    for action, kind in zip(actions, kinds, strict=True):
        chaos.new_image(kind)
        chaos.disturb(action)


def test_run_that_is_killed_damaged_and_out_of_room_ends_as_if_nothing_had_been(
    tmp_path: Path,
) -> None:
    """The short form: three disturbances of different kinds."""
    chaos = local_chaos(7, tmp_path)
    for kind in ("good", "good", "good", "good", "bad"):
        chaos.new_image(kind)
    attack(chaos, ["worker", "full disk", "damage"], ["good", "good", "good"])
    check_end(chaos, tmp_path, bad=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_long_chaos_on_this_machine(tmp_path: Path, seed: int) -> None:
    chaos = local_chaos(seed, tmp_path)
    for kind in ("good",) * 8 + ("bad", "killer"):
        chaos.new_image(kind)
    actions = [chaos.random.choice(ACTIONS[:-1]) for _ in range(10)]
    kinds = [chaos.random.choice(["good", "good", "bad", "killer"]) for _ in actions]
    attack(chaos, actions, kinds)
    check_end(chaos, tmp_path, bad=2 + len(kinds) - kinds.count("good"))


@pytest.fixture
def bucket_chaos(
    bucket: Callable[[str], str], storage_server: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[int], Chaos]]:  # fmt: skip
    source, output = open_folder(bucket("images")), open_folder(bucket("out"))
    proxy = FaultyStorage(storage_server, every=17)
    proxy.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)  # for the commands, not for this process

    def add(path: Path) -> None:
        source.write_bytes(path.name, path.read_bytes(), "image/png")

    def start(seed: int) -> Chaos:
        images = tmp_path / "images"
        images.mkdir()
        return Chaos(
            seed, list(COMMAND[:1]), images, source.uri, output, add, proxy, tmp_path / "chaos"
        )

    yield start
    proxy.stop()
    storage_client.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [11, 12])
def test_long_chaos_against_a_bucket(
    bucket_chaos: Callable[[int], Chaos], tmp_path: Path, seed: int
) -> None:
    chaos = bucket_chaos(seed)
    for kind in ("good",) * 6 + ("bad", "killer"):
        chaos.new_image(kind)
    possible = [action for action in ACTIONS if action != "full disk"]
    actions = [chaos.random.choice(possible) for _ in range(8)]
    kinds = [chaos.random.choice(["good", "good", "bad", "killer"]) for _ in actions]
    attack(chaos, actions, kinds)
    check_end(chaos, tmp_path, bad=2 + len(kinds) - kinds.count("good"))
