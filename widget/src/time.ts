import { h } from "./kit.ts";

/** Says when something was, in the words of a language: the time of day, and the day unless it is today. */
export function when(time: number, locale: string | undefined): HTMLElement {
  const date = new Date(time);
  const today = date.toDateString() === new Date().toDateString();
  const style: Intl.DateTimeFormatOptions = { dateStyle: today ? undefined : "medium", timeStyle: "short" };
  let text: string;
  try {
    text = date.toLocaleString(locale || document.documentElement.lang || [], style);
  } catch {
    text = date.toLocaleString([], style); // there is no such language
  }
  return h("time", { dateTime: date.toISOString() }, text);
}
