import { h, icon } from "../kit.ts";
import { link, safe } from "../link.ts";
import { about, heading } from "./heading.ts";
import type { Renderer } from "./kinds.ts";

/** Things to look at, in a row that scrolls, by keys too while it has the focus. */
export const card: Renderer = ({ cards }, { strings: t }) =>
  h(
    "div",
    { class: "cards" },
    heading(cards),
    h(
      "div",
      { class: "row", role: "group", tabIndex: 0, "aria-label": cards.title || t.cards },
      cards.cards.map((one: Record<string, string>) => {
        const { image, imageAlt, badge, price, link: url, title } = one;
        const linkText = one.linkText || t.learnMore;
        const box = h(
          "div",
          { class: "card" },
          badge && h("span", { class: "mark" }, badge),
          about(one, price && h("b", {}, price)),
          safe(url) && link(url, { class: "more", "aria-label": `${linkText}: ${title}` }, linkText),
        );
        const src = safe(image);
        const none = () => h("span", { class: "picture none" }, icon("M4 5h16v14H4zm0 11l5-5 8 8M15 9h.01"));
        const picture = src ? h("img", { class: "picture", loading: "lazy", alt: imageAlt ?? "", onerror: () => picture.replaceWith(none()), src }) : none();
        box.prepend(picture);
        return box;
      }),
    ),
  );
