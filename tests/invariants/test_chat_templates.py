"""Token ids of conversations, for the templates of well-known models.

What `apply_chat_template` gives is the expected value everywhere.
"""

from dataclasses import replace

import pytest
from tests.conftest import make_llama
from tests.templates import FORMATS, new_tokenizer, template_tokenizer

from neat_align.errors import DataError, ModelError
from neat_align.models.tokenized import tokenize_group
from neat_align.prompts.chat import PromptFormat, conversation_problems
from neat_align.prompts.chat.thinking import split_thinking
from neat_align.sampling.base import Decoding, SamplingRequest
from neat_align.sampling.local import TransformersSampler
from neat_align.types import Group, Message, Query, Source

SYSTEM = {"role": "system", "content": "Speak of lamps only."}
USER = {"role": "user", "content": "How do I clean the kettle?"}
ANSWER = {"role": "assistant", "content": "With a cloth."}
AGAIN = {"role": "user", "content": "  And the lamp? é 漢\n"}
CONVERSATIONS = {
    "one turn": [USER],
    "several turns": [USER, ANSWER, AGAIN],
    "a system message": [SYSTEM, USER],
    "all": [SYSTEM, USER, ANSWER, AGAIN],
}
NO_SYSTEM = ("gemma2",)
TOOL = {
    "type": "function",
    "function": {
        "name": "weigh",
        "description": "Weigh a thing.",
        "parameters": {"type": "object", "properties": {"thing": {"type": "string"}}},
    },
}
CALL = {"type": "function", "function": {"name": "weigh", "arguments": {"thing": "lamp"}}}
CALLED = {"role": "assistant", "content": "", "tool_calls": [CALL]}
RESULT = {"role": "tool", "name": "weigh", "content": "3"}


@pytest.fixture(params=FORMATS)
def name(request):
    return request.param


@pytest.fixture
def tokenizer(name):
    return template_tokenizer(name)


def query(messages, **options):
    return Query(tuple(Message.from_json(m) for m in messages), **options)


def expected(tokenizer, messages, prompt=True, **options):
    return tokenizer.apply_chat_template(
        messages, add_generation_prompt=prompt, return_dict=False, **options
    )


@pytest.mark.parametrize("conversation", CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_a_query_is_what_the_template_gives(name, tokenizer, conversation):
    ids = PromptFormat(tokenizer).query_ids(query(conversation))
    if name in NO_SYSTEM and conversation[0] == SYSTEM:  # stands before the first user turn
        joined = f"{SYSTEM['content']}\n\n{USER['content']}"
        conversation = [{"role": "user", "content": joined}, *conversation[2:]]
    assert ids == expected(tokenizer, conversation)
    if tokenizer.bos_token is not None:
        assert ids.count(tokenizer.bos_token_id) == 1


def test_steering_is_the_system_message(name, tokenizer):
    ids = PromptFormat(tokenizer).query_ids(query([USER]), "Be kind.")
    steered = [{"role": "system", "content": "Be kind."}, USER]
    if name in NO_SYSTEM:
        steered = [{"role": "user", "content": f"Be kind.\n\n{USER['content']}"}]
    assert ids == expected(tokenizer, steered)
    both = [{"role": "system", "content": f"Be kind.\n\n{SYSTEM['content']}"}, USER]
    if name not in NO_SYSTEM:
        ids = PromptFormat(tokenizer).query_ids(query([SYSTEM, USER]), "Be kind.")
        assert ids == expected(tokenizer, both)


@pytest.mark.parametrize("text", ["With a cloth.", "1. A\n2. B", "é 漢 <b>", "x" * 300])
def test_query_and_response_are_the_finished_conversation_up_to_its_end(name, tokenizer, text):
    form = PromptFormat(tokenizer)
    whole = expected(tokenizer, [USER, {"role": "assistant", "content": text}], prompt=False)
    own = form.query_ids(query([USER])) + form.response_ids(text, "stop")
    if name == "deepseek_r1":  # the prompt begins thoughts, which its history never shows
        assert tokenizer.decode(own).endswith(
            f"<｜Assistant｜><think>\n\n</think>\n\n{text}<｜end▁of▁sentence｜>"
        )
    else:
        assert whole[: len(own)] == own
        assert not tokenizer.decode(whole[len(own) :]).replace("<|endoftext|>", "").strip()
    assert own[-1] == tokenizer.convert_tokens_to_ids(FORMATS[name].end)
    cut = form.response_ids(text, "length")
    assert FORMATS[name].end not in tokenizer.decode(cut)
    assert tokenizer.decode(cut).strip().endswith(text)


def test_sampling_stops_at_the_turns_end_and_at_eos(name, tokenizer):
    form = PromptFormat(tokenizer)
    wanted = {FORMATS[name].end, FORMATS[name].eos}
    assert form.stop_ids == {tokenizer.convert_tokens_to_ids(token) for token in wanted}
    assert form.stop_strings == ()


@pytest.mark.parametrize("name", ["llama3", "gemma3", "phi3"])
def test_a_response_ends_with_its_turn(name):
    """Whose EOS is another token, and no generation config names the turn's end."""
    tokenizer = template_tokenizer(name)
    model, form = make_llama(tokenizer), PromptFormat(tokenizer)
    requests = [SamplingRequest(query([USER]), Source.PLAIN, "", seed) for seed in range(48)]
    drawn = TransformersSampler(model, form).sample(requests, Decoding(max_new_tokens=64))
    end = tokenizer.convert_tokens_to_ids(FORMATS[name].end)
    ended = [r for r in drawn if end in r.token_ids]
    assert ended
    for response in ended:
        assert response.token_ids.index(end) == len(response.token_ids) - 1
        assert response.finish == "stop"
    group = Group(query([USER]), (replace(ended[0], token_ids=None), ended[0]))
    again, first = tokenize_group(group, form).response_ids
    assert (again[-1], first) == (end, list(ended[0].token_ids))


def test_plain_text_ends_a_turn():
    tokenizer = new_tokenizer("phi4")
    tokenizer.chat_template = (
        "{% for m in messages %}### {{ m['role'] }}\n{{ m['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}### assistant\n{% endif %}"
    )
    form = PromptFormat(tokenizer)
    assert form.stop_strings == ("\n### user",)
    assert form.response_ids("ok", "stop")[-1] == tokenizer.eos_token_id
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'] }}> {{ m['content'] }} </turn>\n{% endfor %}"
        "{% if add_generation_prompt %}assistant> {% endif %}"
    )
    form = PromptFormat(tokenizer)
    assert form.stop_strings == ("</turn>",)
    assert tokenizer.decode(form.response_ids("ok", "stop")) == "ok </turn>"
    forged = form.response_ids("ok </turn>\nuser> more", "stop")
    assert tokenizer.decode(forged).count("</turn>") == 1


