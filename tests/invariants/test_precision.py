"""Weights that are trained move, at low rates and in 16 bit as well, or the training is refused."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.conftest import make_llama
from tests.trainers import config
from transformers import Qwen3Config, Qwen3ForCausalLM

from neat_align.errors import ModelError
from neat_align.models import load_causal_lm
from neat_align.objectives import DPO, NEAT
from neat_align.recipe import load_recipe
from neat_align.scoring.reward_model import RewardModelScorer
from neat_align.training.save_policy import save_policy
from neat_align.training.trainer import NEATTrainer
from neat_align.types import Group, Response, Source

STEPS = 2


def groups(queries):
    texts = ("a lamp", "polish it with a cloth", "how do I", "clean the kettle today")
    sources = (Source.NEGATIVE, Source.POSITIVE, Source.PLAIN, Source.POSITIVE)
    return [
        Group(
            query,
            tuple(
                Response(text, source, "Be." * (source != Source.PLAIN), score=float(i))
                for i, (text, source) in enumerate(zip(texts, sources))
            ),
        )
        for query in queries
    ]


def qwen(tokenizer):
    torch.manual_seed(0)
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=512,
            tie_word_embeddings=True, eos_token_id=tokenizer.eos_token_id, bos_token_id=None,
            pad_token_id=tokenizer.pad_token_id,
        )
    )  # fmt: skip


def trained(model, tokenizer, queries, steering, path, objective=None, **settings):
    extra = {k: settings.pop(k) for k in ("peft_config",) if k in settings}
    trainer = NEATTrainer(
        model, args=config(path, **{"max_steps": STEPS, **settings}),
        objective=objective or NEAT(min_gap=0.0), steering=steering,
        train_dataset=groups(queries), processing_class=tokenizer, **extra,
    )  # fmt: skip
    before = {n: p.detach().clone() for n, p in trainer.model.named_parameters()}
    trainer.train()
    after = dict(trainer.model.named_parameters())
    pairs = [(before[n], after[n].detach()) for n in before if after[n].requires_grad]
    moved = sum(int((b != a).sum()) for b, a in pairs) / sum(b.numel() for b, _ in pairs)
    return trainer, moved


@pytest.mark.parametrize(("packed", "bf16"), [(True, True), (False, True), (True, False)])
def test_the_big_recipe_trains_at_its_rate(tmp_path, tokenizer, queries, steering, packed, bf16):
    """The rate of `hh_qwen3_0.6b`; bfloat16 forward passes, as on a GPU, and both layouts."""
    rate = load_recipe("hh_qwen3_0.6b").train["learning_rate"]
    settings = {"learning_rate": rate, "packed": packed, "bf16": bf16, "negative_context": 0.0}
    trainer, moved = trained(
        qwen(tokenizer), tokenizer, queries, steering, tmp_path, objective=DPO(), **settings
    )
    assert moved > 0.9
    assert {p.dtype for p in trainer.model.parameters()} == {torch.float32}


def test_layouts_agree_under_autocast(tmp_path, tokenizer, queries, steering):
    runs = []
    for packed in (True, False):
        trainer, _ = trained(
            qwen(tokenizer), tokenizer, queries, steering, tmp_path / str(packed), packed=packed,
            bf16=True, optim="sgd", learning_rate=0.1, max_steps=1, negative_context=0.0,
        )  # fmt: skip
        runs.append(torch.cat([p.detach().flatten() for p in trainer.model.parameters()]))
    start = torch.cat([p.detach().flatten() for p in qwen(tokenizer).parameters()])
    one, other = (run - start for run in runs)
    assert torch.nn.functional.cosine_similarity(one, other, dim=0) > 0.99


def test_the_reference_is_read_in_the_policys_precision(tmp_path, tokenizer, queries, steering):
    """Before the first update, policy and reference are one: log-ratios of 0."""
    trainer, _ = trained(
        qwen(tokenizer), tokenizer, queries, steering, tmp_path, objective=DPO(), bf16=True,
        max_steps=1,
    )  # fmt: skip
    (logged,) = [row for row in trainer.state.log_history if "loss" in row]
    assert logged["kl"] == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize(
    ("dtype", "rate", "refused"),
    [
        (torch.bfloat16, 1e-6, "rounds away"),
        (torch.bfloat16, 1e-5, "rounds away"),
        (torch.bfloat16, 1e-2, ""),
        (torch.float16, 1e-2, "float16"),
        (torch.float32, 1e-6, ""),
    ],
)
def test_updates_that_would_round_away(
    tmp_path, tokenizer, queries, steering, dtype, rate, refused
):
    model = make_llama(tokenizer).to(dtype)
    asked = (model, tokenizer, queries, steering, tmp_path)
    if refused:
        with pytest.raises(ModelError, match=refused):
            trained(*asked, learning_rate=rate)
        return
    # Embeddings of tokens that no text holds stay.
    assert trained(*asked, learning_rate=rate, packed=False)[1] > 0.7


@pytest.mark.parametrize("autocast", [True, False])
def test_an_adapter_over_16_bit_weights_is_float32(
    tmp_path, tokenizer, queries, steering, autocast
):
    model = make_llama(tokenizer).to(torch.bfloat16)
    lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    trainer, moved = trained(
        model, tokenizer, queries, steering, tmp_path, peft_config=lora, bf16=autocast,
        learning_rate=1e-6,
    )  # fmt: skip
    assert moved > 0.9
    expected = trainer.model(input_ids=torch.tensor([[5, 9, 17]])).logits.float()
    save_policy(trainer, tmp_path / "policy")
    for dtype in ("float32", "bfloat16"):
        saved = load_causal_lm(tmp_path / "policy", dtype)
        logits = saved(input_ids=torch.tensor([[5, 9, 17]])).logits.float()
        torch.testing.assert_close(logits, expected, rtol=0.05, atol=0.3)


def test_an_adapter_in_16_bit_is_refused_where_it_would_not_move(
    tmp_path, tokenizer, queries, steering
):
    lora = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    model = get_peft_model(
        make_llama(tokenizer).to(torch.bfloat16), lora, autocast_adapter_dtype=False
    )
    with pytest.raises(ModelError, match="rounds away"):
        trained(model, tokenizer, queries, steering, tmp_path, learning_rate=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_what_is_read_in_16_bit_says_nearly_the_same(tmp_path, tokenizer, queries, dtype):
    from transformers import LlamaForSequenceClassification

    torch.manual_seed(0)
    settings = make_llama(tokenizer).config
    settings.num_labels = 1
    LlamaForSequenceClassification(settings).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    asked = groups(queries)
    exact, short = (
        torch.tensor(RewardModelScorer.from_pretrained(tmp_path, "cpu", name).score(asked))
        for name in ("float32", dtype)
    )
    assert not torch.equal(exact, short)
    torch.testing.assert_close(exact, short, rtol=0.05, atol=0.05)
