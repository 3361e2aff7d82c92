"""The same numbers as TRL's own code, where TRL has the method; and its reward signature."""

import pytest
import torch

from neat_align.objectives import DPO
from neat_align.objectives.contract import example_batch
from neat_align.scoring import RewardFunction
from neat_align.types import Group, Message, Query, Response, Source

# TRL and its dependencies warn about themselves on import.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("beta", [0.05, 0.1, 0.5])
def test_dpo_equals_the_sigmoid_loss_of_trl(beta):
    import inspect

    from trl import DPOTrainer

    source = inspect.getsource(DPOTrainer)
    assert "logsigmoid(self.beta * delta" in source.replace("\n", " ") or "logsigmoid" in source
    batch = example_batch(0, groups=6, responses=2)
    d = batch.policy - batch.reference
    best, worst = batch.score.argmax(1, keepdim=True), batch.score.argmin(1, keepdim=True)
    delta = (d.gather(1, best) - d.gather(1, worst)).squeeze(1)
    expected = -torch.nn.functional.logsigmoid(beta * delta).mean()
    torch.testing.assert_close(DPO(beta=beta)(batch).total, expected)


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
    assert reward.metrics == {"seen": 6.0}
