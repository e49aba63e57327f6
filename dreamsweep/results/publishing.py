"""Publishing: from staged shards to the manifest that readers see.

    publish_staged   while a sweep runs: the manifest names the staged tables themselves; nothing is copied
    publish_whole    at the end: rows are gathered into one file a table, then the manifest names those
    check_name       before a run: what else is published under the sweep's name, and what becomes of it

The manifest is replaced in one write, after the files that it names are complete; files that it replaces are removed afterwards. So a
reader sees one whole state, whatever dies meanwhile.
"""

import hashlib
import json
import random
import tempfile
import time
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import pyarrow as pa

from dreamsweep import __version__
from dreamsweep.errors import StoreError
from dreamsweep.results.manifest import FORMAT, Manifest, Tables, manifest_json, read_manifest, rows_of_format_1
from dreamsweep.results.sources import Seen, Source, Taken, choose_from_parts, choose_from_shards, gathered_parts, staged_shards
from dreamsweep.store import Store, keys
from dreamsweep.tables.contents import JSON, Content, Contents, content_of_file, write_part_record
from dreamsweep.tables.parquet import PARQUET, Part, ahead, concatenate, is_whole, read_parquet
from dreamsweep.tables.registry import GENERATED, Table
from dreamsweep.text import counted

EXTEND_ROWS, EXTEND_SHARE = 1_000_000, 0.25
"""A gather adds a further file where this many score rows are gathered already and the new ones are at most this share of them."""
MOST_FILES = 8
"""Files of a table, before a gather merges them all."""
REFUSALS = 8
"""Refusals in a row of a manifest, while the published one stays the same, after which publishing gives up."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
"""Seconds of the pauses between such refusals, at most: the first, doubled each time, and the longest. They come to 5 s at most."""
Choice = Literal["refuse", "add", "replace"]


def check_name(store: Store, sweep: str, wanted: Collection[str], choice: Choice = "refuse") -> Collection[str]:
    """Returns the ids of the trials to publish under this name; "add" includes those that are published already.

    Raises StoreError with "refuse" where trials are published that `wanted` would drop.
    """
    manifest = read_manifest(store, sweep) if choice != "replace" else None
    try:
        published = published_trials(store, manifest) if manifest else frozenset()
    except StoreError:  # damaged: nothing of it can be kept, and the run makes it again
        return wanted
    dropped = published - set(wanted)
    if not dropped:
        return wanted
    if choice == "add":
        return [*wanted, *sorted(dropped)]
    verb = "is" if len(dropped) == 1 else "are"
    raise StoreError(
        f"sweep {sweep!r}: {counted(len(dropped), 'trial')} of another sweep file {verb} published under this name in {store.uri}; "
        "run it with --add to keep them beside the new ones, with --replace to publish the new ones alone, or give the sweep another name."
    )


def published_trials(store: Store, manifest: Manifest) -> frozenset[str]:
    """Reads the ids of a sweep's published trials. Raises StoreError if a table is missing or damaged."""

    def read(key: str) -> list[str]:
        try:
            ids: list[str] = read_parquet(store.read(key), ["trial_id"])["trial_id"].to_pylist()
        except pa.ArrowInvalid:
            raise StoreError(f"store {store.uri!r}: {key!r} cannot be read; run the sweep again to write it anew.") from None
        return ids

    return frozenset(trial for ids in ahead(read, manifest.tables.get("trials", ())) for trial in ids)


def publish_staged(store: Store, sweep: str, wanted: Collection[str], spec_sha256: str, seen: Seen | None = None) -> Manifest | None:
    """Publishes what is staged by now; None where that is nothing.

    The manifest names the staged tables, and gathered ones that it named before. Only rows of a shard that is wanted in part, or of
    an older format, are written anew. `seen` carries what one publish has read to the next. Raises StoreError when the store refuses
    the manifest again and again though nobody else writes it.
    """
    known, is_wanted = Seen() if seen is None else seen, frozenset(wanted).__contains__
    for version in _versions_to_replace(store, keys.manifest(sweep)):
        before = read_manifest(store, sweep)
        taken = choose_from_parts(is_wanted, staged_shards(store, sweep, known), gathered_parts(store, before, known))
        if not taken:
            return None
        manifest = _described(sweep, spec_sha256, taken)
        manifest = manifest.model_copy(update={"tables": _named_or_copied(store, manifest, taken, before)})
        if before == manifest:
            return manifest
        _refuse_without_tables(store, manifest)
        if store.replace(keys.manifest(sweep), manifest_json(manifest), version, JSON):
            _remove(store, manifest, before.files if before else ())
            return manifest
    raise AssertionError("an attempt returns or raises")


