// What is heard: sums, mutes, solos; what comes out of the speakers is what the mixer says, over seams and after a seek.

import { expect, gap, heard, mixture, only, separate, sum, test } from "./studio.mjs";

test("all parts at 0 dB are the recording; mutes and solos are differences and sums", async ({ studio: page }) => {
  await separate(page);
  const names = await page.evaluate(() => window.studio.store.state.fits[window.studio.store.state.fit].stems.map(({ name }) => name));
  const all = await heard(page, 0, 6);
  expect(gap(all, mixture)).toBeLessThan(1e-5);
  expect(gap(await heard(page, 0, 6, { original: true }), mixture)).toBe(0);
  const alone = {};
  for (const name of names) alone[name] = await heard(page, 0, 6, only(name));
  const [first, second] = names;
  const muted = await heard(page, 0, 6, { sources: { [first]: { mute: true } } });
  expect(gap(sum(muted, alone[first]), mixture)).toBeLessThan(1e-5);
  const both = await heard(page, 0, 6, { sources: { [first]: { solo: true }, [second]: { solo: true } } });
  expect(gap(both, sum(alone[first], alone[second]))).toBeLessThan(1e-6);
  const louder = await heard(page, 0, 6, { sources: { [first]: { solo: true, gain_db: 6 } } });
  expect(gap(louder, alone[first].map((x) => x * 10 ** 0.3))).toBeLessThan(1e-5);
});

test("solo is put away and the mutes are as before, also after a reload", async ({ studio: page }) => {
  await separate(page);
  const row = (i) => page.locator(".row").nth(i);
  await row(0).getByRole("button", { name: "Mute" }).click();
  const muted = await heard(page, 0, 2);
  await row(0).getByRole("button", { name: "Solo" }).click();
  expect(gap(await heard(page, 0, 2), muted)).toBeGreaterThan(0.01);
  await row(0).getByRole("button", { name: "Solo" }).click();
  expect(gap(await heard(page, 0, 2), muted)).toBe(0);
  await page.evaluate(() => window.studio.store.flush());
  await page.reload();
  await page.waitForFunction(() => window.studio);
  await page.evaluate(() => window.studio.ready);
  await expect(row(0).getByRole("button", { name: "Mute" })).toHaveAttribute("aria-pressed", "true");
  expect(gap(await heard(page, 0, 2), muted)).toBe(0);
});

const TAP = `registerProcessor("tap", class extends AudioWorkletProcessor {
  process([[channel]]) {
    if (channel) this.port.postMessage(channel.slice());
    return true;
  }
});`;

/** Takes down what goes to the speakers, from the graph that plays. */
async function tap(page) {
  await page.evaluate(async (code) => {
    window.taken = [];
    const { context } = window.studio.player;
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
    const node = new AudioWorkletNode(context, "tap", { channelCount: 1, channelCountMode: "explicit" });
    node.port.onmessage = ({ data }) => window.taken.push(data);
    const { connect } = AudioNode.prototype;
    AudioNode.prototype.connect = function (to, ...rest) {
      if (to === context.destination) connect.call(this, node);
      return connect.call(this, to, ...rest);
    };
  }, TAP);
}

const taken = async (page) => Float32Array.from(await page.evaluate(() => window.taken.flatMap((block) => [...block])));

/** Where a piece is in a longer signal, by its greatest likeness; and how far it is from it there. */
function find(signal, piece) {
  for (let at = 0; at + piece.length <= signal.length; at += 1) {
    if (signal[at] === piece[0] && signal[at + 999] === piece[999] && signal[at + 5000] === piece[5000]) return { at, gap: gap(signal.slice(at, at + piece.length), piece) };
  }
  return { at: -1, gap: Infinity };
}

test.describe("with a tap", () => {
  // only so that the tap comes in: the page itself has no scripts but its own
  test.use({ bypassCSP: true });

  test("what plays is exactly what is heard, over seams of chunks and after a seek", async ({ studio: page }) => {
    await separate(page);
    const all = await heard(page, 0, 6);
    await tap(page);
    await page.keyboard.press("Space");
    await page.waitForFunction(() => window.studio.player.position > 5.1);
    await page.keyboard.press("Home");
    await page.waitForFunction(() => window.studio.player.position > 0.1 && window.studio.player.position < 3);
    await page.evaluate(() => (window.studio.player.seek(3.5)));
    await page.waitForFunction(() => window.studio.player.position > 4.7);
    await page.keyboard.press("Space");
    expect(await page.evaluate(() => window.studio.player.dropped)).toBe(0);
    const signal = await taken(page);
    // the first 8 ms after each start come in softly
    const part = (from, to) => all.slice(Math.round(from * 22050), Math.round(to * 22050));
    const first = find(signal, part(0.02, 5.05));
    expect(first).toEqual({ at: expect.any(Number), gap: 0 });
    const last = find(signal.slice(first.at + 5 * 22050), part(3.52, 4.5));
    expect(last.gap).toBe(0);
  });
});
