// What is open: the document and its past. A document is never changed, only followed by another.

import * as api from "./api.js";

/** @typedef {import("./api.js").Document} Document */

/** Hues that stay apart for most eyes, on dark and on light; a source is also told by its number. */
export const COLORS = ["#f5a524", "#4aa3ff", "#2fc48d", "#ef6fae", "#a484f5", "#f0654d", "#2bbccb", "#b3c63c"];

const LISTS = ["source", "stroke", "range", "name", "example"];

/** The document with all of its lists. @returns {Document} */
export const whole = (document) => ({ ...document, ...Object.fromEntries(LISTS.map((list) => [list, document[list] ?? []])) });

/** The fit of a session that is its microphones as they are. */
const AS_HEARD = 1;

/** What a fit depends on: all but what is only played or shown. */
export function knowledge(document) {
  const { source, ...rest } = document;
  return JSON.stringify([source.map(({ id, name, n_components }) => [id, name, n_components]), rest]);
}

/** A number that nothing in the document has. */
export const freeId = (document) =>
  1 + Math.max(0, ...["source", "stroke", "range"].flatMap((list) => document[list].map(({ id }) => id)));

/** The first color that no source has. */
const freeColor = (document) => {
  const taken = new Set(document.source.map(({ color }) => color));
  const free = COLORS.findIndex((_, color) => !taken.has(color));
  return free < 0 ? document.source.length % COLORS.length : free;
};

/** A name that no source has. */
export function freeName(document, wish) {
  const taken = new Set(document.source.map(({ name }) => name));
  if (!taken.has(wish)) return wish;
  for (let n = 2; ; n += 1) if (!taken.has(`${wish}-${n}`)) return `${wish}-${n}`;
}

/** The document with one source more. @returns {[Document, number]} */
export function withSource(document, name) {
  const id = freeId(document);
  const source = { id, name, n_components: 8, color: freeColor(document), gain_db: 0, mute: false, solo: false };
  return [{ ...document, source: [...document.source, source] }, id];
}

/** The document without a source and without all that is about it. */
export function withoutSource(document, id) {
  const others = (list) => list.filter(({ source }) => source !== id);
  const { score, ...rest } = document;
  const tracks = Object.entries(score?.tracks ?? {}).filter(([, source]) => source !== id);
  return {
    ...rest,
    source: document.source.filter((source) => source.id !== id),
    stroke: others(document.stroke),
    range: others(document.range),
    name: others(document.name),
    example: others(document.example),
    ...(tracks.length && { score: { ...score, tracks: Object.fromEntries(tracks) } }),
  };
}

/** The document with one entry of a list replaced. */
export const withEntry = (document, list, id, change) => ({
  ...document,
  [list]: document[list].map((entry) => (entry.id === id ? { ...entry, ...change } : entry)),
});

/** The mixer's state of `from`, in `document`: undo takes back knowledge, not what one listens to. */
const mixedAs = (document, from) => ({
  ...document,
  source: document.source.map((source) => {
    const { gain_db, mute, solo } = from.source.find(({ id }) => id === source.id) ?? source;
    return { ...source, gain_db, mute, solo };
  }),
});

/** One place for all that the page shows. Listeners hear the new state and the one before. */
export class Store {
  #listeners = new Set();
  #wanted = false;
  #sending = null;
  #stepping = Promise.resolve();
  #revision = 0;
  /** The last request for a fit: until the server has it, a next document must not overtake it. */
  #asking = Promise.resolve();
  /** Documents as they were fitted, by fit. */
  #fitted = new Map();

  constructor() {
    this.state = {
      /** @type {any} */ recording: null,
      audio: null,
      tiles: null,
      /** @type {Document} */ document: whole({}),
      /** @type {number|null} */ fit: null,
      /** @type {Object<number, import("./api.js").Fit>} */ fits: {},
      past: [],
      at: 0,
      saved: null,
      /** Which source is painted for. */ focus: null,
      /** @type {number|null} Which stroke or range is chosen. */ chosen: null,
      /** @type {{label: string, done: number, total: number, stop: () => void}|null} */ work: null,
      /** @type {{text: string, hint: string, actions?: object[]}[]} */ notices: [],
      said: "",
    };
  }

