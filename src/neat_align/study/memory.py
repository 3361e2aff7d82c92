"""The most memory a stretch of work held, measured from outside it."""

from __future__ import annotations

import threading
from types import TracebackType

import psutil

INTERVAL = 0.05  # seconds


class PeakMemory:
    """Peak bytes within a `with` block: of the GPU where there is one, else resident memory.

    Attributes:
        bytes: the peak; resident memory is looked at every `INTERVAL` seconds.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._done = threading.Event()

    def __enter__(self) -> PeakMemory:
        import torch

        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        import torch

        self._done.set()
        self._thread.join()
        if torch.cuda.is_available():
            self.bytes = torch.cuda.max_memory_allocated()

    def _look(self) -> None:
        process = psutil.Process()
        while True:
            self.bytes = max(self.bytes, process.memory_info().rss)
            if self._done.wait(INTERVAL):
                return
