/** Asks the gateway what is unread, one question at a time. */

export class UnreadCounts {
  #rest;
  #path;
  #take;
  /** The question that was asked, and the next. */
  #asked = Promise.resolve();
  /** @type {Promise<void> | null} */
  #next = null;
  #number = 0;
  /** Channels that were left, and which question was the last before that. @type {Map<string, number>} */
  #leftAfter = new Map();

  /**
   * @param {import("./rest.js").Rest} rest
   * @param {string} path
   * @param {(counts: {channelId: string, read: number, number: number, mentions: number}) => void} take
   */
  constructor(rest, path, take) {
    this.#rest = rest;
    this.#path = path;
    this.#take = take;
  }

  /** Settled by the answer to a question that is asked from now on. */
  ask() {
    this.#next ??= this.#asked.then(() => {
      this.#next = null;
      this.#asked = this.#reload();
      return this.#asked;
    });
    return this.#next;
  }

  /** A channel has been left: an answer to what was asked before knows nothing of that. */
  noteLeft(channelId) {
    this.#leftAfter.set(channelId, this.#number);
  }

  async #reload() {
    this.#number += 1;
    const unread = await this.#rest.insist(this.#path);
    for (const counts of unread?.channels ?? []) {
      if (!(this.#leftAfter.get(counts.channelId) >= this.#number)) this.#take(counts);
    }
  }
}