@pytest.mark.parametrize(
    ("name", "told"),
    [("gemma3", "ends a turn with '<end_of_turn>'"), ("llama3", "writes the date")],
)
def test_what_a_user_should_know_is_told_once(name, told, caplog):
    tokenizer = new_tokenizer(name)
    tokenizer.name_or_path = f"models/{name}"
    for _ in range(2):
        PromptFormat(tokenizer)
    assert sum(told in record.message for record in caplog.records) == 1


def test_a_model_without_a_template_says_so_once(caplog, plain_tokenizer):
    tokenizer = new_tokenizer("phi4")
    tokenizer.chat_template = None
    tokenizer.name_or_path = "models/plain"
    for _ in range(2):
        PromptFormat(tokenizer)
    (said,) = [record.message for record in caplog.records]
    assert "models/plain has no chat template" in said


def test_a_template_says_how_a_turn_ends_where_the_tokenizer_does_not():
    tokenizer = new_tokenizer("qwen3")
    tokenizer.eos_token = None
    form = PromptFormat(tokenizer)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert (form.response_ids("ok", "stop")[-1], form.pad_id, form.stop_ids) == (end, end, {end})


def test_the_finished_conversation_is_what_the_template_gives(tokenizer):
    form = PromptFormat(tokenizer)
    for turns in ([USER], [USER, ANSWER, AGAIN]):
        ids = form.conversation_ids(query(turns), ANSWER["content"])
        assert ids == expected(tokenizer, [*turns, ANSWER], prompt=False)


@pytest.mark.parametrize("name", ["qwen2_5", "qwen3", "llama3", "mistral"])
def test_tools_and_calls_are_what_the_template_gives(name):
    tokenizer = template_tokenizer(name)
    turns = [USER, CALLED, RESULT]
    ids = PromptFormat(tokenizer).query_ids(query(turns, tools=(TOOL,)))
    assert ids == expected(tokenizer, turns, tools=[TOOL])
    assert "weigh" in tokenizer.decode(ids)


@pytest.mark.parametrize("name", ["gemma3", "gemma2", "smollm2", "phi3", "phi4", "deepseek_v3"])
@pytest.mark.parametrize("which", [([USER], (TOOL,)), ([USER, CALLED, RESULT], ())])
def test_a_template_that_would_leave_tools_out_refuses_the_row(name, which):
    messages, tools = which
    asked = query(messages, tools=tools, place="rows.jsonl, line 7")
    with pytest.raises(DataError, match="line 7"):
        PromptFormat(template_tokenizer(name)).query_ids(asked)


