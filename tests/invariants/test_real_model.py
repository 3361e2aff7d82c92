"""What holds for small random models holds for a real one: SmolLM2-135M-Instruct, by its name.

It is fetched into the user's cache by the first test that ever asks for it.
"""

import shutil

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.invariants.test_packing import ragged_groups
from tests.trainers import assert_same, rows, trainer_of

from neat_align.errors import ModelError
from neat_align.models import load_causal_lm, load_tokenizer
from neat_align.models.fetch import fetched
from neat_align.models.layout import layout_of
from neat_align.models.layout.base import token_logps
from neat_align.models.layout.packable import can_pack
from neat_align.models.layout.padded import padded_rows
from neat_align.prompts.chat import PromptFormat
from neat_align.sampling.base import Decoding, SamplingRequest
from neat_align.sampling.local import TransformersSampler
from neat_align.training.adapters import merged
from neat_align.types import Query, Source

NAME = "smollm2-135m-instruct"
pytestmark = pytest.mark.xdist_group("real model")  # loaded by one worker


@pytest.fixture(scope="module")
def directory():
    try:
        return fetched(NAME)
    except ModelError as error:
        pytest.skip(f"the real model is not here and cannot be fetched: {error}")


@pytest.fixture(scope="module")
def real(directory):
    return load_causal_lm(directory).eval()


@pytest.fixture(scope="module")
def real_tokenizer(directory):
    return load_tokenizer(directory)


def test_it_knows_the_capital_of_france_and_ends_its_turn(real, real_tokenizer):
    sampler = TransformersSampler(real, PromptFormat(real_tokenizer))
    query = Query.from_text("What is the capital of France?")
    decoding = Decoding(max_new_tokens=24, temperature=0.0)
    (answer,) = sampler.sample([SamplingRequest(query, Source.PLAIN, "", 0)], decoding)
    assert "Paris" in answer.text
    assert answer.finish == "stop"


def test_packed_rows_have_the_log_probabilities_of_padded_ones(real):
    groups = ragged_groups(0)
    assert can_pack(real, groups)
    with torch.no_grad():
        packed = token_logps(real, layout_of(real, 2).rows(groups))
        padded = token_logps(real, padded_rows(groups, 2))
    torch.testing.assert_close(packed, padded, rtol=1e-4, atol=1e-4)


def test_a_merged_adapter_is_the_adapter(directory):
    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    model = get_peft_model(load_causal_lm(directory), config).eval()
    ids = torch.arange(1000, 1020)[None]
    with torch.no_grad():
        adapted = model(ids).logits
        with model.disable_adapter():
            assert (model(ids).logits - adapted).abs().max() > 0.1
        found = merged(model)(ids).logits
    torch.testing.assert_close(found, adapted, rtol=1e-4, atol=1e-2)


def test_a_resumed_training_ends_as_the_uninterrupted_one(
    directory, real_tokenizer, steering, tmp_path
):
    queries = [Query.from_text(f"Name {thing}.") for thing in ("a fish", "a tree", "a city")]

    def trained(path, resume=None, **settings):
        model = load_causal_lm(directory)
        trainer = trainer_of(
            path, real_tokenizer, steering, queries, model=model, save_strategy="steps",
            save_steps=1, per_device_train_batch_size=1, max_new_tokens=4,
            peft_config=LoraConfig(r=2, target_modules=["q_proj", "v_proj"]), **settings,
        )  # fmt: skip
        trainer.train(resume_from_checkpoint=resume)
        return {n: p.detach().clone() for n, p in trainer.model.named_parameters() if "lora" in n}

    whole = trained(tmp_path / "a", max_steps=2)
    shutil.copytree(tmp_path / "a" / "checkpoint-1", tmp_path / "b" / "checkpoint-1")
    resumed = trained(tmp_path / "b", str(tmp_path / "b" / "checkpoint-1"), max_steps=2)
    assert_same(resumed, whole, rtol=1e-5, atol=1e-7)
    assert rows(tmp_path / "a")[-1]["loss"] == pytest.approx(rows(tmp_path / "b")[-1]["loss"])
