// Questions in a window of their own: export, a source, whose example it is, two tabs, the keys.

import * as api from "./api.js";
import { h, iconButton } from "./dom.js";
import { COLORS, withEntry, withoutSource } from "./state.js";

/** Opens a dialog; gives the value of the button that closed it. @returns {Promise<string>} */
function ask(title, body, buttons, props = {}) {
  return new Promise((resolve) => {
    const close = () => (document.activeElement?.blur(), dialog.close(""));
    const form = h("form", { method: "dialog" },
      h("header", {}, h("h2", { id: "dialog-title" }, title), iconButton("close", "Close", () => close())),
      h("div", { class: "dialog-body" }, body),
      h("footer", {}, buttons.map(([value, label, kind = ""]) => h("button", { class: `button ${kind}`, value }, label))));
    const dialog = h("dialog", { "aria-labelledby": "dialog-title", class: props.class ?? "" }, form);
    dialog.addEventListener("keydown", (event) => event.stopPropagation());
    // A button in a closed dialog would keep the next key to itself until it is gone.
    form.addEventListener("submit", () => document.activeElement?.blur());
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
    dialog.addEventListener("click", (event) => event.target === dialog && close());
    document.getElementById("dialogs").append(dialog);
    dialog.showModal();
    dialog.querySelector("[autofocus], .dialog-body input, .dialog-body select, footer button")?.focus();
  });
}

const field = (label, control, hint) => h("label", { class: "field-row" }, h("span", {}, label), control, hint && h("small", {}, hint));

/** Name, color and components of a source; or it is removed. */
export async function editSource(store, source) {
  const name = h("input", { "aria-label": "Name", value: source.name, required: true, maxLength: 60, autocomplete: "off", autofocus: true });
  const components = h("input", { type: "number", min: 1, max: 256, value: source.n_components });
  let { color } = source;
  const swatches = COLORS.map((value, i) => {
    const button = h("button", { type: "button", class: "color", "aria-label": `Color ${i + 1}`, "aria-pressed": String(i === color), onclick: () => {
      color = i;
      swatches.forEach((other, j) => other.setAttribute("aria-pressed", String(i === j)));
    } });
    button.style.setProperty("--hue", value);
    return button;
  });
  const body = [
    field("Name", name, "The name of its file when it is exported."),
    h("div", { class: "field-row" }, h("span", {}, "Color"), h("div", { class: "colors", role: "group", "aria-label": "Color" }, swatches)),
    !store.isSession && field("Components", components, "How many spectra make it up: more for what plays many notes."),
  ];
  const answer = await ask("Source", body, [["remove", "Remove", "danger"], ["", "Cancel"], ["ok", "Done", "primary"]]);
  if (answer === "remove") {
    const document = withoutSource(store.document, source.id);
    store.edit(`Removed ${source.name}`, document, { focus: document.source[0]?.id ?? null, chosen: null });
  }
  if (answer !== "ok") return;
  const change = { name: name.value.trim() || source.name, color, n_components: Math.min(256, Math.max(1, Math.round(Number(components.value) || source.n_components))) };
  if (store.document.source.some((other) => other.id !== source.id && other.name === change.name)) {
    store.tell({ message: `there is a source \`${change.name}\` already`, hint: "give it another name" });
    return;
  }
  if (Object.keys(change).some((key) => change[key] !== source[key])) store.edit(`Changed ${change.name}`, withEntry(store.document, "source", source.id, change));
}

/** Whose example a file is: a source's number, the name of a new one, or nothing. */
export async function whoseExample(document, file) {
  const wish = file.replace(/\.[^.]*$/, "").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "") || "source";
  const like = document.source.find(({ name }) => wish.includes(name.toLowerCase()));
  const select = h("select", { autofocus: true }, document.source.map(({ id, name }) => h("option", { value: String(id), selected: id === like?.id }, name)), h("option", { value: "new", selected: !like }, `a new source, ${wish}`));
  const answer = await ask("Who plays in this example?", [h("p", {}, `${file} is a recording in which one source plays alone. It teaches what this source sounds like.`), field("Source", select)], [["", "Cancel"], ["ok", "Add", "primary"]]);
  if (answer !== "ok") return null;
  return select.value === "new" ? { name: wish } : { id: Number(select.value) };
}

