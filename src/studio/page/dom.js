// Elements, icons and small words. No state.

/**
 * An element with properties and children. `class`, `on...`, `data-...`, `aria-...` as one would write them.
 * @param {string} tag @param {object} props @param {...(Node|string|null|undefined|false)} children
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else if (key in element && !key.startsWith("aria") && key !== "list" && key !== "role") element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Paths on a grid of 20 x 20, drawn with a line of 1.6. A path that starts with `!` is filled. */
const ICONS = {
  play: ["!M6 3.8v12.4c0 .6.7 1 1.2.7l9.6-6.2c.5-.3.5-1 0-1.4L7.2 3.1C6.7 2.8 6 3.2 6 3.8z"],
  pause: ["!M5.5 3.5h3v13h-3z", "!M11.5 3.5h3v13h-3z"],
  start: ["!M15.5 4.2v11.6L7 10z", "M5 4v12"],
  loop: ["M4 9.5V9a3.5 3.5 0 0 1 3.5-3.5H16", "M13.5 3 16 5.5 13.5 8", "M16 10.5v.5a3.5 3.5 0 0 1-3.5 3.5H4", "M6.5 17 4 14.5 6.5 12"],
  undo: ["M7.5 4 4 7.5 7.5 11", "M4 7.5h7.5a4.5 4.5 0 0 1 0 9H8"],
  redo: ["M12.5 4 16 7.5 12.5 11", "M16 7.5H8.5a4.5 4.5 0 0 0 0 9H12"],
  save: ["M10 3v9.5", "M6.5 9 10 12.5 13.5 9", "M4 13v2.5c0 .8.7 1.5 1.5 1.5h9c.8 0 1.5-.7 1.5-1.5V13"],
  export: ["M10 12.5V3", "M6.5 6.5 10 3l3.5 3.5", "M4 11.5v4c0 .8.7 1.5 1.5 1.5h9c.8 0 1.5-.7 1.5-1.5v-4"],
  help: ["M7.5 7.5a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1.9-1.1 1.8", "!M10 13.5a1 1 0 1 0 .01 0z", "M17.5 10a7.5 7.5 0 1 1-15 0 7.5 7.5 0 0 1 15 0z"],
  sun: ["M13.2 10a3.2 3.2 0 1 1-6.4 0 3.2 3.2 0 0 1 6.4 0z", "M10 2.5v1.5M10 16v1.5M2.5 10H4M16 10h1.5M4.7 4.7l1 1M14.3 14.3l1 1M4.7 15.3l1-1M14.3 5.7l1-1"],
  moon: ["M16.5 12A7 7 0 0 1 8 3.5a7 7 0 1 0 8.5 8.5z"],
  auto: ["M17 10a7 7 0 1 1-14 0 7 7 0 0 1 14 0z", "!M10 3a7 7 0 0 1 0 14z"],
  hand: ["M4 3.5l4.5 12.5 2-5.5 5.5-2z"],
  brush: ["M16.5 3.5c-3.5 1.5-6.5 4.5-8 7.5l1.5 1.5c3-1.5 6-4.5 6.5-9z", "M7.5 12c-2 0-2.5 1.5-2.8 3-.2 1-.7 1.5-1.7 1.8 2.5.6 6 .2 6-2.8z"],
  box: ["M4 5.5h12v9H4z"],
  range: ["M5 3.5v13M15 3.5v13", "M7.5 10h5", "M8.8 8.5 7.3 10l1.5 1.5M11.2 8.5l1.5 1.5-1.5 1.5"],
  harmonic: ["M3.5 16c4-2.5 9 1 13-1.5", "M3.5 11.5c4-2.5 9 1 13-1.5", "M3.5 7.5c4-2.5 9 1 13-1.5", "M3.5 4.3c4-2.5 9 1 13-1.5"],
  eraser: ["M8 16.5 3.5 12c-.6-.6-.6-1.4 0-2l6-6c.6-.6 1.4-.6 2 0l4.5 4.5c.6.6.6 1.4 0 2l-6 6z", "M6.5 7l6.5 6.5", "M7.5 16.5H16"],
  only: ["M3 6V4h2M15 4h2v2M17 14v2h-2M5 16H3v-2", "!M8 7v6l5-3z"],
  plus: ["M10 4v12M4 10h12"],
  close: ["M5 5l10 10M15 5 5 15"],
  more: ["!M4.5 8.8a1.2 1.2 0 1 0 .01 0z", "!M10 8.8a1.2 1.2 0 1 0 .01 0z", "!M15.5 8.8a1.2 1.2 0 1 0 .01 0z"],
  up: ["M5 12.5 10 7.5l5 5"],
  down: ["M5 7.5l5 5 5-5"],
  sliders: ["M3.5 6H9M13 6h3.5M3.5 14H7M11 14h5.5", "M13 6a2 2 0 1 1-4 0 2 2 0 0 1 4 0zM11 14a2 2 0 1 1-4 0 2 2 0 0 1 4 0z"],
  owner: ["M12 7.5a4.5 4.5 0 1 1-9 0 4.5 4.5 0 0 1 9 0z", "M17 12.5a4.5 4.5 0 1 1-9 0 4.5 4.5 0 0 1 9 0z"],
  trash: ["M4 5.5h12M8 5.5V4h4v1.5M5.5 5.5l.7 10.5h7.6l.7-10.5M8.5 8.5v5M11.5 8.5v5"],
  speaker: ["!M3.5 7.8v4.4h2.8l3.7 3V4.8l-3.7 3z", "M12.8 7.5a3.5 3.5 0 0 1 0 5M14.8 5.5a6.4 6.4 0 0 1 0 9"],
  file: ["M5 3h6.5L15 6.5V17H5z", "M11.5 3v3.5H15"],
  fit: ["M3 10c2 0 2-5 3.5-5S8 15 10 15s2-10 3.5-10S15 10 17 10"],
  zoomIn: ["M13.5 8.5a5 5 0 1 1-10 0 5 5 0 0 1 10 0zM12.2 12.2 17 17M8.5 6.3v4.4M6.3 8.5h4.4"],
  zoomOut: ["M13.5 8.5a5 5 0 1 1-10 0 5 5 0 0 1 10 0zM12.2 12.2 17 17M6.3 8.5h4.4"],
  whole: ["M3 7V3.5h3.5M13.5 3.5H17V7M17 13v3.5h-3.5M6.5 16.5H3V13"],
  warn: ["M10 3 2.5 16.5h15z", "M10 8v4", "!M10 13.2a.9.9 0 1 0 .01 0z"],
};

