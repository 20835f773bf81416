// The page: puts the parts together, and draws when something changed.

import * as api from "./api.js";
import { clamp, clock, decibel, h, hertz, icon, note } from "./dom.js";
import { Drawer, known } from "./drawer.js";
import { onDrop } from "./drop.js";
import * as dialogs from "./dialogs.js";
import { helpFor, listen } from "./keys.js";
import { levelsOfTile, lookPanel, looksOf } from "./look.js";
import * as marks from "./marks.js";
import { levelsOf, Mixer, rowsOf } from "./mixer.js";
import { addStroke, nudgeChosen, Painter, removeChosen, TOOLS } from "./paint.js";
import { Player } from "./player.js";
import { onReach } from "./reach.js";
import { LISTENS, openSession, refuseFile } from "./session.js";
import { COLORS, freeName, Store, withSource } from "./state.js";
import { Lane, overviewPointer, rulerPointer } from "./strips.js";
import { COLUMNS, ROWS, Tiles } from "./tiles.js";
import * as views from "./view.js";

const $ = (id) => document.getElementById(id);
const remembered = (storage, key) => JSON.parse(storage.getItem(key) ?? "{}");

for (const element of document.querySelectorAll("[data-icon]")) {
  if (element.tagName === "I") element.replaceWith(icon(element.dataset.icon));
  else element.append(icon(element.dataset.icon));
}

// --- what is shown, which is no part of the document

const FIRST = { tool: "brush", effect: "is", size: 22, axis: "log", map: "auto", from: -88, to: -24, owners: false, shown: "", theme: "auto", letters: true, drawer: false, tab: "marks" };
let prefs = { ...FIRST, ...remembered(localStorage, "partita") };
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (prefs.theme === "auto" ? prefersDark.matches : prefs.theme === "dark");

function setPrefs(change) {
  prefs = { ...prefs, ...change, ...(store.isSession && LISTENS) };
  localStorage.setItem("partita", JSON.stringify(prefs));
  showPrefs();
  drawer.update(store.state, prefs);
  resized();
}

const store = new Store();
const view = new views.View();
const tiles = new Tiles({ onReady: () => redraw(), onError: (error) => store.tell(error) });
const player = new Player({ onChange: () => playing(), onError: (error) => store.tell(error) });
let grid = null;
let ink = null;

const page = {
  view, player,
  prefs: () => prefs,
  setPrefs,
  redraw: () => redraw("marks"),
  position: () => player.position,
  seek,
  edit: (source) => dialogs.editSource(store, source),
  audition,
  reveal,
  boxHere,
  chooseFile: () => $("file").click(),
  hearComponent: (index) => {
    const what = `component ${index}`;
    if (player.auditioning === what) player.pause();
    else player.audition({ component: index, box: undefined }, player.position, Math.min(player.duration, player.position + 6), what);
  },
};
const mixer = new Mixer(store, page);
const drawer = new Drawer(store, page);
const painter = new Painter($("field"), view, store, page);
const overview = new views.Overview($("overview"), () => redraw());
const lane = new Lane($("lane"), view, store, () => redraw("marks"));

// --- drawing

let dirty = null;
const scratch = document.createElement("canvas");

/** Draws at the next frame: all, or only what was painted. */
function redraw(what = "all") {
  if (!dirty) requestAnimationFrame(draw);
  dirty = what === "all" || dirty === "all" ? "all" : "marks";
}

function draw() {
  const what = dirty;
  dirty = null;
  if (!grid) return;
  const looks = looksOf(store.state, prefs, isDark());
  if (what === "all") {
    views.drawSpectrogram($("spectrogram"), view, tiles, grid, looks, ink);
    views.drawRuler($("ruler"), view, loop.at, player.loop !== null, ink);
    views.drawAxis($("axis"), view, ink);
    const { stroke, range } = store.document;
    const seen = [...stroke, ...range].map((mark) => ({ source: mark.source, t: marks.times(mark) }));
    overview.draw(view, seen, (source) => marks.colorOf(store.document, source), ink);
  }
  drawMarks();
  lane.draw(painter.draft?.range, ink);
  showPlayhead();
}

