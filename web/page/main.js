/** Puts the page together: who, then the client, then the views. */

import { HubbubClient } from "./client/hubbub.js";
import { startChannels } from "./channels.js";
import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { startConnection } from "./connection.js";
import { startDrawers } from "./drawers.js";
import { avatar, byId } from "./elements.js";
import { currentUser, idOf, lastName, signIn, signOut } from "./identity.js";
import { Log } from "./log.js";
import { startNotifications } from "./notifications.js";
import { startPeople } from "./people.js";
import { openPicker } from "./picker.js";
import { startShortcuts } from "./shortcuts.js";
import { startTheme } from "./theme.js";

function welcome() {
  byId("welcome").hidden = false;
  byId("welcome-name").value = lastName();
  byId("welcome-name").focus();
  byId("welcome-form").onsubmit = (event) => {
    event.preventDefault();
    const name = byId("welcome-name").value.trim();
    const channelId = idOf(byId("welcome-channel").value.replace(/^#/, ""));
    const isFit = name && channelId;
    byId("welcome-error").textContent = isFit ? "" : "A channel's name has letters, digits, or _ . : -";
    if (!isFit) return;
    byId("welcome").hidden = true;
    open(signIn(name), channelId);
  };
}

function open(user, channelId) {
  byId("chat").hidden = false;
  byId("me-avatar").replaceWith(avatar(user.id, user.name));
  byId("me-name").textContent = user.name;

  const client = new HubbubClient({ user });
  const chat = new Chat(client);
  const drawers = startDrawers();
  const hasReaction = (message, emoji) =>
    message.reactions.some((it) => it.emoji === emoji && it.userIds.includes(user.id));
  const toggle = (message, emoji) =>
    client.react(message.id, emoji, !hasReaction(message, emoji)).catch(() => {});
  const log = new Log(chat, {
    toggle,
    pick: (message, near) => openPicker(near, (emoji) => toggle(message, emoji)),
    edit: (message, content) => client.edit(message.id, content),
    remove: async (message) => {
      if (await isDeletionMeant(message)) await client.delete(message.id).catch(() => {});
    },
    reply: (message) => composer.reply(message),
    leave: () => composer.focus(),
  });
  const composer = new Composer(chat, {
    onUp: () => log.editLastOwn(),
    onSend: () => log.scrollToEnd(),
  });
  startChannels(chat);
  startPeople(chat);
  startNotifications(chat, (messageId) => log.reveal(messageId));
  startConnection(client);
  startShortcuts(chat, drawers, composer);

  const showName = () => {
    byId("room-name").textContent = chat.channel.title;
  };
  client.addEventListener("channel", showName);
  chat.addEventListener("select", () => {
    showName();
    drawers.close();
    if (matchMedia("(hover: hover)").matches) composer.focus();
  });
  byId("sign-out").onclick = () => {
    signOut();
    location.reload();
  };
  addEventListener("beforeunload", (event) => {
    if (client.hasUnsent) event.preventDefault();
  });
  chat.restore(channelId);
  client.connect();
}

function isDeletionMeant(message) {
  const dialog = byId("deletion");
  byId("deletion-text").textContent = message.content.slice(0, 300);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "delete"), { once: true });
  });
}

startTheme();
const user = currentUser();
if (user) open(user);
else welcome();
