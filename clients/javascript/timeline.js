/**
 * A channel's messages as one unbroken run from its oldest loaded page to the newest.
 *
 * Events and pages may come in any order: a message is replaced only by a higher `rev`, deleted ones
 * stay as tombstones, and changes of what is not loaded yet are kept until its page comes.
 */

/**
 * @typedef {object} Message
 * @property {string} id
 * @property {number} rev
 * @property {string} channelId
 * @property {number | null} number
 * @property {string} senderId
 * @property {string} senderName
 * @property {string} content
 * @property {string | null} replyTo
 * @property {string[]} mentions
 * @property {{emoji: string, count: number, userIds: string[]}[]} reactions
 * @property {object} metadata
 * @property {string} createdAt
 * @property {string | null} editedAt
 *
 * @typedef {{id: string, rev: number, channelId: string, number: number | null, deleted: true,
 *   deletedAt: string}} Tombstone
 */

export class Timeline {
  /** @type {Map<string, Message | Tombstone>} */
  #messages = new Map();
  /** Ids that a reload has not seen yet. @type {Set<string> | null} */
  #stale = null;
  /** The lowest number of the run. */
  #floor = Infinity;
  #reloads = 0;
  /** @type {Message[] | null} */
  #sorted = null;

  /** `before` of the next older page; null: the first message is here. @type {string | null} */
  older = null;
  /** Whether a first page has come. */
  isLoaded = false;

  /**
   * Apply a message as an event or a page shows it; return whether anything changed.
   *
   * @param {Message | Tombstone} message
   */
  apply(message) {
    if (message.number === null) return false;
    this.#stale?.delete(message.id);
    const known = this.#messages.get(message.id);
    if (known && known.rev >= message.rev) return false;
    this.#messages.set(message.id, message);
    this.#sorted = null;
    return true;
  }

  /** @param {string} id */
  get(id) {
    return this.#messages.get(id);
  }

  /** The undeleted messages of the run, oldest first. @returns {readonly Message[]} */
  get messages() {
    this.#sorted ??= /** @type {Message[]} */ (
      [...this.#messages.values()]
        .filter((message) => !("deleted" in message) && message.number >= this.#floor)
        .sort((a, b) => a.number - b.number)
    );
    return this.#sorted;
  }

  /** The highest number seen, 0 if none. */
  get newest() {
    let newest = 0;
    for (const { number } of this.#messages.values()) newest = Math.max(newest, number);
    return newest;
  }

  /**
   * Start anew from the newest page; return what `finishReload` and `addOlder` are to be given.
   * What is shown stays until then.
   */
  beginReload() {
    this.#stale = new Set(this.#messages.keys());
    this.#reloads += 1;
    return this.#reloads;
  }

  /** Which run a page that is asked for now will belong to. */
  get run() {
    return this.#reloads;
  }

  /** Take the newest page; return false if another reload has begun since. */
  finishReload(run, page) {
    if (run !== this.#reloads) return false;
    for (const message of page.items) this.apply(message);
    for (const id of this.#stale ?? []) this.#messages.delete(id);
    this.#stale = null;
    this.#floor = Infinity;
    this.isLoaded = true;
    return this.addOlder(run, page);
  }

  /** Take the page before the run; return false if the run is another one by now. */
  addOlder(run, page) {
    if (run !== this.#reloads) return false;
    for (const message of page.items) this.apply(message);
    this.older = page.next;
    const numbers = page.items.map((message) => message.number);
    this.#floor = page.next === null ? 0 : Math.min(this.#floor, ...numbers);
    this.#sorted = null;
    return true;
  }
}
