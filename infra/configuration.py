"""Read the settings: the context of ``cdktf.json``, overridden by the environment.

A wrong value never reaches Terraform: ``load`` checks the settings as a whole and freezes them
before the app synthesizes anything.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from infra.checks import checked
from infra.settings import PREFIX, Settings, SettingsError, variable

NOT_SETTINGS = ("SAM_REHEARSAL_", "SAM_VERTEX_")  # read by scripts, not by the stacks


def is_setting(name: str) -> bool:
    """Whether an environment variable is meant for the stacks, whether or not they know it."""
    return name.startswith(PREFIX) and not name.startswith(NOT_SETTINGS)


def load(context: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """Settings from the context of ``cdktf.json``, overridden by ``SAM_*`` variables.

    Raises:
        SettingsError: a name that does not exist, a value of the wrong kind, or values that do
            not go together.
    """
    fields = Settings.model_fields
    values: dict[str, Any] = {key: value for key, value in context.items() if key in fields}
    for key in context:
        # cdktf's own entries are in camel case.
        if key not in fields and key == key.lower():
            raise _no_such_setting(f"context {key} of cdktf.json", key, fields)
    for name, value in environ.items():
        if not is_setting(name):
            continue
        key = name.removeprefix(PREFIX).lower()
        if key not in fields:
            raise _no_such_setting(name, key, fields, spelled=variable)
        values[key] = value
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise _first_problem(error) from error
    return checked(settings)


def _no_such_setting(
    place: str, key: str, known: Iterable[str], spelled: Callable[[str], str] = str
) -> SettingsError:
    names = sorted(known)
    nearest = difflib.get_close_matches(key, names, n=1)
    hint = f"did you mean {spelled(nearest[0])}?" if nearest else ""
    hint = hint or f"settings are {', '.join(map(spelled, names))}"
    return SettingsError(place, "there is no such setting", hint)


_EXPECTED = {
    "bool_parsing": "true or false",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
}


def _expected(problem: Mapping[str, Any]) -> str:
    """What a value should have been, as an operator says it; pydantic's sentences are not."""
    kind, limits = problem["type"], problem.get("ctx", {})
    if kind in ("greater_than_equal", "less_than_equal"):
        return f"at least {limits['ge']}" if "ge" in limits else f"at most {limits['le']}"
    if kind == "literal_error":
        return f"one of {limits['expected'].replace(' or ', ', ')}"
    return _EXPECTED.get(kind, str(problem["msg"]).lower().removeprefix("input should be "))


def _first_problem(error: ValidationError) -> SettingsError:
    problem = error.errors()[0]
    field = str(problem["loc"][0])
    if problem["type"] == "missing":
        return SettingsError(variable(field), "is not set", f"export {variable(field)}=my-project")
    given = problem.get("input")
    described = Settings.model_fields[field].description
    return SettingsError(
        variable(field),
        f"expected {_expected(problem)}, got {given!r}",
        f"{variable(field)}: {described}",
    )


def example() -> str:
    """Every setting as a commented line of shell, with its default and what it is."""
    lines = []
    for name, field in Settings.model_fields.items():
        default = "my-project" if field.is_required() else field.default
        value = str(default).lower() if isinstance(default, bool) else str(default)
        lines.append(f"{'' if field.is_required() else '# '}export {variable(name)}={value}")
        lines[-1] += f"  # {field.description}"
    return "\n".join(lines)
