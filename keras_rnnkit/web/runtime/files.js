/** The files of a bundle: read once each, and used only if their size and sha256 are those of the manifest. */

import { BundleError, shown } from "./errors.js";
import { sha256 } from "./sha256.js";

const FORMAT = 1;
const FILE = /^(?!\/)(?!.*(^|\/)\.\.?(\/|$))[^\\:*?"<>|\u0000-\u001f]+$/;

/** @typedef {(name: string, tell?: (bytes: number) => void) => Promise<Uint8Array>} Reader */

/** A reader of the files below an address, for a browser or for Node. */
export function readerOf(address) {
  const base = String(address).replace(/\/?$/, "/");
  return async (name) => {
    let response;
    try {
      response = await fetch(new URL(name, new URL(base, globalThis.location?.href)));
    } catch (error) {
      throw new BundleError(`The file ${shown(name)} of the bundle ${shown(base)} could not be fetched: ${error.message}.`);
    }
    if (!response.ok) throw new BundleError(`The bundle ${shown(base)} has no file ${shown(name)}: the server answered ${response.status}.`);
    return new Uint8Array(await response.arrayBuffer());
  };
}

export class BundleFiles {
  /** @param {Reader} read */
  static async open(read, where) {
    const content = await read("manifest.json");
    return new BundleFiles(read, where, parsed(content, where));
  }

  constructor(read, where, manifest) {
    this.reader = read;
    this.where = where;
    this.manifest = manifest;
  }

  /** The content of a file, after its size and hash were checked. */
  async read(name) {
    const facts = this.manifest.files[name];
    if (!facts) throw new BundleError(`The manifest of ${shown(this.where)} does not list ${shown(name)}. Export the model again.`);
    const content = await this.reader(name);
    if (content.length !== facts.size || (await sha256(content)) !== facts.sha256) {
      throw new BundleError(`The file ${shown(name)} of the bundle ${shown(this.where)} is not the one that was exported: it was changed, or cut off.`);
    }
    return content;
  }

  async readText(name) {
    return new TextDecoder().decode(await this.read(name));
  }
}

function parsed(content, where) {
  const refuse = (why) => {
    throw new BundleError(`The manifest of ${shown(where)} is not that of a bundle: ${why}. Export the model again.`);
  };
  let manifest;
  try {
    manifest = JSON.parse(new TextDecoder().decode(content));
  } catch (error) {
    refuse(error.message);
  }
  if (!Number.isInteger(manifest?.format)) refuse("it has no format");
  if (manifest.format !== FORMAT) {
    throw new BundleError(
      `The manifest of ${shown(where)} has format ${manifest.format}; this keras_rnnkit reads format ${FORMAT}. Install the version ` +
        "that wrote it, or export the model again.",
    );
  }
  const isObject = (value) => Object.getPrototypeOf(value ?? 0) === Object.prototype;
  if (!isObject(manifest.graphs) || !isObject(manifest.files)) refuse("it must have 'graphs' and 'files'");
  for (const [name, facts] of Object.entries(manifest.files)) {
    if (!FILE.test(name)) refuse(`${shown(name)} lies outside of the bundle`);
    if (!/^[0-9a-f]{64}$/.test(facts?.sha256) || !Number.isInteger(facts?.size)) refuse(`files.${name} must have a size and a sha256`);
  }
  for (const [mode, graph] of Object.entries(manifest.graphs)) {
    const named = [graph?.file, ...Object.values(graph?.quantized ?? {}).map((other) => other?.file)];
    for (const file of named) if (!(file in manifest.files)) refuse(`graphs.${mode} names a file that it does not list`);
  }
  return { saved_model: null, vocabulary: null, source_vocabulary: null, labels: null, refused: {}, ...manifest };
}