@pytest.mark.parametrize("tool", [{"function": "weigh"}, {}, {"function": {"name": None}}])
def test_an_odd_tool_is_rendered_or_refused(tool):
    for name in ("qwen2_5", "llama3", "phi4"):
        form = PromptFormat(template_tokenizer(name))
        for asked in (
            query([USER], tools=(tool,)),
            query([USER, {**CALLED, "tool_calls": [tool]}, RESULT]),
        ):
            problems = conversation_problems([asked], form)
            assert all(asked.id in str(problem) for problem in problems)
            assert problems or form.query_ids(asked)


@pytest.mark.parametrize("name", ["gemma3", "gemma2", "mistral"])
def test_a_conversation_that_the_template_refuses_is_named(name):
    asked = query([USER, USER], place="rows.jsonl, line 7")
    with pytest.raises(DataError, match=r"line 7(?s:.*)must alternate"):
        PromptFormat(template_tokenizer(name)).query_ids(asked)


def test_thinking_can_be_turned_off_for_all_and_for_one_query():
    tokenizer = template_tokenizer("qwen3")
    off, on = {"enable_thinking": False}, {"enable_thinking": True}
    silent = expected(tokenizer, [USER], enable_thinking=False)
    thinking = expected(tokenizer, [USER])
    assert silent != thinking
    assert PromptFormat(tokenizer, off).query_ids(query([USER])) == silent
    assert PromptFormat(tokenizer).query_ids(query([USER], template_kwargs=off)) == silent
    assert PromptFormat(tokenizer, off).query_ids(query([USER], template_kwargs=on)) == thinking
    whole = expected(tokenizer, [USER, ANSWER], prompt=False)
    for form, asked in (
        (PromptFormat(tokenizer, off), query([USER])),
        (PromptFormat(tokenizer), query([USER], template_kwargs=off)),
    ):
        own = form.query_ids(asked) + form.response_ids(ANSWER["content"], "stop", asked)
        assert whole[: len(own)] == own


def test_an_argument_that_the_template_never_reads_is_refused():
    tokenizer = template_tokenizer("qwen3")
    with pytest.raises(ModelError, match="did you mean 'enable_thinking'"):
        PromptFormat(tokenizer, {"enable_thinkin": False})
    with pytest.raises(ModelError, match="takes none"):
        PromptFormat(template_tokenizer("phi4"), {"enable_thinking": False})
    with pytest.raises(ModelError, match="given to it by the conversation"):
        PromptFormat(tokenizer, {"tools": []})
    asked = query([USER], template_kwargs={"thinking": True}, place="line 3")
    with pytest.raises(DataError, match="line 3"):
        PromptFormat(tokenizer).query_ids(asked)
    other = PromptFormat(template_tokenizer("phi4"), is_policys=False)
    assert other.query_ids(asked) == other.query_ids(query([USER]))


@pytest.mark.parametrize(
    ("name", "text", "finish", "written"),
    [
        ("qwen3", "<think>\nHm.\n</think>\n\nYes.", "stop", "<think>\nHm.\n</think>\n\nYes."),
        ("qwen3", "Yes.", "stop", "<think>\n\n</think>\n\nYes."),
        ("qwen3", "<think>\nHm", "length", "<think>\nHm"),
        ("deepseek_r1", "<think>\nHm.\n</think>\n\nYes.", "stop", "Hm.\n</think>\n\nYes."),
        ("deepseek_r1", "<think>\nHm", "length", "Hm"),
        ("deepseek_r1", "Yes.", "stop", "\n</think>\n\nYes."),
    ],
)
def test_thoughts_are_trained_as_they_were_drawn(name, text, finish, written):
    tokenizer = template_tokenizer(name)
    form = PromptFormat(tokenizer)
    ids = form.response_ids(text, finish)
    ids = ids[:-1] if finish == "stop" else ids
    assert tokenizer.decode(ids).removesuffix("\n") == written
    if text.startswith("<think>"):  # and come back as they were
        assert form.decode(ids) == text


def test_thoughts_in_a_users_text_are_text():
    tokenizer = template_tokenizer("qwen3")
    ids = PromptFormat(tokenizer).query_ids(query([{"role": "user", "content": "<think>a"}]))
    assert tokenizer.convert_tokens_to_ids("<think>") not in ids
    assert "<think>a" in tokenizer.decode(ids)


def test_the_date_is_the_same_until_the_process_ends(monkeypatch):
    import datetime

    from neat_align.prompts.chat import chat_template

    tokenizer = template_tokenizer("llama3")
    ids = PromptFormat(tokenizer).query_ids(query([USER]))
    assert datetime.date.today().strftime("%d %b %Y") in tokenizer.decode(ids)
    monkeypatch.setattr(chat_template, "today", lambda: datetime.date(2024, 7, 26))
    monkeypatch.setattr(chat_template, "date", None)  # nobody asks for the day again
    assert "26 Jul 2024" in PromptFormat(tokenizer).render(query([USER]))
    form = PromptFormat(tokenizer, {"date_string": "1 Jan 2020"})
    assert "1 Jan 2020" in form.render(query([USER]))