function drawMarks() {
  const size = views.sharp($("marks"));
  const { context } = size;
  const { document: shown, state } = store;
  const { draft, pointer } = painter;
  for (const { source, t: [t0, t1] } of [...shown.range, ...(draft?.range ? [{ source: state.focus, t: draft.range }] : [])]) {
    context.fillStyle = marks.colorOf(shown, source);
    context.globalAlpha = 0.1;
    context.fillRect(view.x(t0), 0, view.x(t1) - view.x(t0), size.height);
    context.globalAlpha = 0.8;
    for (const t of [t0, t1]) context.fillRect(view.x(t) - 0.5, 0, 1, size.height);
    context.globalAlpha = 1;
  }
  marks.drawMarks(context, shown, view, scratch, size, draft?.instead);
  const chosen = draft?.instead ? draft.stroke : shown.stroke.find(({ id }) => id === state.chosen);
  for (const stroke of shown.stroke) if (stroke.id !== draft?.instead) marks.drawLabel(context, stroke, shown, view, ink.sans);
  if (draft?.stroke) {
    const drafted = draft.stroke.source ? draft.stroke : { ...draft.stroke, source: -1 };
    const color = drafted.effect === "erase" ? "#ffffff" : marks.colorOf(shown, drafted.source);
    marks.drawStroke(context, drafted, view, color);
  }
  if (chosen && chosen.effect !== "erase") marks.drawChosen(context, chosen, view);
  if (pointer && ["brush", "harmonic", "eraser"].includes(prefs.tool) && !painter.spaceHeld) drawBrush(context, pointer);
  showReadout(pointer);
}

/** The brush under the pointer: black and white, to be seen on everything. */
function drawBrush(context, [x, y]) {
  const color = prefs.tool === "eraser" ? "#ffffff" : marks.colorOf(store.document, store.state.focus);
  for (const [style, width] of [["rgb(0 0 0 / 70%)", 3], [color, 1.5]]) {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.setLineDash(prefs.effect === "is_not" && prefs.tool !== "eraser" ? [4, 3] : []);
    context.beginPath();
    context.arc(x, y, prefs.size / 2, 0, 2 * Math.PI);
    context.stroke();
  }
  context.setLineDash([]);
}

function showReadout(pointer) {
  $("readout").hidden = !pointer;
  if (!pointer) return;
  const [t, hz] = [view.t(pointer[0]), view.hz(pointer[1])];
  const look = looksOf(store.state, prefs, isDark())[0];
  let db = null;
  for (let level = 0; level <= grid.most && db === null; level += 1) {
    const column = Math.floor((t / grid.frame + 0.5) / 2 ** level);
    db = tiles.db(look.tracks[0], level, Math.floor(column / COLUMNS), column % COLUMNS, clamp(Math.floor(view.u(hz) * ROWS), 0, ROWS - 1), look);
  }
  $("readout").textContent = [clock(t), hertz(hz), note(hz), db === null ? "" : decibel(db)].filter(Boolean).join("   ");
}

function showPlayhead() {
  const at = player.position;
  const x = view.x(at);
  $("playhead").style.transform = `translateX(${x.toFixed(1)}px)`;
  $("playhead").hidden = x < 0 || x > view.width;
  $("overview-head").style.transform = `translateX(${((at / view.duration) * $("overview").clientWidth).toFixed(1)}px)`;
  const digits = view.duration >= 3600 ? 1 : 3;
  $("time").textContent = clock(at, digits);
}

/** Runs while it plays: the playhead, the meters, and the page turns. */
function tick() {
  if (!player.playing) {
    mixer.meters([], []);
    showPlayhead();
    return;
  }
  if (!player.waiting && !painter.busy && !player.auditioning) view.follow(player.position);
  showPlayhead();
  mixer.meters(player.loudness(), levelsOf(heardState()));
  requestAnimationFrame(tick);
}

