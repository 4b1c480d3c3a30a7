"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const by = (id) => document.getElementById(id);
const state = { corner: data.start, query: data.query, own: null, before: null, playing: null };
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
const sound = new Audio();

function make(tag, settings = {}, ...inner) { // text is never markup
  const made = Object.assign(document.createElement(tag), settings);
  made.append(...inner);
  return made;
}

// ---- what a clip is: a place among those of the page, or a file of one's own

const asked = () => (state.own ? state.own.near : Object.fromEntries([[state.corner, data.corners[state.corner].near[state.query]]]))[state.corner];
const mediaOf = (place) => place === null ? state.own.media
  : data.media ? data.media[place] : { picture: `picture/${place}`, sound: `sound/${place}`, s: data.seconds[place] || 0 };
const nameOf = (place) => (place === null ? state.own.name : data.ids[place]);

function share(column, near) { // of its neighbours, how many have its value, and what chance gives
  const values = data.labels[column][1], own = values[state.query];
  return [near.filter((place) => values[place] === own).length, values.filter((v) => v === own).length / values.length];
}

// ---- hearing

async function play(place, card) {
  const { sound: from } = mediaOf(place);
  if (!from) return;
  document.querySelectorAll(".sounding").forEach((each) => each.classList.remove("sounding"));
  card.classList.add("sounding");
  sound.src = from;
  try { await sound.play(); } catch { card.classList.remove("sounding"); return; }
  await new Promise((done) => { sound.onended = sound.onpause = sound.onerror = done; });
  card.classList.remove("sounding");
}

async function playAll() {
  const mine = {}, cards = [...by("near").children], near = asked();
  if (state.playing) return hush();
  state.playing = mine;
  by("all").textContent = "Stop";
  for (const [k, place] of near.entries()) {
    if (state.playing !== mine) break;
    cards[k].scrollIntoView({ block: "nearest" });
    await play(place, cards[k]);
  }
  if (state.playing === mine) hush();
}

function hush() {
  state.playing = null;
  by("all").textContent = "Hear all ten";
  sound.pause();
}

// ---- the parts of the page

function card(place, tag, rank) {
  const made = make(tag, { className: "card" }), media = mediaOf(place), name = nameOf(place);
  const hears = media.sound ? `Play ${rank ? `neighbour ${rank}, ` : ""}${name}` : name;
  const sees = make("button", { type: "button", className: media.sound ? "sees" : "sees still", onclick: () => { hush(); play(place, made); } });
  sees.setAttribute("aria-label", hears);
  if (media.picture) sees.append(make("img", { src: media.picture, alt: "", onerror() { this.remove(); } }));
  if (media.sound) sees.append(make("span", { className: "play", ariaHidden: "true" }, media.s ? `▶ ${media.s} s` : "▶"));
  made.append(sees, make("p", { className: "id" }, ...(rank ? [make("span", { className: "rank" }, `${rank} `)] : []), name));
  if (place !== null) made.append(tags(place, rank));
  if (rank) made.append(make("button", { type: "button", className: "from", onclick: () => { ask(place); by("asked").querySelector("button").focus(); }, ariaLabel: `Ask about ${name}` }, "Ask about this"));
  return made;
}

function tags(place, compared) {
  return make("ul", { className: "tags", ariaLabel: "Labels" }, ...data.labels.map(([name, values]) => {
    const same = compared && !state.own && values[place] === values[state.query];
    return make("li", { className: same ? "same" : "", title: same ? `${name}: the same` : name }, `${name} ${values[place]}`);
  }));
}

function showSwitches() {
  by("components").replaceChildren(...data.components.map(({ name, thrown }, k) => {
    const button = make("button", { type: "button", disabled: !thrown, onclick: () => throwSwitch(k) }, make("i"), make("b", {}, name), make("span"));
    button.setAttribute("role", "switch");
    button.setAttribute("aria-label", `Ignore ${name}`);
    return button;
  }));
}

function throwSwitch(k) {
  hush();
  const digits = [...state.corner];
  digits[k] = digits[k] === "1" ? "0" : "1";
  const before = state.own ? null : data.labels.map((_, c) => share(c, asked())[0]);
  move(data.corners[state.corner].map, digits.join(""));
  state.corner = digits.join("");
  state.before = before;
  show();
}

