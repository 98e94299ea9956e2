/** A user's notifications: the list, and how many are unread. */

export class Notifications {
  /** Newest first. @type {{id: string, kind: string, data: any, createdAt: string, readAt: string | null}[]} */
  items = [];
  unread = 0;

  #rest;
  #path;
  #changed;
  /** What has come since the list was asked for. @type {{type: string, data: any}[] | null} */
  #eventsSince = null;

  /**
   * @param {import("./rest.js").Rest} rest
   * @param {string} path of the list
   * @param {() => void} changed
   */
  constructor(rest, path, changed) {
    this.#rest = rest;
    this.#path = path;
    this.#changed = changed;
  }

  /** A `notification` or a `notifications_read` has come. */
  note({ type, data }) {
    this.#eventsSince?.push({ type, data });
    this.#apply(type, data);
    this.unread = data.unread;
    this.#changed();
  }

  /** @param {string[]} [ids] all if not given */
  async markRead(ids) {
    await this.#rest.fetch(`${this.#path}/read`, { method: "POST", body: ids ? { ids } : {} });
    const readAt = new Date().toISOString();
    for (const notification of this.items) {
      if (notification.readAt || (ids && !ids.includes(notification.id))) continue;
      notification.readAt = readAt;
      this.unread = Math.max(0, this.unread - 1);
    }
    if (!ids) this.unread = 0;
    this.#changed();
  }

  async reload() {
    const events = [];
    this.#eventsSince = events;
    const page = await this.#rest.insist(this.#path);
    if (!page || this.#eventsSince !== events) return;
    this.#eventsSince = null;
    this.items = page.items;
    // The page may be older or newer than what has come: events say it again, in order.
    for (const { type, data } of events) this.#apply(type, data);
    this.unread = events.at(-1)?.data.unread ?? page.unread;
    this.#changed();
  }

  #apply(type, data) {
    if (type === "notification") {
      const { unread: _, ...notification } = data;
      const others = this.items.filter((it) => it.id !== notification.id);
      this.items = [notification, ...others].sort(
        (a, b) => compare(b.createdAt, a.createdAt) || compare(b.id, a.id),
      );
      return;
    }
    const readAt = new Date().toISOString();
    for (const notification of this.items) {
      if (!data.ids || data.ids.includes(notification.id)) notification.readAt ??= readAt;
    }
  }
}

function compare(a, b) {
  return a < b ? -1 : Number(a > b);
}
