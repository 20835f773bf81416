// Plays all tracks of a fit from one buffer for each two seconds: what is one buffer cannot drift apart.
// Knows samples, tracks and levels; no document and no page.

import * as api from "./api.js";
import { clamp } from "./dom.js";

/** Seconds of a chunk, of a change of gain (time constant), and of the seam between two voices. */
const CHUNK_S = 2;
const GLIDE_S = 0.005;
const SEAM_S = 0.008;
/** Chunks made ready ahead of what is heard. */
const AHEAD = 3;
/** Time that the sound card is given before a voice starts. */
const LEAD_S = 0.04;
/** Channels that one buffer can have in every browser. */
const MAX_CHANNELS = 32;
/** What is kept of sound that was fetched. */
const CACHE_BYTES = 40e6;

/**
 * Which sound: a fit (none: the mixture alone), only what is inside of a box, or one component.
 * @typedef {{fit?: number|null, box?: [number, number, number, number], component?: number}} Spec
 */

const keyOf = (spec) => [spec.fit ?? "", spec.box ?? "", spec.component ?? ""].join("|");

/** From planar tracks to what is heard: split, a gain for each track, summed. The player and `heard` share it. */
class Graph {
  constructor(context, nTracks, nChannels, levels) {
    this.context = context;
    this.nChannels = nChannels;
    this.bus = context.createGain();
    const sum = context.createChannelMerger(nChannels);
    sum.connect(this.bus);
    this.bus.connect(context.destination);
    this.perGroup = Math.max(1, Math.floor(MAX_CHANNELS / nChannels));
    this.gains = Array.from({ length: nTracks }, (_, track) =>
      Array.from({ length: nChannels }, (_, channel) => {
        const gain = context.createGain();
        gain.channelCount = 1;
        gain.gain.value = levels[track] ?? 0;
        gain.connect(sum, 0, channel);
        return gain;
      }),
    );
    this.splitters = [];
    for (let first = 0; first < nTracks; first += this.perGroup) {
      const tracks = this.gains.slice(first, first + this.perGroup);
      const splitter = context.createChannelSplitter(tracks.length * nChannels);
      splitter.channelInterpretation = "discrete";
      tracks.flat().forEach((gain, output) => splitter.connect(gain, output));
      this.splitters.push(splitter);
    }
  }

  /** Plays frames `from..to` of planar data at a whole frame of the context; gives the nodes. */
  start(data, nSamples, from, to, when) {
    const { sampleRate } = this.context;
    return this.splitters.map((splitter, group) => {
      const first = group * this.perGroup * this.nChannels;
      const n = Math.min(this.perGroup * this.nChannels, this.gains.length * this.nChannels - first);
      const buffer = this.context.createBuffer(n, to - from, sampleRate);
      for (let channel = 0; channel < n; channel += 1) {
        const at = (first + channel) * nSamples;
        buffer.copyToChannel(data.subarray(at + from, at + to), channel);
      }
      const node = this.context.createBufferSource();
      node.buffer = buffer;
      node.connect(splitter);
      node.start(when / sampleRate);
      return node;
    });
  }

  setLevels(levels, now) {
    this.gains.forEach((channels, track) => {
      for (const { gain } of channels) gain.setTargetAtTime(levels[track] ?? 0, now, GLIDE_S);
    });
  }
}

/** A graph that plays, from a place on, and what of it is scheduled. Times are frames of the context. */
class Voice {
  constructor(spec, frame, end) {
    this.spec = spec;
    this.cursor = frame;
    this.end = end;
    this.graph = null;
    this.next = null;
    /** @type {{when: number, frame: number, n: number, data: Float32Array, nodes: AudioNode[], at: number, size: number}[]} */
    this.segments = [];
  }

  /** The segment that is heard at a frame of the context. */
  at(when) {
    return this.segments.findLast((segment) => segment.when <= when);
  }

  /** Gives way to another voice. */
  stop(context, when) {
    if (!this.graph) return;
    const time = when / context.sampleRate;
    const { gain } = this.graph.bus;
    gain.setValueAtTime(1, time);
    gain.linearRampToValueAtTime(0, time + SEAM_S);
    for (const { nodes } of this.segments) for (const node of nodes) node.stop(time + SEAM_S);
    const { bus } = this.graph;
    setTimeout(() => bus.disconnect(), 1000 * (time - context.currentTime + SEAM_S) + 200);
  }
}

