// The server, as functions. Knows no page: everything goes in and comes out as data.

/**
 * @typedef {{id: number, name: string, n_components: number, color: number, gain_db: number, mute: boolean,
 *   solo: boolean}} Source
 * @typedef {{id: number, source: number, effect: "is"|"is_not"|"erase", shape: "box"|"brush"|"harmonic",
 *   t?: [number, number], hz?: [number, number], points?: [number, number][], width_s?: number,
 *   width_semitones?: number, n_harmonics?: number}} Stroke
 * @typedef {{id: number, source: number, t: [number, number]}} Alone
 * @typedef {{source: Source[], stroke: Stroke[], range: Alone[], name: {component: number, source: number}[],
 *   score?: {file: string, align: boolean, tracks: Object<string, number>}, example: {source: number, file: string}[],
 *   settings?: object}} Document
 * @typedef {{id: number, seconds?: number, stems: {name: string, source?: number}[]}} Fit
 */

const TOKEN = "partita-token";

/** The token from the address, kept for reloads of this tab and wiped from the address. */
function token() {
  const given = location.hash.slice(1);
  if (given) {
    sessionStorage.setItem(TOKEN, given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(TOKEN) ?? "";
}

const bearer = token();

/** What the server refused, in its own words, or that it does not answer. */
export class ApiError extends Error {
  /** @param {number} status 0 where there is no answer @param {any} body */
  constructor(status, body) {
    super(body?.error ?? `the server answered with ${status}`);
    this.status = status;
    this.hint = body?.hint ?? "";
    this.body = body;
  }

  /** Whether nobody answers. */
  get gone() {
    return this.status === 0;
  }
}

/** @type {(gone: boolean) => void} */
let told = () => {};

/** Calls `listener` with whether the server is gone, after every request. */
export function onReach(listener) {
  told = listener;
}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(`/api/${path}`, {
      ...options,
      cache: "no-store",
      headers: { Authorization: `Bearer ${bearer}`, ...options.headers },
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    told(true);
    throw new ApiError(0, {
      error: "the studio's server does not answer",
      hint: "start `partita studio` again with the same recording, and open the address that it prints",
    });
  }
  told(false);
  if (!answer.ok) throw new ApiError(answer.status, await answer.json().catch(() => null));
  return answer;
}

const json = (method, body, signal) => ({
  method,
  signal,
  body: JSON.stringify(body),
  headers: { "Content-Type": "application/json" },
});

/** Reads lines of JSON as they come; gives the last. @param {(line: any) => void} onLine */
async function lines(answer, onLine) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let last = null;
  for (;;) {
    let piece;
    try {
      piece = await reader.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      told(true);
      throw new ApiError(0, { error: "the studio's server stopped in the middle of its work", hint: "" });
    }
    rest += piece.value ?? "";
    const whole = rest.split("\n");
    rest = piece.done ? "" : whole.pop();
    for (const text of whole) {
      if (!text.trim()) continue;
      last = JSON.parse(text);
      if (last.error) throw new ApiError(500, last);
      onLine(last);
    }
    if (piece.done) return last;
  }
}

const query = (values) => {
  const known = Object.entries(values).filter(([, value]) => value !== undefined && value !== null);
  return known.length ? `?${new URLSearchParams(known)}` : "";
};

export const project = async () => (await ask("project")).json();

export const put = async (revision, document) => (await ask("project", json("PUT", { revision, document }))).json();

/** Asks for a fit; what is given back, once it has begun, follows it. @param {"warm"|"cold"} from @param {AbortSignal} signal */
export const fit = async (revision, from, signal) => {
  const answer = await ask("fit", json("POST", { revision, from }, signal));
  return (onLine) => lines(answer, onLine);
};

export const makeCurrent = async (id) => (await ask(`fits/${id}/current`, json("POST", {}))).json();

/** Planar float32: for each track its channels. @param {object} where fit, from, n, box, component */
export async function audio(where, signal) {
  const answer = await ask(`audio${query(where)}`, { signal });
  return new Float32Array(await answer.arrayBuffer());
}

/** 256 columns of 512 levels each, from low to high; with `sketch` there may come what it is like, in less time. */
export async function tile(track, level, index, where, signal) {
  const answer = await ask(`tiles/${track}/${level}/${index}${query(where)}`, { signal });
  return { levels: new Uint8Array(await answer.arrayBuffer()), isSketch: answer.headers.get("x-sketch") === "1" };
}

/** 256 pairs of least and greatest. */
export async function peaks(track, level, index, where = {}) {
  const answer = await ask(`peaks/${track}/${level}/${index}${query(where)}`);
  return new Uint8Array(await answer.arrayBuffer());
}

export const components = async (id) => (await ask(`components${query({ fit: id })}`)).json();

/** Sends a file. @param {"score"|"examples"} kind @param {File} file */
export const upload = async (kind, file, signal) =>
  (await ask(`${kind}${query({ name: file.name })}`, { method: "POST", body: file, signal })).json();

export const save = async () => (await ask("save", json("POST", {}))).json();

/** @param {object} options fit, stems, format, force */
export const exportStems = async (options, onLine, signal) =>
  lines(await ask("export", json("POST", options, signal)), onLine);
