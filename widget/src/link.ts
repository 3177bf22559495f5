import { type Child } from "./dom.ts";
import { h } from "./kit.ts";

/** Returns a URL that is safe to follow, or nothing: http, https, mailto, tel, or relative to the page. */
export function safe(url: unknown): string | undefined {
  try {
    const { protocol, href } = new URL(url as string, document.baseURI);
    return url && /^(https?|mailto|tel):$/.test(protocol) ? href : undefined;
  } catch {
    return undefined;
  }
}

/** Makes a link, or the same without a link where the URL is not safe. What leaves the page opens beside it. */
export function link(url: unknown, props: Record<string, unknown>, ...children: (Child | Child[])[]): HTMLElement {
  const href = safe(url);
  if (!href) return h("span", props, ...children);
  const leaves = /^http/.test(href) && !/^#/.test(url as string);
  return h("a", { ...props, href, rel: "noreferrer nofollow", target: leaves && "_blank" }, ...children);
}
