// A studio of its own for each test, in a temporary folder, and what tests measure with.

import { test as base, expect } from "@playwright/test";
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../..");
export const SAMPLES = join(ROOT, "samples");
export const NAMES = ["drums", "bass", "guitar"];

/** The program: the newest that is there, or what `PARTITA` names. */
export function partita() {
  const built = ["target/release/partita", "target/debug/partita"].map((path) => join(ROOT, path)).find(existsSync);
  return process.env.PARTITA ? resolve(process.env.PARTITA) : built;
}

/** Runs the program to its end. */
export function run(args, cwd) {
  return new Promise((resolve) => {
    const child = spawn(partita(), args, { cwd });
    let text = "";
    child.stderr.on("data", (data) => (text += data));
    child.on("close", (code) => resolve({ code, text }));
  });
}

const opened = new Set();

/** A server that is open; it ends with its folder at the latest. */
export async function serve(folder, recording = "song.wav", args = []) {
  const child = spawn(partita(), ["studio", recording, "--no-open", ...args], { cwd: folder });
  let text = "";
  const address = await new Promise((resolve, reject) => {
    child.stderr.on("data", (data) => {
      text += data;
      const found = /http:\/\/127\.0\.0\.1:\d+\/#\w+/.exec(text);
      if (found) resolve(found[0]);
    });
    child.on("close", () => reject(new Error(text)));
  });
  const kill = (signal = "SIGKILL") =>
    new Promise((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) return resolve();
      child.on("close", resolve);
      child.kill(signal);
    });
  opened.add(kill);
  return { address, origin: new URL(address).origin, token: new URL(address).hash.slice(1), pid: child.pid, kill };
}

/** `folder`: with the recording as song.wav. `server`: open there. `page`: no message and no foreign request allowed. */
export const test = base.extend({
  folder: async ({}, use) => {
    const folder = mkdtempSync(join(tmpdir(), "partita-page-"));
    cpSync(join(SAMPLES, "drums-bass-guitar.wav"), join(folder, "song.wav"));
    await use(folder);
    for (const kill of opened) await kill();
    opened.clear();
    rmSync(folder, { recursive: true });
  },
  server: async ({ folder }, use) => {
    const server = await serve(folder);
    await use(server);
    await server.kill();
  },
  studio: async ({ page, server }, use) => {
    const messages = watch(page, server.origin);
    await open(page, server);
    await use(page);
    expect(messages.splice(0), "messages of the console, and foreign requests").toEqual([]);
  },
});

/** What the console said, and what was asked of others than the server. */
export function watch(page, origin) {
  const messages = [];
  page.on("console", (message) => messages.push(`${message.type()}: ${message.text()}`));
  page.on("response", async (answer) => answer.status() >= 400 && messages.push(`${answer.url()}: ${await answer.text().catch(() => answer.status())}`));
  page.on("pageerror", (error) => messages.push(error.stack));
  page.on("request", (request) => {
    if (!request.url().startsWith(`${origin}/`)) messages.push(`a request to ${request.url()}`);
  });
  return messages;
}

/** Opens the page, and waits until it has drawn. */
export async function open(page, server) {
  await page.goto(server.address);
  await ready(page);
}

export async function ready(page) {
  await page.waitForFunction(() => window.studio);
  await page.evaluate(() => window.studio.ready);
  await drawn(page);
}

