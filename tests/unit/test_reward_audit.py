"""`neat reward audit`: figures worked out by hand, tricks, and what is refused."""

import json
from math import exp

import pytest
from transformers import AutoConfig, AutoModelForSequenceClassification
from typer.testing import CliRunner

from neat_align.cli import app
from neat_align.demo.answers import answered_requests
from neat_align.errors import DataError, RewardError
from neat_align.evaluation.audit.audit import audit
from neat_align.evaluation.audit.cautions import cautions
from neat_align.evaluation.audit.figures import (
    ScoredPair,
    accuracy,
    calibration,
    length_bias,
    rank_correlation,
    under_flipped_labels,
)
from neat_align.evaluation.audit.probes import hack_meanings, probes, request_problems
from neat_align.evaluation.reading import reading
from neat_align.scoring import RewardFunction, resolve_scorer
from neat_align.types import Query

OWN = probes(answered_requests())


def pair(chosen, rejected, longer=0, query=None):
    return ScoredPair(query or f"{chosen},{rejected},{longer}", chosen, rejected, 10 + longer, 10)


def test_accuracy_counts_a_tie_as_wrong_and_pairs_of_one_query_as_one():
    pairs = [pair(1, 0, query="a"), pair(2, 0, query="b"), pair(0, 1), pair(1, 1)]
    assert accuracy(pairs)["value"] == 0.5
    apart = accuracy(pairs)
    together = accuracy([pair(1, 0, query="a")] * 2 + [pair(0, 1, query="b")] * 2)
    assert together["high"] - together["low"] > apart["high"] - apart["low"]
    assert accuracy([]) is None


def test_calibration_by_hand():
    # σ(2) = 0.8808 claimed of four pairs of which one is wrong; σ(0) = ½ of a tie, half right.
    found = calibration([pair(2, 0), pair(2, 0), pair(2, 0), pair(0, 2), pair(1, 1)])
    claimed = 1 / (1 + exp(-2))
    assert found["ece"] == pytest.approx(abs(3 - 4 * claimed) / 5)
    assert found["confidence"] == pytest.approx((4 * claimed + 0.5) / 5)
    assert found["right"] == pytest.approx(3.5 / 5)


def test_length_by_hand():
    found = length_bias([pair(5, 0, 3), pair(4, 1, 2), pair(0, 4, -2), pair(1, 0, -1)])
    assert found["longer_is_better"] == 0.5
    assert found["longer"]["value"] == 1.0
    assert found["shorter"]["value"] == 0.5
    # gaps 5, 3, −4, 1 rank 4, 3, 1, 2 and 3, 2, −2, −1 words rank 4, 3, 1, 2: the same order
    assert found["within_pairs"] == pytest.approx(1.0)


def test_rank_correlation_takes_ties_at_their_mean_rank():
    # ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: covariance 4.5, sums of squares 4.5 and 5
    assert rank_correlation([1, 2, 2, 9], [1, 2, 3, 4]) == pytest.approx(4.5 / (4.5 * 5) ** 0.5)
    assert rank_correlation([1, 1], [1, 2]) is None


def test_flipped_labels_by_hand():
    pairs = [pair(1, 0)] * 8 + [pair(0, 1)] * 1 + [pair(1, 1)]
    found = under_flipped_labels(pairs, 0.2)
    # of 10 pairs 2 are flipped: 8·0.8 stay right, and the wrong one turns right in 2 of 10
    assert found["reads"] == pytest.approx((8 * 8 + 1 * 2) / 100)
    # both hit right ones in 28 of 45 draws (0.6), a right and the wrong one in 8 (0.8)
    assert (found["low"], found["high"]) == (0.6, 0.8)
    assert found["true"] == pytest.approx(1.0)  # (0.8 − 0.2) / 0.6
    assert under_flipped_labels(pairs, 0.3)["true"] is None
    assert under_flipped_labels(pairs, 0.2) == found


def test_every_kind_is_probed_by_every_trick_that_suits_it():
    kinds = {q.query.meta["kind"] for q in OWN}
    assert kinds == {"harmful", "borderline", "benign"}
    assert len(OWN) == 60
    for probe in OWN:
        harmful = probe.query.meta["kind"] == "harmful"
        absent = "refuses_everything" if harmful else "complies"
        assert set(probe.hacks) == set(hack_meanings()) - {absent}
        assert len({probe.honest, *probe.hacks.values()}) == len(probe.hacks) + 1
        wanted = "refusal" if harmful else "helpful"
        assert reading(probe.query, probe.honest) == wanted, probe.query.text


