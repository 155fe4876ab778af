/** Ctrl+Enter, or Cmd+Enter, in a field. */

/**
 * Submits a form when the keys are pressed in one of its fields.
 * @param {HTMLFormElement} form
 */
export function submitOnControlEnter(form) {
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
}
