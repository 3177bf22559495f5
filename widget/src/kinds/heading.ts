import type { Child } from "../dom.ts";
import { h } from "../kit.ts";

/** The title and description that content may have. */
export function heading({ title, description }: { title?: string; description?: string }): Child[] {
  return [
    title && h("strong", { class: "title" }, title),
    description && h("p", { class: "hint" }, description),
  ];
}

/** The title and description of one of several things. */
export function about({ title, description }: Record<string, string>, ...more: Child[]): HTMLElement {
  return h("span", { class: "about" }, h("strong", {}, title), h("span", {}, description), more);
}
