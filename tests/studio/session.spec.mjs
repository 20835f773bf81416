// A session with a file for each microphone: heard, seen, cleaned, exported and opened again.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { drawn, drag, expect, gap, heard, open, only, separate, serve, siSdr, sum, test, truth, wav, watch, writeWav } from "./studio.mjs";

const MICS = ["bass", "drums", "guitar"];
const RESTS = MICS.map((name) => `${name}_rest`);

/** What each microphone hears: its own source, and the others later and quieter. */
function heardBy(own) {
  const later = (name) => truth[name].map((_, i) => 0.3 * (truth[name][i - 40 - 9 * MICS.indexOf(name)] ?? 0));
  return sum(truth[own], ...MICS.filter((name) => name !== own).map(later));
}

test("a folder of microphones is heard and seen, cleaned, exported, and opened again", async ({ page, folder }) => {
  const take = join(folder, "take-3");
  mkdirSync(take);
  const mics = Object.fromEntries(MICS.map((name) => [name, heardBy(name)]));
  for (const name of MICS) writeWav(join(take, `${name}.wav`), mics[name]);
  const server = await serve(folder, "take-3");
  const messages = watch(page, server.origin);
  await open(page, server);

  // Each microphone has a row, and all together are the recording: quieter where the sum would clip.
  const all = sum(...Object.values(mics));
  const level = 1 / all.reduce((most, x) => Math.max(most, Math.abs(x)), 1);
  const loud = (name) => mics[name].map((x) => level * x);
  await expect(page.locator("#rows .name")).toHaveText(MICS);
  for (const name of MICS) expect(gap(await heard(page, 0, 6, only(name)), loud(name)), name).toBeLessThan(1e-5);
  expect(gap(await heard(page, 0, 6), all.map((x) => level * x))).toBeLessThan(1e-5);
  await page.keyboard.press("Space");
  await page.waitForFunction(() => window.studio.player.position > 0.3);
  await page.getByRole("button", { name: "Solo drums" }).click();
  await page.keyboard.press("Space");
  await page.getByRole("button", { name: "Solo drums" }).click();
  await page.getByLabel("Show", { exact: true }).selectOption("drums");
  await drawn(page);

  // Nothing is painted, and no file is added.
  await page.getByLabel("Spectrogram.", { exact: false }).focus();
  for (const key of ["b", "k", "d"]) await page.keyboard.press(key);
  await drag(page, [1, 300], [2, 900]);
  expect(await page.evaluate(() => window.studio.store.document.stroke)).toEqual([]);
  await expect(page.locator("#drawer")).toBeHidden();
  await page.keyboard.press("?");
  await expect(page.locator("dialog h3")).toHaveText(["Listen", "Separate", "Look"]);
  await page.keyboard.press("Escape");
  await page.evaluate(() => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File(["x"], "kick.wav"));
    document.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
  });
  await expect(page.locator("#notices")).toContainText("a session is opened whole");
  await page.getByRole("button", { name: "Put away" }).click();

  // What is taken out is there, and is not heard until somebody asks for it.
  await separate(page, () => page.getByRole("button", { name: "Take the bleed out" }).click());
  await expect(page.locator("#rows .name")).toHaveText([...MICS, ...RESTS]);
  const clean = {};
  for (const name of MICS) {
    clean[name] = await heard(page, 0, 6, only(name));
    const rest = await heard(page, 0, 6, only(`${name}_rest`));
    expect(gap(sum(clean[name], rest), loud(name)), name).toBeLessThan(1e-5);
    const gain = siSdr(truth[name], clean[name]) - siSdr(truth[name], mics[name]);
    expect(gain, `${name} became cleaner`).toBeGreaterThan(3);
  }
  expect(gap(await heard(page, 0, 6), sum(...Object.values(clean)))).toBeLessThan(1e-5);

  // Undo is the microphones; half of the bleed is asked for, and undone.
  await page.keyboard.press("Control+z");
  await page.waitForFunction(() => window.studio.store.state.fit === 1);
  await page.keyboard.press("Control+Shift+z");
  await page.waitForFunction(() => window.studio.store.state.fit === 2);
  await page.getByLabel("Bleed taken out").fill("50");
  expect(await page.evaluate(() => [window.studio.store.document.debleed.strength, window.studio.store.stale])).toEqual([0.5, true]);
  await separate(page, () => page.getByRole("button", { name: "Take the bleed out" }).click());
  for (const name of MICS) {
    const before = loud(name);
    const half = clean[name].map((x, i) => 0.5 * (x + before[i]));
    expect(gap(await heard(page, 0, 6, only(name)), half), name).toBeLessThan(1e-5);
  }
  await page.keyboard.press("Control+z");
  await page.waitForFunction(() => window.studio.store.state.fit === 2);
  await page.keyboard.press("Control+z");

  await page.getByRole("button", { name: "Export…" }).click();
  await expect(page.getByLabel("Stems").locator("option")).toHaveCount(7);
  await page.getByRole("button", { name: "Export", exact: true }).click();
  await expect(page.getByRole("status")).toContainText("Exported 6 files");
  for (const name of MICS) {
    expect(gap(wav(join(folder, "separated", "take-3", `${name}.wav`)).map((x) => level * x), clean[name]), name).toBeLessThan(1e-6);
  }
  await page.keyboard.press("Control+s");
  await expect(page.getByRole("status")).toContainText("take-3.partita.toml");
  expect(messages.splice(0), "messages of the console, and foreign requests").toEqual([]);
  await server.kill();

  const again = await serve(folder, "take-3");
  await open(page, again);
  await expect(page.locator("#rows .name")).toHaveText([...MICS, ...RESTS]);
  for (const name of MICS) expect(gap(await heard(page, 0, 6, only(name)), clean[name]), name).toBe(0);
});
