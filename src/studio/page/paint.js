// The pointer on the spectrogram: tools that paint, choose and move.

import { clamp } from "./dom.js";
import * as marks from "./marks.js";
import { freeId, freeName, withEntry, withSource } from "./state.js";

/** Pixels that a pointer may stray in a click. */
const CLICK = 3;

export const TOOLS = [
  { id: "hand", icon: "hand", label: "Choose and move", key: "V" },
  { id: "brush", icon: "brush", label: "Brush", key: "B" },
  { id: "box", icon: "box", label: "Box", key: "R" },
  { id: "harmonic", icon: "harmonic", label: "Harmonic brush: a tone and its overtones", key: "H" },
  { id: "range", icon: "range", label: "Alone: only this source plays here", key: "T" },
  { id: "eraser", icon: "eraser", label: "Eraser", key: "E" },
];

/** A source to paint for; the first is made where there is none. */
export function sourceToPaint(store) {
  if (store.focused) return [store.document, store.focused.id];
  return withSource(store.document, freeName(store.document, "source-1"));
}

/** Adds a stroke; microphones have none. */
export function addStroke(store, shape, effect, label = "Stroke") {
  if (store.isSession) return;
  const [document, source] = sourceToPaint(store);
  const stroke = { id: freeId(document), source, effect, ...shape };
  store.edit(label, { ...document, stroke: [...document.stroke, stroke] }, { focus: source, chosen: stroke.id });
}

export function addRange(store, t) {
  const [document, source] = sourceToPaint(store);
  const range = { id: freeId(document), source, t: t.map(marks.second) };
  store.edit("Alone", { ...document, range: [...document.range, range] }, { focus: source, chosen: range.id });
}

/** Takes away what is chosen. */
export function removeChosen(store) {
  const { chosen } = store.state;
  const { document } = store;
  const without = (list) => document[list].filter(({ id }) => id !== chosen);
  if (chosen === null) return;
  store.edit("Mark removed", { ...document, stroke: without("stroke"), range: without("range") }, { chosen: null });
}

/** Moves what is chosen, by keys. */
export function nudgeChosen(store, dt, by) {
  const stroke = store.document.stroke.find(({ id }) => id === store.state.chosen);
  const range = store.document.range.find(({ id }) => id === store.state.chosen);
  if (stroke) store.edit("Mark moved", withEntry(store.document, "stroke", stroke.id, marks.moved(stroke, dt, by)));
  if (range) store.edit("Mark moved", withEntry(store.document, "range", range.id, { t: range.t.map((t) => marks.second(t + dt)) }));
}

export class Painter {
  /** @type {any} What is being done with the pointer. */ #doing = null;
  /** @type {[number, number]|null} */ pointer = null;
  spaceHeld = false;

  /**
   * @param {HTMLElement} field @param {import("./view.js").View} view @param {import("./state.js").Store} store
   * @param {{redraw: () => void, seek: (t: number) => void, prefs: () => any}} page
   */
  constructor(field, view, store, page) {
    Object.assign(this, { field, view, store, page });
    field.addEventListener("pointerdown", (event) => this.#down(event));
    field.addEventListener("pointermove", (event) => this.#move(event));
    field.addEventListener("pointerup", (event) => this.#up(event));
    field.addEventListener("pointercancel", () => this.cancel());
    field.addEventListener("pointerleave", () => {
      this.pointer = null;
      this.page.redraw();
    });
    field.addEventListener("contextmenu", (event) => event.preventDefault());
    field.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    field.addEventListener("dblclick", (event) => this.#double(event));
  }

  get busy() {
    return this.#doing !== null;
  }

  /** The stroke that is being painted or moved, and which one it stands for. */
  get draft() {
    return this.#doing?.draft ?? null;
  }

  #at(event) {
    const { left, top } = this.field.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  }

  #place([x, y]) {
    const { view } = this;
    const t = clamp(view.t(x), 0, view.duration);
    return [marks.second(t), marks.hertzOf(clamp(view.hz(y), 1, view.nyquist))];
  }

  /** What a stroke says: the switch, turned over by Alt; Shift adds, Ctrl takes away. */
  #effect(event) {
    const { tool, effect } = this.page.prefs();
    if (tool === "eraser" || event.ctrlKey || event.metaKey) return "erase";
    if (event.shiftKey) return "is";
    if (event.altKey) return effect === "is" ? "is_not" : "is";
    return effect;
  }

  /** The brush is as wide on the screen as it is shown, at every zoom. */
  brush(hz) {
    const { size } = this.page.prefs();
    const y = this.view.y(hz);
    const [high, low] = [this.view.hz(y - size / 2), this.view.hz(y + size / 2)];
    const semitones = 12 * Math.log2(high / Math.max(low, hz / 16));
    return { width_s: Number(clamp(size / this.view.perSecond, 0.001, 60).toPrecision(4)), width_semitones: Number(clamp(semitones, 0.05, 96).toPrecision(4)) };
  }

  #down(event) {
    if (this.#doing || event.target.closest(".card, .zoom")) return;
    const at = this.#at(event);
    this.field.focus({ preventScroll: true });
    this.field.setPointerCapture(event.pointerId);
    const { tool } = this.page.prefs();
    const pans = event.button === 1 || this.spaceHeld || event.button === 2;
    const start = { id: event.pointerId, from: at, last: at, event };
    if (pans) this.#doing = { ...start, kind: "pan" };
    else if (tool === "hand") this.#doing = { ...start, ...this.#choose(at) };
    else if (tool === "range") this.#doing = { ...start, kind: "range", draft: { range: this.#span(at, at) } };
    else if (tool === "box") this.#doing = { ...start, kind: "box", effect: this.#effect(event), draft: null };
    else {
      const place = this.#place(at);
      const shape = tool === "harmonic" && this.#effect(event) !== "erase" ? "harmonic" : "brush";
      const stroke = { shape, points: [place], ...this.brush(place[1]), ...(shape === "harmonic" && { n_harmonics: 20 }) };
      this.#doing = { ...start, kind: "way", effect: this.#effect(event), stroke, draft: null };
      this.#draftWay();
    }
    this.page.redraw();
  }

  /** With the hand: a handle of what is chosen, a stroke, or nothing, which pans. */
  #choose([x, y]) {
    const { document, state } = this.store;
    const chosen = document.stroke.find(({ id }) => id === state.chosen);
    const handle = marks.handles(chosen, this.view).find(([hx, hy]) => Math.abs(hx - x) <= 6 && Math.abs(hy - y) <= 6);
    if (handle) return { kind: "resize", edges: handle[2], stroke: chosen };
    const stroke = marks.strokeAt(document, this.view, x, y);
    this.store.set({ chosen: stroke?.id ?? null, ...(stroke && { focus: stroke.source }) });
    return stroke ? { kind: "move", stroke } : { kind: "pan" };
  }

