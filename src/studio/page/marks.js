// What was painted, as shapes on the screen: drawing, hitting, moving. Strokes are in seconds and Hz, always.

import { COLORS } from "./state.js";

const rounded = (value, digits) => Number(value.toFixed(digits));
export const second = (t) => rounded(t, 4);
export const hertzOf = (hz) => rounded(hz, 2);

/** The color of a source. */
export const colorOf = (document, id) => COLORS[(document.source.find((source) => source.id === id)?.color ?? 0) % COLORS.length];

/** How many harmonics of a stroke are drawn. */
const harmonics = (stroke) => (stroke.shape === "harmonic" ? stroke.n_harmonics : 1);

/** From and to in seconds. @returns {[number, number]} */
export function times(mark) {
  if (mark.t) return mark.t;
  const all = mark.points.map(([t]) => t);
  return [Math.min(...all) - mark.width_s / 2, Math.max(...all) + mark.width_s / 2];
}

/** From and to in Hz, of the lowest to the highest harmonic. @returns {[number, number]} */
export function pitches(stroke, nyquist) {
  if (stroke.hz) return stroke.hz;
  if (!stroke.points) return [0, nyquist];
  const half = 2 ** (stroke.width_semitones / 24);
  const all = stroke.points.map(([, hz]) => hz);
  return [Math.min(...all) / half, Math.min(nyquist, Math.max(...all) * half * harmonics(stroke))];
}

/** Width and height of the brush on the screen, at a frequency. */
function brushSize(stroke, view, hz) {
  const half = 2 ** (stroke.width_semitones / 24);
  return [Math.max(2, stroke.width_s * view.perSecond), Math.max(2, view.y(hz / half) - view.y(hz * half))];
}

const hatches = new Map();

/** Stripes that mean "not". */
function hatch(context, color) {
  const key = color;
  if (!hatches.has(key)) {
    const tile = document.createElement("canvas");
    tile.width = 8;
    tile.height = 8;
    const ink = tile.getContext("2d");
    ink.strokeStyle = color;
    ink.lineWidth = 2;
    for (const x of [-8, 0, 8]) {
      ink.moveTo(x - 1, 9);
      ink.lineTo(x + 9, -1);
    }
    ink.stroke();
    hatches.set(key, tile);
  }
  return context.createPattern(hatches.get(key), "repeat");
}

/** Runs `draw` with a scale in which the brush is a circle of diameter 1. */
function withBrush(context, [w, h], draw) {
  context.save();
  context.scale(w, h);
  context.lineWidth = 1;
  context.lineCap = "round";
  context.lineJoin = "round";
  draw(w, h);
  context.restore();
}

function drawWay(context, stroke, view, color, negative) {
  for (let k = 1; k <= harmonics(stroke); k += 1) {
    const points = stroke.points.map(([t, hz]) => [view.x(t), view.y(k * hz)]);
    if (k > 1 && points.every(([, y]) => y < -20)) break;
    const size = brushSize(stroke, view, k * stroke.points[0][1]);
    const way = (w, h) => {
      context.beginPath();
      points.forEach(([x, y], i) => (i ? context.lineTo(x / w, y / h) : context.moveTo(x / w, y / h)));
      if (points.length === 1) context.lineTo(points[0][0] / w + 1e-3, points[0][1] / h);
    };
    withBrush(context, size, (w, h) => {
      way(w, h);
      if (negative) {
        const pattern = hatch(context, color);
        pattern.setTransform(new DOMMatrix([1 / w, 0, 0, 1 / h, 0, 0]));
        context.strokeStyle = pattern;
        context.globalAlpha = 0.75;
      } else {
        context.strokeStyle = color;
        context.globalAlpha = k > 1 ? 0.2 : 0.46;
      }
      context.stroke();
    });
    context.globalAlpha = 1;
    way(1, 1);
    context.strokeStyle = color;
    context.lineWidth = 1.5;
    context.setLineDash(negative ? [5, 4] : []);
    context.stroke();
    context.setLineDash([]);
  }
}

/** The corners of a box on the screen. */
function corners(stroke, view) {
  const [x0, x1] = stroke.t.map((t) => view.x(t));
  const [y1, y0] = stroke.hz.map((hz) => view.y(hz));
  return { x0, x1, y0, y1 };
}

