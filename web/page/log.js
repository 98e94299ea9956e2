/** The log of the channel that is shown: what is in it, where it is scrolled, what is read of it. */

import { byId, coalesced, element, isolated } from "./elements.js";
import { draftNode, messageNode } from "./message.js";
import { dateOf, dayNameOf } from "./times.js";

/** Messages of one sender within this time stand under one name. */
const GROUP_MS = 5 * 60_000;
/** So near to its end a log follows what comes. */
const END_PIXELS = 60;
/** So near to its start the page before is loaded. */
const START_PIXELS = 400;
const READ_PAUSE_MS = 400;
const ANNOUNCED = 20;

export class Log {
  #chat;
  #actions;
  #scroller = byId("scroller");
  #list = byId("log");
  #start = byId("log-start");
  #toEnd = byId("to-end");
  /** Nodes by key, with what they were made of. @type {Map<string, {node: Element, made: string}>} */
  #nodes = new Map();
  #isAtEnd = true;
  #isLoading = false;
  #missed = 0;
  #readTimer = 0;
  #render = coalesced(() => this.#show());

  /**
   * @param {import("./chat.js").Chat} chat
   * @param {import("./message.js").Actions} actions
   */
  constructor(chat, actions) {
    this.#chat = chat;
    const leave = () => {
      actions.leave();
      this.#render(); // What came while a message was edited is not shown yet.
    };
    this.#actions = { ...actions, leave };
    chat.addEventListener("select", () => this.#open());
    chat.client.addEventListener("channel", ({ detail }) => {
      if (detail === chat.channel) this.#render();
    });
    chat.client.addEventListener("message", ({ detail }) => this.#announce(detail));
    chat.client.addEventListener("notifications", () => this.#readSoon());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && chat.channel.unread) chat.markNew();
      this.#render();
      this.#readSoon();
    });
    this.#scroller.addEventListener("scroll", () => this.#look(), { passive: true });
    this.#scroller.addEventListener("keydown", (event) => this.#move(event));
    new ResizeObserver(() => this.#isAtEnd && this.scrollToEnd()).observe(this.#scroller);
    this.#toEnd.onclick = () => this.scrollToEnd();
  }

  scrollToEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#look();
  }

  /** Show a message, if it is loaded. */
  reveal(messageId) {
    const node = this.#nodes.get(messageId)?.node;
    if (!node) return;
    node.scrollIntoView({ block: "center" });
    node.focus();
  }

  editLastOwn() {
    const own = this.#chat.channel.timeline.messages.findLast(
      (message) => message.senderId === this.#chat.user.id,
    );
    if (own) this.#nodes.get(own.id)?.node.edit?.();
  }