/** Waits until all tiles are there and drawn. */
export async function drawn(page) {
  await page.waitForFunction(() => !window.studio.tiles.busy);
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

/** Presses Enter, and waits for another fit than there is. */
export async function separate(page, press = () => page.keyboard.press("Enter")) {
  const before = await page.evaluate(() => window.studio.store.state.fit);
  await press();
  await page.waitForFunction((before) => window.studio.store.state.fit !== before && !window.studio.store.state.work, before, { timeout: 30_000 });
}

/** What the mixer gives, as numbers of the first channel. */
export async function heard(page, from, to, state) {
  const text = await page.evaluate(async ([from, to, state]) => {
    const [channel] = await window.studio.heard(from, to, state);
    const bytes = new Uint8Array(channel.buffer, channel.byteOffset, channel.byteLength);
    let text = "";
    for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
    return btoa(text);
  }, [from, to, state]);
  const bytes = Buffer.from(text, "base64");
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

/** Only this source. */
export const only = (name) => ({ sources: { [name]: { solo: true } } });

/** What each source alone gives. */
export async function stems(page, names = NAMES) {
  const all = {};
  for (const name of names) all[name] = await heard(page, 0, 6, only(name));
  return all;
}

/** The first channel of a WAV file of 16 bit or 32 bit float. */
export function wav(path) {
  const bytes = readFileSync(path);
  let [at, format, channels, bits] = [12, 0, 0, 0];
  for (;;) {
    const [id, n] = [bytes.toString("latin1", at, at + 4), bytes.readUInt32LE(at + 4)];
    if (id === "fmt ") [format, channels, bits] = [bytes.readUInt16LE(at + 8), bytes.readUInt16LE(at + 10), bytes.readUInt16LE(at + 22)];
    if (id === "data") {
      const n_samples = n / channels / (bits / 8);
      const read = bits === 16 ? (i) => bytes.readInt16LE(i) / 32768 : (i) => bytes.readFloatLE(i);
      if (bits === 32 && format === 1) throw new Error("whole numbers of 32 bits");
      return Float32Array.from({ length: n_samples }, (_, i) => read(at + 8 + i * channels * (bits / 8)));
    }
    at += 8 + n + (n % 2);
  }
}

/** Writes one channel as a WAV file of 32 bit float, at the rate of the samples. */
export function writeWav(path, signal) {
  const head = Buffer.alloc(44);
  head.write("RIFF", 0, "latin1");
  head.writeUInt32LE(36 + 4 * signal.length, 4);
  head.write("WAVEfmt ", 8, "latin1");
  head.writeUInt32LE(16, 16);
  for (const [at, value] of [[20, 3], [22, 1], [32, 4], [34, 32]]) head.writeUInt16LE(value, at);
  head.writeUInt32LE(22050, 24);
  head.writeUInt32LE(4 * 22050, 28);
  head.write("data", 36, "latin1");
  head.writeUInt32LE(4 * signal.length, 40);
  writeFileSync(path, Buffer.concat([head, Buffer.from(Float32Array.from(signal).buffer)]));
}

export const truth = Object.fromEntries(NAMES.map((name) => [name, wav(join(SAMPLES, "drums-bass-guitar", `${name}.wav`))]));
export const mixture = wav(join(SAMPLES, "drums-bass-guitar.wav"));

const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);

/** Scale-invariant signal to distortion ratio, in dB. */
export function siSdr(reference, estimate) {
  const scale = dot(estimate, reference) / dot(reference, reference);
  const target = scale * scale * dot(reference, reference);
  const gap = reference.reduce((sum, x, i) => sum + (estimate[i] - scale * x) ** 2, 0);
  return 10 * Math.log10(target / Math.max(gap, 1e-20));
}

/** The greatest difference. */
export function gap(a, b) {
  expect(a.length).toBe(b.length);
  return a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0);
}

export const sum = (...signals) => signals[0].map((_, i) => signals.reduce((total, signal) => total + signal[i], 0));

/** Drags from one place of the plane to another, as a hand does: down, many moves, up. */
export async function drag(page, [t0, hz0], [t1, hz1], steps = 8) {
  const place = (t, hz) => page.evaluate(([t, hz]) => {
    const { left, top } = document.getElementById("field").getBoundingClientRect();
    return [left + window.studio.view.x(t), top + window.studio.view.y(hz)];
  }, [t, hz]);
  const [from, to] = [await place(t0, hz0), await place(t1, hz1)];
  await page.mouse.move(...from);
  await page.mouse.down();
  await page.mouse.move(...to, { steps });
  await page.mouse.up();
}

/** Adds the three sources under their names, by the page's own means. */
export async function addSources(page, names = NAMES) {
  for (const name of names) {
    await page.getByRole("button", { name: "Add a source" }).last().click();
    await page.getByLabel("Name", { exact: true }).fill(name);
    await page.getByRole("button", { name: "Done" }).click();
  }
}

export { expect };
