"""`scrapy report`: the page, as a browser shows it that has no network."""

import json
import os
import re
import shutil
import subprocess
from datetime import UTC, date, datetime, time, timedelta
from types import SimpleNamespace

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from miso_scrapy.dataset.audit import audit, facts
from miso_scrapy.dataset.fold import SnapshotReader, fold
from miso_scrapy.dataset.forecast_error import hour_errors, lead_errors
from miso_scrapy.feed.market_day import EST
from miso_scrapy.feed.shape import normalise
from miso_scrapy.report.page import report
from miso_scrapy.simulator.load import day_of, snapshot
from miso_scrapy.simulator.writer import write_day
from tests.support.project import FOREIGN, SCRAPY

CHROMIUM = shutil.which("chromium")
in_chromium = pytest.mark.skipif(not CHROMIUM, reason="needs Debian's package chromium (as root)")

SEED = 3
# On the second of them the clocks of the US change; the market's does not.
DAYS = [date(2025, 11, 1), date(2025, 11, 2)]
CHARTS = ["load", "error", "lead", "map", "revisions", "age"]
TIME_CHARTS = ["load", "error", "revisions", "age"]
# The browser's Plotly draws EST as if it were UTC.
SHOWN = "id => document.getElementById(id).layout.xaxis.range.map(v => +new Date(v))"


def est(day, clock):
    return datetime.combine(day, time.fromisoformat(clock), EST)


# The snapshots that were not collected: later ones heal the first two, nothing the last two.
LOST = [est(DAYS[0], "08:00"), est(DAYS[0], "08:05"), est(DAYS[1], "23:50"), est(DAYS[1], "23:55")]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """The root of an archive of known content, with gaps."""
    root = tmp_path_factory.mktemp("archive")
    for day in DAYS:
        write_day(root, SEED, day)
    for instant in LOST:
        (path,) = root.rglob(f"*_{instant.astimezone(UTC):%Y%m%d_%H%M%S}.json.gz")
        path.unlink()
    return root


