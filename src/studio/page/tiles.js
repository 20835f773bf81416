// Pictures of spectrograms from the server's tiles: which are needed, kept, and how levels become colors.

import * as api from "./api.js";

export const COLUMNS = 256;
export const ROWS = 512;
/** dB of a level, as the server counts: 0 is -102 dB. */
export const LEAST_DB = -102;
export const STEP_DB = 0.4;

const KEPT_TILES = 160;
const KEPT_PICTURES = 48;
const AT_ONCE = 4;

const EMBER = [[8, 9, 14], [30, 18, 58], [84, 24, 105], [146, 42, 104], [205, 66, 78], [240, 116, 46], [251, 180, 62], [252, 246, 190]];
const LAGOON = [[7, 10, 16], [14, 34, 64], [16, 70, 106], [22, 114, 132], [44, 160, 138], [112, 202, 120], [200, 230, 110], [252, 252, 210]];
const SILVER = [[9, 10, 13], [252, 252, 252]];
const PAPER = [[252, 252, 253], [226, 231, 240], [182, 196, 220], [124, 146, 190], [84, 92, 150], [60, 46, 104], [30, 18, 54]];

/** Maps of colors by name; `auto` is one of them by the theme. */
export const MAPS = { ember: EMBER, lagoon: LAGOON, silver: SILVER, paper: PAPER };

/** 256 colors along stops. */
function ramp(stops) {
  const table = new Uint8ClampedArray(256 * 3);
  for (let i = 0; i < 256; i += 1) {
    const at = (i / 255) * (stops.length - 1);
    const k = Math.min(stops.length - 2, Math.floor(at));
    for (let c = 0; c < 3; c += 1) table[3 * i + c] = stops[k][c] + (at - k) * (stops[k + 1][c] - stops[k][c]);
  }
  return table;
}

const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

/**
 * How tiles are to be drawn. Two that are `same` give the same pictures.
 * @typedef {{fit: number|null, tracks: number[], axis: "log"|"linear", map: string, dark: boolean, from: number, to: number,
 *   owners: {track: number, color: string}[]|null}} Look
 */

/** Levels (u8) to steps of a ramp of 256. */
function steps({ from, to }) {
  const table = new Uint8Array(256);
  for (let level = 0; level < 256; level += 1) {
    const db = LEAST_DB + level * STEP_DB;
    table[level] = Math.round(255 * Math.min(1, Math.max(0, (db - from) / Math.max(1, to - from))));
  }
  return table;
}

function paintPlain(pixels, levels, look) {
  const colors = ramp(MAPS[look.map === "auto" ? (look.dark ? "ember" : "paper") : look.map]);
  const table = steps(look);
  for (let column = 0; column < COLUMNS; column += 1) {
    for (let row = 0; row < ROWS; row += 1) {
      const color = 3 * table[levels[column * ROWS + row]];
      const at = 4 * ((ROWS - 1 - row) * COLUMNS + column);
      pixels[at] = colors[color];
      pixels[at + 1] = colors[color + 1];
      pixels[at + 2] = colors[color + 2];
      pixels[at + 3] = 255;
    }
  }
}

/** The hue of whom a place belongs to, as bright as the mixture is there. */
function paintOwners(pixels, mixture, owners, look) {
  const table = steps(look);
  const power = Float32Array.from({ length: 256 }, (_, level) => 10 ** ((LEAST_DB + level * STEP_DB) / 10));
  const hues = owners.map(({ color }) => rgb(color));
  const [low, high] = look.dark ? [[8, 9, 14], [255, 252, 244]] : [[252, 252, 253], [24, 20, 40]];
  for (let column = 0; column < COLUMNS; column += 1) {
    for (let row = 0; row < ROWS; row += 1) {
      const cell = column * ROWS + row;
      const t = table[mixture[cell]] / 255;
      let sum = 1e-12;
      let r = 0;
      let g = 0;
      let b = 0;
      for (let i = 0; i < owners.length; i += 1) {
        const share = power[owners[i].levels[cell]];
        sum += share;
        r += share * hues[i][0];
        g += share * hues[i][1];
        b += share * hues[i][2];
      }
      // from the ground to the hue, and from there a little on
      const toHue = Math.min(1, t * 1.35);
      const on = Math.max(0, t - 0.74) * 1.6;
      const at = 4 * ((ROWS - 1 - row) * COLUMNS + column);
      pixels[at] = mixed(low[0], r / sum, high[0], toHue, on);
      pixels[at + 1] = mixed(low[1], g / sum, high[1], toHue, on);
      pixels[at + 2] = mixed(low[2], b / sum, high[2], toHue, on);
      pixels[at + 3] = 255;
    }
  }
}

function mixed(low, hue, high, toHue, on) {
  const color = low + toHue * (hue - low);
  return color + on * (high - color);
}

