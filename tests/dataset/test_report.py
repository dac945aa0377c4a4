"""`scrapy report`: the page, as a browser shows it that has no network, and what a person does with it.

What the page says is compared with what this module computes from the archive's files.
"""

import csv
import functools
import gzip
import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from statistics import fmean, median
from types import SimpleNamespace

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from miso_scrapy import __version__
from miso_scrapy.dataset.audit import DayFacts, audit, facts
from miso_scrapy.dataset.day_values import DayValues, values_of
from miso_scrapy.dataset.fold import SnapshotReader, fold
from miso_scrapy.feed.market_day import EST
from miso_scrapy.feed.shape import normalise
from miso_scrapy.report.page import Source, report
from miso_scrapy.simulator.load import day_of, snapshot
from miso_scrapy.simulator.writer import begin, write_day
from tests.support import warm_start
from tests.support.project import FOREIGN, SCRAPY

CHROMIUM = shutil.which("chromium")
in_chromium = pytest.mark.skipif(not CHROMIUM, reason="needs Debian's package chromium (as root)")

SEED = 3
# Two months and two weeks. On the third of them the clocks of the US change; the market's does not.
DAYS = [date(2025, 10, 31), date(2025, 11, 1), date(2025, 11, 2), date(2025, 11, 3)]
CHARTS = ["load", "map", "error", "peak", "revisions", "age"]
SOURCE = Source("/srv/archive", "1.2.3", simulated=False)


def est(day, clock):
    return datetime.combine(day, time.fromisoformat(clock), EST)


# What was not collected: a later snapshot heals the first two, nothing the others.
LOST = [
    *(est(DAYS[0], clock) for clock in ("08:00", "08:05")),
    *(est(DAYS[1], "00:00") + number * timedelta(minutes=5) for number in range(288)),
    *(est(DAYS[2], clock) for clock in ("23:50", "23:55")),
]
LATE = est(DAYS[3], "12:00")
"""The interval whose snapshot was collected two days late."""


def path_of(root, instant):
    (path,) = root.rglob(f"*_{instant.astimezone(UTC):%Y%m%d_%H%M%S}.json.gz")
    return path


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """The root of an archive of known content, with gaps."""
    root = tmp_path_factory.mktemp("archive")
    begin(root)
    for day in DAYS:
        write_day(root, SEED, day)
    for instant in LOST:
        path_of(root, instant).unlink()
    path = path_of(root, LATE)
    document = json.loads(gzip.decompress(path.read_bytes()))
    late = LATE.astimezone(UTC) + timedelta(days=2)
    document["collection_metadata"]["collected_at"] = late.isoformat()
    path.write_bytes(gzip.compress(json.dumps(document).encode()))
    return root


