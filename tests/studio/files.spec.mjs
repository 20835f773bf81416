// What outlives the page: scores and examples that come in, projects, exported stems.

import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { addSources, drag, expect, gap, heard, mixture, only, open, run, SAMPLES, separate, serve, siSdr, stems, sum, test, truth, wav } from "./studio.mjs";

/** Drops a file, as a hand does. */
async function drop(page, path, name) {
  const data = await page.evaluateHandle(([text, name]) => {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], name));
    return transfer;
  }, [readFileSync(path).toString("base64"), name]);
  await page.dispatchEvent("#field", "dragenter", { dataTransfer: data });
  await page.dispatchEvent("#field", "drop", { dataTransfer: data });
}

const names = (page) => page.evaluate(() => window.studio.store.state.fits[window.studio.store.state.fit].stems.map(({ name }) => name));

test("a score is dropped: stems are named as its parts, and not worse than those of `--score`", async ({ studio: page, folder }) => {
  const midi = join(SAMPLES, "drums-bass-guitar.mid");
  await drop(page, midi, "song.mid");
  await expect(page.getByRole("status")).toContainText("Added song.mid");
  const parts = await page.evaluate(() => window.studio.store.document.source.map(({ name }) => name));
  await page.getByLabel("Spectrogram.", { exact: false }).focus();
  await page.keyboard.press("t");
  await drag(page, [5.6, 500], [5.95, 500]);
  await page.keyboard.press("Control+z");
  await separate(page);
  expect((await names(page)).slice(0, parts.length)).toEqual(parts);
  const { code, text } = await run(["separate", "song.wav", "--score", midi, "--out", "by-score"], folder);
  expect(code, text).toBe(0);
  const bass = parts.find((name) => name.toLowerCase() === "bass");
  const file = readdirSync(join(folder, "by-score/song")).find((name) => name.toLowerCase() === "bass.wav");
  const [ours, theirs] = [await heard(page, 0, 6, only(bass)), wav(join(folder, "by-score/song", file))].map((stem) => siSdr(truth.bass, stem));
  console.log("SI-SDR of the bass by the dropped score and by --score:", ours, theirs);
  expect(ours).toBeGreaterThanOrEqual(theirs - 0.1);
});

test("an example asks whose it is", async ({ studio: page }) => {
  await addSources(page, ["guitar"]);
  await drop(page, join(SAMPLES, "drums-bass-guitar/guitar.wav"), "my guitar.wav");
  await expect(page.getByRole("heading", { name: "Who plays in this example?" })).toBeVisible();
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await expect(page.getByRole("status")).toContainText("Added");
  const { example, source } = await page.evaluate(() => window.studio.store.document);
  expect(example).toEqual([{ source: source[0].id, file: expect.stringContaining(".wav") }]);
});

test("a saved project is the same after the server was killed, and without a browser", async ({ page, folder }) => {
  const first = await serve(folder);
  await open(page, first);
  await addSources(page, ["guitar", "others"]);
  await page.keyboard.press("r");
  await page.keyboard.press("1");
  await drag(page, [1, 1200], [1.5, 400]);
  await page.keyboard.press("2");
  await drag(page, [2, 200], [2.5, 50]);
  await separate(page);
  const before = await stems(page, ["guitar", "others"]);
  const document = await page.evaluate(() => window.studio.store.document);
  await page.keyboard.press("Control+s");
  await expect(page.getByRole("status")).toContainText("Saved");
  expect(existsSync(join(folder, "song.partita.toml"))).toBe(true);
  await first.kill();
  const second = await serve(folder);
  await open(page, second);
  expect(await page.evaluate(() => window.studio.store.document)).toEqual(document);
  const after = await stems(page, ["guitar", "others"]);
  for (const name of ["guitar", "others"]) expect(gap(after[name], before[name]), name).toBe(0);
  await second.kill();
  const { code, text } = await run(["separate", "song.wav", "--project", "song.partita.toml", "--out", "by-project"], folder);
  expect(code, text).toBe(0);
  for (const name of ["guitar", "others"]) expect(gap(wav(join(folder, "by-project/song", `${name}.wav`)), before[name]), name).toBe(0);
});

test("exported stems sum to the recording, and replace nothing without a question", async ({ page, server, folder }) => {
  await open(page, server);
  await separate(page);
  const stemsOf = await names(page);
  const exported = async (format) => {
    await page.keyboard.press("Control+e");
    await page.getByLabel("Format").selectOption(format);
    await page.getByRole("button", { name: "Export", exact: true }).click();
  };
  const out = (ending) => stemsOf.map((name) => join(folder, "separated/song", `${name}.${ending}`));
  await exported("float32");
  await expect(page.getByRole("status")).toContainText("Exported");
  const parts = out("wav").map(wav);
  expect(gap(sum(...parts), mixture)).toBeLessThan(1e-5);
  const then = statSync(out("wav")[0]).mtimeMs;
  await exported("float32");
  await expect(page.getByRole("heading", { name: "Replace these files?" })).toBeVisible();
  await page.getByRole("button", { name: "Keep them" }).click();
  expect(statSync(out("wav")[0]).mtimeMs).toBe(then);
  await exported("flac");
  await expect.poll(() => out("flac").every(existsSync)).toBe(true);
  await exported("float32");
  await page.getByRole("button", { name: "Replace", exact: true }).click();
  await expect.poll(() => statSync(out("wav")[0]).mtimeMs).toBeGreaterThan(then);
  for (const path of out("flac")) expect(readFileSync(path).toString("latin1", 0, 4)).toBe("fLaC");
});
