/** Light, dark, or as the system says. */

import { byId } from "./elements.js";

const KEY = "hubbub.theme";
const NEXT = { auto: "light", light: "dark", dark: "auto" };
const NAMES = { auto: "as the system", light: "light", dark: "dark" };

export function startTheme() {
  const button = byId("theme");
  let theme = localStorage.getItem(KEY) ?? "auto";
  const show = () => {
    document.documentElement.dataset.theme = theme;
    button.title = `Colours: ${NAMES[theme]}`;
    button.setAttribute("aria-label", `${button.title}. Change`);
  };
  button.onclick = () => {
    theme = NEXT[theme] ?? "auto";
    localStorage.setItem(KEY, theme);
    show();
  };
  show();
}
