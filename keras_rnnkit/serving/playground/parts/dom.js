/** Building elements. Text is always set as text, so nothing that a model writes can become markup. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. Properties that begin with "on" are listeners; those with a dash, and `role`, are attributes.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [properties]
 * @param {...(Node | string | null)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "role" || name === "for") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** An SVG element with attributes. */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** A control under its label, with a remark below it. */
export function field(label, control, remark = "") {
  return element("label", { className: "field" }, label, control, remark ? element("small", {}, remark) : null);
}

/** A field for a number with its bounds. */
export function numberInput(value, min, max, step = 1) {
  return element("input", { type: "number", value, min, max, step, inputMode: step < 1 ? "decimal" : "numeric" });
}

/**
 * The number in a field; an error that names the field if it is none, or out of bounds.
 * @param {HTMLInputElement} input
 * @param {string} label
 */
export function numberOf(input, label) {
  const value = input.valueAsNumber;
  const whole = input.step === "1" && !Number.isInteger(value);
  if (!Number.isFinite(value) || whole || value < Number(input.min) || (input.max !== "" && value > Number(input.max))) {
    const upper = input.max === "" ? " or more" : ` to ${input.max}`;
    const received = input.value || "nothing";
    throw new Error(`${label} must be ${whole ? "a whole number, " : ""}${input.min}${upper}. Received: ${received}.`);
  }
  return value;
}

/** A part of a view, with its title. */
export function panel(title, ...children) {
  return element("section", { className: "panel" }, title ? element("h3", {}, title) : null, ...children);
}
