// The entry of widget.js: one script tag, and there is a chat.
import { define, find, make } from "./element.ts";
import { loadedFrom, page, setting } from "./settings.ts";

const { src, dataset } = document.currentScript as HTMLScriptElement;

if (!window.Parley) {
  loadedFrom(src);
  for (const name in dataset) Object.assign(page.script, setting(name, dataset[name]));
  define();
  window.Parley = make();
  // The page may have a <parley-chat> of its own, further down.
  const settle = () => (window.Parley = find() ?? window.Parley!.init(dataset.target ? { target: dataset.target } : {}));
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", settle);
  else settle();
}