export class Player {
  #context = null;
  #cache = new Map();
  #bytes = 0;
  #pending = new Map();
  /** @type {Voice|null} */ #voice = null;
  #starting = 0;
  #place = 0;
  #levels = [1];
  #timer = 0;
  #audition = null;
  /** @type {Spec} */ #spec = { fit: null };

  /** @param {{onChange: () => void, onError: (error: Error) => void}} told */
  constructor(told) {
    this.told = told;
    this.playing = false;
    this.waiting = false;
    /** @type {[number, number]|null} Seconds. */ this.loop = null;
    this.dropped = 0;
  }

  open({ sample_rate, n_channels, n_samples }) {
    this.sampleRate = sample_rate;
    this.nChannels = Math.min(2, n_channels);
    this.nSamples = n_samples;
    this.size = Math.round(CHUNK_S * sample_rate);
  }

  get duration() {
    return this.nSamples / this.sampleRate;
  }

  get context() {
    this.#context ??= new AudioContext({ sampleRate: this.sampleRate, latencyHint: "interactive" });
    return this.#context;
  }

  /** The fit that is heard now; that asked for may still be on its way. */
  get voiceFit() {
    return this.#voice?.spec.fit ?? null;
  }

  get auditioning() {
    return this.#audition?.what ?? null;
  }

