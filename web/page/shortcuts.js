/** Keys that work anywhere on the page. */

import { byId } from "./elements.js";

/**
 * @param {import("./chat.js").Chat} chat
 * @param {{close: () => boolean, openChannels: () => void}} drawers
 * @param {import("./composer.js").Composer} composer
 */
export function startShortcuts(chat, drawers, composer) {
  const help = byId("shortcuts");
  byId("help").onclick = () => help.showModal();

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      drawers.openChannels();
      byId("add-channel-name").focus();
    } else if (event.altKey && event.key === "ArrowUp") chat.selectNext(-1);
    else if (event.altKey && event.key === "ArrowDown") chat.selectNext(1);
    else if (event.key === "Escape" && !document.querySelector(":popover-open")) {
      if (!drawers.close()) composer.focus();
    } else if (event.key === "?" && !isWriting(event.target)) help.showModal();
    else return;
    event.preventDefault();
  });
}

function isWriting(target) {
  return target.matches("input, textarea");
}
