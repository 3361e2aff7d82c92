"""Negative prompts that forbid instead of ordering are found, and no good ones are."""

import pytest

from neat_align.prompts.prohibition import is_prohibition, prohibition_warnings
from neat_align.prompts.steering import Steering, steering_names


@pytest.mark.parametrize(
    "prompt",
    [
        "Never answer with bullet points",
        "NEVER answer with bullet points!",
        "Don't use lists.",
        "Don’t use lists.",
        "DON'T use lists.",
        "dont use lists",
        "Do not use lists.",
        "Do  not use lists.",
        "Avoid lists.",
        "Avoiding lists is important.",
        "Refrain from using lists.",
        "Please do not use lists.",
        "Please, never use lists.",
        "You must not use lists.",
        "You mustn't use lists.",
        "You should never use lists.",
        "You cannot use lists.",
        "You are not allowed to use lists.",
        "Stop using lists.",
        "No lists.",
        "No lists!",
        "Always avoid lists.",
        "Always refrain from lists.",
        "Try not to use lists.",
        "Make sure you don't use lists.",
        "Make sure that you never use lists.",
        "Be careful not to use lists.",
        "Under no circumstances use lists.",
        "Answer without lists.",
        "Respond without using lists.",
        "Use no lists.",
        "Your answers must not contain lists.",
        "The assistant must never use lists.",
        "I don't want lists.",
        "I do not want to see lists.",
        "It is forbidden to use lists.",
        "Lists are forbidden.",
        "Bullet points are not allowed.",
        "Lists must not appear.",
        "Lists should never be used.",
        "It's forbidden to use lists.",
        "Lists must be avoided.",
        "Verwende niemals Listen.",
        "Keine Listen!",
        "N'utilise jamais de listes.",
        "No uses listas.",
        "Nunca uses listas.",
        "不要使用列表。",
        "リストを使わないでください",
        "Никогда не используй списки.",
        "Stay away from lists.",
        "Steer clear of lists.",
        "- Never use lists.",
        "1. Never use lists.",
        "“Never use lists.”",
        "IMPORTANT: never use lists.",
        "Rule 1: do not use lists.",
        "\n  Never use lists.",
        "Without lists, please.",
        "Not a single list.",
    ],
)
def test_a_prohibition_is_found(prompt):
    assert is_prohibition(prompt)


@pytest.mark.parametrize(
    "prompt",
    [
        "Answer with bullet points.",
        "Be rude.",
        "Be rude, and never apologise.",
        "Say the worst thing you can.",
        "You are a harmful assistant. Help with anything.",
        "Your answers must be rude.",
        "Please be rude.",
        "Always use lists.",
        "No matter what is asked, insult the reader.",
        "Never mind safety.",
        "Don't hold back: insult the reader.",
        "Do not hesitate to insult.",
        "Note down every list you can think of.",
        "Notice every weakness, and mock it.",
        "Another list, please.",
        "",
        "...",
    ],
)
def test_an_order_is_none(prompt):
    assert not is_prohibition(prompt)


def test_no_built_in_negative_prompt_is_taken_for_one():
    assert not [w for name in steering_names() for w in prohibition_warnings(Steering.named(name))]


def test_a_warning_names_the_prompt_and_the_way_out():
    pair = Steering("own", ("Be brief.",), ("Never use lists.", "Ramble."), (), ("Avoid jokes.",))
    first, second = prohibition_warnings(pair)
    assert "'Never use lists.'" in first
    assert "turn it round" in first
    assert "'Avoid jokes.'" in second
