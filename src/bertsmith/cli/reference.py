"""docs/commands.md: every verb's own help, so that the page cannot say anything else.

python -m bertsmith.cli.reference > docs/commands.md
"""

from __future__ import annotations

from collections.abc import Iterator

import click

from bertsmith.cli.main import main

WIDTH = 92


def render() -> str:
    """The page."""
    parts = [
        "# Commands",
        "Made by `make docs` from the program's own help; a test compares the two.",
    ]
    for name, command in _commands("bertsmith", main):
        with click.Context(command, info_name=name, terminal_width=WIDTH) as context:
            parts.append(f"## {name}\n\n```\n{command.get_help(context)}\n```")
    return "\n\n".join(parts) + "\n"


def _commands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        for verb in command.list_commands(context):
            child = command.get_command(context, verb)
            assert child is not None
            yield from _commands(f"{name} {verb}", child)


if __name__ == "__main__":
    print(render(), end="")
