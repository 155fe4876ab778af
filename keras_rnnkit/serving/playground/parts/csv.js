/** Series as people have them: numbers with commas, spaces or lines between them, with or without a header. */

/**
 * The columns of a text.
 * @param {string} text
 * @returns {{names: string[], columns: number[][]}}
 */
export function parseSeries(text) {
  const lines = text.split(/\r?\n/).map((line) => line.trim()).filter(Boolean);
  if (!lines.length) throw new Error("The series is empty. Paste numbers, or load a file.");
  let rows = lines.map(cells);
  const header = rows.length > 1 && rows[0].some((cell) => !isNumber(cell)) ? rows[0] : null;
  if (header) rows = rows.slice(1);
  if (!header && rows.length === 1 && rows[0].length > 1) rows = rows[0].map((cell) => [cell]); // a series in one line
  const width = rows[0].length;
  const numbers = rows.map((row, i) => numbersOf(row, width, i + 1 + (header ? 1 : 0)));
  const numeric = [...Array(width).keys()].filter((column) => numbers.every((row) => row[column] !== null));
  if (!numeric.length) throw new Error(`No column holds numbers only. The first row is: ${lines[header ? 1 : 0].slice(0, 80)}`);
  return {
    names: numeric.map((column) => header?.[column] || (width > 1 ? `column ${column + 1}` : "value")),
    columns: numeric.map((column) => numbers.map((row) => row[column])),
  };
}

/** The cells of a line; it may end with a comma. */
function cells(line) {
  const separator = /[,;\t]/.test(line) ? /[,;\t]/ : /\s+/;
  return line.replace(/[,;]$/, "").split(separator).map((cell) => cell.trim().replace(/^"|"$/g, ""));
}

const isNumber = (cell) => cell !== "" && Number.isFinite(Number(cell));

/** The numbers of a row, null where a cell is none. */
function numbersOf(row, width, number) {
  if (row.length !== width) {
    throw new Error(`Every row must have the same number of values. Row ${number} has ${row.length}, and the first has ${width}.`);
  }
  return row.map((cell) => (isNumber(cell) ? Number(cell) : null));
}
