/** What this runtime raises: sentences for people, the same as those of the Python runtime. */

/** The bundle cannot be used: a file is missing or changed, or a manifest is of another version. */
export class BundleError extends Error {
  name = "BundleError";
}

/** The model cannot take what was passed. */
export class InputError extends Error {
  name = "InputError";
}

/** A value as Python's messages show it. */
export function shown(value) {
  if (typeof value === "string") return `'${value.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return `[${value.map(shown).join(", ")}]`;
  return value === undefined || value === null ? "None" : typeof value === "boolean" ? (value ? "True" : "False") : String(value);
}

/** Names in quotes, with commas. */
export const listed = (names) => names.map(shown).join(", ");

/** @returns {number} the value, a whole number of `least` or more; an InputError for anything else */
export function wholeNumber(name, value, least) {
  const number = typeof value === "bigint" ? Number(value) : value;
  if (!Number.isSafeInteger(number) || number < least) {
    throw new InputError(`${name} must be a whole number, ${least} or more. Received: ${name}=${shown(value)}.`);
  }
  return number;
}
