/** Where the page gets its models from: the server. A page without a server has another file in the place of this one. */

export { isProtected, serverModels as allModels, signIn, signOut } from "./server_model.js";

/** Views of kinds that only a model in the browser has. */
export const moreViews = {};
/** What the page shows before a model is chosen, where it does not show the first one. */
export const Overview = null;
