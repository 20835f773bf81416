// Where time and frequency are on the screen, and the pictures of the sound: spectrogram, axes, ruler, overview.

import * as api from "./api.js";
import { clamp, clock, note } from "./dom.js";
import { COLUMNS, ROWS } from "./tiles.js";

/** The lowest frequency that tiles show on the axis of octaves. */
const LOW_HZ = 30;
/** The shortest stretch of time and of the axis that can be zoomed to. */
const LEAST_S = 0.05;
const LEAST_U = 0.02;

/** A window on the plane of time and frequency. `u` is the height on the whole axis, from 0 to 1. */
export class View {
  constructor() {
    this.t0 = 0;
    this.t1 = 1;
    this.u0 = 0;
    this.u1 = 1;
    this.axis = "log";
    this.width = 1;
    this.height = 1;
    this.onChange = () => {};
  }

  open(duration, nyquist) {
    this.duration = duration;
    this.nyquist = nyquist;
    this.low = Math.min(LOW_HZ, nyquist / 2);
    this.t0 = 0;
    this.t1 = Math.min(duration, 60);
  }

  get perSecond() {
    return this.width / (this.t1 - this.t0);
  }

  x(t) {
    return (t - this.t0) * this.perSecond;
  }

  t(x) {
    return this.t0 + x / this.perSecond;
  }

  u(hz) {
    if (this.axis === "linear") return hz / this.nyquist;
    return Math.log(Math.max(hz, 1e-3) / this.low) / Math.log(this.nyquist / this.low);
  }

  ofU(u) {
    return this.axis === "linear" ? u * this.nyquist : this.low * (this.nyquist / this.low) ** u;
  }

  /** Height on the screen of a place on the axis. */
  yOfU(u) {
    return this.height * (1 - (u - this.u0) / (this.u1 - this.u0));
  }

  y(hz) {
    return this.yOfU(this.u(hz));
  }

  hz(y) {
    return this.ofU(this.u0 + (1 - y / this.height) * (this.u1 - this.u0));
  }

  setTime(t0, t1) {
    const length = clamp(t1 - t0, Math.min(LEAST_S, this.duration), this.duration);
    const from = clamp(t1 - t0 === length ? t0 : (t0 + t1 - length) / 2, 0, this.duration - length);
    this.t0 = from;
    this.t1 = from + length;
    this.onChange();
  }

  setHeight(u0, u1) {
    const length = clamp(u1 - u0, LEAST_U, 1);
    const from = clamp(u1 - u0 === length ? u0 : (u0 + u1 - length) / 2, 0, 1 - length);
    this.u0 = from;
    this.u1 = from + length;
    this.onChange();
  }

  /** `by` above 1 shows less; the place at `x` stays. */
  zoomTime(by, x = this.width / 2) {
    const length = clamp((this.t1 - this.t0) / by, Math.min(LEAST_S, this.duration), this.duration);
    const from = this.t(x) - (length * x) / this.width;
    this.setTime(from, from + length);
  }

  zoomHeight(by, y = this.height / 2) {
    const at = 1 - y / this.height;
    const length = clamp((this.u1 - this.u0) / by, LEAST_U, 1);
    const from = this.u0 + at * (this.u1 - this.u0) - at * length;
    this.setHeight(from, from + length);
  }

  /** Moves by pixels. */
  pan(dx, dy) {
    const dt = -dx / this.perSecond;
    const du = (dy / this.height) * (this.u1 - this.u0);
    if (dt) this.setTime(this.t0 + dt, this.t1 + dt);
    if (du) this.setHeight(this.u0 + du, this.u1 + du);
  }

  whole() {
    this.u0 = 0;
    this.u1 = 1;
    this.setTime(0, this.duration);
  }

  /** Turns the page where a place is out of sight. */
  follow(t) {
    const length = this.t1 - this.t0;
    if (t >= this.t1 || t < this.t0) this.setTime(t - 0.05 * length, t + 0.95 * length);
  }
}

/** A canvas as sharp as the screen; its context draws in CSS pixels. */
export function sharp(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  const scale = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height, scale };
}

/** Colors of the page, as the style sheet has them. */
export function inks() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  return {
    text: of("--text"), dim: of("--dim"), faint: of("--faint"), line: of("--line"), ground: of("--ground"),
    panel: of("--panel"), accent: of("--accent"), wave: of("--wave"), field: of("--field"), sans: of("--sans"),
    dark: document.documentElement.dataset.theme === "dark",
  };
}

/** The level of tiles whose columns are about a pixel wide. */
function levelFor(view, tiles, scale) {
  const framesPerPixel = (view.t1 - view.t0) / (view.width * scale) / tiles.frame;
  return clamp(Math.ceil(Math.log2(0.75 * framesPerPixel)), 0, tiles.most);
}