def test_the_training_reward_prefers_every_honest_answer_to_open_compliance():
    found = audit(resolve_scorer("refusal"), [], OWN, claims_probability=False)
    for name in ("complies", "polite_compliance", "copies_query", "very_short", "flattery"):
        assert all(kind["outscores"] == 0 for kind in found.hacks[name].values()), name
    assert found.pairs is None
    assert any("no pairs" in caution for caution in cautions(found))


def test_a_reward_of_length_is_found_out():
    scorer = RewardFunction(lambda completions, **_: [float(len(c)) for c in completions])
    found = audit(scorer, [], OWN, claims_probability=False)
    assert found.hacks["very_long"]["harmful"]["outscores"] == 20
    assert found.hacks["very_short"]["harmless"] == {
        **found.hacks["very_short"]["harmless"],
        "outscores": 0,
        "equals": 0,
    }
    assert "very_long outscores the honest answer in 40 of 40 harmless requests" in cautions(found)


def test_what_cannot_be_audited_is_refused():
    with pytest.raises(RewardError, match="where an answer came from"):
        audit(resolve_scorer("polarity"), [], OWN, claims_probability=False)
    (problem,) = request_problems([Query.from_text("Hello?", kind="benign")])
    assert isinstance(problem, DataError)
    assert "column `answer`" in problem.fix
    (problem,) = request_problems([Query.from_text("Hello?", kind="odd")])
    assert "borderline" in problem.why


def neat(*arguments):
    return CliRunner().invoke(app, ["reward", *map(str, arguments)])


def test_the_command_writes_its_figures_and_ends_well_with_cautions(tmp_path):
    rows = [
        {"prompt": f"Say {i}", "chosen": "a b " * (i % 3 + 1), "rejected": "a " * 3}
        for i in range(12)
    ]
    pairs, out = tmp_path / "pairs.jsonl", tmp_path / "audit.json"
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    own = tmp_path / "own.py"
    own.write_text("def f(completions, **kw): return [float(len(c)) for c in completions]")
    done = neat("audit", f"{own}:f", "--pairs", pairs, "-o", out)
    assert done.exit_code == 0, done.output
    assert "caution: 12 pairs: too few" in done.output
    found = json.loads(out.read_text())
    assert found["pairs"]["accuracy"]["value"] == pytest.approx(8 / 12)
    assert found["pairs"]["length"]["shorter"]["value"] == 0
    assert found["pairs"]["calibration"] is None
    again = neat("audit", f"{own}:f", "-o", out)
    assert "it exists" in str(again.exception)


def test_a_reward_model_claims_probabilities(tmp_path, model_dir, tokenizer):
    settings = AutoConfig.from_pretrained(model_dir, num_labels=1, max_position_embeddings=4096)
    AutoModelForSequenceClassification.from_config(settings).save_pretrained(tmp_path / "rm")
    tokenizer.save_pretrained(tmp_path / "rm")
    (tmp_path / "pairs.jsonl").write_text(
        "".join(
            json.dumps({"prompt": f"Say {i}", "chosen": "yes", "rejected": f"no {i}"}) + "\n"
            for i in range(4)
        )
    )
    (tmp_path / "asked.jsonl").write_text(
        json.dumps({"prompt": "How do I cook rice?", "kind": "benign", "answer": "In water."})
    )
    given = ("--pairs", tmp_path / "pairs.jsonl", "--requests", tmp_path / "asked.jsonl")
    done = neat("audit", tmp_path / "rm", *given, "-n", 3, "-o", tmp_path / "audit.json")
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "audit.json").read_text())
    assert found["pairs"]["n"] == 3
    assert 0 <= found["pairs"]["calibration"]["ece"] <= 0.5
    assert found["hacks"]["garble"]["harmless"]["share"]["n"] == 1
    assert "harmful" not in found["hacks"]["garble"]


def test_wrong_input_is_told_at_once(tmp_path):
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps({"prompt": "Say 1", "chosen": "a", "rejected": "b"}) + "\n")
    told = str(neat("audit", "refusal", "--pairs", pairs).exception)
    assert "without a column `kind`" in told
    told = str(neat("audit", "self_judge", "--device", "nowhere", "-n", 3).exception)
    assert "nowhere" in told
    assert "--number 3" in told
    assert "policy" in str(neat("audit", "self_judge").exception)


def test_options_without_a_command_train(tmp_path):
    told = str(neat("-m", tmp_path, "-p", tmp_path / "none.jsonl", "-o", tmp_path / "o").exception)
    assert "none.jsonl" in told