function drawBox(context, stroke, view, color, negative) {
  const { x0, x1, y0, y1 } = corners(stroke, view);
  context.fillStyle = negative ? hatch(context, color) : color;
  context.globalAlpha = negative ? 0.6 : 0.24;
  context.fillRect(x0, y0, x1 - x0, y1 - y0);
  context.globalAlpha = 1;
  context.strokeStyle = "rgb(0 0 0 / 55%)";
  context.lineWidth = 3.5;
  context.strokeRect(x0, y0, x1 - x0, y1 - y0);
  context.strokeStyle = color;
  context.lineWidth = 1.5;
  context.setLineDash(negative ? [5, 4] : []);
  context.strokeRect(x0, y0, x1 - x0, y1 - y0);
  context.setLineDash([]);
  // seen also on a place of its own color
  context.strokeStyle = "rgb(255 255 255 / 60%)";
  context.lineWidth = 1;
  context.strokeRect(x0 + 1.5, y0 + 1.5, Math.max(0, x1 - x0 - 3), Math.max(0, y1 - y0 - 3));
}

export function drawStroke(context, stroke, view, color) {
  const negative = stroke.effect === "is_not";
  if (stroke.shape === "box") drawBox(context, stroke, view, color, negative);
  else drawWay(context, stroke, view, color, negative);
}

/** All that was painted, source after source, so that the eraser takes away only from its own. */
export function drawMarks(context, document, view, scratch, size, hidden) {
  for (const source of document.source) {
    const strokes = document.stroke.filter((stroke) => stroke.source === source.id && stroke.id !== hidden);
    const color = colorOf(document, source.id);
    const inSight = strokes.filter((stroke) => {
      const [t0, t1] = times(stroke);
      return t1 >= view.t0 && t0 <= view.t1;
    });
    if (!inSight.some(({ effect }) => effect === "erase")) {
      for (const stroke of inSight) drawStroke(context, stroke, view, color);
      continue;
    }
    scratch.width = size.width * size.scale;
    scratch.height = size.height * size.scale;
    const layer = scratch.getContext("2d");
    layer.scale(size.scale, size.scale);
    for (const stroke of inSight) {
      layer.globalCompositeOperation = stroke.effect === "erase" ? "destination-out" : "source-over";
      if (stroke.effect === "erase") erase(layer, stroke, view);
      else drawStroke(layer, stroke, view, color);
    }
    context.drawImage(scratch, 0, 0, size.width, size.height);
  }
}

function erase(context, stroke, view) {
  context.fillStyle = "#000";
  if (stroke.shape === "box") {
    const { x0, x1, y0, y1 } = corners(stroke, view);
    context.fillRect(x0 - 2, y0 - 2, x1 - x0 + 4, y1 - y0 + 4);
    return;
  }
  withBrush(context, brushSize(stroke, view, stroke.points[0][1]), (w, h) => {
    context.strokeStyle = "#000";
    context.beginPath();
    stroke.points.forEach(([t, hz], i) => (i ? context.lineTo(view.x(t) / w, view.y(hz) / h) : context.moveTo(view.x(t) / w, view.y(hz) / h)));
    if (stroke.points.length === 1) context.lineTo(view.x(stroke.points[0][0]) / w + 1e-3, view.y(stroke.points[0][1]) / h);
    context.stroke();
  });
}

/** Whose a stroke is, in words, at its upper left. */
export function drawLabel(context, stroke, document, view, sans) {
  const index = document.source.findIndex(({ id }) => id === stroke.source);
  if (index < 0 || stroke.effect === "erase") return;
  const { name } = document.source[index];
  const [t0, t1] = times(stroke);
  const [, high] = pitches(stroke, view.nyquist);
  const [x, width] = [view.x(t0), view.x(t1) - view.x(t0)];
  const sign = stroke.effect === "is_not" ? "not " : "";
  context.font = `600 10px ${sans}`;
  const long = `${sign}${name}`;
  const text = context.measureText(long).width + 10 <= Math.max(width, 44) ? long : `${stroke.effect === "is_not" ? "≠" : ""}${index + 1}`;
  const w = context.measureText(text).width + 8;
  const top = stroke.shape === "harmonic" ? Math.max(...stroke.points.map((point) => point[1])) * 2 ** (stroke.width_semitones / 24) : high;
  const y = Math.max(1, view.y(top) - 15);
  context.fillStyle = colorOf(document, stroke.source);
  context.beginPath();
  context.roundRect(x - 0.75, y, w, 14, 3);
  context.fill();
  context.fillStyle = "#0b0c10";
  context.textBaseline = "middle";
  context.textAlign = "left";
  context.fillText(text, x + 3.25, y + 7.5);
}

