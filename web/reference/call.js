// One call of the document: what goes in and out, and a form that tries it.

import { element } from "./elements.js";
import { buildRequest, namesAsker, toCurl } from "./request.js";

const STREAMS = ["101", "text/event-stream"];

/** The call as a `<details>`, filled when it is first opened. */
export function renderCall(call, schemas, asker) {
  const details = element("details", { className: "call", id: call.operation.operationId }, [
    element("summary", {}, [
      element("span", { className: `method ${call.method}` }, call.method.toUpperCase()),
      element("code", {}, call.path),
      element("span", { className: "what" }, call.operation.summary),
    ]),
  ]);
  details.addEventListener("toggle", () => details.append(renderInside(call, schemas, asker)), { once: true });
  return details;
}

function renderInside(call, schemas, asker) {
  const inside = element("div", {}, [renderForm(call, schemas, asker)]);
  const body = call.operation.requestBody?.content["application/json"].schema;
  if (body) inside.append(element("h3", {}, "Body"), renderFields(schemas.fieldsOf(body)));
  inside.append(element("h3", {}, "Answers"));
  for (const [status, answer] of Object.entries(call.operation.responses)) {
    inside.append(renderAnswer(status, answer, schemas));
  }
  return inside;
}

function renderForm(call, schemas, asker) {
  const { operation } = call;
  const form = element("form", { autocomplete: "off" });
  const asked = operation.parameters.filter((parameter) => !namesAsker(parameter));
  form.append(element("h3", {}, "Try it"), element("div", { className: "fields" }, asked.map((each) => renderInput(each, schemas, initialOf(call, each, asker())))));
  const body = operation.requestBody?.content["application/json"].schema;
  if (body) {
    const text = JSON.stringify(schemas.exampleOf(body), null, 2);
    form.append(element("label", {}, ["Body", element("textarea", { name: "body", value: text, spellcheck: false })]));
  }
  const shell = element("pre", {});
  const outcome = element("div", { role: "status" });
  const read = () => {
    const values = new FormData(form);
    return buildRequest(call, values, values.get("body"), asker());
  };
  const showCurl = () => { shell.textContent = toCurl(read(), location.origin); };
  form.addEventListener("input", showCurl);
  form.addEventListener("focusin", showCurl);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    showCurl();
    send(read(), outcome);
  });
  if (isStream(operation)) form.append(element("p", { className: "hint" }, "It does not end: follow it from a shell or from the chat page."));
  else form.append(element("button", { type: "submit" }, "Send"));
  form.append(shell, outcome);
  showCurl();
  return form;
}

function isStream({ responses }) {
  return STREAMS[0] in responses || Object.values(responses).some(({ content }) => content && STREAMS[1] in content);
}

/** What a required parameter begins with: what there is, or will be, in every deployment. */
function initialOf({ path }, { name }, asker) {
  if (name === "userId" || name === "userIds" || path.startsWith("/api/users/")) return asker.id;
  return name === "emoji" ? "👍" : path.includes("/messages/") ? "" : "general";
}

function renderInput(parameter, schemas, initial) {
  const { name, in: place, required, schema, description } = parameter;
  const input = element("input", { name: `${place}:${name}`, required: Boolean(required), spellcheck: false });
  if (schema.default !== undefined) input.placeholder = schema.default;
  if (required) input.value = initial;
  const rules = [schemas.typeOf(schema), ...schemas.rulesOf(schema), ...(description ? [description] : [])];
  return element("label", {}, [
    element("code", {}, name), ` in ${place}${required ? ", required" : ""}`, input,
    element("span", { className: "hint" }, rules.join(" · ")),
  ]);
}

async function send({ url, ...init }, outcome) {
  outcome.replaceChildren("…");
  const started = performance.now();
  try {
    const response = await fetch(url, init);
    const text = await response.text();
    const took = Math.round(performance.now() - started);
    const kind = response.ok ? "good" : "bad";
    const headers = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    outcome.replaceChildren(
      element("p", {}, [element("span", { className: `status ${kind}` }, `${response.status} ${response.statusText}`), ` in ${took} ms`]),
      element("details", { className: "answer" }, [element("summary", {}, "Headers"), element("pre", {}, headers)]),
      ...(text ? [element("pre", { tabIndex: 0 }, pretty(text))] : []),
    );
  } catch (error) {
    outcome.replaceChildren(element("p", { className: "status bad" }, `No answer: ${error.message}`));
  }
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function renderAnswer(status, answer, schemas) {
  const [mediaType, content] = Object.entries(answer.content ?? {})[0] ?? [];
  const kind = status < "400" ? "good" : "bad";
  const head = [element("span", { className: `status ${kind}` }, status), ` ${answer.description.replaceAll("`", "")}`];
  if (!content?.schema) return element("p", {}, head);
  const schema = content.schema;
  const choices = schema.anyOf ?? [schema];
  return element("details", { className: "answer" }, [
    element("summary", {}, head),
    element("p", { className: "type" }, `${mediaType}: ${schemas.typeOf(schema)}`),
    ...choices.flatMap((each) => renderFields(schemas.fieldsOf({ $ref: each.$ref, ...(each.$ref ? {} : each) }))),
  ]);
}

function renderFields(fields) {
  if (!fields.length) return element("p", { className: "hint" }, "No fields.");
  const rows = fields.map(({ name, type, isRequired, rules }) => element("tr", {}, [
    element("td", {}, [element("code", {}, name), isRequired ? "" : " ?"]),
    element("td", { className: "type" }, type),
    element("td", {}, rules.join(" · ")),
  ]));
  const names = ["Field", "Type", "Rules"].map((each) => element("th", { scope: "col" }, each));
  return element("div", { className: "scroll" }, [
    element("table", {}, [element("thead", {}, [element("tr", {}, names)]), element("tbody", {}, rows)]),
  ]);
}
