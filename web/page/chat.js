/** What the views share: the client, the channel that is shown, and the names of people. */

import { keepChannels, knownChannels } from "./identity.js";

/** Events: `select` (another channel is shown). */
export class Chat extends EventTarget {
  /** @type {import("./client/channel.js").Channel | null} */
  channel = null;
  /**
   * Where the line "new" stands: the number that was read when the channel was opened. Null: there
   * was nothing new; undefined: that is not known yet.
   *
   * @type {number | null | undefined}
   */
  readBefore = null;

  /** @param {import("./client/hubbub.js").HubbubClient} client */
  constructor(client) {
    super();
    this.client = client;
    client.addEventListener("channel", ({ detail }) => {
      if (detail === this.channel && this.readBefore === undefined) this.markNew();
    });
    client.addEventListener("channels", () => {
      if (this.channel && !client.channels.has(this.channel.id)) this.#selectAny();
      this.#keep();
    });
  }

  get user() {
    return this.client.user;
  }

  /** Channels as they are listed. */
  get channels() {
    return [...this.client.channels.values()].sort((a, b) => a.name.localeCompare(b.name));
  }

  /** Join what this user had open here, or `channelId`. */
  restore(channelId) {
    const known = knownChannels(this.user.id);
    const first = channelId ?? known[0] ?? "general";
    for (const id of [first, ...known]) this.client.join(id);
    this.select(first);
  }

  select(channelId) {
    const channel = this.client.join(channelId);
    if (channel !== this.channel) {
      this.channel = channel;
      this.markNew();
      this.#keep();
    }
    this.dispatchEvent(new Event("select"));
  }

  /** Draw the line "new" where the unread messages begin. */
  markNew() {
    const { read, unread } = this.channel;
    if (read === null) this.readBefore = undefined;
    else this.readBefore = unread > 0 ? read : null;
  }

  /** Select the channel `step` places further in the list. */
  selectNext(step) {
    const { channels } = this;
    const at = channels.indexOf(this.channel);
    this.select(channels[(at + step + channels.length) % channels.length].id);
  }

  /** Everybody whose name is known here, by id: who is present, and who has written. */
  get people() {
    const people = new Map();
    for (const { senderId, senderName } of this.channel.timeline.messages) {
      people.set(senderId, senderName);
    }
    for (const [userId, userName] of this.channel.people) people.set(userId, userName);
    return people;
  }

  #selectAny() {
    this.select(this.channels[0]?.id ?? "general");
  }

  #keep() {
    const ids = [...this.client.channels.keys()];
    const current = this.channel?.id;
    keepChannels(this.user.id, current ? [current, ...ids.filter((id) => id !== current)] : ids);
  }
}
