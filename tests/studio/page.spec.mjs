// The page itself: ready in time, silent, the same for keyboard and screen reader, alone with its server.

import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { addSources, drag, expect, heard, gap, mixture, open, ready, SAMPLES, separate, serve, test } from "./studio.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

test("ready within two seconds, without a word, and asks nobody but its server", async ({ page, server, studio }) => {
  const ms = await page.evaluate(() => performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation")).reduce((last, { responseEnd }) => Math.max(last, responseEnd), 0));
  expect(ms).toBeLessThan(2000);
  const origins = await studio.evaluate(() => [...new Set(performance.getEntriesByType("resource").map(({ name }) => new URL(name).origin))]);
  expect(origins).toEqual([server.origin]);
  expect(studio.url()).toBe(`${server.origin}/`);
});

test("every control has a name, in all its states", async ({ studio: page }) => {
  const names = async (where) => {
    const nameless = await page.evaluate(() =>
      [...document.querySelectorAll("button, input, select, [role=slider], [role=tab], [role=progressbar], [tabindex]")]
        .filter((element) => element.checkVisibility() && !(element.ariaLabel || element.labels?.length || element.textContent.trim() || element.getAttribute("aria-labelledby")))
        .map((element) => element.outerHTML));
    expect(nameless, where).toEqual([]);
  };
  // axe is asked from outside of the page, whose policy lets no script in
  const faults = async (where) => {
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run({ resultTypes: ["violations"] }));
    expect(found.violations.map(({ id, nodes }) => [id, nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`)]), where).toEqual([]);
  };
  await names("empty");
  await faults("empty");
  await separate(page);
  await page.keyboard.press("k");
  await page.keyboard.press("d");
  for (const tab of ["Components", "Score and examples", "History", "Marks"]) {
    await page.getByRole("tab", { name: tab }).click();
    await names(tab);
  }
  await faults("working, dark");
  await page.emulateMedia({ colorScheme: "light" });
  await faults("working, light");
  await page.getByRole("button", { name: "Levels, colors and axis" }).click();
  await names("look");
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Export…" }).click();
  await names("export");
  await faults("export");
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.keyboard.press("?");
  await faults("help");
});

test("all of it by keyboard alone", async ({ studio: page }) => {
  await separate(page);
  await page.keyboard.press("k");
  const { stroke, source } = await page.evaluate(() => window.studio.store.document);
  expect(stroke).toMatchObject([{ shape: "box", effect: "is", source: source[0].id }]);
  for (let i = 0; i < 3; i += 1) await page.keyboard.press("Alt+ArrowRight");
  const moved = await page.evaluate(() => window.studio.store.document.stroke[0].t[0]);
  expect(moved).toBeGreaterThan(stroke[0].t[0]);
  await page.keyboard.press("2");
  await page.keyboard.press("n");
  await page.keyboard.press("k");
  await separate(page);
  await page.keyboard.press("m");
  await page.keyboard.press("s");
  const after = await page.evaluate(() => window.studio.store.document);
  expect(after.stroke[1]).toMatchObject({ source: source[1].id, effect: "is_not" });
  expect(after.source[1]).toMatchObject({ mute: true, solo: true });
  await page.keyboard.press("Delete");
  expect(await page.evaluate(() => window.studio.store.document.stroke.length)).toBe(1);
  for (let i = 0; i < 8; i += 1) await page.keyboard.press("Control+z");
  await expect.poll(() => page.evaluate(() => window.studio.store.state.at)).toBe(0);
  // the table is reached and its numbers are changed with Tab and keys only
  await page.keyboard.press("Control+Shift+z");
  await page.keyboard.press("d");
  await page.getByRole("tab", { name: "Marks" }).focus();
  await page.keyboard.press("Control+Shift+z");
  await expect(page.getByLabel(/^from of mark/)).toHaveCount(1);
  await page.getByLabel(/^from of mark/).focus();
  await page.keyboard.press("Control+a");
  await page.keyboard.type("0:00.123");
  await page.keyboard.press("Tab");
  expect(await page.evaluate(() => window.studio.store.document.stroke[0].t[0])).toBe(0.123);
  // single letters are switched off in the list of keys
  await page.getByLabel("Spectrogram.", { exact: false }).focus();
  await page.keyboard.press("?");
  await page.getByRole("checkbox").uncheck();
  await page.keyboard.press("Escape");
  await page.keyboard.press("r");
  await expect(page.locator("#field")).toHaveAttribute("data-tool", "brush");
});

test("a key that follows the end of a dialog at once is not lost", async ({ studio: page }) => {
  await page.getByRole("button", { name: "Add a source" }).last().click();
  await page.getByLabel("Name", { exact: true }).fill("drums");
  await page.getByRole("button", { name: "Done" }).focus();
  // In one task: the dialog is closed, and nobody was told of it yet.
  await page.evaluate(() => {
    document.activeElement.click();
    document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }));
  });
  await page.waitForFunction(() => window.studio.store.state.fit !== null);
});

test("a canceled separation leaves what was there; a reload in the middle leaves the document", async ({ studio: page, server }) => {
  await separate(page);
  const before = await heard(page, 0, 2);
  await page.keyboard.press("k");
  await page.keyboard.press("Shift+Enter");
  await page.waitForFunction(() => window.studio.store.state.work);
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => !window.studio.store.state.work);
  await expect(page.getByRole("status")).toHaveText("Stopped; what was there before still plays");
  expect(gap(await heard(page, 0, 2), before)).toBe(0);
  const used = () => readFileSync(`/proc/${server.pid}/stat`, "utf8").split(" ").slice(13, 15).reduce((a, b) => a + Number(b), 0);
  await expect.poll(() => {
    const then = used();
    return new Promise((resolve) => setTimeout(() => resolve(used() - then), 200));
  }, { timeout: 3000 }).toBeLessThan(3);
  const { stroke } = await page.evaluate(() => window.studio.store.document);
  await page.keyboard.press("Shift+Enter");
  await page.waitForFunction(() => window.studio.store.state.work);
  await page.reload();
  await ready(page);
  expect(await page.evaluate(() => window.studio.store.document.stroke)).toEqual(stroke);
});

test("a second tab is told when the first was quicker, and nothing is lost", async ({ page, server, context }) => {
  await open(page, server);
  const second = await context.newPage();
  await open(second, server);
  await addSources(page, ["piano"]);
  await expect(page.locator(".row .name")).toHaveText(["piano"]);
  await page.evaluate(() => window.studio.store.flush());
  await second.keyboard.press("k");
  await expect(second.getByRole("heading", { name: "Changed elsewhere" })).toBeVisible();
  await second.getByRole("button", { name: "Keep mine" }).click();
  // The server has it before the first tab sends anything.
  await second.waitForFunction(() => window.studio.store.state.conflict === null);
  await second.evaluate(() => window.studio.store.flush());
  await page.bringToFront();
  await page.keyboard.press("k");
  await page.getByRole("button", { name: "Take the other" }).click();
  await expect(page.locator(".row .name")).toHaveText(["source-1"]);
});

test("a file that was changed on the disk is told, and what was heard still plays", async ({ page, server, folder }) => {
  await open(page, server);
  await separate(page);
  cpSync(join(SAMPLES, "kick-snare-hihat.wav"), join(folder, "song.wav"));
  await page.keyboard.press("k");
  await page.keyboard.press("Enter");
  const notice = page.getByRole("alert");
  await expect(notice).toContainText("the one that was separated");
  await expect(notice.locator("p")).not.toBeEmpty();
  rmSync(join(folder, "song.wav"));
  await page.keyboard.press("Control+s");
  await expect(notice.locator(".notice")).toHaveCount(2);
  expect(gap(await heard(page, 0, 6), mixture)).toBeLessThan(1e-5);
});

test("a server that stopped is told, and asked again", async ({ page, server }) => {
  await open(page, server);
  await server.kill();
  await expect(page.getByRole("alert")).toContainText("does not answer", { timeout: 10_000 });
});

test("a foreign page can do nothing", async ({ studio, server, context }) => {
  const other = createServer((_, answer) => answer.end("<!doctype html><title>foreign</title>"));
  await new Promise((resolve) => other.listen(0, "127.0.0.1", resolve));
  const foreign = await context.newPage();
  await foreign.goto(`http://127.0.0.1:${other.address().port}/`);
  const tries = await foreign.evaluate(async ([origin, token]) => {
    const ways = [
      ["project", {}], ["project", { mode: "no-cors" }], ["project", { headers: { Authorization: `Bearer ${token}` } }],
      ["save", { method: "POST" }], ["save", { method: "POST", mode: "no-cors", body: "{}" }],
      ["fit", { method: "POST", headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" }, body: "{}" }],
    ];
    const said = [];
    for (const [path, options] of ways) said.push(await fetch(`${origin}/api/${path}`, options).then((answer) => answer.type, () => "refused"));
    const frame = document.createElement("iframe");
    frame.src = origin;
    document.body.append(frame);
    await new Promise((resolve) => frame.addEventListener("load", resolve));
    return { said, frame: frame.contentDocument === null ? "closed" : "open" };
  }, [server.origin, server.token]);
  expect(tries.said.filter((said) => said !== "refused" && said !== "opaque")).toEqual([]);
  expect(tries.frame).toBe("closed");
  expect(await studio.evaluate(() => window.studio.store.state.savedFit ?? null)).toBe(null);
  other.close();
});
