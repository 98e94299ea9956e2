/**
 * The client of a Hubbub gateway: it connects, joins, resumes exactly, and sends without losing or
 * doubling anything. See README.md beside this file, and docs/protocol.md.
 */

import { Channel } from "./channel.js";
import { Connection } from "./connection.js";
import { Notifications } from "./notifications.js";
import { Outbox } from "./outbox.js";
import { Rest, pathOfPage } from "./rest.js";
import { sleep } from "./sleep.js";
import { Subscriptions } from "./subscriptions.js";
import { UnreadCounts } from "./unread.js";

export { RequestError } from "./connection.js";

/** The gateway lets one sign of typing through in this time. */
const TYPING_PAUSE_MS = 5_000;

/**
 * Events: `state`; `channels` (the list has changed); `channel` (`detail`: the channel in which
 * something has); `message` (`detail`: `{channel, message}`, just sent by somebody);
 * `notifications`.
 */
export class HubbubClient extends EventTarget {
  /** Joined or to be joined, by id. @type {Map<string, Channel>} */
  channels = new Map();
  /** Of everybody who was seen in any channel, by id. @type {Map<string, string>} */
  names = new Map();

  #rest;
  #connection;
  #outbox;
  #subscriptions;
  #notifications;
  #unread;
  /** Where the user's own stream stands. @type {string | null} */
  #cursor = null;
  /** @type {Map<string, number>} */
  #typedAtMs = new Map();

