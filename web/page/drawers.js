/** The side panels: columns where there is room, drawers over the log where there is not. */

import { byId } from "./elements.js";

const NARROW = matchMedia("(max-width: 719px)");
const MEDIUM = matchMedia("(max-width: 1099px)");

export function startDrawers() {
  const chat = byId("chat");
  const room = chat.querySelector(".room");
  const toggle = byId("people-toggle");
  let opener = null;

  const isDrawer = (name) => (name === "channels" ? NARROW.matches : MEDIUM.matches);
  const open = (name) => {
    opener = document.activeElement;
    chat.dataset.drawer = name;
    room.inert = true;
    byId(name).querySelector("header button").focus();
    show();
  };
  const close = () => {
    if (!chat.dataset.drawer) return false;
    chat.dataset.drawer = "";
    room.inert = false;
    opener?.focus();
    show();
    return true;
  };
  const show = () => {
    for (const name of ["channels", "people"]) {
      byId(name).inert = isDrawer(name) && chat.dataset.drawer !== name;
    }
    byId("channels-open").setAttribute("aria-expanded", String(chat.dataset.drawer === "channels"));
    const isShown = isDrawer("people") ? chat.dataset.drawer === "people" : !chat.dataset.alone;
    toggle.setAttribute("aria-expanded", String(isShown));
  };

  byId("channels-open").onclick = () => open("channels");
  toggle.onclick = () => {
    if (isDrawer("people")) return open("people");
    chat.dataset.alone = chat.dataset.alone ? "" : "true";
    byId("people").inert = Boolean(chat.dataset.alone);
    toggle.setAttribute("aria-expanded", String(!chat.dataset.alone));
    return undefined;
  };
  byId("channels-close").onclick = close;
  byId("people-close").onclick = close;
  byId("backdrop").onclick = close;
  for (const query of [NARROW, MEDIUM]) {
    query.addEventListener("change", () => close() || show());
  }
  show();
  return {
    close,
    /** Make the channels' field reachable. */
    openChannels: () => isDrawer("channels") && chat.dataset.drawer !== "channels" && open("channels"),
  };
}
