"""Options that every verb takes: `--quiet`, `--json`, `--log-level`."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import click

from eurolm.console import Reporter

LEVELS = ("debug", "info", "warning", "error")


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the common options; the verb receives a `reporter` instead of them."""

    @click.option("--quiet", is_flag=True, help="Say nothing but warnings and results.")
    @click.option("--json", "as_json", is_flag=True, help="Print progress and results as JSON lines.")
    @click.option("--log-level", type=click.Choice(LEVELS), default="warning", help="Level of library logs.")
    @functools.wraps(command)
    def wrapped(quiet: bool, as_json: bool, log_level: str, **arguments: Any) -> Any:
        logging.basicConfig(level=log_level.upper())
        mode = "json" if as_json else "quiet" if quiet else None
        return command(reporter=Reporter(mode), **arguments)

    return wrapped
