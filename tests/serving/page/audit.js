// What a page must have for everybody: contrast by WCAG AA, a name for each control, nothing wider than the window.
// An expression whose value is a list of sentences, empty where all is well.
(() => {
  const pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

  /** [red, green, blue, alpha] of any CSS colour. */
  function rgba(colour) {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = pen.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  }

  const over = ([r, g, b, a], below) => [r, g, b].map((channel, i) => channel * a + below[i] * (1 - a)).concat(1);

  const chain = (node) => (node ? [...chain(node.parentElement), node] : []);

  const ground = (node) =>
    chain(node).reduce((colour, each) => over(rgba(getComputedStyle(each).backgroundColor), colour), [255, 255, 255, 1]);

  const opacity = (node) => chain(node).reduce((product, each) => product * Number(getComputedStyle(each).opacity), 1);

  function luminance([r, g, b]) {
    const linear = [r, g, b].map((channel) => channel / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  }

  function ratio(first, second) {
    const [low, high] = [luminance(first), luminance(second)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  }

  const name = (node) => `<${node.localName} class="${node.getAttribute("class") ?? ""}"> ${node.textContent.trim().slice(0, 30)}`;
  const seen = (node) => node.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && !node.closest(".spoken-only, .skip");
  const problems = [];

  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !seen(node) || node.closest("option, select")) continue;
    const style = getComputedStyle(node);
    const [r, g, b, a] = rgba(node.namespaceURI.endsWith("svg") ? style.fill : style.color);
    const below = ground(node);
    const contrast = ratio(over([r, g, b, a * opacity(node)], below), below);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
    if (contrast < (large ? 3 : 4.5)) problems.push(`The text of ${name(node)} has a contrast of ${contrast.toFixed(2)}.`);
  }

  for (const control of document.querySelectorAll("button, input:not([type=range]), select, textarea")) {
    if (!seen(control)) continue;
    const style = getComputedStyle(control);
    const around = ground(control.parentElement);
    const contrast = Math.max(ratio(over(rgba(style.borderTopColor), around), around), ratio(ground(control), around));
    if (parseFloat(style.borderTopWidth) < 1 || contrast < 3) problems.push(`The border of ${name(control)} has a contrast of ${contrast.toFixed(2)}.`);
  }

  for (const control of document.querySelectorAll("button, input, select, textarea, canvas, svg[role], [tabindex='0']")) {
    const label = control.getAttribute("aria-label") || control.labels?.[0]?.textContent.trim() || control.textContent.trim();
    const hidden = control.type === "hidden" || control.getAttribute("aria-hidden") || (control.localName === "canvas" && control.closest("button"));
    if (seen(control) && !hidden && (!label || (control.matches("input, select, textarea") && !control.labels?.length))) {
      problems.push(`${name(control)} has no label.`);
    }
  }

  const wide = document.documentElement.scrollWidth;
  if (wide > innerWidth) problems.push(`The page is ${wide} pixels wide in a window of ${innerWidth}.`);
  for (const [what, selector] of [["live region", "[role=status][aria-live]"], ["heading", "h1"], ["main part", "main"]]) {
    if (!document.querySelector(selector)) problems.push(`The page has no ${what}.`);
  }
  return problems;
})()