function ask(place) {
  hush();
  Object.assign(state, { query: place, own: null, before: null });
  by("name").value = "";
  by("fault").textContent = "";
  show();
}

function said() {
  const list = (on) => data.components.filter((_, k) => (state.corner[k] === "1") === on).map(({ name }) => name);
  const join = (names) => names.flatMap((name, k) => [k === 0 ? "" : k === names.length - 1 ? " and " : ", ", make("b", {}, name)]);
  const [off, on] = [list(true), list(false)];
  const does = (names, one, several) => [...join(names), names.length > 1 ? several : one];
  const parts = [off.length && does(off, " makes no difference", " make no difference"), on.length && does(on, " does", " do")].filter(Boolean);
  if (!off.length) parts[0] = does(on, " makes a difference", " make a difference");
  const told = ["What is like this clip if ", ...parts[0], ...(parts[1] ? [", and ", ...parts[1]] : []), ". "];
  if (!state.own && data.labels.length) {
    const shares = data.labels.map(([name], c) => [name, ...share(c, asked())]).sort((a, b) => b[1] - b[2] * 10 - (a[1] - a[2] * 10));
    told.push(`${shares[0][1]} of 10 neighbours share its ${shares[0][0]}.`);
  }
  if (!data.corners[state.corner].trained) told.push(make("span", { className: "doubt" }, " No step of pre-training was made at this corner: the network extrapolates."));
  by("said").replaceChildren(...told);
}

function show() {
  const near = asked();
  [...by("components").children].forEach((button, k) => {
    const on = state.corner[k] === "1";
    button.setAttribute("aria-checked", on);
    button.querySelector("span").textContent = on ? "ignored" : "heeded";
  });
  by("asked").replaceChildren(card(state.own ? null : state.query, "div"));
  by("near").replaceChildren(...near.map((place, k) => card(place, "li", k + 1)));
  by("all").hidden = !mediaOf(near[0]).sound;
  showAlike(near);
  said();
  draw();
}

function showAlike(near) {
  by("alike-head").hidden = by("alike").hidden = Boolean(state.own) || !data.labels.length;
  if (state.own) return;
  by("alike").replaceChildren(...data.labels.map(([name], c) => {
    const [n, chance] = share(c, near), before = state.before ? state.before[c] : n;
    const bar = make("div", { className: "bar", ariaHidden: "true", title: `chance ${(10 * chance).toFixed(1)} of 10` });
    bar.style.cssText = `--n:${n};--chance:${chance}`;
    return make("div", {}, make("dt", {}, name), make("dd", {}, bar),
      make("dd", { className: "count" }, `${n} of 10 `, make("small", {}, before === n ? "" : `was ${before}`)));
  }));
}

// ---- the map

const canvas = by("map"), pen = canvas.getContext("2d");
let moving = null;

function colours() {
  const column = Number(by("colour").value), values = data.labels[column] ? data.labels[column][1] : data.ids.map(() => "");
  const known = [...new Set(values)], numbers = known.length > 12 && known.every((v) => v !== "" && isFinite(v));
  known.sort(numbers || known.every((v) => isFinite(v)) ? (a, b) => a - b : undefined);
  const low = numbers ? Number(known[0]) : 0, span = numbers ? Number(known[known.length - 1]) - low : known.length;
  const ramp = (t) => `hsl(${260 - 215 * t} 72% ${46 + 12 * t}%)`, wheel = (k) => `hsl(${(k * 360) / known.length} 65% ${k % 2 ? 62 : 46}%)`;
  const colour = new Map(known.map((v, k) => [v, numbers ? ramp((v - low) / span) : wheel(k)]));
  return { values, known, numbers, colour };
}

function showLegend() {
  const { known, numbers, colour } = colours();
  const dot = (background) => { const i = make("i"); i.style.background = background; return i; };
  by("legend").replaceChildren(...(numbers
    ? [make("li", { className: "ramp" }, known[0], dot(`linear-gradient(90deg, ${known.map((v) => colour.get(v)).join(",")})`), known[known.length - 1])]
    : known.slice(0, 40).map((v) => make("li", {}, dot(colour.get(v)), v || "none"))));
}