def publish_whole(store: Store, sweep: str, wanted: Collection[str], spec_sha256: str) -> Manifest:
    """Gathers the wanted trials into few files and publishes them. Raises StoreError as `gather` and `publish` do."""
    manifest = gather(store, sweep, frozenset(wanted), spec_sha256)
    publish(store, manifest)
    return manifest


def gather(
    store: Store, sweep: str, wanted: Container[str] | Callable[[str], bool], spec_sha256: str, draft: Manifest | None = None
) -> Manifest:
    """Streams the rows of the wanted trials into files of a new generation; publishes nothing.

    Rows come in the order of shard ids, each trial once; after them those of trials that are published and no longer staged. Memory
    holds a row group, however many rows there are, and some 300 bytes a trial. What is published already is not written again; where
    that is much and the new is little, the new goes into a further file. Where nothing is new,
    the published files are read, and damaged ones are written again from the staged rows. Raises StoreError when nothing that is wanted
    is staged or published, or a table is not what its shard's manifest says. `draft` stands for a published manifest that is lost.
    """
    is_wanted = wanted if callable(wanted) else wanted.__contains__
    before = draft or read_manifest(store, sweep)
    parts = gathered_parts(store, before, Seen())
    shards: Iterable[Source] = staged_shards(store, sweep, None)
    if parts:  # then they are looked at twice
        shards = list(shards)
    taken = choose_from_shards(is_wanted, shards, parts)
    if not taken:
        raise StoreError(f"store {store.uri!r} holds nothing of sweep {sweep!r} to gather: none of its shards is done; run it first.")
    manifest = _described(sweep, spec_sha256, taken)
    mixed = choose_from_parts(is_wanted, shards, parts) if parts else []
    kept = [selection.source for selection in mixed if selection.is_usable and selection.source.gathered]
    new = [selection for selection in mixed if not (selection.is_usable and selection.source.gathered)]
    if before and not draft and not new and _is_gathered(before, manifest) and _tables_are_there(store, before):
        readable = len(parts) == len(before.tables.get("trials", ()))
        if readable and not _can_be_written_again(store, parts, {trial for shard in shards for trial in shard.trials}):
            return before
        new, kept = taken, []
    folder, tables = manifest.generation, Tables()
    is_large = bool(new) and _score_rows(kept) >= EXTEND_ROWS and len(kept) == len(parts) < MOST_FILES
    if is_large and manifest.scores - _score_rows(kept) <= EXTEND_SHARE * _score_rows(kept):
        folder, tables, taken = _part_name(new), _files(kept), new
    elif draft or (before and keys.table(sweep, folder, "trials") in before.files):
        folder = _part_name(taken)  # the same pictures with other rows: what is published stays as it is until the manifest is replaced
    _gather_part(store, taken, sweep, folder)
    for name in GENERATED:
        tables[name] = (*tables.get(name, ()), keys.table(sweep, folder, name))
    return manifest.model_copy(update={"tables": tables})


def publish(store: Store, manifest: Manifest) -> None:
    """Makes a gathered generation the sweep's own, in one write; then removes the tables that it replaces.

    Two runs of one sweep may publish at the same time. The second one looks at its tables again before it writes, as the first may
    have removed them, and the first stops removing as soon as the manifest is no longer its own; where all of that was still too late,
    the error says so, and running the sweep again repairs it. Raises StoreError when the generation's tables are missing, and when the
    store refuses the manifest again and again though nobody else writes it; before it has written, nothing is changed.
    """
    key = keys.manifest(manifest.sweep)
    for version in _versions_to_replace(store, key):
        _refuse_without_tables(store, manifest)
        if _is_published(store, manifest) or store.replace(key, manifest_json(manifest), version, JSON):
            break
    _remove(store, manifest, store.keys(keys.tables(manifest.sweep)))
    _refuse_without_tables(store, manifest)


