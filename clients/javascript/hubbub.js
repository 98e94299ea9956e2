/**
 * The client of a Hubbub gateway: it connects, joins, resumes exactly, and sends without losing or
 * doubling anything. See README.md beside this file, and docs/protocol.md.
 */

import { Channel } from "./channel.js";
import { Connection, RequestError } from "./connection.js";

export { RequestError } from "./connection.js";

const PAGE_LENGTH = 50;
const LONGEST_WAIT_MS = 15_000;
/** The gateway lets one sign of typing through in this time. */
const TYPING_PAUSE_MS = 5_000;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Events: `state`; `channels` (the list has changed); `channel` (`detail`: the channel in which
 * something has); `message` (`detail`: `{channel, message}`, just sent by somebody);
 * `notifications`.
 */
export class HubbubClient extends EventTarget {
  /** Joined or to be joined, by id. @type {Map<string, Channel>} */
  channels = new Map();
  /** Newest first. @type {{id: string, kind: string, data: any, createdAt: string, readAt: string | null}[]} */
  notifications = [];
  unreadNotifications = 0;

  #url;
  #connection;
  /** Where the user's own stream stands. @type {string | null} */
  #cursor = null;
  #isStopped = false;
  /** Settled when the gateway has said what is unread. */
  #unreadKnown = Promise.resolve();
  /** @type {Map<string, number>} */
  #typedAtMs = new Map();

  /** @param {{url?: string, user: {id: string, name: string}}} options */
  constructor({ url = location.origin, user }) {
    super();
    this.user = user;
    this.#url = url;
    const address = new URL("/ws", url);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    this.#connection = new Connection(this.#signed(address).href);
    this.#connection.addEventListener("state", () => this.#emit("state"));
    this.#connection.addEventListener("open", () => this.#resume());
    this.#connection.addEventListener("frame", ({ detail }) => this.#handle(detail));
  }

  get state() {
    return this.#connection.state;
  }

  /** When the next attempt to connect is made, in ms, while `state` is `waiting`. */
  get retryAtMs() {
    return this.#connection.retryAtMs;
  }

  /** Whether something of one's own may not have reached the gateway. */
  get hasUnsent() {
    return [...this.channels.values()].some((it) => it.drafts.some((d) => d.state === "sending"));
  }

  connect() {
    this.#isStopped = false;
    this.#connection.start();
  }

  /** Try again now, without waiting for `retryAtMs`. */
  reconnect() {
    this.#connection.reconnect();
  }

  close() {
    this.#isStopped = true;
    this.#connection.stop();
  }

