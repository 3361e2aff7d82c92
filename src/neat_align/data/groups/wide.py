"""Groups as a wide table: the expanded preference data set.

One row a query. `prompt`, `chosen` and `rejected` are what preference trainers read (TRL's
conversational format), `completion`, the chosen answer again, is what SFT reads;
`candidates` holds every response with where it came from and what it was scored, so that a
row turns back into its group without loss. What a query gives the chat template besides text
(tool calls, tools, template arguments) stands as JSON in `template`, null for the others. The
schema's version stands in the file's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from neat_align.data.groups.flags import best_and_worst, group_flags
from neat_align.errors import DataError
from neat_align.prompts.phrasing import TURNS, Phrasing
from neat_align.types import Group, Message, Query, Response

VERSION = 1
VERSION_KEY = b"neat_align.schema"
NOTES_KEY = b"neat_align.notes"
FIELDS = ("text", "source", "steering", "finish", "score", "seed", "sampler")


def wide_schema() -> Any:
    """Return the Arrow schema, its version in the metadata."""
    import pyarrow as pa

    text, number, whole = pa.string(), pa.float64(), pa.int64()
    messages = pa.list_(pa.struct({"role": text, "content": text}))
    candidate = pa.struct(
        {
            "text": text,
            "source": text,
            "steering": text,
            "finish": text,
            "score": number,
            "scores": pa.list_(pa.struct({"name": text, "value": number})),
            "seed": whole,
            "sampler": text,
            "token_ids": pa.list_(pa.int32()),
            "turns": pa.list_(pa.struct({"user": text, "assistant": text})),
            "prefix": text,
            "column": text,
        }
    )
    columns = {
        "prompt": messages,
        "chosen": messages,
        "rejected": messages,
        "completion": messages,
        "score_chosen": number,
        "score_rejected": number,
        "steering_chosen": text,
        "steering_rejected": text,
        "prompt_id": text,
        "flags": pa.list_(text),
        "candidates": pa.list_(candidate),
        "conversational": pa.bool_(),
        "meta": text,
        "template": text,
    }
    return pa.schema(columns, metadata={VERSION_KEY: str(VERSION).encode()})


def wide_row(group: Group) -> dict[str, Any]:
    """Write a group as a row; `chosen`, `rejected`, `completion` are null without a pair.

    Chosen is the response with the highest score, rejected the one with the lowest, the
    first of equal ones. There is no pair in a group that is not scored, or is a `tie`.
    """
    row: dict[str, Any] = {
        "prompt": [{"role": m.role, "content": m.content} for m in group.query.messages],
        "prompt_id": group.query.id,
        "flags": group_flags(group),
        "candidates": [_candidate(response) for response in group.responses],
        "conversational": group.query.conversational,
        "meta": json_text(dict(group.query.meta)),
        "template": _template_text(group.query),
    }
    pair = best_and_worst(group) if group.is_scored else None
    if pair is not None:
        for name, response in zip(("chosen", "rejected"), pair, strict=True):
            row[name] = [{"role": "assistant", "content": response.text}]
            row[f"score_{name}"] = response.score
            row[f"steering_{name}"] = str(Phrasing.of(response))
        row["completion"] = row["chosen"]
    return row


def json_text(value: Any) -> str:
    """JSON that a file can hold; half characters in it are escaped.

    Columns of Parquet and hub data may be dates or decimals: kept as text, as in CSV.
    """
    text = json.dumps(value, ensure_ascii=False, default=str)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, default=str)
    return text


def group_of_wide(row: Mapping[str, Any]) -> Group:
    """Rebuild a group from a row of the table; the inverse of `wide_row`."""
    beside = json.loads(row.get("template") or "{}")  # tables of earlier versions have none
    extras = beside.get("extras") or [{} for _ in row["prompt"]]
    query = Query(
        tuple(
            Message(m["role"], m["content"], extra)
            for m, extra in zip(row["prompt"], extras, strict=True)
        ),
        json.loads(row["meta"]),
        row["conversational"],
        tools=tuple(beside.get("tools", ())),
        template_kwargs=beside.get("chat_template_kwargs", {}),
    )
    return Group(query, tuple(_response(c) for c in row["candidates"]))


def wide_bytes(groups: Iterable[Group], notes: Mapping[str, Any] | None = None) -> bytes:
    """Write groups as Parquet, with notes on how they came about in its metadata."""
    import pyarrow as pa
    from pyarrow import parquet

    buffer = pa.BufferOutputStream()
    schema = wide_schema()
    if notes:
        schema = schema.with_metadata({**schema.metadata, NOTES_KEY: json.dumps(notes).encode()})
    table = pa.Table.from_pylist([wide_row(group) for group in groups], schema=schema)
    parquet.write_table(table, buffer, compression="zstd")
    content: bytes = buffer.getvalue().to_pybytes()
    return content


def check_wide(path: Path) -> int:
    """Count the rows of a Parquet file, once it is seen to be this table in a known version.

    Raises:
        DataError: it is not, or cannot be read.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        footer = parquet.read_metadata(path)
        metadata = footer.metadata or {}
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"data file {path}", f"not Parquet: {error}", "write it again") from error
    version = metadata.get(VERSION_KEY, b"").decode(errors="replace")
    if not version:
        raise DataError(
            f"data file {path}",
            "it is no table of groups",
            "give what `neat sample` or `neat score` wrote",
        )
    if version != str(VERSION):
        raise DataError(
            f"data file {path}",
            f"its schema is version {version}, and this one reads {VERSION}",
            "read it with the version of neat-align that wrote it",
        )
    return int(footer.num_rows)


def read_notes(path: Path) -> dict[str, Any]:
    """Read the notes that `wide_bytes` was given; `check_wide` has seen the file."""
    from pyarrow import parquet

    notes: dict[str, Any] = json.loads(
        (parquet.read_metadata(path).metadata or {}).get(NOTES_KEY, b"{}")
    )
    return notes


def _template_text(query: Query) -> str | None:
    """Write the chat template's non-text input (tools, extras) as JSON; None if there is none."""
    beside = query.template_columns
    if any(m.extra for m in query.messages):
        beside["extras"] = [dict(m.extra) for m in query.messages]
    return json_text(beside) if beside else None


def _candidate(response: Response) -> dict[str, Any]:
    return {
        **{name: getattr(response, name) for name in FIELDS},
        "source": str(response.source),
        "scores": [{"name": name, "value": value} for name, value in response.scores.items()],
        "token_ids": None if response.token_ids is None else list(response.token_ids),
        "turns": Phrasing.of(response).to_json().get(TURNS),
        "prefix": response.prefix or None,
        "column": response.column or None,
    }


def _response(candidate: Mapping[str, Any]) -> Response:
    scores = {entry["name"]: entry["value"] for entry in candidate["scores"]}
    shown = candidate.get("turns") or ()  # tables of earlier versions have no other channels
    turns = [(turn["user"], turn["assistant"]) for turn in shown]
    return Response.from_json({**candidate, "scores": scores, "turns": turns})