function places() { // now, on the way from one map to another
  const to = data.corners[state.corner].map;
  if (!moving) return to;
  const t = Math.min((performance.now() - moving.since) / 700, 1), eased = t * t * (3 - 2 * t);
  return to.map(([x, y], k) => [moving.from[k][0] + (x - moving.from[k][0]) * eased, moving.from[k][1] + (y - moving.from[k][1]) * eased]);
}

function move(from, corner) {
  if (calm || corner === state.corner) return;
  moving = { from: places(), since: performance.now() };
  const step = () => {
    if (performance.now() - moving.since > 700) moving = null;
    draw();
    if (moving) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}

function scaled([x, y]) {
  const edge = 14, { clientWidth: w, clientHeight: h } = canvas;
  return [edge + (x / 1000) * (w - 2 * edge), edge + (y / 1000) * (h - 2 * edge)];
}

function draw() {
  const { clientWidth: w, clientHeight: h } = canvas, ratio = devicePixelRatio || 1;
  if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) Object.assign(canvas, { width: Math.round(w * ratio), height: Math.round(h * ratio) });
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, w, h);
  const { values, colour } = colours(), at = places().map(scaled), near = asked();
  const own = state.own ? scaled(state.own.place[state.corner]) : at[state.query];
  const ink = getComputedStyle(document.body).color, size = data.ids.length > 1500 ? 2 : data.ids.length > 400 ? 2.7 : 3.6;
  const dot = ([x, y], r) => { pen.beginPath(); pen.arc(x, y, r, 0, 7); };
  pen.globalAlpha = 0.62;
  at.forEach((spot, k) => { pen.fillStyle = colour.get(values[k]); dot(spot, size); pen.fill(); });
  pen.globalAlpha = 1;
  Object.assign(pen, { strokeStyle: ink, lineWidth: 1 });
  for (const k of near) { pen.beginPath(); pen.moveTo(...own); pen.lineTo(...at[k]); pen.globalAlpha = 0.45; pen.stroke(); pen.globalAlpha = 1; }
  for (const k of near) { pen.fillStyle = colour.get(values[k]); dot(at[k], size + 2.6); pen.fill(); pen.lineWidth = 1.4; pen.stroke(); }
  pen.fillStyle = ink; dot(own, 6); pen.fill();
  pen.lineWidth = 2; dot(own, 10); pen.stroke();
}

function under(event) {
  const box = canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
  let best = null, least = 15 ** 2;
  places().map(scaled).forEach(([a, b], k) => { const d = (a - x) ** 2 + (b - y) ** 2; if (d < least) [best, least] = [k, d]; });
  return best;
}

// ---- a file of one's own

async function askFile(file) {
  hush();
  by("fault").textContent = "";
  by("said").textContent = "Reading your file…";
  try {
    const answer = await fetch("query", { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.error);
    state.own = { ...told, name: file.name };
    state.before = null;
    show();
  } catch (error) {
    by("fault").textContent = error.message;
    said();
  }
}

// ---- it begins

showSwitches();
by("names").append(...data.ids.map((id) => make("option", { value: id })));
by("colour").append(...data.labels.map(([name], k) => make("option", { value: k }, name)));
by("colour").onchange = () => { showLegend(); draw(); };
by("another").onclick = () => ask(Math.floor(Math.random() * data.ids.length));
by("name").onchange = () => { const k = data.ids.indexOf(by("name").value); if (k >= 0) ask(k); };
by("all").onclick = playAll;
canvas.onclick = (event) => { const k = under(event); if (k !== null) ask(k); };
canvas.onmousemove = (event) => { const k = under(event); by("tip").textContent = k === null ? "" : `${data.ids[k]}: ${data.labels.map(([n, v]) => `${n} ${v[k]}`).join(", ")}`; };
if (by("file")) {
  const drop = by("drop"), over = (event) => { event.preventDefault(); drop.classList.toggle("over", event.type === "dragover"); };
  by("file").onchange = () => by("file").files.length && askFile(by("file").files[0]);
  document.ondragover = document.ondragleave = over;
  document.ondrop = (event) => { over(event); if (event.dataTransfer.files.length) askFile(event.dataTransfer.files[0]); };
}
new ResizeObserver(draw).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").onchange = draw;
showLegend();
show();
