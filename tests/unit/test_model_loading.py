"""Models from directories: what is run, and what is refused."""

import json
import pickle
import shutil

import pytest
from tests.conftest import make_llama

from neat_align.errors import ModelError
from neat_align.models import load_causal_lm, load_tokenizer
from neat_align.models.load import TRUSTED
from neat_align.scoring.reward_model import RewardModelScorer

CODE = """
from pathlib import Path
from transformers import LlamaConfig, LlamaForCausalLM

Path({mark!r}).touch()

class OwnConfig(LlamaConfig):
    model_type = "own"

class OwnForCausalLM(LlamaForCausalLM):
    config_class = OwnConfig
"""


@pytest.fixture
def with_code(tmp_path, tokenizer, monkeypatch):
    """Make a model directory with code of its own, which leaves a mark when it is run."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "m"))
    monkeypatch.syspath_prepend(str(tmp_path / "m"))
    path = tmp_path / "model"
    make_llama(tokenizer).save_pretrained(path)
    tokenizer.save_pretrained(path)
    (path / "own.py").write_text(CODE.format(mark=str(tmp_path / "was_run")))
    config = json.loads((path / "config.json").read_text())
    classes = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnForCausalLM"}
    config |= {"model_type": "own", "architectures": ["OwnForCausalLM"], "auto_map": classes}
    (path / "config.json").write_text(json.dumps(config))
    return path


@pytest.mark.parametrize("named", ["", "another/model"])
@pytest.mark.parametrize("load", [load_causal_lm, RewardModelScorer.from_pretrained])
def test_code_of_a_model_is_not_run(with_code, monkeypatch, named, load):
    monkeypatch.setenv(TRUSTED, named)
    with pytest.raises(ModelError, match=TRUSTED):
        load(with_code)
    assert not (with_code.parent / "was_run").exists()


def test_code_of_a_model_that_was_named_is_run(with_code, monkeypatch):
    monkeypatch.setenv(TRUSTED, f"another/model,{with_code}")
    model = load_causal_lm(with_code)
    assert type(model).__name__ == "OwnForCausalLM"
    assert (with_code.parent / "was_run").exists()


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('it was run')",)


def test_pickled_weights_are_not_read(model_dir):
    (model_dir / "model.safetensors").unlink()
    (model_dir / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ModelError, match="safetensors"):
        load_causal_lm(model_dir)


@pytest.mark.parametrize("load", [load_causal_lm, RewardModelScorer.from_pretrained])
def test_a_config_that_is_broken(model_dir, load):
    (model_dir / "config.json").write_text("{")
    with pytest.raises(ModelError, match="config"):
        load(model_dir)


def test_a_tokenizer_that_is_not_there(model_dir, tmp_path):
    for path in model_dir.glob("tokenizer*"):
        path.unlink()
    shutil.copytree(model_dir, tmp_path / "bare")
    with pytest.raises(ModelError, match="tokenizer"):
        load_tokenizer(tmp_path / "bare")
