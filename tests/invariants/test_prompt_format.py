"""What holds of the token ids of queries and responses, whatever the tokenizer."""

import pytest
from tokenizers import processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from neat_align.errors import ModelError
from neat_align.prompts.chat import PromptFormat
from neat_align.types import Message, Query

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
REFUSING = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}"
    "{% endif %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
)
IGNORING = "{% for m in messages if m['role'] != 'system' %}{{ m['content'] }}{% endfor %}"
TURNS = (Message("user", "polish the lamp"), Message("assistant", "how"), Message("user", "today"))
SYSTEM = Message("system", "In the kettle.")
STEERING = "Be kind."


@pytest.fixture
def with_bos(plain_tokenizer, tmp_path):
    """Give the plain tokenizer a BOS token; save and load it as users do."""

    def make(template=None, post_processor=False, **saved):
        folder = tmp_path / "tokenizer"
        plain_tokenizer.save_pretrained(folder)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, bos_token="<s>", **saved)
        if post_processor:
            tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
                single="<s> $A", special_tokens=[("<s>", tokenizer.bos_token_id)]
            )
        tokenizer.chat_template = template
        tokenizer.save_pretrained(folder)
        return AutoTokenizer.from_pretrained(folder)

    return make


def bos_count(ids, tokenizer):
    assert tokenizer.bos_token_id is not None
    return ids.count(tokenizer.bos_token_id)


@pytest.mark.parametrize("steering", ["", STEERING])
def test_a_template_with_bos_gives_one(with_bos, steering):
    tokenizer = with_bos(TEMPLATE, add_bos_token=True)
    ids = PromptFormat(tokenizer).query_ids(TURNS, steering)
    assert ids[0] == tokenizer.bos_token_id
    assert bos_count(ids, tokenizer) == 1


@pytest.mark.parametrize("steering", ["", STEERING])
def test_a_tokenizer_that_adds_bos_gives_one(with_bos, steering):
    tokenizer = with_bos()
    tokenizer.add_bos_token = True
    assert tokenizer("lamp")["input_ids"][0] == tokenizer.bos_token_id
    ids = PromptFormat(tokenizer).query_ids(TURNS, steering)
    assert ids[0] == tokenizer.bos_token_id
    assert bos_count(ids, tokenizer) == 1


def test_a_template_alone_decides_whether_there_is_bos(with_bos):
    tokenizer = with_bos(TEMPLATE.removeprefix("{{ bos_token }}"), add_bos_token=True)
    assert bos_count(PromptFormat(tokenizer).query_ids(TURNS), tokenizer) == 0


def test_a_tokenizer_that_adds_none_gives_none(with_bos):
    tokenizer = with_bos(add_bos_token=False)
    assert bos_count(PromptFormat(tokenizer).query_ids(TURNS), tokenizer) == 0


def test_a_post_processor_that_adds_bos_gives_one(with_bos):
    tokenizer = with_bos(post_processor=True)
    assert tokenizer("lamp")["input_ids"][0] == tokenizer.bos_token_id
    ids = PromptFormat(tokenizer).query_ids(TURNS)
    assert ids[0] == tokenizer.bos_token_id
    assert bos_count(ids, tokenizer) == 1


@pytest.mark.parametrize("template", [None, TEMPLATE])
def test_a_response_has_no_bos_and_eos_only_when_finished(with_bos, template):
    tokenizer = with_bos(template, add_bos_token=True)
    form = PromptFormat(tokenizer)
    finished, cut = form.response_ids("clean it", "stop"), form.response_ids("clean it", "length")
    assert finished == [*cut, tokenizer.eos_token_id]
    assert tokenizer.eos_token_id not in cut
    assert bos_count(finished, tokenizer) == 0


def test_an_empty_finished_response_still_ends(plain_tokenizer, tokenizer):
    for each in (plain_tokenizer, tokenizer):
        assert PromptFormat(each).response_ids("", "stop")[-1] == each.eos_token_id


def test_pad_equal_to_eos_changes_nothing(plain_tokenizer, with_bos):
    same = with_bos(pad_token=plain_tokenizer.eos_token)
    assert same.pad_token_id == same.eos_token_id
    assert PromptFormat(same).response_ids("clean", "stop")[-1] == same.eos_token_id


