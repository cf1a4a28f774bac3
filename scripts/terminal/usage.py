"""A wrong command line in the words of an operator: what was expected, what was given, the way out.

Typer's own sentences are its authors' and its validator's, in several styles; some name the types
of Python.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import typer

from scripts.terminal.errors import OperatorError

_NUMBERS = {int: "a whole number", float: "a number"}


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return a question that names what comes nearest to a misspelt word; empty without any."""
    nearest = difflib.get_close_matches(given, sorted(set(known)), n=2)
    return f"did you mean {' or '.join(nearest)}?" if nearest else ""


def no_such_command(given: str, group: str, known: Iterable[str]) -> OperatorError:
    """Return the error of a command that a group of commands does not have."""
    nearest = difflib.get_close_matches(given, sorted(known), n=2)
    named = " or ".join(f"'{group} {name}'" for name in nearest)
    return OperatorError(
        f"{group}: no such command: {given}",
        hint=f"did you mean {named}?" if nearest else f"'{group} --help' lists the commands",
    )


def usage_error(error: typer.TyperException) -> OperatorError:
    """Return what Typer refused in an operator's terms."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "sam-vertex"
    help_hint = f"'{command} --help' shows its options, with examples"
    match type(error).__name__:  # Typer exports one of these classes only
        case "NoSuchOption":
            given = str(getattr(error, "option_name", ""))
            known = [] if context is None else _options(context)
            return OperatorError(
                f"{command}: no such option: {given}", hint=did_you_mean(given, known) or help_hint
            )
        case "MissingParameter":
            return OperatorError(f"{command}: missing {_name(error)}", hint=help_hint)
        case "BadParameter":
            return _bad_value(error, help_hint)
    message = error.format_message().rstrip(".")
    return OperatorError(f"{command}: {message[:1].lower()}{message[1:]}", hint=help_hint)


def _options(context: Any) -> list[str]:
    return [name for option in context.command.get_params(context) for name in option.opts]


def _name(error: Any) -> str:
    """What an operator calls the option or argument that an error is about."""
    parameter = error.param
    if parameter is None:
        return str(error.param_hint or "a value")
    if parameter.param_type_name == "argument":
        return str(parameter.display_name_raw)
    return str(max(parameter.opts, key=len))


def _bad_value(error: Any, help_hint: str) -> OperatorError:
    problems: list[Any] = getattr(error.__cause__, "errors", list)()  # pydantic's
    if error.param is None or not problems:
        return OperatorError(f"{_name(error)}: {error.message}", hint=help_hint)
    given = str(problems[0]["input"])
    kind = error.param.type_descriptor
    choices = [str(choice) for choice in kind.choices or ()]
    if choices:
        expected, hint = f"one of {', '.join(choices)}", did_you_mean(given, choices)
    elif kind.annotation in _NUMBERS:
        expected, hint = f"{_NUMBERS[kind.annotation]}{_range(error.param)}", ""
    else:
        return OperatorError(f"{_name(error)} {given!r}: {error.message}", hint=help_hint)
    return OperatorError(
        f"{_name(error)}: expected {expected}, got {given!r}", hint=hint or help_hint
    )


def _range(parameter: Any) -> str:
    low, high = parameter.min, parameter.max
    if low is None and high is None:
        return ""
    if high is None:
        return f" of at least {low}"
    return f" of at most {high}" if low is None else f" from {low} to {high}"
