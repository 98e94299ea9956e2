/**
 * One WebSocket that comes back by itself, and the requests that wait for an answer on it.
 *
 * A request is sent again after a lost connection, so whatever is asked here must be idempotent or
 * say that it is not to be repeated.
 */

import { encode } from "./text.js";

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 15_000;
const HANDSHAKE_MS = 10_000;
const PROBE_MS = 4_000;
/** The same, where the browser says that the network is gone: it is nearly always right. */
const OFFLINE_PROBE_MS = 1_000;
/** A connection that lived so long was a good one: the next delay is the shortest again. */
const GOOD_MS = 10_000;
/** Until `hello` tells them. */
const DEFAULT_HEARTBEAT_SECONDS = 25;
const DEFAULT_FRAME_BYTES = 64 * 1024;
const DEFAULT_CHANNELS = 100;
/** Not authenticated in time, a bad token, revoked: to come back would change nothing. */
const FINAL_CODES = new Set([4003, 4004, 4011]);
const TEMPORARY_CODES = new Set(["unavailable", "rate_limited", "internal", "disconnected"]);

/**
 * What the gateway refused, by the code of its problem; `disconnected` is our own, and so is
 * `too_large` of a frame.
 */
export class RequestError extends Error {
  /**
   * @param {string} code
   * @param {string} [detail]
   * @param {{retryAfterSeconds?: number, channelId?: string}} [more]
   */
  constructor(code, detail = code, { retryAfterSeconds = 1, channelId } = {}) {
    super(detail);
    this.name = "RequestError";
    this.code = code;
    this.retryAfterSeconds = retryAfterSeconds;
    this.channelId = channelId;
  }

  /** Whether the same request may succeed later. */
  get isTemporary() {
    return TEMPORARY_CODES.has(this.code);
  }
}

/**
 * Events: `open` (send what must come first), `frame` (`detail`: the frame; not an error that a
 * request is rejected with), `state`.
 *
 * `state`: `connecting`, `online`, `waiting` (tries again at `retryAtMs`), `refused` (never tries
 * again), `stopped`.
 */
export class Connection extends EventTarget {
  /** @type {"connecting" | "online" | "waiting" | "refused" | "stopped"} */
  state = "stopped";
  /** When the next attempt is made, while `waiting`. */
  retryAtMs = 0;
  /** How many channels it may follow. */
  mostChannels = DEFAULT_CHANNELS;

  #address;
  /** @type {WebSocket | null} */
  #socket = null;
  #heartbeatSeconds = DEFAULT_HEARTBEAT_SECONDS;
  #frameBytes = DEFAULT_FRAME_BYTES;
  #attempts = 0;
  #onlineSinceMs = 0;
  #heardAtMs = 0;
  #returnAtMs = 0;
  #nextId = 1;
  #connectTimer = 0;
  #silenceTimer = 0;
  #probeTimer = 0;
  /** @type {Map<number, {frame: string, isRepeated: boolean, resolve: Function, reject: Function}>} */
  #waiting = new Map();

  /** @param {string} address the `ws:` or `wss:` URL, with who asks. */
  constructor(address) {
    super();
    this.#address = address;
  }

