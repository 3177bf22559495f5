import type { Child } from "./dom.ts";
import { h } from "./kit.ts";
import { link } from "./link.ts";

// Every alternative ends at the next character of its own kind or fails there,
// so that the time to match grows with the length of a text and no faster.
const inline = new RegExp(
  [
    /(`{1,3})([^`]+)\1/, // code
    /\*\*(?=\S)((?:[^*]|\*(?!\*))+)\*\*/, // bold
    /\*(?=\S)([^*\n]*[^*\s])\*/, // italic
    /(?<!\w)_(?=\S)([^_\n]*[^_\s])_(?!\w)/,
    /\[([^[\]]+)\]\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)\)/, // link
    /https?:\/\/[^\s<>"]+/,
    /\\([!-/:-@[-`{-~])/, // escape
  ]
    .map((part) => part.source)
    .join("|"),
  "g",
);

const fence = /^ *```/;
const heading = /^#+ +(.+)/;
const item = /^( *)(?:[-*+•]|(\d+)[.)]) +(.*)/;
const deepest = 5; // lists within lists

function span(text: string): Child[] {
  const out: Child[] = [];
  let from = 0;
  for (const found of text.matchAll(inline)) {
    let [all, , code, bold, em, em2, label, url, escaped] = found;
    out.push(text.slice(from, found.index));
    // What ends a sentence is no part of its last address.
    if (/^h/.test(all)) all = all.replace(all.includes("(") ? /[.,;:!?'*_]+$/ : /[.,;:!?'*_)]+$/, "");
    out.push(
      code
        ? h("code", {}, code)
        : bold
          ? h("strong", {}, span(bold))
          : (em ??= em2)
            ? h("em", {}, span(em))
            : label
              ? link(url, {}, span(label))
              : escaped || link(all, {}, all),
    );
    from = found.index + all.length;
  }
  out.push(text.slice(from));
  return out;
}

function blocks(lines: string[], depth: number): HTMLElement[] {
  const out: HTMLElement[] = [];
  let at = 0;
  const take = (belongs: (line: string) => unknown) => {
    const from = at;
    while (at < lines.length && belongs(lines[at]!)) at++;
    return lines.slice(from, at);
  };
  while (at < lines.length) {
    const line = lines[at++]!;
    const [, indent, start, first] = (depth < deepest && item.exec(line)) || [];
    if (fence.test(line)) {
      out.push(h("pre", { tabIndex: 0 }, take((line) => !fence.test(line)).join("\n")));
      at++;
    } else if (first) {
      // What is indented belongs to the item before.
      const within = indent + "  ";
      const rest = take((line) => line.startsWith(within) || (!line.trim() && lines[at + 1]?.startsWith(within)));
      const tag = start ? "ol" : "ul";
      if (out.at(-1)?.localName !== tag) out.push(h(tag, { start }));
      out.at(-1)!.append(h("li", {}, blocks([first, ...rest.map((line) => line.slice(within.length))], depth + 1)));
    } else if (heading.test(line)) {
      out.push(h("p", {}, h("strong", {}, span(heading.exec(line)![1]!))));
    } else if (line.trim()) {
      const rest = take((line) => line.trim() && !fence.test(line) && !heading.test(line) && !item.test(line));
      out.push(h("p", {}, span([line, ...rest].join("\n"))));
    }
  }
  return out;
}

/** Makes nodes of a small part of Markdown: paragraphs, headings, lists, code, bold, italic and links. */
export function markdown(text: string): HTMLElement[] {
  return blocks(text.split(/\r\n?|\n/), 0);
}
