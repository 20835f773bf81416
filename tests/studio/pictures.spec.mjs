// Pictures for docs/studio, and a look at each state: `npm run pictures` writes them, the plain run only looks.

import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { addSources, drag, drawn, expect, NAMES, open, ROOT, separate, stems, test, truth } from "./studio.mjs";
import { Robot } from "./robot.mjs";

const FOLDER = join(ROOT, "docs/studio");

async function picture(page, name) {
  await page.mouse.move(4, 4);
  await drawn(page);
  if (process.env.PICTURES) {
    mkdirSync(FOLDER, { recursive: true });
    await page.screenshot({ path: join(FOLDER, `${name}.jpg`), type: "jpeg", quality: 72 });
  }
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
}

async function paint(page, rounds) {
  const robot = new Robot(truth);
  await page.keyboard.press("r");
  let now = await stems(page);
  for (let round = 0; round < rounds; round += 1) {
    for (const name of NAMES) {
      for (const { t, hz } of robot.boxes(name, now, 1)) {
        await page.keyboard.press(String(1 + NAMES.indexOf(name)));
        await drag(page, [t[0], hz[1]], [t[1], hz[0]]);
      }
    }
    await separate(page);
    now = await stems(page);
  }
}

const SIZES = [[1280, 800], [1920, 1080]];

for (const [scheme, [width, height]] of ["dark", "light"].flatMap((scheme) => SIZES.map((size) => [scheme, size]))) {
  test.describe(`${scheme}, ${width}`, () => {
    test.setTimeout(90_000);
    test.use({ colorScheme: scheme, viewport: { width, height } });

    test("empty, at work, finished", async ({ studio: page }) => {
      await picture(page, `empty-${scheme}-${width}`);
      await addSources(page);
      await separate(page);
      await paint(page, process.env.PICTURES ? 8 : 1);
      await page.keyboard.press("v");
      await page.keyboard.press("Escape");
      await page.keyboard.press("Home");
      await page.evaluate(() => window.studio.player.seek(2.35));
      await picture(page, `finished-${scheme}-${width}`);
      await page.keyboard.press("n");
      await page.keyboard.press("3");
      await page.keyboard.press("b");
      await drag(page, [3.1, 150], [3.7, 120], 30);
      await page.keyboard.press("n");
      await page.keyboard.press("h");
      await page.keyboard.press("2");
      await drag(page, [4.05, 84], [4.5, 84], 30);
      await page.keyboard.press("t");
      await page.keyboard.press("1");
      await drag(page, [5.6, 500], [5.95, 500]);
      await page.keyboard.press("d");
      await page.keyboard.press("v");
      await picture(page, `work-${scheme}-${width}`);
    });
  });
}

test("errors: a recording that is gone, a server that stopped", async ({ page, server, folder }) => {
  await open(page, server);
  await separate(page);
  await page.keyboard.press("k");
  rmSync(join(folder, "song.wav"));
  await page.keyboard.press("Enter");
  await expect(page.getByRole("alert").locator(".notice")).toHaveCount(1);
  await picture(page, "error-recording-gone");
  await server.kill();
  await expect(page.getByRole("alert")).toContainText("does not answer");
  await picture(page, "error-server-stopped");
});
