"""Search by embeddings: the nearest pictures of all sweeps, one of each trial."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from dreamsweep.compute.images import square_pixels
from dreamsweep.errors import QueryError, StoreError, UserError
from dreamsweep.guidance.targets import shrink
from dreamsweep.perceptors import load_perceptor
from dreamsweep.report.match_sheet import match_sheet
from dreamsweep.report.query import Session
from dreamsweep.report.search import MATCHES, Matches, embedded_pictures, find, nearest
from dreamsweep.results.manifest import stage_shard
from dreamsweep.results.publishing import gather, publish
from dreamsweep.spec import PerceptorName, Trial
from dreamsweep.store import Store, keys, open_store
from dreamsweep.tables.rows import shard_tables
from dreamsweep.tables.schemas import EMBEDDINGS
from tests.dreamsweep.sample_rows import publish_sample_rows, sample_rows, sample_trial
from tests.dreamsweep.sample_sweep import publish_sample

JUDGE: PerceptorName = "starter-judge"
Vector = Sequence[float]


def publish_embedded(store: Store, sweep: str, vectors: Mapping[Trial, Sequence[tuple[int, str, Vector]]]) -> None:
    """Publishes a sweep of trials of six iterations with these embeddings: iteration, perceptor and vector of each."""
    rows = [sample_rows(store, sweep, "s1", trial) for trial in vectors]
    tables = shard_tables(sweep, [record for record, _ in rows], [scores for _, scores in rows])
    embedded = [
        {"sweep": sweep, "trial_id": trial.id, "iteration": iteration, "perceptor": perceptor, "vector": vector}
        for trial, several in vectors.items()
        for iteration, perceptor, vector in several
    ]
    stage_shard(store, sweep, "s1", {**tables, "embeddings": pa.Table.from_pylist(embedded, schema=EMBEDDINGS)})
    publish(store, gather(store, sweep, {trial.id for trial in vectors}, "0" * 64))


def near(text: str, lean: float, seed: int = 0) -> list[float]:
    """A unit vector whose cosine to a text is `lean`."""
    towards = load_perceptor(JUDGE, "cpu").embed_texts([text])[0].double().numpy()
    aside = np.random.default_rng(seed).normal(size=len(towards))
    aside -= aside @ towards * towards
    vector: list[float] = (lean * towards + np.sqrt(1 - lean**2) * aside / np.linalg.norm(aside)).tolist()
    return vector


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two sweeps with three trials each: hearts of seeds 0 to 2, and pizzas."""
    opened = open_store(str(tmp_path))
    for sweep, prompt, leans in (("hearts", "a red heart", (0.9, 0.5, 0.7)), ("pizzas", "a slice of pizza", (0.1, 0.8, 0.2))):
        trials = [sample_trial(prompt, seed=seed) for seed in range(3)]
        publish_embedded(opened, sweep, {trial: [(6, JUDGE, near("a red heart", lean))] for trial, lean in zip(trials, leans, strict=True)})
    return opened


def seen(matches: Matches) -> list[tuple[str, int, float]]:
    return [(row["sweep"], row["seed"], round(row["similarity"], 4)) for row in matches.table.to_pylist()]


def test_the_nearest_of_all_sweeps_come_first(store: Store) -> None:
    matches = find(store, "a red heart", limit=4)
    assert seen(matches) == [("hearts", 0, 0.9), ("pizzas", 1, 0.8), ("hearts", 2, 0.7), ("hearts", 1, 0.5)]
    assert matches.table.schema == MATCHES
    first = matches.table.to_pylist()[0]
    assert (first["rank"], first["prompt"], first["engine"], first["iteration"]) == (1, "a red heart", "strokes", 6)
    assert first["picture_uri"] == store.uri_of(keys.picture("hearts", first["trial_id"], "best.png"))
    assert (matches.perceptor, matches.pictures, matches.notes) == (JUDGE, 6, ())


def test_a_sweep_alone(store: Store) -> None:
    assert seen(find(store, "a red heart", sweep="pizzas")) == [("pizzas", 1, 0.8), ("pizzas", 2, 0.2), ("pizzas", 0, 0.1)]


