// The keyboard: which key does what, in one table that is also the list that `?` shows.

/** Fields in which keys write. */
const isWriting = (target) => target.closest?.("input:not([type=range], [type=checkbox], [type=file]), textarea, select, [contenteditable]");

/** Things that Space and Enter press. */
const isPressed = (target) => target.closest?.("button, summary, a, label, [role=tab]");

/** @typedef {[string, [string, string][]][]} Groups */

/** @type {Groups} */
const HELP = [
  ["Listen", [["Space", "play, pause"], ["Shift+Space", "hear only the chosen mark"], ["← →", "a little back, on; with Shift a bar of the ruler"], ["Home End", "to the start, the end"], ["L", "loop"], ["O", "parts or recording"], ["X", "the separation before, now"], ["M S", "mute, solo the chosen source"], ["Shift+M Shift+S", "no mutes, no solos"], ["↑ ↓", "the source above, below"]]],
  ["Paint", [["1 … 9", "source to paint for"], ["V", "choose and move"], ["B", "brush"], ["R", "box"], ["H", "harmonic brush"], ["T", "alone"], ["E", "eraser"], ["N", "is, is not"], ["Alt", "the other of the two, while painting"], ["Shift", "is, while painting"], ["Ctrl", "erase, while painting"], ["[ ]", "size of the brush"], ["K", "a box at the playhead"], ["Alt+←→↑↓", "move the chosen mark"], ["P", "hear it alone"], ["Delete", "remove it"]]],
  ["Separate", [["Enter", "separate with what is known"], ["Shift+Enter", "from the start"], ["Esc", "cancel"], ["Ctrl+Z", "undo"], ["Ctrl+Shift+Z", "redo"], ["Ctrl+S", "save"], ["Ctrl+E", "export"]]],
  ["Look", [["+ −", "zoom in time"], ["Shift+↑ ↓", "zoom in frequency"], ["0", "show all"], ["C", "color by source"], ["G", "octaves or Hz"], ["D", "what is known"], ["?", "this list"], ["wheel", "zoom; Alt: frequency; sideways: pan"]]],
];

/** What stands in the list only where there are marks. */
const MARKS = ["Paint", "Shift+Space", "D"];

/** The list. @param {boolean} hasMarks @returns {Groups} */
export function helpFor(hasMarks) {
  const isThere = ([name]) => hasMarks || !MARKS.includes(name);
  return HELP.filter(isThere).map(([title, keys]) => [title, keys.filter(isThere)]);
}

/**
 * Calls what belongs to a key. @param {Object<string, (event: KeyboardEvent) => void>} actions By name: `ctrl+z`, `shift+m`, `enter`.
 * @param {() => boolean} lettersAreKeys
 */
export function listen(actions, lettersAreKeys) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    const key = event.key === " " ? "space" : event.key.toLowerCase();
    const isCommand = event.ctrlKey || event.metaKey;
    const name = [isCommand && "ctrl", event.altKey && "alt", event.shiftKey && "shift", key].filter(Boolean).join("+");
    // signs such as `?` need Shift on some keyboards and not on others
    const action = actions[name] ?? (key.length === 1 && !/[a-z]/.test(key) && !isCommand && !event.altKey ? actions[key] : undefined);
    if (!action) return;
    if (isWriting(event.target) && !(isCommand && ["s", "e"].includes(key)) && key !== "escape") return;
    if ((key === "space" || key === "enter") && isPressed(event.target)) return;
    if (key.length === 1 && !isCommand && !event.altKey && !lettersAreKeys()) return;
    event.preventDefault();
    action(event);
  });
}
