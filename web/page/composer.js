/** The field in which a message is written: its height, its length, its mentions, its sending. */

import { avatar, byId, element } from "./elements.js";
import { mentionsIn } from "./content.js";
import { fit, lineOf } from "./message.js";

const LONGEST = 4000;
/** From here on the length is shown. */
const SHOWN_LENGTH = 3600;
const SUGGESTED = 6;
const BEFORE_CARET = /(?:^|\s)@([\p{L}\p{N}_.-]*)$/u;

export class Composer {
  #chat;
  #field = byId("composer-text");
  #list = byId("suggestions");
  /** What was begun in other channels. @type {Map<string, string>} */
  #begun = new Map();
  /** What is answered, by channel. @type {Map<string, import("./client/timeline.js").Message>} */
  #answered = new Map();
  #channelId = "";
  #chosen = 0;

  /**
   * @param {import("./chat.js").Chat} chat
   * @param {{onUp: () => void, onSend: () => void}} log what ↑ in an empty field, and sending, do
   */
  constructor(chat, { onUp, onSend }) {
    this.#chat = chat;
    chat.addEventListener("select", () => this.#open());
    chat.client.addEventListener("channel", () => this.#label());
    this.#field.addEventListener("input", () => this.#change());
    this.#field.addEventListener("blur", () => this.#closeSuggestions());
    this.#field.addEventListener("keydown", (event) => {
      if (event.isComposing || this.#steer(event)) return;
      if (event.key === "Enter" && !event.shiftKey) {
        event.preventDefault();
        byId("composer").requestSubmit();
      } else if (event.key === "Escape" && this.#answered.has(this.#channelId)) {
        event.preventDefault();
        this.#answer(null);
      } else if (event.key === "ArrowUp" && !this.#field.value && !event.altKey) {
        event.preventDefault();
        onUp();
      }
    });
    byId("reply-cancel").onclick = () => {
      this.#answer(null);
      this.focus();
    };
    byId("composer").onsubmit = (event) => {
      event.preventDefault();
      if (this.#send()) onSend();
    };
  }

  focus() {
    this.#field.focus();
  }

  /** Answer a message with the next that is sent. */
  reply(message) {
    this.#answer(message);
    this.focus();
  }

  #answer(message) {
    if (message) this.#answered.set(this.#channelId, message);
    else this.#answered.delete(this.#channelId);
    byId("reply").hidden = !message;
    byId("reply-text").replaceChildren(...(message ? ["Reply to ", ...lineOf(message)] : []));
  }

  #open() {
    const { channel } = this.#chat;
    if (channel.id === this.#channelId) return;
    this.#begun.set(this.#channelId, this.#field.value);
    this.#channelId = channel.id;
    this.#field.value = this.#begun.get(channel.id) ?? "";
    this.#answer(this.#answered.get(channel.id) ?? null);
    this.#label();
    this.#resize();
  }

  #label() {
    const { channel } = this.#chat;
    this.#field.placeholder = `Message ${channel.title}`;
    byId("composer-label").textContent = `Message to ${channel.name}`;
  }

  #change() {
    if (this.#field.value.trim()) this.#chat.client.noteTyping(this.#channelId);
    this.#resize();
    this.#suggest();
  }

  #resize() {
    fit(this.#field);
    const length = [...this.#field.value].length;
    const count = byId("composer-count");
    count.textContent = length > SHOWN_LENGTH ? `${length} of ${LONGEST}` : "";
    count.classList.toggle("is-over", length > LONGEST);
    this.#field.setAttribute("aria-invalid", String(length > LONGEST));
  }

  #send() {
    const content = this.#field.value.trim();
    if (!content || [...content].length > LONGEST) return false;
    const { channel, client, people, user } = this.#chat;
    people.delete(user.id);
    const mentions = [...new Set(mentionsIn(content, people).map((it) => it.userId))].slice(0, 50);
    const replyTo = this.#answered.get(channel.id)?.id;
    client.send(channel.id, content, {
      ...(mentions.length ? { mentions } : {}),
      ...(replyTo ? { replyTo } : {}),
    });
    this.#answer(null);
    this.#field.value = "";
    this.#resize();
    this.#closeSuggestions();
    return true;
  }

  #suggest() {
    const before = this.#field.value.slice(0, this.#field.selectionStart);
    const begun = BEFORE_CARET.exec(before)?.[1].toLowerCase();
    if (begun === undefined) return this.#closeSuggestions();
    const { people, user, channel } = this.#chat;
    const found = [...people]
      .filter(([userId, name]) => userId !== user.id && isBegunBy(begun, userId, name))
      .sort((a, b) => channel.people.has(b[0]) - channel.people.has(a[0]) || a[1].localeCompare(b[1]))
      .slice(0, SUGGESTED);
    this.#list.replaceChildren(
      ...found.map(([userId, name], index) =>
        element(
          "li",
          {
            id: `suggestion-${index}`,
            role: "option",
            // A click would take the focus, and the list with it.
            onpointerdown: (event) => {
              event.preventDefault();
              this.#insert(name, begun);
            },
          },
          avatar(userId, name),
          element("span", { className: "ellipsis" }, name),
          element("span", { className: "hint ellipsis" }, channel.people.has(userId) ? "here" : ""),
        ),
      ),
    );
    this.#list.hidden = !found.length;
    this.#list.dataset.begun = begun;
    this.#choose(0);
    return undefined;
  }

  #choose(index) {
    const { length } = this.#list.children;
    if (this.#list.hidden || !length) return;
    this.#chosen = (index + length) % length;
    [...this.#list.children].forEach((item, at) =>
      item.setAttribute("aria-selected", String(at === this.#chosen)),
    );
    this.#field.setAttribute("aria-activedescendant", `suggestion-${this.#chosen}`);
  }

  /** Let a key steer the suggestions; return whether it did. */
  #steer(event) {
    if (this.#list.hidden) return false;
    if (event.key === "ArrowDown") this.#choose(this.#chosen + 1);
    else if (event.key === "ArrowUp") this.#choose(this.#chosen - 1);
    else if (event.key === "Escape") this.#closeSuggestions();
    else if (event.key === "Enter" || event.key === "Tab") {
      const name = this.#list.children[this.#chosen].children[1].textContent;
      this.#insert(name, this.#list.dataset.begun);
    } else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  }

  #insert(name, begun) {
    const caret = this.#field.selectionStart;
    this.#field.setRangeText(`${name} `, caret - begun.length, caret, "end");
    this.#closeSuggestions();
    this.#resize();
  }

  #closeSuggestions() {
    this.#list.hidden = true;
    this.#field.removeAttribute("aria-activedescendant");
  }
}

function isBegunBy(begun, userId, name) {
  const words = name.toLowerCase().split(/\s+/);
  return [userId, name.toLowerCase(), ...words].some((word) => word.startsWith(begun));
}
