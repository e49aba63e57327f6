"""The published dVAE: modules pickled by an old torch, downloaded, read and run."""

from collections.abc import Iterator

import pytest
import torch

from dreamsweep.compute.pool import POOL
from dreamsweep.errors import WeightsError
from dreamsweep.models.dvae import decode, encode_logits, load_dvae
from dreamsweep.weights import digest
from tests.dreamsweep.weights.conftest import Publish
from tests.dreamsweep.weights.tiny_models import DVAE, old_dalle, saved


@pytest.fixture(autouse=True)
def _afresh() -> Iterator[None]:
    POOL.clear()
    yield
    POOL.clear()


def test_it_encodes_and_decodes(publish: Publish) -> None:
    encoder, decoder = old_dalle("encoder"), old_dalle("decoder")
    publish("dall-e", {"encoder.pkl": saved(encoder), "decoder.pkl": saved(decoder)}, known=False)
    dvae = load_dvae("published", "cpu")
    assert dvae.codes == DVAE.codes and dvae.log_frequency is None and dvae.shapes is None
    assert dvae.sha256 == digest("dall-e")
    pictures = torch.rand(1, 3, 32, 48)
    logits = encode_logits(dvae.encoder, pictures)
    assert logits.shape == (1, DVAE.codes, 4, 6) and torch.equal(logits, encode_logits(encoder, pictures))
    drawn = decode(dvae.decoder, logits.softmax(1))
    assert drawn.shape == (1, 3, 32, 48) and drawn.isfinite().all()
    assert not any(parameter.requires_grad for network in (dvae.encoder, dvae.decoder) for parameter in network.parameters())


def test_files_that_do_not_belong_together(publish: Publish) -> None:
    encoder = saved(old_dalle("encoder"))
    publish("dall-e", {"encoder.pkl": encoder, "decoder.pkl": encoder})
    with pytest.raises(WeightsError, match=r"weights 'dall-e': the files in .* are not an encoder and a decoder that belong together"):
        load_dvae("published", "cpu")
