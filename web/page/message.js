/** One message of the log: its node, its tools, and its editing in place. */

import { avatar, element, iconButton, isolated } from "./elements.js";
import { contentOf } from "./content.js";
import { clockOf, fullTimeOf, shortClockOf } from "./times.js";

/**
 * @typedef {object} Actions What a message's tools do.
 * @property {(message: object, near: Element) => void} pick choose a reaction
 * @property {(message: object, emoji: string) => void} toggle
 * @property {(message: object, content: string) => Promise<void>} edit
 * @property {(message: object) => void} remove
 * @property {(message: object) => void} reply answer it
 * @property {() => void} leave give the focus back to the field
 */

/** How much of a message stands above its answer. */
const QUOTED = 160;

/**
 * The node of a message that has come back as an event; `parent` is what it answers, if that is
 * loaded.
 */
export function messageNode(message, { isFirst, people, ownId, parent, actions }) {
  const isOwn = message.senderId === ownId;
  const mentioned = new Map(message.mentions.map((id) => [id, people.get(id) ?? id]));
  const node = frameOf(message.senderId, message.senderName, message.createdAt, isFirst);
  node.dataset.id = message.id;
  node.classList.toggle("mentions-me", mentioned.has(ownId));
  const text = element("div", { className: "text" }, contentOf(message.content, mentioned, ownId));
  if (message.editedAt) {
    const title = fullTimeOf(message.editedAt);
    text.append(" ", element("span", { className: "edited", title }, "(edited)"));
  }
  const body = node.querySelector(".body");
  if (message.replyTo) body.append(parentOf(parent));
  body.append(text);
  if (message.reactions.length) body.append(reactionsOf(message, people, ownId, actions));

  const tools = element("div", { className: "tools", role: "group", "aria-label": "Actions" });
  const react = iconButton("smile", "Add a reaction", () => actions.pick(message, react));
  tools.append(
    react,
    iconButton("reply", "Reply", () => actions.reply(message)),
  );
  if (isOwn) {
    tools.append(
      iconButton("edit", "Edit", () => beginEdit(node, message, actions)),
      iconButton("delete", "Delete", () => actions.remove(message)),
    );
  }
  node.append(tools);
  node.onkeydown = (event) => {
    if (event.target !== node || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "r") actions.pick(message, node);
    else if (event.key === "a") actions.reply(message);
    else if (event.key === "e" && isOwn) beginEdit(node, message, actions);
    else if (event.key === "Delete" && isOwn) actions.remove(message);
    else return;
    event.preventDefault();
  };
  node.edit = isOwn ? () => beginEdit(node, message, actions) : undefined;
  return node;
}

/** The node of a message of one's own that is on its way. */
export function draftNode(draft, { isFirst, user, people, parent, onRetry, onDiscard }) {
  const node = frameOf(user.id, user.name, draft.createdAt, isFirst);
  node.classList.add("draft", `is-${draft.state}`);
  const mentioned = new Map((draft.frame.mentions ?? []).map((id) => [id, people.get(id) ?? id]));
  const body = node.querySelector(".body");
  if (draft.replyTo) body.append(parentOf(parent));
  body.append(element("div", { className: "text" }, contentOf(draft.content, mentioned, user.id)));
  if (draft.state === "failed") {
    const button = (name, onclick) =>
      element("button", { type: "button", className: "link", onclick }, name);
    const buttons = [button("Try again", onRetry), button("Discard", onDiscard)];
    const text = `Not sent: ${draft.error} `;
    body.append(element("p", { className: "error", role: "alert" }, text, ...buttons));
  } else {
    body.append(element("span", { className: "visually-hidden" }, "Sending"));
  }
  return node;
}

/** Whom a message answers, and a line of it, as nodes. */
export function lineOf({ senderName, content }) {
  const line = content.slice(0, QUOTED).replace(/\s+/g, " ");
  return [isolated(senderName), ": ", isolated(line)];
}

function parentOf(parent) {
  const missing = [parent ? "a deleted message" : "an earlier message"];
  const line = parent && !parent.deleted ? lineOf(parent) : missing;
  const said = element("span", { className: "visually-hidden" }, "In reply to ");
  return element("p", { className: "parent ellipsis" }, said, ...line);
}

function frameOf(userId, userName, createdAt, isFirst) {
  const clock = isFirst ? clockOf(createdAt) : shortClockOf(createdAt);
  const time = element("time", { dateTime: createdAt, title: fullTimeOf(createdAt) }, clock);
  const body = element("div", { className: "body" });
  const gutter = element("div", { className: "gutter" });
  if (isFirst) {
    const author = element("span", { className: "author" }, userName);
    gutter.append(avatar(userId, userName));
    body.append(element("div", { className: "meta" }, author, time));
  } else {
    body.append(element("span", { className: "visually-hidden" }, `${userName}: `));
    gutter.append(time);
  }
  const className = isFirst ? "message is-first" : "message";
  return element("li", { className, tabIndex: -1 }, gutter, body);
}

function reactionsOf(message, people, ownId, actions) {
  const list = element("div", { className: "reactions", role: "group", "aria-label": "Reactions" });
  for (const { emoji, count, userIds } of message.reactions) {
    const isOwn = userIds.includes(ownId);
    const names = userIds.map((id) => (id === ownId ? "you" : (people.get(id) ?? id)));
    const who = names.join(", ") + (count > names.length ? ` and ${count - names.length} more` : "");
    list.append(
      element(
        "button",
        {
          type: "button",
          className: "reaction",
          title: who,
          "aria-pressed": String(isOwn),
          "aria-label": `${emoji}, ${count}: ${who}`,
          onclick: () => actions.toggle(message, emoji),
        },
        element("span", { className: "emoji" }, emoji),
        element("span", {}, String(count)),
      ),
    );
  }
  const add = iconButton("smile", "Add a reaction", () => actions.pick(message, add));
  add.classList.add("reaction");
  list.append(add);
  return list;
}

function beginEdit(node, message, actions) {
  if (node.classList.contains("is-editing")) return;
  const field = element("textarea", { rows: 1, value: message.content, "aria-label": "Edit your message" });
  const error = element("p", { className: "error", role: "alert" });
  const end = () => {
    node.classList.remove("is-editing");
    form.remove();
    actions.leave();
  };
  const save = async () => {
    const content = field.value.trim();
    if (!content || content === message.content) return end();
    try {
      await actions.edit(message, content);
      end();
    } catch (refusal) {
      error.textContent = refusal.message;
    }
    return undefined;
  };
  const hint = element("p", { className: "hint" }, "Enter saves, Esc cancels");
  const buttons = element(
    "div",
    { className: "choices" },
    element("button", { type: "button", onclick: end }, "Cancel"),
    element("button", { type: "button", className: "primary", onclick: save }, "Save"),
  );
  const form = element("div", { className: "editor" }, field, error, hint, buttons);
  field.onkeydown = (event) => {
    event.stopPropagation();
    if (event.key === "Escape") end();
    else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) save();
    else return;
    event.preventDefault();
  };
  field.oninput = () => fit(field);
  node.classList.add("is-editing");
  node.querySelector(".body").append(form);
  fit(field);
  field.focus();
  field.setSelectionRange(field.value.length, field.value.length);
}

/** Make a field as high as its text; the style sheet says how high at most. */
export function fit(field) {
  field.style.height = "auto";
  // An empty field's content is its placeholder, which is cut off and not wrapped.
  if (field.value) field.style.height = `${field.scrollHeight + 2}px`;
}

