"""Waiting for async reward functions, wherever they are called from.

They run in one event loop in a thread of its own, as in TRL: it does not matter whether the
caller has a running loop (Jupyter), and a client that a function keeps between calls stays
with the loop that it was made in.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable
from functools import cache
from threading import Thread
from typing import Any


def wait_for(awaited: Awaitable[Any]) -> Any:
    """What an awaitable gives; what it raises is raised here."""
    result, error = asyncio.run_coroutine_threadsafe(_outcome(awaited), _loop(os.getpid())).result()
    if error is not None:
        raise error
    return result


async def _outcome(awaited: Awaitable[Any]) -> tuple[Any, BaseException | None]:
    """The result or the error; a SystemExit must not end the loop itself."""
    try:
        return await awaited, None
    except BaseException as error:
        return None, error


@cache
def _loop(process: int) -> asyncio.AbstractEventLoop:
    """A running loop, one per process: threads do not survive a fork."""
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, name=f"async rewards of {process}", daemon=True).start()
    return loop