let ticking = false;
function playing() {
  const { playing: plays, waiting } = player;
  $("play").replaceChildren(icon(plays ? "pause" : "play"));
  $("play").setAttribute("aria-label", plays ? "Pause" : "Play");
  $("play").classList.toggle("waiting", plays && waiting);
  $("play").classList.toggle("on", plays);
  drawer.update(store.state, prefs);
  if (plays && !ticking) requestAnimationFrame(tick);
  ticking = plays;
  showPlayhead();
}

/** Sizes, colors and axes anew. */
function resized() {
  document.documentElement.dataset.theme = isDark() ? "dark" : "light";
  ink = views.inks();
  const { width, height } = $("field").getBoundingClientRect();
  if (width > 0 && height > 0) {
    view.width = width;
    view.height = height;
  }
  redraw();
}

// --- what is heard

/** The state as it is heard: with the fit before, where that is compared. */
function heardState(state = store.state) {
  return state.ab && state.before ? { ...state, fit: state.before } : state;
}

function hear() {
  if (!grid) return;
  const state = heardState();
  player.setLevels(levelsOf(state));
  player.show({ fit: state.fit });
}

const loop = { at: null };

function setLoop(at, isOn) {
  loop.at = at;
  player.setLoop(isOn ? at : null);
  $("loop").setAttribute("aria-pressed", String(isOn));
  redraw();
}

function toggleLoop() {
  const chosen = [...store.document.stroke, ...store.document.range].find(({ id }) => id === store.state.chosen);
  const at = loop.at ?? (chosen ? marks.times(chosen).map((t) => clamp(t, 0, view.duration)) : [view.t0, view.t1]);
  setLoop(at, player.loop === null);
}

function seek(t) {
  player.seek(clamp(t, 0, view.duration));
  if (t < view.t0 || t > view.t1) view.follow(t);
  redraw("marks");
}

/** Plays what is inside of a mark, or where a source is alone. */
function audition(mark) {
  const what = `mark ${mark.id}`;
  if (player.auditioning === what) return player.pause();
  const [t0, t1] = marks.times(mark);
  const [from, to] = [Math.max(0, t0), Math.min(view.duration, Math.max(t1, t0 + 0.05))];
  const [low, high] = marks.pitches(mark, view.nyquist);
  const box = mark.shape ? [from, to, low, high] : undefined;
  return player.audition({ box }, Math.max(0, from - 0.02), Math.min(view.duration, to + 0.15), what);
}

function auditionChosen() {
  const mark = [...store.document.stroke, ...store.document.range].find(({ id }) => id === store.state.chosen);
  if (mark) audition(mark);
  else store.say("Choose a mark to hear it alone");
}

function reveal(mark) {
  const [t0, t1] = marks.times(mark);
  if (t0 >= view.t0 && t1 <= view.t1) return;
  const length = Math.max(view.t1 - view.t0, 1.5 * (t1 - t0));
  view.setTime((t0 + t1 - length) / 2, (t0 + t1 + length) / 2);
}

function boxHere() {
  const t0 = marks.second(Math.min(player.position, view.duration - 0.01));
  const length = Math.min(0.5, (view.t1 - view.t0) / 8);
  const u = (view.u0 + view.u1) / 2;
  const hz = [u - 0.05 * (view.u1 - view.u0), u + 0.05 * (view.u1 - view.u0)].map((at) => marks.hertzOf(view.ofU(at)));
  addStroke(store, { shape: "box", t: [t0, marks.second(Math.min(view.duration, t0 + length))], hz }, prefs.effect, "Painted");
}

function toggleBefore(before = !store.state.ab) {
  if (store.state.before) store.set({ ab: before });
  else store.say("There is no separation before this one");
}

// --- work

const failed = (error) => {
  store.set({ work: null });
  store.tell(error);
};

async function exportStems() {
  const stop = new AbortController();
  await dialogs.exportDialog(store, async (options) => {
    const work = { label: "Exporting", done: 0, total: 0, stop: () => stop.abort(), since: performance.now() };
    store.set({ work });
    try {
      const last = await api.exportStems(options, ({ done, total }) => total && store.set({ work: { ...work, done, total } }), stop.signal);
      store.say(`Exported ${last.paths.length} files: ${last.paths[0]}${last.paths.length > 1 ? ", …" : ""}`);
    } finally {
      store.set({ work: null });
    }
  });
}

