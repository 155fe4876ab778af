"use strict";

// Light, dark, or as the system has it. A plain script in the head, so that the page is never painted in the wrong one.
(() => {
  const NAMES = ["system", "light", "dark"];
  let stored = null;
  try {
    stored = localStorage.getItem("theme");
  } catch {
    // Storage can be forbidden; the choice then lasts as long as the page.
  }
  let theme = NAMES.includes(stored) ? stored : "system";

  function apply() {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (!button) return;
    button.textContent = `◐ ${theme[0].toUpperCase()}${theme.slice(1)}`;
    button.setAttribute("aria-label", `Theme: ${theme}`);
  }

  function next() {
    theme = NAMES[(NAMES.indexOf(theme) + 1) % NAMES.length];
    try {
      localStorage.setItem("theme", theme);
    } catch {
      // See above.
    }
    apply();
  }

  apply();
  addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme")?.addEventListener("click", next);
  });
})();
