/** Where the page gets its models from: the server. A page without a server has another file in the place of this one. */

export { isProtected, serverModels as allModels, signIn, signOut } from "./server_model.js";
