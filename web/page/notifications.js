/** The bell: how many notifications are unread, and which. */

import { avatar, byId, coalesced, element, showItems } from "./elements.js";
import { agoOf } from "./times.js";

/**
 * @param {import("./chat.js").Chat} chat
 * @param {(messageId: string) => void} reveal show a message of the channel that is shown
 */
export function startNotifications(chat, reveal) {
  const { client } = chat;
  const panel = byId("notifications");

  const open = (notification) => {
    panel.hidePopover();
    client.markNotificationsRead([notification.id]).catch(() => {});
    if (!notification.data.channelId) return;
    chat.select(notification.data.channelId);
    reveal(notification.data.messageId);
  };
  const render = coalesced(() => {
    const count = client.unreadNotifications;
    const badge = byId("bell-count");
    badge.textContent = count > 99 ? "99+" : String(count);
    badge.hidden = count === 0;
    byId("bell").setAttribute("aria-label", `Notifications, ${count} unread`);
    byId("bell").title = "Notifications";
    byId("notifications-read").disabled = count === 0;
    const items = client.notifications.map((it) => itemOf(it, client, () => open(it)));
    const nothing = element("li", { className: "hint" }, "Nothing yet. Mentions of you come here.");
    showItems(byId("notification-list"), items.length ? items : [nothing]);
  });
  byId("notifications-read").onclick = () => client.markNotificationsRead().catch(() => {});
  panel.addEventListener("toggle", render);
  client.addEventListener("notifications", render);
  render();
}

function itemOf(notification, client, onclick) {
  const { id, kind, data, createdAt, readAt } = notification;
  const name = data.senderName ?? data.senderId ?? kind;
  const channel = client.channels.get(data.channelId)?.title ?? `#${data.channelId}`;
  const text =
    kind === "mention"
      ? [element("strong", {}, name), " mentioned you in ", element("strong", {}, channel)]
      : [element("strong", {}, kind)];
  const time = createdAt ? element("span", { className: "hint" }, agoOf(createdAt)) : "";
  const className = readAt ? "notification" : "notification is-unread";
  const unread = readAt ? "" : element("span", { className: "visually-hidden" }, "unread: ");
  const words = element("span", { className: "words" }, unread, ...text, element("br"), time);
  const button = element(
    "button",
    { type: "button", className, "data-notification": id, onclick },
    avatar(data.senderId ?? kind, name),
    words,
  );
  return element("li", {}, button);
}
