"""A notebook's shell: commands as an operator types them, and the bill at the end."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

START_SECONDS = 120.0  # for a model server to load its checkpoint


class CommandFailed(RuntimeError):
    """A command of a cell ended with another exit code than 0; its own words are above."""


def begin() -> None:
    """Let cells call the commands of this kernel's environment, and make the working folder."""
    programs = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", os.defpath)
    if path.partition(os.pathsep)[0] != programs:
        os.environ["PATH"] = f"{programs}{os.pathsep}{path}"
    Path("work").mkdir(exist_ok=True)


def shell(command: str, *, stdin: str = "", may_fail: bool = False) -> None:
    """Run one command, as typed but without a shell's expansions, and print what it says.

    Args:
        command: program and arguments; quotes as in a shell.
        stdin: what it reads; for what must not stand in a command line, such as a token.
        may_fail: print another exit code than 0 instead of raising.

    Raises:
        CommandFailed: it failed.
    """
    print(f"$ {command}")
    process = subprocess.Popen(  # noqa: S603
        shlex.split(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None  # noqa: S101
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(stdin)
        process.stdin.close()
    try:
        for line in process.stdout:
            print(line, end="", flush=True)
    except BaseException:  # the cell is interrupted: so is its command
        process.terminate()
        process.wait()
        raise
    if code := process.wait():
        if not may_fail:
            raise CommandFailed(f"{shlex.split(command)[0]} ended with exit code {code}")
        print(f"(exit code {code})")


def shell_json(command: str) -> Any:
    """Run one command that prints JSON; return it parsed. Its progress is not shown.

    Raises:
        CommandFailed: it failed; the message is what it said.
    """
    print(f"$ {command}")
    done = subprocess.run(shlex.split(command), capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise CommandFailed(done.stderr.strip() or f"exit code {done.returncode}")
    return json.loads(done.stdout)


@contextlib.contextmanager
def model_server(checkpoint: str, port: int) -> Iterator[str]:
    """Run ``sam-vertex serve`` beside the notebook, and end it.

    Args:
        checkpoint: what it serves.
        port: of this machine.

    Yields:
        Its address, once it is healthy.

    Raises:
        CommandFailed: it ended, or is not healthy after two minutes; its log says why.
    """
    log = Path("work/serve.log")
    command = ["sam-vertex", "serve", "--checkpoint", checkpoint, "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)  # noqa: S603
        try:
            _wait_until_healthy(process, f"{url}/health", log)
            yield url
        finally:
            process.terminate()
            process.wait()


def _wait_until_healthy(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(url, timeout=5).ok:
                return
        time.sleep(0.2)
    raise CommandFailed(f"the model server is not healthy:\n{log.read_text('utf-8')[-2000:]}")


def access_token(project_id: str) -> str:
    """A token for a request that this notebook makes by itself.

    Args:
        project_id: pays for the request.

    Raises:
        google.auth.exceptions.GoogleAuthError: there are no credentials.
    """
    from scripts.cloud import credentials
    from scripts.cloud.vertex_sdk import REHEARSED_ACCOUNT, in_rehearsal
    from scripts.rehearsal.iam.callers import OPERATOR

    if in_rehearsal():  # where the token is the e-mail of an account
        return os.environ.get(REHEARSED_ACCOUNT) or OPERATOR
    return credentials.access_token(project_id)


def undeploy_after_failure(outputs: str) -> None:
    """Undeploy the model as soon as a later cell fails, so that a broken notebook bills nothing.

    "Run all" stops at the first cell that fails, so a cell at the end would never run.

    Args:
        outputs: file that ``cdktf deploy --outputs-file`` wrote.
    """
    from IPython.core.getipython import get_ipython

    interactive = get_ipython()
    if interactive is None:
        raise RuntimeError("undeploy_after_failure works in a notebook only")
    events = interactive.events

    def look(result: Any) -> None:
        if result.error_in_exec is None and result.error_before_exec is None:
            return
        events.unregister("post_run_cell", look)
        print("\nThis cell failed, so the model is undeployed:")
        shell(f"sam-vertex model undeploy --outputs {shlex.quote(outputs)}", may_fail=True)

    events.register("post_run_cell", look)


def still_billing(outputs: str) -> None:
    """Print what the deployment costs as it stands, or that nothing is deployed from here.

    Args:
        outputs: file that ``cdktf deploy --outputs-file`` wrote.
    """
    if not Path(outputs).exists():
        print(f"There is no {outputs}: nothing was deployed from here, so nothing bills.")
        return
    shell(f"sam-vertex cost --outputs {shlex.quote(outputs)}")
