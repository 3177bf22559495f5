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

const item = /^( *)([-*+•]|(\d{1,9})[.)]) +(.*)$/;

function span(text: string): (Node | string)[] {
  const out: (Node | string)[] = [];
  let from = 0;
  for (const found of text.matchAll(inline)) {
    let [all, , code, bold, em, em2, label, url, escaped] = found;
    out.push(text.slice(from, found.index));
    if (code) out.push(h("code", {}, code));
    else if (bold) out.push(h("strong", {}, ...span(bold)));
    else if ((em ??= em2)) out.push(h("em", {}, ...span(em)));
    else if (label) out.push(link(url, {}, ...span(label)));
    else if (escaped) out.push(escaped);
    else {
      // What ends a sentence is no part of its last address.
      all = all.replace(all.includes("(") ? /[.,;:!?'*_]+$/ : /[.,;:!?'*_)]+$/, "");
      out.push(link(all, {}, all));
    }
    from = found.index + all.length;
  }
  out.push(text.slice(from));
  return out;
}

/** Makes nodes of a small part of Markdown: paragraphs, headings, lists, code, bold, italic and links. */
export function markdown(text: string): HTMLElement[] {
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  const out: HTMLElement[] = [];
  let at = 0;

  // A list and those within it; text that is indented belongs to the item before.
  const list = (indent: number, depth: number): HTMLElement => {
    const [, , , start] = item.exec(lines[at]!)!;
    const made = start ? h("ol", { start: Number(start) }) : h("ul");
    for (; at < lines.length; at++) {
      const line = lines[at]!;
      const found = item.exec(line);
      const last = made.lastElementChild;
      if (found && found[1]!.length > indent + 1 && last && depth < 5) {
        last.append(list(found[1]!.length, depth + 1));
        at--;
      } else if (found && found[1]!.length >= indent - 1) {
        if (!found[3] !== !start) break;
        made.append(h("li", {}, ...span(found[4]!)));
      } else if (line.trim() && !found && last && /^ /.test(line)) {
        last.append("\n", ...span(line.trim()));
      } else if (line.trim() || !item.test(lines[at + 1] ?? "")) {
        break;
      }
    }
    return made;
  };

  while (at < lines.length) {
    const line = lines[at]!;
    const heading = /^#{1,6} +(.+)/.exec(line);
    if (/^ *```/.test(line)) {
      const code: string[] = [];
      while (++at < lines.length && !/^ *```/.test(lines[at]!)) code.push(lines[at]!);
      at++;
      out.push(h("pre", { tabIndex: 0 }, h("code", {}, code.join("\n"))));
    } else if (heading) {
      at++;
      out.push(h("p", {}, h("strong", {}, ...span(heading[1]!))));
    } else if (item.test(line)) {
      out.push(list(item.exec(line)![1]!.length, 0));
    } else if (!line.trim()) {
      at++;
    } else {
      const paragraph: string[] = [];
      do paragraph.push(lines[at++]!);
      while (at < lines.length && lines[at]!.trim() && !/^( *```|#{1,6} )/.test(lines[at]!) && !item.test(lines[at]!));
      out.push(h("p", {}, ...span(paragraph.join("\n"))));
    }
  }
  return out;
}
