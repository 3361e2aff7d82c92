"""Self-Contrast: the samples least like the answer from the data are the bad ones."""

import numpy as np
import pytest

from neat_align.errors import RewardError
from neat_align.scoring import resolve_scorer
from neat_align.scoring.named.self_contrast import SelfContrast, embed_words
from neat_align.types import Group, Query, Response, Source


def group(answer, *samples):
    responses = [Response(text, Source.PLAIN) for text in samples]
    if answer:
        responses.insert(1, Response(answer, Source.DATA))
    return Group(Query.from_text("q"), tuple(responses))


def test_the_least_similar_share_is_bad_and_the_rest_is_spared():
    found = SelfContrast(share=0.5).score(
        [group("use a cloth", "use a cloth", "go away", "use a mop", "no no no")]
    )[0]
    same, chosen, rude, close, no = found
    assert chosen == 1.0
    assert same == close == 0.0
    assert rude == no == -1.0


def test_the_embedder_is_a_parameter(tmp_path):
    def by_length(texts):
        return np.array([[len(t), 1.0] for t in texts])

    scores = SelfContrast(by_length, share=1.0).score([group("aaa", "bbb", "b" * 90)])[0]
    assert scores[0] == pytest.approx(0.0)
    assert scores[2] < scores[0]
    (tmp_path / "own.py").write_text("def embed(texts):\n    return [[1.0] for _ in texts]\n")
    named = resolve_scorer(f"self_contrast={tmp_path / 'own.py'}:embed")
    assert named.embed(["a", "b"]) == [[1.0], [1.0]]


def test_a_model_embeds_by_its_hidden_states(model_dir):
    scorer = resolve_scorer(f"self_contrast={model_dir}")
    vectors = scorer.embed(["lamp", "kettle", "lamp"])
    assert vectors.shape == (3, 32)
    assert np.allclose(vectors[0], vectors[2])
    assert not np.allclose(vectors[0], vectors[1])


def test_a_group_without_the_datas_answer_is_refused():
    with pytest.raises(RewardError, match="add_data_responses"):
        SelfContrast().score([group(None, "a", "b")])
    with pytest.raises(RewardError, match="share 0"):
        SelfContrast(share=0)


def test_words_and_pairs_are_counted():
    first, second, other = embed_words(["a b", "a b", "b a"])
    assert (first == second).all()
    assert (first != other).any()