  /** Frame of the recording that is heard now. */
  #frame() {
    const voice = this.#voice;
    if (!voice?.segments.length) return this.#place;
    const { currentTime, outputLatency = 0 } = this.context;
    const now = (currentTime - outputLatency) * this.sampleRate;
    const segment = voice.at(now) ?? voice.segments[0];
    return segment.frame + clamp(now - segment.when, 0, segment.n);
  }

  /** Seconds of the recording that are heard now. */
  get position() {
    return this.#frame() / this.sampleRate;
  }

  // --- what is fetched

  #chunk(spec, index) {
    const key = `${keyOf(spec)}|${index}`;
    const kept = this.#cache.get(key);
    if (kept) {
      this.#cache.delete(key);
      this.#cache.set(key, kept);
      return kept;
    }
    if (this.#pending.has(key)) return this.#pending.get(key).promise;
    const stop = new AbortController();
    const from = index * this.size;
    const n = Math.min(this.size, this.nSamples - from);
    const { fit, box, component } = spec;
    const asked = { fit, component, box: box?.join(","), from, n };
    const promise = api
      .audio(asked, stop.signal)
      .then((data) => {
        this.#cache.set(key, { data, n, nTracks: data.length / (n * this.nChannels) });
        this.#bytes += data.byteLength;
        for (const [oldest, { data: old }] of this.#cache) {
          if (this.#bytes <= CACHE_BYTES || oldest === key) break;
          this.#cache.delete(oldest);
          this.#bytes -= old.byteLength;
        }
        return this.#cache.get(key);
      })
      .finally(() => this.#pending.delete(key));
    this.#pending.set(key, { promise, stop });
    return promise;
  }

  /** Stops fetching what is not wanted any more. */
  #want(spec, index) {
    const wanted = Array.from({ length: AHEAD }, (_, i) => `${keyOf(spec)}|${index + i}`);
    for (const [key, { stop }] of this.#pending) if (!wanted.includes(key)) stop.abort();
  }

  /** Fetches what would be heard first of another sound, so that a switch to it is at once. */
  prefetch(spec) {
    const index = Math.floor(this.#frame() / this.size);
    Promise.resolve(this.#chunk(spec, clamp(index, 0, Math.ceil(this.nSamples / this.size) - 1))).catch(() => {});
  }

  // --- what is heard

  /** Plays another fit from now on, at the same place. @param {Spec} spec */
  show(spec) {
    if (keyOf(spec) === keyOf(this.#spec)) return;
    this.#spec = spec;
    if (this.#audition) return;
    if (this.playing) this.#start(this.#frame(), true);
    else this.prefetch(spec);
  }

  /** Levels of the tracks, as factors; heard within a few milliseconds. */
  setLevels(levels) {
    this.#levels = levels;
    if (this.#voice?.graph && !this.#audition?.alone) this.#voice.graph.setLevels(levels, this.context.currentTime);
  }

  async play() {
    if (this.playing) return;
    this.playing = true;
    this.told.onChange();
    // not waited for: without a gesture it may stay suspended, and starts with the first one
    this.context.resume();
    const end = this.loop ? this.loop[1] * this.sampleRate : this.nSamples;
    const from = this.#place >= end - 1 ? (this.loop ? Math.round(this.loop[0] * this.sampleRate) : 0) : this.#place;
    await this.#start(from, false);
  }

  pause() {
    if (!this.playing) return;
    this.#place = Math.round(this.#frame());
    this.#halt();
    if (this.#audition) this.#endAudition();
    this.told.onChange();
  }

  toggle() {
    return this.playing ? this.pause() : this.play();
  }

  #halt() {
    this.playing = false;
    this.waiting = false;
    this.#starting += 1;
    clearTimeout(this.#timer);
    this.#voice?.stop(this.context, Math.ceil(this.context.currentTime * this.sampleRate));
    this.#voice = null;
  }

  /** To a place, in seconds; plays on from there if it plays. */
  seek(seconds) {
    if (this.#audition) this.pause();
    this.#place = clamp(Math.round(seconds * this.sampleRate), 0, this.nSamples);
    if (this.playing) this.#start(Math.min(this.#place, this.nSamples - 1), false);
    this.told.onChange();
  }

  setLoop(loop) {
    this.loop = loop;
    if (!this.playing || this.#audition) return;
    const here = this.position;
    if (loop && (here < loop[0] || here >= loop[1])) this.seek(loop[0]);
    else this.#start(this.#frame(), true);
  }

  /**
   * Plays a place once, such as what is inside of a stroke, or one component, then is back where it was.
   * @param {Spec} spec @param {number} from Seconds. @param {number} to @param {any} what For `auditioning`.
   */
  async audition(spec, from, to, what) {
    const back = this.#audition?.back ?? Math.round(this.#frame());
    if (this.playing) this.#halt();
    this.#audition = { what, back, spec: { ...this.#spec, ...spec }, alone: spec.component !== undefined };
    this.playing = true;
    this.told.onChange();
    this.context.resume();
    const first = clamp(Math.round(from * this.sampleRate), 0, this.nSamples - 1);
    await this.#start(first, false, clamp(Math.round(to * this.sampleRate), first + 1, this.nSamples));
  }

  #endAudition() {
    this.#place = this.#audition.back;
    this.#audition = null;
  }

  /** A new voice from a frame on. `seamless`: the voice before plays on until the new one takes over. */
  async #start(frame, seamless, end = this.nSamples) {
    this.#starting += 1;
    const mine = this.#starting;
    const spec = this.#audition?.spec ?? this.#spec;
    const voice = new Voice(spec, Math.floor(frame), end);
    this.#want(spec, Math.floor(voice.cursor / this.size));
    try {
      if (!seamless && this.#voice) {
        this.#place = voice.cursor;
        this.#voice.stop(this.context, Math.ceil(this.context.currentTime * this.sampleRate));
        this.#voice = null;
      }
      this.#waitsFor(true);
      await this.#first(voice, spec);
      if (mine !== this.#starting) return;
      const when = Math.ceil((this.context.currentTime + LEAD_S) * this.sampleRate);
      if (seamless && this.#voice?.segments.length) {
        const old = this.#voice.at(when);
        voice.cursor = old.frame + Math.min(old.n - 1, when - old.when);
        await this.#first(voice, spec);
        if (mine !== this.#starting) return;
      }
      this.#waitsFor(false);
      this.#takeOver(voice, when);
    } catch (error) {
      if (mine === this.#starting) this.#failed(error);
    }
  }

  /** The chunk at the cursor, and the next where the first ends soon. */
  async #first(voice, spec) {
    const index = Math.floor(voice.cursor / this.size);
    const { n, nTracks } = await this.#chunk(spec, index);
    const rest = index * this.size + n - voice.cursor;
    if (rest < this.size / 4 && voice.cursor + rest < this.nSamples) await this.#chunk(spec, index + 1);
    voice.nTracks = nTracks;
  }

  #takeOver(voice, when) {
    const { context } = this;
    // the old voice goes on until here, also where the wait was longer than thought
    const now = Math.max(when, Math.ceil((context.currentTime + LEAD_S / 2) * this.sampleRate));
    if (now > when && this.#voice?.segments.length) voice.cursor += now - when;
    voice.cursor = Math.min(voice.cursor, this.nSamples - 1);
    const levels = this.#audition?.alone ? [1] : this.#levels;
    voice.graph = new Graph(context, voice.nTracks, this.nChannels, levels);
    const { gain } = voice.graph.bus;
    gain.setValueAtTime(0, now / this.sampleRate);
    gain.linearRampToValueAtTime(1, now / this.sampleRate + SEAM_S);
    this.#voice?.stop(context, now);
    voice.next = now;
    this.#voice = voice;
    this.#pump();
    this.told.onChange();
  }

  #waitsFor(waiting) {
    if (this.waiting === waiting) return;
    this.waiting = waiting;
    this.told.onChange();
  }

  #failed(error) {
    if (error.name === "AbortError") return;
    if (this.playing) this.pause();
    this.told.onError(error);
  }

  /** Schedules what is ready, fetches what is next, ends at the end. */
  async #pump() {
    clearTimeout(this.#timer);
    const voice = this.#voice;
    if (!voice || !this.playing) return;
    const { context } = this;
    const now = context.currentTime * this.sampleRate;
    voice.segments = voice.segments.filter(({ when, n }, i) => when + n > now - this.sampleRate || i === voice.segments.length - 1);
    const looped = this.loop && !this.#audition && voice.cursor < Math.round(this.loop[1] * this.sampleRate);
    const end = looped ? Math.min(this.nSamples, Math.round(this.loop[1] * this.sampleRate)) : voice.end;
    if (voice.cursor >= end) {
      if (looped) voice.cursor = Math.round(this.loop[0] * this.sampleRate);
      else if (this.#frame() >= end - 1) return this.#ended(end);
    } else if (voice.next < now + AHEAD * this.size) {
      const index = Math.floor(voice.cursor / this.size);
      let chunk;
      try {
        chunk = await this.#chunk(voice.spec, index);
      } catch (error) {
        return voice === this.#voice ? this.#failed(error) : undefined;
      }
      if (voice !== this.#voice || !this.playing) return;
      this.#schedule(voice, chunk, index, end);
      return this.#pump();
    }
    this.#timer = setTimeout(() => this.#pump(), 40);
  }

  #schedule(voice, { data, n }, index, end) {
    const at = index * this.size;
    const from = voice.cursor - at;
    const to = Math.min(n, end - at);
    const soonest = Math.ceil((this.context.currentTime + 0.01) * this.sampleRate);
    if (voice.next < soonest) {
      this.dropped += voice.segments.length > 0 ? 1 : 0;
      voice.next = soonest;
    }
    const nodes = voice.graph.start(data, n, from, to, voice.next);
    voice.segments.push({ when: voice.next, frame: voice.cursor, n: to - from, data, nodes, at, size: n });
    voice.next += to - from;
    voice.cursor = at + to;
    if (this.loop && !this.#audition && voice.cursor === Math.round(this.loop[1] * this.sampleRate)) {
      voice.cursor = Math.round(this.loop[0] * this.sampleRate);
    }
  }

  #ended(end) {
    this.#halt();
    this.#place = end;
    if (this.#audition) this.#endAudition();
    this.told.onChange();
  }

  /** How loud each track is around the playhead, before its gain: root of the mean square. */
  loudness() {
    const now = this.#voice && this.context.currentTime * this.sampleRate;
    const segment = this.#voice?.at(now);
    if (!segment || !this.playing) return [];
    const { data, size, frame, at, when, n } = segment;
    const here = frame - at + clamp(Math.round(now - when), 0, n - 1);
    const from = Math.max(0, here - Math.round(0.04 * this.sampleRate));
    return Array.from({ length: data.length / (size * this.nChannels) }, (_, track) => {
      let sum = 0;
      for (let channel = 0; channel < this.nChannels; channel += 1) {
        const start = (track * this.nChannels + channel) * size;
        for (let i = from; i < here; i += 1) sum += data[start + i] ** 2;
      }
      return Math.sqrt(sum / Math.max(1, (here - from) * this.nChannels));
    });
  }

  /** What these levels give, by the graph that plays: planar channels of seconds `from..to`. */
  async heard(from, to, levels = this.#levels, spec = this.#spec) {
    const first = Math.round(from * this.sampleRate);
    const last = Math.min(Math.round(to * this.sampleRate), this.nSamples);
    const context = new OfflineAudioContext(this.nChannels, last - first, this.sampleRate);
    let graph = null;
    for (let frame = first; frame < last; ) {
      const index = Math.floor(frame / this.size);
      const { data, n, nTracks } = await this.#chunk(spec, index);
      graph ??= new Graph(context, nTracks, this.nChannels, levels);
      const start = frame - index * this.size;
      const end = Math.min(n, last - index * this.size);
      graph.start(data, n, start, end, frame - first);
      frame += end - start;
    }
    const buffer = await context.startRendering();
    return Array.from({ length: this.nChannels }, (_, channel) => buffer.getChannelData(channel));
  }
}
