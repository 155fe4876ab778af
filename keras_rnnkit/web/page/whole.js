"use strict";

// Says so if a file of the page is missing, where the page would wait for ever otherwise. A plain script, which needs no other file.
addEventListener(
  "error",
  ({ target }) => {
    const waiting = document.getElementById("waiting");
    if (!(target instanceof HTMLScriptElement) || !waiting) return;
    waiting.className = "problem";
    waiting.setAttribute("role", "alert");
    waiting.textContent =
      `This page is not whole: ${new URL(target.src).pathname}, or a file that it imports, could not be loaded. ` +
      "Check the network and reload; if that does not help, copy the folder that rnnkit web wrote again.";
  },
  true,
);