const FORMATS = [["float32", "WAV, 32 bit float: sums exactly to the recording"], ["int24", "WAV, 24 bit"], ["int16", "WAV, 16 bit"], ["flac", "FLAC, 24 bit"], ["flac16", "FLAC, 16 bit"]];

/** Asks what to export and how, and does it. */
export async function exportDialog(store, run) {
  const { state } = store;
  const stems = state.fits[state.fit]?.stems ?? [];
  if (!stems.length) {
    store.tell({ message: "there is nothing to export yet", hint: "press Enter to separate first" });
    return;
  }
  const option = (value, text) => h("option", { value }, text);
  const which = h("select", { autofocus: true }, option("all", `all ${stems.length} stems`), stems.map(({ name }) => option(`one ${name}`, `only ${name}`)), ...(store.isSession ? [] : [...stems.map(({ name }) => option(`two ${name}`, `two: ${name}, and all but ${name}`)), option("components", "each component")]));
  const format = h("select", {}, FORMATS.map(([value, text]) => option(value, text)));
  const out = state.server?.out;
  const body = [
    store.stale && !store.isSession && h("p", { class: "note" }, "There are marks that are not heard yet. What is exported is what you hear now."),
    field("Stems", which), field("Format", format), out && h("p", { class: "faint" }, "Into the folder ", h("code", {}, out)),
  ];
  if ((await ask("Export", body, [["", "Cancel"], ["ok", "Export", "primary"]])) !== "ok") return;
  const [kind, ...rest] = which.value.split(" ");
  const name = rest.join(" ");
  const options = { fit: state.fit, stems: { one: [name], two: { two: name } }[kind] ?? kind, format: format.value };
  await run(options).catch(async (error) => {
    if (error.status !== 409 || !error.body?.files) throw error;
    const files = error.body.files.slice(0, 8).map((path) => h("li", {}, h("code", {}, path)));
    const more = error.body.files.length - files.length;
    const answer = await ask("Replace these files?", [h("ul", { class: "plain" }, files), more > 0 && h("p", {}, `and ${more} more`)], [["", "Keep them"], ["ok", "Replace", "danger"]]);
    if (answer === "ok") await run({ ...options, force: true });
  });
}

/** Two tabs changed the project. */
export async function conflict({ reload, keep }) {
  const text = "This project was changed in another tab or window since this one was opened. Which of the two is to stay?";
  const answer = await ask("Changed elsewhere", [h("p", {}, text)], [["keep", "Keep mine"], ["reload", "Take the other", "primary"]]);
  await (answer === "keep" ? keep() : reload());
}

/** All keys. @param {[string, [string, string][]][]} groups */
export function help(groups, prefs, setPrefs) {
  const lists = groups.map(([title, keys]) => h("section", {}, h("h3", {}, title), h("dl", {}, keys.flatMap(([key, what]) => [h("dt", {}, key.split(" ").map((one) => h("kbd", {}, one))), h("dd", {}, what)]))));
  const letters = h("input", { type: "checkbox", checked: prefs.letters, onchange: (event) => setPrefs({ letters: event.target.checked }) });
  return ask("Keys", [h("div", { class: "keys" }, lists), h("label", { class: "check" }, letters, "Single letters are keys (switch off where they get in the way of speech input)")], [["", "Close", "primary"]], { class: "wide" });
}

/** Reads a file of either kind and puts it into the document. */
export async function addFile(store, file) {
  const isScore = /\.(midi?|kar)$/i.test(file.name);
  if (isScore) {
    const { file: name, tracks, drums } = await api.upload("score", file);
    return { kind: "score", name, tracks, drums };
  }
  const whose = await whoseExample(store.document, file.name);
  if (!whose) return null;
  const { file: name } = await api.upload("examples", file);
  return { kind: "example", name, whose };
}
