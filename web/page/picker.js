/** A small choice of reactions, beside what it was opened for. */

import { byId, element } from "./elements.js";

const COLUMNS = 6;
const EMOJI = {
  "👍": "thumbs up", "👎": "thumbs down", "❤️": "heart", "😂": "tears of joy", "🎉": "celebration",
  "🙏": "thank you", "👀": "eyes", "🔥": "fire", "✅": "done", "❌": "no", "🤔": "thinking",
  "😮": "surprised", "😢": "sad", "😅": "relieved", "😍": "in love", "👏": "applause", "💯": "hundred",
  "🚀": "rocket", "☕": "coffee", "🌱": "seedling", "⭐": "star", "💡": "idea", "🐛": "bug", "🤝": "agreed",
};

/**
 * Let somebody choose; `onPick` gets the emoji.
 *
 * @param {Element} near
 * @param {(emoji: string) => void} onPick
 */
export function openPicker(near, onPick) {
  const picker = byId("picker");
  const buttons = Object.entries(EMOJI).map(([emoji, name]) =>
    element(
      "button",
      {
        type: "button",
        className: "emoji",
        "aria-label": name,
        title: name,
        onclick: () => {
          picker.hidePopover();
          onPick(emoji);
        },
      },
      emoji,
    ),
  );
  picker.replaceChildren(...buttons);
  picker.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: COLUMNS, ArrowUp: -COLUMNS }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = buttons.indexOf(document.activeElement) + step;
    buttons[(at + buttons.length) % buttons.length].focus();
  };
  picker.showPopover();
  place(picker, near.getBoundingClientRect());
  buttons[0].focus();
}

function place(picker, near) {
  const { offsetWidth: width, offsetHeight: height } = picker;
  const left = Math.min(near.right, innerWidth - 8) - width;
  const below = near.bottom + 4;
  picker.style.left = `${Math.max(8, left)}px`;
  picker.style.top = `${below + height < innerHeight ? below : Math.max(8, near.top - height - 4)}px`;
}