  #open() {
    this.#missed = 0;
    this.#isAtEnd = true;
    this.#nodes.clear();
    this.#list.replaceChildren();
    this.#show();
    this.scrollToEnd();
  }

  #show() {
    const { channel } = this.#chat;
    // By its end: the name above it goes when one of the same sender comes before it.
    const anchor = this.#isAtEnd ? null : this.#firstInView();
    const anchorKey = anchor?.dataset.key;
    const bottom = anchor?.getBoundingClientRect().bottom;
    const items = this.#itemsOf(channel);
    const wanted = new Set(items.map((item) => item.key));
    for (const [key, { node }] of this.#nodes) {
      if (wanted.has(key)) continue;
      if (node.contains(document.activeElement)) this.#actions.leave();
      node.remove();
      this.#nodes.delete(key);
    }
    let at = this.#list.firstChild;
    for (const { key, made, create } of items) {
      const known = this.#nodes.get(key);
      let node = known?.node;
      if (!node || (known.made !== made && !node.classList.contains("is-editing"))) {
        const fresh = create();
        fresh.dataset.key = key;
        if (node === at) at = at.nextSibling;
        if (node) this.#replace(node, fresh);
        node = fresh;
        this.#nodes.set(key, { node, made });
      }
      if (node === at) at = at.nextSibling;
      else this.#list.insertBefore(node, at);
    }
    this.#start.replaceChildren(...startOf(channel));
    if (this.#isAtEnd) this.scrollToEnd();
    else if (this.#nodes.has(anchorKey)) {
      const { node } = this.#nodes.get(anchorKey);
      this.#scroller.scrollTop += node.getBoundingClientRect().bottom - bottom;
    }
    this.#look();
  }

  #replace(node, fresh) {
    const isFocused = node === document.activeElement;
    const isInside = !isFocused && node.contains(document.activeElement);
    node.replaceWith(fresh);
    // A tool that was just used is gone with its message's old node.
    if (isFocused || isInside) fresh.focus({ preventScroll: true });
  }

  #itemsOf(channel) {
    const { user, readBefore } = this.#chat;
    const people = this.#chat.people;
    const items = [];
    let before = null;
    let isDivided = readBefore === null || readBefore === undefined;
    const addDay = (createdAt) => {
      if (before && dateOf(before.createdAt) === dateOf(createdAt)) return;
      const name = dayNameOf(createdAt);
      const create = () => element("li", { className: "day" }, element("span", {}, name));
      items.push({ key: `day ${dateOf(createdAt)}`, made: name, create });
      before = null;
    };
    const isFirst = (senderId, createdAt) =>
      before?.senderId !== senderId || Date.parse(createdAt) - Date.parse(before.createdAt) > GROUP_MS;
    const parentOf = ({ replyTo }) => (replyTo ? channel.timeline.get(replyTo) : undefined);
    for (const message of channel.timeline.messages) {
      addDay(message.createdAt);
      if (!isDivided && message.number > readBefore && message.senderId !== user.id) {
        isDivided = true;
        const create = () => element("li", { className: "divider" }, element("span", {}, "New"));
        items.push({ key: "new", made: "", create });
        before = null;
      }
      const parent = parentOf(message);
      const first = message.replyTo !== null || isFirst(message.senderId, message.createdAt);
      items.push({
        key: message.id,
        made: `${message.rev} ${first} ${parent?.rev}`,
        create: () =>
          messageNode(message, {
            isFirst: first,
            people,
            ownId: user.id,
            parent,
            actions: this.#actions,
          }),
      });
      before = message;
    }
    for (const draft of channel.openDrafts) {
      addDay(draft.createdAt);
      const parent = parentOf(draft);
      const first = draft.replyTo !== null || isFirst(user.id, draft.createdAt);
      items.push({
        key: `draft ${draft.nonce}`,
        made: `${draft.state} ${first} ${parent?.rev}`,
        create: () =>
          draftNode(draft, {
            isFirst: first,
            user,
            people,
            parent,
            onRetry: () => this.#chat.client.resend(channel.id, draft),
            onDiscard: () => this.#chat.client.discard(channel.id, draft),
          }),
      });
      before = { senderId: user.id, createdAt: draft.createdAt };
    }
    return items;
  }

  #firstInView() {
    const { top } = this.#scroller.getBoundingClientRect();
    for (const node of this.#list.children) {
      const isMessage = node.classList.contains("message");
      if (isMessage && node.getBoundingClientRect().bottom > top) return node;
    }
    return null;
  }

  /** Do what the place in the log asks for: follow the end, load what is before, mark as read. */
  #look() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    this.#isAtEnd = scrollHeight - scrollTop - clientHeight < END_PIXELS;
    if (this.#isAtEnd) this.#missed = 0;
    this.#toEnd.hidden = this.#isAtEnd;
    this.#toEnd.lastChild.textContent = this.#missed
      ? `${this.#missed} new message${this.#missed > 1 ? "s" : ""}`
      : "Newest";
    if (scrollTop < START_PIXELS) this.#loadOlder();
    this.#readSoon();
  }

  async #loadOlder() {
    const { channel } = this.#chat;
    if (this.#isLoading || !channel.timeline.isLoaded || channel.timeline.older === null) return;
    this.#isLoading = true;
    try {
      await this.#chat.client.loadOlder(channel.id);
    } catch {
      this.#start.textContent = "Older messages cannot be loaded right now.";
      await new Promise((resolve) => setTimeout(resolve, 2000));
    } finally {
      this.#isLoading = false;
    }
    this.#render();
  }

  #readSoon() {
    clearTimeout(this.#readTimer);
    this.#readTimer = setTimeout(() => {
      const { channel } = this.#chat;
      if (!this.#isAtEnd || document.hidden || !channel.timeline.isLoaded) return;
      this.#chat.client.markRead(channel.id).catch(() => {});
      this.#readNotifications(channel);
    }, READ_PAUSE_MS);
  }

  /** What is in front of somebody's eyes needs no bell. */
  #readNotifications(channel) {
    const { client } = this.#chat;
    const seen = client.notifications.filter(
      ({ readAt, data }) => !readAt && data.channelId === channel.id,
    );
    if (!seen.length) return;
    client.markNotificationsRead(seen.map(({ id }) => id)).catch(() => {});
  }

  #announce({ channel, message }) {
    if (channel !== this.#chat.channel || message.senderId === this.#chat.user.id) return;
    if (!this.#isAtEnd) this.#missed += 1;
    const announcer = byId("announcer");
    announcer.append(element("p", {}, `${message.senderName}: ${message.content}`));
    while (announcer.children.length > ANNOUNCED) announcer.firstChild.remove();
  }

  #move(event) {
    const messages = [...this.#list.querySelectorAll(".message")];
    const at = messages.indexOf(document.activeElement);
    const isHere = event.target === this.#scroller || at >= 0;
    if (!isHere || !messages.length || event.altKey || event.ctrlKey || event.metaKey) return;
    const last = messages.length - 1;
    const to = {
      ArrowUp: at < 0 ? last : Math.max(at - 1, 0),
      ArrowDown: at < 0 ? last : Math.min(at + 1, last),
      Home: 0,
      End: last,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    messages[to].focus();
    messages[to].scrollIntoView({ block: "nearest" });
  }
}

function startOf(channel) {
  if (channel.refusal) return [channel.refusal];
  if (!channel.timeline.isLoaded) return ["Loading…"];
  if (channel.timeline.older !== null) return ["Loading older messages…"];
  const title = isolated(channel.title);
  return channel.timeline.messages.length
    ? ["This is the beginning of ", title, "."]
    : ["Nobody has said anything in ", title, " yet."];
}
