"""What works with TRL works here."""

import pytest

from neat_align.scoring import RewardFunction
from neat_align.types import Group, Message, Query, Response, Source


def trl_style_reward(
    prompts, completions, completion_ids, label, trainer_state, log_extra, log_metric, **kwargs
):
    """Written for TRL: the columns of the data set arrive by name, one entry a completion."""
    assert len(prompts) == len(completions) == len(completion_ids) == len(label)
    log_metric("seen", float(len(prompts)))
    log_extra("label", label)
    if isinstance(completions[0], str):
        return [float(wanted in text) for wanted, text in zip(label, completions)]
    return [float(wanted in m[0]["content"]) for wanted, m in zip(label, completions)]


@pytest.mark.parametrize("conversational", [True, False])
def test_a_reward_function_written_for_trl_works_unchanged(conversational):
    groups = [
        Group(
            Query((Message("user", f"q{i}"),), {"label": f"a{i}"}, conversational),
            (Response(f"a{i}", Source.PLAIN), Response("other", Source.PLAIN)),
        )
        for i in range(3)
    ]
    reward = RewardFunction(trl_style_reward)
    assert reward.score(groups) == [[1.0, 0.0]] * 3
    assert reward.notes.take_metrics() == {"seen": 6.0}
    assert reward.notes.take_extras() == {"label": ["a0", "a0", "a1", "a1", "a2", "a2"]}


# TRL and what it imports warn about themselves.
@pytest.mark.filterwarnings("ignore")
def test_a_reward_function_of_trl_itself_is_a_scorer():
    from trl.rewards import think_format_reward

    answers = ("<think>\nhm\n</think>\nfour", "four")
    responses = tuple(Response(text, Source.PLAIN) for text in answers)
    group = Group(Query((Message("user", "2 + 2?"),)), responses)
    assert RewardFunction(think_format_reward).score([group]) == [[1.0, 0.0]]
