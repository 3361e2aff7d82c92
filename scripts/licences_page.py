"""Write docs/licences.md: the licence of every package that an installation brings.

python scripts/licences_page.py [--check]

Read from the metadata of the packages as installed here, from the direct requirements down.
With --check, exits with 1 if a package that is always installed is missing on the page.
"""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "licences.md"
PROJECT = "neat-align"
EXTRAS = {
    "": "Always installed",
    "deepspeed": "`[deepspeed]`: ZeRO",
    "ray": "`[ray]`: shards on a cluster",
    "vllm": "`[vllm]`: sampling on GPUs",
    "test": "`[test]`: what `make test` installs",
    "lint": "`[lint]`: for work on the project",
}
LONGEST = 60  # characters of a licence field that is a name and not the text itself
KNOWN_TEXTS = {
    "Apache-2.0": "Apache License",
    "MIT": "Permission is hereby granted, free of charge",
    "BSD-3-Clause": "Redistributions of source code must retain the above copyright",
}
HEAD = """# Licences

neat-align is under Apache-2.0. This page lists what an installation of it brings, with the
licence that each package declares, written by `scripts/licences_page.py` from the metadata of
the packages installed on the machine that wrote it (Linux, CPU). A CUDA build of torch adds
NVIDIA's libraries, under NVIDIA's own terms. Nothing of these packages is copied into this
repository.
"""


def main() -> None:
    """Write the page, or compare with it."""
    if "--check" in sys.argv:
        listed = set(re.findall(r"^\| (\S+) \|", PAGE.read_text(), re.MULTILINE))
        absent = sorted(set(closure("")[0]) - listed)
        sys.exit(f"not on the page: {', '.join(absent)}" if absent else 0)
    PAGE.write_text(page())


def page() -> str:
    """All tables; a package stands in the first of them that brings it."""
    parts, seen = [HEAD.strip()], set()
    for extra, title in EXTRAS.items():
        packages, missing = closure(extra)
        found = {n: d for n, d in packages.items() if n not in seen}
        rows = [f"| {name} | {licence(d)} |" for name, d in sorted(found.items())]
        parts.append(f"## {title}")
        if missing:
            parts.append(f"Not installed there, so not read: {', '.join(sorted(missing))}.")
        if rows:
            parts.append("\n".join(["| package | licence |", "|---|---|", *rows]))
        seen |= set(found)
    return "\n\n".join(parts) + "\n"


def closure(extra: str) -> tuple[dict[str, Distribution], set[str]]:
    """From the requirements of the project, or of an extra of it, down.

    Returns:
        Installed packages by name, and the names of those that are not installed.
    """
    found: dict[str, Distribution] = {}
    missing: set[str] = set()
    waiting = list(requirements(distribution(PROJECT), {extra}))
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        package = installed(name)
        if package is None:
            missing.add(name)
            continue
        if name in found and not wanted.extras:
            continue
        known = name in found
        found[name] = package
        if not known or wanted.extras:
            waiting += requirements(package, wanted.extras or {""}, known)
    return found, missing


def requirements(
    package: Distribution, extras: set[str], only_extras: bool = False
) -> Iterator[Requirement]:
    """Those that apply here; of a package that was looked at already, only its extras'."""
    for line in package.requires or ():
        wanted = Requirement(line)
        if wanted.marker is None:
            if not only_extras and (package.name != PROJECT or "" in extras):
                yield wanted
            continue
        plain = wanted.marker.evaluate({"extra": ""})
        by_extra = any(wanted.marker.evaluate({"extra": e}) for e in extras if e)
        if (by_extra and not plain) or (plain and not only_extras):
            yield wanted


def installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def licence(package: Distribution) -> str:
    """As its metadata says: the expression, the field, the classifiers, or the text's title."""
    metadata = package.metadata
    declared = metadata.get("License-Expression") or metadata.get("License") or ""
    classifiers = [
        c.rpartition(" :: ")[2] for c in metadata.get_all("Classifier") or () if "License" in c
    ]
    if declared and len(declared) <= LONGEST and declared != "UNKNOWN":
        return declared
    if classifiers and classifiers != ["OSI Approved"]:
        return ", ".join(sorted(set(classifiers)))
    texts = [declared, *(file_texts(package))]
    for name, words in KNOWN_TEXTS.items():
        if any(words in " ".join(text.split()) for text in texts):
            return f"{name} (by its text)"
    return "not declared"


def file_texts(package: Distribution) -> Iterator[str]:
    for file in package.files or ():
        if re.match(r"(licen[cs]e|copying)", file.name, re.IGNORECASE):
            yield Path(str(file.locate())).read_text(errors="replace")


if __name__ == "__main__":
    main()
