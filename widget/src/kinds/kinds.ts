import type { Turn } from "../conversation.ts";
import type { Log } from "../log.ts";
import { article } from "./article.ts";
import { card } from "./card.ts";
import { form } from "./form.ts";
import { quickReply } from "./quickreply.ts";

/**
 * Shows the content_attributes of one kind of reply. It may throw where they are
 * not what the kind promises: then the reply's text is shown alone, as it is.
 */
export type Renderer = (attributes: any, log: Log, turn: Turn) => HTMLElement;

/** The kinds of content: one renderer in a file of its own, one line here. */
export const kinds: Record<string, Renderer> = {
  __proto__: null as never, // or a type could be called constructor
  article,
  card,
  form,
  quick_reply: quickReply,
  canned_response: quickReply,
};
