/** What a client knows of one channel: its messages, who is there, what is unread, what it sends. */

import { Timeline } from "./timeline.js";

/** How long a sign of typing is shown. */
const TYPING_MS = 10_000;

/**
 * @typedef {object} Draft A message of one's own that has not come back as an event yet.
 * @property {string} nonce
 * @property {object} frame what is sent, the same each time
 * @property {string} content
 * @property {string | null} replyTo
 * @property {string} createdAt
 * @property {"sending" | "accepted" | "failed"} state
 * @property {string | null} id given when accepted
 * @property {string | null} shownAs the id of an event that is most likely this message
 * @property {string} error
 */

export class Channel {
  /** @type {string | null} where the next resume begins */
  cursor = null;
  name;
  /** @type {"open" | "private" | "direct"} */
  kind = "open";
  /** Who else is in a direct channel. @type {string | null} */
  peerId = null;
  timeline = new Timeline();
  /** Who is here, by id. @type {Map<string, string>} */
  people = new Map();
  activeCount = 0;
  /** Who types, by id. @type {Map<string, {userName: string, untilMs: number}>} */
  typing = new Map();
  /** The number up to which it is read; null until that is known. @type {number | null} */
  read = null;
  /** Whether somebody else made this user a member while connected. */
  isInvited = false;
  /** The newest number. */
  number = 0;
  mentions = 0;
  /** Why it cannot be followed. */
  refusal = "";
  /** @type {Draft[]} */
  drafts = [];

  /** @param {string} id */
  constructor(id) {
    this.id = id;
    this.name = id;
  }

  /** Its name as people write it. */
  get title() {
    return (this.kind === "direct" ? "@" : "#") + this.name;
  }

  get unread() {
    return this.read === null ? 0 : Math.max(0, this.number - this.read);
  }

  /** The drafts that no message stands for yet. */
  get openDrafts() {
    return this.drafts.filter((draft) => draft.shownAs === null);
  }

  /**
   * Apply a message, and let it take the place of its draft.
   *
   * @param {string} ownId whose drafts these are
   */
  apply(message, ownId) {
    const isChanged = this.timeline.apply(message);
    if (message.number > this.number) this.number = message.number;
    this.drafts = this.drafts.filter((draft) => draft.id !== message.id);
    if (isChanged && message.senderId === ownId) {
      // Who answers has read; the gateway counts so, too.
      this.markRead({ read: message.number, mentions: 0, number: message.number });
      // The event may come before the answer that tells the draft's id.
      const draft = this.drafts.find(
        (it) => it.state === "sending" && it.shownAs === null && it.content === message.content,
      );
      if (draft) draft.shownAs = message.id;
    }
    return isChanged;
  }

  /** The gateway has taken a draft: from now on it goes by the message's id. */
  accept(draft, message) {
    draft.id = message.id;
    draft.shownAs = null;
    draft.state = "accepted";
    if (message.number !== null) this.timeline.apply(message);
    if (this.timeline.get(message.id)) this.discard(draft);
  }

  discard(draft) {
    this.drafts = this.drafts.filter((it) => it !== draft);
  }

  /** Drop the drafts that are safe with the gateway: a reload shows them, or their event will. */
  discardAccepted() {
    this.drafts = this.drafts.filter((draft) => draft.state !== "accepted");
  }

  enter(userId, userName) {
    if (!this.people.has(userId)) this.activeCount += 1;
    this.people.set(userId, userName);
  }

  leave(userId) {
    this.typing.delete(userId);
    if (this.people.delete(userId)) this.activeCount -= 1;
  }

  /** Note that somebody types; return for how long, in ms. */
  noteTyping(userId, userName) {
    this.typing.set(userId, { userName, untilMs: Date.now() + TYPING_MS });
    return TYPING_MS;
  }

  /** Who types right now. @returns {string[]} */
  get typingNames() {
    const now = Date.now();
    return [...this.typing.values()].filter((it) => it.untilMs > now).map((it) => it.userName);
  }

  /** Take what the gateway says is read; it never goes back. */
  markRead({ read, mentions, number }) {
    this.number = Math.max(this.number, number);
    if (this.read !== null && read < this.read) return;
    this.read = read;
    this.mentions = mentions;
  }
}
