/** Where the page gets its models from: the bundles beside it, run in this browser. */

export { allModels } from "./local_model.js";

export const isProtected = async () => false;
export const signIn = async () => {};
export const signOut = async () => {};
