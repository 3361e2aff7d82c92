"""Run directories: ownership, finished stages, atomic writes."""

import os

import pytest

from neat_align.errors import OutputError
from neat_align.storage.atomic import (
    atomic_directory,
    atomic_write_bytes,
    atomic_write_json,
    atomic_write_text,
    read_json,
)
from neat_align.storage.runs import RunDirectory, versions

RECIPE = {"seed": 1, "train": {"learning_rate": 1e-6, "names": ["a"]}, "reward": None}


@pytest.fixture
def full_disk(monkeypatch):
    def fsync(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)


def test_writes_make_their_folders_and_leave_nothing_else(tmp_path):
    path = tmp_path / "a" / "b.txt"
    atomic_write_text(path, "é\n")
    atomic_write_text(path, "ü\r\n")
    assert path.read_bytes() == "ü\r\n".encode()
    assert list(path.parent.iterdir()) == [path]


def test_a_written_file_has_the_usual_permissions(tmp_path):
    usual = tmp_path / "usual"
    usual.write_text("")
    atomic_write_text(tmp_path / "ours", "")
    with atomic_directory(tmp_path / "folder") as folder:
        (folder / "x").touch()
    assert (tmp_path / "ours").stat().st_mode == usual.stat().st_mode
    made = tmp_path / "made"
    made.mkdir()
    assert (tmp_path / "folder").stat().st_mode == made.stat().st_mode


def test_a_failed_write_keeps_the_old_file(tmp_path, full_disk):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(OutputError, match="No space left"):
        atomic_write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "told",
    [
        "[enforce fail at inline_container.cc:672] . unexpected pos 250816 vs 250704",
        "basic_ios::clear: iostream error",
        "PytorchStreamWriter failed writing file data/0: file write failed",
    ],
)
def test_torch_has_words_of_its_own_for_a_full_disk(tmp_path, told):
    with pytest.raises(OutputError, match="free some space"), atomic_directory(tmp_path / "x"):
        raise RuntimeError(told)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="writing"):
        atomic_write_text(tmp_path / "file" / "x", "")
    with pytest.raises(OutputError, match="writing"), atomic_directory(tmp_path / "file" / "x"):
        pytest.fail("the block must not run")


def test_json_without_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        atomic_write_json(tmp_path / "x.json", {"loss": float("nan")})
    atomic_write_json(tmp_path / "x.json", {"loss": 0.5})
    assert read_json(tmp_path / "x.json") == {"loss": 0.5}


def test_json_that_is_cut_or_missing(tmp_path):
    (tmp_path / "cut.json").write_text('{"a": ')
    with pytest.raises(OutputError, match="not valid JSON"):
        read_json(tmp_path / "cut.json")
    with pytest.raises(OutputError, match="no such file"):
        read_json(tmp_path / "none.json")


def test_a_directory_takes_its_name_when_it_is_complete(tmp_path):
    path = tmp_path / "model"
    for content in ("first", "second"):
        with atomic_directory(path) as folder:
            (folder / content).touch()
            assert not (path / content).exists()
        assert [p.name for p in path.iterdir()] == [content]
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_within_keeps_the_old_directory(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(OSError, match="nowhere"), atomic_directory(path) as folder:
        (folder / "nowhere" / "new").touch()
    assert [p.name for p in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_run_is_described(tmp_path):
    run = RunDirectory.open(tmp_path / "runs" / "a", RECIPE, resume=False)
    manifest = run.manifest()
    assert manifest["recipe"] == RECIPE
    assert set(manifest) == {"schema", "created", "recipe", "sources", "versions"}
    assert "python" in versions()
    assert manifest["versions"] == versions()


def test_stages_are_remembered(tmp_path):
    run = RunDirectory.open(tmp_path, RECIPE, resume=False)
    assert not run.is_done("train")
    run.mark_done("train", {"steps": 3})
    run.mark_done("evaluate")
    again = RunDirectory.open(tmp_path, RECIPE, resume=True)
    assert again.is_done("train")
    assert not again.is_done("report")
    assert again.stages() == {"train": {"steps": 3}, "evaluate": {}}
    assert again.path("policy", "x") == tmp_path / "policy" / "x"


def test_resuming_what_has_not_begun_begins(tmp_path):
    assert RunDirectory.open(tmp_path / "new", RECIPE, resume=True).manifest()["recipe"] == RECIPE


def test_resuming_keeps_the_manifest(tmp_path):
    before = RunDirectory.open(tmp_path, RECIPE, resume=False).path("run.json").read_bytes()
    recipe = {**RECIPE, "train": {"learning_rate": 1e-6, "names": ("a",)}}  # as JSON, the same
    assert RunDirectory.open(tmp_path, recipe, resume=True).path("run.json").read_bytes() == before


def test_the_same_run_again_must_be_asked_for(tmp_path):
    RunDirectory.open(tmp_path, RECIPE, resume=False)
    with pytest.raises(OutputError, match="add --resume"):
        RunDirectory.open(tmp_path, RECIPE, resume=False)


@pytest.mark.parametrize("resume", [True, False])
def test_another_run_is_refused_and_what_differs_is_named(tmp_path, resume):
    RunDirectory.open(tmp_path, RECIPE, resume=False)
    other = {"seed": 1, "train": {"learning_rate": 5e-7, "names": ["a"]}, "extra": None}
    with pytest.raises(OutputError, match="another run") as caught:
        RunDirectory.open(tmp_path, other, resume=resume)
    assert "train.learning_rate (1e-06 there, 5e-07 now)" in caught.value.why
    assert "extra (absent there, None now)" in caught.value.why
    assert "seed" not in caught.value.why


def test_foreign_files_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(OutputError, match="not a run's"):
        RunDirectory.open(tmp_path, RECIPE, resume=True)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_hidden_leftovers_are_not_foreign(tmp_path):
    (tmp_path / ".run.json-new-1").touch()
    assert RunDirectory.open(tmp_path, RECIPE, resume=False).manifest()


@pytest.mark.parametrize("content", ["[]", "{}", '{"recipe": {}, "schema": 99}'])
def test_a_manifest_of_something_else(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(OutputError, match="not a run's manifest"):
        RunDirectory.open(tmp_path, RECIPE, resume=True)


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="it is a file"):
        RunDirectory(tmp_path / "file").check(RECIPE, resume=False)
    with pytest.raises(OutputError, match="file is a file"):
        RunDirectory(tmp_path / "file" / "run").check(RECIPE, resume=False)


def test_a_directory_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OutputError, match="not writable"):
        RunDirectory(tmp_path / "run").check(RECIPE, resume=False)


def test_checking_writes_nothing(tmp_path):
    RunDirectory(tmp_path / "a" / "b").check(RECIPE, resume=False)
    assert not list(tmp_path.iterdir())