async function takeFile(file) {
  if (store.isSession) return refuseFile(store);
  const came = await dialogs.addFile(store, file);
  if (!came) return;
  let next = store.document;
  if (came.kind === "score") {
    const tracks = {};
    const kit = next.source.find((source) => /^(drums?|drum ?(kit|set)|percussion)$/i.test(source.name));
    for (const name of came.tracks) {
      // Who has the drums has each of them, but those that are sources of their own.
      let id = next.source.find((source) => source.name.toLowerCase() === name.toLowerCase())?.id;
      if (came.drums.includes(name)) id ??= kit?.id;
      if (id === undefined) [next, id] = withSource(next, freeName(next, name));
      tracks[name] = id;
    }
    store.set({ scoreTracks: came.tracks });
    store.edit("Score added", { ...next, score: { file: came.name, align: true, tracks } }, { focus: store.state.focus ?? next.source[0]?.id });
  } else {
    let { id } = came.whose;
    if (id === undefined) [next, id] = withSource(next, freeName(next, came.whose.name));
    store.edit("Example added", { ...next, example: [...next.example, { source: id, file: came.name }] }, { focus: id });
  }
  setPrefs({ drawer: true, tab: "files" });
  store.say(`Added ${came.name}: press Enter to hear what it teaches`);
}

function addSource() {
  const [next, id] = withSource(store.document, freeName(store.document, `source-${store.document.source.length + 1}`));
  store.edit("Added a source", next, { focus: id });
  page.edit(store.focused);
}

// --- showing the state

let barTimer = 0;

function showWork({ work }) {
  const bar = $("progress");
  clearTimeout(barTimer);
  $("fit").classList.toggle("working", work !== null);
  if (!work) {
    bar.hidden = true;
    return;
  }
  const [track, text] = bar.children;
  const part = work.total ? work.done / work.total : 0;
  track.firstChild.style.width = `${100 * part}%`;
  track.classList.toggle("unknown", !work.total);
  track.setAttribute("aria-valuenow", String(Math.round(100 * part)));
  text.textContent = `${work.label}${work.total ? ` ${work.done} of ${work.total}` : "…"}`;
  const wait = 300 - (performance.now() - work.since);
  if (wait <= 0) bar.hidden = false;
  else barTimer = setTimeout(() => (bar.hidden = false), wait);
}

function showNotices({ notices }) {
  $("notices").replaceChildren(...notices.map((notice) => h("div", { class: `notice${notice.kind ? ` ${notice.kind}` : ""}` }, icon("warn"),
    h("div", {}, h("strong", {}, notice.text), notice.hint && h("p", {}, notice.hint)),
    notice.actions.map(([label, run]) => h("button", { type: "button", class: "button small", onclick: run }, label)),
    h("button", { type: "button", class: "icon-button", "aria-label": "Put away", title: "Put away", onclick: () => store.dismiss(notice) }, icon("close")))));
  resized();
}

function show(state, before) {
  if (state.document !== before.document || state.fit !== before.fit || state.focus !== before.focus || state.extra !== before.extra || state.original !== before.original || state.master !== before.master || state.ab !== before.ab) {
    mixer.update(state);
    sessionStorage.setItem("partita-mixer", JSON.stringify({ extra: state.extra, master: state.master, original: state.original }));
    hear();
    showPaintFor();
    $("known").textContent = known(state.document);
  }
  if (state.fit !== before.fit) {
    if (before.fit !== null) store.set({ before: before.fit, ab: false });
    if (prefs.shown && !rowsOf(state).some(({ key, track }) => key === prefs.shown && track)) prefs.shown = "";
    if (before.fit === null && before.recording && state.fit !== null) prefs.owners = true;
    showPrefs();
  }
  if (state.document !== before.document || state.fit !== before.fit) showShown();
  if (state.work !== before.work) showWork(state);
  if (state.notices !== before.notices) showNotices(state);
  if (state.said !== before.said) $("said").textContent = state.said;
  if (state.conflict && state.conflict !== before.conflict) dialogs.conflict(state.conflict).catch(failed);
  $("undo").disabled = !store.canUndo;
  $("redo").disabled = !store.canRedo;
  $("undo").title = store.canUndo ? `Undo: ${state.past[state.at].label} (Ctrl+Z)` : "Nothing to undo";
  $("save").querySelector(".dot").hidden = !store.unsaved;
  const stale = store.stale;
  $("fit").classList.toggle("stale", stale);
  $("fit").firstElementChild.textContent = store.isSession ? "Take the bleed out" : state.fit === null ? "Separate" : "Separate again";
  $("from-start").hidden = state.fit === null;
  $("export").disabled = state.fit === null;
  for (const button of $("ab").children) {
    button.disabled = !state.before;
    button.setAttribute("aria-pressed", String((button.dataset.ab === "b") === Boolean(state.ab)));
  }
  $("ab").parentElement.hidden = !state.before;
  showEmpty(state);
  drawer.update(state, prefs);
  redraw(state.fit !== before.fit || state.document !== before.document ? "all" : "marks");
}

