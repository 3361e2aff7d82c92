"""A quiet console: what libraries say about themselves is left out, what we say is a plain line.

`python -W default -m neat_align …` shows everything.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any, TextIO

from neat_align.cli.warnings import SAID

LIBRARIES = (
    r"(torch|transformers|peft|accelerate|datasets|trl|huggingface_hub|tokenizers|pyarrow|ray|"
    r"deepspeed|multiprocess)(\.|$)"
)
SELF_TALK = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)


def quiet_console() -> None:
    """Silence libraries: their remarks for programmers, load reports, and bars of weights.

    Bars of training and evaluation are drawn on a terminal only.
    """
    from neat_align.models import load

    SAID.clear()
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    load.without_bars()
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if sys.warnoptions:
        return
    for category in SELF_TALK:
        warnings.simplefilter("ignore", category)
    warnings.filterwarnings("ignore", category=UserWarning, module=LIBRARIES)
    warnings.showwarning = _shown


def _shown(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: Any = None,
) -> None:
    """Without the line of source that Python would quote, and not twice."""
    if str(message) in SAID:
        return
    print(f"warning: {message}", file=file or sys.stderr)
