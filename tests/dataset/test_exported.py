"""Exported tables that are damaged, or half replaced: what the next export and a reader make of them."""

import pyarrow
import pyarrow.parquet as pq
import pytest

import miso_scrapy
from tests.support import export_reader, samples

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


@pytest.mark.parametrize("asked", [{}, {"as_of": "2026-06-01T00:00Z"}])
def test_a_damaged_table_is_an_error_for_a_reader(tables, asked):
    path = path_of(tables, "load")
    other = pyarrow.table({"load_mw": [1.0]})
    for damage in (lambda: path.write_bytes(b"damaged"), lambda: pq.write_table(other, path)):
        damage()
        with pytest.raises(miso_scrapy.ArchiveError, match=f"the table load of {DAY}") as error:
            miso_scrapy.open_archive(tables).load(DAY, **asked)
        assert "\n" not in str(error.value)
