/** What h() takes as a child of an element; what is falsy is left out. */
export type Child = Node | string | null | undefined | false;

type Props = Record<string, unknown>;

/**
 * Makes an element. A prop is set as a property where the element has one of
 * that name, and as an attribute elsewhere; null and false are left out. Text
 * becomes text nodes: nothing in the widget ever parses HTML. Children of which
 * there may be any number come as an array: no call takes that many arguments.
 */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: (Child | Child[])[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  for (const name in props) {
    const value = props[name];
    if (value == null || value === false) continue;
    if (name in node) (node as unknown as Props)[name] = value;
    else node.setAttribute(name, value as string);
  }
  for (const child of children.flat()) if (child) node.append(child);
  return node;
}

/** Makes a picture of one path on a grid of 24 by 24, drawn in lines of the text's color. */
export function icon(path: string): SVGElement {
  const make = (tag: string) => document.createElementNS("http://www.w3.org/2000/svg", tag) as SVGElement;
  const svg = make("svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const line = make("path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

/** Makes a style sheet that no content security policy forbids, as a style attribute would be. */
export function sheet(css: string): CSSStyleSheet {
  const made = new CSSStyleSheet();
  made.replaceSync(css);
  return made;
}
