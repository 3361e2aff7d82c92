"""When to stop asking a server that answers nothing."""

from __future__ import annotations

import threading

BROKEN = 8
"""Questions one after the other that ran out of attempts: the server is not well."""
REFUSED = 32
"""Questions that are refused before any was answered: something is wrong with all of them."""


class Patience:
    """Counts what goes unanswered; one refused question, or many among good ones, is no reason.

    Safe to use from several threads.
    """

    def __init__(self) -> None:
        self.lock, self.answered_once = threading.Lock(), False
        self.broken = self.refused = 0

    def answered(self) -> None:
        """Note that a question has an answer, now or from an earlier start."""
        with self.lock:
            self.answered_once, self.broken = True, 0

    def is_out_after(self, broken: bool) -> bool:
        """Note a question without an answer, and say whether no more should be asked.

        Args:
            broken: it ran out of attempts; else it was refused.
        """
        with self.lock:
            if broken:
                self.broken += 1
                return self.broken >= BROKEN
            self.refused += 1
            return not self.answered_once and self.refused >= REFUSED
