// Painting with a real pointer: what is painted is heard, undone, and heard again.

import { addSources, drag, expect, gap, heard, mixture, NAMES, only, separate, siSdr, stems, sum, test, truth } from "./studio.mjs";
import { inside, Robot } from "./robot.mjs";

const scores = (all) => Object.fromEntries(NAMES.map((name) => [name, siSdr(truth[name], all[name])]));
const mean = (of) => NAMES.reduce((total, name) => total + of[name], 0) / NAMES.length;

async function paintBox(page, name, { t, hz }) {
  await page.keyboard.press(String(1 + NAMES.indexOf(name)));
  await drag(page, [t[0], hz[1]], [t[1], hz[0]]);
}

/** Eight boxes for each source, in eight rounds: where the stems are worst, each time. */
async function paintAll(page, robot) {
  let now = await stems(page);
  for (let round = 0; round < 8; round += 1) {
    for (const name of NAMES) for (const box of robot.boxes(name, now, 1)) await paintBox(page, name, box);
    await separate(page);
    now = await stems(page);
  }
  return now;
}

test("eight boxes for each source, painted with a pointer, separate them", async ({ studio: page }, info) => {
  test.setTimeout(90_000);
  await addSources(page);
  await separate(page);
  await page.keyboard.press("r");
  const before = scores(await stems(page));
  const robot = new Robot(truth);
  const painted = await paintAll(page, robot);
  const after = scores(painted);
  info.annotations.push({ type: "SI-SDR", description: JSON.stringify({ before, after }) });
  console.log("SI-SDR before", before, mean(before), "after", after, mean(after));
  expect(await page.evaluate(() => window.studio.store.document.stroke.length)).toBe(24);
  expect(before.guitar).toBeLessThanOrEqual(0);
  expect(mean(after) - mean(before)).toBeGreaterThanOrEqual(4);
  expect(after.guitar).toBeGreaterThanOrEqual(3);
  expect(mean(after)).toBeGreaterThanOrEqual(2);

  // 5: one wrong box, undone and done again
  await paintBox(page, "guitar", robot.wrongBox("guitar"));
  await separate(page);
  const wrong = await stems(page);
  expect(siSdr(truth.guitar, wrong.guitar)).toBeLessThan(after.guitar);
  const said = page.getByRole("status");
  await page.keyboard.press("Control+z");
  await expect(said).toHaveText("Undone: Separated");
  for (const name of NAMES) expect(gap(await heard(page, 0, 6, only(name)), painted[name]), name).toBe(0);
  await page.keyboard.press("Control+z");
  await expect(said).toHaveText("Undone: Painted");
  expect(await page.evaluate(() => window.studio.store.document.stroke.length)).toBe(24);
  await page.keyboard.press("Control+Shift+z");
  await page.keyboard.press("Control+Shift+z");
  await expect(said).toHaveText("Done again: Separated");
  for (const name of NAMES) expect(gap(await heard(page, 0, 6, only(name)), wrong[name]), name).toBe(0);
});

test("what is not the guitar is not in its stem, and nothing is lost", async ({ studio: page }) => {
  await addSources(page);
  await separate(page);
  const place = { t: [1, 1.8], hz: [400, 1600] };
  const before = inside(await heard(page, 0, 6, only("guitar")), place);
  await page.keyboard.press("r");
  await page.keyboard.press("3");
  await page.keyboard.down("Alt");
  await drag(page, [0.9, 1800], [1.9, 360]);
  await page.keyboard.up("Alt");
  expect(await page.evaluate(() => window.studio.store.document.stroke)).toMatchObject([{ effect: "is_not", source: 3 }]);
  await separate(page);
  const after = inside(await heard(page, 0, 6, only("guitar")), place);
  expect(10 * Math.log10(before / Math.max(after, 1e-12))).toBeGreaterThanOrEqual(20);
  const names = await page.evaluate(() => window.studio.store.state.fits[window.studio.store.state.fit].stems.map(({ name }) => name));
  const parts = [];
  for (const name of names) parts.push(await heard(page, 0, 6, only(name)));
  expect(gap(sum(...parts), mixture)).toBeLessThan(1e-5);
});

test("from Enter to the first changed sample heard it takes less than two seconds", async ({ studio: page }) => {
  await addSources(page);
  await separate(page);
  await page.keyboard.press("r");
  await page.keyboard.press("1");
  await drag(page, [1, 400], [1.6, 200]);
  await page.keyboard.press("Space");
  await page.waitForFunction(() => window.studio.player.position > 0.3);
  const ms = await page.evaluate(async () => {
    const { store, player } = window.studio;
    const start = performance.now();
    const before = player.voiceFit;
    document.getElementById("fit").click();
    while (player.voiceFit === before) await new Promise((done) => setTimeout(done, 5));
    return performance.now() - start;
  });
  console.log("from Enter to heard, ms:", Math.round(ms));
  expect(ms).toBeLessThan(2000);
});

test("strokes of all kinds are chosen, moved, resized and taken away", async ({ studio: page }) => {
  await addSources(page, ["guitar"]);
  const document = () => page.evaluate(() => window.studio.store.document);
  await drag(page, [1, 500], [1.5, 600]);
  await page.keyboard.press("h");
  await drag(page, [2, 220], [2.5, 220]);
  await page.keyboard.press("e");
  await drag(page, [1.4, 500], [1.5, 700]);
  await page.keyboard.press("t");
  await drag(page, [3, 500], [4, 500]);
  await page.keyboard.press("r");
  await drag(page, [4.5, 1000], [5, 500]);
  const { stroke, range } = await document();
  expect(stroke.map(({ shape, effect }) => [shape, effect])).toEqual([["brush", "is"], ["harmonic", "is"], ["brush", "erase"], ["box", "is"]]);
  expect(range[0].t[0]).toBeCloseTo(3, 1);
  expect(stroke[3].hz[0]).toBeGreaterThan(480);
  await page.keyboard.press("v");
  await drag(page, [4.75, 700], [4.25, 1400]);
  const moved = (await document()).stroke[3];
  expect(moved.t[0]).toBeCloseTo(4, 1);
  expect(moved.hz[1] / stroke[3].hz[1]).toBeCloseTo(2, 1);
  await drag(page, [moved.t[1], moved.hz[0]], [5.5, 300]);
  const resized = (await document()).stroke[3];
  expect(resized.t[1]).toBeCloseTo(5.5, 1);
  expect(resized.t[0]).toBeCloseTo(moved.t[0], 3);
  await page.keyboard.press("Delete");
  expect((await document()).stroke.length).toBe(3);
  // the view is moved, and strokes stay where they are in the music
  await page.mouse.wheel(0, -600);
  await page.keyboard.press("g");
  expect((await document()).stroke).toEqual(stroke.slice(0, 3));
});
