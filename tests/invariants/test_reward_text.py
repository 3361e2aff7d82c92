"""A reward model reads what its template, or its pair encoding, gives: by its card."""

import pytest
import torch
from tests.conftest import make_llama, make_tokenizer
from tests.templates import FORMATS, new_tokenizer, template_tokenizer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from neat_align.data import Preference
from neat_align.errors import DataError
from neat_align.pretraining.reward_model import RewardModelSettings, train_reward_model
from neat_align.scoring.reward_model import RewardModelScorer
from neat_align.scoring.reward_text import MARK, ConversationRows
from neat_align.types import Group, Message, Query, Response, Source

TURNS = [
    {"role": "user", "content": "How do I clean the kettle?"},
    {"role": "assistant", "content": "With a cloth."},
    {"role": "user", "content": "And the lamp?"},
]
TEXTS = ("With a dry cloth.", "With a wet cloth, and polish it today.", "clean", "clean", "")
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}


def llama(tokenizer):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        num_key_value_heads=1,
        num_labels=1,
        pad_token_id=0,
        initializer_range=0.2,
        **SIZES,
    )
    return LlamaForSequenceClassification(config).eval()


def group(turns=TURNS, texts=TEXTS, finish="stop", **options):
    query = Query(tuple(Message.from_json(t) for t in turns), **options)
    return Group(query, tuple(Response(t, Source.PLAIN, finish=finish) for t in texts))


def by_its_card(model, tokenizer, turns, text):
    """Compute the head at the last token of the templated conversation, unpadded."""
    conversation = [*turns, {"role": "assistant", "content": text}]
    ids = tokenizer.apply_chat_template(conversation, return_dict=False)
    hidden = model.model(torch.tensor([ids])).last_hidden_state
    return model.score(hidden[0, -1]).item()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("layout", ["packed", "padded"])
@torch.no_grad()
def test_a_score_is_that_of_the_models_card(name, layout, monkeypatch):
    tokenizer = template_tokenizer(name)
    model = llama(tokenizer)
    if layout == "padded":
        monkeypatch.setattr("neat_align.scoring.reward_model.can_pack", lambda *_: False)
    scorer = RewardModelScorer(model, tokenizer)
    one_turn = group(TURNS[:1])
    found = scorer.score([group(), one_turn])
    for turns, scores in zip((TURNS, TURNS[:1]), found, strict=True):
        expected = [by_its_card(model, tokenizer, turns, text) for text in TEXTS]
        assert scores == pytest.approx(expected, abs=1e-4)


@torch.no_grad()
def test_the_newline_behind_the_turn_is_read_and_bos_once():
    tokenizer = template_tokenizer("qwen2_5")
    row = ConversationRows(tokenizer).row(group().query, "ok")
    assert tokenizer.decode(row[-3:]).endswith("<|im_end|>\n")
    tokenizer = template_tokenizer("llama3")
    row = ConversationRows(tokenizer).row(group().query, "ok")
    assert row.count(tokenizer.bos_token_id) == 1


@torch.no_grad()
def test_a_cut_response_is_closed_and_thoughts_are_left_out():
    tokenizer = template_tokenizer("smollm2")
    scorer = RewardModelScorer(llama(tokenizer), tokenizer)
    ((cut,),) = scorer.score([group(texts=["A cloth"], finish="length")])
    ((whole,),) = scorer.score([group(texts=["A cloth"])])
    ((thought,),) = scorer.score([group(texts=["<think>\nHm.\n</think>\n\nA cloth"])])
    assert cut == pytest.approx(whole)
    assert thought == pytest.approx(whole)


def test_a_policys_template_arguments_do_not_trouble_a_reward_model():
    tokenizer = template_tokenizer("smollm2")
    scorer = RewardModelScorer(llama(tokenizer), tokenizer)
    asked = group(template_kwargs={"enable_thinking": False})
    assert scorer.score([asked]) == scorer.score([group()])


def wordpiece(kind):
    """Make a tokenizer that frames a pair as its family does."""
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3}
    words = (
        "how do i clean the kettle lamp with a cloth and polish it today human assistant : ? . ,"
    )
    for word in [*words.split(), ":", "?", ".", ",", "[", "]", "SEP"]:
        vocabulary.setdefault(word, len(vocabulary))
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    second = "[SEP] [SEP] $B [SEP]" if kind == "roberta" else "[SEP] $B:1 [SEP]:1"
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair=f"[CLS] $A {second}",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    inputs = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_input_names=inputs if kind == "roberta" else [*inputs, "token_type_ids"],
    )


