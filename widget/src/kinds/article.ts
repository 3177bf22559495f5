import { h, icon } from "../kit.ts";
import { link } from "../link.ts";
import { about } from "./heading.ts";
import type { Renderer } from "./kinds.ts";

/** Pages to read, each of them one link. */
export const article: Renderer = ({ items }) =>
  h(
    "div",
    { class: "articles" },
    items.map((item: Record<string, string>) => link(item.link, { class: "article" }, about(item), icon("M9 6l6 6-6 6"))),
  );
