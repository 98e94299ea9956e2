// Reads the OpenAPI document and shows its calls.

import { renderCall } from "./call.js";
import { element } from "./elements.js";
import { Schemas } from "./schema.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
const calls = document.getElementById("calls");
const contents = document.getElementById("contents");
const find = document.getElementById("find");
const form = document.getElementById("asker");

const asker = () => Object.fromEntries(new FormData(form));

function callsOf(openapi) {
  return Object.entries(openapi.paths).flatMap(([path, operations]) =>
    METHODS.filter((method) => method in operations).map((method) => ({ method, path, operation: operations[method] })));
}

function show(openapi) {
  const schemas = new Schemas(openapi.components.schemas);
  const groups = groupByTag(callsOf(openapi));
  calls.replaceChildren(element("p", {}, openapi.info.description.replaceAll("`", "")));
  for (const [tag, group] of groups) {
    const section = element("section", {}, [element("h2", {}, tag), ...group.map((call) => renderCall(call, schemas, asker))]);
    calls.append(section);
    contents.append(element("section", {}, [element("h2", {}, tag), ...group.map(linkTo)]));
  }
  openNamed();
}

function groupByTag(all) {
  const groups = new Map();
  for (const call of all) {
    const [tag] = call.operation.tags;
    groups.set(tag, [...(groups.get(tag) ?? []), call]);
  }
  return groups;
}

function linkTo({ method, path, operation }) {
  return element("a", { href: `#${operation.operationId}` }, [
    element("span", { className: `method ${method}` }, method.toUpperCase()), path.replace("/api", ""),
  ]);
}

function openNamed() {
  const named = document.getElementById(location.hash.slice(1));
  if (named?.matches("details.call")) {
    named.open = true;
    named.querySelector("summary").focus({ preventScroll: true });
    named.scrollIntoView();
  }
}

function filter() {
  const wanted = find.value.toLowerCase().split(/\s+/);
  for (const each of document.querySelectorAll("details.call, nav a")) {
    const text = (each.querySelector("summary") ?? each).textContent.toLowerCase();
    each.hidden = !wanted.every((word) => text.includes(word));
  }
  for (const section of document.querySelectorAll("main section, nav section")) {
    section.hidden = !section.querySelector(":scope > :not(h2, [hidden])");
  }
}

find.addEventListener("input", filter);
form.addEventListener("submit", (event) => event.preventDefault());
addEventListener("hashchange", openNamed);
addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.matches("input, textarea")) {
    event.preventDefault();
    find.focus();
  }
});

try {
  const response = await fetch("/api/openapi.json");
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  show(await response.json());
} catch (error) {
  calls.replaceChildren(element("p", { role: "alert" }, `The document cannot be read: ${error.message}`));
}