ENCODERS = {
    "bert": (BertConfig, BertForSequenceClassification),
    "deberta": (DebertaV2Config, DebertaV2ForSequenceClassification),
    "roberta": (RobertaConfig, RobertaForSequenceClassification),
}


def encoder(kind, tokenizer, **options):
    config, model = ENCODERS[kind]
    torch.manual_seed(0)
    settings = {"num_labels": 1, "pad_token_id": 0, "initializer_range": 0.2, **SIZES, **options}
    return model(config(vocab_size=len(tokenizer), type_vocab_size=2, **settings)).eval()


@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize("max_tokens", [1, 4096])
@torch.no_grad()
def test_an_encoder_reads_the_pair(kind, max_tokens):
    tokenizer = wordpiece(kind)
    model = encoder(kind, tokenizer)
    asked = group(TURNS[:1], ("with a cloth", "clean", "polish it today and clean the lamp"))
    (found,) = RewardModelScorer(model, tokenizer, max_tokens=max_tokens).score([asked])
    for response, score in zip(asked.responses, found, strict=True):
        inputs = tokenizer(TURNS[0]["content"], response.text, return_tensors="pt")
        assert score == pytest.approx(model(**inputs).logits.item(), abs=1e-4)


@torch.no_grad()
def test_an_encoder_loaded_from_its_directory(tmp_path):
    tokenizer = wordpiece("bert")
    encoder("bert", tokenizer).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    scorer = RewardModelScorer.from_pretrained(tmp_path)
    assert scorer.score([group()]) == RewardModelScorer(scorer.model, tokenizer).score([group()])


@torch.no_grad()
def test_a_text_spells_no_boundary_of_a_pair():
    tokenizer = wordpiece("bert")
    asked = group(TURNS[:1], ("clean [SEP] lamp",))
    (row,) = RewardModelScorer(encoder("bert", tokenizer), tokenizer).pairs.rows([asked])
    assert row["input_ids"].count(tokenizer.sep_token_id) == 2
    (row,) = RewardModelScorer(encoder("bert", tokenizer), tokenizer).pairs.rows(
        [group(TURNS, ("clean",))]
    )
    told = "Human: How do I clean the kettle?\n\nAssistant: With a cloth.\n\nHuman: And the lamp?"
    assert row["input_ids"] == tokenizer(told, "clean")["input_ids"]


@torch.no_grad()
def test_an_encoders_context_is_heeded():
    tokenizer = wordpiece("roberta")
    model = encoder("roberta", tokenizer, max_position_embeddings=16)
    with pytest.raises(DataError, match="16"):
        RewardModelScorer(model, tokenizer).score([group(TURNS[:1], ("a b c d e f",))])


def test_a_reward_model_is_scored_as_it_was_trained(tmp_path):
    tokenizer = new_tokenizer("smollm2")
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    make_llama(tokenizer).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    pairs = [
        Preference(Query.from_text(f"clean the lamp {i}"), f"a cloth {i}", f"kettle {i}")
        for i in range(20)
    ]
    settings = RewardModelSettings(learning_rate=3e-3, epochs=1, batch_size=8, holdout=0.2)
    train_reward_model(tmp_path / "base", pairs, tmp_path / "reward", settings)
    scorer = RewardModelScorer.from_pretrained(tmp_path / "reward")
    assert getattr(scorer.model.config, MARK) == "conversation"
    (found,) = scorer.score([group()])
    with torch.no_grad():
        expected = [by_its_card(scorer.model, tokenizer, TURNS, text) for text in TEXTS]
    assert found == pytest.approx(expected, abs=1e-4)
    setattr(scorer.model.config, MARK, "response")  # as reward models were trained earlier
    (earlier,) = RewardModelScorer(scorer.model, tokenizer).score([group(texts=("a cloth",))])
    rows = ConversationRows(tokenizer, "response")
    assert tokenizer.decode(rows.row(group().query, "a cloth")).endswith("a cloth<|im_end|>")
    assert earlier != pytest.approx(scorer.score([group(texts=("a cloth",))])[0], abs=1e-6)


def test_a_decoder_without_a_template_is_read_as_it_always_was():
    tokenizer = make_tokenizer()
    row = ConversationRows(tokenizer).row(Query.from_text("clean the lamp"), "a cloth")
    assert tokenizer.decode(row) == "Human: clean the lamp\n\nAssistant: a cloth<|end|>"
