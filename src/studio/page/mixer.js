// The list of sources: who is heard, how loud, and whom one paints for. Also: what each track of a fit is.

import { clamp, decibel, h, icon, iconButton } from "./dom.js";
import { COLORS } from "./state.js";

const LEAST_DB = -60;
const MOST_DB = 12;

/** Place of a gain on its slider, from 0 to 1; there is more room where it matters. */
const placeOf = (db) => ((clamp(db, LEAST_DB, MOST_DB) - LEAST_DB) / (MOST_DB - LEAST_DB)) ** 1.7;
const gainAt = (place) => LEAST_DB + clamp(place, 0, 1) ** (1 / 1.7) * (MOST_DB - LEAST_DB);

const QUIET = { gain_db: 0, mute: false, solo: false };
/** What was taken out of microphones is heard where somebody asks for it. */
const TAKEN_OUT = { ...QUIET, mute: true };

/**
 * What can be heard: each source of the document, and what is left over. `track` counts from 1, the recording is 0; a
 * source that was not separated yet has none.
 */
export function rowsOf(state) {
  const stems = state.fits[state.fit]?.stems ?? [];
  const trackOf = (source) => 1 + stems.findIndex((stem) => (stem.source ?? null) === source.id || (stem.source == null && stem.name === source.name));
  const rows = state.document.source.map((source) => ({ key: `s${source.id}`, source, name: source.name, track: trackOf(source) || null, mix: source }));
  stems.forEach(({ name }, i) => {
    if (rows.some(({ track }) => track === i + 1)) return;
    rows.push({ key: `x${name}`, source: null, name, track: i + 1, mix: state.extra?.[name] ?? (state.document.debleed ? TAKEN_OUT : QUIET) });
  });
  return rows;
}

/** The factor of each track, by gain, mute, and solo, which is additive and puts no mute away for good. */
export function levelsOf(state) {
  const stems = state.fits[state.fit]?.stems ?? [];
  const master = 10 ** ((state.master ?? 0) / 20);
  if (state.original || !stems.length) return [master, ...stems.map(() => 0)];
  const rows = rowsOf(state);
  const anySolo = rows.some(({ track, mix }) => track && mix.solo);
  const levels = new Array(stems.length + 1).fill(0);
  for (const { track, mix } of rows) {
    const isHeard = anySolo ? mix.solo : !mix.mute;
    if (track && isHeard) levels[track] = master * (mix.gain_db <= LEAST_DB ? 0 : 10 ** (mix.gain_db / 20));
  }
  return levels;
}

/** A slider for a gain, for pointer, keys and screen readers. */
function gainSlider(label, read, write) {
  const fill = h("span", { class: "fill" });
  const meter = h("span", { class: "meter" });
  const thumb = h("span", { class: "thumb" });
  const zero = h("span", { class: "zero" });
  const element = h(
    "div",
    { class: "gain", role: "slider", tabIndex: 0, "aria-valuemin": LEAST_DB, "aria-valuemax": MOST_DB, title: `${label}: double click for 0 dB` },
    h("span", { class: "groove" }, fill, meter), zero, thumb,
  );
  const shown = h("span", { class: "db" });
  const set = (db) => write(Math.round(clamp(db, LEAST_DB, MOST_DB) * 10) / 10);
  const drag = (event) => {
    const { left, width } = element.getBoundingClientRect();
    const db = gainAt((event.clientX - left) / width);
    set(Math.abs(db) < 0.7 ? 0 : db);
  };
  element.addEventListener("pointerdown", (event) => {
    element.setPointerCapture(event.pointerId);
    drag(event);
  });
  element.addEventListener("pointermove", (event) => event.buttons & 1 && element.hasPointerCapture(event.pointerId) && drag(event));
  element.addEventListener("dblclick", () => set(0));
  element.addEventListener("keydown", (event) => {
    const by = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 6, PageDown: -6 }[event.key];
    const to = { Home: LEAST_DB, End: MOST_DB }[event.key];
    if (by === undefined && to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    set(to ?? read() + by * (event.shiftKey ? 0.1 : 1));
  });
  zero.style.left = `${100 * placeOf(0)}%`;
  const update = () => {
    const db = read();
    const place = `${100 * placeOf(db)}%`;
    fill.style.width = place;
    thumb.style.left = place;
    shown.textContent = db <= LEAST_DB ? "−∞ dB" : decibel(db);
    element.setAttribute("aria-label", label);
    element.setAttribute("aria-valuenow", String(db));
    element.setAttribute("aria-valuetext", shown.textContent);
  };
  const level = (value) => {
    meter.style.width = `${100 * (value > 1e-3 ? placeOf(20 * Math.log10(value) + 6) : 0)}%`;
  };
  update();
  return { element, shown, update, level };
}

export class Mixer {
  #rows = [];
  #shape = "";

