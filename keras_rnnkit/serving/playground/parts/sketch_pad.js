/** A square to draw on, with a mouse, a finger or the keyboard. */

import { announce } from "./announce.js";
import { element } from "./dom.js";

const SIDE = 280;
const MOVES = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };

/**
 * @param {object} options
 * @param {string} options.label what is drawn, for people who do not see it
 * @param {() => void} options.changed told whenever something was drawn or wiped
 * @param {string[]} [options.colours] of the pen; the first one is chosen. Several get a button each.
 * @param {string} [options.ground] colour of the paper
 * @param {number} [options.width] of the pen, as a share of the side
 */
export function sketchPad({ label, changed, colours = ["white"], ground = "black", width = 0.09 }) {
  const canvas = element("canvas", {
    width: SIDE, height: SIDE, className: "sketch", tabIndex: 0, role: "application",
    "aria-label": `${label}. The arrow keys move the pen, and the space bar puts it down or lifts it.`,
  });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const mark = element("span", { className: "pen", "aria-hidden": "true" });
  let [at, down, isEmpty] = [[SIDE / 2, SIDE / 2], false, true];

  function wipe() {
    Object.assign(pen, { fillStyle: ground, lineCap: "round", lineJoin: "round", lineWidth: SIDE * width, strokeStyle: colours[0] });
    pen.fillRect(0, 0, SIDE, SIDE);
    isEmpty = true;
  }

  function line(to) {
    pen.beginPath();
    pen.moveTo(at[0], at[1]);
    pen.lineTo(to[0], to[1]);
    pen.stroke();
    move(to);
    isEmpty = false;
    changed();
  }

  function move(to) {
    at = to;
    mark.style.left = `${(100 * at[0]) / SIDE}%`;
    mark.style.top = `${(100 * at[1]) / SIDE}%`;
  }

  function placeOf(event) {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * SIDE) / box.width, ((event.clientY - box.top) * SIDE) / box.height];
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.isTrusted) canvas.setPointerCapture(event.pointerId);
    move(placeOf(event));
    down = true;
    line(at);
  });
  canvas.addEventListener("pointermove", (event) => down && event.buttons && line(placeOf(event)));
  for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, () => (down = false));
  canvas.addEventListener("keydown", (event) => {
    const step = MOVES[event.key];
    if (!step && event.key !== " ") return;
    event.preventDefault();
    if (!step) {
      down = !down;
      announce(down ? "The pen is down." : "The pen is lifted.");
      if (down) line(at);
      return;
    }
    const to = at.map((place, axis) => Math.max(0, Math.min(SIDE, place + (step[axis] * SIDE) / 20)));
    if (down) line(to);
    else move(to);
  });
  canvas.addEventListener("blur", () => (down = false));
  wipe();
  move(at);

  const clear = element("button", { type: "button", onclick: () => { wipe(); changed(); } }, "Wipe");
  const tools = colours.length > 1 ? colourButtons(colours, (colour) => (pen.strokeStyle = colour)) : null;
  const node = element("div", { className: "stack" }, element("div", { className: "paper" }, canvas, mark), tools, element("div", { className: "row" }, clear));
  return { node, canvas, isEmpty: () => isEmpty };
}

function colourButtons(colours, choose) {
  const buttons = colours.map((colour, i) =>
    element("button", { type: "button", className: "chip", "aria-pressed": String(!i), onclick: () => press(i) }, colour[0].toUpperCase() + colour.slice(1)));
  const press = (index) => {
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === index)));
    choose(colours[index]);
  };
  return element("div", { className: "chips", role: "group", "aria-label": "Colour of the pen" }, ...buttons);
}
