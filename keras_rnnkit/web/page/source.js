/** Where the page gets its models from: the bundles beside it, run in this browser. */

import { DrawingView } from "../views/drawing.js";
import { FramesView } from "../views/frames.js";
import { Gallery } from "../views/gallery.js";
import { GlimpsesView } from "../views/glimpses.js";
import { ReadingView } from "../views/reading.js";

export { allModels } from "./local_model.js";

/** Views of kinds that a server does not have. */
export const moreViews = { drawing: DrawingView, frames: FramesView, glimpses: GlimpsesView, reading: ReadingView };
/** What the page shows before a model is chosen. */
export const Overview = Gallery;
export const isProtected = async () => false;
export const signIn = async (_token) => {};
export const signOut = async () => {};
