// The entry of widget.mjs. Importing it makes <parley-chat> known and shows nothing.
import { define, find, make } from "./element.ts";
import { loadedFrom } from "./settings.ts";
import type { init as Init } from "./widget.d.ts";

loadedFrom(import.meta.url);
define();

/** Puts a chat into the page, or changes the settings of the one that is there. */
export const init: typeof Init = (settings) => (find() ?? make()).init(settings);
