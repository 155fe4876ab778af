/** A text whose tokens are coloured by the state of one unit. */

import { element } from "../parts/dom.js";

const STRONG = 0.35; // of the largest state: from here on a token is underlined too

/**
 * Tokens that are coloured by `paint`. Blue with a dotted line is below zero, orange with a solid line above.
 * @param {string[]} tokens
 * @param {string} gap between two tokens
 * @param {(token: number) => void} point told which token is pointed at
 */
export function colouredText(tokens, gap, point) {
  const spans = tokens.map((token, i) => {
    const span = element("span", { className: "token", tabIndex: i ? -1 : 0, role: "option" }, token);
    span.dataset.i = String(i);
    return span;
  });
  const node = element(
    "div",
    { className: "text coloured", role: "listbox", "aria-label": "The text, coloured by the unit. Arrow keys go from token to token" },
    ...spans.flatMap((span) => (gap ? [span, gap] : [span])),
  );
  const pointed = ({ target }) => target.dataset.i !== undefined && select(Number(target.dataset.i));
  for (const kind of ["pointerover", "click", "focusin"]) node.addEventListener(kind, pointed);
  node.addEventListener("keydown", (event) => move(event, spans));
  let selected = 0;

  function select(i) {
    spans[selected].tabIndex = -1;
    spans[selected].removeAttribute("aria-selected");
    selected = i;
    spans[i].tabIndex = 0;
    spans[i].setAttribute("aria-selected", "true");
    point(i);
  }

  /** Colour the tokens by numbers from -1 to 1. */
  function paint(shares) {
    shares.forEach((share, i) => {
      const strong = Math.abs(share) >= STRONG;
      spans[i].className = `token${strong ? (share < 0 ? " below" : " above") : ""}`;
      const colour = share < 0 ? "var(--negative)" : "var(--positive)";
      spans[i].style.backgroundColor = `color-mix(in srgb, ${colour} ${Math.round(100 * Math.abs(share))}%, transparent)`;
    });
  }

  return { node, paint, selected: () => selected };
}

function move(event, spans) {
  const i = Number(event.target.dataset.i);
  const to = { ArrowLeft: i - 1, ArrowRight: i + 1, Home: 0, End: spans.length - 1 }[event.key];
  if (to === undefined || !spans[to]) return;
  event.preventDefault();
  spans[to].focus();
}

/** The key to the colours. */
export function colourLegend() {
  const sample = (side, text) => element("span", {}, element("i", { className: `token strong ${side}` }, "ab"), text);
  return element("div", { className: "legend" }, sample("below", "below zero"), sample("above", "above zero"), "the stronger the colour, the larger the value");
}