def _versions_to_replace(store: Store, key: str) -> Iterator[str | None]:
    """Yields the version of a manifest that is to be replaced, and the next one after each refusal, for as long as it is asked for one.

    A refusal after which the manifest is another one is another run's success, and costs nothing. Raises StoreError after so many
    refusals while it stayed the same. Contents are compared, as a server may name another version each time.
    """
    refusals, content = 0, None
    while True:
        yield store.version(key)
        refused_at = store.get(key)
        refusals = refusals + 1 if refusals and refused_at == content else 1
        if refusals == REFUSALS:
            break
        content = refused_at
        time.sleep(random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (refusals - 1))))
    raise StoreError(
        f"store {store.uri!r}: {key!r} was refused {REFUSALS} times in a row as if another run had replaced it, but it stayed the same, so "
        "the server's conditional writes (If-Match) do not work. What was generated stays in the store. Check the server with "
        "'dreamsweep doctor --store URI', then run the sweep again, if need be on another server."
    )


def _described(sweep: str, spec_sha256: str, taken: Sequence[Taken]) -> Manifest:
    """Builds the manifest of these trials; it names no files yet."""
    facts = sorted((trial, fact) for selection in taken for trial, fact in selection.facts)
    digest = hashlib.sha256()
    for trial, fact in facts:
        digest.update(f"{trial}:{fact.picture.hex()}\n".encode())
    statuses = [fact.status for _, fact in facts]
    draft = Manifest(
        sweep=sweep,
        dreamsweep=__version__,
        spec_sha256=spec_sha256,
        trials=len(facts),
        done=statuses.count("done"),
        diverged=statuses.count("diverged"),
        failed=statuses.count("failed"),
        scores=sum(fact.scores for _, fact in facts),
        pictures_sha256=digest.hexdigest(),
        weights=tuple(sorted({line for selection in taken for line in selection.source.weights})),
        generation="",
        tables={},
    )
    text = json.dumps(draft.model_dump(mode="json", exclude={"tables"}), sort_keys=True)
    return draft.model_copy(update={"generation": hashlib.sha256(text.encode()).hexdigest()[:16]})


def _named_or_copied(store: Store, manifest: Manifest, taken: Sequence[Taken], before: Manifest | None) -> Tables:
    """Returns the files of a manifest of existing files; rows that these cannot supply unchanged go into a file of their own."""
    tables = _files(selection.source for selection in taken if selection.is_usable)
    published = before.files if before else frozenset()
    for selection in taken:
        if selection.is_usable:
            continue
        part = _part_name([selection])
        before_it = [name for name in GENERATED if keys.table(manifest.sweep, part, name) in published]
        if not before_it:
            _gather_part(store, [selection], manifest.sweep, part)
        for name in before_it or GENERATED:
            tables[name] = (*tables.get(name, ()), keys.table(manifest.sweep, part, name))
    return {name: tables[name] for name in GENERATED if name in tables}


def _files(sources: Iterable[Source]) -> Tables:
    """Returns the files of several sources, table by table."""
    tables: Tables = {}
    for source in sources:
        for name in GENERATED:
            if source.tables.get(name):
                tables[name] = (*tables.get(name, ()), *source.tables[name])
    return tables


def _gather_part(store: Store, taken: Sequence[Taken], sweep: str, part: str) -> None:
    """Writes the rows of some trials as files of a gathered part, a file a table, then the record of their contents."""
    contents: Contents = {}
    for name, table in GENERATED.items():
        key = keys.table(sweep, part, name)
        contents[key] = _gather_table(store, taken, table, key)
    write_part_record(store, sweep, part, contents)