function showShown() {
  const rows = rowsOf(store.state).filter(({ track }) => track);
  $("shown").replaceChildren(h("option", { value: "" }, "recording"), ...rows.map(({ key, name }) => h("option", { value: key, selected: key === prefs.shown }, name)));
}

function showPaintFor() {
  const source = store.focused;
  const place = $("paint-for");
  place.replaceChildren(h("span", {}, "for"), h("b", {}, source?.name ?? "a new source"));
  place.style.setProperty("--hue", source ? COLORS[source.color % COLORS.length] : "var(--faint)");
}

function showEmpty({ fit, document: what, work, recording }) {
  const isEmpty = recording && fit === null && !work && !what.stroke.length && !what.range.length && !what.score && !what.example.length;
  $("empty").hidden = !isEmpty;
}

function showPrefs() {
  for (const button of $("tools").children) button.setAttribute("aria-pressed", String(button.dataset.tool === prefs.tool));
  for (const button of $("effects").children) button.setAttribute("aria-pressed", String(button.dataset.effect === prefs.effect));
  $("effects").classList.toggle("negative", prefs.effect === "is_not");
  $("size").value = prefs.size;
  $("shown").value = prefs.shown;
  $("owners").setAttribute("aria-pressed", String(prefs.owners && prefs.shown === ""));
  $("theme").replaceChildren(icon({ auto: "auto", dark: "moon", light: "sun" }[prefs.theme]));
  $("theme").title = { auto: "Light or dark: as the system", dark: "Dark", light: "Light" }[prefs.theme];
  $("field").dataset.tool = prefs.tool;
  view.axis = prefs.axis;
}

// --- wiring

const button = (id, run) => $(id).addEventListener("click", () => Promise.resolve(run()).catch(failed));
const steps = { undo: () => store.undo(), redo: () => store.redo() };

