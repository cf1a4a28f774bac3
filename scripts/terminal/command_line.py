"""The commands as one program: their help, and one face for every error, Typer's own included."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from scripts.terminal.errors import OperatorError, print_error
from scripts.terminal.interruptions import INTERRUPTED
from scripts.terminal.usage import no_such_command, usage_error

_RANGE = re.compile(r"(\S+)<=x<=([^\s;\]]+)")
_LOWEST = re.compile(r"x>=([^\s;\]]+)")
_TYPES = (("<int range>", "<int>"), ("<float range>", "<float>"), ("<list[str]>", "<str>"))


def _record(parameter: Any, context: Any) -> tuple[str, str] | None:
    """What the help says of an option or argument: its spelling, and its text with the range."""
    record = parameter.get_help_record(context)
    if record is None:
        return None
    name, text = record
    for long, short in _TYPES:
        name = name.replace(long, short)
    text = _LOWEST.sub(r"at least \1", _RANGE.sub(r"\1 to \2", text))
    return name, text


class _Help:
    """What the help of a command and of a group of commands have in common."""

    epilog: str | None
    get_params: Callable[[Any], list[Any]]

    def format_options(self, context: Any, formatter: Any) -> None:
        """Write the arguments and the options, each panel's under its title."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(context):
            record = _record(parameter, context)
            if record is None:
                continue
            usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
            title = getattr(parameter, "rich_help_panel", None) or usual
            sections.setdefault(title, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)

    def format_epilog(self, context: Any, formatter: Any) -> None:
        """Write the examples, each in a line that can be copied, however long it is."""
        if self.epilog:
            with formatter.section("Examples"):
                for line in self.epilog.splitlines():
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class Command(_Help, TyperCommand):
    """A command whose help shows ranges and examples."""

    def collect_usage_pieces(self, context: Any) -> list[str]:
        """The words of the usage line: what is required stands without Typer's braces."""
        pieces = super().collect_usage_pieces(context)
        return [piece.replace("{", "").replace("}", "") for piece in pieces]


class Group(_Help, TyperGroup):
    """Commands under one name; the outermost group is the program."""

    def format_options(self, context: Any, formatter: Any) -> None:
        """Write the options and the commands."""
        super().format_options(context, formatter)
        self.format_commands(context, formatter)

    def format_commands(self, context: Any, formatter: Any) -> None:
        """Write each command with the whole first sentence of its help."""
        rows = []
        for name in self.list_commands(context):
            command = self.get_command(context, name)
            if command is not None and not command.hidden:
                rows.append((name, (command.help or "").partition("\n\n")[0].replace("\n", " ")))
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the arguments begin with."""
        named = args[0] if args else ""
        if named and not named.startswith("-") and self.get_command(ctx, named) is None:
            raise no_such_command(named, ctx.command_path, self.commands)
        return super().resolve_command(ctx, args)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command that the arguments name, and end the process.

        What goes wrong leaves as two lines on standard error, with ``--json`` as one JSON object.
        """
        arguments = list(sys.argv[1:] if args is None else args)
        try:
            code = super().main(arguments, prog_name, complete_var, False, **extra)
        except OperatorError as error:
            failure = error
        except typer.Abort:
            failure = OperatorError("interrupted", hint="nothing was done", exit_code=INTERRUPTED)
        except typer.TyperException as error:
            if type(error).__name__ == "NoArgsIsHelpError":
                print(error.format_message())
                sys.exit(error.exit_code)
            failure = usage_error(error)
        else:
            sys.exit(code if isinstance(code, int) else 0)
        print_error(failure, as_json="--json" in arguments)
        sys.exit(failure.exit_code)


class CommandGroup(typer.Typer):
    """Commands that a module declares with ``@group.command()``.

    Args:
        help: what they do, in one line.
        options: of Typer.
    """

    def __init__(self, help: str, **options: Any) -> None:
        super().__init__(
            help=help,
            cls=Group,
            no_args_is_help=True,
            rich_markup_mode=None,
            pretty_exceptions_enable=False,
            context_settings={"help_option_names": ["-h", "--help"]},
            **options,
        )

    def command(self, name: str | None = None, **options: Any) -> Callable[..., Any]:
        """Declare a function as a command; ``epilog`` has an example a line."""
        return super().command(name, **{"cls": Command, **options})
