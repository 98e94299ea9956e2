/** Shows how the connection is, and what that means for what is being written. */

import { byId } from "./elements.js";

/** A lost connection that is back so soon is not worth a banner. */
const PATIENCE_MS = 1500;

/** @param {import("./client/hubbub.js").HubbubClient} client */
export function startConnection(client) {
  let lostAtMs = 0;
  let wasOnline = false;
  const show = () => {
    const { state } = client;
    wasOnline ||= state === "online";
    if (state === "online") lostAtMs = 0;
    else lostAtMs ||= Date.now();
    const pill = byId("connection");
    const word = wordOf(state, wasOnline);
    // The same words again would be read out again.
    if (pill.textContent !== word) pill.textContent = word;
    pill.dataset.state = state;
    byId("lost").hidden = state === "online" || Date.now() - lostAtMs < PATIENCE_MS;
    byId("lost-text").textContent = textOf(client);
    byId("lost-retry").hidden = state !== "waiting";
  };
  client.addEventListener("state", show);
  setInterval(show, 1000);
  byId("lost-retry").onclick = () => client.reconnect();
  show();
}

function wordOf(state, wasOnline) {
  if (state === "online") return "Connected";
  if (state === "refused") return "Refused";
  if (navigator.onLine === false) return "Offline";
  return wasOnline ? "Reconnecting" : "Connecting";
}

function textOf({ state, retryAtMs }) {
  if (state === "refused") return "The gateway refused this connection.";
  const seconds = Math.max(0, Math.ceil((retryAtMs - Date.now()) / 1000));
  const when = state === "waiting" && seconds > 1 ? ` Next try in ${seconds} s.` : "";
  const what = navigator.onLine === false ? "You are offline." : "The connection is lost.";
  return `${what}${when} What you write is sent as soon as it can be.`;
}
