"""Label log-probs without a float32 copy: values, gradients, and what is refused."""

import pytest
import torch

from neat_align.models import label_logps as module
from neat_align.models.label_logps import label_logps

ROW = torch.tensor([3, 0, 3, 5, 0, 1])  # in any order, some twice, rows 2 and 4 for nothing
LABEL = torch.tensor([1, 0, 6, 2, 0, 4])


def expected(logits):
    return logits.float().log_softmax(-1)[ROW, LABEL]


@pytest.mark.parametrize("chunk", [1, 14, 10**6])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)])
def test_values_and_gradients(monkeypatch, chunk, dtype, tolerance):
    monkeypatch.setitem(module.CHUNK, "cpu", chunk)
    weights = torch.linspace(-1, 2, len(ROW))
    found = []
    for function in (expected, lambda z: label_logps(z * 1, ROW, LABEL)):
        torch.manual_seed(0)
        logits = torch.randn(6, 7).to(dtype).requires_grad_()
        logps = function(logits)
        (logps * weights).sum().backward()
        found.append((logps.detach(), logits.grad.float()))
    assert found[1][0].dtype == torch.float32
    for own, reference in zip(found[1], found[0]):
        torch.testing.assert_close(own, reference, rtol=tolerance, atol=tolerance)


def test_tokens_that_cannot_be_said_do_no_harm():
    logits = torch.randn(6, 7)
    logits[:, 0] = float("-inf")
    logps = label_logps(logits.clone(), ROW, LABEL)
    assert torch.equal(logps.isinf(), LABEL == 0)
    torch.testing.assert_close(logps, expected(logits))


def test_a_second_backward_is_refused():
    logits = torch.randn(6, 7, requires_grad=True) * 1
    loss = label_logps(logits, ROW, LABEL).sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
