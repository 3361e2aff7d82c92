"""Keep the answers of servers as they arrive, so that none is paid for twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from neat_align.servers.client import Answer
from neat_align.storage.atomic import writing

Key = TypeVar("Key")
Result = TypeVar("Result")


class Journal:
    """Answers by question, in memory and, if a path is given, in a file, one per line.

    Unusable answers (`servers.answers`) are not kept, so they are asked for again.

    Lines are written at once, so they survive a killed process. If the machine loses power,
    the last ones may be lost. Several processes may share a file.
    """

    def __init__(self, path: Path | None) -> None:
        self.path, self.lock = path, threading.Lock()
        self.known: dict[str, list[Answer]] = {}
        if path is not None and path.exists():
            for line in path.read_text("utf-8", errors="replace").splitlines():
                self._remember(line)

    @property
    def is_empty(self) -> bool:
        return not self.known

    def answers(self, question: str) -> list[Answer]:
        with self.lock:
            return list(self.known.get(question, ()))

    def add(self, question: str, answers: Iterable[Answer]) -> None:
        records = [{"question": question, **asdict(answer)} for answer in answers]
        with self.lock:
            for record in records:
                self._remember(json.dumps(record))
            if self.path is not None:
                with writing(self.path):
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                    with self.path.open("a", encoding="utf-8") as file:
                        # A line that a crash cut short is ended first, and read as none.
                        file.write("".join("\n" + json.dumps(r) for r in records))

    def _remember(self, line: str) -> None:
        try:
            record = json.loads(line)
            answer = Answer(
                record["text"], record["finish"], record.get("note", ""), record.get("model", "")
            )
            if not answer.text.strip() or answer.finish not in ("stop", "length"):
                return
            self.known.setdefault(record["question"], []).append(answer)
        except (ValueError, KeyError, TypeError, AttributeError):
            return


def ask_all(
    ask: Callable[[Key], Result], keys: Iterable[Key], concurrency: int
) -> dict[Key, Result]:
    """Call `ask` for each key, `concurrency` at a time, and return the results by key.

    After a failure no more calls begin, but those under way are finished, since they are paid
    for. Then the failure is raised.
    """
    with ThreadPoolExecutor(concurrency) as pool:
        asked = {key: pool.submit(ask, key) for key in keys}
        _finish(list(asked.values()))
    return {key: future.result() for key, future in asked.items()}


def _finish(asked: Sequence[Future[Any]]) -> None:
    _, waiting = wait(asked, return_when=FIRST_EXCEPTION)
    for future in waiting:
        future.cancel()
    wait(waiting)
