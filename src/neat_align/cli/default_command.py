"""A group of commands of which one is meant where only options stand."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class TrainsByDefault(TyperGroup):
    """A group that reads options without a command as those of its command `train`."""

    default = "train"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, with the default command before options that name none."""
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            args = [self.default, *args]
        return super().parse_args(ctx, args)