@pytest.fixture(scope="module")
def run(archive):
    """Run `scrapy ARGS...` on the archive."""
    clean = {name: value for name, value in os.environ.items() if not FOREIGN.match(name)}

    def run(*args, **env):
        return subprocess.run(
            [SCRAPY, *map(str, args)],
            cwd=archive,
            env={
                **clean,
                "SCRAPY_SETTINGS_MODULE": "miso_scrapy.settings",
                "MISO_DATA_DIR": str(archive),
                **env,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.fixture(scope="module")
def written(run, tmp_path_factory):
    """The page that `scrapy report` writes."""
    path = tmp_path_factory.mktemp("report") / "new" / "report.html"
    done = run("report", "-o", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"2 days reported: {path}\n"
    assert list(path.parent.iterdir()) == [path]
    return path


@pytest.fixture(scope="module")
def audited(run):
    """What `scrapy audit` says of the same archive."""
    return json.loads(run("audit", "--json").stdout)


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
    """Open the report: open_page(width, **options) -> page, its charts drawn."""

    def open_page(width=1200, **options):
        context = browser.new_context(
            viewport={"width": width, "height": 800}, offline=True, **options
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
def _desktop(open_page):
    return open_page(color_scheme="light")


@pytest.fixture
def page(_desktop):
    """The page on a desktop, in light, all of its range shown."""
    _desktop.emulate_media(color_scheme="light")
    _desktop.get_by_role("button", name="All").click()
    _desktop.mouse.move(0, 0)
    return _desktop


@pytest.fixture(scope="module")
def phone(open_page):
    """The page on a phone, in dark, its tables open."""
    page = open_page(360, color_scheme="dark", has_touch=True, is_mobile=True)
    page.evaluate("document.querySelectorAll('details').forEach(each => (each.open = true))")
    return page


def hover(page, chart, right, down):
    """Point into *chart*, as far to the right and down as these shares of it; return what it says."""
    element = page.locator(f"#{chart}")
    element.scroll_into_view_if_needed()
    box = element.bounding_box()
    page.mouse.move(box["x"] + box["width"] * right, box["y"] + box["height"] * down)
    page.wait_for_function(
        "id => document.querySelector(`#${id} .hoverlayer`).textContent", arg=chart
    )
    return page.locator(f"#{chart} .hoverlayer").text_content()


def cells(page, table):
    """The text of *table*: a dict for each row of its body and foot, by the column's head."""
    rows = page.locator(table).evaluate(
        "table => [...table.rows].map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


# --- The page --------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def in_silence(request):
    """Whatever a test does with a page, nothing goes wrong in it, and no network is asked."""
    yield
    if "open_page" in request.fixturenames:
        for seen in request.getfixturevalue("opened"):
            assert seen.errors == []
            assert seen.requests == [request.getfixturevalue("written").as_uri()]


@in_chromium
def test_every_chart_is_drawn_and_holds_what_the_audit_counts(page, audited):
    for chart, mark in {
        "load": ".scatterlayer path.js-line",
        "error": ".barlayer .point path",
        "lead": ".scatterlayer .point",
        "map": ".heatmaplayer image",
        "revisions": ".scatterlayer .point",
        "age": ".scatterlayer path.js-line",
    }.items():
        marks = page.locator(f"#{chart} {mark}")
        assert marks.first.bounding_box()["width"] > 0, chart
    figures = audited["total"]
    assert page.locator("#load .scatterlayer path.js-line").count() == 3
    assert page.locator("#revisions .scatterlayer .point").count() == figures["revisions"] > 10
    values = "id => document.getElementById(id).data.at(-1).y.filter(v => v !== null).length"
    assert page.evaluate(values, "load") == figures["values"] == 2 * 288 - 2
    assert page.evaluate(values, "age") == figures["snapshots"] == 2 * 288 - 4
    words = page.evaluate("document.getElementById('map').data[0].text.flat()")
    assert words.count("collected") == 2 * 288 - 4
    assert words.count("healed: a later snapshot had it") == figures["healed"] == 2
    assert words.count("missing") == figures["values_missing"] == 2


@in_chromium
def test_the_figures_are_those_of_the_audit(page, audited):
    columns = {
        "Snapshots of 288": "snapshots",
        "Values of 288": "values",
        "Missing": "values_missing",
        "Healed": "healed",
        "Revisions": "revisions",
        "Largest, MW": "largest_revision_mw",
        "Longest silence": "longest_silence_minutes",
    }
    *days, total = cells(page, "#summary ~ details table")
    assert [row["Market day"] for row in days] == [day["day"] for day in audited["days"]]
    for row, figures in zip([*days, total], [*audited["days"], audited["total"]], strict=True):
        shown = {key: int(re.match(r"\d+", row[head])[0]) for head, key in columns.items()}
        assert shown == {key: figures[key] for key in columns.values()}
    assert [row["Newest"] for row in days] == ["23:55", "23:45"]
    names, numbers = (
        page.locator(f".figures {each}").all_text_contents() for each in ("dt", "dd:not(.note)")
    )
    assert dict(zip(names, numbers, strict=True)) | {
        "Values known": "574",
        "Values missing": "2",
        "Values healed": "2",
        "Snapshots filed": "572",
        "Revisions": "18",
        "Longest silence": "10 min",
    } == dict(zip(names, numbers, strict=True))  # fmt: skip


@in_chromium
def test_hovering_tells_the_values_and_their_time_in_est(page):
    said = hover(page, "load", 0.3, 0.5)
    match = re.match(r"Sat 1 Nov 2025, (\d\d):(\d\d) ESTLoad : ([\d,]+) MW", said)
    index = int(match[1]) * 12 + int(match[2]) // 5
    assert int(match[3].replace(",", "")) == day_of(SEED, DAYS[0]).load_mw[index]
    cleared = day_of(SEED, DAYS[0]).cleared_mw[index // 12]
    assert re.search(r"Forecast : [\d,]+ MW", said)
    assert f"Cleared : {cleared:,} MW" in said
    assert re.fullmatch(
        r"\w+ \d Nov 2025, \d\d:00 ESTForecast error : .[\d,]+ MW", hover(page, "error", 0.3, 0.5)
    )
    assert re.search(r"hours aheadMean absolute error : [\d,]+ MW", hover(page, "lead", 0.5, 0.5))
    assert re.fullmatch(r"2025-11-0[12], \d\d:\d\d ESTcollected", hover(page, "map", 0.6, 0.5))
    assert "ESTAge : 1.2 minutes" in hover(page, "age", 0.3, 0.5)


@in_chromium
def test_zooming_shows_the_same_range_in_every_chart_of_time(page):
    both = [est(DAYS[0], "00:00"), est(DAYS[1], "00:00") + timedelta(days=1)]
    whole = [instant.replace(tzinfo=UTC).timestamp() * 1000 for instant in both]
    assert page.evaluate(SHOWN, "load") == whole

    element = page.locator("#load")
    element.scroll_into_view_if_needed()
    box = element.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.5, steps=5)
    page.mouse.up()
    page.wait_for_function("document.getElementById('shown').textContent.includes('EST')")
    first, last = page.evaluate(SHOWN, "load")
    assert whole[0] < first < last < whole[1]
    for chart in TIME_CHARTS:
        assert page.evaluate(SHOWN, chart) == [first, last]

    page.get_by_role("button", name="Day").click()
    assert page.locator("#shown").text_content() == "2 Nov 2025"
    page.get_by_role("button", name="Earlier").click()
    assert page.locator("#shown").text_content() == "1 Nov 2025"
    assert page.get_by_role("button", name="Earlier").is_disabled()
    assert page.evaluate(SHOWN, "age") == [whole[0], whole[0] + 86_400_000]
    page.locator("#load .nsewdrag").dblclick()
    assert page.locator("#shown").text_content() == "1 Nov 2025 to 2 Nov 2025"
    assert page.evaluate(SHOWN, "revisions") == whole


@in_chromium
def test_the_keyboard_reaches_every_button_and_table(open_page):
    page = open_page()
    focused = "() => document.activeElement.outerHTML.slice(0, 200)"
    page.keyboard.press("Tab")
    assert "Skip to the content" in page.evaluate(focused)
    assert page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    reached, opened = [], 0
    for _ in range(40):
        page.keyboard.press("Tab")
        html = page.evaluate(focused)
        if html.startswith("<body"):
            break
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", html
        reached.append(html)
        if html.startswith("<summary>Show"):
            page.keyboard.press("Enter")
            opened += 1
    assert opened == len(CHARTS) == page.locator("figure + details[open] table").count()
    assert sum("data-days=" in html for html in reached) == 3
    assert sum('class="scroll"' in html for html in reached) == len(CHARTS) + 1  # and the audit's


@in_chromium
def test_behind_each_chart_is_a_table_of_it(page):
    def table(chart):
        return cells(page, f"section[aria-labelledby='{chart}-title'] details table")

    load = table("load")
    assert [row["Hour (EST)"] for row in load][::47] == ["2025-11-01 00:00", "2025-11-02 23:00"]
    of_hour = day_of(SEED, DAYS[0]).load_mw[7 * 12 : 8 * 12]
    assert load[7]["Load, mean MW"] == f"{sum(of_hour) / 12:,.0f}"
    assert load[7]["Cleared, MW"] == f"{day_of(SEED, DAYS[0]).cleared_mw[7]:,}"
    assert load[-1]["Load, mean MW"] == "none"  # two of its intervals are missing
    # An hour at 00:00 has no forecast from before it began, and the last has no load.
    assert len(table("error")) == 2 * 23 - 1
    assert [row["Hours before the hour began"] for row in table("lead")] == [
        str(n) for n in range(23)
    ]
    assert [list(row.values()) for row in table("map")] == [
        ["2025-11-01", "286", "2", "0", "08:00-08:05", "none"],
        ["2025-11-02", "286", "0", "2", "none", "23:50-23:55"],
    ]  # fmt: skip
    assert [row["Values revised"] for row in table("revisions")] == ["9", "9"]
    assert [row["Half within"] for row in table("age")] == ["1.2", "1.2"]


@in_chromium
def test_the_charts_follow_the_colour_scheme_while_the_page_is_open(page):
    def colours():
        return page.evaluate(
            """() => [
                getComputedStyle(document.documentElement).backgroundColor,
                document.querySelector("#load .scatterlayer path.js-line").style.stroke,
                document.querySelector("#load .xtick text").style.fill,
                document.querySelector("#map .heatmaplayer image").href.baseVal,
            ]"""
        )

    light = colours()
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        "before => document.querySelector('#map .heatmaplayer image').href.baseVal !== before",
        arg=light[-1],
    )
    assert all(after != before for before, after in zip(light, colours(), strict=True))
    page.emulate_media(color_scheme="light")
    page.wait_for_function(
        "before => document.querySelector('#map .heatmaplayer image').href.baseVal === before",
        arg=light[-1],
    )
    assert colours() == light


@in_chromium
def test_a_phone_shows_it_without_scrolling_sideways(phone):
    wide = """() => [...document.querySelectorAll("body *:not(.scroll *, .hidden, .skip)")]
        .filter(each => each.getBoundingClientRect().right > 360)
        .map(each => each.outerHTML.slice(0, 80))"""
    assert phone.evaluate(wide) == []
    assert phone.evaluate("document.documentElement.scrollWidth") == 360
    phone.locator("#load").scroll_into_view_if_needed()
    phone.locator("#load .nsewdrag").tap()
    phone.wait_for_selector("#load .hoverlayer .legend", state="attached")
    assert " MW" in phone.locator("#load .hoverlayer").text_content()
    phone.set_viewport_size({"width": 800, "height": 360})  # turned
    phone.wait_for_function("document.querySelector('#load .main-svg').clientWidth > 700")
    phone.set_viewport_size({"width": 360, "height": 800})
    phone.wait_for_function("document.querySelector('#load .main-svg').clientWidth < 360")


@in_chromium
@pytest.mark.parametrize("on", ["page", "phone"])
def test_nobody_is_kept_out(request, on):
    page = request.getfixturevalue(on)
    assert page.title() == "MISO real-time total load: 1 Nov 2025 to 2 Nov 2025"
    found = Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []
    for chart in CHARTS:
        figure = page.locator(f"figure:has(#{chart})")
        assert figure.locator("[role=img]").get_attribute("aria-label").endswith(".")
        assert len(figure.locator("figcaption").text_content()) > 40
    # What axe does not look at: the text that is drawn.
    faint = page.evaluate(
        """() => {
            const channels = (text) => text.match(/[\\d.]+/g).map(Number);
            const luminance = (rgb) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, n) => {
                const c = rgb[n] / 255;
                return sum + weight * (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
            }, 0);
            const page = getComputedStyle(document.documentElement);
            const paper = luminance(channels(page.backgroundColor));
            return [...document.querySelectorAll(".chart text")].filter((text) => {
                const ink = luminance(channels(getComputedStyle(text).fill));
                return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05) < 4.5;
            }).map((text) => text.textContent);
        }"""
    )
    assert faint == []
    assert page.locator(".chart text").count() > 50


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


# --- The command -----------------------------------------------------------------------------------


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


def test_without_the_charting_library_it_says_what_to_install(run, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['plotly'] = None")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    done = run("report", "-o", tmp_path / "report.html", PYTHONPATH=path)
    assert done.returncode == 2
    assert done.stderr == (
        "scrapy report: plotly is not installed: pip install miso-scrapy[dataset], or "
        "-r requirements-dataset.txt in a clone\n"
    )


def test_a_file_that_cannot_be_read_is_named_and_the_rest_is_reported(run, archive, tmp_path):
    (path,) = archive.rglob(f"*_{est(DAYS[0], '12:00').astimezone(UTC):%Y%m%d_%H%M%S}.json.gz")
    copy = tmp_path / "archive" / path.relative_to(archive)
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"no gzip")
    args = ("report", "-o", tmp_path / "report.html")
    done = run(*args, MISO_DATA_DIR=str(tmp_path / "archive"))
    assert done.returncode == 1
    assert f"cannot be read: {copy}" in done.stderr
    assert "nothing to report" in done.stderr
    assert not (tmp_path / "report.html").exists()

    whole = path.with_name(path.name.replace("_170000", "_171000"))
    shutil.copy(whole, copy.with_name(whole.name))
    done = run(*args, MISO_DATA_DIR=str(tmp_path / "archive"))
    assert done.returncode == 1
    assert f"cannot be read: {copy}" in done.stderr
    assert done.stdout == f"1 day reported: {tmp_path / 'report.html'}\n"
    assert (tmp_path / "report.html").exists()


# --- What it is made of ----------------------------------------------------------------------------


def day_from(day, *clocks):
    """The market day of the simulator's snapshots at these times."""
    reader = SnapshotReader()
    instants = [est(day, clock).astimezone(UTC) for clock in clocks]
    return fold(day, [reader.read(at, None, normalise(snapshot(SEED, at))) for at in instants])


def test_an_hours_error_is_that_of_the_forecast_that_stood_when_it_began():
    day = day_from(DAYS[0], "08:55", "09:00", "09:30", "23:55")
    (nine,) = [error for error in hour_errors(day) if error.hour_start == est(DAYS[0], "09:00")]
    (before,) = [
        row["LoadForecast"]
        for row in normalise(snapshot(SEED, est(DAYS[0], "08:55")))["MediumTermLoadForecast"]
        if row["HourEnding"] == "10"
    ]
    mean = sum(day_of(SEED, DAYS[0]).load_mw[9 * 12 : 10 * 12]) / 12
    assert nine.forecast_mw == before
    assert nine.mw == pytest.approx(before - mean)
    assert min(error.hour_start for error in hour_errors(day)) == est(DAYS[0], "09:00")


def test_errors_by_lead_time_compare_what_was_known_then():
    day = day_from(DAYS[0], "08:55", "20:55", "23:55")
    leads = {lead.lead_hours: lead for lead in lead_errors([day])}
    # Of 09:00 to 23:00 a forecast from before 09:00 is known, so of 23:00 the longest, 14 hours.
    assert sorted(leads) == list(range(15))
    assert leads[0].hours == 15
    assert leads[14].hours == 1
    (last,) = [
        vintage.mw
        for vintage in day.forecast
        if vintage.hour_start == est(DAYS[0], "23:00")
        and vintage.published == est(DAYS[0], "08:55")
    ]
    mean = sum(value.load_mw for value in day.load[23 * 12 :]) / 12
    assert leads[14].bias_mw == pytest.approx(last - mean)
    assert leads[14].mean_absolute_mw == pytest.approx(abs(last - mean))
    assert leads[2].mean_absolute_mw > leads[0].mean_absolute_mw


def test_hours_after_one_without_its_load_have_their_error():
    """A gap costs its own hours, in both: by hour, and by lead time."""
    clocks = [f"{hour:02d}:55" for hour in range(8)]
    whole, day = day_from(DAYS[0], *clocks, "23:55"), day_from(DAYS[0], *clocks, "23:55")
    gap = {est(DAYS[0], "10:00"), est(DAYS[0], "11:00")}
    day.load = [value for value in day.load if value.interval_start.replace(minute=0) not in gap]
    errors = [error for error in hour_errors(whole) if error.hour_start not in gap]
    assert hour_errors(day) == errors
    assert max(error.hour_start for error in errors) == est(DAYS[0], "23:00")
    hours = {lead.lead_hours: lead.hours for lead in lead_errors([whole])}
    less = {lead.lead_hours: lead.hours for lead in lead_errors([day])}
    assert less[0] == hours[0] - 2
    assert max(less) == max(hours)


def test_an_hour_without_a_forecast_does_not_hide_those_after_it():
    day = day_from(DAYS[0], "00:55", "23:55")
    ten = est(DAYS[0], "10:00")
    day.forecast = [vintage for vintage in day.forecast if vintage.hour_start != ten]
    hours = [error.hour_start for error in hour_errors(day)]
    assert ten not in hours
    assert max(hours) == est(DAYS[0], "23:00")


def test_tables_stay_short_over_a_long_range():
    days = [day_from(DAYS[0] + timedelta(days=number), "23:55") for number in range(8)]
    now = est(days[-1].day, "23:59")
    page = report(days, [audit(facts(day), now) for day in days], now)
    tables = re.findall(r"<tbody>(.*?)</tbody>", page, re.DOTALL)
    assert [table.count("<tr>") for table in tables] == [8, 8, 8, 0, 8, 8, 8]


def test_what_is_still_to_come_is_not_missing():
    day = day_from(DAYS[0], "06:00")
    now = est(DAYS[0], "06:12")
    page = report([day], [audit(facts(day), now)], now)
    data = json.loads(re.search(r'id="data">(.*?)</script>', page)[1])
    assert data["state"] == ["h" * 72 + "c" + "m" + "-" * 214]
    assert "72 of them healed" in page
    assert "12 min old" in page