  /** @param {import("./state.js").Store} store @param {{edit: (source: any) => void}} page */
  constructor(store, page) {
    this.store = store;
    this.page = page;
    this.list = document.getElementById("rows");
    this.master = gainSlider("Volume", () => store.state.master ?? 0, (master) => store.set({ master }));
    document.getElementById("master").append(icon("speaker"), this.master.element, this.master.shown);
  }

  /** Sets mute, solo or gain of a row, also of what is left over. */
  change(row, change) {
    if (row.source) this.store.mix(row.source.id, change);
    else this.store.set({ extra: { ...this.store.state.extra, [row.name]: { ...row.mix, ...change } } });
  }

  rowOf(id) {
    return rowsOf(this.store.state).find(({ source }) => source?.id === id);
  }

  update(state) {
    const rows = rowsOf(state);
    const shape = JSON.stringify(rows.map(({ key, name, source }) => [key, name, source?.color]));
    if (shape !== this.#shape) {
      this.#shape = shape;
      const had = document.activeElement?.closest?.(".row")?.dataset.key;
      const what = document.activeElement?.dataset?.what;
      this.#rows = rows.map((row, i) => this.#make(row, i));
      this.list.replaceChildren(...this.#rows.map(({ element }) => element));
      if (had) this.list.querySelector(`[data-key="${CSS.escape(had)}"] [data-what="${what}"]`)?.focus();
    }
    const anySolo = rows.some(({ track, mix }) => track && mix.solo);
    rows.forEach((row, i) => this.#rows[i].update(row, state, anySolo));
    this.master.update();
    document.getElementById("parts").setAttribute("aria-pressed", String(!state.original && state.fit !== null));
    document.getElementById("original").setAttribute("aria-pressed", String(Boolean(state.original) || state.fit === null));
    document.getElementById("parts").disabled = state.fit === null;
  }

  #make(row, i) {
    const current = { row };
    const change = (to) => this.change(current.row, to);
    const { name, source } = row;
    const [choose, left] = this.store.isSession ? ["Choose", "what was taken out"] : ["Paint for", "what is left over"];
    const focus = () => source && this.store.set({ focus: source.id, chosen: null });
    const badge = h("button", { type: "button", class: "badge", onclick: focus, "data-what": "badge", "aria-pressed": "false", "aria-label": source ? `${choose} ${name}` : `${name}, ${left}`, title: source ? `${choose} ${name} (${i + 1})` : left[0].toUpperCase() + left.slice(1), disabled: !source }, source ? String(i + 1) : "·");
    const title = h("button", { type: "button", class: "name", "data-what": "name", onclick: focus, ondblclick: () => source && this.page.edit(source), title: source ? `${name}: double click to change it` : name }, name);
    const toggle = (what, letter, words) => h("button", { type: "button", class: `ms ${what}`, "data-what": what, "aria-pressed": "false", "aria-label": `${words} ${name}`, title: `${words} (${letter})`, onclick: () => change({ [what]: !current.row.mix[what] }) }, letter);
    const mute = toggle("mute", "M", "Mute");
    const solo = toggle("solo", "S", "Solo");
    const more = source && iconButton("more", `Change ${name}`, () => this.page.edit(source), { class: "icon-button more", "data-what": "more" });
    const gain = gainSlider(`Gain of ${name}`, () => current.row.mix.gain_db, (gain_db) => change({ gain_db }));
    const state = h("span", { class: "state" });
    const element = h("li", { class: "row", "data-key": row.key }, h("div", { class: "line" }, badge, title, state, more, mute, solo), h("div", { class: "line" }, gain.element, gain.shown));
    element.style.setProperty("--hue", source ? COLORS[source.color % COLORS.length] : "var(--dim)");
    const update = (now, all, anySolo) => {
      current.row = now;
      const isFocused = source !== null && all.focus === source.id;
      element.classList.toggle("focused", isFocused);
      element.classList.toggle("unheard", !now.track || Boolean(all.original) || (anySolo ? !now.mix.solo : now.mix.mute));
      badge.setAttribute("aria-pressed", String(isFocused));
      mute.setAttribute("aria-pressed", String(now.mix.mute));
      solo.setAttribute("aria-pressed", String(now.mix.solo));
      state.textContent = now.track ? "" : "new";
      state.title = now.track ? "" : "It is heard after the next separation";
      gain.update();
    };
    return { element, update, level: gain.level, current };
  }

  /** Meters, from how loud each track is. */
  meters(loudness, levels) {
    for (const { level, current } of this.#rows) level((loudness[current.row.track] ?? 0) * (levels[current.row.track] ?? 0));
    const sum = loudness.reduce((power, value, track) => power + (value * (levels[track] ?? 0)) ** 2, 0);
    this.master.level(Math.sqrt(sum));
  }
}
