/** Who uses this tab. Another tab may be somebody else; the last name is offered to a new one. */

const USER = "hubbub.user";
const NAME = "hubbub.name";
const CHANNELS = "hubbub.channels";

/** An id that the gateway takes for what somebody typed, empty if nothing of it can stay. */
export function idOf(text) {
  return text
    .normalize("NFKD")
    .trim()
    .toLowerCase()
    .replace(/\s+/g, "-")
    .replace(/[^a-z0-9_.:-]/g, "")
    .slice(0, 64);
}

export function currentUser() {
  return JSON.parse(sessionStorage.getItem(USER) ?? "null");
}

export function lastName() {
  return localStorage.getItem(NAME) ?? "";
}

export function signIn(name) {
  // A name in another script has no id of its own: this tab gets one.
  const id = idOf(name) || `u-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
  const user = { id, name };
  sessionStorage.setItem(USER, JSON.stringify(user));
  localStorage.setItem(NAME, name);
  return user;
}

export function signOut() {
  sessionStorage.removeItem(USER);
}

/** The channels this user had open here, the current one first. */
export function knownChannels(userId) {
  return JSON.parse(localStorage.getItem(`${CHANNELS}.${userId}`) ?? "[]");
}

export function keepChannels(userId, channelIds) {
  localStorage.setItem(`${CHANNELS}.${userId}`, JSON.stringify(channelIds));
}
