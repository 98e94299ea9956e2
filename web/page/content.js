/** A message's text as nodes: links, and the names of those whom it mentions. */

import { element } from "./elements.js";

const LINK = /https?:\/\/[^\s<>"']+/g;
const WORD = /[\p{L}\p{N}_]/u;

/**
 * Find `@name` in a text, the longest name first.
 *
 * @param {Map<string, string>} people names by id
 * @returns {{start: number, end: number, userId: string}[]}
 */
export function mentionsIn(text, people) {
  const names = [...people]
    .flatMap(([userId, name]) => [[userId, name], [userId, userId]])
    .filter(([, name]) => name)
    .sort((a, b) => b[1].length - a[1].length);
  const lower = text.toLowerCase();
  const found = [];
  for (let at = lower.indexOf("@"); at >= 0; at = lower.indexOf("@", at + 1)) {
    const isInsideWord = at > 0 && WORD.test(text[at - 1]);
    const match = names.find(
      ([, name]) =>
        lower.startsWith(name.toLowerCase(), at + 1) && !WORD.test(text[at + 1 + name.length] ?? ""),
    );
    if (!match || isInsideWord) continue;
    found.push({ start: at, end: at + 1 + match[1].length, userId: match[0] });
  }
  return found;
}

/**
 * @param {string} text
 * @param {Map<string, string>} mentioned names of those whom the message mentions, by id
 * @param {string} ownId
 */
export function contentOf(text, mentioned, ownId) {
  const marks = mentionsIn(text, mentioned).map(({ start, end, userId }) => {
    const className = userId === ownId ? "mention of-me" : "mention";
    return { start, end, node: element("span", { className }, text.slice(start, end)) };
  });
  for (const match of text.matchAll(LINK)) {
    const href = match[0].replace(/[.,;:!?)\]]+$/, "");
    const node = element("a", { href, target: "_blank", rel: "noopener noreferrer" }, href);
    marks.push({ start: match.index, end: match.index + href.length, node });
  }
  const nodes = document.createDocumentFragment();
  let at = 0;
  for (const { start, end, node } of marks.sort((a, b) => a.start - b.start)) {
    if (start < at) continue;
    nodes.append(text.slice(at, start), node);
    at = end;
  }
  nodes.append(text.slice(at));
  return nodes;
}
