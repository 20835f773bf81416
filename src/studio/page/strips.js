// The strips around the spectrogram, and the pointer on them: overview, ruler with the loop, times at which a source is alone.

import { clamp } from "./dom.js";
import { colorOf, second } from "./marks.js";
import { addRange } from "./paint.js";
import { withEntry } from "./state.js";
import { sharp } from "./view.js";

/** Calls `onDrag(x, x0, event, isLast)` while the pointer is down, with pixels from the left. */
function draggable(element, onDown, onDrag) {
  let from = null;
  const x = (event) => event.clientX - element.getBoundingClientRect().left;
  element.addEventListener("pointerdown", (event) => {
    if (event.button > 1) return;
    element.setPointerCapture(event.pointerId);
    from = x(event);
    onDown(from, event);
  });
  element.addEventListener("pointermove", (event) => from !== null && onDrag(x(event), from, event, false));
  element.addEventListener("pointerup", (event) => {
    if (from === null) return;
    const start = from;
    from = null;
    onDrag(x(event), start, event, true);
  });
  element.addEventListener("pointercancel", () => {
    from = null;
  });
}

/** Moves the window of the view; a click beside it takes it there. */
export function overviewPointer(element, view, seek) {
  let grip = 0;
  let whole = false;
  const timeAt = (x) => (x / element.clientWidth) * view.duration;
  const move = (x) => {
    const length = view.t1 - view.t0;
    const from = clamp(timeAt(x) - grip * length, 0, view.duration - length);
    view.setTime(from, from + length);
  };
  draggable(
    element,
    (x) => {
      const t = timeAt(x);
      whole = view.t1 - view.t0 > 0.999 * view.duration;
      grip = t >= view.t0 && t <= view.t1 ? (t - view.t0) / (view.t1 - view.t0) : 0.5;
      if (!whole) move(x);
    },
    (x, x0, event, isLast) => {
      if (!whole) move(x);
      if (isLast && Math.abs(x - x0) < 4) seek(clamp(timeAt(x), 0, view.duration));
    },
  );
  element.addEventListener("wheel", (event) => {
    event.preventDefault();
    view.zoomTime(Math.exp(-event.deltaY * 0.0025), clamp(view.x(timeAt(event.offsetX)), 0, view.width));
  }, { passive: false });
}

/** A click goes there, a drag is the loop. */
export function rulerPointer(element, view, seek, setLoop) {
  draggable(element, () => {}, (x, x0, event, isLast) => {
    const times = [x0, x].map((at) => clamp(view.t(at), 0, view.duration)).sort((a, b) => a - b);
    if (Math.abs(x - x0) > 4) setLoop(times, isLast);
    else if (isLast) seek(times[0]);
  });
}

const EDGE = 6;

/** The lane of times at which a source is alone: drag to add, to move, or an edge. */
export class Lane {
  #doing = null;

  /** @param {HTMLCanvasElement} canvas @param {import("./view.js").View} view @param {import("./state.js").Store} store @param {() => void} redraw */
  constructor(canvas, view, store, redraw) {
    Object.assign(this, { canvas, view, store, redraw });
    draggable(canvas, (x) => this.#down(x), (x, x0, event, isLast) => this.#drag(x, x0, isLast));
  }

  #down(x) {
    const { store, view } = this;
    const range = store.document.range.findLast(({ t }) => x >= view.x(t[0]) - EDGE && x <= view.x(t[1]) + EDGE);
    if (!range) {
      this.#doing = { kind: "new" };
      return;
    }
    const [x0, x1] = range.t.map((t) => view.x(t));
    const kind = Math.abs(x - x0) <= EDGE ? "start" : Math.abs(x - x1) <= EDGE ? "end" : "move";
    store.set({ chosen: range.id, focus: range.source });
    this.#doing = { kind, range };
  }

  #drag(x, x0, isLast) {
    const { store, view } = this;
    const doing = this.#doing;
    if (!doing) return;
    const far = Math.abs(x - x0) > 4;
    const time = (at) => second(clamp(view.t(at), 0, view.duration));
    if (doing.kind === "new") doing.t = [time(x0), time(x)].sort((a, b) => a - b);
    else {
      const by = view.t(x) - view.t(x0);
      const [a, b] = doing.range.t;
      const moved = { start: [a + by, b], end: [a, b + by], move: [a + by, b + by] }[doing.kind];
      doing.t = moved.map((t) => second(clamp(t, 0, view.duration))).sort((p, q) => p - q);
    }
    if (isLast) {
      this.#doing = null;
      if (far && doing.kind === "new") addRange(store, doing.t);
      else if (far) store.edit("Mark moved", withEntry(store.document, "range", doing.range.id, { t: doing.t }));
    }
    this.redraw();
  }

  /** Draws the lane. `draft`: a time that is being marked on the spectrogram. */
  draw(draft, ink) {
    const { store, view } = this;
    const { document, state } = store;
    const { context, height } = sharp(this.canvas);
    const doing = this.#doing?.t ? this.#doing : null;
    const ranges = document.range.map((range) => (range.id === doing?.range?.id ? { ...range, t: doing.t } : range));
    const t = draft ?? (doing?.kind === "new" ? doing.t : null);
    if (t) ranges.push({ id: -1, source: state.focus ?? 0, t });
    context.font = `600 11px ${ink.sans}`;
    context.textBaseline = "middle";
    for (const { id, source, t: [t0, t1] } of ranges) {
      const [x0, x1] = [view.x(t0), view.x(t1)];
      if (x1 < 0 || x0 > view.width) continue;
      const width = Math.max(3, x1 - x0);
      context.save();
      context.beginPath();
      context.roundRect(x0, 5, width, height - 10, 4);
      context.fillStyle = colorOf(document, source);
      context.fill();
      if (id === state.chosen) {
        context.strokeStyle = ink.text;
        context.lineWidth = 2;
        context.stroke();
      }
      context.clip();
      context.fillStyle = "#0b0c10";
      const name = document.source.find((one) => one.id === source)?.name ?? "new source";
      context.fillText(`${name} alone`, Math.max(x0, 0) + 8, height / 2 + 0.5);
      context.restore();
    }
    if (!ranges.length) {
      context.fillStyle = ink.faint;
      context.font = `11px ${ink.sans}`;
      context.fillText("drag where only one source plays", 10, height / 2 + 0.5);
    }
  }
}
