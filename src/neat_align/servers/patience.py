"""Decide when to give up on a server that answers nothing."""

from __future__ import annotations

import threading

BROKEN = 8
"""Consecutive questions that ran out of attempts before the server is given up."""
REFUSED = 32
"""Questions refused before the first answer, after which all are taken to be wrong."""


class Patience:
    """Count unanswered questions; some refusals among answered questions are no reason to stop.

    Safe to use from several threads.
    """

    def __init__(self) -> None:
        self.lock, self.answered_once = threading.Lock(), False
        self.broken = self.refused = 0

    def answered(self) -> None:
        """Record that a question has an answer, now or from an earlier start."""
        with self.lock:
            self.answered_once, self.broken = True, 0

    def is_out_after(self, broken: bool) -> bool:
        """Record an unanswered question, and tell whether to stop asking.

        Args:
            broken: True if it ran out of attempts, False if it was refused.
        """
        with self.lock:
            if broken:
                self.broken += 1
                return self.broken >= BROKEN
            self.refused += 1
            return not self.answered_once and self.refused >= REFUSED
