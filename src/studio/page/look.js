// How the spectrogram looks: levels, colors, axis, whose it is. None of it needs the server.

import { h } from "./dom.js";
import { COLORS } from "./state.js";
import { LEAST_DB, STEP_DB } from "./tiles.js";
import { rowsOf } from "./mixer.js";

/** What is left over has no color of its own. */
const GRAY = "#8b92a3";

/** The look that the state and the preferences ask for, and what may stand in for it until its tiles are there. */
export function looksOf(state, prefs, dark) {
  const base = { fit: null, tracks: [0], axis: prefs.axis, map: prefs.map, dark, from: prefs.from, to: prefs.to, owners: null };
  const rows = rowsOf(state).filter(({ track }) => track);
  if (prefs.shown !== "") {
    const row = rows.find(({ key }) => key === prefs.shown);
    return row ? [{ ...base, fit: state.fit, tracks: [row.track] }, base] : [base];
  }
  if (!prefs.owners || !rows.length) return [base];
  const owners = rows.map(({ track, source }) => ({ track, color: source ? COLORS[source.color % COLORS.length] : GRAY }));
  return [{ ...base, fit: state.fit, owners }, base];
}

/** Levels between which there is something to see: the loudest, and 62 dB below. */
export function levelsOfTile(levels) {
  const counts = new Uint32Array(256);
  for (const level of levels) counts[level] += 1;
  const total = levels.length - counts[0];
  let seen = 0;
  let top = 255;
  while (top > 40 && seen < total * 0.0015) {
    seen += counts[top];
    top -= 1;
  }
  const to = Math.round(LEAST_DB + top * STEP_DB) + 2;
  return { from: Math.max(LEAST_DB, to - 62), to };
}

/** Fills the panel. */
export function lookPanel(panel, prefs, setPrefs, auto) {
  const range = (label, key, least, most) => {
    const shown = h("output", {}, `${prefs()[key]} dB`.replace("-", "−"));
    const input = h("input", { type: "range", min: least, max: most, step: 1, value: prefs()[key], oninput: () => {
      shown.textContent = `${input.value} dB`.replace("-", "−");
      setPrefs({ [key]: Number(input.value) });
    } });
    return h("label", { class: "field-row" }, h("span", {}, label), input, shown);
  };
  const choice = (label, key, options) => h("label", { class: "field-row" }, h("span", {}, label),
    h("select", { onchange: (event) => setPrefs({ [key]: event.target.value }) }, options.map(([value, text]) => h("option", { value, selected: prefs()[key] === value }, text))));
  panel.replaceChildren(
    range("Quietest", "from", -102, -40), range("Loudest", "to", -70, 0),
    choice("Colors", "map", [["auto", "by the theme"], ["ember", "ember"], ["lagoon", "lagoon"], ["silver", "silver"], ["paper", "paper"]]),
    choice("Axis", "axis", [["log", "octaves"], ["linear", "Hz"]]),
    h("button", { type: "button", class: "button small", onclick: auto }, "Levels of this recording"),
  );
}
