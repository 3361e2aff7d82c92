"""Disks that are full or read-only, and files that are not what was written."""

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from unittest import mock

import pytest
import yaml
from tests.end_to_end.test_killed_runs import result
from tests.end_to_end.test_runs import folder, recipe  # noqa: F401

from neat_align.cli import main


@pytest.fixture
def small_disk(tmp_path):
    """Mount a real file system that can be resized or made read-only."""
    path = tmp_path / "disk"
    path.mkdir()

    def mount(*options):
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", path]
        return subprocess.run(command, capture_output=True, text=True)

    done = mount("size=1500k")
    if done.returncode:
        pytest.skip(f"mounting needs root: {done.stderr.strip()}")
    yield path, lambda *options: mount("remount", *options)
    subprocess.run(["umount", "-l", path], check=True)


@pytest.fixture
def long_recipe(recipe):  # noqa: F811
    content = yaml.safe_load(recipe.read_text())
    content["train"] |= {"max_steps": 4}
    recipe.write_text(yaml.safe_dump(content))
    return recipe


def told_by(*words):
    """Exit code and all that is told: in this process, since nothing is killed here."""
    told = io.StringIO()
    command = mock.patch.object(sys, "argv", ["neat", *map(str, words)])
    with command, redirect_stdout(told), redirect_stderr(told), pytest.raises(SystemExit) as end:
        main()
    return end.value.code or 0, told.getvalue()


def finished(*words):
    code, told = told_by(*words)
    assert code == 0, told
    return told


def refused(*words):
    """Run a command that must be refused; return its three-part error in one line."""
    code, told = told_by(*words)
    assert code == 2, told
    for part in ("error:", "why:", "fix:"):
        assert part in told, told
    return " ".join(told.split())


def test_a_full_disk_loses_no_checkpoint_and_the_run_goes_on(long_recipe, folder, small_disk):  # noqa: F811
    disk, again = small_disk
    finished("run", long_recipe, "-o", folder / "whole")
    told = refused("run", long_recipe, "-o", disk / "run")
    assert "writing" in told
    assert "free some space" in told
    saved = sorted(p.name for p in (disk / "run" / "train").glob("checkpoint-*"))
    assert saved
    assert "damaged" not in finished("doctor", disk / "run")
    again("size=64m")
    finished("run", long_recipe, "-o", disk / "run", "--resume")
    assert result(disk / "run") == result(folder / "whole")


def test_a_disk_that_is_read_only(long_recipe, small_disk):
    disk, again = small_disk
    again("size=64m")
    finished("run", long_recipe, "train.max_steps=1", "-o", disk / "run")
    again("ro")
    for place in ("run", "new"):
        told = refused("run", long_recipe, "train.max_steps=1", "-o", disk / place, "--resume")
        assert "not writable" in told
    assert "damaged" not in finished("doctor", disk / "run")


def test_damaged_files_are_told_and_can_be_made_again(long_recipe, folder):  # noqa: F811
    output = folder / "run"
    words = ("run", long_recipe, "-o", output, "--resume")
    finished(*words)
    expected = result(output)
    weights = output / "policy" / "model.safetensors"
    content = weights.read_bytes()
    for bad, why in (
        (content[:-1] + bytes([content[-1] ^ 1]), "its content has changed"),
        (content[:1000], "1000 bytes, "),
    ):
        weights.write_bytes(bad)
        for told in (refused(*words), refused("doctor", output)):
            assert "policy/model.safetensors" in told
            assert why in told
    for path in (output / "policy").iterdir():
        path.unlink()
    (output / "policy").rmdir()
    assert "train … again: policy is gone" in finished(*words)
    assert result(output) == expected


@pytest.mark.parametrize("name", ["optimizer.pt", "model.safetensors", "trainer_state.json"])
def test_a_damaged_checkpoint_is_not_trained_on(long_recipe, folder, name):  # noqa: F811
    output = folder / "run"
    finished("train", long_recipe, "-o", output)
    expected = (output / "policy" / "model.safetensors").read_bytes()
    last = output / "train" / "checkpoint-4"
    with (last / name).open("r+b") as file:
        file.truncate(100)
    told = refused("train", long_recipe, "-o", output, "--resume")
    assert f"{name}: 100 bytes" in told
    assert name in refused("doctor", output)
    assert (output / "policy" / "model.safetensors").read_bytes() == expected
    for path in last.iterdir():
        path.unlink()
    finished("train", long_recipe, "-o", output, "--resume")
    assert (output / "policy" / "model.safetensors").read_bytes() == expected


def test_metadata_that_is_cut_short(long_recipe, folder):  # noqa: F811
    output = folder / "run"
    finished("run", long_recipe, "-o", output)
    for name in ("run.json", "stages.json", "files.json"):
        content = (output / name).read_text()
        (output / name).write_text(content[: len(content) // 2])
        assert f"{name} why: it is not valid JSON" in refused("doctor", output)
        refused("run", long_recipe, "-o", output, "--resume")
        (output / name).write_text(content)
    assert "done before" in finished("run", long_recipe, "-o", output, "--resume")