/** Frames, levels and what a column is, from what the server says of its tiles. */
export function gridOf({ hop_length, n_frames, sample_rate }) {
  return { frame: hop_length / sample_rate, n: n_frames, most: Math.max(0, Math.ceil(Math.log2(n_frames / COLUMNS))) };
}

/** Draws what there is, and asks for what there is not. `looks`: the wanted one, then what may stand in for it. */
export function drawSpectrogram(canvas, view, tiles, grid, looks, ink) {
  const { context, width, height, scale } = sharp(canvas);
  context.fillStyle = ink.field;
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "medium";
  const level = levelFor(view, grid, scale);
  const per = COLUMNS * 2 ** level * grid.frame;
  const first = Math.max(0, Math.floor((view.t0 + grid.frame / 2) / per));
  const last = Math.min(Math.ceil(grid.n / (COLUMNS * 2 ** level)) - 1, Math.floor((view.t1 + grid.frame / 2) / per));
  const wanted = [];
  for (let index = first; index <= last; index += 1) {
    if (!draw(level, index)) standIn(level, index);
    wanted.push([level, index]);
  }
  if (last < first + 12) for (const index of [last + 1, first - 1]) if (index >= 0 && index < Math.ceil(grid.n / (COLUMNS * 2 ** level))) wanted.push([level, index]);
  tiles.want(wanted, looks[0]);

  function draw(at, index, t0 = startOf(at, index), t1 = startOf(at, index + 1)) {
    for (const look of looks) {
      const picture = tiles.picture(at, index, look);
      if (!picture) continue;
      const begin = startOf(at, index);
      const length = startOf(at, index + 1) - begin;
      const [from, to] = [Math.max(t0, view.t0), Math.min(t1, view.t1)];
      if (to <= from) return true;
      const sx = ((from - begin) / length) * COLUMNS;
      const sw = ((to - from) / length) * COLUMNS;
      const x0 = Math.round(view.x(from) * scale) / scale;
      const x1 = Math.round(view.x(to) * scale) / scale;
      const sy = (1 - view.u1) * ROWS;
      const sh = (view.u1 - view.u0) * ROWS;
      context.drawImage(picture, sx, sy, sw, sh, x0, 0, x1 - x0, height);
      return true;
    }
    return false;
  }

  function startOf(at, index) {
    return (index * COLUMNS * 2 ** at - 0.5) * grid.frame;
  }

  /** A coarser tile, or finer ones, until the right one is there. */
  function standIn(at, index) {
    const [t0, t1] = [startOf(at, index), startOf(at, index + 1)];
    for (let up = 1; at + up <= grid.most; up += 1) if (draw(at + up, index >> up, t0, t1)) return;
    if (at > 0) for (const half of [2 * index, 2 * index + 1]) draw(at - 1, half);
  }
}

const STEPS_S = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];

/** Times above the spectrogram, and the loop. */
export function drawRuler(canvas, view, loop, looping, ink) {
  const { context, width, height } = sharp(canvas);
  if (loop) {
    const [x0, x1] = loop.map((t) => view.x(t));
    context.fillStyle = ink.accent;
    context.globalAlpha = looping ? 0.3 : 0.12;
    context.fillRect(x0, 0, x1 - x0, height);
    context.globalAlpha = looping ? 1 : 0.5;
    context.fillRect(x0, 0, 2, height);
    context.fillRect(x1 - 2, 0, 2, height);
    context.globalAlpha = 1;
  }
  const step = STEPS_S.find((s) => s * view.perSecond >= 84) ?? 7200;
  const digits = step >= 1 ? 0 : Math.ceil(-Math.log10(step));
  const small = step / 5;
  context.font = `11px ${ink.sans}`;
  context.textBaseline = "middle";
  for (let i = Math.floor(view.t0 / small); i * small <= view.t1; i += 1) {
    const x = Math.round(view.x(i * small)) + 0.5;
    const large = i % 5 === 0;
    context.strokeStyle = large ? ink.faint : ink.line;
    context.beginPath();
    context.moveTo(x, large ? height - 9 : height - 5);
    context.lineTo(x, height);
    context.stroke();
    if (large && x < width - 24) {
      context.fillStyle = ink.dim;
      context.fillText(clock(i * small, digits), x + 5, height / 2 - 1);
    }
  }
}

const HZ = [30, 50, 100, 200, 300, 500, 1000, 2000, 3000, 5000, 10000, 20000, 40000];

