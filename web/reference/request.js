// A call as it is filled in: its URL, its headers, and the same for a shell.

const ASKER = { "X-User-Id": "id", "X-User-Name": "name" };

/** Whether a parameter says who asks; the page asks that once, for all calls. */
export function namesAsker(parameter) {
  return parameter.name in ASKER || parameter.name === "userId" && parameter.in === "query" ||
    parameter.name === "userName";
}

/** What `fetch` is given for an operation; `values` are the form's, by `in` and name. */
export function buildRequest({ method, path, operation }, values, body, asker) {
  let url = path;
  const query = [];
  const headers = {};
  for (const parameter of operation.parameters) {
    const { name, in: place } = parameter;
    const value = namesAsker(parameter) ? asker[ASKER[name]] : values.get(`${place}:${name}`);
    if (place === "path") url = url.replace(`{${name}}`, encodeURIComponent(value ?? ""));
    else if (!value) continue;
    else if (place === "query" && !namesAsker(parameter)) query.push(`${name}=${encodeURIComponent(value).replaceAll("%2C", ",")}`);
    // Headers are bytes to a browser: a name in UTF-8, as the gateway reads it.
    else if (place === "header") headers[name] = String.fromCharCode(...new TextEncoder().encode(value));
  }
  if (query.length) url += `?${query.join("&")}`;
  if (body) headers["Content-Type"] = "application/json";
  return { url, method: method.toUpperCase(), headers, body: body || undefined };
}

/** The same request for curl. */
export function toCurl({ url, method, headers, body }, origin) {
  const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const decode = (text) => new TextDecoder().decode(Uint8Array.from(text, (character) => character.charCodeAt(0)));
  const parts = ["curl", "-i", ...(method === "GET" ? [] : ["-X", method])];
  for (const [name, value] of Object.entries(headers)) parts.push("-H", quote(`${name}: ${decode(value)}`));
  if (body) parts.push("-d", quote(body));
  return [...parts, quote(origin + url)].join(" ");
}