  /** Follow a channel: its messages, who is there, what is unread. */
  join(channelId) {
    let channel = this.channels.get(channelId);
    if (!channel) {
      channel = new Channel(channelId);
      this.channels.set(channelId, channel);
      if (this.#connection.isOpen) this.#enter(channel);
      this.#learnName(channel);
      this.#emit("channels");
    }
    return channel;
  }

  /** Be no member of a channel any more. */
  async leave(channelId) {
    this.#forget(channelId);
    const path = `/api/channels/${encodeURIComponent(channelId)}/members/${encodeURIComponent(this.user.id)}`;
    await this.fetch(path, { method: "DELETE" });
  }

  /**
   * Send a message. It is shown as a draft at once; the same key goes out until it is answered.
   *
   * @param {{mentions?: string[], replyTo?: string, metadata?: object}} [options]
   */
  send(channelId, content, options = {}) {
    const channel = this.channels.get(channelId);
    const nonce = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
    const draft = {
      nonce,
      frame: { channelId, content, nonce, ...options },
      content,
      replyTo: options.replyTo ?? null,
      createdAt: new Date().toISOString(),
      state: /** @type {const} */ ("sending"),
      id: null,
      shownAs: null,
      error: "",
    };
    channel.drafts.push(draft);
    return this.#queue(channel, draft);
  }

  /** Send a failed draft again, under its own key. */
  resend(channelId, draft) {
    draft.state = "sending";
    return this.#queue(this.channels.get(channelId), draft);
  }

  /** Drop a failed draft. */
  discard(channelId, draft) {
    const channel = this.channels.get(channelId);
    channel.discard(draft);
    this.#changed(channel);
  }

  edit(messageId, content) {
    return this.#connection.request("edit_message", { messageId, content });
  }

  delete(messageId) {
    return this.#connection.request("delete_message", { messageId });
  }

  /** Add one's own reaction, or take it back. */
  react(messageId, emoji, isOn) {
    const op = isOn ? "add_reaction" : "remove_reaction";
    return this.#connection.request(op, { messageId, emoji });
  }

  /** Tell the others that something is being written; call it at every key. */
  noteTyping(channelId) {
    const now = Date.now();
    if (now - (this.#typedAtMs.get(channelId) ?? 0) < TYPING_PAUSE_MS) return;
    this.#typedAtMs.set(channelId, now);
    // Worth nothing a moment later, so never repeated and never missed.
    this.#connection.request("typing", { channelId }, { isRepeated: false }).catch(() => {});
  }

  /** Mark a channel read up to its newest message. */
  async markRead(channelId) {
    const channel = this.channels.get(channelId);
    if (channel.read !== null && channel.read >= channel.number) return;
    channel.markRead({ read: channel.number, mentions: 0, number: channel.number });
    this.#changed(channel);
    await this.#connection.request("read", { channelId, number: channel.number });
  }

  /** Load the page before the oldest message; return whether there was one. */
  async loadOlder(channelId) {
    const { timeline } = this.channels.get(channelId);
    if (timeline.older === null) return false;
    const { run } = timeline;
    const page = await this.#fetchPage(channelId, timeline.older);
    const isTaken = timeline.addOlder(run, page);
    if (isTaken) this.#changed(this.channels.get(channelId));
    return isTaken;
  }

  /** @param {string[]} [ids] all if not given */
  async markNotificationsRead(ids) {
    await this.fetch(`${this.#ownPath}/notifications/read`, {
      method: "POST",
      body: ids ? { ids } : {},
    });
    const readAt = new Date().toISOString();
    for (const notification of this.notifications) {
      if (notification.readAt || (ids && !ids.includes(notification.id))) continue;
      notification.readAt = readAt;
      this.unreadNotifications = Math.max(0, this.unreadNotifications - 1);
    }
    if (!ids) this.unreadNotifications = 0;
    this.#emit("notifications");
  }

  /**
   * Call the REST API as this user.
   *
   * @param {string} path
   * @param {{method?: string, body?: object}} [options]
   * @returns {Promise<any>} the JSON of the answer, null without one
   * @throws {RequestError}
   */
  async fetch(path, { method = "GET", body } = {}) {
    let response;
    try {
      // Who asks stands in the query: a header cannot hold every name.
      response = await fetch(this.#signed(new URL(path, this.#url)), {
        method,
        headers: body ? { "Content-Type": "application/json" } : {},
        body: body && JSON.stringify(body),
      });
    } catch {
      throw new RequestError("disconnected");
    }
    if (response.ok) return response.status === 204 ? null : response.json();
    const problem = await response.json().catch(() => ({}));
    throw new RequestError(problem.code ?? "internal", problem.detail, {
      retryAfterSeconds: Number(response.headers.get("Retry-After")) || undefined,
    });
  }

  get #ownPath() {
    return `/api/users/${encodeURIComponent(this.user.id)}`;
  }

  #signed(address) {
    address.searchParams.set("userId", this.user.id);
    address.searchParams.set("userName", this.user.name);
    return address;
  }

