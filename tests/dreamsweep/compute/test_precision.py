"""Networks compute in what was chosen, for as long as it was, and nothing else does."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from dreamsweep.compute.precision import autocast_where_fast, computing_in, fast_precision, iterate_with_precision, of_network
from dreamsweep.perceptors import load_perceptor


@pytest.fixture
def network() -> nn.Linear:
    return nn.Linear(8, 8).requires_grad_(False)


def called(network: nn.Linear) -> Tensor:
    with of_network("cpu"):
        output: Tensor = network(torch.ones(1, 8))
    return output


def test_a_network_computes_in_what_was_chosen_until_it_is_over(network: nn.Linear) -> None:
    assert called(network).dtype == torch.float32
    with computing_in("bfloat16"):
        assert called(network).dtype == torch.bfloat16
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32  # what is no network's stays as it is
        with computing_in("default"):
            assert called(network).dtype == torch.float32
    with pytest.raises(ZeroDivisionError), computing_in("bfloat16"):
        raise ZeroDivisionError
    assert called(network).dtype == torch.float32


def test_only_the_iterator_s_own_work_is_affected(network: nn.Linear) -> None:
    def work() -> Iterator[torch.dtype]:
        for _ in range(2):
            yield called(network).dtype

    for within in iterate_with_precision("bfloat16", work()):
        assert within == torch.bfloat16 and called(network).dtype == torch.float32
    assert len(list(iterate_with_precision("default", iter([1, 2, 3])))) == 3


@pytest.mark.usefixtures("tiny_weights")
def test_embeddings_in_bfloat16_are_nearly_those_in_float32() -> None:
    guide = load_perceptor("starter-guide", "cpu")
    pictures = torch.rand(2, 3, guide.resolution, guide.resolution, generator=torch.Generator().manual_seed(0)).requires_grad_()
    exact = guide.embed_pictures(pictures)
    with computing_in("bfloat16"):
        nearly = guide.embed_pictures(pictures)
        (gradient,) = torch.autograd.grad(nearly[:, 0].sum(), pictures)
    assert nearly.dtype == torch.float32 and gradient.dtype == torch.float32
    assert 0 < float((exact - nearly).detach().abs().max()) < 0.05


@pytest.mark.parametrize("is_known", [False, True])
def test_training_casts_only_where_the_processor_computes_in_it(
    network: nn.Linear, monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: is_known)
    assert fast_precision("cpu") == ("bfloat16" if is_known else "default") and fast_precision("cuda") == "bfloat16"
    with autocast_where_fast("cpu"):
        assert network(torch.ones(1, 8)).dtype == (torch.bfloat16 if is_known else torch.float32)
