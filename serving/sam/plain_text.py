"""Words in messages: names, which do nothing whatever an owner called a file, and plurals."""

from __future__ import annotations


def one_line(text: str) -> str:
    """The text in one line, with escapes for what a name in it might do to a terminal or a reader.

    Escaped is what Unicode calls not printable: control characters (terminal escapes begin with
    one), marks that turn the direction of writing, characters without width, lone surrogates.
    """
    return visible(" ".join(text.split()))


def visible(text: str) -> str:
    """The text with the same escapes, and with its spaces as they are."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )


def count(number: int, noun: str) -> str:
    """A number of things, in the singular where it is one: ``1 image``, ``2 images``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