  /** Go on where the last connection ended; it must be the first thing that a new one is told. */
  #resume() {
    const channels = {};
    const fresh = [];
    for (const channel of this.channels.values()) {
      if (channel.cursor) channels[channel.id] = channel.cursor;
      else fresh.push(channel);
    }
    const user = this.#cursor ? { user: this.#cursor } : {};
    if (this.#cursor || Object.keys(channels).length) {
      this.#connection
        .request("resume", { ...user, channels }, { isRepeated: false })
        .catch((error) => {
          if (error.code !== "disconnected" && !error.channelId) this.#connection.retry();
        });
    }
    for (const channel of fresh) this.#enter(channel);
  }

  async #enter(channel) {
    const since = channel.cursor ? { since: channel.cursor } : {};
    try {
      const fields = { channelId: channel.id, ...since };
      await this.#connection.request("join_channel", fields, { isRepeated: false });
      channel.refusal = "";
    } catch (error) {
      if (error.code === "disconnected") return; // The next connection begins with it.
      if (error.isTemporary) this.#enterLater(channel, error.retryAfterSeconds);
      else {
        channel.refusal = error.message;
        this.#changed(channel);
      }
    }
  }

  async #enterLater(channel, seconds) {
    await sleep(seconds * 1000);
    if (this.channels.has(channel.id) && this.#connection.isOpen) this.#enter(channel);
  }

  #handle(frame) {
    const channel = this.channels.get(frame.channelId);
    if (frame.cursor && frame.userId === this.user.id) this.#cursor = frame.cursor;
    if (frame.cursor && channel) channel.cursor = frame.cursor;
    switch (frame.type) {
      case "hello":
        return this.#greet(frame);
      case "resumed":
        this.#cursor = frame.cursor;
        return frame.recovered === false ? this.#reloadUser() : undefined;
      case "joined":
        return channel && this.#take(channel, frame);
      case "resync":
        return channel ? this.#reload(channel) : this.#reloadUser();
      case "error":
        return channel && this.#enterLater(channel, frame.retryAfter ?? 1);
      case "notification":
        return this.#notify(frame.data);
      case "member_joined":
        return this.join(frame.data.channelId);
      case "member_left":
        return this.#forget(frame.data.channelId);
      case "channel_read":
        return this.#noteRead(frame.data);
      default:
        if (channel) this.#apply(channel, frame);
    }
    return undefined;
  }

  #greet(hello) {
    if (this.#cursor) return;
    this.#cursor = hello.userCursor;
    this.unreadNotifications = hello.notifications;
    this.#reloadUser();
  }

  /** A channel is joined, for the first time or again. */
  #take(channel, { recovered, activeUsers, activeCount }) {
    channel.people = new Map(activeUsers.map((it) => [it.userId, it.userName]));
    channel.activeCount = activeCount;
    if (!recovered) this.#reload(channel);
    this.#changed(channel);
  }

  #apply(channel, { type, data, messages }) {
    switch (type) {
      case "history":
        for (const message of messages) channel.apply(message, this.user.id);
        break;
      case "message":
        this.#applyNew(channel, data);
        break;
      case "message_updated":
      case "message_deleted":
        channel.apply(data, this.user.id);
        break;
      case "reaction_added":
      case "reaction_removed":
        channel.apply(data.message, this.user.id);
        break;
      case "user_joined":
        channel.enter(data.userId, data.userName);
        break;
      case "user_left":
        channel.leave(data.userId);
        break;
      case "presence":
        for (const { userId, userName } of data.joined ?? []) channel.enter(userId, userName);
        for (const userId of data.left ?? []) channel.leave(userId);
        channel.activeCount = data.count;
        break;
      case "typing":
        if (data.userId === this.user.id) return;
        setTimeout(
          () => this.#changed(channel),
          channel.noteTyping(data.userId, data.userName),
        );
        break;
      default:
        return; // A newer gateway knows events that we do not.
    }
    this.#changed(channel);
  }

  #applyNew(channel, message) {
    const isChanged = channel.apply(message, this.user.id);
    channel.typing.delete(message.senderId);
    if (!isChanged || message.deleted) return;
    if (message.mentions.includes(this.user.id) && message.senderId !== this.user.id) {
      channel.mentions += 1;
    }
    this.#emit("message", { channel, message });
  }

  #noteRead({ channelId, number, unread, mentions }) {
    const channel = this.channels.get(channelId);
    if (!channel) return;
    channel.markRead({ read: number, mentions, number: number + unread });
    this.#changed(channel);
  }

  #notify(notification) {
    if (this.notifications.some((it) => it.id === notification.id)) return;
    this.notifications.unshift({ readAt: null, ...notification });
    this.unreadNotifications += 1;
    this.#emit("notifications");
  }

  #queue(channel, draft) {
    this.#changed(channel);
    const sent = channel.sending.then(() => this.#deliver(channel, draft));
    channel.sending = sent;
    return sent;
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
        await sleep(error.retryAfterSeconds * 1000);
      }
    }
    this.#changed(channel);
  }

  /** Show what a fresh client would show. */
  async #reload(channel) {
    const run = channel.timeline.beginReload();
    const page = await this.#insist(() => this.#fetchPage(channel.id));
    if (!page || !channel.timeline.finishReload(run, page)) return;
    channel.discardAccepted();
    channel.number = Math.max(channel.number, channel.timeline.newest);
    this.#changed(channel);
    const { number } = channel;
    await this.#unreadKnown;
    // Nothing was said of it, so it was joined just now: what was there before counts as read.
    channel.read ??= number;
    this.#changed(channel);
  }

  #fetchPage(channelId, before = "") {
    const query = new URLSearchParams({ channelId, limit: String(PAGE_LENGTH) });
    if (before) query.set("before", before);
    return this.fetch(`/api/messages?${query}`);
  }

  #reloadUser() {
    this.#unreadKnown = this.#reloadUnread();
    this.#reloadNotifications();
  }

  async #reloadUnread() {
    const unread = await this.#insist(() => this.fetch(`${this.#ownPath}/unread`));
    for (const it of unread?.channels ?? []) {
      const channel = this.join(it.channelId);
      channel.markRead(it);
      this.#changed(channel);
    }
  }

  async #reloadNotifications() {
    const page = await this.#insist(() => this.fetch(`${this.#ownPath}/notifications`));
    if (!page) return;
    this.notifications = page.items;
    const count = page.items.filter((it) => it.readAt === null).length;
    this.unreadNotifications = page.next ? Math.max(count, this.unreadNotifications) : count;
    this.#emit("notifications");
  }

  async #learnName(channel) {
    const found = await this.#insist(() =>
      this.fetch(`/api/channels/${encodeURIComponent(channel.id)}`),
    );
    if (!found) return;
    channel.name = found.name ?? channel.id;
    channel.kind = found.kind;
    this.#changed(channel);
  }

  /** Ask until it is answered; null if it is refused. */
  async #insist(ask) {
    for (let waitMs = 500; !this.#isStopped; waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS)) {
      try {
        return await ask();
      } catch (error) {
        if (!error.isTemporary) return null;
        await sleep(waitMs / 2 + (Math.random() * waitMs) / 2);
      }
    }
    return null;
  }

  #forget(channelId) {
    if (!this.channels.delete(channelId)) return;
    this.#connection.request("leave_channel", { channelId }, { isRepeated: false }).catch(() => {});
    this.#emit("channels");
  }

  #changed(channel) {
    this.#emit("channel", channel);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
