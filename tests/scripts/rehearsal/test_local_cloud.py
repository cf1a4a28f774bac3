"""The local cloud starts once, tells where it is, and stops without a trace."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.checkout import ROOT
from scripts.rehearsal import local_cloud as cloud
from scripts.terminal.errors import OperatorError

PROGRAM = str(Path(sys.executable).with_name("sam-vertex"))


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, "rehearsal", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_cloud_starts_once_and_stops_without_a_trace(tmp_path: Path) -> None:
    """Two starts are one cloud; its variables lead the real storage client to it."""
    first, second = run("start", cwd=tmp_path), run("start", cwd=tmp_path)
    assert first.returncode == second.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    variables = json.loads(run("env", "--json", cwd=tmp_path).stdout)
    code = (
        "from google.cloud import storage\n"
        "client = storage.Client(project='p', client_options={'api_endpoint': None})\n"
        "client.create_bucket('made-by-the-client'); print([b.name for b in client.list_buckets()])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "['made-by-the-client']", done.stderr
    exports = run("env", cwd=tmp_path).stdout
    assert f"export STORAGE_EMULATOR_HOST={variables['STORAGE_EMULATOR_HOST']}" in exports
    stopped = run("stop", cwd=tmp_path)
    first_line, unset = stopped.stdout.splitlines()
    assert first_line == "The local cloud has stopped."
    exported = [line.split()[1].partition("=")[0] for line in exports.splitlines()]
    assert set(unset.partition("unset ")[2].partition(";")[0].split()) == {*exported} - {"PATH"}
    assert list(tmp_path.iterdir()) == []


def test_stop_keeps_files_that_are_not_its_own(tmp_path: Path) -> None:
    cloud.start(tmp_path / "home")
    (tmp_path / "home" / "notes.txt").write_text("mine")
    assert cloud.stop(tmp_path / "home") is True
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["notes.txt"]
    assert cloud.stop(tmp_path / "home") is False


def test_kept_cloud_goes_on_with_its_files(tmp_path: Path) -> None:
    from scripts.rehearsal.google_provider.objects import Objects

    objects = Objects(cloud.start(tmp_path).storage_url)
    objects.create_bucket("kept", "p")
    objects.put("kept", "a/b.txt", b"text")
    cloud.stop(tmp_path, keep=True)
    again = Objects(cloud.start(tmp_path).storage_url)
    try:
        assert again.names("kept", "") == ["a/b.txt"]
    finally:
        cloud.stop(tmp_path)


def test_env_without_a_cloud_says_how_to_start_one(tmp_path: Path) -> None:
    done = run("env", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: no local cloud runs here\nhint: sam-vertex rehearsal start\n"


def test_stand_in_that_does_not_come_up_takes_the_other_with_it(tmp_path: Path) -> None:
    """No process is left that no file knows of."""
    (tmp_path / "vertex.pem").mkdir()  # where the certificate would be
    with pytest.raises(OperatorError, match="did not come up"):
        cloud.start(tmp_path)
    commands = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ends meanwhile
            commands.append(path.read_bytes())
    assert not [command for command in commands if str(tmp_path).encode() in command]


@pytest.mark.parametrize("kept", [False, True])
def test_stop_prints_what_takes_its_variables_out_of_the_shell_again(
    kept: bool, tmp_path: Path
) -> None:
    """A real shell has the environment that it had before ``env``."""
    home = tmp_path / "a folder"
    script = (
        'home=$2 keep=$3; rehearsal() { "$program" rehearsal "$@" --home "$home"; }\n'
        'program=$1; env | sort > "$4/before"\n'
        'rehearsal start && eval "$(rehearsal env)"; env | sort > "$4/between"\n'
        'line=$(rehearsal stop $keep | sed -n "s/^Take it out.*:  //p")\n'
        'eval "$line"; env | sort > "$4/after"'
    )
    keep = "--keep" if kept else ""
    environment = {"PATH": os.environ["PATH"], "TMPDIR": os.environ["TMPDIR"]}
    subprocess.run(
        ["sh", "-c", script, "sh", PROGRAM, str(home), keep, str(tmp_path)],
        env=environment, check=True, capture_output=True,
    )  # fmt: skip
    before, between, after = (
        {line for line in (tmp_path / name).read_text().splitlines() if line[:2] != "_="}
        for name in ("before", "between", "after")
    )
    assert f"REQUESTS_CA_BUNDLE={home}/vertex.pem" in between
    assert f"PATH={home}/bin:{os.environ['PATH']}" in between
    assert after == before


def test_shell_that_points_at_a_stopped_rehearsal_is_refused_at_once_by_every_program(
    tmp_path: Path,
) -> None:
    """Our commands and the infrastructure; what takes the variables out again still works."""
    variables = {**cloud.start(tmp_path / "home").environment(), "SAM_PROJECT_ID": "my-project"}
    python = [sys.executable, "-m", "infra.main", "--check"]
    options = {"capture_output": True, "text": True, "check": False}

    def here(*command: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **variables}
        return subprocess.run(command, env=environment, cwd=tmp_path, **options)  # type: ignore[call-overload, no-any-return]

    assert here(*python).returncode == 0
    cloud.stop(tmp_path / "home")
    for command in (python, [PROGRAM, "model", "list"], [PROGRAM, "run", "gs://a/b", "-o", "out"]):
        done = here(*command)
        assert done.returncode == 2
        error, hint = done.stderr.splitlines()
        assert "this shell points at a rehearsal that has stopped" in error
        assert hint.endswith('eval "$(sam-vertex rehearsal env --unset)"')
    unset = here(PROGRAM, "rehearsal", "env", "--unset").stdout
    assert "STORAGE_EMULATOR_HOST" in unset and str(tmp_path / "home" / "bin") in unset
    assert here(PROGRAM, "run", "--help").returncode == 0

    del variables["SAM_REHEARSAL_VERTEX"]  # somebody has taken out half of it
    done = here(*python)
    assert done.returncode == 2 and "is deleted with its rehearsal" in done.stderr


def test_shell_of_a_rehearsal_ends_with_what_it_started(tmp_path: Path) -> None:
    done = run("shell", "sh", "-c", "echo at $STORAGE_EMULATOR_HOST; exit 7", cwd=tmp_path)
    assert done.returncode == 7, done.stderr
    assert done.stdout.startswith("at http://127.0.0.1:")
    assert list(tmp_path.iterdir()) == []
    missing = run("shell", "no-such-program", cwd=tmp_path)
    assert (missing.returncode, list(tmp_path.iterdir())) == (2, [])


def test_interactive_shell_of_a_rehearsal_shows_it_in_its_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from scripts.rehearsal import subshell

    monkeypatch.setenv("SHELL", "/bin/bash")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".bashrc").write_text("PS1='mine> '; exec </dev/null\n")
    assert subshell.run({"A_VARIABLE": "1"}, []) == 0
    assert "(rehearsal) mine> " in capfd.readouterr().err
