/** One drawing for each kind of model. */

import { svg } from "./dom.js";

const PATHS = {
  text: "M4 6h16M4 11h16M4 16h9M17 14v6",
  translation: "M3 6h10M8 3v3M11 6c-1 5-4 8-8 9M5 10c2 3 4 5 7 5M12 21l4.5-10L21 21M13.6 17.5h5.8",
  captions: "M3 5h18v14H3zM3 16l5-5 4 4 3-3 6 5M16 9h.01",
  series: "M3 20V4M3 20h18M6 15l3-5 3 3 3-7 2 4",
  glimpses: "M4 4h5v5H4zM15 9h5v5h-5zM7 15h5v5H7zM9 6.5h8.5V9M17.5 14v3.5H12",
  drawing: "M4 20l1-4L16 5l3 3L8 19zM13.5 7.5l3 3",
  frames: "M3 7h12v10H3zM15 11l6-3v8l-6-3",
  reading: "M4 6h16M4 11h16M4 16h7M14 17l2.5 2.5L21 15",
  tensors: "M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h6v6h-6z",
};

/** The icon of a kind of model; it says nothing that the text beside it does not. */
export function icon(kind) {
  return svg(
    "svg",
    {
      viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", "stroke-width": 2, "stroke-linecap": "round",
      "stroke-linejoin": "round", class: "icon", "aria-hidden": "true",
    },
    svg("path", { d: PATHS[kind] ?? PATHS.tensors }),
  );
}
