/** The list of channels with what is unread, and the field that goes to one or joins it. */

import { byId, coalesced, element, iconButton, showItems } from "./elements.js";
import { idOf } from "./identity.js";

/** @param {import("./chat.js").Chat} chat */
export function startChannels(chat) {
  const list = byId("channel-list");
  const field = byId("add-channel-name");
  const error = byId("add-channel-error");

  const render = coalesced(() => {
    const focused = list.contains(document.activeElement) && document.activeElement.dataset.channel;
    showItems(list, chat.channels.map((channel) => itemOf(chat, channel)));
    if (focused) list.querySelector(`[data-channel="${CSS.escape(focused)}"]`)?.focus();
    const unread = chat.channels.filter((channel) => channel.unread > 0);
    const count = unread.reduce((sum, channel) => sum + channel.unread, 0);
    byId("channels-badge").hidden = unread.every((channel) => channel === chat.channel);
    document.title = `${count ? `(${count}) ` : ""}${chat.channel.title} · Hubbub`;
  });
  chat.client.addEventListener("channels", render);
  chat.client.addEventListener("channel", render);
  chat.addEventListener("select", render);

  byId("add-channel").onsubmit = (event) => {
    event.preventDefault();
    const id = idOf(field.value.replace(/^#/, ""));
    error.textContent = id ? "" : "Use letters, digits, or _ . : -";
    if (!id) return;
    field.value = "";
    chat.select(id);
  };
}

function itemOf(chat, channel) {
  const isCurrent = channel === chat.channel;
  const { unread, mentions } = channel;
  const says = [
    channel.name,
    unread ? `${unread} unread` : "",
    mentions ? `${mentions} mention${mentions > 1 ? "s" : ""}` : "",
  ];
  const button = element(
    "button",
    {
      type: "button",
      className: unread ? "channel has-unread" : "channel",
      "data-channel": channel.id,
      "aria-label": says.filter(Boolean).join(", "),
      onclick: () => chat.select(channel.id),
    },
    element("span", { className: "hash", "aria-hidden": "true" }, channel.title[0]),
    element("span", { className: "ellipsis" }, channel.name),
  );
  if (isCurrent) button.setAttribute("aria-current", "true");
  if (unread) {
    const className = mentions ? "count is-mention" : "count";
    button.append(element("span", { className }, unread > 99 ? "99+" : String(unread)));
  }
  const item = element("li", {}, button);
  if (isCurrent && chat.channels.length > 1) {
    const leave = () => chat.client.leave(channel.id).catch(() => {});
    item.append(iconButton("close", `Leave ${channel.name}`, leave));
  }
  return item;
}
