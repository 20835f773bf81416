// What outlives the page: scores and examples that come in, projects, exported stems.

import { cpSync, existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { addSources, drag, expect, gap, heard, mixture, only, open, run, SAMPLES, separate, serve, siSdr, stems, sum, test, truth, wav, writeWav } from "./studio.mjs";

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

/** The first channel of a file, as the browser decodes it at the rate of the samples. */
async function decode(page, path) {
  const text = await page.evaluate(async (text) => {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const audio = await new OfflineAudioContext(1, 1, 22050).decodeAudioData(bytes.buffer);
    const channel = audio.getChannelData(0);
    const raw = new Uint8Array(channel.buffer, channel.byteOffset, channel.byteLength);
    let binary = "";
    for (let i = 0; i < raw.length; i += 0x8000) binary += String.fromCharCode(...raw.subarray(i, i + 0x8000));
    return { n_channels: audio.numberOfChannels, binary: btoa(binary) };
  }, readFileSync(path).toString("base64"));
  expect(text).toMatchObject({ n_channels: 1 });
  const bytes = Buffer.from(text.binary, "base64");
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

const names = (page) => page.evaluate(() => window.studio.store.state.fits[window.studio.store.state.fit].stems.map(({ name }) => name));

test("a score is dropped, and drums alone marked: stems are named as parts, and not worse than those of `--score`", async ({ page, folder }) => {
  // While no bass plays the guitar waits, so that the drums are alone: the mark says what is true.
  const alone = [2.45, 2.75];
  const rest = (x, i) => x * Math.min(1, Math.max(0, alone[0] - i / 22050, i / 22050 - alone[1]) / 0.02);
  const played = { ...truth, guitar: truth.guitar.map(rest) };
  writeWav(join(folder, "song.wav"), sum(...Object.values(played)));
  const server = await serve(folder);
  await open(page, server);
  await addSources(page, ["drums"]);
  await page.getByLabel("Spectrogram.", { exact: false }).focus();
  await page.keyboard.press("t");
  // Above the card that says where to begin.
  await drag(page, [alone[0] + 0.01, 9000], [alone[1] - 0.01, 9000]);
  const [range] = await page.evaluate(() => window.studio.store.document.range);
  expect(range.t.map((t) => Math.round(100 * t) / 100)).toEqual([2.46, 2.74]);
  const midi = join(SAMPLES, "drums-bass-guitar.mid");
  await drop(page, midi, "song.mid");
  await expect(page.getByRole("status")).toContainText("Added song.mid");
  // The names of its tracks; each of its drums is of the source that has the drums.
  const { source, score } = await page.evaluate(() => window.studio.store.document);
  expect(source.map(({ name }) => name)).toEqual(["drums", "bass"]);
  expect(score.tracks).toEqual({ hihat: 1, kick: 1, snare: 1, bass: source[1].id });
  const played_by = { drums: ["hihat", "kick", "snare"], bass: ["bass"], residual: ["residual"] };
  const all = Object.keys(played_by);
  const of = (stems) => Object.fromEntries(all.map((name) => [name, siSdr(played[name] ?? played.guitar, stems[name])]));
  const compared = async (...options) => {
    await separate(page);
    expect(await names(page)).toEqual(all);
    const ours = await stems(page, all);
    expect(gap(sum(...Object.values(ours)), sum(...Object.values(played)))).toBeLessThan(1e-5);
    const { code, text } = await run(["separate", "song.wav", "--score", midi, ...options, "--force", "--out", "by-score"], folder);
    expect(code, text).toBe(0);
    const read = (name) => wav(join(folder, "by-score/song", `${name}.wav`));
    const theirs = Object.fromEntries(all.map((name) => [name, sum(...played_by[name].map(read))]));
    const [mine, other] = [of(ours), of(theirs)];
    console.log("SI-SDR by the dropped score with the mark:", mine, `by --score ${options}:`, other);
    for (const name of all) expect(mine[name], name).toBeGreaterThanOrEqual(other[name]);
  };
  // As it is dropped, its time is looked for; then it is taken as it is.
  await compared("--align");
  await page.getByRole("checkbox", { name: "find its time in the recording" }).uncheck();
  await compared();
  await server.kill();
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

test("a save that is cut short leaves the old project whole", async ({ page, folder }) => {
  const names = ["guitar", "others"];
  const path = (name) => join(folder, name);
  const files = (ending) => readdirSync(folder).filter((name) => name.endsWith(ending));
  const told = async () => ({ document: await page.evaluate(() => window.studio.store.document), stems: await stems(page, names) });
  const saved = async () => {
    await page.keyboard.press("Control+s");
    await expect(page.getByRole("status")).toContainText("Saved");
  };
  const same = async (expected, what) => {
    const { document, stems } = await told();
    expect(document, what).toEqual(expected.document);
    for (const name of names) expect(gap(stems[name], expected.stems[name]), `${what}: ${name}`).toBe(0);
  };
  let server = await serve(folder);
  await open(page, server);
  await addSources(page, names);
  await page.keyboard.press("r");
  await page.keyboard.press("1");
  await drag(page, [1, 1200], [1.5, 400]);
  await separate(page);
  const old = await told();
  await saved();
  const [components] = files(".npz");
  cpSync(path(components), path("kept"));
  cpSync(path("song.partita.toml"), path("text"));
  await page.keyboard.press("2");
  await drag(page, [2, 200], [2.5, 50]);
  await separate(page);
  const next = await told();
  await saved();
  expect(files(".npz"), "only those of the new text are there").toHaveLength(1);
  expect(files(".npz")).not.toContain(components);
  await server.kill();

  // As it is when the new components are there, and the new text is not yet.
  cpSync(path("kept"), path(components));
  cpSync(path("text"), path("song.partita.toml"));
  const { code, text } = await run(["separate", "song.wav", "--project", "song.partita.toml", "--out", "by-project"], folder);
  expect(code, text).toBe(0);
  for (const name of names) expect(gap(wav(join(folder, "by-project/song", `${name}.wav`)), old.stems[name]), name).toBe(0);
  server = await serve(folder);
  await open(page, server);
  await same(old, "cut short between components and text");

  // Killed at once after the key.
  await page.keyboard.press("2");
  await drag(page, [2, 200], [2.5, 50]);
  await separate(page);
  const later = await told();
  await page.evaluate(() => window.studio.store.flush());
  await page.keyboard.press("Control+s");
  await server.kill();
  server = await serve(folder);
  await open(page, server);
  const is_new = await page.evaluate(() => window.studio.store.document.stroke.length) === later.document.stroke.length;
  await same(is_new ? later : old, `killed while saving, and ${is_new ? "the new" : "the old"} project is there`);
  expect(next.document.stroke).toHaveLength(2);
  await server.kill();
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
  // By the browser's own decoder.
  const decoded = [];
  for (const path of out("flac")) decoded.push(await decode(page, path));
  for (const [i, part] of decoded.entries()) {
    expect(part.length, stemsOf[i]).toBe(mixture.length);
    // Rounded to 24 bits.
    expect(gap(part, parts[i]), stemsOf[i]).toBeLessThan(2 ** -23);
  }
  expect(gap(sum(...decoded), mixture)).toBeLessThan(1e-5);
  await exported("float32");
  await page.getByRole("button", { name: "Replace", exact: true }).click();
  await expect.poll(() => statSync(out("wav")[0]).mtimeMs).toBeGreaterThan(then);
  for (const [i, path] of out("wav").entries()) expect(gap(wav(path), parts[i])).toBe(0);
});
