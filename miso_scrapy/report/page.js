"use strict";
// Draw the page's charts from its data block. Plotly shows times as UTC, so times in EST are passed to
// it as if they were UTC. This works because neither has daylight saving time.
{
  const data = JSON.parse(document.getElementById("data").textContent);
  const STEP = 5 * 60 * 1000;
  const HOUR = 12 * STEP;
  const DAY = 24 * HOUR;
  const midnights = data.days.map((day) => Date.parse(day));
  const first = midnights[0];
  const last = midnights.at(-1) + DAY;

  /** Return one series of all days. A null after an incomplete day, or before a missing one, breaks the line. */
  const series = (days, step) => {
    const x = [];
    const y = [];
    days.forEach((values, i) => {
      values.forEach((value, n) => {
        x.push(midnights[i] + n * step);
        y.push(value);
      });
      if (values.length * step < DAY || midnights[i + 1] !== midnights[i] + DAY) {
        x.push(midnights[i] + values.length * step);
        y.push(null);
      }
    });
    return { x, y };
  };
  /** Return hours as 5-minute intervals, so that hovering over any interval shows the value of its hour. */
  const intervals = (days) => series(days.map((hours) => hours.flatMap((mw) => Array(12).fill(mw))), STEP);
  const points = (days, field) => days.flatMap((rows, i) => rows.map((row) => field(row, i)));
  const times = Array.from({ length: 288 }, (_, n) => new Date(n * STEP).toISOString().slice(11, 16));
  const narrow = window.matchMedia("(max-width: 40rem)");
  const WORDS = { c: "collected", h: "healed: a later snapshot had it", m: "missing", "-": "not due yet" };
  const LEVELS = { c: 0, h: 1, m: 2, "-": null };

  const TICKS = [
    { dtickrange: [null, DAY - 1], value: "%H:%M\n%-d %b %Y" },
    { dtickrange: [DAY, "M1"], value: "%-d %b\n%Y" },
    { dtickrange: ["M1", null], value: "%b\n%Y" },
  ];
  const AT = "%{x|%a %-d %b %Y, %H:%M} EST";
  const MW = "%{y:,.0f} MW";
  const line = (name, xy, colour, dash, width) => ({
    type: "scatter", mode: "lines", name, ...xy, line: { color: colour, dash, width }, hovertemplate: MW,
  });

  const charts = {
    load: {
      time: true,
      traces: (colour) => [
        line("Cleared", intervals(data.cleared), colour("cleared"), "dot", 1.5),
        line("Forecast", intervals(data.forecast), colour("forecast"), "dash", 1.5),
        line("Load", series(data.load, STEP), colour("load"), "solid", 2),
      ],
      layout: { hovermode: "x unified", showlegend: true },
      unit: "MW",
    },
    error: {
      time: true,
      zero: true,
      traces: (colour) => [{
        type: "bar", name: "Forecast error", ...series(data.error, HOUR), offset: 0, width: HOUR,
        marker: { color: colour("forecast"), line: { width: 0 } },
        hovertemplate: "%{y:+,.0f} MW",
      }],
      layout: { hovermode: "x unified" },
      unit: "MW, forecast minus load",
    },
    lead: {
      traces: (colour) => {
        const x = data.lead.map((row) => row[0]);
        const customdata = data.lead.map((row) => row[1]);
        const of = (name, n, key, dash, symbol) => ({
          ...line(name, { x, y: data.lead.map((row) => row[n]) }, colour(key), dash, 2),
          mode: "lines+markers", marker: { symbol, size: 7 }, customdata,
        });
        return [
          { ...of("Bias", 3, "forecast", "dash", "square"), hovertemplate: "%{y:+,.0f} MW" },
          { ...of("Mean absolute error", 2, "load", "solid", "circle"), hovertemplate: `${MW} (%{customdata:,} hours)` },
        ];
      },
      layout: { hovermode: "x unified", showlegend: true },
      x: () => ({ title: { text: "hours before the hour began", font: { size: 13 } }, dtick: narrow.matches ? 4 : 2, zeroline: false, unifiedhovertitle: { text: "%{x} hours ahead" } }),
      unit: "MW",
    },
    map: {
      traces: (colour) => [{
        type: "heatmap", x: times, y: data.days, showscale: false, zmin: 0, zmax: 2,
        ygap: data.days.length > 45 ? 0 : 1,
        z: data.state.map((day) => [...day].map((state) => LEVELS[state])),
        text: data.state.map((day) => [...day].map((state) => WORDS[state])),
        colorscale: ["collected", "healed", "missing"].flatMap((name, n) => [
          [n / 3, colour(name)], [(n + 1) / 3, colour(name)],
        ]),
        hovertemplate: "%{y}, %{x} EST<br>%{text}<extra></extra>",
      }],
      x: () => ({ type: "category", tickvals: times.filter((_, n) => n % (narrow.matches ? 72 : 36) === 0), tickangle: 0, showgrid: false }),
      y: { type: "category", autorange: "reversed", showgrid: false },
    },
    revisions: {
      time: true,
      zero: true,
      traces: (colour) => [{
        type: "scatter", mode: "markers", name: "Revisions",
        x: points(data.revisions, ([n], i) => midnights[i] + n * STEP),
        y: points(data.revisions, ([, mw]) => mw),
        customdata: points(data.revisions, ([, , count]) => (count === 1 ? "once" : `${count} times`)),
        marker: { color: colour("load"), size: 7, opacity: 0.75 },
        hovertemplate: `${AT}<br>by ${MW}, changed %{customdata}<extra></extra>`,
      }],
      unit: "MW",
    },
    age: {
      time: true,
      zero: true,
      traces: (colour) => [{
        ...line("Age", series(data.age, STEP), colour("load"), "solid", 1.5),
        hovertemplate: "%{y:,.1f} minutes",
      }],
      layout: { hovermode: "x unified" },
      unit: "minutes",
    },
  };

  const TIME = Object.keys(charts).filter((id) => charts[id].time);
  const element = (id) => document.getElementById(id);
  const coarse = window.matchMedia("(pointer: coarse)");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  let shown = last - first > 7 * DAY ? [last - 7 * DAY, last] : [first, last];

  /** Return the y range that fits the visible part of a chart. */
  const fitted = (id, traces) => {
    let [low, high] = charts[id].zero ? [0, 0] : [Infinity, -Infinity];
    for (const { x, y } of traces) {
      for (let n = 0; n < x.length; n++) {
        if (y[n] !== null && x[n] >= shown[0] && x[n] <= shown[1]) {
          low = Math.min(low, y[n]);
          high = Math.max(high, y[n]);
        }
      }
    }
    if (!(high > low)) return charts[id].zero || low === Infinity ? [0, 1] : [low - 1, low + 1];
    const room = (high - low) * 0.06;
    return [low && low - room, high && high + room];
  };

  const draw = async () => {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const font = { family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("ink") };
    const axis = {
      gridcolor: colour("grid"), zerolinecolor: colour("rule"), linecolor: colour("rule"),
      tickfont: { color: colour("muted") }, automargin: true,
    };
    for (const [id, chart] of Object.entries(charts)) {
      const traces = chart.traces(colour);
      chart.drawn = traces;
      const layout = {
        autosize: true, font, paper_bgcolor: "transparent", plot_bgcolor: "transparent",
        separators: ".,", hovermode: "closest", showlegend: false, dragmode: coarse.matches ? false : "zoom",
        margin: { l: 58, r: 8, t: 28, b: 8 }, // the same for all, so that the time axes line up
        hoverlabel: { bgcolor: colour("surface"), bordercolor: colour("muted"), font, align: "left" },
        legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", traceorder: "reversed" },
        xaxis: {
          ...axis, spikecolor: colour("muted"), spikethickness: 1, spikedash: "solid", ...chart.x?.(),
          ...(chart.time && { type: "date", range: shown, unifiedhovertitle: { text: AT }, tickformatstops: TICKS, nticks: narrow.matches ? 5 : 10 }),
        },
        yaxis: {
          ...axis, ...chart.y,
          ...(chart.unit && { tickformat: ",~f", fixedrange: true, zeroline: true }),
          ...(chart.time && { range: fitted(id, traces) }),
        },
        annotations: chart.unit ? [{
          text: chart.unit, xref: "paper", yref: "paper", x: 0, y: 1, yanchor: "bottom",
          ...(chart.layout?.showlegend ? { xanchor: "right", xshift: -4 } : { xanchor: "left" }), yshift: 3,
          showarrow: false, font: { color: colour("muted"), size: 12 },
        }] : [],
        ...chart.layout,
      };
      await Plotly.react(element(id), traces, layout, { displayModeBar: false, responsive: true, doubleClick: false });
      await new Promise((resume) => setTimeout(resume)); // let the browser paint the chart
    }
  };

  const day = (ms) => new Date(ms).toUTCString().slice(5, 16).replace(/^0/, "");
  const clock = (ms) => `${day(ms)}, ${new Date(ms).toISOString().slice(11, 16)}`;
  const describe = () => {
    const [from, to] = shown;
    const whole = from % DAY === 0 && to % DAY === 0;
    element("shown").textContent = !whole ? `${clock(from)} to ${clock(to)} EST`
      : to - from === DAY ? day(from) : `${day(from)} to ${day(to - DAY)}`;
    for (const button of document.querySelectorAll("[data-days]")) {
      const span = button.dataset.days === "all" ? last - first : button.dataset.days * DAY;
      button.setAttribute("aria-pressed", String(whole && to - from === span));
    }
    document.querySelector("[data-move='-1']").disabled = from <= first;
    document.querySelector("[data-move='1']").disabled = to >= last;
  };

  /** Show the time from *from* to *to* in every chart with a time axis, within the range of the data. */
  const show = (from, to) => {
    const span = Math.min(Math.max(to - from, HOUR / 2), last - first);
    const start = Math.min(Math.max(from, first), last - span);
    shown = [start, start + span];
    describe();
    return Promise.all(TIME.map((id) => Plotly.relayout(element(id), {
      "xaxis.range": shown, "yaxis.range": fitted(id, charts[id].drawn),
    })));
  };

  draw().then(() => {
    describe();
    for (const button of document.querySelectorAll("[data-days]")) {
      button.addEventListener("click", () => {
        if (button.dataset.days === "all") return show(first, last);
        const end = Math.ceil(shown[1] / DAY) * DAY;
        return show(end - button.dataset.days * DAY, end);
      });
    }
    for (const button of document.querySelectorAll("[data-move]")) {
      button.addEventListener("click", () => {
        const by = button.dataset.move * (shown[1] - shown[0]);
        return show(shown[0] + by, shown[1] + by);
      });
    }
    for (const id of TIME) {
      // A user's zoom reports two bounds. A change by `show` reports one range, and is ignored here.
      element(id).on("plotly_relayout", (change) => {
        const bounds = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
        if (bounds[0] === undefined) return;
        show(...bounds.map((bound) => Date.parse(`${String(bound).replace(" ", "T")}Z`)));
      });
      element(id).on("plotly_doubleclick", () => show(first, last));
    }
    for (const query of [dark, narrow]) query.addEventListener("change", draw);
    document.documentElement.dataset.drawn = "";
  });
}
