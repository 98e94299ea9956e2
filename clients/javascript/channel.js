/** What a client knows of one channel: its messages, who is there, what is unread, what it sends. */

import { Timeline } from "./timeline.js";

/** How long a sign of typing is shown. */
const TYPING_MS = 10_000;
/** The gateway counts no more unread mentions, either. */
const MOST_MENTIONS = 100;

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
  /** Whether `people` are all who are here. */
  #isWhole = true;
  /** Who types, by id. @type {Map<string, {userName: string, untilMs: number}>} */
  typing = new Map();
  /**
   * What was said last of what is read, and which message was the newest then.
   *
   * @type {{read: number, number: number, mentions: number, isGuess?: boolean} | null}
   */
  #said = null;
  /** The newest number that was seen. */
  #newest = 0;
  /** The newest number of an own message. */
  #own = 0;
  /** Numbers of the messages that name this user. @type {Set<number>} */
  #naming = new Set();
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

  /** The newest number. */
  get number() {
    return Math.max(this.#newest, this.#said?.number ?? 0);
  }

  /** The number up to which it is read; null until that is known. @returns {number | null} */
  get read() {
    // Who answers has read; the gateway counts so, too.
    return this.#said && Math.max(this.#said.read, this.#own);
  }

  get unread() {
    return this.read === null ? 0 : Math.max(0, this.number - this.read);
  }

  /** The unread messages that name this user, at most 100. */
  get mentions() {
    if (!this.#said) return 0;
    const counted = Math.max(this.#said.number, this.read);
    const later = [...this.#naming].filter((number) => number > counted);
    const before = this.#own > this.#said.read ? 0 : this.#said.mentions;
    return Math.min(MOST_MENTIONS, before + later.length);
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
    this.drafts = this.drafts.filter((draft) => draft.id !== message.id);
    if (isChanged && message.senderId === ownId) {
      // The event may come before the answer that tells the draft's id.
      const draft = this.drafts.find(
        (it) => it.state === "sending" && it.shownAs === null && it.content === message.content,
      );
      if (draft) draft.shownAs = message.id;
    }
    return isChanged;
  }

  /** Count a message of the stream or of a history. */
  count(message, ownId) {
    this.see(message.number);
    if (message.senderId === ownId) this.#own = Math.max(this.#own, message.number);
    else if (message.mentions?.includes(ownId)) this.#naming.add(message.number);
  }

  /** There is a message of this number. */
  see(number) {
    this.#newest = Math.max(this.#newest, number);
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

  /** Who is here now: the first of them, and how many. */
  meet(people, count) {
    this.people = new Map(people.map((it) => [it.userId, it.userName]));
    this.countPeople(count);
  }

  enter(userId, userName) {
    const isNew = !this.people.has(userId);
    this.people.set(userId, userName);
    this.countPeople(this.#isWhole ? this.people.size : this.activeCount + isNew);
  }

  leave(userId) {
    this.typing.delete(userId);
    const wasKnown = this.people.delete(userId);
    this.countPeople(this.#isWhole ? this.people.size : this.activeCount - wasKnown);
  }

  /** So many people are here, whether they are known or not. */
  countPeople(count) {
    this.activeCount = count;
    this.#isWhole = this.people.size === count;
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

  /**
   * Take what is said of what is read, when message `number` was the newest. Sayings come by several
   * ways and in any order; neither number ever goes back, so the later is the higher.
   */
  markRead({ read, mentions, number }) {
    const said = this.#said?.isGuess ? null : this.#said;
    if (said && (read < said.read || (read === said.read && number <= said.number))) return;
    this.#said = { read, mentions, number };
    for (const naming of this.#naming) if (naming <= read) this.#naming.delete(naming);
  }

  /**
   * Nothing is said of it: it was joined just now, and what is there counts as read until something
   * is said. The membership may have begun before the last of it.
   */
  markSeen() {
    if (this.#said) return;
    this.#said = { read: this.number, mentions: 0, number: this.number, isGuess: true };
  }
}
