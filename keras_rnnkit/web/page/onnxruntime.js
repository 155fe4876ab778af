/** The files of onnxruntime-web, fetched by the page, whose content policy says from where, and checked by their hashes. */

/** @typedef {{name: string, address: string, integrity: string}} RuntimeFile */

/** The bytes of each file by its name. An error with a sentence if a file cannot be fetched, or is another one. */
export async function onnxruntimeFiles() {
  /** @type {RuntimeFile[]} */
  const files = JSON.parse(document.getElementById("onnxruntime").textContent);
  return Object.fromEntries(await Promise.all(files.map(async (file) => [file.name, await bytesOf(file)])));
}

/** @param {RuntimeFile} file */
async function bytesOf({ name, address, integrity }) {
  try {
    const response = await fetch(address, { integrity });
    if (response.ok) return await response.arrayBuffer();
  } catch {
    // A browser does not tell a file that cannot be reached from one with another hash.
  }
  throw new Error(await reasonOf(name, address));
}

async function reasonOf(name, address) {
  const { href } = new URL(address, document.baseURI);
  const response = await fetch(address, { cache: "reload" }).catch(() => null);
  if (!response) return `The file ${name} of onnxruntime-web cannot be fetched from ${href}. Check the network and reload.`;
  if (!response.ok) return `The file ${name} of onnxruntime-web is missing: ${href} answered ${response.status}. Build the page again.`;
  return (
    `The file ${name} from ${href} is not the one that this page was built with: its hash differs. ` +
    "Reload; if that does not help, build the page again."
  );
}