def test_it_equals_numpy(store: Store) -> None:
    with Session(store) as session:
        assert embedded_pictures(session) == {JUDGE: 6}
        table = session.table("SELECT trial_id, vector FROM embeddings")
        query = np.random.default_rng(5).normal(size=256)
        hits = nearest(session, query.tolist(), JUDGE, 3).to_pylist()
    vectors = np.array(table["vector"].to_pylist())
    products = vectors @ query / np.linalg.norm(vectors, axis=1)
    order = np.argsort(-products)[:3]
    assert [hit["trial_id"] for hit in hits] == [table["trial_id"][int(at)].as_py() for at in order]
    assert [hit["similarity"] for hit in hits] == pytest.approx(products[order].tolist(), rel=1e-5)


def test_a_trial_stands_there_once_with_its_nearest_picture(tmp_path: Path) -> None:
    """Whatever the number of its pictures, and of the sweeps that hold it."""
    opened = open_store(str(tmp_path))
    many, other = sample_trial(seed=0, iterations=100), sample_trial(seed=1, iterations=100)
    leans = [(at, JUDGE, near("a red heart", 0.9 - at / 1000, at)) for at in range(1, 101)]
    publish_embedded(opened, "first", {many: leans, other: [(100, JUDGE, near("a red heart", 0.1))]})
    publish_embedded(opened, "second", {many: leans[:1]})
    matches = find(opened, "a red heart", limit=2)
    assert seen(matches) == [("first", 0, 0.899), ("first", 1, 0.1)]


@pytest.mark.parametrize(("iteration", "name"), [(6, "best.png"), (4, "000004.png"), (None, None)])
def test_the_picture_is_that_of_the_embedding(iteration: int, name: str | None, tmp_path: Path) -> None:
    opened = open_store(str(tmp_path))
    trial = sample_trial()
    publish_embedded(opened, "hearts", {trial: [(iteration, JUDGE, near("a red heart", 0.5))]})
    (row,) = find(opened, "a red heart").table.to_pylist()
    assert row["picture_uri"] == (name and opened.uri_of(keys.picture("hearts", trial.id, name)))


def test_like_a_picture(store: Store) -> None:
    """Its embedding is the judge's own; with a text as well, the similarity is the mean of both."""
    draw = np.random.default_rng(0)
    picture = Image.fromarray(draw.integers(0, 255, (96, 64, 3), dtype=np.uint8))
    alone, both = find(store, like=picture, limit=6), find(store, "a red heart", picture, limit=6)
    text = find(store, "a red heart", limit=6)
    assert (alone.title, both.title) == ("like a picture", "a red heart and like a picture")
    by_trial = [{row["trial_id"]: row["similarity"] for row in matches.table.to_pylist()} for matches in (alone, text, both)]
    assert len(by_trial[0]) == 6
    for trial, similarity in by_trial[2].items():
        assert similarity == pytest.approx((by_trial[0][trial] + by_trial[1][trial]) / 2, abs=1e-5)


def test_a_picture_of_the_store_is_nearest_to_itself(tmp_path: Path) -> None:
    opened = open_store(str(tmp_path))
    colours = [(220, 30, 30), (30, 160, 60), (20, 60, 220)]
    network, trials = load_perceptor(JUDGE, "cpu"), [sample_trial(seed=seed) for seed in range(3)]
    pictures = [Image.new("RGB", (64, 64), colour) for colour in colours]
    vectors = []
    for picture in pictures:
        pixels = square_pixels(picture)[None]
        vectors.append(network.embed_pictures(shrink(pixels, network.resolution))[0].tolist())
    publish_embedded(opened, "hearts", {trial: [(6, JUDGE, vector)] for trial, vector in zip(trials, vectors, strict=True)})
    for seed, picture in enumerate(pictures):
        assert seen(find(opened, like=picture, limit=1)) == [("hearts", seed, 1.0)]


