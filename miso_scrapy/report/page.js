"use strict";
// Draw the charts and fill the tables for the days that are chosen. The data block has every figure:
// this script computes none. uPlot shows times as UTC here, so EST is passed to it as if it were UTC.

/** Return the JSON of the data block: gzip in base64. */
const unpack = async () => {
  const bytes = Uint8Array.from(atob(document.getElementById("data").textContent), (c) => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
};

const begin = (data) => {
  const INTERVAL = 300;
  const HOUR = 12 * INTERVAL;
  const DAY = 24 * HOUR; // seconds, as uPlot counts
  const STATES = { c: "collected", h: "healed", m: "missing", "-": "not due yet" };
  const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
  const midnights = data.days.map((day) => Date.parse(`${day}T00:00Z`) / 1000);
  const element = (id) => document.getElementById(id);
  const all = (selector) => document.querySelectorAll(selector);
  const narrow = window.matchMedia("(max-width: 40rem)");

  // --- Words --------------------------------------------------------------------------------------

  const whole = (value) => Math.round(value).toLocaleString("en-US");
  const mw = (value) => (value == null ? "none" : `${whole(value)} MW`);
  const signed = (value) => (value > 0 ? "+" : "") + value.toLocaleString("en-US");
  const clock = (n) => `${String(Math.floor(n / 12)).padStart(2, "0")}:${String((n % 12) * 5).padStart(2, "0")}`;
  const iso = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16);
  const date = (seconds) => {
    const day = new Date(seconds * 1000);
    return `${day.getUTCDate()} ${MONTHS[day.getUTCMonth()]}`;
  };
  const time = (seconds) => `${date(seconds)} ${iso(seconds).slice(0, 4)}, ${iso(seconds).slice(11)}`;
  /** Return minutes in the unit that suits a value up to *most*. */
  const span = (minutes, most = minutes) => {
    const [size, unit] = most >= 2880 ? [1440, "days"] : most >= 120 ? [60, "h"] : [1, "min"];
    return `${(minutes / size).toLocaleString("en-US", { maximumFractionDigits: 1 })} ${unit}`;
  };

  // --- The days that are shown --------------------------------------------------------------------

  let length = "all";
  let index = 0; // of the range among those of its length
  const range = () => data.ranges[length][index];
  const numbers = () => {
    const { first, end } = range();
    return Array.from({ length: end - first }, (_, n) => first + n);
  };
  /** Return *values*, of which each day has *size*, of the days shown. */
  const part = (values, size) => values.slice(range().first * size, range().end * size);

  // --- The rows of the tables: what the charts plot -----------------------------------------------

  const ROWS = {
    load: {
      head: ["Interval (EST)", "Load, MW", "Forecast, MW", "Cleared, MW", "Forecast minus load, MW"],
      rows: () => part(data.load, 288).map((load, n) => {
        const hour = range().first * 24 + Math.floor(n / 12);
        const at = iso(midnights[range().first] + n * INTERVAL);
        return [at, load, data.forecast[hour], data.cleared[hour], data.difference[hour]];
      }),
    },
    map: {
      head: ["Market day", "First interval (EST)", "Last interval (EST)", "State"],
      rows: () => numbers().flatMap((day) => runs(data.states[day]).map(
        ([state, first, end]) => [data.days[day], clock(first), clock(end - 1), STATES[state]],
      )),
    },
    error: {
      head: ["Hour begins (EST)", "Hours ahead", "Hours compared", "Mean absolute error, MW", "Bias, MW", "Mean absolute error, %", "Bias, %"],
      rows: () => errors().map(([hour, ...cells]) => [clock(hour * 12), ...cells]),
    },
    peak: {
      head: ["Market day", "Forecast peak, MW", "Forecast hour (EST)", "Real peak, MW", "Real hour (EST)"],
      rows: () => numbers().map((day) => {
        const hour = (n) => (n == null ? null : clock(n * 12));
        const [forecast, expected, load, real] = data.peaks[day] || [];
        return [data.days[day], forecast, hour(expected), load, hour(real)];
      }),
    },
    revisions: {
      head: ["Interval (EST)", "Before, MW", "After, MW", "Change, MW", "Minutes after the first publication"],
      rows: () => revisions().map(([at, ...cells]) => [iso(at), ...cells]),
    },
    age: {
      head: ["From, minutes", "To, minutes", "Snapshots"],
      rows: () => bins().map(([from, to, count]) => [from, to, count]),
    },
    audit: {
      head: [...all("#audit thead th")].map((cell) => cell.textContent),
      rows: () => [...all("#audit tbody tr:not([hidden])")].map((row) => [
        data.days[row.dataset.day],
        ...[...row.cells].slice(1).map((cell) => cell.textContent.replace(/^[\d,]+$/, (number) => number.replaceAll(",", ""))),
      ]),
    },
  };

  /** Return the runs of equal letters: the letter, its first place, and the place after its last. */
  const runs = (letters) => [...letters.matchAll(/(.)\1*/g)].map((run) => [run[1], run.index, run.index + run[0].length]);
  const revisions = () => numbers().flatMap((day) => data.revisions[day].map(
    ([n, ...cells]) => [midnights[day] + n * INTERVAL, ...cells],
  ));
  /** Return hour, lead, hours compared, then the errors as in the table. That of a day is of one hour. */
  const errors = () => range().errors ?? data.errors[range().first].flatMap(([hour, leads]) => leads.map(
    ([error, percent], lead) => [hour, lead, 1, Math.abs(error), error, Math.abs(percent), percent],
  ));
  const bins = () => {
    const { start, width, bins: counts } = range().ages;
    const edge = (n) => +(start + n * width).toFixed(2);
    return counts.map((count, n) => [edge(n), edge(n + 1), count]);
  };

  // --- Charts with uPlot --------------------------------------------------------------------------

  let plots = [];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  /** Draw a chart. *series* have the keys that uPlot gives them; *tell* says what is under the cursor. */
  const plot = (id, values, series, { readout, tell, chosen, days = true, clocks = true, bands, unit, y, hideX, ...more }) => {
    const box = element(id);
    const axis = { stroke: colour("muted"), grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false }, font: `12px ${getComputedStyle(document.body).fontFamily}` };
    const days_ = (u, splits, _, __, step) => splits.map((at) => (step >= DAY || at % DAY === 0 ? date(at) : clocks ? iso(at).slice(11) : ""));
    const chart = new uPlot({
      width: box.clientWidth,
      height: box.clientHeight,
      legend: { show: false },
      padding: [20, 22, hideX ? 6 : 0, 0],
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
      cursor: { drag: { x: false, y: false }, y: false, sync: readout && { key: readout }, points: { size: 7 } },
      scales: { x: { time: days }, y: { range: y } },
      axes: [
        { ...axis, size: hideX ? 4 : 34, space: 76, ...(days && { values: hideX ? (_, splits) => splits.map(() => "") : days_ }) },
        { ...axis, size: 62, space: box.clientHeight > 140 ? 34 : 14, values: (_, splits) => splits.map((value) => value.toLocaleString("en-US")) },
      ],
      series: [{}, ...series],
      ...more,
      hooks: {
        drawClear: [(u) => bands?.(u)],
        draw: [(u) => marks(u, unit)],
        setCursor: [(u) => {
          const n = u.cursor.idx;
          if (tell && n != null && u.cursor.left >= 0) element(`${readout}-readout`).textContent = tell(n);
        }],
      },
    }, values, box);
    if (chosen) {
      chart.over.style.cursor = "pointer";
      chart.over.addEventListener("click", () => chart.cursor.idx != null && show("day", chosen(chart.cursor.idx)));
    }
    plots.push(chart);
  };

  /** Write the unit above a chart, and what must not be overlooked across it. */
  const marks = (u, unit) => {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.fillStyle = colour("muted");
    ctx.font = `${12 * devicePixelRatio}px ${getComputedStyle(document.body).fontFamily}`;
    ctx.textAlign = "left";
    ctx.textBaseline = "bottom";
    ctx.fillText(unit, bbox.left, bbox.top - 4 * devicePixelRatio);
    if (data.simulated) {
      const size = Math.min(bbox.height * 0.3, bbox.width * 0.11);
      ctx.globalAlpha = 0.1;
      ctx.fillStyle = colour("ink");
      ctx.font = `700 ${size}px sans-serif`;
      ctx.textAlign = "center";
      ctx.textBaseline = "middle";
      ctx.fillText("SIMULATED", bbox.left + bbox.width / 2, bbox.top + bbox.height / 2);
    }
    ctx.restore();
  };

  const room = (_, low, high) => (low == null ? [0, 1] : uPlot.rangeNum(...(high - low < 100 ? [low - 500, high + 500] : [low, high]), 0.06, false));
  const fromZero = (_, low, high) => [Math.min(0, (low ?? 0) * 1.1), Math.max((high ?? 1) * 1.1, 1)];
  const steps = uPlot.paths.stepped({ align: 1 });
  const points = (name) => ({ paths: () => null, points: { show: true, size: 7, width: 0, fill: colour(name) } });

  const drawLoad = () => {
    const first = range().first;
    const load = part(data.load, 288);
    const x = load.map((_, n) => midnights[first] + n * INTERVAL);
    const hourly = (values) => {
      const hours = part(values, 24);
      return x.map((_, n) => hours[Math.floor(n / 12)]);
    };
    const forecast = hourly(data.forecast);
    const cleared = hourly(data.cleared);
    const difference = hourly(data.difference);
    const common = {
      readout: "load",
      chosen: (n) => first + Math.floor(n / 288),
      tell: (n) => `${time(x[n])} EST: load ${mw(load[n])}, forecast ${mw(forecast[n])}, cleared ${mw(cleared[n])}`
        + (difference[n] == null ? "" : `, forecast minus the hour's load ${signed(difference[n])} MW`),
      bands: (u) => {
        u.ctx.fillStyle = colour("missing-band");
        numbers().forEach((day) => runs(data.states[day]).forEach(([state, start, end]) => {
          if (state !== "m") return;
          const [left, right] = [start, end].map((n) => u.valToPos(midnights[day] + n * INTERVAL, "x", true));
          u.ctx.fillRect(left, u.bbox.top, Math.max(right - left, 3), u.bbox.height);
        }));
      },
      unit: "MW",
    };
    plot("load", [x, cleared, forecast, load], [
      { stroke: colour("cleared"), width: 1.5, dash: [2, 3], paths: steps, points: { show: false } },
      { stroke: colour("forecast"), width: 1.5, dash: [7, 4], paths: steps, points: { show: false } },
      { stroke: colour("load"), width: load.length > 60 * 288 ? 1 : 2, points: { show: false } },
    ], { ...common, y: room, hideX: true });
    plot("difference", [x, difference], [
      { stroke: colour("difference"), fill: colour("difference-fill"), fillTo: 0, width: 1, paths: steps, points: { show: false } },
    ], { ...common, y: fromZeroBoth, unit: "forecast minus load, MW" });
  };
  const fromZeroBoth = (_, low, high) => {
    const most = Math.max(Math.abs(low ?? 0), Math.abs(high ?? 0), 1) * 1.15;
    return [-most, most];
  };

  const drawPeak = () => {
    const first = range().first;
    const peaks = numbers().map((day) => data.peaks[day] || []);
    const column = (n) => peaks.map((peak) => peak[n] ?? null);
    const dots = (name) => ({ stroke: colour(name), width: 1.5, points: { show: peaks.length < 100, size: 7, fill: colour(name) } });
    plot("peak", [numbers().map((day) => midnights[day]), column(0), column(2)], [
      { ...dots("forecast"), dash: [7, 4] }, dots("load"),
    ], {
      readout: "peak", clocks: false, unit: "MW", chosen: (n) => first + n,
      scales: { x: { time: true, range: [midnights[first] - DAY / 2, midnights[first + peaks.length - 1] + DAY / 2] }, y: { range: room } },
      tell: (n) => {
        const [forecast, expected, load, real] = peaks[n];
        return `${date(midnights[first + n])}: forecast ${mw(forecast)}${expected == null ? "" : ` from ${clock(expected * 12)}`}, `
          + `real ${mw(load)}${real == null ? "" : ` from ${clock(real * 12)}`}`;
      },
    });
  };

  const drawRevisions = () => {
    const { first, end } = range();
    const rows = revisions();
    const x = rows.map((row) => row[0]);
    const common = {
      readout: "revisions",
      chosen: (n) => midnights.findLastIndex((midnight) => midnight <= x[n]),
      tell: (n) => `${time(x[n])} EST: ${mw(rows[n][1])} became ${mw(rows[n][2])} (${signed(rows[n][3])} MW), ${span(rows[n][4])} after it was first published`,
    };
    const scales = (y) => ({ x: { time: true, range: [midnights[first], midnights[end - 1] + DAY] }, y: { range: y } });
    plot("revisions", [x, rows.map((row) => row[3])], [points("load")], { ...common, scales: scales(fromZeroBoth), hideX: true, unit: "change, MW" });
    plot("after", [x, rows.map((row) => row[4] / 60)], [points("load")], { ...common, scales: scales(fromZero), unit: "hours after the first publication" });
  };

  const drawAge = () => {
    const rows = bins();
    const most = rows.length ? rows.at(-1)[1] : 1;
    const { width } = range().ages;
    const [size, unit] = most >= 2880 ? [1440, "days"] : most >= 120 ? [60, "hours"] : [1, "minutes"];
    plot("age", [rows.map(([from]) => from / size), rows.map((row) => row[2])], [
      { stroke: colour("load"), fill: colour("load-fill"), width: 1, paths: uPlot.paths.bars({ size: [1], align: 1 }), points: { show: false } },
    ], {
      readout: "age", days: false, unit: `snapshots, by ${unit} after the interval began`,
      scales: { x: { time: false, range: [(rows.length ? rows[0][0] : 0) / size, Math.max(most, width) / size] }, y: { range: fromZero } },
      tell: (n) => `${whole(rows[n][2])} snapshots after ${span(rows[n][0], most)} to ${span(rows[n][1], most)}`,
    });
  };

  // --- Charts without it: the map, the heat map, the days -----------------------------------------

  /** Draw a row of 288 intervals for each day. */
  const drawMap = () => {
    const box = element("map");
    const days = numbers();
    const row = Math.max(1, Math.min(26, Math.floor(480 / days.length)));
    const [left, top] = [64, 22];
    const scale = devicePixelRatio;
    const canvas = document.createElement("canvas");
    const [width, height] = [box.clientWidth, top + row * days.length];
    Object.assign(canvas, { width: width * scale, height: height * scale });
    canvas.style.height = `${height}px`;
    const ctx = canvas.getContext("2d");
    ctx.scale(scale, scale);
    ctx.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    ctx.fillStyle = colour("muted");
    const at = (n) => left + ((width - left - 4) * n) / 288;
    const every = narrow.matches ? 72 : 36;
    for (let n = 0; n <= 288; n += every) {
      ctx.textAlign = n === 288 ? "right" : n ? "center" : "left";
      ctx.fillText(clock(n), at(n), 14);
    }
    let free = 0; // where the next label fits
    ctx.textAlign = "left";
    days.forEach((day, n) => {
      const y = top + n * row;
      if (y >= free) {
        ctx.fillStyle = colour("muted");
        ctx.fillText(date(midnights[day]), 0, y + Math.min(row, 14) / 2 + 5);
        free = y + 16;
      }
      for (const [state, start, end] of runs(data.states[day])) {
        if (state === "-") continue;
        ctx.fillStyle = colour(STATES[state]);
        const wide = state === "m" ? Math.max(at(end) - at(start), 2) : at(end) - at(start);
        ctx.fillRect(at(start), y, wide, row > 3 ? row - 1 : row);
      }
    });
    const under = (event) => {
      const n = Math.floor(((event.offsetX - left) / (width - left - 4)) * 288);
      const day = days[Math.floor((event.offsetY - top) / row)];
      return day === undefined || n < 0 || n > 287 || event.offsetY < top ? null : [day, n];
    };
    canvas.addEventListener("mousemove", (event) => {
      const found = under(event);
      if (found) element("map-readout").textContent = `${time(midnights[found[0]] + found[1] * INTERVAL)} EST: ${STATES[data.states[found[0]][found[1]]]}`;
    });
    canvas.addEventListener("click", (event) => under(event) && show("day", under(event)[0]));
    box.replaceChildren(canvas);
  };

  /** Return a table element with *rows* of cells; *head* is its first row. */
  const table = (head, rows, cell) => {
    const made = document.createElement("table");
    const line = made.createTHead().insertRow();
    for (const text of head) {
      const th = line.appendChild(document.createElement("th"));
      th.scope = "col";
      th.textContent = text;
    }
    const body = made.createTBody();
    append(body, rows, cell);
    return made;
  };
  const append = (body, rows, cell) => {
    for (const row of rows) {
      const line = body.insertRow();
      row.forEach((value, n) => {
        const made = line.appendChild(document.createElement(n ? "td" : "th"));
        if (!n) made.scope = "row";
        cell(made, value);
      });
    }
  };

  const drawErrors = () => {
    const which = Number(element("measure").value);
    const cells = errors();
    const hours = [...new Set(cells.map(([hour]) => hour))].sort((a, b) => a - b);
    const leads = [...new Set(cells.map(([, lead]) => lead))].sort((a, b) => a - b);
    const byPlace = new Map(cells.map((row) => [`${row[0]} ${row[1]}`, row[which]]));
    const most = Math.max(...cells.map((row) => Math.abs(row[which])), 1e-9);
    const rows = leads.map((lead) => [`${lead} h`, ...hours.map((hour) => byPlace.get(`${hour} ${lead}`))]);
    const percent = which > 4;
    const made = table(["Ahead", ...hours.map((hour) => clock(hour * 12).slice(0, 2))], rows, (cell, value) => {
      if (typeof value === "string") cell.textContent = value;
      if (typeof value !== "number") return;
      const text = percent ? value.toFixed(1) : whole(value);
      cell.textContent = which % 2 || value <= 0 ? text : `+${text}`;
      const share = Math.round((45 * Math.abs(value)) / most);
      cell.style.backgroundColor = `color-mix(in srgb, var(--${value < 0 ? "below" : "above"}) ${share}%, var(--surface))`;
    });
    const caption = made.createCaption();
    caption.textContent = `${element("measure").selectedOptions[0].text}, by the hour of the day (EST, across) and hours ahead (down)`;
    element("error").replaceChildren(made);
  };
  element("measure").addEventListener("change", drawErrors);

  /** Build the map of days: a block for each month, a button for each day. */
  const buildDays = () => {
    const months = new Map();
    data.days.forEach((text, day) => months.set(text.slice(0, 7), [...(months.get(text.slice(0, 7)) ?? []), day]));
    const box = element("days");
    box.dataset.size = months.size < 3 ? "large" : months.size < 5 ? "medium" : "small";
    for (const [month, days] of months) {
      const block = box.appendChild(document.createElement("div"));
      const name = block.appendChild(document.createElement("p"));
      name.textContent = `${MONTHS[month.slice(5) - 1]} ${month.slice(0, 4)}`;
      const cells = block.appendChild(document.createElement("div"));
      for (const weekday of box.dataset.size === "large" ? "MTWTFSS" : "") {
        const letter = cells.appendChild(document.createElement("span"));
        letter.textContent = weekday;
        letter.ariaHidden = "true";
      }
      days.forEach((day, n) => {
        const button = cells.appendChild(document.createElement("button"));
        const [missing, healed] = [data.missing[day], data.healed[day]];
        button.type = "button";
        button.dataset.show = day;
        button.textContent = Number(data.days[day].slice(8));
        const said = [missing && `${missing} missing`, healed && `${healed} healed`].filter(Boolean).join(", ") || "complete";
        button.setAttribute("aria-label", `${date(midnights[day])} ${month.slice(0, 4)}: ${said}`);
        button.title = button.getAttribute("aria-label");
        const part = Math.round(((missing || healed) / 288) * 100);
        const share = part > 50 ? Math.max(70, part) : 30; // its edge is not behind the number
        button.classList.toggle(missing ? "missing" : "healed", missing + healed > 0);
        button.classList.toggle("most", part > 50);
        button.style.setProperty("--share", `${share}%`);
        if (!n) button.style.gridColumnStart = ((new Date(midnights[day] * 1000).getUTCDay() + 6) % 7) + 1;
      });
    }
    box.scrollTop = box.scrollHeight; // to the newest days
    box.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7 }[event.key];
      const target = step && element("days").querySelector(`[data-show="${Number(event.target.dataset.show) + step}"]`);
      if (!target) return;
      event.preventDefault();
      rove(target);
      target.focus();
    });
  };
  /** Let the Tab key reach one day only: *target*. */
  const rove = (target) => all("#days button").forEach((button) => { button.tabIndex = button === target ? 0 : -1; });

  // --- Tables and CSV files -----------------------------------------------------------------------

  const PAGE = 2016; // rows: a week of intervals
  const fill = (id) => {
    const box = element(`${id}-data`).querySelector(".scroll");
    const rows = ROWS[id].rows();
    const write = (cell, value) => {
      cell.textContent = value == null ? "none" : typeof value === "number" ? value.toLocaleString("en-US") : value.replace("T", " ");
    };
    const made = table(ROWS[id].head, rows.slice(0, PAGE), write);
    const caption = made.createCaption();
    box.replaceChildren(made);
    let shown = Math.min(PAGE, rows.length);
    const more = document.createElement("button");
    const count = () => {
      caption.textContent = `${range().name}: ${shown < rows.length ? `${whole(shown)} of ` : ""}${whole(rows.length)} ${rows.length === 1 ? "row" : "rows"}`;
      if (shown === rows.length) more.remove();
    };
    more.type = "button";
    more.textContent = "Show more rows";
    more.addEventListener("click", () => {
      append(made.tBodies[0], rows.slice(shown, shown + PAGE), write);
      shown = Math.min(shown + PAGE, rows.length);
      count();
    });
    box.append(more);
    count();
  };
  const save = (id) => {
    const field = (value) => {
      if (value == null) return "";
      const text = String(value).replace(/^(\d{4}-\d\d-\d\dT\d\d:\d\d)$/, "$1-05:00");
      return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    const lines = [ROWS[id].head, ...ROWS[id].rows()].map((row) => row.map(field).join(","));
    const link = document.createElement("a");
    const { first, end } = range();
    link.href = URL.createObjectURL(new Blob([`${lines.join("\r\n")}\r\n`], { type: "text/csv" }));
    link.download = `miso-${id}-${data.days[first]}-to-${data.days[end - 1]}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };

  // --- Show ---------------------------------------------------------------------------------------

  const draw = () => {
    plots.forEach((chart) => chart.destroy());
    plots = [];
    drawLoad();
    drawMap();
    drawErrors();
    drawPeak();
    drawRevisions();
    drawAge();
  };

  const describe = () => {
    const { first, end, name, captions, total } = range();
    element("shown").textContent = name;
    all(".shown").forEach((each) => { each.textContent = name; });
    all(".readout").forEach((each) => { each.textContent = "Point at the chart to read its values."; });
    for (const [id, text] of Object.entries(captions)) element(`${id}-caption`).querySelector(".said").textContent = text;
    all("[data-length]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.length === length)));
    all("[data-move]").forEach((button) => { button.disabled = !data.ranges[length][index + Number(button.dataset.move)]; });
    all("#days button").forEach((button) => {
      const inside = button.dataset.show >= first && button.dataset.show < end;
      button.setAttribute("aria-pressed", String(length !== "all" && inside));
    });
    all("#audit tbody tr").forEach((row) => { row.hidden = row.dataset.day < first || row.dataset.day >= end; });
    [...all("#audit tfoot tr > *")].forEach((cell, n) => { cell.textContent = total[n]; });
    rove(element("days").querySelector(`[data-show="${length === "all" ? end - 1 : first}"]`));
    all(".data details").forEach((details) => {
      const id = details.id.replace("-data", "");
      if (details.open) fill(id);
      else details.querySelector(".scroll").replaceChildren();
    });
  };

  /** Show the range of *length* that has the day with the number *day*. */
  const show = (wanted, day) => {
    length = wanted;
    index = data.ranges[length].findIndex(({ end }) => day < end);
    describe();
    draw();
  };

  buildDays();
  all("[data-length]").forEach((button) => button.addEventListener("click", () => show(button.dataset.length, range().end - 1)));
  all("[data-move]").forEach((button) => button.addEventListener("click", () => {
    show(length, data.ranges[length][index + Number(button.dataset.move)].first);
  }));
  all("[data-show]").forEach((button) => button.addEventListener("click", () => show("day", Number(button.dataset.show))));
  all("[data-save]").forEach((button) => button.addEventListener("click", () => save(button.dataset.save)));
  all(".data details").forEach((details) => details.addEventListener("toggle", () => details.open && fill(details.id.replace("-data", ""))));
  for (const query of ["(prefers-color-scheme: dark)", "print"]) window.matchMedia(query).addEventListener("change", draw);
  let resized;
  let wide = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === wide) return; // a phone's address bar came or went
    wide = window.innerWidth;
    clearTimeout(resized);
    resized = setTimeout(draw, 100);
  });
  describe();
  draw();
  document.documentElement.dataset.drawn = "";
};

unpack().then(begin);