  #span(a, b) {
    return [a, b].map((at) => this.#place(at)[0]).sort((p, q) => p - q);
  }

  #draftWay() {
    const { effect, stroke } = this.#doing;
    const source = this.store.focused?.id ?? 0;
    this.#doing.draft = { stroke: { id: -1, source, effect, ...stroke } };
  }

  #move(event) {
    this.pointer = this.#at(event);
    const doing = this.#doing;
    if (!doing || doing.id !== event.pointerId) {
      this.page.redraw();
      return;
    }
    const at = this.pointer;
    doing.moved ||= Math.hypot(at[0] - doing.from[0], at[1] - doing.from[1]) > CLICK;
    if (doing.kind === "pan") this.view.pan(at[0] - doing.last[0], at[1] - doing.last[1]);
    else if (doing.kind === "range") doing.draft = { range: this.#span(doing.from, at) };
    else if (doing.kind === "box" && doing.moved) {
      const hz = [doing.from, at].map((place) => this.#place(place)[1]).sort((a, b) => a - b);
      const source = this.store.focused?.id ?? 0;
      doing.draft = { stroke: { id: -1, source, effect: doing.effect, shape: "box", t: this.#span(doing.from, at), hz } };
    } else if (doing.kind === "way") {
      const events = event.getCoalescedEvents?.() ?? [];
      for (const one of events.length ? events : [event]) doing.stroke.points.push(this.#place(this.#at(one)));
      this.#draftWay();
    } else if (doing.kind === "move" && doing.moved) {
      const dt = this.view.t(at[0]) - this.view.t(doing.from[0]);
      const by = this.view.hz(at[1]) / this.view.hz(doing.from[1]);
      doing.draft = { stroke: marks.moved(doing.stroke, dt, by), instead: doing.stroke.id };
    } else if (doing.kind === "resize") {
      doing.draft = { stroke: this.#resized(doing, at), instead: doing.stroke.id };
    }
    doing.last = at;
    this.page.redraw();
  }

  #resized({ stroke, edges }, at) {
    const [t, hz] = this.#place(at);
    const [t0, t1] = [edges.includes("w") ? t : stroke.t[0], edges.includes("e") ? t : stroke.t[1]];
    const [f0, f1] = [edges.includes("s") ? hz : stroke.hz[0], edges.includes("n") ? hz : stroke.hz[1]];
    return { ...stroke, t: [Math.min(t0, t1), Math.max(t0, t1)], hz: [Math.min(f0, f1), Math.max(f0, f1)] };
  }

  #up(event) {
    const doing = this.#doing;
    if (!doing || doing.id !== event.pointerId) return;
    this.#doing = null;
    const { store } = this;
    const draft = doing.draft;
    const clicked = !doing.moved && (doing.kind === "box" || doing.kind === "range" || (doing.kind === "pan" && event.button === 0));
    if (clicked) this.page.seek(this.#place(doing.from)[0]);
    else if (doing.kind === "range") addRange(store, draft.range);
    else if (draft?.instead) {
      const label = doing.kind === "move" ? "Mark moved" : "Mark resized";
      store.edit(label, withEntry(store.document, "stroke", draft.instead, draft.stroke));
    } else if (draft?.stroke) {
      const { id, source, effect, ...shape } = draft.stroke;
      if (shape.points) shape.points = marks.simpler(shape.points, this.view);
      const names = { erase: "Erased", is: "Painted", is_not: "Painted “not”" };
      addStroke(store, shape, effect, names[effect]);
    }
    this.page.redraw();
  }

  cancel() {
    this.#doing = null;
    this.page.redraw();
  }

  #double(event) {
    const stroke = marks.strokeAt(this.store.document, this.view, ...this.#at(event));
    if (stroke && this.page.prefs().tool === "hand") this.page.audition(stroke);
  }

  /** Wheel: zoom in time, with Alt in frequency; sideways, time goes by; with Shift, frequency. */
  #wheel(event) {
    event.preventDefault();
    const [x, y] = this.#at(event);
    const unit = event.deltaMode === 1 ? 16 : 1;
    const [dx, dy] = [event.deltaX * unit, event.deltaY * unit];
    if (event.ctrlKey || event.metaKey) this.view.zoomTime(Math.exp(-dy * 0.004), x);
    else if (event.altKey) this.view.zoomHeight(Math.exp(-dy * 0.004), y);
    else if (event.shiftKey) this.view.pan(0, dx || -dy);
    else if (Math.abs(dx) > Math.abs(dy)) this.view.pan(-dx, 0);
    else this.view.zoomTime(Math.exp(-dy * 0.0025), x);
  }
}
