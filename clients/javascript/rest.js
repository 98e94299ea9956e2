/** The REST API as one user calls it. */

import { RequestError } from "./connection.js";
import { sleep } from "./sleep.js";
import { encode } from "./text.js";

const PAGE_LENGTH = 50;
/** A gateway answers sooner, if only that it cannot. */
const ANSWER_MS = 15_000;
const FIRST_WAIT_SECONDS = 0.5;
const LONGEST_WAIT_SECONDS = 15;

export class Rest {
  /** Set when nobody waits for an answer any more. */
  isStopped = false;
  /** Whether the last call got any answer; true before the first. */
  isReached = true;

  #url;
  #user;
  #onReached;

  /**
   * @param {string} url of the gateway
   * @param {{id: string, name: string}} user
   * @param {() => void} onReached called when `isReached` has changed
   */
  constructor(url, user, onReached) {
    this.#url = url;
    this.#user = user;
    this.#onReached = onReached;
  }

  /** The address of a call, with who asks: in the query, since a header cannot hold every name. */
  address(path) {
    const address = new URL(path, this.#url);
    address.searchParams.set("userId", this.#user.id);
    address.searchParams.set("userName", this.#user.name);
    return address;
  }

  /**
   * @param {string} path
   * @param {{method?: string, body?: object}} [options]
   * @returns {Promise<any>} the JSON of the answer, null without one
   * @throws {RequestError}
   */
  async fetch(path, { method = "GET", body } = {}) {
    let response, text;
    try {
      response = await fetch(this.address(path), {
        method,
        headers: body ? { "Content-Type": "application/json" } : {},
        body: body && encode(body),
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      text = await response.text();
    } catch {
      this.#noteReached(false);
      throw new RequestError("disconnected");
    }
    this.#noteReached(true);
    if (response.ok) return text ? JSON.parse(text) : null;
    const problem = problemOf(text);
    throw new RequestError(problem.code ?? "internal", problem.detail, {
      retryAfterSeconds: Number(response.headers.get("Retry-After")) || undefined,
    });
  }

  /** Read until it is answered; null if it is refused, or nobody waits any more. */
  async insist(path) {
    for (let longest = FIRST_WAIT_SECONDS; !this.isStopped; longest *= 2) {
      try {
        return await this.fetch(path);
      } catch (error) {
        if (!error.isTemporary) return null;
        longest = Math.min(longest, LONGEST_WAIT_SECONDS);
        await sleep(longest / 2 + (Math.random() * longest) / 2);
      }
    }
    return null;
  }

  #noteReached(isReached) {
    if (isReached === this.isReached) return;
    this.isReached = isReached;
    this.#onReached();
  }
}

/** What a gateway says of an error; a proxy before it may say anything. */
function problemOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/** The path of a page of messages: the newest, or the one before a number. */
export function pathOfPage(channelId, before = "") {
  const query = new URLSearchParams({ channelId, limit: String(PAGE_LENGTH) });
  if (before) query.set("before", before);
  return `/api/messages?${query}`;
}
