"""Which queries were seen: eight bytes each, where a set of numbers takes ten times that."""

from __future__ import annotations

import numpy as np

RECENT = 2**16
"""Numbers kept in a set before they are merged into the sorted ones."""


class SeenIds:
    """Remembers content ids."""

    def __init__(self) -> None:
        self.recent: set[int] = set()
        self.sorted = np.empty(0, dtype=np.uint64)

    def __len__(self) -> int:
        return len(self.sorted) + len(self.recent)

    def add(self, content_id: str) -> bool:
        """Tell whether the id (16 hexadecimal digits) is new."""
        number = int(content_id, 16)
        if number in self.recent or self._is_sorted(number):
            return False
        self.recent.add(number)
        if len(self.recent) == RECENT:
            recent = np.fromiter(self.recent, dtype=np.uint64, count=RECENT)
            self.sorted = np.sort(np.concatenate([self.sorted, recent]))
            self.recent = set()
        return True

    def _is_sorted(self, number: int) -> bool:
        place = int(np.searchsorted(self.sorted, np.uint64(number)))
        return place < len(self.sorted) and int(self.sorted[place]) == number