/** Handles of what is chosen: [x, y, which edges it moves]. */
export function handles(stroke, view) {
  if (stroke?.shape !== "box") return [];
  const { x0, x1, y0, y1 } = corners(stroke, view);
  const [xm, ym] = [(x0 + x1) / 2, (y0 + y1) / 2];
  return [[x0, y0, "nw"], [xm, y0, "n"], [x1, y0, "ne"], [x1, ym, "e"], [x1, y1, "se"], [xm, y1, "s"], [x0, y1, "sw"], [x0, ym, "w"]];
}

/** A frame around what is chosen, and its handles. */
export function drawChosen(context, stroke, view) {
  const [x0, x1] = times(stroke).map((t) => view.x(t));
  const [y1, y0] = pitches(stroke, view.nyquist).map((hz) => view.y(hz));
  context.setLineDash([4, 3]);
  context.lineWidth = 1.5;
  for (const [color, offset] of [["rgb(0 0 0 / 70%)", 0], ["#fff", 3.5]]) {
    context.strokeStyle = color;
    context.lineDashOffset = offset;
    context.strokeRect(x0 - 3, y0 - 3, x1 - x0 + 6, y1 - y0 + 6);
  }
  context.setLineDash([]);
  for (const [x, y] of handles(stroke, view)) {
    context.fillStyle = "#fff";
    context.strokeStyle = "#111";
    context.lineWidth = 1;
    context.fillRect(x - 3.5, y - 3.5, 7, 7);
    context.strokeRect(x - 3.5, y - 3.5, 7, 7);
  }
}

/** Whether a place on the screen is on a stroke. */
function isOn(stroke, view, x, y) {
  if (stroke.shape === "box") {
    const { x0, x1, y0, y1 } = corners(stroke, view);
    return x >= x0 - 3 && x <= x1 + 3 && y >= y0 - 3 && y <= y1 + 3;
  }
  for (let k = 1; k <= harmonics(stroke); k += 1) {
    const [w, h] = brushSize(stroke, view, k * stroke.points[0][1]).map((side) => side / 2 + 2);
    const points = stroke.points.map(([t, hz]) => [(view.x(t) - x) / w, (view.y(k * hz) - y) / h]);
    const near = points.some((b, i) => {
      const a = points[Math.max(0, i - 1)];
      const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
      const along = dx || dy ? Math.min(1, Math.max(0, -(a[0] * dx + a[1] * dy) / (dx * dx + dy * dy))) : 0;
      return Math.hypot(a[0] + along * dx, a[1] + along * dy) <= 1;
    });
    if (near) return true;
  }
  return false;
}

/** The stroke at a place on the screen, the last painted first. */
export const strokeAt = (document, view, x, y) => document.stroke.findLast((stroke) => isOn(stroke, view, x, y)) ?? null;

/** A stroke moved by seconds and by a factor of frequency. */
export function moved(stroke, dt, by) {
  if (stroke.t) return { ...stroke, t: stroke.t.map((t) => second(t + dt)), hz: stroke.hz.map((hz) => hertzOf(hz * by)) };
  return { ...stroke, points: stroke.points.map(([t, hz]) => [second(t + dt), hertzOf(hz * by)]) };
}

/** A way with no more points than it takes to look the same within `near` pixels. */
export function simpler(points, view, near = 0.8) {
  if (points.length < 3) return points;
  const [a, b] = [points[0], points[points.length - 1]].map(([t, hz]) => [view.x(t), view.y(hz)]);
  const length = Math.hypot(b[0] - a[0], b[1] - a[1]);
  let [far, most] = [0, near];
  for (let i = 1; i < points.length - 1; i += 1) {
    const [x, y] = [view.x(points[i][0]), view.y(points[i][1])];
    const away = length < 1e-6 ? Math.hypot(x - a[0], y - a[1]) : Math.abs((b[0] - a[0]) * (a[1] - y) - (a[0] - x) * (b[1] - a[1])) / length;
    if (away > most) [far, most] = [i, away];
  }
  if (!far) return [points[0], points[points.length - 1]];
  return [...simpler(points.slice(0, far + 1), view, near), ...simpler(points.slice(far), view, near).slice(1)];
}