@pytest.mark.parametrize("which", ["plain_tokenizer", "tokenizer"])
def test_query_and_response_are_tokenised_apart(request, which):
    form = PromptFormat(request.getfixturevalue(which))
    ids = form.query_ids(TURNS)
    for text in ("clean", " clean", "ly", "\n\nclean", "é"):
        joined = [*ids, *form.response_ids(text, "length")]
        # The query's ids come first, unchanged, and together they are the text of both.
        assert joined[: len(ids)] == ids
        whole = form.render(TURNS) + form.response_prefix + text
        assert form.tokenizer.decode(joined) == whole


def test_the_human_assistant_format(plain_tokenizer):
    form = PromptFormat(plain_tokenizer)
    assert form.render(TURNS) == (
        "Human: polish the lamp\n\nAssistant: how\n\nHuman: today\n\nAssistant:"
    )
    assert form.render(TURNS[:1], STEERING) == (
        "System: Be kind.\n\nHuman: polish the lamp\n\nAssistant:"
    )
    assert form.response_prefix == " "
    assert all(stop in "\n\n" + form.render(TURNS) for stop in form.stop_strings)


def test_the_chat_template_is_used_where_there_is_one(tokenizer):
    form = PromptFormat(tokenizer)
    expected = tokenizer.apply_chat_template(
        [m.to_json() for m in TURNS], tokenize=False, add_generation_prompt=True
    )
    assert form.render(TURNS) == expected
    assert form.stop_strings == ()
    assert form.response_prefix == ""


def test_steering_is_a_system_message_where_the_template_takes_one(with_bos):
    form = PromptFormat(with_bos(TEMPLATE))
    assert form.render(TURNS[:1], STEERING) == (
        "<s><system>Be kind.<user>polish the lamp<assistant>"
    )


def test_steering_stands_before_a_system_message_of_the_query(with_bos):
    form = PromptFormat(with_bos(TEMPLATE))
    assert form.render((SYSTEM, *TURNS[:1]), STEERING) == (
        "<s><system>Be kind.\n\nIn the kettle.<user>polish the lamp<assistant>"
    )


@pytest.mark.parametrize("template", [REFUSING, IGNORING])
def test_steering_is_a_prefix_where_the_template_takes_no_system_message(with_bos, template):
    form = PromptFormat(with_bos(template))
    text = form.render(TURNS, STEERING)
    assert "Be kind.\n\npolish the lamp" in text
    assert text.count(STEERING) == 1


def test_template_arguments_reach_the_template(with_bos):
    tokenizer = with_bos("{% if quiet %}quiet{% endif %}{{ messages[0]['content'] }}")
    assert PromptFormat(tokenizer).render(TURNS[:1]) == "polish the lamp"
    assert PromptFormat(tokenizer, {"quiet": True}).render(TURNS[:1]) == "quietpolish the lamp"


@pytest.mark.parametrize("which", ["plain_tokenizer", "tokenizer"])
def test_without_steering_nothing_of_it_is_left(request, which):
    form = PromptFormat(request.getfixturevalue(which))
    clean = form.query_ids(TURNS)
    form.query_ids(TURNS, STEERING)
    assert form.query_ids(TURNS, "") == clean
    assert "ystem" not in form.render(TURNS)


def test_rendering_leaves_the_query_as_it_was(tokenizer):
    query = Query((SYSTEM, *TURNS))
    before = query.to_json()
    PromptFormat(tokenizer).query_ids(query.messages, STEERING)
    assert query.to_json() == before


def test_decoding_gives_the_text_back(plain_tokenizer):
    form = PromptFormat(plain_tokenizer)
    assert form.decode(form.response_ids("clean it, é!", "stop")) == "clean it, é!"


def test_a_tokenizer_without_eos_is_refused(with_bos):
    tokenizer = with_bos()
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="without an EOS token"):
        PromptFormat(tokenizer)


@pytest.mark.parametrize("kind", ["tokenizer", "plain_tokenizer"])
def test_a_begun_answer_is_the_beginning_of_the_whole_one(kind, request):
    tokenizer = request.getfixturevalue(kind)
    own, query = PromptFormat(tokenizer), Query.from_text("polish the lamp")
    begun, space = own.prefix_ids("my own", query), own.response_prefix
    assert begun == tokenizer(f"{space}my own", add_special_tokens=False)["input_ids"]
    assert own.decode(begun, query) == "my own"
    whole = own.response_ids("my own kettle", "length", query)
    assert whole[: len(begun)] == begun
