import { Conversation, type Turn } from "./conversation.ts";
import type { Child } from "./dom.ts";
import type { Host } from "./element.ts";
import { kinds } from "./kinds/kinds.ts";
import { choice } from "./kinds/quickreply.ts";
import { h } from "./kit.ts";
import { markdown } from "./markdown.ts";
import { chatStrings } from "./strings.ts";
import { when } from "./time.ts";
import type { Events, Strings } from "./widget.d.ts";

const near = 60; // pixels from the end at which a reader counts as being there

/** The conversation as the visitor sees it, and where in it the visitor is. */
export class Log {
  readonly host: Host;
  conversation!: Conversation;
  /** When the conversation is there. */
  loaded = Promise.resolve();
  /** What scrolls. */
  readonly element = h("div", { class: "log", role: "log", "aria-live": "off", tabIndex: 0 });
  /** Leads to what is new below. */
  readonly jump = h("button", { class: "jump", onclick: () => this.end("smooth") });
  /** Is read out to those who do not see the screen. */
  readonly status = h("div", { class: "hidden", role: "status" });
  /** Sends a message as though the visitor had written it. */
  readonly send: (text: string) => void;
  #edit: (turn: Turn) => void;
  #top = h("div", { class: "top" });
  #list = h("div", { class: "list" });
  #nodes = new Map<Turn, HTMLElement>();
  #following = true; // the visitor is at the end, and stays there when it grows
  #loading = false;
  #frame = 0; // that will show more of a reply