def _gather_table(store: Store, taken: Sequence[Taken], table: Table, key: str) -> Content:
    """Writes the rows of one table to a key, by way of a file in the folder for temporary ones; returns what was written."""
    with tempfile.TemporaryDirectory(prefix="dreamsweep-gather-") as scratch:
        target = Path(scratch) / "table.parquet"
        try:
            rows = concatenate(
                store, (part for selection in taken for part in _parts(selection, table.name)), table.schema, target, table.rows_a_group
            )
        except OSError as error:
            raise StoreError(
                f"the tables cannot be put together in {scratch!r}: {error.strerror or error}; set TMPDIR to a folder with room."
            ) from None
        expected = {
            "trials": sum(1 for selection in taken for _ in selection.facts),
            "scores": sum(fact.scores for selection in taken for _, fact in selection.facts),
        }
        if rows != expected.get(table.name, rows):
            sweep = key.partition("/")[0]
            raise StoreError(
                f"store {store.uri!r}: the staged tables of sweep {sweep!r} hold {rows} rows for {key!r} where their manifests say "
                f"{expected[table.name]}; delete {keys.staging(sweep)} and run the sweep again."
            )
        store.write_file(key, target, PARQUET)
        return content_of_file(target)


def _parts(taken: Taken, name: str) -> Iterable[Part]:
    source, old = taken.source, taken.source.format == 1
    for key in source.tables.get("trials" if old and name == "embeddings" else name, ()):
        convert = (lambda table: rows_of_format_1(name, table)) if old else lambda table: table
        yield Part(key, taken.trials, convert, source.contents.get(key))


def _part_name(taken: Sequence[Taken]) -> str:
    """Returns the name of a gathered part: sixteen hexadecimal digits, a hash of its rows and files."""
    lines = (f"{sorted(selection.source.tables.items())} {sorted(trial for trial, _ in selection.facts)}" for selection in taken)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _score_rows(parts: Iterable[Source]) -> int:
    return sum(fact.scores for part in parts for fact in part.trials.values())


def _can_be_written_again(store: Store, parts: Sequence[Source], staged: Container[str]) -> bool:
    """Returns whether a file of a gathered part is damaged, and all trials of the part are staged. Else what can be read of it stays."""

    def is_damaged(part: Source) -> bool:
        files = (key for named in part.tables.values() for key in named)
        return not all(ahead(lambda key: is_whole(store, key, part.contents.get(key)), files))

    return any(is_damaged(part) and all(trial in staged for trial in part.trials) for part in parts)


def _is_gathered(before: Manifest, manifest: Manifest) -> bool:
    """Returns whether the published manifest has the same content and names only gathered files, few enough of them."""
    files = before.tables.get("trials", ())
    gathered = all(key.startswith(keys.tables(before.sweep)) for key in before.files) and len(files) <= MOST_FILES
    return gathered and before.format == FORMAT and before.model_copy(update={"tables": {}}) == manifest


def _is_published(store: Store, manifest: Manifest) -> bool:
    return store.get(keys.manifest(manifest.sweep)) == manifest_json(manifest)


def _remove(store: Store, manifest: Manifest, candidates: Iterable[str]) -> None:
    """Removes gathered files that the manifest does not name, as long as it is the published one."""
    named = with_part_records(manifest)
    replaced = [key for key in candidates if key.startswith(keys.tables(manifest.sweep)) and key not in named]
    records = {keys.part_record(manifest.sweep, keys.generation_of(key)) for key in replaced} - named
    for key in [*replaced, *sorted(records - {*replaced})]:
        if not _is_published(store, manifest):
            return
        store.delete(key)


def with_part_records(manifest: Manifest) -> frozenset[str]:
    """Returns the keys of all files that a manifest names, and of the records that belong to its gathered parts."""
    gathered = (key for key in manifest.files if key.startswith(keys.tables(manifest.sweep)))
    return manifest.files | {keys.part_record(manifest.sweep, keys.generation_of(key)) for key in gathered}


def _refuse_without_tables(store: Store, manifest: Manifest) -> None:
    if not _tables_are_there(store, manifest):
        raise StoreError(
            f"store {store.uri!r}: the tables of sweep {manifest.sweep!r} went before they were published, so another run of it must have "
            "published its own; wait until it is over and run the sweep again."
        )


def _tables_are_there(store: Store, manifest: Manifest) -> bool:
    """Returns whether the manifest's gathered files exist; staged files stay as long as their shard's manifest does."""
    return all(store.exists(key) for key in manifest.files if key.startswith(keys.tables(manifest.sweep)))
