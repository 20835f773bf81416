// A truthful painter: it knows the true stems, and paints boxes of 16 frames and a third of an octave where one source
// dominates and the stems are worst.

const RATE = 22050;
const N_FFT = 2048;
const HOP = 512;
const FRAMES = 16;
const LOW = 60;
const N_BANDS = 21;

/** Powers of the transform of `signal`, per frame and bin. */
function powers(signal) {
  const window = Float64Array.from({ length: N_FFT }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / N_FFT));
  const n = Math.floor((signal.length - N_FFT) / HOP) + 1;
  return Array.from({ length: n }, (_, frame) => {
    const re = Float64Array.from({ length: N_FFT }, (_, i) => signal[frame * HOP + i] * window[i]);
    const im = new Float64Array(N_FFT);
    fft(re, im);
    return Float64Array.from({ length: N_FFT / 2 + 1 }, (_, bin) => re[bin] ** 2 + im[bin] ** 2);
  });
}

function fft(re, im) {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i += 1) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [re[i], re[j], im[i], im[j]] = [re[j], re[i], im[j], im[i]];
  }
  for (let length = 2; length <= n; length *= 2) {
    for (let k = 0; k < length / 2; k += 1) {
      const [c, s] = [Math.cos((-2 * Math.PI * k) / length), Math.sin((-2 * Math.PI * k) / length)];
      for (let i = k; i < n; i += length) {
        const j = i + length / 2;
        const [x, y] = [re[j] * c - im[j] * s, re[j] * s + im[j] * c];
        [re[j], im[j], re[i], im[i]] = [re[i] - x, im[i] - y, re[i] + x, im[i] + y];
      }
    }
  }
}

/** Edges of a box, in seconds and Hz. */
function box(block, band) {
  const start = (block * FRAMES * HOP + N_FFT / 2) / RATE;
  return { t: [start, start + (FRAMES * HOP) / RATE], hz: [LOW * 2 ** (band / 3), LOW * 2 ** ((band + 1) / 3)] };
}

/** Energy in each box. */
function energies(signal) {
  const all = powers(signal);
  return Array.from({ length: Math.floor(all.length / FRAMES) }, (_, block) =>
    Array.from({ length: N_BANDS }, (_, band) => {
      const bins = box(block, band).hz.map((hz) => (hz * N_FFT) / RATE);
      let sum = 0;
      for (let frame = block * FRAMES; frame < (block + 1) * FRAMES; frame += 1) {
        for (let bin = Math.ceil(bins[0]); bin <= Math.min(N_FFT / 2, bins[1]); bin += 1) sum += all[frame][bin];
      }
      return sum;
    }));
}

export class Robot {
  #used = new Set();

  /** @param {Object<string, Float32Array>} truth */
  constructor(truth) {
    this.truth = truth;
    this.energies = Object.fromEntries(Object.entries(truth).map(([name, signal]) => [name, energies(signal)]));
  }

  /** The next boxes of a source: where it is most of what there is, and where most is wrong with all stems. */
  boxes(name, stems, n) {
    const names = Object.keys(this.truth);
    const gaps = names.map((other) => energies(this.truth[other].map((x, i) => x - stems[other][i])));
    const wrong = gaps[0].map((bands, block) => bands.map((_, band) => gaps.reduce((sum, gap) => sum + gap[block][band], 0)));
    const all = [];
    this.energies[name].forEach((bands, block) => bands.forEach((energy, band) => {
      const total = names.reduce((sum, other) => sum + this.energies[other][block][band], 0);
      const key = `${name} ${block} ${band}`;
      if (energy > 0.8 * total && !this.#used.has(key)) all.push({ key, block, band, wrong: wrong[block][band] });
    }));
    const chosen = all.sort((a, b) => b.wrong - a.wrong).slice(0, n);
    for (const { key } of chosen) this.#used.add(key);
    return chosen.map(({ block, band }) => box(block, band));
  }

  /** Where a source is least of what there is, though something is there. */
  wrongBox(name) {
    const names = Object.keys(this.truth);
    const all = this.energies[name].flatMap((bands, block) => bands.map((energy, band) => {
      const total = names.reduce((sum, other) => sum + this.energies[other][block][band], 0);
      return { block, band, others: total - energy, share: energy / total };
    }));
    const { block, band } = all.filter(({ share }) => share < 0.05).sort((a, b) => b.others - a.others)[0];
    return box(block, band);
  }
}

/** Energy of a signal inside of a box. */
export function inside(signal, { t, hz }) {
  const all = powers(signal);
  const frames = t.map((at) => Math.round((at * RATE - N_FFT / 2) / HOP));
  let sum = 0;
  for (let frame = frames[0] + 1; frame < frames[1] - 1; frame += 1) {
    for (let bin = Math.ceil((hz[0] * N_FFT) / RATE) + 1; bin < (hz[1] * N_FFT) / RATE - 1; bin += 1) sum += all[frame]?.[bin] ?? 0;
  }
  return sum;
}
