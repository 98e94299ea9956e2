/** DOM nodes from plain values; text only ever becomes text. */

const SVG = "http://www.w3.org/2000/svg";
const HUES = 8;

export const byId = (id) => document.getElementById(id);

/**
 * @param {string} tag
 * @param {object} [properties] properties of the node; `aria-…`, `role` and `data-…` are attributes
 * @param {...(Node | string)} children
 */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "role" || name.startsWith("aria-") || name.startsWith("data-")) {
      node.setAttribute(name, value);
    } else {
      node[name] = value;
    }
  }
  node.append(...children);
  return node;
}

/** A text of somebody's own choice inside another: it does not turn what stands around it. */
export const isolated = (text) => element("bdi", {}, text);

export function icon(name) {
  const node = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  node.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#icon-${name}`);
  node.append(use);
  return node;
}

export function iconButton(name, label, onclick) {
  const properties = { className: "quiet", type: "button", title: label, onclick };
  return element("button", { ...properties, "aria-label": label }, icon(name));
}

/** A user's initials in a colour that is always theirs. */
export function avatar(userId, userName) {
  let hash = 0;
  for (const character of userId) hash = (hash * 31 + character.codePointAt(0)) % 9973;
  const words = userName.trim().split(/\s+/);
  const initials = [words[0], words.length > 1 ? words.at(-1) : ""].map((word) => [...word][0] ?? "");
  const className = `avatar hue-${hash % HUES}`;
  return element("span", { className, "aria-hidden": "true" }, initials.join("").toUpperCase());
}

/**
 * Have a list show these items. Those that look the same stay: a click goes to what it began on, and
 * the focus is kept. An item names in `data-…` whatever its handlers know of it.
 */
export function showItems(list, items) {
  const shown = [...list.children];
  for (const item of items) {
    const at = shown.findIndex((node) => node.isEqualNode(item));
    if (at < 0) list.insertBefore(item, shown[0] ?? null);
    else for (const gone of shown.splice(0, at + 1).slice(0, at)) gone.remove();
  }
  for (const gone of shown) gone.remove();
}

/** Run `render` once for all the calls of one moment; also in a tab that is not seen. */
export function coalesced(render) {
  let isAwaited = false;
  const run = () => {
    isAwaited = false;
    render();
  };
  return () => {
    if (isAwaited) return;
    isAwaited = true;
    if (document.hidden) setTimeout(run, 250);
    else requestAnimationFrame(run);
  };
}