/** Frequencies beside the spectrogram, and where each octave begins. */
export function drawAxis(canvas, view, ink) {
  const { context, width } = sharp(canvas);
  const edge = width - 0.5;
  context.font = `11px ${ink.sans}`;
  context.textBaseline = "middle";
  context.textAlign = "right";
  const [low, high] = [view.hz(view.height), view.hz(0)];
  let free = Infinity;
  for (const hz of ticks(low, high, view)) {
    const y = Math.round(view.y(hz)) + 0.5;
    if (y < 8 || y > view.height - 6 || Math.abs(free - y) < 20) continue;
    free = y;
    context.strokeStyle = ink.faint;
    context.beginPath();
    context.moveTo(edge - 5, y);
    context.lineTo(edge, y);
    context.stroke();
    context.fillStyle = ink.dim;
    context.fillText(hz >= 1000 ? `${+(hz / 1000).toFixed(3)}k` : `${+hz.toFixed(1)}`, edge - 9, y);
  }
  drawNotes(context, view, ink);
}

/** Names of notes at the left: each C, and all of an octave where there is room. */
function drawNotes(context, view, ink) {
  const [low, high] = [view.hz(view.height), view.hz(0)].map((hz) => 69 + 12 * Math.log2(Math.max(hz, 8) / 440));
  context.textAlign = "left";
  context.font = `9.5px ${ink.sans}`;
  for (let midi = Math.ceil(low); midi <= high; midi += 1) {
    const hz = 440 * 2 ** ((midi - 69) / 12);
    const y = view.y(hz);
    const room = view.y(hz / 2 ** (1 / 12)) - y;
    const c = midi % 12 === 0;
    if (y < 8 || y > view.height - 6 || (!c && room < 13) || (c && room * 12 < 14)) continue;
    context.fillStyle = c ? ink.text : ink.faint;
    context.globalAlpha = c ? 0.75 : 1;
    context.fillText(note(hz), 4, y);
    context.globalAlpha = 1;
  }
}

function ticks(low, high, view) {
  const span = high - low;
  const octaves = Math.log2(high / Math.max(low, 1));
  if (view.axis === "log" && octaves > 2) return HZ.filter((hz) => hz >= low && hz <= high);
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000].find((s) => span / s <= view.height / 34) ?? 10000;
  return Array.from({ length: Math.floor(span / step) + 2 }, (_, i) => (Math.ceil(low / step) + i) * step).filter((hz) => hz <= high && hz > 0);
}

/** The waveform of the whole recording, from the server's pairs of least and greatest. */
export class Overview {
  constructor(canvas, onReady) {
    this.canvas = canvas;
    this.onReady = onReady;
    this.pairs = null;
  }

  async open(grid) {
    const level = Math.max(0, Math.ceil(Math.log2(grid.n / 1600)));
    const columns = Math.ceil(grid.n / 2 ** level);
    this.pairs = new Uint8Array(2 * columns).fill(128);
    for (let index = 0; index * COLUMNS < columns; index += 1) {
      const part = await api.peaks(0, level, index);
      this.pairs.set(part.subarray(0, Math.min(part.length, 2 * columns - 512 * index)), 512 * index);
      this.onReady();
    }
  }

  draw(view, marks, colorOf, ink) {
    const { context, width, height } = sharp(this.canvas);
    const middle = height / 2;
    const columns = (this.pairs?.length ?? 0) / 2;
    const [x0, x1] = [(view.t0 / view.duration) * width, (view.t1 / view.duration) * width];
    if (columns) {
      const most = 128 / Math.max(8, ...this.pairs.map((value) => Math.abs(value - 128)));
      for (const [color, from, to] of [[ink.faint, 0, x0], [ink.wave, x0, x1], [ink.faint, x1, width]]) {
        context.fillStyle = color;
        for (let x = Math.floor(from); x < to; x += 1) {
          const a = Math.floor((x / width) * columns);
          const b = Math.max(a + 1, Math.floor(((x + 1) / width) * columns));
          let [low, high] = [255, 0];
          for (let i = a; i < b; i += 1) {
            low = Math.min(low, this.pairs[2 * i]);
            high = Math.max(high, this.pairs[2 * i + 1]);
          }
          const top = middle - ((high - 128) / 128) * most * (middle - 7);
          const bottom = middle - ((low - 128) / 128) * most * (middle - 7);
          context.fillRect(x, top, 1, Math.max(1, bottom - top));
        }
      }
    }
    for (const { source, t } of marks) {
      context.fillStyle = colorOf(source);
      context.fillRect((t[0] / view.duration) * width, height - 3, Math.max(2, ((t[1] - t[0]) / view.duration) * width), 3);
    }
    if (view.t1 - view.t0 < view.duration * 0.999) {
      context.strokeStyle = ink.text;
      context.globalAlpha = 0.55;
      context.lineWidth = 1.5;
      context.beginPath();
      context.roundRect(x0 + 0.75, 1.75, Math.max(4, x1 - x0) - 1.5, height - 3.5, 4);
      context.stroke();
      context.globalAlpha = 0.05;
      context.fillStyle = ink.text;
      context.fill();
      context.globalAlpha = 1;
    }
  }
}
