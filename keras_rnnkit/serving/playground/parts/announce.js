/** Sentences for everybody: errors that are seen, and events that a screen reader speaks. */

import { element } from "./dom.js";

/** Let a screen reader say a sentence. */
export function announce(sentence) {
  const live = document.getElementById("live");
  if (live) live.textContent = sentence;
}

/** A place for the errors of one view. `show("")` hides it. */
export function problemBox() {
  const node = element("p", { className: "problem", role: "alert", hidden: true });
  return {
    node,
    show(sentence) {
      node.textContent = sentence;
      node.hidden = !sentence;
    },
  };
}