function wire() {
  $("tools").append(...TOOLS.map((tool) => h("button", { type: "button", class: "tool", "data-tool": tool.id, "aria-label": tool.label, title: `${tool.label} (${tool.key})`, onclick: () => setPrefs({ tool: tool.id }) }, icon(tool.icon))));
  for (const one of $("effects").children) one.addEventListener("click", () => setPrefs({ effect: one.dataset.effect }));
  $("size").addEventListener("input", (event) => setPrefs({ size: Number(event.target.value) }));
  $("shown").addEventListener("change", (event) => setPrefs({ shown: event.target.value }));
  for (const one of $("ab").children) one.addEventListener("click", () => toggleBefore(one.dataset.ab === "b"));
  button("owners", () => setPrefs(prefs.shown === "" ? { owners: !prefs.owners } : { owners: true, shown: "" }));
  button("looks", () => openLooks($("look-panel").hidden));
  button("play", () => player.toggle());
  button("to-start", () => seek(0));
  button("loop", toggleLoop);
  button("undo", steps.undo);
  button("redo", steps.redo);
  button("save", () => store.save());
  button("export", exportStems);
  button("theme", () => setPrefs({ theme: { auto: "dark", dark: "light", light: "auto" }[prefs.theme] }));
  button("help", help);
  button("parts", () => store.set({ original: false }));
  button("original", () => store.set({ original: true }));
  button("add-source", addSource);
  button("only", auditionChosen);
  button("zoom-in", () => view.zoomTime(1.6));
  button("zoom-out", () => view.zoomTime(1 / 1.6));
  button("zoom-whole", () => view.whole());
  button("toggle-drawer", () => setPrefs({ drawer: !prefs.drawer }));
  button("fit", () => store.refit());
  button("from-start", () => store.refit("cold"));
  $("progress").querySelector("button").addEventListener("click", () => store.state.work?.stop());
  $("file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (file) takeFile(file).catch(failed);
  });
  $("empty").append(h("div", { class: "card" },
    h("h2", {}, "Where to begin"),
    h("ul", {},
      h("li", {}, h("button", { type: "button", class: "button primary", onclick: () => store.refit().catch(failed) }, h("span", {}, "Separate"), h("kbd", {}, "⏎")), h("span", {}, "A first separation, with nothing known: a suggestion to go on from.")),
      h("li", {}, h("button", { type: "button", class: "button", onclick: () => $("file").click() }, icon("file"), h("span", {}, "Add a file…")), h("span", {}, "A MIDI file of what is played, or a recording of one source alone. Or drop it here.")),
      h("li", {}, h("button", { type: "button", class: "button", onclick: addSource }, icon("plus"), h("span", {}, "Add a source")), h("span", {}, "Then paint where you see it, and where it is not.")))));
  overviewPointer($("overview").parentElement, view, seek);
  rulerPointer($("ruler"), view, seek, (at, isLast) => (isLast ? setLoop(at, true) : ((loop.at = at), redraw())));
  view.onChange = () => redraw();
  new ResizeObserver(resized).observe($("field"));
  prefersDark.addEventListener("change", resized);
  document.addEventListener("pointerdown", (event) => !event.target.closest("#look-panel, #looks") && openLooks(false));
  // a button that is clicked does not take Space and Enter for itself; one that is reached by Tab does
  document.addEventListener("mousedown", (event) => event.target.closest("button") && !event.target.closest("dialog") && event.preventDefault());
  onDrop($("drop"), (file) => takeFile(file).catch(failed));
  wireKeys();
  onReach(store, failed);
}

function openLooks(isOpen) {
  if (isOpen) lookPanel($("look-panel"), () => prefs, setPrefs, autoLevels);
  $("look-panel").hidden = !isOpen;
  $("looks").setAttribute("aria-expanded", String(isOpen));
}

async function autoLevels() {
  const { levels } = await api.tile(0, grid.most, 0, {});
  setPrefs(levelsOfTile(levels));
  if (!$("look-panel").hidden) openLooks(true);
}

const help = () => dialogs.help(helpFor(!store.isSession), prefs, setPrefs);