@pytest.fixture(scope="module")
def run(archive):
    """Run `scrapy ARGS...` on the archive."""
    clean = {name: value for name, value in os.environ.items() if not FOREIGN.match(name)}

    def run(*args, cold=False, **env):
        start = functools.partial(subprocess.run, text=True) if cold else warm_start.run
        return start(
            [SCRAPY, *map(str, args)],
            cwd=archive,
            env={
                **clean,
                "SCRAPY_SETTINGS_MODULE": "miso_scrapy.settings",
                "MISO_DATA_DIR": str(archive),
                **env,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=120,
        )

    return run


@pytest.fixture(scope="module")
def written(run, tmp_path_factory):
    """The page that `scrapy report` writes."""
    path = tmp_path_factory.mktemp("report") / "new" / "report.html"
    done = run("report", "-o", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"4 days of a simulated archive reported: {path}\n"
    assert list(path.parent.iterdir()) == [path]
    return path


@pytest.fixture(scope="module")
def audited(run):
    """What `scrapy audit` says of the same archive."""
    return json.loads(run("audit", "--json").stdout)


@pytest.fixture(scope="module")
def truth(archive):
    """What the files of the archive hold, by EST time, computed here."""
    documents = [json.loads(gzip.decompress(p.read_bytes())) for p in archive.rglob("*.json.gz")]
    documents.sort(key=lambda document: document["data"]["RefId"])
    load, forecasts, cleared, revisions, ages = {}, {}, {}, [], {}
    for document in documents:
        data = document["data"]
        at = datetime.fromisoformat(data["RefId"]).astimezone(EST)
        midnight = est(at.date(), "00:00")
        collected = datetime.fromisoformat(document["collection_metadata"]["collected_at"])
        ages[at] = (collected - at) / timedelta(minutes=1)
        for row in data["FiveMinTotalLoad"]:
            interval = est(at.date(), row["Time"])
            (first, mw) = load.get(interval, (at, None))
            if mw is not None and mw != row["Value"]:
                minutes = (at - first) / timedelta(minutes=1)
                revisions.append((interval, mw, row["Value"], minutes))
            load[interval] = (first, row["Value"])
        for row in data["MediumTermLoadForecast"]:
            hour = midnight + timedelta(hours=int(row["HourEnding"]) - 1)
            forecasts.setdefault(hour, []).append((at, row["LoadForecast"]))
        for row in data["ClearedMW"]:
            cleared[midnight + timedelta(hours=int(row["Hour"]) - 1)] = row["Value"]
    load = {interval: mw for interval, (_, mw) in load.items()}
    means, errors = {}, {}
    for hour, published in forecasts.items():
        of_hour = [load.get(hour + n * timedelta(minutes=5)) for n in range(12)]
        if None in of_hour:
            continue
        means[hour] = fmean(of_hour)
        for lead in range(24):
            known = [mw for at, mw in published if at < hour - timedelta(hours=lead)]
            if known:
                errors[hour, lead] = known[-1] - means[hour]
    return SimpleNamespace(
        load=load,
        forecasts=forecasts,
        cleared=cleared,
        means=means,
        errors=errors,
        revisions=sorted(revisions),
        ages=ages,
    )


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def opened():
    """What was seen of each page that was opened: its requests, its errors."""
    return []


@pytest.fixture(scope="module")
def open_page(browser, written, opened):
    """Open the report: open_page(width, height, **options) -> page, its charts drawn."""

    def open_page(width=1366, height=768, **options):
        context = browser.new_context(
            viewport={"width": width, "height": height}, offline=True, **options
        )
        page = context.new_page()
        seen = SimpleNamespace(page=page, requests=[], errors=[])
        page.on("request", lambda request: seen.requests.append(request.url))
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.on("console", lambda message: seen.errors.append(message.text))
        opened.append(seen)
        page.goto(written.as_uri())
        page.wait_for_selector("html[data-drawn]")
        return page

    return open_page


@pytest.fixture(scope="module")
def _laptop(open_page):
    return open_page(color_scheme="light")


@pytest.fixture
def page(_laptop):
    """The page on a laptop, in light, all of its range shown."""
    _laptop.emulate_media(color_scheme="light", media="screen")
    _laptop.get_by_role("button", name="All", exact=True).click()
    _laptop.mouse.move(0, 0)
    return _laptop


@pytest.fixture(scope="module")
def phone(open_page):
    """The page on a phone, in dark."""
    return open_page(390, 844, color_scheme="dark", has_touch=True, is_mobile=True)


@pytest.fixture(autouse=True)
def in_silence(request):
    """Whatever a test does with a page, nothing goes wrong in it, and no network is asked."""
    yield
    if "open_page" in request.fixturenames:
        for seen in request.getfixturevalue("opened"):
            assert seen.errors == []
            asked = [url for url in seen.requests if not url.startswith("blob:")]
            assert asked == [request.getfixturevalue("written").as_uri()]


def point(page, chart, right, down=0.5):
    """Point into *chart*, as far to the right and down as these shares of it."""
    over = page.locator(f"#{chart} .u-over, #{chart} > canvas").first
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    page.mouse.move(box["x"] + box["width"] * right, box["y"] + box["height"] * down)


def cells(page, table):
    """The text of *table*: a dict for each row that is shown, by the column's head."""
    rows = page.locator(table).evaluate(
        "table => [...table.rows].filter(row => !row.hidden)"
        ".map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def saved(page, chart, tmp_path):
    """The rows of the CSV file that the button of *chart* saves."""
    with page.expect_download() as download:
        page.locator(f"[data-save={chart}]").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return path.name, rows


def said(page, chart):
    return page.locator(f"#{chart}-caption .said").text_content()


def mw(value):
    return f"{value:,.0f} MW"


# --- How it stands ---------------------------------------------------------------------------------


@in_chromium
def test_the_first_sentence_says_what_is_missing(page, archive):
    assert page.locator("h2").first.text_content() == (
        "Complete but for all of 1 Nov and 2 Nov 23:50 to 23:55: 290 of 1,152 values are missing "
        "for good; 2 more were healed by later snapshots."
    )
    assert (
        page.locator(".verdict strong").text_content() == "290 of 1,152 values are missing for good"
    )
    red, ink, healed = page.evaluate(
        """() => [
            getComputedStyle(document.querySelector(".verdict strong")).color,
            getComputedStyle(document.querySelector(".verdict h2")).color,
            getComputedStyle(document.querySelector(".swatch.healed")).backgroundColor,
        ]"""
    )
    red_part, *others = map(int, re.findall(r"\d+", red))
    assert red_part > 3 * max(others)
    assert len({red, ink, healed}) == 3
    assert page.locator("#today").text_content() == (
        "Nothing can be healed any more: these market days are over. "
        "Later days are not on this page."
    )
    source = page.locator(".source").text_content()
    assert source.startswith("31 Oct 2025 to 3 Nov 2025 (4 market days, EST) · archive ")
    assert str(archive) in source
    assert re.search(rf"made \d+ \w+ \d+, \d\d:\d\d EST by miso_scrapy {__version__}$", source)
    assert page.title() == ("MISO real-time total load, 31 Oct 2025 to 3 Nov 2025 (simulated)")


@in_chromium
@pytest.mark.parametrize("on", ["page", "phone"])
def test_the_first_screen_has_the_verdict_and_the_load(request, on):
    page = request.getfixturevalue(on)
    page.evaluate("window.scrollTo(0, 0)")
    height = page.viewport_size["height"]
    for seen in (".not-real", "#verdict", "#today", "#load", "#difference"):
        box = page.locator(seen).bounding_box()
        assert box["y"] >= 0, seen
        assert box["y"] + box["height"] <= height, seen
    wide = page.locator("#load").bounding_box()
    assert wide["width"] > 0.6 * page.viewport_size["width"]
    if on == "page":
        days = page.locator("#days").bounding_box()
        assert days["x"] > wide["x"] + wide["width"]  # beside it
        assert days["y"] + days["height"] <= height


@in_chromium
def test_simulated_data_are_marked_wherever_the_page_is_scrolled_to(page):
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    banner = page.locator(".not-real")
    assert banner.text_content() == "Simulated data. They are not MISO's."
    box = banner.bounding_box()
    assert (box["y"], box["width"]) == (0, page.evaluate("document.documentElement.clientWidth"))


def test_real_data_are_not_marked_as_simulated():
    day = day_from(DAYS[0], "23:55")
    page = report([values_of(day)], [audit(facts(day), est(DAYS[1], "12:00"))], NOW, SOURCE)
    assert "imulated data" not in page
    assert 'archive <span class="archive">/srv/archive</span>' in page
    assert "miso_scrapy 1.2.3" in page


# --- The charts ------------------------------------------------------------------------------------


@in_chromium
def test_pointing_at_a_chart_tells_the_values_there(page, truth):
    point(page, "load", 0.1)
    told = page.locator("#load-readout").text_content()
    match = re.fullmatch(
        r"31 Oct 2025, (\d\d):(\d\d) EST: load ([\d,]+ MW), forecast ([\d,]+ MW), cleared ([\d,]+ MW), "
        r"forecast minus the hour's load ([+-]?[\d,]+) MW",
        told,
    )
    at = est(DAYS[0], f"{match[1]}:{match[2]}")
    hour = at.replace(minute=0)
    assert match[3] == mw(truth.load[at])
    assert match[4] == mw([mw for when, mw in truth.forecasts[hour] if when < hour][-1])
    assert match[5] == mw(truth.cleared[hour])
    assert int(match[6].replace(",", "")) == pytest.approx(truth.errors[hour, 0], abs=0.5)
    point(page, "map", 0.9, 0.5)
    assert re.fullmatch(
        r"1 Nov 2025, \d\d:\d\d EST: missing", page.locator("#map-readout").text_content()
    )
    point(page, "peak", 0.02)
    assert page.locator("#peak-readout").text_content().startswith("31 Oct: forecast ")
    point(page, "age", 0.99)
    assert re.match(r"[\d,]+ snapshots after ", page.locator("#age-readout").text_content())


@in_chromium
def test_every_chart_is_drawn(page):
    for chart in ("load", "difference", "map", "peak", "revisions", "after", "age"):
        drawn = page.evaluate(
            """id => {
                const canvas = document.querySelector(`#${id} canvas`);
                const { width, height } = canvas;
                const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
                return new Set(new Uint32Array(pixels.buffer)).size;
            }""",
            chart,
        )
        assert drawn > 4, chart


@in_chromium
def test_a_click_on_a_day_shows_it_everywhere(page, truth):
    before = {chart: said(page, chart) for chart in CHARTS}
    assert all(
        "31 Oct 2025 to 3 Nov 2025" in text for text in page.locator(".shown").all_text_contents()
    )
    page.locator("#load-data summary").click()
    page.locator("#days").get_by_role("button", name="2 Nov 2025: 2 missing").click()
    assert page.locator("#shown").text_content() == "2 Nov 2025"
    assert set(page.locator(".shown").all_text_contents()) == {"2 Nov 2025"}
    after = {chart: said(page, chart) for chart in CHARTS}
    assert all(after[chart] != before[chart] for chart in CHARTS)
    of_day = {at: mw for at, mw in truth.load.items() if at.date() == DAYS[2]}
    high = max(of_day, key=of_day.get)
    assert f"highest on 2 Nov 2025 at {high:%H:%M}, {mw(of_day[high])}" in after["load"]
    assert after["map"] == (
        "286 intervals collected with their own snapshot, 0 healed by a later snapshot of their "
        "market day, 2 missing on 1 day."
    )
    rows = cells(page, "#load-data table")
    assert [row["Interval (EST)"] for row in rows][::287] == [
        "2025-11-02 00:00",
        "2025-11-02 23:55",
    ]
    assert [row["Market day"] for row in cells(page, "#audit")] == ["2 Nov 2025", "Total"]
    pressed = page.locator("#days [aria-pressed=true]")
    assert pressed.all_text_contents() == ["2"]
    page.locator("#load-data summary").click()

    page.get_by_role("button", name="Earlier").click()
    assert page.locator("#shown").text_content() == "1 Nov 2025"
    assert said(page, "load") == "No 5-minute load is known."
    page.get_by_role("button", name="Month").click()
    assert page.locator("#shown").text_content() == "1 Nov 2025 to 3 Nov 2025"
    page.get_by_role("button", name="Earlier").click()
    assert page.locator("#shown").text_content() == "31 Oct 2025"
    assert page.get_by_role("button", name="Earlier").is_disabled()
    page.get_by_role("button", name="Week").click()
    assert page.locator("#shown").text_content() == "31 Oct 2025 to 2 Nov 2025"
    # A day can be chosen in the charts and in the audit too.
    page.get_by_role("button", name="All", exact=True).click()
    page.locator("#audit").get_by_role("button", name="3 Nov 2025").click()
    assert page.locator("#shown").text_content() == "3 Nov 2025"
    page.get_by_role("button", name="All", exact=True).click()
    point(page, "load", 0.9)
    page.mouse.down()
    page.mouse.up()
    assert page.locator("#shown").text_content() == "3 Nov 2025"


@in_chromium
def test_the_keyboard_reaches_everything_and_moves_between_days(open_page):
    page = open_page()
    focused = "() => document.activeElement.outerHTML.slice(0, 200)"
    page.keyboard.press("Tab")
    assert "Skip to the content" in page.evaluate(focused)
    assert page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    reached, chosen = [], False
    for _ in range(60):
        page.keyboard.press("Tab")
        html = page.evaluate(focused)
        if html.startswith("<body"):
            break
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", html
        reached.append(html)
        if 'aria-label="3 Nov' in html and not chosen:
            page.keyboard.press("ArrowLeft")
            page.keyboard.press("Enter")
            chosen = True
            assert page.locator("#shown").text_content() == "2 Nov 2025"
        if html.startswith("<summary>"):
            page.keyboard.press("Enter")
    assert chosen
    page.wait_for_function("() => document.querySelectorAll('details[open] table').length === 6")
    for part, number in {
        "data-length=": 4,
        "data-save=": 7,
        'class="scroll': 8,
        "<select": 1,
    }.items():
        assert sum(part in html for html in reached) == number, part
    page.context.close()


@in_chromium
def test_what_has_the_focus_is_not_behind_the_bars_at_the_top(phone):
    save = phone.locator("[data-save=peak]")
    save.evaluate("each => window.scrollBy(0, each.getBoundingClientRect().top - 75)")
    bar, button = phone.locator(".range").bounding_box(), save.bounding_box()
    assert button["y"] + button["height"] < bar["y"] + bar["height"]
    save.focus()
    button = save.bounding_box()
    assert button["y"] >= bar["y"] + bar["height"]


# --- The tables ------------------------------------------------------------------------------------


@in_chromium
def test_a_chart_can_be_saved_as_csv_with_the_data_that_it_plots(page, truth, tmp_path):
    name, rows = saved(page, "load", tmp_path)
    assert name == "miso-load-2025-10-31-to-2025-11-03.csv"
    assert len(rows) == 4 * 288
    for row in rows:
        at = datetime.fromisoformat(row["Interval (EST)"])
        assert row["Load, MW"] == str(truth.load.get(at, ""))
        assert row["Cleared, MW"] == str(truth.cleared.get(at.replace(minute=0), ""))
        error = truth.errors.get((at.replace(minute=0), 0))
        shown = row["Forecast minus load, MW"]
        assert (shown == "") if error is None else float(shown) == pytest.approx(error, abs=0.5)

    _, rows = saved(page, "revisions", tmp_path)
    assert [
        (
            datetime.fromisoformat(row["Interval (EST)"]),
            float(row["Before, MW"]),
            float(row["After, MW"]),
            float(row["Minutes after the first publication"]),
        )
        for row in rows
    ] == truth.revisions
    assert [float(row["Change, MW"]) for row in rows] == [b - a for _, a, b, _ in truth.revisions]

    _, rows = saved(page, "map", tmp_path)
    assert [list(row.values()) for row in rows] == [
        ["2025-10-31", "00:00", "07:55", "collected"],
        ["2025-10-31", "08:00", "08:05", "healed"],
        ["2025-10-31", "08:10", "23:55", "collected"],
        ["2025-11-01", "00:00", "23:55", "missing"],
        ["2025-11-02", "00:00", "23:45", "collected"],
        ["2025-11-02", "23:50", "23:55", "missing"],
        ["2025-11-03", "00:00", "23:55", "collected"],
    ]

    _, rows = saved(page, "age", tmp_path)
    assert sum(int(row["Snapshots"]) for row in rows) == len(truth.ages) - 1  # all but the late one
    assert all(a["To, minutes"] == b["From, minutes"] for a, b in pairwise(rows))


@in_chromium
def test_a_table_holds_what_the_csv_file_holds(page, tmp_path):
    for chart in CHARTS:
        page.locator(f"#{chart}-data summary").click()
        _, rows = saved(page, chart, tmp_path)
        table = cells(page, f"#{chart}-data table")
        assert len(table) == len(rows) > 2
        for shown, row in zip(table, rows, strict=True):
            plain = [cell.replace(",", "").replace(" ", "T") for cell in shown.values()]
            exact = [cell.removesuffix("-05:00") or "none" for cell in row.values()]
            assert plain == exact, chart
        page.locator(f"#{chart}-data summary").click()


@in_chromium
def test_the_heat_map_has_the_mean_error_of_each_hour_and_lead_time(page, truth, tmp_path):
    _, rows = saved(page, "error", tmp_path)
    found = {(row["Hour begins (EST)"], int(row["Hours ahead"])): row for row in rows}
    expected = {}
    for (hour, lead), error in truth.errors.items():
        expected.setdefault((f"{hour:%H:%M}", lead), []).append(
            (error, 100 * error / truth.means[hour])
        )
    assert found.keys() == expected.keys()
    for place, errors in expected.items():
        row = found[place]
        assert int(row["Hours compared"]) == len(errors)
        for unit, number in (("MW", 0), ("%", 1)):
            values = [error[number] for error in errors]
            close = {"MW": 0.51, "%": 0.006}[unit]
            absolute = fmean(map(abs, values))
            assert float(row[f"Mean absolute error, {unit}"]) == pytest.approx(absolute, abs=close)
            assert float(row[f"Bias, {unit}"]) == pytest.approx(fmean(values), abs=close)
    cell = page.locator("#error tr").filter(has=page.locator("th", has_text=re.compile("^3 h$")))
    noon = {row["Hour begins (EST)"]: row for row in rows if row["Hours ahead"] == "3"}["12:00"]
    column = page.locator("#error thead th").all_text_contents().index("12") - 1
    for measure, text in {
        "Mean absolute error, MW": f"{int(noon['Mean absolute error, MW']):,}",
        "Bias, MW": f"{int(noon['Bias, MW']):+,}",
        "Mean absolute error, %": f"{float(noon['Mean absolute error, %']):.1f}",
        "Bias, %": f"{float(noon['Bias, %']):+.1f}",
    }.items():
        page.locator("#measure").select_option(measure)
        assert cell.locator("td").nth(column).text_content() == text
    near = [error for (_, lead), error in truth.errors.items() if lead == 0]
    assert f"off by {mw(fmean(map(abs, near)))} " in said(page, "error")
    assert f"a bias of {round(fmean(near)):+,} MW;" in said(page, "error")


@in_chromium
def test_the_days_peak_is_shown_as_forecast_and_as_it_was(page, truth, tmp_path):
    _, rows = saved(page, "peak", tmp_path)
    assert [row["Market day"] for row in rows] == [str(day) for day in DAYS]
    for day, row in zip(DAYS, rows, strict=True):
        first = {hour: known[0][1] for hour, known in truth.forecasts.items() if hour.date() == day}
        if not first:
            assert set(list(row.values())[1:]) == {""}
            continue
        expected = max(first, key=first.get)
        assert row["Forecast peak, MW"] == str(first[expected])
        assert row["Forecast hour (EST)"] == f"{expected:%H:%M}"
        means = {hour: mean for hour, mean in truth.means.items() if hour.date() == day}
        real = max(means, key=means.get)
        assert float(row["Real peak, MW"]) == pytest.approx(means[real], abs=0.5)
        assert row["Real hour (EST)"] == f"{real:%H:%M}"


@in_chromium
def test_captions_say_what_was_revised_and_how_late_snapshots_were(page, truth):
    largest = max(truth.revisions, key=lambda each: abs(each[2] - each[1]))
    text = said(page, "revisions")
    assert text.startswith(
        f"{len({each[0] for each in truth.revisions})} of 862 values were revised."
    )
    assert f"{largest[2] - largest[1]:+,} MW, of {largest[0].day} " in text
    assert f"{largest[0]:%H:%M}." in text
    typical = round(median(truth.ages.values()), 1)
    assert said(page, "age") == (
        f"Half of the 860 snapshots were collected within {typical:g} min of the start of their "
        f"interval, and 95% within {typical:g} min. Outside the axis is 1 snapshot: 3 Nov 2025 at "
        "12:00, 2 days after."
    )


@in_chromium
def test_the_audit_has_the_worst_days_first_and_marks_them(page, audited):
    *days, total = cells(page, "#audit")
    assert [(row["Market day"], row["Verdict"]) for row in days] == [
        ("1 Nov 2025", "Missing"),
        ("2 Nov 2025", "Missing"),
        ("31 Oct 2025", "Healed"),
        ("3 Nov 2025", "Complete"),
    ]
    assert page.locator("#audit tr.bad th").all_text_contents() == ["1 Nov 2025", "2 Nov 2025"]
    columns = {
        "Snapshots of 288": "snapshots",
        "Values of 288": "values",
        "Missing": "values_missing",
        "Healed": "healed",
        "Revisions": "revisions",
        "Largest, MW": "largest_revision_mw",
    }
    by_day = {f"{date.fromisoformat(d['day']):%-d %b %Y}": d for d in audited["days"]}
    for row, figures in [
        *((row, by_day[row["Market day"]]) for row in days),
        (total, audited["total"]),
    ]:
        shown = {key: int(row[head].replace(",", "")) for head, key in columns.items()}
        assert shown == {key: figures[key] for key in columns.values()}


@in_chromium
def test_the_audit_is_saved_with_dates_and_numbers_that_a_program_can_read(page, audited, tmp_path):
    page.locator("#audit tbody td:nth-child(8)").first.evaluate("c => { c.textContent = '1,234' }")
    _, rows = saved(page, "audit", tmp_path)
    assert rows[0]["Largest, MW"] == "1234"
    assert {row["Market day"]: int(row["Missing"]) for row in rows} == {
        day["day"]: day["values_missing"] for day in audited["days"]
    }


# --- For everybody, everywhere ---------------------------------------------------------------------


PICTURES = """() => [...document.querySelectorAll("canvas")].map((canvas) => canvas.toDataURL())"""


@in_chromium
def test_the_charts_follow_the_colour_scheme_and_are_printed_in_light(page):
    light = page.evaluate(PICTURES)
    changed = "before => document.querySelector('canvas').toDataURL() !== before"
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(changed, arg=light[0])
    dark = page.evaluate(PICTURES)
    assert len(dark) == len(light) == 7
    assert all(after != before for before, after in zip(light, dark, strict=True))
    page.emulate_media(color_scheme="dark", media="print")
    page.wait_for_function(changed, arg=dark[0])
    paper = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--paper')")
    assert paper.strip() == "#fbfbf9"
    assert page.locator(".not-real").is_visible()
    assert page.locator("#audit").is_visible()
    for unseen in ("[data-length=day]", "[data-save=load]", "#load-data"):
        assert not page.locator(unseen).is_visible(), unseen
    page.emulate_media(color_scheme="light", media="screen")
    page.wait_for_function(
        "before => document.querySelector('canvas').toDataURL() === before", arg=light[0]
    )


@in_chromium
def test_a_phone_shows_it_without_scrolling_sideways(phone):
    phone.evaluate("document.querySelectorAll('details').forEach(each => (each.open = true))")
    phone.wait_for_function("() => document.querySelectorAll('details[open] table').length === 6")
    wide = """() => [...document.querySelectorAll("body *:not(.scroll *, .hidden, .skip, .u-wrap *)")]
        .filter(each => each.getBoundingClientRect().right > 390.5)
        .map(each => each.outerHTML.slice(0, 80))"""
    assert phone.evaluate(wide) == []
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    phone.evaluate("document.querySelectorAll('details').forEach(each => (each.open = false))")
    phone.locator("#days button").first.tap()
    assert phone.locator("#shown").text_content() == "31 Oct 2025"
    phone.get_by_role("button", name="All", exact=True).tap()
    width = "document.querySelector('#load .uplot').clientWidth"
    phone.set_viewport_size({"width": 844, "height": 390})  # turned
    phone.wait_for_function(f"() => {width} > 700")
    phone.set_viewport_size({"width": 390, "height": 844})
    phone.wait_for_function(f"() => {width} < 390")


@in_chromium
@pytest.mark.parametrize("on", ["page", "phone"])
def test_nobody_is_kept_out(request, on):
    page = request.getfixturevalue(on)
    page.locator("#peak-data summary").click()
    found = Axe().run(page).response["violations"]
    page.locator("#peak-data summary").click()
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []
    for picture in page.locator("[role=img]").all():
        assert picture.get_attribute("aria-label").endswith(".")
    # What axe does not look at: text on a canvas, and on a gradient.
    contrast = """pairs => pairs.map(([ink, paper]) => {
        const probe = document.body.appendChild(document.createElement("i"));
        const luminance = (name) => {
            probe.style.color = `var(--${name})`;
            return getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map(Number)
                .reduce((sum, channel, n) => {
                    const c = channel / 255;
                    const linear = c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
                    return sum + [0.2126, 0.7152, 0.0722][n] * linear;
                }, 0);
        };
        const [a, b] = [luminance(ink), luminance(paper)];
        probe.remove();
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    })"""
    text = [
        ("muted", "paper"),
        ("ink", "collected"),
        ("paper", "missing"),
        ("paper", "healed"),
        ("missing", "paper"),
    ]
    marks = [
        ("load", "paper"),
        ("forecast", "paper"),
        ("cleared", "paper"),
        ("difference", "paper"),
    ]
    assert all(ratio >= 4.5 for ratio in page.evaluate(contrast, text)), text
    assert all(ratio >= 3 for ratio in page.evaluate(contrast, marks)), marks


@in_chromium
def test_the_page_may_not_reach_a_network(browser, written, feed):
    # Were a script of it to ask for something, its own policy would refuse.
    page = browser.new_page()
    page.set_content(re.sub("<script.*</script>", "", written.read_text(), flags=re.DOTALL))
    asked = page.evaluate(
        "url => fetch(url, {mode: 'no-cors'}).then(() => 'answered', error => error.message)",
        feed.url,
    )
    page.close()
    assert asked == "Failed to fetch"
    assert feed.requests == []


@in_chromium
def test_without_javascript_the_verdict_and_the_audit_are_there(browser, written):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(written.as_uri())
    assert page.locator("#verdict").is_visible()
    assert page.locator("#audit tbody tr").count() == len(DAYS)
    context.close()


# --- A year ----------------------------------------------------------------------------------------

NOW = est(date(2026, 12, 1), "12:00")


def busy_day(day):
    """Values of *day* that are as hard to compress as real ones: fractions, forecasts of each hour."""
    of_day = day_of(SEED, day)
    return DayValues(
        day,
        [mw + 0.1 for mw in of_day.load_mw],
        [
            [(60 * at + 1, of_day.forecast_mw[at][hour]) for at in range(hour + 1)]
            for hour in range(24)
        ],
        list(of_day.cleared_mw),
        [True] * 288,
        [1.2] * 288,
        [],
    )


@in_chromium
def test_the_map_of_days_shows_all_of_a_year_and_its_numbers_can_be_read(browser, tmp_path):
    """A day with a part missing has two colours. The edge between them is not behind the number."""
    days, audits = [], []
    for number in range(365):
        day = busy_day(date(2025, 1, 1) + timedelta(days=number))
        missing = number * 5 % 289
        known = (1 << 288 - missing) - 1
        load = [mw if place < 288 - missing else None for place, mw in enumerate(day.load)]
        days.append(replace(day, load=load))
        audits.append(audit(DayFacts(day.day, known, known, 0, 0, 0, 0, 0, 0, 0, NOW), NOW))
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    for shown in (365, 59):
        path = tmp_path / f"{shown}.html"
        path.write_text(report(days[-shown:], audits[-shown:], NOW, SOURCE))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-drawn]")
        box = page.locator("#days").bounding_box()
        for button in (page.locator("#days button").first, page.locator("#days button").last):
            place = button.bounding_box()
            assert box["y"] <= place["y"]
            assert place["y"] + place["height"] <= box["y"] + box["height"]
    shares = page.locator("#days button.missing").evaluate_all(
        "all => all.map(each => parseFloat(each.style.getPropertyValue('--share')))"
    )
    assert len(shares) == 59
    assert all(share <= 30 or share >= 70 for share in shares)
    page.close()


@in_chromium
def test_a_year_is_small_and_opens_quickly(browser, tmp_path):
    """The time to open it is compared with that of a page with the same library, and nothing else."""
    days = [busy_day(date(2025, 11, 1) + timedelta(days=number)) for number in range(366)]
    whole = (1 << 288) - 1
    known = [DayFacts(d.day, whole, whole, 0, 0, 0, 0, 0, 0, 0, NOW) for d in days]
    year, empty = tmp_path / "year.html", tmp_path / "empty.html"
    year.write_text(report(days, [audit(each, NOW) for each in known], NOW, SOURCE))
    assert year.stat().st_size < 2_500_000
    library = re.search(r"<script>(/\*! .*?)</script>", year.read_text(), re.DOTALL)[1]
    empty.write_text(
        "<!doctype html><title>empty</title><div "
        f"id=chart></div><script>{library}</script><script>new uPlot({{width: 900, height: 300, "
        f"series: [{{}}]}}, [[]], chart); document.documentElement.dataset.drawn = ''</script>"
    )
    page = browser.new_page()

    def opening(path):
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-drawn]")
        return page.evaluate("performance.now()")

    opening(empty)
    times = {path: min(opening(path) for _ in range(3)) for path in (empty, year)}
    page.locator("#load-data summary").click()
    rows = page.locator("#load-data caption")
    assert rows.text_content() == "1 Nov 2025 to 1 Nov 2026: 2,016 of 105,408 rows"
    page.get_by_role("button", name="Show more rows").click()
    assert rows.text_content() == "1 Nov 2025 to 1 Nov 2026: 4,032 of 105,408 rows"
    assert page.locator("#load-data tbody tr").count() == 4032
    page.locator("#days button").nth(100).click()
    assert rows.text_content() == "9 Feb 2026: 288 rows"
    assert page.locator("#shown").text_content() == "9 Feb 2026"
    page.close()
    assert times[year] < 15 * times[empty]


# --- The command -----------------------------------------------------------------------------------


def test_the_page_from_tables_is_the_page_from_the_archive(run, written, tmp_path):
    done = run("report", "-o", tmp_path / "tables.html", "--tables", tmp_path / "tables")
    assert (done.returncode, done.stderr) == (0, "")
    made = r"made .{10,12}, \d\d:\d\d EST"
    pages = [re.sub(made, "made", p.read_text()) for p in (written, tmp_path / "tables.html")]
    assert pages[0] == pages[1]


def test_what_cannot_be_reported_is_said_in_one_line(run, tmp_path):
    (tmp_path / "a file").write_text("")
    (tmp_path / "old.html").write_text("old")
    for args, status, line in [
        ([], 2, "-o is missing: say where to, such as -o report.html"),
        (["-o", tmp_path], 2, f"{tmp_path} is a directory: the report is one file"),
        (
            ["-o", tmp_path / "a file" / "report.html"],
            1,
            f"{tmp_path}/a file/report.html cannot be written: ",
        ),
        (
            ["-o", tmp_path / "old.html", "--start", "2024-01-01", "--end", "2024-01-02"],
            1,
            "no snapshots in ",
        ),
    ]:
        done = run("report", *args)
        assert (done.returncode, done.stdout) == (status, "")
        assert done.stderr.startswith(f"scrapy report: {line}")
        assert done.stderr.count("\n") == 1
    assert (tmp_path / "old.html").read_text() == "old"


def test_without_its_libraries_it_says_what_to_install(run, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['jinja2'] = None")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    done = run("report", "-o", tmp_path / "report.html", cold=True, PYTHONPATH=path)
    assert done.returncode == 2
    assert done.stderr == (
        "scrapy report: jinja2 is not installed: pip install miso-scrapy[dataset], or "
        "-r requirements-dataset.txt in a clone\n"
    )


def test_a_file_that_cannot_be_read_is_named_and_the_rest_is_reported(run, archive, tmp_path):
    path = path_of(archive, est(DAYS[0], "12:00"))
    copy = tmp_path / "archive" / path.relative_to(archive)
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"no gzip")
    args = ("report", "-o", tmp_path / "report.html")
    done = run(*args, MISO_DATA_DIR=str(tmp_path / "archive"))
    assert done.returncode == 1
    assert f"cannot be read: {copy}" in done.stderr
    assert "nothing to report" in done.stderr
    assert not (tmp_path / "report.html").exists()

    whole = path_of(archive, est(DAYS[0], "12:10"))
    shutil.copy(whole, copy.with_name(whole.name))
    done = run(*args, MISO_DATA_DIR=str(tmp_path / "archive"))
    assert done.returncode == 1
    assert f"cannot be read: {copy}" in done.stderr
    assert done.stdout == f"1 day reported: {tmp_path / 'report.html'}\n"
    assert (tmp_path / "report.html").exists()


def day_from(day, *clocks):
    """The market day of the simulator's snapshots at these times."""
    reader = SnapshotReader()
    instants = [est(day, clock).astimezone(UTC) for clock in clocks]
    return fold(day, [reader.read(at, None, normalise(snapshot(SEED, at))) for at in instants])