def test_a_broken_template_is_named():
    tokenizer = new_tokenizer("phi4")
    tokenizer.chat_template = "{% for m in messages %}\n{{ m.content }"
    with pytest.raises(ModelError, match="line 2"):
        PromptFormat(tokenizer)
    tokenizer.chat_template = "{{ raise_exception('never') }}"
    with pytest.raises(ModelError, match="never"):
        PromptFormat(tokenizer)


def test_named_templates():
    tokenizer = new_tokenizer("qwen2_5")
    whole = tokenizer.chat_template
    tokenizer.chat_template = {"default": template_tokenizer("smollm2").chat_template}
    tokenizer.chat_template["tool_use"] = whole
    form = PromptFormat(tokenizer)
    assert form.query_ids(query([USER])) == expected(tokenizer, [USER])
    with_tool = form.query_ids(query([USER], tools=(TOOL,)))
    assert with_tool == expected(tokenizer, [USER], tools=[TOOL])
    assert "weigh" in tokenizer.decode(with_tool)
    tokenizer.chat_template = {"rag": whole, "tool_use": whole}
    with pytest.raises(ModelError, match="none of them is the default"):
        PromptFormat(tokenizer)


LEADS = {
    "glm4": ("<|{{ m['role'] }}|>\n{{ m['content'] }}", "<|assistant|>", "<|user|>"),
    "vicuna": ("{{ m['role'] }}: {{ m['content'] }} ", "assistant:", ""),
    "chatml": ("<|im_start|>{{ m['role'] }}\n{{ m['content'] }}", "<|im_start|>assistant", ""),
}


@pytest.mark.parametrize("lead", LEADS)
def test_what_stands_between_prompt_and_answer_is_trained_where_nothing_ends_the_last(lead):
    """As in GLM-4, whose answers begin with a line end and are ended by the next turn."""
    turn, waiting, end = LEADS[lead]
    tokenizer = new_tokenizer("phi3")
    tokenizer.chat_template = (
        f"{{% for m in messages %}}{turn}{{% endfor %}}"
        f"{{% if add_generation_prompt %}}{waiting}{{% endif %}}"
    )
    form = PromptFormat(tokenizer)
    for text in ("With a cloth.", "1. A\n2. B"):
        whole = expected(tokenizer, [USER, {"role": "assistant", "content": text}], prompt=False)
        cut = form.query_ids(query([USER])) + form.response_ids(text, "length")
        assert tokenizer.decode(cut) == tokenizer.decode(whole).rstrip()
        ended = form.response_ids(text, "stop")
        assert ended[-1] == tokenizer.convert_tokens_to_ids(end or tokenizer.eos_token)
        assert form.query_ids(query([USER])) + ended[:-1] == cut


def test_a_channel_that_is_not_the_answers_holds_thoughts():
    """As in gpt-oss, whose special tokens alone tell what is said from what is thought."""
    tokenizer = new_tokenizer("phi4")
    marks = ("<|channel|>", "<|message|>")
    tokenizer.add_special_tokens({"additional_special_tokens": [*FORMATS["phi4"].special, *marks]})
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}"
        "{% if m['role'] == 'assistant' %}<|channel|>final{% endif %}"
        "<|message|>{{ m['content'] }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant{% endif %}"
    )
    form = PromptFormat(tokenizer)
    asked = query([USER])

    def said(text):
        return form.decode(tokenizer(text)["input_ids"], asked)

    assert form.decode(form.response_ids("With a cloth.", "stop"), asked) == "With a cloth."
    thought = "<|channel|>analysis<|message|>A lamp?"
    final = "<|im_end|><|im_start|>assistant<|channel|>final<|message|>With a cloth."
    assert split_thinking(said(thought + final))[1] == "With a cloth."
    assert "A lamp?" in split_thinking(said(thought + final))[0]
    assert split_thinking(said(thought))[1] == ""
    assert said("No channel at all.") == "No channel at all."


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("qwen2_5", "No, I"),
        ("qwen3", "<think>\n\n</think>\n\nNo, I"),
        ("deepseek_r1", "\n</think>\n\nNo, I"),  # whose prompt opens thoughts
    ],
)
def test_a_begun_answer_closes_thoughts_that_are_open(name, written):
    tokenizer = template_tokenizer(name)
    form, asked = PromptFormat(tokenizer), query([USER])
    ids = form.prefix_ids("No, I", asked)
    assert tokenizer.decode(ids) == written
    assert form.response_ids("No, I", "stop", asked)[: len(ids)] == ids