  /** @param {{url?: string, user: {id: string, name: string}}} options */
  constructor({ url = location.origin, user }) {
    super();
    this.user = user;
    this.#rest = new Rest(url, user, () => this.#emit("state"));
    const address = this.#rest.address("/ws");
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    this.#connection = new Connection(address.href);
    const changed = (channel) => this.#changed(channel);
    this.#outbox = new Outbox(this.#connection, changed);
    this.#subscriptions = new Subscriptions(this.#connection, this.channels, changed);
    this.#notifications = new Notifications(this.#rest, `${this.#ownPath}/notifications`, () =>
      this.#emit("notifications"),
    );
    this.#unread = new UnreadCounts(this.#rest, `${this.#ownPath}/unread`, (counts) => {
      const channel = this.join(counts.channelId);
      channel.markRead(counts);
      this.#changed(channel);
    });
    this.#connection.addEventListener("state", () => this.#emit("state"));
    this.#connection.addEventListener("open", () => this.#subscriptions.resume(this.#cursor));
    this.#connection.addEventListener("frame", ({ detail }) => this.#handle(detail));
  }

  get state() {
    return this.#connection.state;
  }

  /**
   * Whether the last REST call got any answer. False while `state` is `online`: the browser keeps the
   * answers from this page, most likely since the gateway does not allow its origin.
   */
  get isAnswered() {
    return this.#rest.isReached;
  }

  /** When the next attempt to connect is made, in ms, while `state` is `waiting`. */
  get retryAtMs() {
    return this.#connection.retryAtMs;
  }

  /** Newest first. */
  get notifications() {
    return this.#notifications.items;
  }

  get unreadNotifications() {
    return this.#notifications.unread;
  }

  /** Whether something of one's own may not have reached the gateway. */
  get hasUnsent() {
    return [...this.channels.values()].some((it) => it.drafts.some((d) => d.state === "sending"));
  }

  connect() {
    this.#connection.start();
  }

  /** Try again now, without waiting for `retryAtMs`. */
  reconnect() {
    this.#connection.reconnect();
  }

  /** Go away for good; what is still being sent may be lost. */
  close() {
    this.#rest.isStopped = true;
    this.#outbox.stop();
    this.#connection.stop();
  }

  /** Follow a channel: its messages, who is there, what is unread. */
  join(channelId) {
    let channel = this.channels.get(channelId);
    if (!channel) {
      channel = new Channel(channelId);
      this.channels.set(channelId, channel);
      this.#subscriptions.join(channel);
      this.#emit("channels");
    }
    return channel;
  }

  /** Find or make the channel of two, and join it. @returns {Promise<Channel>} */
  async joinDirect(userId) {
    const body = { kind: "direct", members: [userId] };
    const { id } = await this.fetch("/api/channels", { method: "POST", body });
    return this.join(id);
  }

  /** Be no member of a channel any more. */
  async leave(channelId) {
    this.#forget(channelId);
    const path = `/api/channels/${encodeURIComponent(channelId)}/members/${encodeURIComponent(this.user.id)}`;
    await this.fetch(path, { method: "DELETE" });
  }

  /**
   * Send a message to a channel, which is joined if need be. It is shown as a draft at once; the same key goes out until it is answered.
   *
   * @param {{mentions?: string[], replyTo?: string, metadata?: object}} [options]
   */
  send(channelId, content, options = {}) {
    return this.#outbox.send(this.join(channelId), content, options);
  }

  /** Send a failed draft again, under its own key. */
  resend(channelId, draft) {
    return this.#outbox.resend(this.channels.get(channelId), draft);
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

  /**
   * Mark a channel read up to its newest message; nothing is done while `read` is unknown. It counts
   * as read at once, and is said again until the gateway has taken it.
   */
  async markRead(channelId) {
    const channel = this.channels.get(channelId);
    const { number } = channel;
    if (channel.read === null || channel.read >= number) return;
    channel.markRead({ read: number, mentions: 0, number });
    this.#changed(channel);
    // What is read further meanwhile is said by itself.
    while (channel.read === number && this.channels.get(channelId) === channel) {
      try {
        await this.#connection.request("read", { channelId, number });
        return;
      } catch (error) {
        if (!error.isTemporary || error.code === "disconnected") throw error;
        await sleep(error.retryAfterSeconds);
      }
    }
  }

  /** Load the page before the oldest message; return whether there was one. */
  async loadOlder(channelId) {
    const { timeline } = this.channels.get(channelId);
    if (timeline.older === null) return false;
    const { run } = timeline;
    const page = await this.fetch(pathOfPage(channelId, timeline.older));
    const isTaken = timeline.addOlder(run, page);
    if (isTaken) this.#changed(this.channels.get(channelId));
    return isTaken;
  }

  /** @param {string[]} [ids] all if not given */
  markNotificationsRead(ids) {
    return this.#notifications.markRead(ids);
  }

  /**
   * Call the REST API as this user.
   *
   * @param {string} path
   * @param {{method?: string, body?: object}} [options]
   * @returns {Promise<any>} the JSON of the answer, null without one; rejected with a `RequestError`
   */
  fetch(path, options) {
    return this.#rest.fetch(path, options);
  }

  get #ownPath() {
    return `/api/users/${encodeURIComponent(this.user.id)}`;
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
        // One channel more that a `resume` could not go on with.
        return channel && this.#subscriptions.joinLater(channel, frame.retryAfter ?? 1);
      case "notification":
      case "notifications_read":
        return this.#notifications.note(frame);
      case "member_joined":
        this.join(frame.data.channelId);
        return this.#unread.ask();
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
    // It may take more than was thought.
    this.#subscriptions.admit();
    if (this.#cursor) return;
    this.#cursor = hello.userCursor;
    this.#notifications.unread = hello.notifications;
    this.#reloadUser();
  }

  /** A channel is joined, for the first time or again. */
  #take(channel, { recovered, activeUsers, activeCount }) {
    channel.meet(activeUsers, activeCount);
    this.#learnNames(activeUsers);
    if (!recovered) {
      this.#reload(channel);
      this.#describe(channel);
    }
    this.#changed(channel);
  }

  #apply(channel, { type, data, messages }) {
    switch (type) {
      case "history":
        for (const message of messages) {
          channel.apply(message, this.user.id);
          channel.count(message, this.user.id);
        }
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
        this.#learnNames([data]);
        channel.enter(data.userId, data.userName);
        break;
      case "user_left":
        channel.leave(data.userId);
        break;
      case "presence":
        this.#learnNames(data.joined ?? []);
        for (const { userId, userName } of data.joined ?? []) channel.enter(userId, userName);
        for (const userId of data.left ?? []) channel.leave(userId);
        channel.countPeople(data.count);
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
    channel.count(message, this.user.id);
    if (!message.deleted) this.names.set(message.senderId, message.senderName);
    channel.typing.delete(message.senderId);
    if (!isChanged || message.deleted) return;
    this.#emit("message", { channel, message });
  }

  #learnNames(people) {
    for (const { userId, userName } of people) this.names.set(userId, userName);
  }

  #noteRead({ channelId, number, unread, mentions }) {
    const channel = this.channels.get(channelId);
    if (!channel) return;
    channel.markRead({ read: number, mentions, number: number + unread });
    this.#changed(channel);
  }

  /** Show what a fresh client would show. */
  async #reload(channel) {
    const run = channel.timeline.beginReload();
    // What was missed may have moved the counts, too.
    const counted = this.#unread.ask();
    const page = await this.#rest.insist(pathOfPage(channel.id));
    if (!page || !channel.timeline.finishReload(run, page)) return;
    channel.discardAccepted();
    for (const { senderId, senderName } of page.items) this.names.set(senderId, senderName);
    this.#changed(channel);
    await counted;
    channel.see(channel.timeline.newest);
    channel.markSeen();
    this.#changed(channel);
  }

  #reloadUser() {
    this.#unread.ask();
    this.#notifications.reload();
  }

  /** Learn a channel's kind and name; a direct one is named by the other of its two members. */
  async #describe(channel) {
    const path = `/api/channels/${encodeURIComponent(channel.id)}`;
    const found = await this.#rest.insist(path);
    if (!found) return;
    if (found.kind === "direct") {
      const members = await this.#rest.insist(`${path}/members`);
      channel.peerId = members?.items.find((it) => it.userId !== this.user.id)?.userId ?? null;
    }
    channel.kind = found.kind;
    channel.name = found.name ?? channel.id;
    this.#changed(channel);
  }

  #forget(channelId) {
    this.#unread.noteLeft(channelId);
    const channel = this.channels.get(channelId);
    if (!channel) return;
    this.channels.delete(channelId);
    this.#subscriptions.leave(channel);
    this.#emit("channels");
  }

  #changed(channel) {
    if (channel.peerId) channel.name = this.names.get(channel.peerId) ?? channel.peerId;
    this.#emit("channel", channel);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
