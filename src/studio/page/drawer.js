// What is known, as tables: marks with numbers that can be changed, components to hear and to name, files, the past.

import * as api from "./api.js";
import { clock, count, h, hertz, icon, iconButton, note, seconds } from "./dom.js";
import { colorOf, hertzOf, pitches, second, times } from "./marks.js";
import { addRange } from "./paint.js";
import { withEntry } from "./state.js";

const TABS = [["marks", "Marks"], ["components", "Components"], ["files", "Score and examples"], ["past", "History"]];
const SHAPES = { box: "box", brush: "brush", harmonic: "harmonic brush" };
const EFFECTS = { is: "is", is_not: "is not", erase: "erased" };
/** Rows of a table at the most; a document may have thousands of marks. */
const MOST_ROWS = 400;

export class Drawer {
  #components = { fit: null, list: [] };
  #shown = null;

  /** @param {import("./state.js").Store} store @param {any} page prefs, setPrefs, player, position, addFile, audition */
  constructor(store, page) {
    this.store = store;
    this.page = page;
    this.element = document.getElementById("drawer");
    this.tabs = TABS.map(([id, label]) => h("button", { type: "button", role: "tab", id: `tab-${id}`, "aria-controls": "tab-panel", onclick: () => page.setPrefs({ tab: id }) }, label));
    this.body = h("div", { class: "drawer-body", id: "tab-panel", role: "tabpanel", tabIndex: 0 });
    const list = h("div", { class: "tabs", role: "tablist", "aria-label": "What is known", onkeydown: (event) => this.#arrows(event) }, this.tabs);
    this.element.append(list, this.body);
  }

  #arrows(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.stopPropagation();
    event.preventDefault();
    const at = TABS.findIndex(([id]) => id === this.page.prefs().tab);
    const next = (at + step + TABS.length) % TABS.length;
    this.page.setPrefs({ tab: TABS[next][0] });
    this.tabs[next].focus();
  }

  update(state, prefs) {
    const button = document.getElementById("toggle-drawer");
    button.setAttribute("aria-expanded", String(prefs.drawer));
    button.classList.toggle("on", prefs.drawer);
    this.element.hidden = !prefs.drawer;
    if (!prefs.drawer) return;
    this.tabs.forEach((tab, i) => {
      const isChosen = TABS[i][0] === prefs.tab;
      tab.setAttribute("aria-selected", String(isChosen));
      tab.tabIndex = isChosen ? 0 : -1;
      if (isChosen) this.body.setAttribute("aria-labelledby", tab.id);
    });
    const { document: what, chosen, fit, at, past } = state;
    const now = [prefs.tab, what, chosen, fit, at, past, this.#components.list, this.page.player.auditioning];
    if (this.#shown?.every((value, i) => value === now[i])) return;
    this.#shown = now;
    const focused = document.activeElement?.dataset?.cell;
    const { scrollTop } = this.body;
    this.body.replaceChildren(...[this[prefs.tab](state)].flat());
    this.body.scrollTop = scrollTop;
    if (focused) this.body.querySelector(`[data-cell="${focused}"]`)?.focus();
  }

  // --- marks

  marks({ document: what, chosen }) {
    const { page, store } = this;
    const all = [...what.stroke.map((mark) => [mark, "stroke"]), ...what.range.map((mark) => [mark, "range"])];
    const rows = all.slice(-MOST_ROWS).map(([mark, list]) => this.#mark(mark, list, what, mark.id === chosen));
    const here = () => page.position();
    const box = () => page.boxHere();
    const alone = () => addRange(store, [here(), Math.min(here() + 1, page.view.duration)]);
    const bar = h("div", { class: "drawer-bar" },
      h("button", { type: "button", class: "button small", onclick: box, title: "A box at the playhead (K)" }, icon("plus"), h("span", {}, "Box at the playhead")),
      h("button", { type: "button", class: "button small", onclick: alone }, icon("plus"), h("span", {}, "Alone from the playhead on")),
      h("p", { class: "hint" }, all.length ? "Wrong marks cost more than missing ones: hear them, and take away what is not true." : "Nothing is marked yet."),
    );
    if (!rows.length) return [bar];
    const head = ["", "Source", "Says", "From", "To", "Lowest Hz", "Highest Hz", ""].map((text) => h("th", { scope: "col" }, text || h("span", { class: "unseen" }, "Do")));
    return [bar, h("table", { class: "table" }, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows))];
  }

  #mark(mark, list, what, isChosen) {
    const { store, page } = this;
    const change = (to) => store.edit("Mark changed", withEntry(store.document, list, mark.id, to));
    const [t0, t1] = times(mark);
    const number = (name, value, write, format = String, read = Number) =>
      h("input", {
        class: "cell", value: format(value), "aria-label": `${name} of mark ${mark.id}`, "data-cell": `${mark.id}-${name}`,
        onchange: (event) => {
          const typed = read(event.target.value);
          if (Number.isFinite(typed) && typed >= 0) write(typed);
          else event.target.value = format(value);
        },
      });
    const time = (name, value, write) => number(name, value, write, (t) => clock(t), seconds);
    const isBox = mark.t !== undefined;
    const when = isBox
      ? [time("from", t0, (t) => change({ t: [second(Math.min(t, t1)), t1] })), time("to", t1, (t) => change({ t: [t0, second(Math.max(t, t0))] }))]
      : [clock(t0), clock(t1)];
    const range = list === "range" ? null : pitches(mark, page.view.nyquist);
    const where = mark.hz
      ? [number("lowest", mark.hz[0], (hz) => change({ hz: [hertzOf(Math.min(hz, mark.hz[1])), mark.hz[1]] }), (hz) => hz.toFixed(1)), number("highest", mark.hz[1], (hz) => change({ hz: [mark.hz[0], hertzOf(Math.max(hz, mark.hz[0]))] }), (hz) => hz.toFixed(1))]
      : range ? range.map((hz) => hz.toFixed(1)) : ["all", "all"];
    const says = list === "range"
      ? h("span", {}, "plays alone")
      : h("span", { class: "says" }, this.#choice(`What mark ${mark.id} says`, Object.entries(EFFECTS), mark.effect, (effect) => change({ effect })), h("span", { class: "faint" }, SHAPES[mark.shape]));
    const source = this.#choice(`Source of mark ${mark.id}`, what.source.map(({ id, name }) => [id, name]), mark.source, (id) => change({ source: Number(id) }));
    const swatch = h("span", { class: "swatch" });
    swatch.style.background = colorOf(what, mark.source);
    const choose = () => store.set({ chosen: mark.id, focus: mark.source });
    const go = () => {
      choose();
      page.reveal(mark);
    };
    const remove = () => {
      const rest = store.document[list].filter(({ id }) => id !== mark.id);
      store.edit("Mark removed", { ...store.document, [list]: rest }, { chosen: null });
    };
    return h("tr", { class: isChosen ? "chosen" : "", onclick: choose },
      h("td", {}, swatch, h("button", { type: "button", class: "link", onclick: go, title: "Show it" }, String(mark.id))),
      h("td", {}, source), h("td", {}, says), ...when.map((cell) => h("td", {}, cell)), ...where.map((cell) => h("td", {}, cell)),
      h("td", { class: "do" }, iconButton("only", `Hear mark ${mark.id} alone`, () => page.audition(mark)), iconButton("trash", `Remove mark ${mark.id}`, remove)),
    );
  }

  #choice(label, options, value, write) {
    return h("select", { "aria-label": label, class: "cell", onchange: (event) => write(event.target.value) },
      options.map(([id, text]) => h("option", { value: String(id), selected: String(id) === String(value) }, text)));
  }

  // --- components

  async #fetch(fit) {
    this.#components = { fit, list: this.#components.list };
    try {
      const list = await api.components(fit);
      this.#components = { fit, list };
      this.update(this.store.state, this.page.prefs());
    } catch (error) {
      this.store.tell(error);
    }
  }

  components({ document: what, fit }) {
    if (fit === null) return h("p", { class: "hint pad" }, "Components are the spectra that a separation finds. Separate once, then hear each and say whose it is.");
    if (this.#components.fit !== fit) this.#fetch(fit);
    const named = new Map(what.name.map(({ component, source }) => [component, source]));
    const list = [...this.#components.list].sort((a, b) => b.energy_share - a.energy_share);
    const most = Math.max(1e-9, ...list.map(({ energy_share }) => energy_share));
    return [
      h("div", { class: "drawer-bar" }, h("p", { class: "hint" }, "Hear each, and say whose it is. Those that are named are kept together in the next separation.")),
      h("ul", { class: "components" }, list.map((component) => this.#component(component, what, named, most))),
    ];
  }

  #component(component, what, named, most) {
    const { page, store } = this;
    const { index, energy_share: share, pitch_hz: pitch, centroid_hz: centroid } = component;
    const mine = named.get(index);
    const suggested = what.source.find(({ name }) => name === component.suggested) ?? what.source.find(({ id }) => id === component.source);
    const name = (id) => {
      const rest = store.document.name.filter((entry) => entry.component !== index);
      const entry = id ? [{ component: index, source: Number(id) }] : [];
      store.edit("Component named", { ...store.document, name: [...rest, ...entry] });
    };
    const isHeard = page.player.auditioning === `component ${index}`;
    const bar = h("span", { class: "share" }, h("span", {}));
    bar.firstChild.style.width = `${(100 * share) / most}%`;
    bar.firstChild.style.background = mine || suggested ? colorOf(what, mine ?? suggested.id) : "";
    const options = [["", suggested ? `(${suggested.name})` : "nobody yet"], ...what.source.map((source) => [source.id, source.name])];
    const select = this.#choice(`Source of component ${index + 1}`, options, mine ?? "", name);
    select.dataset.cell = `component-${index}`;
    return h("li", { class: mine ? "named" : "" },
      iconButton(isHeard ? "pause" : "play", `Hear component ${index + 1}`, () => page.hearComponent(index), { "aria-pressed": String(isHeard) }),
      h("div", { class: "about" }, h("b", {}, pitch ? `${note(pitch)} · ${hertz(pitch)}` : `around ${hertz(centroid)}`), h("span", { class: "faint" }, `${(100 * share).toFixed(1)} %`), bar), select);
  }

  // --- files

  files({ document: what }) {
    const { store, page } = this;
    const sources = what.source.map(({ id, name }) => [id, name]);
    const edit = (label, change) => store.edit(label, { ...store.document, ...change });
    const parts = [];
    if (what.score) {
      const { score } = what;
      const tracks = [...new Set([...(store.state.scoreTracks ?? []), ...Object.keys(score.tracks ?? {})])];
      const without = () => {
        const { score: _, ...rest } = store.document;
        store.edit("Score removed", rest);
      };
      parts.push(h("div", { class: "file" }, icon("file"), h("b", {}, score.file),
        h("label", { class: "check" }, h("input", { type: "checkbox", checked: score.align, onchange: (event) => edit("Alignment", { score: { ...score, align: event.target.checked } }) }), "find its time in the recording"),
        iconButton("trash", `Remove the score ${score.file}`, without)));
      for (const track of tracks) {
        const to = (id) => edit("Part given", { score: { ...score, tracks: { ...score.tracks, [track]: Number(id) } } });
        parts.push(h("div", { class: "file part" }, h("span", {}, track), h("span", { class: "faint" }, "is"), this.#choice(`Source of the part ${track}`, sources, score.tracks?.[track] ?? "", to)));
      }
    }
    what.example.forEach((example, i) => {
      const rest = what.example.filter((_, other) => other !== i);
      const to = (id) => edit("Example given", { example: what.example.map((one, other) => (other === i ? { ...one, source: Number(id) } : one)) });
      parts.push(h("div", { class: "file" }, icon("file"), h("b", {}, example.file), h("span", { class: "faint" }, "is"), this.#choice(`Source of ${example.file}`, sources, example.source, to), iconButton("trash", `Remove ${example.file}`, () => edit("Example removed", { example: rest }))));
    });
    const bar = h("div", { class: "drawer-bar" },
      h("button", { type: "button", class: "button small", onclick: () => page.chooseFile() }, icon("plus"), h("span", {}, "Add a file…")),
      h("p", { class: "hint" }, "A MIDI file of what is played, or a recording of one source alone. Files can also be dropped anywhere."));
    return [bar, h("div", { class: "files" }, parts)];
  }

  // --- the past

  past({ past, at }) {
    const { store } = this;
    const steps = past.map((step, i) => h("li", {}, h("button", { type: "button", class: i > at ? "later" : "", "aria-current": i === at ? "step" : null, onclick: () => store.goTo(i).catch((error) => store.tell(error)) },
      h("span", { class: "faint" }, String(i)), step.label, step.fit !== null && step.fit !== past[i - 1]?.fit && h("span", { class: "tag" }, `separation ${step.fit}`))));
    return h("ol", { class: "past" }, steps);
  }
}

/** One line about what is known. */
export function known(document) {
  const parts = [];
  const strokes = document.stroke.filter(({ effect }) => effect !== "erase").length;
  if (strokes) parts.push(count(strokes, "stroke"));
  if (document.range.length) parts.push(`${document.range.length} alone`);
  if (document.score) parts.push(`score ${document.score.file}`);
  if (document.example.length) parts.push(count(document.example.length, "example"));
  if (document.name.length) parts.push(`${document.name.length} named`);
  return parts.join(" · ") || "nothing yet";
}