function wireKeys() {
  const row = () => mixer.rowOf(store.state.focus);
  const flip = (what) => row() && mixer.change(row(), { [what]: !row().mix[what] });
  const none = (what) => rowsOf(store.state).forEach((one) => one.mix[what] && mixer.change(one, { [what]: false }));
  const focus = (by) => {
    const { source: list } = store.document;
    const at = list.findIndex(({ id }) => id === store.state.focus);
    if (list.length) store.set({ focus: list[clamp(at + by, 0, list.length - 1)].id });
  };
  const step = (by) => () => seek(player.position + (by * (view.t1 - view.t0)) / 100);
  const jump = (by) => () => seek(player.position + (by * (view.t1 - view.t0)) / 10);
  const nudge = (x, y) => () => nudgeChosen(store, x / view.perSecond, view.hz(view.height / 2 - y) / view.hz(view.height / 2));
  const size = (by) => () => setPrefs({ size: Math.round(clamp(prefs.size * by, 6, 120)) });
  const numbers = Array.from({ length: 9 }, (_, i) => [String(i + 1), () => store.document.source[i] && store.set({ focus: store.document.source[i].id })]);
  const tools = TOOLS.map(({ id, key }) => [key.toLowerCase(), () => setPrefs({ tool: id })]);
  const undo = () => Promise.resolve(steps.undo()).catch(failed);
  const redo = () => Promise.resolve(steps.redo()).catch(failed);
  listen({
    ...Object.fromEntries([...numbers, ...tools]),
    space: (event) => (event.target === $("field") && painter.pointer && event.repeat ? undefined : player.toggle()),
    "shift+space": auditionChosen, p: auditionChosen,
    arrowleft: step(-1), arrowright: step(1), "shift+arrowleft": jump(-1), "shift+arrowright": jump(1),
    arrowup: () => focus(-1), arrowdown: () => focus(1),
    "shift+arrowup": () => view.zoomHeight(1.3), "shift+arrowdown": () => view.zoomHeight(1 / 1.3),
    "alt+arrowleft": nudge(-4, 0), "alt+arrowright": nudge(4, 0), "alt+arrowup": nudge(0, 4), "alt+arrowdown": nudge(0, -4),
    home: () => seek(0), end: () => seek(view.duration),
    l: toggleLoop, o: () => store.set({ original: !store.state.original }), x: () => toggleBefore(),
    m: () => flip("mute"), s: () => flip("solo"), "shift+m": () => none("mute"), "shift+s": () => none("solo"),
    n: () => setPrefs({ effect: prefs.effect === "is" ? "is_not" : "is" }),
    "[": size(1 / 1.25), "]": size(1.25), k: boxHere, delete: () => removeChosen(store), backspace: () => removeChosen(store),
    "+": () => view.zoomTime(1.6), "=": () => view.zoomTime(1.6), "-": () => view.zoomTime(1 / 1.6), 0: () => view.whole(),
    c: () => $("owners").click(), g: () => setPrefs({ axis: prefs.axis === "log" ? "linear" : "log" }), d: () => setPrefs({ drawer: !prefs.drawer }),
    enter: () => store.refit().catch(failed), "shift+enter": () => store.refit("cold").catch(failed),
    escape: () => (painter.busy ? painter.cancel() : !$("look-panel").hidden ? openLooks(false) : store.state.work ? store.state.work.stop() : store.set({ chosen: null })),
    "ctrl+z": undo, "ctrl+shift+z": redo, "ctrl+y": redo,
    "ctrl+s": () => store.save().catch(failed), "ctrl+e": () => exportStems().catch(failed),
    "?": help,
  }, () => prefs.letters);
}

async function open() {
  showPrefs();
  resized();
  wire();
  store.subscribe(show);
  store.set(remembered(sessionStorage, "partita-mixer"));
  await store.load();
  if (store.isSession) openSession(store, setPrefs);
  const { recording, audio, tiles: from } = store.state;
  document.title = `${recording.name} · partita studio`;
  $("name").textContent = recording.name;
  $("name").title = recording.name;
  player.open(audio);
  grid = views.gridOf({ sample_rate: recording.sample_rate, ...from });
  view.open(player.duration, recording.sample_rate / 2);
  $("duration").textContent = clock(player.duration, 0);
  resized();
  hear();
  mixer.update(store.state);
  if (!localStorage.getItem("partita-levels")) {
    localStorage.setItem("partita-levels", "seen");
    await autoLevels();
  }
  await overview.open(grid);
}

/** Seconds `from..to` as the mixer plays them, for tests: `state` may have other sources, `original`, or a fit. */
async function heard(from, to, state = {}) {
  const { sources = {}, ...rest } = state;
  const mixed = (source) => ({ ...source, ...sources[source.name] });
  const now = heardState();
  const names = now.fits[now.fit]?.stems.map(({ name }) => name) ?? [];
  const extra = { ...now.extra, ...Object.fromEntries(names.filter((name) => sources[name]).map((name) => [name, { gain_db: 0, mute: false, solo: false, ...sources[name] }])) };
  const as = { ...now, extra, document: { ...now.document, source: now.document.source.map(mixed) }, ...rest };
  return player.heard(from, to, levelsOf(as), { fit: as.fit });
}

window.studio = { heard, player, store, view, tiles, ready: open().catch(failed) };
