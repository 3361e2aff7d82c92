"""docs/architecture.md names the layers, and the files that a batch enters, as they are."""

import re
import sys
import tomllib
from pathlib import Path

import pytest
from tests.trainers import stored_groups, trainer_of
from torch import Tensor
from transformers import TrainerCallback

import neat_align
from neat_align.models.layout.base import Rows
from neat_align.models.tokenized import TokenizedGroup
from neat_align.objectives import GroupLogps, LossTerms
from neat_align.sampling.base import SamplingRequest
from neat_align.training.batches import MicroBatch, TrainingPass
from neat_align.types import Group, Query, Response

REPOSITORY = Path(__file__).parents[2]
PACKAGE = Path(neat_align.__file__).parent
FILES = {"stored": 8, "online": 14}

NEXT = {
    Query: (Query, SamplingRequest, Response, Group),
    SamplingRequest: (SamplingRequest, Response, Group),
    Response: (Response, Group),
    Group: (Group, TokenizedGroup, MicroBatch),
    TokenizedGroup: (TokenizedGroup, Rows, TrainingPass, MicroBatch),
    Rows: (Rows, Tensor),
    MicroBatch: (MicroBatch, Tensor),
    TrainingPass: (TrainingPass, MicroBatch, GroupLogps, Tensor),
    GroupLogps: (GroupLogps, LossTerms),
}
"""Form of a batch → the forms it can be handed on in."""


def page():
    return (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")


def on_the_page(way):
    """The files of a numbered list, in its order; each says what it does."""
    article = "an" if way == "online" else "a"
    section = page().split(f"## The way of {article} {way} batch")[1].split("\n## ")[0]
    return re.findall(r"^\d+\. `([\w/]+\.py)` \S.*$", section, re.MULTILINE)


def form_of(value, depth=3):
    """The class of a batch, or of the first thing in it."""
    while isinstance(value, list | tuple) and value and depth:
        value, depth = value[0], depth - 1
    return next((form for form in (*NEXT, LossTerms, Tensor) if isinstance(value, form)), None)


class Way:
    """Collects the files whose functions are handed a batch and hand it on."""

    def __init__(self):
        self.entered = {}  # file → when it was first handed a batch
        self._open = {}  # frame → (file, forms it was handed)

    def __call__(self, frame, event, result):
        if not frame.f_code.co_filename.startswith(str(PACKAGE)):
            return
        if event == "call":
            self._take(frame)
        elif event == "return" and frame in self._open:
            file, moment, taken = self._open[frame]
            if any(form_of(result) in NEXT.get(form, ()) for form in taken):
                self.entered[file] = min(moment, self.entered.get(file, moment))

    def _take(self, frame):
        code = frame.f_code
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        taken = [form_of(frame.f_locals[name]) for name in names if name != "self"]
        if any(form in NEXT for form in taken):
            file = str(Path(code.co_filename).relative_to(PACKAGE))
            self._open.setdefault(frame, (file, len(self._open), taken))

    @property
    def files(self):
        return sorted(self.entered, key=self.entered.get)


class UntilTheStep(TrainerCallback):
    def on_pre_optimizer_step(self, *args, **kwargs):
        sys.setprofile(None)


@pytest.mark.parametrize("way", FILES)
def test_a_batch_enters_the_files_that_the_page_names(tmp_path, tokenizer, steering, queries, way):
    data = stored_groups(tokenizer, queries, steering) if way == "stored" else queries
    trainer = trainer_of(tmp_path, tokenizer, steering, data, max_steps=1)
    trainer.add_callback(UntilTheStep())
    found = Way()
    sys.setprofile(found)
    try:
        trainer.train()
    finally:
        sys.setprofile(None)
    assert found.files == on_the_page(way)
    assert len(found.files) <= FILES[way]


def test_the_layers_are_those_that_are_checked():
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = settings["tool"]["importlinter"]["contracts"]
    checked = [re.findall(r"neat_align\.([\w.]+)", layer) for layer in contract["layers"]]
    table = page().split("## Layers")[1].split("\n## ")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    assert [re.findall(r"`([\w./]+)`", row) for row in rows] == [
        [name.replace(".", "/") for name in layer] for layer in checked
    ]


def test_every_form_of_a_batch_is_explained():
    forms = page().split("## The forms of a batch")[1].split("\n## ")[0]
    named = re.findall(r"^\| `(\w+)` \|", forms, re.MULTILINE)
    assert named == [form.__name__ for form in (*NEXT, LossTerms)]
