"use strict";
// The page works without this: it draws the timeline, filters, and opens what a link leads to.
// No text of the log is ever made into markup: what is shown goes through textContent.
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const SEVERITIES = ["critical", "high", "medium", "low", "informational"];
  const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
  const STEPS = [SECOND, 5 * SECOND, 15 * SECOND, 30 * SECOND, MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR,
    6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 90 * DAY, 365 * DAY, 3650 * DAY, 36500 * DAY];
  const LEFT = 92, RIGHT = 8, LANE = 26, TOP = 6, BARS = 96, AXIS = 24;
  const at = (id) => document.getElementById(id);
  const data = JSON.parse(at("timeline-data").textContent);
  const picture = at("picture"), tip = at("tip");

  const alerts = [...document.querySelectorAll(".alert")].map((element) => ({
    element,
    severity: element.dataset.severity,
    time: Date.parse(element.dataset.first),
    title: element.closest(".rule").querySelector("h4").firstChild.textContent.trim(),
    says: element.querySelector(".says").textContent,
    words: (element.textContent + " " + element.closest(".rule").querySelector("h4").textContent).toLowerCase(),
    hidden: false,
  }));
  const timed = alerts.filter((alert) => !Number.isNaN(alert.time)).sort((a, b) => a.time - b.time);

  // The whole: all events and all alerts, with a little room to each side.
  const times = [...data.events.flatMap(([time]) => [time, time + data.width]), ...timed.map((alert) => alert.time)];
  const whole = (() => {
    let from = Infinity, to = -Infinity;
    for (const time of times) { from = Math.min(from, time); to = Math.max(to, time); }
    if (from > to) { from = 0; to = HOUR; }
    const room = Math.max((to - from) * 0.01, 30 * SECOND);
    return [from - room, to + room];
  })();
  let view = [...whole];
  let chosen = null;

  const utc = (time) => new Date(time).toISOString();
  const named = (time) => utc(time).slice(0, 19).replace("T", " ");

  function make(name, attributes, parent) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    parent?.append(element);
    return element;
  }

  function draw() {
    const width = Math.max(320, picture.clientWidth || 960), inner = width - LEFT - RIGHT;
    const lanes = TOP + SEVERITIES.length * LANE, base = lanes + BARS, height = base + AXIS;
    const [from, to] = view, scale = inner / (to - from);
    const x = (time) => LEFT + (time - from) * scale;
    const focused = document.activeElement?.closest?.("#picture svg");
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "application",
      "aria-label": `Timeline of ${timed.length} alerts over all events; the alerts are listed below` });
    const clip = make("clipPath", { id: "inside" }, svg);
    make("rect", { x: LEFT, y: 0, width: inner, height }, clip);

    SEVERITIES.forEach((severity, lane) => {
      const y = TOP + lane * LANE + LANE / 2;
      make("line", { class: "lane", x1: LEFT, x2: width - RIGHT, y1: y, y2: y }, svg);
      make("text", { x: LEFT - 10, y: y + 4, "text-anchor": "end" }, svg).textContent = severity;
    });

    // Ticks at round times.
    const step = STEPS.find((step) => step * scale >= 90) ?? STEPS.at(-1);
    let day = "";
    for (let time = Math.ceil(from / step) * step; time <= to; time += step) {
      make("line", { class: "tick", x1: x(time), x2: x(time), y1: TOP, y2: base }, svg);
      const text = utc(time);
      const date = text.slice(0, text.indexOf("T"));
      const clock = text.slice(text.indexOf("T") + 1).slice(0, step < MINUTE ? 8 : 5);
      const label = make("text", { x: x(time), y: base + 15, "text-anchor": "middle" }, svg);
      label.textContent = step >= DAY ? date : date === day ? clock : `${date.slice(-5)} ${clock}`;
      if (x(time) < LEFT + 34) label.setAttribute("text-anchor", "start");
      if (x(time) > width - RIGHT - 34) label.setAttribute("text-anchor", "end");
      day = date;
    }

    // Events: a bar an interval, or a bar of two pixels where intervals are narrower.
    const bars = new Map();
    let shown = 0;
    for (const [time, count] of data.events) {
      if (time + data.width <= from || time >= to) continue;
      shown += count;
      const wide = data.width * scale;
      const left = wide >= 2 ? x(time) : LEFT + Math.floor((x(time) - LEFT) / 2) * 2;
      const bar = bars.get(left) ?? { count: 0, wide: Math.max(2, wide) };
      bar.count += count;
      bars.set(left, bar);
    }
    const most = Math.max(1, ...[...bars.values()].map((bar) => bar.count));
    let path = "";
    for (const [left, { count, wide }] of bars) {
      const high = Math.max(1, (count / most) * (BARS - 14));
      path += `M${left.toFixed(1)} ${base}v${(-high).toFixed(1)}h${Math.max(1, wide - (wide > 4 ? 1 : 0)).toFixed(1)}v${high.toFixed(1)}z`;
    }
    make("path", { class: "bars", d: path, "clip-path": "url(#inside)" }, svg);
    make("line", { class: "lane", x1: LEFT, x2: width - RIGHT, y1: base, y2: base }, svg);
    make("text", { x: LEFT - 10, y: lanes + 18, "text-anchor": "end" }, svg).textContent = most.toLocaleString("en");
    make("text", { x: LEFT - 10, y: base - 2, "text-anchor": "end" }, svg).textContent = "events";

    // Alerts: those that would hide each other are set apart.
    const taken = {};
    let marks = 0;
    for (const alert of timed) {
      if (alert.time < from || alert.time > to) continue;
      marks += 1;
      const lane = SEVERITIES.indexOf(alert.severity), left = x(alert.time);
      const last = taken[lane] ?? { left: -99, row: 0 };
      const row = left - last.left < 8 ? (last.row + 1) % 3 : 0;
      taken[lane] = { left, row };
      const y = TOP + lane * LANE + LANE / 2 + [0, -7, 7][row];
      alert.mark = make("circle", { class: `mark ${alert.severity}`, cx: left.toFixed(1), cy: y, r: 5 }, svg);
      alert.mark.classList.toggle("off", alert.hidden);
      alert.mark.classList.toggle("on", alert === chosen);
      alert.mark.alert = alert;
    }
    picture.replaceChildren(svg);
    if (focused) svg.focus({ preventScroll: true });
    listen(svg, width, inner);
    at("shown").textContent = `${named(view[0])} to ${named(view[1])} UTC: ${marks} alerts, ${shown.toLocaleString("en")} events`;
  }

  function look(from, to) {
    // No closer than a second, no further than everything.
    const length = Math.min(Math.max(to - from, SECOND), whole[1] - whole[0]);
    const middle = (from + to) / 2;
    const begin = Math.min(Math.max(middle - length / 2, whole[0]), whole[1] - length);
    view = [begin, begin + length];
    draw();
  }
  const zoom = (factor, around = (view[0] + view[1]) / 2) =>
    look(around - (around - view[0]) * factor, around + (view[1] - around) * factor);
  const move = (share) => look(view[0] + (view[1] - view[0]) * share, view[1] + (view[1] - view[0]) * share);
  function toAlerts() {
    const seen = timed.filter((alert) => !alert.hidden);
    if (seen.length === 0) return look(...whole);
    const [from, to] = [seen[0].time, seen.at(-1).time], room = Math.max((to - from) * 0.03, MINUTE);
    look(from - room, to + room);
  }
  const doing = {
    in: () => zoom(0.5), out: () => zoom(2), left: () => move(-0.25), right: () => move(0.25),
    all: () => look(...whole), alerts: toAlerts,
  };

  function show(alert, x, y) {
    tip.hidden = !alert;
    if (!alert) return;
    const title = document.createElement("b"), says = document.createElement("span");
    title.textContent = `${alert.severity}: ${alert.title}`;
    says.textContent = `${named(alert.time)} ${alert.says}`;
    tip.replaceChildren(title, says);
    const box = at("timeline").getBoundingClientRect();
    const left = Math.min(x - box.left + 14, box.width - tip.offsetWidth - 4);
    tip.style.left = `${Math.max(0, left)}px`;
    tip.style.top = `${y - box.top + 18}px`;
  }

  function open(alert) {
    if (alert.hidden) { at("find").value = ""; document.querySelectorAll("[name=severity]").forEach((box) => { box.checked = true; }); filter(); }
    document.querySelector(".alert.found")?.classList.remove("found");
    alert.element.open = true;
    alert.element.classList.add("found");
    alert.element.scrollIntoView({ block: "center" });
    alert.element.querySelector("summary").focus({ preventScroll: true });
  }

  function step(by) {
    const seen = timed.filter((alert) => !alert.hidden);
    if (seen.length === 0) return;
    chosen = seen[(seen.indexOf(chosen) + by + seen.length) % seen.length] ?? seen[0];
    if (chosen.time < view[0] || chosen.time > view[1]) {
      const half = (view[1] - view[0]) / 2;
      look(chosen.time - half, chosen.time + half);
    } else draw();
    const box = chosen.mark.getBoundingClientRect();
    show(chosen, box.left, box.top);
    at("shown").textContent = `${chosen.severity}, ${named(chosen.time)}: ${chosen.says}`;
  }

  function listen(svg, width, inner) {
    const time = (event) => {
      const box = svg.getBoundingClientRect();
      const x = (event.clientX - box.left) * (width / box.width) - LEFT;
      return view[0] + (Math.min(Math.max(x, 0), inner) / inner) * (view[1] - view[0]);
    };
    let begun = null, brush = null;
    svg.addEventListener("pointerdown", (event) => {
      if (event.button === 0 && !event.target.alert) begun = { x: event.clientX, time: time(event), pointer: event.pointerId };
    });
    svg.addEventListener("pointermove", (event) => {
      if (begun && Math.abs(event.clientX - begun.x) > 4) {
        svg.setPointerCapture(begun.pointer);
        brush ??= make("rect", { class: "brush", y: TOP, height: SEVERITIES.length * LANE + BARS }, svg);
        const scale = inner / (view[1] - view[0]);
        const [a, b] = [begun.time, time(event)].sort((p, q) => p - q).map((t) => LEFT + (t - view[0]) * scale);
        brush.setAttribute("x", a);
        brush.setAttribute("width", b - a);
      } else if (!begun) show(event.target.alert, event.clientX, event.clientY);
    });
    svg.addEventListener("pointerup", (event) => {
      const from = begun;
      begun = null;
      if (from && brush) look(...[from.time, time(event)].sort((p, q) => p - q));
    });
    svg.addEventListener("pointercancel", () => { begun = null; brush?.remove(); brush = null; });
    svg.addEventListener("pointerleave", () => show(null));
    svg.addEventListener("click", (event) => { if (event.target.alert) open(event.target.alert); });
    // Without focus the wheel belongs to the page.
    svg.addEventListener("wheel", (event) => {
      if (document.activeElement !== svg && !event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      zoom(event.deltaY > 0 ? 1.25 : 0.8, time(event));
    }, { passive: false });
    svg.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const action = { "+": doing.in, "=": doing.in, "-": doing.out, ArrowLeft: doing.left, ArrowRight: doing.right, 0: doing.all,
        Home: doing.all, n: () => step(1), p: () => step(-1), Enter: () => chosen && open(chosen),
        Escape: () => { chosen = null; show(null); draw(); } }[event.key];
      if (!action) return;
      event.preventDefault();
      action();
    });
    svg.addEventListener("blur", () => show(null));
  }

  function filter() {
    const words = at("find").value.toLowerCase().split(/\s+/).filter(Boolean);
    const severities = new Set([...document.querySelectorAll("[name=severity]:checked")].map((box) => box.value));
    for (const alert of alerts) {
      alert.hidden = !severities.has(alert.severity) || !words.every((word) => alert.words.includes(word));
      alert.element.hidden = alert.hidden;
      alert.mark?.classList.toggle("off", alert.hidden);
    }
    for (const group of [".rule", ".severity"]) {
      for (const element of document.querySelectorAll(group)) {
        element.hidden = !element.querySelector(".alert:not([hidden])") && element.querySelector(".alert") !== null;
      }
    }
    const matching = alerts.filter((alert) => !alert.hidden).length;
    at("none").hidden = matching > 0;
    at("matching").textContent = matching === alerts.length ? `${alerts.length} alerts` : `${matching} of ${alerts.length} alerts`;
  }

  // A link to an alert opens it.
  function follow() {
    const alert = alerts.find((alert) => `#${alert.element.id}` === location.hash);
    if (alert) open(alert);
  }

  at("tools").hidden = false;
  at("tools").addEventListener("click", (event) => doing[event.target.dataset.do]?.());
  draw();
  new ResizeObserver(() => draw()).observe(picture);
  if (alerts.length > 0) {
    at("filter").hidden = false;
    at("find").addEventListener("input", filter);
    at("filter").addEventListener("change", filter);
    at("open").addEventListener("click", () => alerts.forEach((alert) => { if (!alert.hidden) alert.element.open = true; }));
    at("close").addEventListener("click", () => alerts.forEach((alert) => { alert.element.open = false; }));
    for (const button of document.querySelectorAll(".only")) {
      button.hidden = false;
      button.addEventListener("click", () => {
        at("find").value = button.dataset.find;
        filter();
        at("alerts").scrollIntoView();
      });
    }
    filter();
    addEventListener("hashchange", follow);
    follow();
  }

  // On paper nothing can be opened.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open]):not(.paperless)")];
    closed.forEach((element) => { element.open = true; });
    show(null);
  });
  addEventListener("afterprint", () => closed.forEach((element) => { element.open = false; }));
})();
