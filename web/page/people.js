/** Who is here, and who is writing. */

import { avatar, byId, coalesced, element, isolated, showItems } from "./elements.js";

/** @param {import("./chat.js").Chat} chat */
export function startPeople(chat) {
  const talkTo = async (userId) => {
    const channel = await chat.client.joinDirect(userId).catch(() => null);
    if (channel) chat.select(channel.id);
  };
  const render = coalesced(() => {
    const { channel, user } = chat;
    const people = [...channel.people].sort(
      (a, b) => (b[0] === user.id) - (a[0] === user.id) || a[1].localeCompare(b[1]),
    );
    showItems(
      byId("people-list"),
      people.map(([userId, name]) => {
        const own = userId === user.id ? [element("span", { className: "hint" }, "you")] : [];
        const label = element("span", { className: "ellipsis" }, name || userId);
        const parts = [avatar(userId, name || userId), label, ...own];
        if (own.length) return element("li", {}, ...parts);
        const title = `Message ${name || userId}`;
        const onclick = () => talkTo(userId);
        const properties = { type: "button", className: "person", "data-user": userId, title, onclick };
        return element("li", {}, element("button", { ...properties, "aria-label": title }, ...parts));
      }),
    );
    const count = Math.max(channel.activeCount, people.length);
    const more = count - people.length;
    byId("people-more").textContent = more > 0 ? `and ${more} more` : "";
    byId("people-count").textContent = count ? String(count) : "";
    byId("people-toggle").setAttribute("aria-label", `Who is here: ${count}`);
    byId("people-toggle").title = "Who is here";
    byId("typing").replaceChildren(...typingText(channel.typingNames));
  });
  chat.client.addEventListener("channel", ({ detail }) => detail === chat.channel && render());
  chat.addEventListener("select", render);
}

function typingText(names) {
  const [first, second] = names.map(isolated);
  if (names.length === 0) return [];
  if (names.length === 1) return [first, " is typing…"];
  if (names.length === 2) return [first, " and ", second, " are typing…"];
  return ["Several people are typing…"];
}
