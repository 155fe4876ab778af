/** Copying text to the clipboard. */

import { announce } from "./announce.js";
import { element } from "./dom.js";

/** A button that copies a text. Its label says for a moment whether that worked. */
export function copyButton(text, label = "Copy") {
  const button = element("button", { type: "button", className: "copy" }, label);
  button.addEventListener("click", async () => {
    const done = (await copied(text())) ? "Copied" : "Select the text to copy it";
    button.textContent = done;
    announce(done);
    setTimeout(() => (button.textContent = label), 1500);
  });
  return button;
}

/** Code with a button that copies it. */
export function codeBlock(text) {
  const block = element("pre", { tabIndex: 0 }, text);
  return element("div", { className: "code" }, block, copyButton(() => block.textContent));
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return byCommand(text); // pages over plain HTTP have no clipboard object
  }
}

function byCommand(text) {
  const area = element("textarea", { value: text, className: "spoken-only" });
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}