  start() {
    if (this.state !== "stopped") return;
    for (const name of ["online", "offline"]) globalThis.addEventListener?.(name, this.#look);
    globalThis.document?.addEventListener("visibilitychange", this.#look);
    this.#connect();
  }

  /** Close it for good; requests without an answer fail with `disconnected`. */
  stop() {
    for (const name of ["online", "offline"]) globalThis.removeEventListener?.(name, this.#look);
    globalThis.document?.removeEventListener("visibilitychange", this.#look);
    this.#abandon();
    this.#fail(() => true);
    this.#setState("stopped");
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /**
   * Ask something; the promise is settled by the frame that answers it.
   *
   * @param {string} op
   * @param {object} [fields]
   * @param {{isRepeated?: boolean}} [options] `isRepeated`: wait for a connection, and ask again
   *   on the next one if this one is lost before the answer.
   * @returns {Promise<any>} rejected with a `RequestError`
   */
  request(op, fields = {}, { isRepeated = true } = {}) {
    const id = this.#nextId++;
    const frame = encode({ op, id, ...fields });
    return new Promise((resolve, reject) => {
      // The gateway would close the connection, and the next one would begin with the same frame.
      if (new TextEncoder().encode(frame).length > this.#frameBytes) {
        reject(new RequestError("too_large", "This is too long to be sent."));
        return;
      }
      if (!this.isOpen && (!isRepeated || this.state === "stopped" || this.state === "refused")) {
        reject(new RequestError("disconnected"));
        return;
      }
      this.#waiting.set(id, { frame, isRepeated, resolve, reject });
      if (this.isOpen) this.#socket.send(frame);
    });
  }

  /** Try again now. */
  reconnect() {
    if (this.state === "waiting") this.#connect();
  }

  /** Give this connection up and try again after the usual delay. */
  retry() {
    this.#lose();
  }

  #connect() {
    this.#abandon();
    const socket = new WebSocket(this.#address);
    this.#socket = socket;
    this.#setState("connecting");
    this.#connectTimer = setTimeout(() => this.#lose(), HANDSHAKE_MS);
    socket.onopen = () => {
      const unanswered = [...this.#waiting.values()];
      this.dispatchEvent(new Event("open"));
      for (const { frame } of unanswered) socket.send(frame);
    };
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = ({ code }) => this.#lose(code);
  }

  #receive(frame) {
    this.#heardAtMs = Date.now();
    if (frame.type === "hello") this.#greet(frame);
    if (frame.type === "reconnect") this.#returnAfter(frame.delayMs);
    const request = this.#waiting.get(frame.id);
    if (request) {
      this.#waiting.delete(frame.id);
      if (frame.type === "error") {
        request.reject(errorOf(frame));
        return;
      }
      request.resolve(frame);
    }
    this.dispatchEvent(new CustomEvent("frame", { detail: frame }));
  }

  #greet(hello) {
    clearTimeout(this.#connectTimer);
    this.#heartbeatSeconds = hello.heartbeatSeconds ?? DEFAULT_HEARTBEAT_SECONDS;
    this.#frameBytes = hello.limits?.frameBytes ?? DEFAULT_FRAME_BYTES;
    this.mostChannels = hello.limits?.channels ?? DEFAULT_CHANNELS;
    this.#onlineSinceMs = Date.now();
    this.#listenForSilence();
    this.#setState("online");
  }

  /** The gateway is about to stop: leave it when it says so, to spread its clients. */
  #returnAfter(delayMs) {
    this.#returnAtMs = Date.now() + delayMs;
    clearTimeout(this.#connectTimer);
    this.#connectTimer = setTimeout(() => {
      this.#fail((request) => !request.isRepeated);
      this.#connect();
    }, delayMs);
  }

  #lose(code = 0) {
    if (this.#onlineSinceMs && Date.now() - this.#onlineSinceMs > GOOD_MS) this.#attempts = 0;
    this.#abandon();
    this.#fail((request) => !request.isRepeated);
    if (FINAL_CODES.has(code)) {
      this.#fail(() => true);
      this.#setState("refused");
      return;
    }
    const ceiling = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#attempts++);
    const backoffMs = ceiling / 2 + (Math.random() * ceiling) / 2;
    this.retryAtMs = Math.max(Date.now() + backoffMs, this.#returnAtMs);
    this.#connectTimer = setTimeout(() => this.#connect(), this.retryAtMs - Date.now());
    this.#setState("waiting");
  }

  /** Let the socket go without waiting for it: on a dead network its close takes minutes. */
  #abandon() {
    for (const timer of [this.#connectTimer, this.#silenceTimer, this.#probeTimer]) {
      clearTimeout(timer);
    }
    this.#probeTimer = 0;
    this.#onlineSinceMs = 0;
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }

  #fail(condition) {
    for (const [id, request] of this.#waiting) {
      if (!condition(request)) continue;
      this.#waiting.delete(id);
      request.reject(new RequestError("disconnected"));
    }
  }

  #listenForSilence() {
    const silenceMs = this.#heartbeatSeconds * 2000;
    const remainingMs = this.#heardAtMs + silenceMs - Date.now();
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = setTimeout(
      () => {
        if (Date.now() - this.#heardAtMs >= silenceMs) this.#probe();
        this.#listenForSilence();
      },
      remainingMs > 0 ? remainingMs : silenceMs,
    );
  }

  /** Browsers hide the server's pings from us, so silence has to be asked about. */
  #probe() {
    if (!this.isOpen || this.#probeTimer) return;
    const askedAtMs = Date.now();
    this.request("ping", {}, { isRepeated: false }).catch(() => {});
    this.#probeTimer = setTimeout(
      () => {
        this.#probeTimer = 0;
        if (this.#heardAtMs < askedAtMs) this.#lose();
      },
      navigator.onLine === false ? OFFLINE_PROBE_MS : PROBE_MS,
    );
  }

  /** The network or the tab has changed: do now what would else be done later. */
  #look = () => {
    if (this.state === "online") this.#probe();
    else if (this.state === "waiting" && navigator.onLine !== false) {
      // A gateway's own delay still holds.
      if (Date.now() >= this.#returnAtMs) this.#connect();
    }
    this.dispatchEvent(new Event("state"));
  };

  #setState(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}

function errorOf(frame) {
  return new RequestError(frame.code, frame.detail, {
    retryAfterSeconds: frame.retryAfter,
    channelId: frame.channelId,
  });
}
