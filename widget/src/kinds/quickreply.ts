import { h } from "../kit.ts";
import { heading } from "./heading.ts";
import type { Renderer } from "./kinds.ts";

/** Answers to choose from. The one chosen becomes the visitor's next message. */
export const quickReply: Renderer = ({ responses }, log) =>
  h(
    "div",
    { class: "choices" },
    heading(responses),
    responses.responses.map(({ id, text, value }: { id: string; text: string; value?: string }) => {
      const said = value || text;
      return choice(text, said, () => {
        log.announce("cannedResponseSelected", { id, text, value: said });
        log.send(said);
      });
    }),
  );

/** Makes a button for something that the visitor can say, once. */
export function choice(text: string, value: string, onclick: () => void): HTMLElement {
  const once = (event: Event) => {
    (event.target as HTMLButtonElement).disabled = true;
    onclick();
  };
  return h("button", { class: "choice", value, onclick: once }, text);
}
