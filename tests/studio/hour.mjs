// An hour, made by repetition: time until the page is ready, memory of server and page, five minutes of playback with edits.
// Not part of `.ci/run`: `npm run hour`, with PARTITA naming a release build; some minutes, and 2 GB of disk.

import { chromium } from "@playwright/test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { drag, open, SAMPLES, separate, serve, watch } from "./studio.mjs";

const PLAY_S = Number(process.env.PLAY_S ?? 300);
const folder = mkdtempSync(join(tmpdir(), "partita-hour-"));

/** A stereo WAV of 16 bits, of the sample over and over. */
function repeat(seconds) {
  const bytes = readFileSync(join(SAMPLES, "drums-bass-guitar.wav"));
  const rate = bytes.readUInt32LE(24);
  const mono = bytes.subarray(bytes.indexOf("data") + 8);
  const stereo = Buffer.alloc(mono.length * 2);
  for (let i = 0; i + 1 < mono.length; i += 2) for (const at of [2 * i, 2 * i + 2]) stereo.writeInt16LE(mono.readInt16LE(i), at);
  const times = Math.round(seconds / (mono.length / 2 / rate));
  const head = Buffer.from(bytes.subarray(0, 36));
  const data = Buffer.alloc(8);
  head.writeUInt32LE(36 + stereo.length * times, 4);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(2, 22);
  head.writeUInt32LE(rate * 4, 28);
  head.writeUInt16LE(4, 32);
  data.write("data");
  data.writeUInt32LE(stereo.length * times, 4);
  writeFileSync(join(folder, "song.wav"), Buffer.concat([head, data, ...Array.from({ length: times }, () => stereo)]));
}

const said = (what, value) => console.log(`${what.padEnd(46)} ${value}`);
const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(2)} s`;
const memory = (pid, field) => Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024;

const { default: config } = await import("./playwright.config.mjs");
const browser = await chromium.launch(config.use.launchOptions);
for (const length of [240, 3600]) {
  repeat(length);
  let start = performance.now();
  const server = await serve(folder);
  said(`${length} s: server open`, seconds(start));
  const page = await browser.newPage({ viewport: config.use.viewport });
  const messages = watch(page, server.origin);
  await open(page, server);
  said(`${length} s: page ready, from the start`, seconds(start));
  start = performance.now();
  await separate(page);
  said(`${length} s: first separation`, seconds(start));
  start = performance.now();
  for (let i = 0; i < 50; i += 1) {
    await page.evaluate((i) => {
      const { view } = window.studio;
      if (i % 2) view.zoomTime(i % 4 === 1 ? 3 : 1 / 2.5, 200);
      else view.setTime((view.duration * i) / 50, (view.duration * i) / 50 + view.t1 - view.t0);
    }, i);
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(done)));
  }
  said(`${length} s: 50 times zoom and pan`, seconds(start));
  const client = await page.context().newCDPSession(page);
  await client.send("HeapProfiler.collectGarbage");
  const { usedSize, backingStorageSize = 0 } = await client.send("Runtime.getHeapUsage");
  said(`${length} s: heap of the page, with its buffers`, `${((usedSize + backingStorageSize) / 1e6).toFixed(0)} MB`);
  await page.evaluate((t) => window.studio.view.setTime(t - 10, t + 10), length - 60);
  await page.evaluate((t) => window.studio.player.seek(t), length - 58);
  await page.keyboard.press("r");
  await page.keyboard.press("1");
  await drag(page, [length - 57, 900], [length - 56, 300]);
  await page.keyboard.press("Space");
  await page.waitForFunction((t) => window.studio.player.position > t, length - 57.5);
  const ms = await page.evaluate(async () => {
    const { player } = window.studio;
    const [begin, before] = [performance.now(), player.voiceFit];
    document.getElementById("fit").click();
    while (player.voiceFit === before) await new Promise((done) => setTimeout(done, 5));
    return performance.now() - begin;
  });
  said(`${length} s: from Enter to heard, at ${length - 58} s`, `${Math.round(ms)} ms`);
  await page.evaluate(() => window.studio.player.seek(0));
  const rounds = length > 1000 ? Math.ceil(PLAY_S / 30) : 1;
  for (let i = 0; i < rounds; i += 1) {
    await page.waitForFunction((t) => window.studio.player.position > t, 30 * (i + 1), { timeout: 60_000 });
    await drag(page, [30 * (i + 1) - 2, 900], [30 * (i + 1) - 1, 300]);
    if (i % 3 === 2) await separate(page);
  }
  said(`${length} s: chunks that came too late`, await page.evaluate(() => window.studio.player.dropped));
  said(`${length} s: memory of the server, at most`, `${memory(server.pid, "VmHWM").toFixed(0)} MB`);
  said(`${length} s: messages`, JSON.stringify(messages));
  await page.close();
  await server.kill();
}
await browser.close();
rmSync(folder, { recursive: true });