export class Tiles {
  /** @type {Map<string, Uint8Array>} */ #levels = new Map();
  /** @type {Map<string, {look: string, canvas: HTMLCanvasElement}>} */ #pictures = new Map();
  /** Keys of tiles that are only like what is still to come. */
  #sketches = new Set();
  #pending = new Map();
  #failed = new Map();
  #needed = [];

  /** @param {{onReady: () => void, onError: (error: Error) => void}} told */
  constructor(told) {
    this.told = told;
  }

  get busy() {
    return this.#pending.size > 0 || this.#needed.some((key) => !this.#levels.has(key) && !this.#failed.has(key));
  }

  #key(track, level, index, look) {
    return [track === 0 ? "" : look.fit, track, level, index, look.axis].join("|");
  }

  /** The picture of a tile, if all that it takes is there. */
  picture(level, index, look) {
    const tracks = look.owners ? [0, ...look.owners.map(({ track }) => track)] : look.tracks;
    const parts = tracks.map((track) => this.#levels.get(this.#key(track, level, index, look)));
    if (parts.some((part) => !part)) return null;
    const key = `${tracks.join(",")}|${this.#key(tracks[0] || tracks[1] || 0, level, index, look)}`;
    const sketched = tracks.filter((track) => this.#sketches.has(this.#key(track, level, index, look)));
    const said = JSON.stringify([look, sketched]);
    const kept = this.#pictures.get(key);
    if (kept?.look === said) {
      this.#pictures.delete(key);
      this.#pictures.set(key, kept);
      return kept.canvas;
    }
    const canvas = kept?.canvas ?? this.#canvas();
    const context = canvas.getContext("2d");
    const image = context.createImageData(COLUMNS, ROWS);
    if (look.owners) {
      const owners = look.owners.map((owner, i) => ({ ...owner, levels: parts[i + 1] }));
      paintOwners(image.data, parts[0], owners, look);
    } else paintPlain(image.data, parts[0], look);
    context.putImageData(image, 0, 0);
    this.#pictures.delete(key);
    this.#pictures.set(key, { look: said, canvas });
    return canvas;
  }

  /** A canvas, that of the picture that was not wanted for longest where there are enough. */
  #canvas() {
    if (this.#pictures.size >= KEPT_PICTURES) {
      const [oldest, { canvas }] = this.#pictures.entries().next().value;
      this.#pictures.delete(oldest);
      return canvas;
    }
    const canvas = document.createElement("canvas");
    canvas.width = COLUMNS;
    canvas.height = ROWS;
    return canvas;
  }

  /** Fetches these tiles, the first first, and stops fetching all others. @param {[number, number][]} wanted level, index */
  want(wanted, look) {
    const tracks = look.owners ? [0, ...look.owners.map(({ track }) => track)] : look.tracks;
    const asked = new Map();
    for (const [level, index] of wanted) {
      for (const track of tracks) asked.set(this.#key(track, level, index, look), { track, level, index, look });
    }
    this.#needed = [...asked.keys()];
    this.asked = asked;
    for (const [key, stop] of this.#pending) if (!asked.has(key)) stop.abort();
    this.#fetch();
  }

  #fetch() {
    // What is missing first, then what is sketched.
    const missing = this.#needed.filter((key) => !this.#levels.has(key));
    for (const key of [...missing, ...this.#needed.filter((key) => this.#sketches.has(key))]) {
      if (this.#pending.size >= AT_ONCE) return;
      if (this.#pending.has(key) || this.#failed.get(key) > performance.now() - 2000) continue;
      const sketch = this.#levels.has(key) ? undefined : 1;
      // One after the other: they come together, and what is missing elsewhere is not to wait.
      if (!sketch && this.#pending.size) return;
      const { track, level, index, look } = this.asked.get(key);
      const stop = new AbortController();
      this.#pending.set(key, stop);
      const where = { fit: track === 0 ? undefined : look.fit, axis: look.axis === "linear" ? "linear" : undefined, sketch: track === 0 ? undefined : sketch };
      api
        .tile(track, level, index, where, stop.signal)
        .then((tile) => this.#keep(key, tile))
        .catch((error) => {
          if (error.name === "AbortError") return;
          this.#failed.set(key, performance.now());
          this.told.onError(error);
        })
        .finally(() => {
          this.#pending.delete(key);
          this.#fetch();
        });
    }
  }

  #keep(key, { levels, isSketch }) {
    this.#levels.set(key, levels);
    if (isSketch) this.#sketches.add(key);
    else this.#sketches.delete(key);
    for (const [oldest] of this.#levels) {
      if (this.#levels.size <= KEPT_TILES) break;
      if (this.#needed.includes(oldest)) break;
      this.#levels.delete(oldest);
      this.#sketches.delete(oldest);
    }
    this.told.onReady();
  }

  /** The level at a place of the mixture or a track, in dB, if its tile is there. */
  db(track, level, index, column, row, look) {
    const levels = this.#levels.get(this.#key(track, level, index, look));
    const value = levels?.[column * ROWS + row];
    return value === undefined ? null : LEAST_DB + value * STEP_DB;
  }
}