  /** @param {(state: any, before: any) => void} listener */
  subscribe(listener) {
    this.#listeners.add(listener);
  }

  set(change) {
    const before = this.state;
    this.state = { ...before, ...change };
    for (const listener of this.#listeners) listener(this.state, before);
  }

  get document() {
    return this.state.document;
  }

  get focused() {
    return this.document.source.find(({ id }) => id === this.state.focus) ?? null;
  }

  /** Whether sources are microphones, which are cleaned of each other. */
  get isSession() {
    return Boolean(this.document.debleed);
  }

  /** Says something that also a screen reader says. */
  say(said) {
    this.set({ said });
  }

  /** Tells of what went wrong, until it is put away. One notice for each text. */
  tell(error, actions = []) {
    if (error.name === "AbortError") return;
    const notice = { text: error.message, hint: error.hint ?? "", gone: error.gone, actions };
    this.set({ notices: [...this.state.notices.filter(({ text }) => text !== notice.text), notice] });
  }

  dismiss(notice) {
    this.set({ notices: this.state.notices.filter((other) => other !== notice) });
  }

  /** Opens what the server has. The past begins here. */
  async load() {
    const { revision, recording, audio, tiles, document, fit, fits, ...rest } = await api.project();
    this.#revision = revision;
    const opened = whole(document);
    const known = Object.fromEntries((fits ?? []).map((entry) => [entry.id, entry]));
    if (fit !== null && fit !== undefined) this.#fitted.set(fit, opened);
    const focus = opened.source.some(({ id }) => id === this.state.focus) ? this.state.focus : opened.source[0]?.id;
    this.set({
      recording,
      audio: audio ?? recording,
      tiles,
      document: opened,
      fit: fit ?? null,
      fits: known,
      past: [{ document: opened, fit: fit ?? null, label: "Opened" }],
      at: 0,
      saved: rest.saved === false ? null : opened,
      focus: focus ?? null,
      chosen: null,
      server: rest,
    });
  }

  /** Goes on to another document: a step that can be undone. */
  edit(label, document, change = {}) {
    if (document === this.document) return;
    const past = [...this.state.past.slice(0, this.state.at + 1), { document, fit: this.state.fit, label }];
    this.set({ document, past, at: past.length - 1, ...change });
    this.#send();
  }

  /** Changes what is played, which is no step of the past. */
  mix(id, change) {
    const document = withEntry(this.document, "source", id, change);
    const past = this.state.past.map((step, i) => (i === this.state.at ? { ...step, document } : step));
    this.set({ document, past });
    this.#send();
  }

  get canUndo() {
    return this.state.at > 0;
  }

  get canRedo() {
    return this.state.at < this.state.past.length - 1;
  }

  undo() {
    return this.#after(() => this.canUndo && this.#go(this.state.at - 1, `Undone: ${this.state.past[this.state.at].label}`));
  }

  redo() {
    return this.#after(() => this.canRedo && this.#go(this.state.at + 1, `Done again: ${this.state.past[this.state.at + 1].label}`));
  }

  /** One step at a time, however fast the keys come. */
  #after(step) {
    const next = this.#stepping.then(step);
    this.#stepping = next.catch(() => {});
    return next;
  }

