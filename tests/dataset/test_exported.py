"""Exported tables that are damaged, or half replaced: what the next export and a reader make of them."""

import gzip
import json
import zipfile
from datetime import date, timedelta

import pyarrow
import pyarrow.parquet as pq
import pytest

import miso_scrapy
from miso_scrapy.dataset.exported import ExportedTables
from miso_scrapy.dataset.tables import TABLES
from miso_scrapy.store.directory import DirectoryStore
from tests.support import export_reader, samples
from tests.support.samples import est

DAY, NEXT = "2026-05-01", "2026-05-02"


@pytest.fixture
def tables(tmp_path):
    """Tables of an archive that has lost a file since; they have its values."""
    root = tmp_path / "data"
    samples.file(root, DAY, "00:00", {"00:00": 100}, {1: 10}, {1: 1})
    lost = samples.file(root, DAY, "00:05", {"00:00": 110, "00:05": 5}, {1: 11}, {1: 1})
    samples.file(root, NEXT, "00:00", {"00:00": 100}, {1: 10}, {1: 1})
    export(tmp_path / "tables")
    lost.unlink()
    return tmp_path / "tables"


def export(tables):
    """Bring *tables* up to date with the archive beside them, as `scrapy export` does."""
    miso_scrapy.open_archive(tables.parent / "data", tables=tables).load()


def path_of(tables, name, day=DAY):
    return tables / name / f"market_day={day}" / f"{name}.parquet"


def test_of_a_day_with_a_damaged_table_the_other_tables_are_kept(tables):
    path_of(tables, "load").write_bytes(b"damaged")
    export(tables)
    load = export_reader.rows(tables, "load", DAY, ["load_mw", "first_load_mw", "revisions"])
    assert load == [(110, 100, 1), (5, 5, 0)]


def test_a_damaged_file_of_a_replacement_is_removed_and_the_tables_are_kept(tables):
    before = export_reader.tables(tables)
    pending = tables / "_pending" / f"{DAY}-0.zip"
    pending.parent.mkdir()
    pending.write_bytes(b"damaged")
    assert miso_scrapy.open_archive(tables).load(DAY, NEXT).num_rows == 2
    export(tables)
    assert not pending.exists()
    assert export_reader.tables(tables) == before


@pytest.mark.parametrize("days", ['"none"', "[]", f'{{"{DAY}": {{}}}}', '{"2020-01-01": {}}'])
def test_a_damaged_manifest_is_written_again(tables, days):
    before = export_reader.tables(tables)
    (tables / "_manifest.json").write_text(f'{{"kind": "real", "days": {days}}}')
    export(tables)
    assert export_reader.tables(tables) == before
    assert miso_scrapy.open_archive(tables).load(DAY).num_rows == 3


def test_without_its_manifest_an_export_of_some_days_forgets_none_of_the_others(tables):
    samples.file(tables.parent / "data", "2026-05-03", "00:00", {"00:00": 1})
    export(tables)
    for name in ("load_vintages", "snapshots"):  # as an export that was killed leaves a new day
        path_of(tables, name, "2026-05-03").unlink()
    reader = miso_scrapy.open_archive(tables)
    load, audit = reader.load(end="2026-05-03"), reader.audit(DAY, "2026-05-03")
    (tables / "_manifest.json").unlink()
    miso_scrapy.open_archive(tables.parent / "data", tables=tables).load(NEXT, "2026-05-03")
    assert reader.load().equals(load)
    assert reader.snapshots("2026-05-03").num_rows == reader.load("2026-05-03").num_rows == 0
    assert reader.audit(DAY, "2026-05-03").equals(audit)


@pytest.mark.parametrize("asked", [{}, {"as_of": "2026-06-01T00:00Z"}])
def test_a_damaged_table_is_an_error_for_a_reader(tables, asked):
    path = path_of(tables, "load")
    other = pyarrow.table({"load_mw": [1.0]})
    for damage in (lambda: path.write_bytes(b"damaged"), lambda: pq.write_table(other, path)):
        damage()
        with pytest.raises(miso_scrapy.ArchiveError, match=f"the table load of {DAY}") as error:
            miso_scrapy.open_archive(tables).load(DAY, **asked)
        assert "\n" not in str(error.value)


class _Interrupted(DirectoryStore):
    """A store that calls *between* once, right before the key that ends with *at* is read."""

    def __init__(self, root, at, between):
        super().__init__(root)
        self._at, self._between = at, between

    def get_versioned(self, key):
        self._interrupt(key)
        return super().get_versioned(key)

    def get(self, key):
        self._interrupt(key)
        return super().get(key)

    def _interrupt(self, key):
        if key.endswith(self._at) and (between := self._between):
            self._between = None
            between()


@pytest.mark.parametrize("at", ["load_vintages.parquet", ".zip"])
def test_a_reader_sees_a_day_whole_while_it_is_replaced(tables, at):
    """An export replaces all the tables after the reader has listed or read some of them."""
    samples.file(tables.parent / "data", DAY, "00:10", {"00:00": 120, "00:10": 7})
    if at == ".zip":  # one that was killed before it had replaced all tables
        old = path_of(tables, "load_vintages").read_bytes()
        export(tables)
        pending = tables / "_pending" / f"{DAY}-0.zip"
        with zipfile.ZipFile(pending, "w") as bundle:
            for name in TABLES:
                bundle.writestr(name, path_of(tables, name).read_bytes())
        path_of(tables, "load_vintages").write_bytes(old)
    store = _Interrupted(tables, at, lambda: export(tables))
    (day,) = ExportedTables(store).market_days([date.fromisoformat(DAY)])
    assert [value.load_mw for value in day.load] == [120, 5, 7]
    assert [vintage.mw for vintage in day.load_vintages] == [100, 110, 120, 5, 7]
    assert len(day.snapshots) == 3


def test_tables_of_two_exports_are_written_again(tables):
    """Two exports of a new day that are killed can leave them, and a reader takes none for whole."""
    target = path_of(tables, "snapshots", NEXT)
    table = pq.ParquetFile(target).read()
    metadata = {**table.schema.metadata, b"miso_scrapy.version": b"another"}
    pq.write_table(table.replace_schema_metadata(metadata), target)
    export(tables)
    assert miso_scrapy.open_archive(tables).load(NEXT, as_of="2026-06-01T00:00Z").num_rows == 1


def test_an_interval_that_was_filed_twice_without_times_keeps_both_values(tables):
    root = tables.parent / "data"
    for minute, mw in enumerate((1, 2)):
        at = est(NEXT, "12:00")
        body = json.loads(gzip.decompress(samples.document(samples.data(at, {"12:00": mw}), at)))
        del body["collection_metadata"]["collected_at"]
        candidate = at + timedelta(minutes=minute)
        samples.put(root, candidate, gzip.compress(json.dumps(body).encode()))
    for clock in ("12:05", "12:10"):
        samples.file(root, NEXT, clock, {clock: 1})
        export(tables)
    archives = miso_scrapy.open_archive(root), miso_scrapy.open_archive(tables)
    theirs, ours = (each.load_vintages(NEXT) for each in archives)
    assert ours.equals(theirs)
