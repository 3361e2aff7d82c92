"""What the tests with a real vLLM train on; without pytest, for vLLM's own environment."""

from neat_align.prompts.steering import Steering
from neat_align.training.config import NEATConfig
from neat_align.types import Query

STEERING = Steering("test", ("Be kind.", "Be good."), ("Be mean.", "Be bad."))
THINGS = ("lamp", "kettle", "cloth", "lamp and kettle", "clean cloth", "own lamp")
QUERIES = [Query.from_text(f"how do I polish the {thing}?") for thing in THINGS]


def length_reward(completions, **kwargs):
    return [float(len(c)) / 10 for c in completions]


def config(output, **settings):
    return NEATConfig(
        output_dir=str(output),
        **{
            "max_steps": 4,
            "per_device_train_batch_size": 2,
            "learning_rate": 1e-2,
            "max_new_tokens": 6,
            "temperature": 0.0,
            "save_strategy": "no",
            "steering_try_queries": 0,
            "use_cpu": True,
            "disable_tqdm": True,
            **settings,
        },
    )
