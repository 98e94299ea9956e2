/** Times as people say them, in their own language and zone. */

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });
const distance = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });

export const clockOf = (text) => clock.format(new Date(text));

/** The time for a narrow place: without AM and PM, which the messages around it tell. */
export function shortClockOf(text) {
  const parts = clock.formatToParts(new Date(text)).filter(({ type }) => type !== "dayPeriod");
  return parts.map(({ value }) => value).join("").trim();
}

export const fullTimeOf = (text) => full.format(new Date(text));

/** The local day, to compare with. */
export const dateOf = (text) => new Date(text).toDateString();

export function dayNameOf(text) {
  const date = new Date(text);
  const today = new Date();
  const midnight = new Date(today.getFullYear(), today.getMonth(), today.getDate());
  const days = Math.floor((date.getTime() - midnight.getTime()) / 86_400_000);
  if (days === 0 || days === -1) {
    const name = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" }).format(days, "day");
    return name.charAt(0).toUpperCase() + name.slice(1);
  }
  return day.format(date);
}

export function agoOf(text) {
  const minutes = Math.round((new Date(text).getTime() - Date.now()) / 60_000);
  if (minutes > -60) return distance.format(Math.min(minutes, 0), "minute");
  if (minutes > -1440) return distance.format(Math.round(minutes / 60), "hour");
  return distance.format(Math.round(minutes / 1440), "day");
}