  constructor(host: Host, send: (text: string) => void, edit: (turn: Turn) => void) {
    this.host = host;
    this.send = send;
    this.#edit = edit;
    this.element.append(this.#top, this.#list);
    this.element.onscroll = () => this.#scrolled();
    const grown = new ResizeObserver(() => this.#following && this.end());
    for (const node of [this.element, this.#list]) grown.observe(node);
  }

  get strings(): Strings {
    return { ...chatStrings, ...this.host.strings };
  }

  get #agent(): string {
    return this.host.settings.agentName || this.strings.agent;
  }

  /** Dispatches an event here and, as other chats do, on the document. */
  announce<K extends keyof Events>(type: K, detail: Events[K]): void {
    this.host.emit(type, detail);
    document.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** Takes up the conversation of the visitor who is here now, as it is now. */
  begin(): Promise<void> {
    return (this.loaded = this.#load());
  }

  async #load(): Promise<void> {
    this.conversation?.end();
    const conversation = (this.conversation = new Conversation(this.host, this));
    this.#nodes.clear();
    this.#list.replaceChildren();
    this.#loading = false;
    this.status.textContent = "";
    let failed = false;
    await conversation.load().catch(() => (failed = true));
    for (const turn of conversation.turns) this.#list.append(this.#node(turn));
    this.#settle();
    this.greet(failed);
    this.end();
  }

  /** Shows what stands above the first message. */
  greet(failed = false): void {
    const t = this.strings;
    const { turns, more } = this.conversation;
    const { initialMessage = t.greeting, suggestions = [] } = this.host.settings;
    this.element.ariaLabel = t.conversation;
    this.jump.textContent = t.jump + " ↓";
    const parts: Child[] = failed
      ? [h("p", { class: "notice" }, t.unloaded, " ", this.#button(t.retry, () => this.#earlier()))]
      : [
          !more && initialMessage && this.#said(markdown(initialMessage)),
          !turns.length && h("div", { class: "choices" }, suggestions.map((text) => choice(text, text, () => this.send(text)))),
        ];
    this.#top.replaceChildren(h("div", {}, parts));
  }

  /** Shows a new message, wherever the visitor was. */
  added(turn: Turn): void {
    const node = this.#node(turn);
    this.#list.append(node);
    this.#settle();
    this.greet();
    this.end();
  }

  /** Shows what there is of a reply so far, with the next frame. */
  streamed(turn: Turn): void {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      if (turn === this.conversation.waiting) this.#fill(turn);
    });
  }

  /** Shows what became of a message. */
  changed(turn: Turn): void {
    const { element } = this;
    const following = this.#following;
    const node = this.#fill(turn);
    const { waiting } = this.conversation;
    if (waiting) this.#fill(waiting);
    if (!turn.reply && !turn.failure) return this.end();
    if (turn.reply && !this.host.shown) this.host.unread++;
    const answer = node.querySelector<HTMLElement>(".bot,.failed")!;
    this.status.textContent = answer.textContent;
    if (!following) {
      this.jump.hidden = false;
    } else if (!turn.text && answer.offsetHeight > element.clientHeight) {
      // A long answer that comes at once is read from its beginning.
      this.#following = false;
      element.scrollTop += answer.getBoundingClientRect().top - element.getBoundingClientRect().top - 12;
    } else {
      this.end();
    }
  }

  removed(turn: Turn): void {
    this.#nodes.get(turn)!.remove();
  }

  /** Goes to the end and stays there. */
  end(behavior: ScrollBehavior = "instant"): void {
    this.#following = this.jump.hidden = true;
    this.element.scrollTo({ top: this.element.scrollHeight, behavior });
  }

  #scrolled(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.element;
    if (!clientHeight) return; // out of sight
    this.#following = scrollHeight - scrollTop - clientHeight < near;
    if (this.#following) this.jump.hidden = true;
    if (scrollTop < 300 && this.conversation.more) this.#earlier();
  }

  /** Puts earlier turns above, and leaves the visitor where they read. */
  async #earlier(): Promise<void> {
    if (this.#loading) return;
    this.#loading = true;
    try {
      const turns = await this.conversation.earlier();
      const anchor = this.#list.firstElementChild;
      const top = () => anchor?.getBoundingClientRect().top ?? 0;
      const before = top();
      const hold = () => (this.element.scrollTop += top() - before);
      for (const turn of turns) this.#list.insertBefore(this.#node(turn), anchor);
      this.#settle();
      this.greet();
      hold();
      requestAnimationFrame(hold); // by then, the browser knows the heights
    } catch {
      this.greet(true);
    }
    this.#loading = false;
  }

  #node(turn: Turn): HTMLElement {
    this.#nodes.set(turn, h("div", { class: "turn" }, this.#said([turn.prompt], "me", this.strings.you)));
    return this.#fill(turn);
  }

  #fill(turn: Turn): HTMLElement {
    const node = this.#nodes.get(turn)!;
    node.ariaBusy = turn === this.conversation.waiting ? "true" : null;
    if (turn.text) node.classList.add("streamed");
    let parts: Node[];
    try {
      parts = this.#parts(turn);
    } catch {
      // One turn that cannot be shown as it should be takes no other with it.
      const { output, content = output } = (turn.reply ?? { output: turn.text }) as Record<string, unknown>;
      parts = [this.#said([h("p", {}, content as string)])];
    }
    while (node.children[1]) node.lastChild!.remove(); // but not the prompt
    node.append(...parts);
    return node;
  }

  /** Makes what stands below a prompt. */
  #parts(turn: Turn): Node[] {
    const { time, text, reply, failure } = turn;
    const { agentName, locale } = this.host.settings;
    const t = this.strings;
    if (reply) return [this.#reply(turn), h("p", { class: "meta" }, agentName && agentName + " · ", when(time, locale))];
    if (failure) {
      const mend = failure.again ? this.#button(t.retry, () => this.conversation.retry(turn)) : this.#button(t.edit, () => this.#edit(turn));
      return [h("p", { class: "failed" }, failure.message || t.undelivered, " ", mend)];
    }
    if (text) {
      const said = this.#said(markdown(text));
      [...said.querySelectorAll("p,pre")].at(-1)?.append(h("i")); // where it goes on
      return [said];
    }
    if (turn !== this.conversation.waiting) return [];
    this.status.textContent = t.typing.replace("{0}", this.#agent);
    return [this.#said([h("i"), h("i"), h("i")], "bot typing")];
  }

  #reply(turn: Turn): HTMLElement {
    const { output, content = output, content_type: type, content_attributes: attributes } = turn.reply as Record<string, any>;
    const said = this.#said(markdown(content ?? ""));
    said.append(kinds[type]?.(attributes, this, turn) ?? "");
    return said;
  }

  #said(content: Child[], who = "bot", author = this.#agent): HTMLElement {
    return h(
      "div",
      { class: "said " + who },
      h("span", { class: "hidden" }, author + ": "),
      content.length > 0 && h("div", { class: "bubble", dir: "auto" }, content),
    );
  }

  #button(text: string, onclick: () => void): HTMLElement {
    return h("button", { class: "link", onclick }, text);
  }

  /** Ends the choices that another turn follows. */
  #settle(): void {
    const { turns } = this.conversation;
    turns.slice(1).forEach(({ prompt }, i) => {
      for (const button of this.#nodes.get(turns[i]!)!.querySelectorAll<HTMLButtonElement>(".choice")) {
        button.disabled = true;
        button.classList.toggle("chosen", button.value === prompt);
      }
    });
  }
}
