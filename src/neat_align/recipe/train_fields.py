"""The fields a recipe's `train` section may hold, read without importing torch.

They are those of `NEATConfig` and of transformers' `TrainingArguments`; both are read from
their source, since importing either would take seconds.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import Any

OWNED = {
    "output_dir": "the output directory is given with --output",
    "seed": "write `seed:` at the top level of the recipe",
    "positive_samples": "write `sample: {positive: …}`",
    "negative_samples": "write `sample: {negative: …}`",
    "plain_samples": "write `sample: {plain: …}`",
    "max_new_tokens": "write `sample: {max_new_tokens: …}`",
    "temperature": "write `sample: {temperature: …}`",
    "top_p": "write `sample: {top_p: …}`",
    "top_k": "write `sample: {top_k: …}`",
    "min_p": "write `sample: {min_p: …}`",
    "stop_strings": "write `sample: {stop_strings: […]}`",
    "plausibility": "write `reward: {plausibility: …}`",
    "sampling_batch_size": "write `sample: {batch_size: …}`",
}
"""Fields that another part of the recipe sets, and where."""

STRUCTURED = ("dict", "list", "tuple", "Any", "Sequence")


@cache
def train_fields() -> dict[str, str]:
    """Field name → its annotation as written, e.g. "float" or "int | None"."""
    ours = Path(__file__).parent.parent / "training" / "config.py"
    spec = importlib.util.find_spec("transformers")
    assert spec is not None
    assert spec.origin is not None
    theirs = Path(spec.origin).parent / "training_args.py"
    return {**_annotations(theirs, "TrainingArguments"), **_annotations(ours, "NEATConfig")}


def convert(value: Any, annotation: str) -> Any:
    """A YAML value as the declared type: 1e-6 is a string to YAML and a float here.

    Raises:
        ValueError: it cannot be one.
    """
    if value is None:
        return value
    words = re.findall(r"\w+", annotation)
    if not isinstance(value, str | int | float | bool):
        if not set(STRUCTURED) & set(words):
            raise ValueError(f"{value!r} is not {annotation}")
        return value
    if isinstance(value, bool) or (not isinstance(value, str) and "str" in words):
        if isinstance(value, bool) and "bool" not in words:
            raise ValueError(f"{value} is not {annotation}")
        return value
    if "str" in words or not {"int", "float", "bool"} & set(words):
        return value
    if "bool" in words and isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if "int" in words and float(value) == int(float(value)) and "float" not in words:
        return int(float(value))
    if "float" in words:
        return float(value)
    raise ValueError(f"{value!r} is not {annotation}")


def _annotations(path: Path, name: str) -> dict[str, str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    (found,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name)
    return {
        node.target.id: ast.unparse(node.annotation)
        for node in found.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
