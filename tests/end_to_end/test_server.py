"""Sampling through the command line from a real server, `transformers serve`."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from tests.conftest import make_llama
from tests.end_to_end.test_runs import neat

from neat_align.cli import main
from neat_align.data import load_groups

pytestmark = pytest.mark.xdist_group("server")


@pytest.fixture(scope="module")
def served(tmp_path_factory, tokenizer):
    """(url, model name) of a server that these tests started."""
    tmp_path = tmp_path_factory.mktemp("served")
    model = make_llama(tokenizer)
    model.generation_config.do_sample = True  # the server only then heeds the temperature
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    (tmp_path / "hub").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).with_name("transformers"), "serve", tmp_path / "model"]
    with (tmp_path / "log.txt").open("w") as log:
        server = subprocess.Popen(
            [*map(str, command), "--port", str(port), "--device", "cpu"],
            env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "hub")},
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}/v1"
    try:
        _wait_for(f"{url}/models", server, tmp_path / "log.txt")
        yield url, str(tmp_path / "model")
    finally:
        server.terminate()
        server.wait(30)


def _wait_for(url, server, log):
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=60).close()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the server did not come up: {log.read_text()[-2000:]}")


def test_a_real_server_that_cannot_judge_is_told(tmp_path, served, monkeypatch, capsys):
    """The protocol works; a random model gives no grade, which is an error and no number."""
    url, model = served
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    groups = {
        "query": {"messages": [{"role": "user", "content": "q"}]},
        "responses": [{"text": "a", "source": "plain"}],
    }
    (tmp_path / "groups.jsonl").write_text(json.dumps(groups) + "\n")
    (tmp_path / "judge.yaml").write_text(f"url: {url}\nmodel: {model}\nmax_tokens: 8\n")
    words = ["neat", "score", "groups.jsonl", "-r", "judge=judge.yaml", "-o", "scored.jsonl"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "3 answers held no grade from 1 to 10" in capsys.readouterr().err
    assert not list((tmp_path / "cache").rglob("*.jsonl"))  # nonsense is not kept
    assert not (tmp_path / "scored.jsonl").exists()


def test_groups_from_a_real_server_which_ignores_n(tmp_path, served, monkeypatch):
    url, model = served
    monkeypatch.chdir(tmp_path)
    rows = [{"prompt": f"how do I clean lamp {i}?"} for i in range(4)]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    command = (
        "sample", "-m", model, "--server", url, "-q", "q.jsonl", "-o", "groups", "-s", "harmless",
        "--positive", 1, "--negative", 1, "--plain", 2, "--max-new-tokens", 6,
    )  # fmt: skip
    neat(*command)
    groups = load_groups(tmp_path / "groups")
    assert {g.query.text for g in groups} == {row["prompt"] for row in rows}
    for group in groups:
        assert [str(r.source) for r in group.responses] == ["positive", "negative"] + ["plain"] * 2
        # It refuses what it does not know, which is then not asked for, and recorded.
        sampler = f"{model} (without min_p, repetition_penalty, top_k)"
        assert {r.sampler for r in group.responses} == {sampler}
    assert len({r.text for g in groups for r in g.responses}) > 8
    neat("score", "groups", "-r", "polarity", "-o", "scored")
    assert all(g.is_scored for g in load_groups(tmp_path / "scored"))
    # The journal answers for what is asked again, without the server.
    journal = next((tmp_path / "groups").glob(".journal-*.jsonl"))
    assert len(journal.read_text().split("\n")) - 1 == 16
    before = {path.name: path.read_bytes() for path in (tmp_path / "groups").glob("*.parquet")}
    for name in before:
        (tmp_path / "groups" / name).unlink()
    neat(*command)
    assert {p.name: p.read_bytes() for p in (tmp_path / "groups").glob("*.parquet")} == before
    assert journal.read_text().count("\n") == 16