def test_the_perceptor_of_most_pictures_is_asked(tmp_path: Path) -> None:
    opened = open_store(str(tmp_path))
    trials = [sample_trial(seed=seed) for seed in range(3)]
    lists: list[list[tuple[int, str, Vector]]]
    lists = [[(6, "starter-guide", near("a", 0.5))], [(6, JUDGE, near("a", 0.5))], [(6, JUDGE, near("a", 0.4)), (6, "colours", [1.0])]]
    publish_embedded(opened, "hearts", dict(zip(trials, lists, strict=True)))
    assert (find(opened, "a").perceptor, find(opened, "a").table.num_rows) == (JUDGE, 2)
    assert find(opened, "a", perceptor="starter-guide").table.num_rows == 1
    with pytest.raises(QueryError, match=r"no picture has an embedding of 'ViT-B/32'; there are those of starter-judge \(2 pictures\), st"):
        find(opened, "a", perceptor="ViT-B/32")
    with pytest.raises(QueryError, match="there is no perceptor 'starter-jugde'; did you mean 'starter-judge'"):
        find(opened, "a", perceptor="starter-jugde")


def test_embeddings_that_cannot_be_compared(tmp_path: Path) -> None:
    """Leaves out vectors without a direction, of another size, or without a perceptor."""
    opened = open_store(str(tmp_path))
    zero, short, good, diverged = (sample_trial(seed=seed) for seed in range(4))
    vectors = {zero: [0.0] * 256, short: [1.0], good: near("a", 0.5), diverged: [float("nan")] * 256}
    publish_embedded(opened, "mixed", {trial: [(6, JUDGE, vector)] for trial, vector in vectors.items()})
    assert seen(find(opened, "a")) == [("mixed", 2, 0.5)]
    publish_sample_rows(opened, "other")
    with pytest.raises(QueryError, match="no embedding of 'starter-judge' has 256 numbers"):
        find(opened, "a", sweep="other")
    publish_embedded(opened, "colours", {zero: [(6, "colours", [1.0])]})
    with pytest.raises(QueryError, match=r"no picture has an embedding of a perceptor \(only those of colours, which embed no texts\)"):
        find(opened, "a", sweep="colours")


def test_what_the_perceptor_does_not_read_is_said(store: Store) -> None:
    (note,) = find(store, "a red heart zxqwv").notes
    assert "zxqwv" in note


def test_mistakes_are_one_sentence(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is nothing to search for"):
        find(store, "  ")
    with pytest.raises(UserError, match="limit 0 is out of range"):
        find(store, "a", limit=0)
    with pytest.raises(StoreError, match="did you mean 'hearts'"):
        find(store, "a", sweep="heart")
    with pytest.raises(QueryError, match="has no published sweep to ask"):
        find(open_store(str(tmp_path / "empty")), "a")


def test_the_sheet_shows_the_pictures_in_rows(tmp_path: Path) -> None:
    """Each of the colour that its file has, the first in the upper left corner."""
    opened = open_store(str(tmp_path))
    publish_sample(opened)
    trials = [row["trial_id"] for row in Session(opened).rows("SELECT trial_id FROM trials ORDER BY ALL LIMIT 7")]
    for number, trial in enumerate(trials[:6]):
        Image.new("RGB", (32, 32), (40 * number, 0, 200)).save(tmp_path / keys.picture("made-up", trial, "best.png"))
    (tmp_path / keys.picture("made-up", trials[6], "best.png")).unlink()
    row = {"similarity": 0.5, "sweep": "made-up", "prompt": "a red heart", "engine": "dalle", "seed": 0, "iteration": 60}
    rows = [
        {**row, "rank": at, "trial_id": trial, "picture_uri": opened.uri_of(keys.picture("made-up", trial, "best.png"))}
        for at, trial in enumerate(trials, 1)
    ]
    sheet = match_sheet(opened, Matches(pa.Table.from_pylist(rows, schema=MATCHES), "hearts", JUDGE, 12, ()))
    pixels = np.asarray(sheet)
    places = []
    for number in range(6):
        y, x = np.nonzero((pixels == (40 * number, 0, 200)).all(2))
        assert len(x) > 200 * 200
        places.append((int(y.min()), int(x.min())))
    assert places == sorted(places)
    assert len({y for y, _ in places}) > 1 and sheet.width > sheet.height
