/**
 * Sends messages so that none is lost and none is doubled: each under a key of its own, again and
 * again until it is answered, and those of a channel one after another.
 */

import { sleep } from "./sleep.js";
import { mend } from "./text.js";

export class Outbox {
  #connection;
  #changed;
  #isStopped = false;
  /** The last send of each channel, by its id. @type {Map<string, Promise<void>>} */
  #last = new Map();

  /**
   * @param {import("./connection.js").Connection} connection
   * @param {(channel: import("./channel.js").Channel) => void} changed
   */
  constructor(connection, changed) {
    this.#connection = connection;
    this.#changed = changed;
  }

  /**
   * Make a draft and send it.
   *
   * @param {import("./channel.js").Channel} channel
   * @param {{mentions?: string[], replyTo?: string, metadata?: object}} options
   */
  send(channel, text, options) {
    // As its event will say it.
    const content = mend(text);
    const nonce = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
    /** @type {import("./channel.js").Draft} */
    const draft = {
      nonce,
      frame: { channelId: channel.id, content, nonce, ...options },
      content,
      replyTo: options.replyTo ?? null,
      createdAt: new Date().toISOString(),
      state: "sending",
      id: null,
      shownAs: null,
      error: "",
    };
    channel.drafts.push(draft);
    return this.resend(channel, draft);
  }

  /** Send a draft under its own key, after what was sent before it. */
  resend(channel, draft) {
    draft.state = "sending";
    this.#changed(channel);
    const last = this.#last.get(channel.id) ?? Promise.resolve();
    const sent = last.then(() => this.#deliver(channel, draft));
    this.#last.set(channel.id, sent);
    return sent;
  }

  /** Try no more. */
  stop() {
    this.#isStopped = true;
  }

  async #deliver(channel, draft) {
    while (!this.#isStopped) {
      try {
        const { message } = await this.#connection.request("send_message", draft.frame);
        channel.accept(draft, message);
        break;
      } catch (error) {
        if (!error.isTemporary) {
          draft.state = "failed";
          draft.error = error.message;
          break;
        }
        await sleep(error.retryAfterSeconds);
      }
    }
    this.#changed(channel);
  }
}
