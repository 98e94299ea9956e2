/** Which of a client's channels its connection follows: each connection begins with them anew. */

import { sleep } from "./sleep.js";

export class Subscriptions {
  #connection;
  #channels;
  #changed;
  /** How many connections there were. */
  #connections = 0;
  /** Channels that there is no place for on the connection, in their order. @type {Set<import("./channel.js").Channel>} */
  #crowdedOut = new Set();

  /**
   * @param {import("./connection.js").Connection} connection
   * @param {Map<string, import("./channel.js").Channel>} channels all that are to be followed, by id
   * @param {(channel: import("./channel.js").Channel) => void} changed
   */
  constructor(connection, channels, changed) {
    this.#connection = connection;
    this.#channels = channels;
    this.#changed = changed;
  }

  /**
   * Go on where the last connection ended; it must be the first thing that a new one is told.
   *
   * @param {string | null} userCursor where the user's own stream stands
   */
  resume(userCursor) {
    this.#connections += 1;
    const { mostChannels } = this.#connection;
    const all = [...this.#channels.values()];
    // Those first that were followed before. With one too many, none would be resumed.
    const inOrder = [...all.filter((it) => !it.refusal), ...all.filter((it) => it.refusal)];
    this.#crowdedOut.clear();
    for (const channel of inOrder.splice(mostChannels)) {
      this.#crowdOut(channel, `A connection follows ${mostChannels} channels.`);
    }
    const channels = {};
    const fresh = [];
    for (const channel of inOrder) {
      channel.refusal = "";
      if (channel.cursor) channels[channel.id] = channel.cursor;
      else fresh.push(channel);
    }
    const user = userCursor ? { user: userCursor } : {};
    if (userCursor || Object.keys(channels).length) {
      this.#connection
        .request("resume", { ...user, channels }, { isRepeated: false })
        .catch((error) => {
          const channel = this.#channels.get(error.channelId);
          if (channel) this.joinLater(channel, error.retryAfterSeconds);
          else if (error.code !== "disconnected" && !error.channelId) this.#connection.retry();
        });
    }
    for (const channel of fresh) this.join(channel);
  }

  /** Follow a channel; without a connection, the next one begins with it. */
  async join(channel) {
    if (!this.#connection.isOpen) return;
    const since = channel.cursor ? { since: channel.cursor } : {};
    try {
      const fields = { channelId: channel.id, ...since };
      await this.#connection.request("join_channel", fields, { isRepeated: false });
      channel.refusal = "";
    } catch (error) {
      if (error.code === "disconnected") return;
      if (this.#channels.get(channel.id) !== channel) return;
      if (error.isTemporary) this.joinLater(channel, error.retryAfterSeconds);
      else if (error.code === "too_many_channels") this.#crowdOut(channel, error.message);
      else {
        channel.refusal = error.message;
        this.#changed(channel);
        this.admit();
      }
    }
  }

  async joinLater(channel, seconds) {
    const connection = this.#connections;
    await sleep(seconds);
    // A new connection has begun with all of them.
    const isCurrent = connection === this.#connections;
    if (isCurrent && this.#channels.get(channel.id) === channel) this.join(channel);
  }

  /** A channel is not to be followed any more. */
  leave(channel) {
    this.#crowdedOut.delete(channel);
    const fields = { channelId: channel.id };
    this.#connection.request("leave_channel", fields, { isRepeated: false }).catch(() => {});
    this.admit();
  }

  /** Follow the channels that were crowded out, as far as there are places by now. */
  admit() {
    const followed = [...this.#channels.values()].filter((channel) => !channel.refusal);
    const free = Math.max(0, this.#connection.mostChannels - followed.length);
    for (const channel of [...this.#crowdedOut].slice(0, free)) {
      this.#crowdedOut.delete(channel);
      channel.refusal = "";
      this.join(channel);
    }
  }

  #crowdOut(channel, refusal) {
    channel.refusal = refusal;
    this.#crowdedOut.add(channel);
    this.#changed(channel);
  }
}
