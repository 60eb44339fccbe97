// The pages are complete without this. It adds: local time, copy buttons, light on a suspect's marks, a cursor on the axis,
// zoom (with uPlot, loaded when asked for), a brush on the density, and a word when there is news.
"use strict";
(() => {
  const all = (sel, root = document) => [...root.querySelectorAll(sel)];
  const one = (sel, root = document) => root.querySelector(sel);
  const svgNS = "http://www.w3.org/2000/svg";
  const pad = (n) => String(n).padStart(2, "0");

  // Local time. The layouts are those of format.go.
  let local = false;
  try { local = localStorage.getItem("triaged-zone") === "local"; } catch { /* storage is off: UTC */ }
  const parts = (d) => local
    ? [d.getFullYear(), d.getMonth(), d.getDate(), d.getHours(), d.getMinutes(), d.getSeconds()]
    : [d.getUTCFullYear(), d.getUTCMonth(), d.getUTCDate(), d.getUTCHours(), d.getUTCMinutes(), d.getUTCSeconds()];
  const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  function clock(d, layout) {
    const [y, mo, day, h, mi, s] = parts(d);
    const hm = pad(h) + ":" + pad(mi), hms = hm + ":" + pad(s);
    switch (layout) {
      case "m": return hm;
      case "d": return day + " " + months[mo];
      case "ds": return day + " " + months[mo] + " " + hms;
      case "full": return y + "-" + pad(mo + 1) + "-" + pad(day) + " " + hms;
      default: return hms;
    }
  }
  const zoneName = () => local ? (Intl.DateTimeFormat().resolvedOptions().timeZone || "local") : "UTC";
  function showTimes() {
    for (const t of all("time[datetime]")) t.textContent = clock(new Date(t.dateTime), t.dataset.f);
    for (const t of all("svg text[data-t]")) t.textContent = clock(new Date(1000 * t.dataset.t), t.dataset.f);
    for (const z of all(".zone-name")) z.textContent = zoneName();
    for (const z of all(".zone-word")) z.textContent = local ? "local time" : "UTC";
    // Its accessible name begins with what it shows, and says what pressing does; a state besides would say it twice.
    const b = one(".zone");
    b.textContent = local ? "Local" : "UTC";
    b.title = "Times are " + zoneName() + "; press to switch";
    b.setAttribute("aria-label", b.textContent + ": show times in " + (local ? "UTC" : "local time"));
  }
  const zone = one(".zone");
  zone.hidden = false;
  zone.addEventListener("click", () => {
    local = !local;
    try { localStorage.setItem("triaged-zone", local ? "local" : "utc"); } catch { /* for this page only, then */ }
    showTimes();
  });
  showTimes();

  // Copying.
  for (const b of all("button.copy")) {
    b.hidden = false;
    b.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(b.dataset.copy);
        b.textContent = "Copied";
      } catch {
        const range = document.createRange();
        range.selectNodeContents(b.previousElementSibling || b.parentNode);
        getSelection().removeAllRanges();
        getSelection().addRange(range);
        b.textContent = "Press Ctrl-C";
      }
      setTimeout(() => { b.textContent = "Copy"; }, 2500);
    });
  }

  // A suspect under the pointer or in focus lights its marks.
  function light(mark, on) {
    for (const svg of all(".axis-figure svg")) {
      const mine = all('[data-mark="' + CSS.escape(mark) + '"]', svg);
      svg.classList.toggle("dimmed", on && mine.length > 0);
      for (const el of mine) el.classList.toggle("lit", on);
    }
  }
  for (const el of all("[data-lit]")) {
    for (const [event, on] of [["pointerenter", true], ["pointerleave", false], ["focusin", true], ["focusout", false]]) {
      el.addEventListener(event, () => light(el.dataset.lit, on));
    }
  }

  // What an axis knows of its own scale.
  function scale(svg) {
    const [x0, x1, t0, t1] = ["x0", "x1", "t0", "t1"].map((k) => Number(svg.dataset[k]));
    const at = (event) => {
      const box = svg.getBoundingClientRect();
      return (event.clientX - box.left) * svg.viewBox.baseVal.width / box.width;
    };
    return { x0, x1, t0, t1, at, time: (x) => t0 + (t1 - t0) * (Math.min(Math.max(x, x0), x1) - x0) / (x1 - x0) };
  }
  function draw(svg, name, cls) {
    const el = document.createElementNS(svgNS, name);
    el.setAttribute("class", cls);
    svg.append(el);
    return el;
  }
  function set(el, attrs) { for (const [k, v] of Object.entries(attrs)) el.setAttribute(k, v); }

  // A cursor on the axis, with what every signal was at its time.
  function quantity(v, unit) {
    const digits = (x) => { const a = Math.abs(x); return String(Number(x.toFixed(a >= 100 || a === 0 ? 0 : Math.min(6, Math.max(1, 1 - Math.floor(Math.log10(a))))))); };
    if (v === null || v === undefined) return "–";
    const time = { s: 1, ms: 1e-3, us: 1e-6, ns: 1e-9 }[unit];
    if (time) return Math.abs(v * time) < 1 ? digits(1000 * v * time) + " ms" : digits(v * time) + " s";
    if (unit === "1" || unit === "%") return digits(unit === "1" ? 100 * v : v) + " %";
    if (unit === "By" || unit === "By/s") {
      const i = Math.min(4, Math.max(0, Math.floor(Math.log2(Math.abs(v) || 1) / 10)));
      return digits(v / 1024 ** i) + " " + ["B", "KiB", "MiB", "GiB", "TiB"][i] + unit.slice(2);
    }
    return digits(v) + (unit === "/s" ? "/s" : "");
  }
  let data;
  async function axisData(figure) {
    data ??= fetch(figure.dataset.axis).then((r) => r.ok ? r.json() : null, () => null);
    return data;
  }
  for (const figure of all(".axis-figure")) {
    const out = one(".cursor", figure);
    for (const svg of all("svg", figure)) {
      const s = scale(svg);
      const hair = draw(svg, "line", "crosshair");
      hair.setAttribute("visibility", "hidden");
      svg.addEventListener("pointermove", async (event) => {
        const x = s.at(event);
        if (x < s.x0 || x > s.x1) { hair.setAttribute("visibility", "hidden"); out.textContent = ""; return; }
        set(hair, { x1: x, x2: x, y1: 0, y2: svg.viewBox.baseVal.height - 22, visibility: "visible" });
        const t = s.time(x);
        const d = await axisData(figure);
        const words = [clock(new Date(1000 * t), "s")];
        for (const p of d ? d.panels : []) {
          const line = p.lines[0];
          const i = line ? line.times.findIndex((at) => at >= t) : -1;
          if (i >= 0) words.push(p.title + " " + quantity(line.values[i], p.unit));
        }
        out.textContent = words.join(" · ");
      });
      svg.addEventListener("pointerleave", () => { hair.setAttribute("visibility", "hidden"); out.textContent = ""; });
    }
  }

  // Zoom: the same signals in uPlot.
  function asset(tag, attrs) {
    return new Promise((resolve, reject) => {
      const el = Object.assign(document.createElement(tag), attrs);
      el.addEventListener("load", resolve);
      el.addEventListener("error", reject);
      document.head.append(el);
    });
  }
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  function chart(p, d, into, width, sync) {
    const base = p.rank ? css("--s" + p.rank) : css("--sym");
    const series = [{ label: "Time", value: (_, t) => t === null ? "–" : clock(new Date(1000 * t), "s") }];
    const columns = [p.lines[0].times];
    p.lines.forEach((l, i) => {
      series.push({ label: l.label || p.title, stroke: i ? css("--other") : base, width: i ? 1 : 2, spanGaps: false, value: (_, v) => quantity(v, p.unit) });
      columns.push(columns[0] === l.times ? l.values : columns[0].map((t) => { const j = l.times.indexOf(t); return j < 0 ? null : l.values[j]; }));
    });
    const axis = { stroke: css("--muted"), grid: { stroke: css("--rule"), width: 1 }, ticks: { stroke: css("--rule"), width: 1 }, font: "11px " + css("--sans") };
    const behind = (u) => {
      const { ctx, bbox } = u;
      ctx.save();
      if (d.onset[1]) {
        const a = u.valToPos(d.onset[0], "x", true), b = Math.max(u.valToPos(d.onset[1], "x", true), a + 2);
        ctx.fillStyle = css("--onset");
        ctx.beginPath();
        ctx.rect(Math.max(a, bbox.left), bbox.top, Math.max(0, Math.min(b, bbox.left + bbox.width) - Math.max(a, bbox.left)), bbox.height);
        ctx.fill();
      }
      for (const m of d.marks) {
        const x = u.valToPos(m.at, "x", true);
        if (x < bbox.left || x > bbox.left + bbox.width) continue;
        ctx.strokeStyle = m.rank ? css("--s" + m.rank) : css("--other");
        ctx.setLineDash([3, 3]);
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
      }
      ctx.restore();
    };
    return new uPlot({
      title: p.title, width, height: p.rank ? 170 : 240, series, cursor: { sync: { key: sync.key, setSeries: false }, drag: { x: true, y: false } },
      scales: { x: { time: true, range: sync.range } }, hooks: { drawClear: [behind], setScale: [(u, key) => { if (key === "x") sync.follow(u); }] },
      axes: [{ ...axis, values: (_, ts) => ts.map((t) => clock(new Date(1000 * t), "s")), space: 80 }, { ...axis, size: 62, values: (_, vs) => vs.map((v) => quantity(v, p.unit)) }],
    }, columns, into);
  }
  for (const tools of all(".tools")) {
    const button = one(".zoom", tools), panel = tools.parentNode, into = one(".zoomed", panel), figure = one(".axis-figure", panel);
    if (!one("svg .signal", figure)) continue;
    tools.hidden = false;
    button.addEventListener("click", async () => {
      if (!into.hidden) { into.hidden = true; into.replaceChildren(); one(".hint", tools).hidden = true; button.textContent = "Zoom into the signals"; return; }
      const d = await axisData(figure);
      if (!d) { button.textContent = "The signals could not be loaded"; return; }
      if (!window.uPlot) await Promise.all([asset("script", { src: button.dataset.script }), asset("link", { rel: "stylesheet", href: button.dataset.sheet })]);
      into.hidden = false;
      one(".hint", tools).hidden = false;
      button.textContent = "Close";
      const charts = [];
      let following = false;
      const sync = {
        key: "axis", range: (u, lo, hi) => lo === null ? [d.from, d.to] : [lo, hi],
        follow: (u) => {
          if (following) return;
          following = true;
          for (const o of charts) if (o !== u) o.setScale("x", { min: u.scales.x.min, max: u.scales.x.max });
          following = false;
        },
      };
      for (const p of d.panels) if (p.lines.length) charts.push(chart(p, d, into, into.clientWidth, sync));
      for (const u of charts) u.setScale("x", { min: d.from, max: d.to });
    });
  }

  // Dragging over the density or the timeline of changes shows that stretch.
  for (const svg of all("[data-brush] svg")) {
    const s = scale(svg);
    let from = null, box = null;
    svg.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      from = s.at(event);
      box = draw(svg, "rect", "brush");
      svg.setPointerCapture(event.pointerId);
    });
    svg.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const to = s.at(event);
      set(box, { x: Math.min(from, to), y: 0, width: Math.abs(to - from), height: svg.viewBox.baseVal.height - 22 });
    });
    svg.addEventListener("pointerup", (event) => {
      if (from === null) return;
      const to = s.at(event), wide = Math.abs(to - from) > 6;
      const a = s.time(Math.min(from, to)), b = s.time(Math.max(from, to));
      from = null;
      box.remove();
      if (!wide) return;
      const q = new URLSearchParams(location.search);
      for (const k of ["span", "page", "added"]) q.delete(k);
      const iso = (t) => new Date(1000 * Math.round(t)).toISOString().replace(".000", "");
      q.set("from", iso(a));
      q.set("to", iso(b));
      location.search = q;
    });
  }

  // News: said in a line above the page, never by changing it under the reader's eyes.
  const topic = document.body.dataset.live;
  if (topic && window.EventSource) {
    const box = one(".live"), source = new EventSource((document.body.dataset.root || "") + "/api/v1/events");
    let n = 0;
    const tell = (text) => {
      const a = document.createElement("a");
      a.href = topic === "changes" || topic === "incidents" ? location.href : location.pathname;
      a.textContent = "show";
      a.addEventListener("click", (event) => { event.preventDefault(); location.assign(a.href); });
      box.replaceChildren(text + " ", a);
      box.hidden = false;
    };
    const parse = (event) => { try { return JSON.parse(event.data); } catch { return {}; } };
    if (topic === "changes") source.addEventListener("change", () => { n++; tell(n === 1 ? "1 new change;" : n + " new changes;"); });
    if (topic === "incidents") source.addEventListener("incident", () => tell("The list has changed;"));
    source.addEventListener("report", (event) => { const r = parse(event); if (r.incident_id === topic) tell("Report " + r.number + " is there;"); });
    source.addEventListener("incident", (event) => { const i = parse(event); if (i.id === topic && (i.state === "recovered" || i.state === "mitigating")) tell("The incident is " + i.state + ";"); });
    window.addEventListener("pagehide", () => source.close());
  }
})();