  /** To a step of the past, its document and its fit. */
  async #go(at, said) {
    const { document: then, fit } = this.state.past[at];
    const document = mixedAs(then, this.document);
    const focus = document.source.some(({ id }) => id === this.state.focus) ? this.state.focus : document.source[0]?.id;
    const another = fit !== this.state.fit;
    if (another && fit !== null) {
      await this.flush();
      await api.makeCurrent(fit);
    }
    const chosen = [...document.stroke, ...document.range].some(({ id }) => id === this.state.chosen) ? this.state.chosen : null;
    this.set({ document, at, fit, focus: focus ?? null, chosen, said });
    this.#send();
  }

  goTo(at) {
    return this.#after(() => this.#go(at, `At: ${this.state.past[at].label}`));
  }

  /** Whether there is knowledge that is not heard yet. */
  get stale() {
    const { fit, document } = this.state;
    const fitted = this.#fitted.get(fit);
    return fit === null || (this.isSession && fit === AS_HEARD) || !fitted || knowledge(fitted) !== knowledge(document);
  }

  /** Sends the document, one request at a time, the last state last. */
  #send() {
    this.#wanted = true;
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = null;
    });
    return this.#sending;
  }

  async #sendAll() {
    while (this.#wanted) {
      this.#wanted = false;
      await this.#asking.catch(() => {});
      try {
        const { revision } = await api.put(this.#revision, this.document);
        this.#revision = revision;
      } catch (error) {
        if (error.status === 409) this.#conflict(error);
        else this.tell(error);
        return;
      }
    }
  }

  /** Another tab was quicker: nothing is lost until it is decided whose document stays. */
  #conflict(error) {
    this.set({
      conflict: {
        text: error.message,
        reload: async () => {
          this.set({ conflict: null });
          await this.load();
        },
        keep: async () => {
          this.#revision = error.body?.revision ?? (await api.project()).revision;
          this.set({ conflict: null });
          await this.#send();
        },
      },
    });
  }

  /** Waits until the server has the document. */
  async flush() {
    while (this.#sending) await this.#sending;
    if (this.state.conflict) throw new DOMException("another tab was quicker", "AbortError");
  }

  /** Sends again what could not be sent while the server was gone. */
  async again() {
    const { revision, document } = await api.project();
    if (JSON.stringify(whole(document)) !== JSON.stringify(this.document)) {
      this.#revision = revision;
      await this.#send();
    }
  }

  /** Separates with what is known, as a step of the past. @param {"warm"|"cold"} from */
  async refit(from = this.state.fit === null ? "cold" : "warm") {
    this.state.work?.stop();
    await this.flush();
    const stop = new AbortController();
    const label = this.isSession ? "Taking out the bleed" : this.state.fit === null ? "First separation" : from === "cold" ? "Separating from the start" : "Separating again";
    const work = { label, done: 0, total: 0, stop: () => stop.abort(), since: performance.now() };
    this.set({ work });
    const empty = this.document.source.length === 0;
    const asked = this.document;
    try {
      const onLine = ({ done, total, step, phase }) => {
        if (total) this.set({ work: { ...work, done, total, step: step ?? phase } });
      };
      this.#asking = api.fit(this.#revision, from, stop.signal);
      const follow = await this.#asking;
      const last = await follow(onLine);
      this.set({ work: null });
      await this.#fitDone(last, asked, empty, performance.now() - work.since);
    } catch (error) {
      this.set({ work: null, said: error.name === "AbortError" ? "Stopped; what was there before still plays" : "" });
      if (error.status === 409) this.#conflict(error);
      else this.tell(error);
    }
  }

  async #fitDone({ fit, revision }, asked, empty, ms) {
    let made = asked;
    if (empty) {
      const project = await api.project();
      this.#revision = project.revision;
      made = whole(project.document);
    } else if (revision) this.#revision = revision;
    this.#fitted.set(fit.id, made);
    const document = empty ? made : this.document;
    const past = [...this.state.past.slice(0, this.state.at + 1), { document, fit: fit.id, label: "Separated" }];
    this.set({
      document,
      fit: fit.id,
      before: this.state.fit,
      fits: { ...this.state.fits, [fit.id]: fit },
      past,
      at: past.length - 1,
      focus: this.state.focus ?? document.source[0]?.id ?? null,
      said: `Separated in ${(ms / 1000).toFixed(1)} s${changes(fit)}`,
    });
  }

  async save() {
    await this.flush();
    const { path } = await api.save();
    this.set({ saved: this.document, savedFit: this.state.fit, said: `Saved: ${path}` });
  }

  get unsaved() {
    const { saved, document, savedFit, fit, at } = this.state;
    return (saved !== document && at > 0 && JSON.stringify(saved) !== JSON.stringify(document)) || (at > 0 && savedFit !== fit);
  }
}

/** ": guitar changed by 3 %", where the server tells. */
function changes(fit) {
  const changed = (fit.changed ?? [])
    .filter(({ share }) => share >= 0.005)
    .sort((a, b) => b.share - a.share)
    .slice(0, 2)
    .map(({ name, share }) => `${name} changed by ${Math.round(share * 100)} %`);
  return changed.length ? ` · ${changed.join(", ")}` : "";
}