/** A drawing that is hidden from screen readers: its button has the words. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  for (const path of ICONS[name]) {
    const line = document.createElementNS(space, "path");
    line.setAttribute("d", path.replace(/^!/, ""));
    if (path.startsWith("!")) line.classList.add("solid");
    svg.append(line);
  }
  return svg;
}

/** A button with an icon, and words for its tip and for screen readers. */
export function iconButton(name, label, onclick, props = {}) {
  return h("button", { type: "button", class: "icon-button", title: label, "aria-label": label, onclick, ...props }, icon(name));
}

/** `1:02.345`, or `1:02:03.4` of hours. */
export function clock(seconds, digits = 3) {
  const unit = 10 ** digits;
  const whole = Math.round(Math.max(0, seconds) * unit);
  const s = (whole % (60 * unit)) / unit;
  const m = Math.floor(whole / (60 * unit));
  const text = s.toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return m < 60 ? `${m}:${text}` : `${Math.floor(m / 60)}:${String(m % 60).padStart(2, "0")}:${text}`;
}

/** Seconds of `1:02.5`, `62.5`; NaN where it is neither. */
export function seconds(text) {
  const parts = text.trim().split(":").map(Number);
  return parts.length <= 3 && text.trim() ? parts.reduce((sum, part) => sum * 60 + part, 0) : NaN;
}

const NOTES = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"];

/** The nearest note, `A4` for 440 Hz. */
export function note(hz) {
  const midi = Math.round(69 + 12 * Math.log2(hz / 440));
  return midi < 0 ? "" : `${NOTES[midi % 12]}${Math.floor(midi / 12) - 1}`;
}

/** `440 Hz`, `1.25 kHz`. */
export function hertz(hz) {
  if (hz < 1000) return `${hz < 100 ? hz.toFixed(1) : Math.round(hz)} Hz`;
  return `${(hz / 1000).toFixed(hz < 10000 ? 2 : 1)} kHz`;
}

/** `-6.0 dB` with a real minus. */
export const decibel = (db) => `${db > 0 ? "+" : ""}${db.toFixed(1).replace("-", "−")} dB`;

export const clamp = (value, least, most) => Math.min(most, Math.max(least, value));

/** "1 stroke", "2 strokes". */
export const count = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
