// The chat itself, which the launcher loads when it is first needed.
import css from "./chat.css";
import type { Turn } from "./conversation.ts";
import type { Chat, Host } from "./element.ts";
import { h, icon, sheet, use, type Kit } from "./kit.ts";
import { Log } from "./log.ts";

/** Builds the chat into the launcher's shadow root. */
export function start(host: Host, kit: Kit): Chat {
  use(kit);
  return new Window(host);
}

class Window implements Chat {
  #host: Host;
  #log: Log;
  #server = "";
  #shown?: AbortController; // ends what matters only while the chat is shown
  #avatar = h("span", { class: "avatar", "aria-hidden": "true" });
  #title = h("h2", { id: "title" });
  #agent = h("p", {});
  #close = h("button", { class: "close", onclick: () => this.#host.close() }, icon("M6 6l12 12M18 6L6 18"));
  #field = h("textarea", { rows: 1, enterKeyHint: "send" });
  #sender = h("button", { class: "send" }, icon("M12 19V5m-6.5 6.5L12 5l6.5 6.5"));
  #frame: HTMLElement;
  #dialog: HTMLDialogElement | undefined; // the frame, unless it is a part of the page

  constructor(host: Host) {
    this.#host = host;
    this.#log = new Log(
      host,
      (text) => this.send(text),
      (turn) => this.#edit(turn),
    );
    const { inline } = host.settings;
    this.#frame = h(
      inline ? "section" : "dialog",
      { class: "window", tabIndex: -1, "aria-labelledby": "title" },
      h("header", {}, this.#avatar, h("div", {}, this.#title, this.#agent), !inline && this.#close),
      h("div", { class: "middle" }, this.#log.element, this.#log.jump),
      h("form", { class: "composer", onsubmit: (event: Event) => this.#submit(event) }, this.#field, this.#sender),
      this.#log.status,
    );
    if (!inline) this.#dialog = this.#frame as HTMLDialogElement;
    this.#listen();
    this.update();
    host.root.adoptedStyleSheets.push(sheet(css));
    host.root.append(this.#frame);
  }

  show(focus: boolean): void {
    this.#shown = new AbortController();
    const { signal } = this.#shown;
    for (const type of ["resize", "scroll"]) visualViewport!.addEventListener(type, () => this.#fit(), { signal });
    this.#fit();
    this.#grow();
    this.#log.end();
    if (!focus) return;
    // Where there is a keyboard, the visitor can write at once. Elsewhere one
    // would come up and hide what there is to read.
    (matchMedia("(pointer: coarse)").matches ? this.#frame : this.#field).focus();
  }

  hide(): void {
    this.#shown?.abort();
    this.#dialog?.close();
  }

  send(text: string): Promise<void> | undefined {
    text = text.trim();
    if (!text || !this.#host.emit("beforemessage", { text })) return undefined;
    const { conversation, loaded } = this.#log;
    return loaded.then(() => {
      this.#host.emit("message", { text });
      return conversation.send(text);
    });
  }

  update(): void {
    const { settings, rtl, server, store } = this.#host;
    const { agentName = "", locale = "", theme } = settings;
    const t = this.#log.strings;
    const title = settings.title || t.title;
    // What the page declares counts, and where it declares nothing, what the visitor prefers.
    const declares = getComputedStyle(document.documentElement).colorScheme !== "normal";
    this.#frame.style.colorScheme = theme && theme !== "auto" ? theme : declares ? "inherit" : "light dark";
    this.#frame.dir = rtl ? "rtl" : "ltr";
    this.#frame.lang = locale;
    this.#title.textContent = title;
    this.#agent.textContent = agentName;
    this.#avatar.textContent = [...(agentName || title)][0]!.toUpperCase();
    this.#close.ariaLabel = t.close;
    this.#field.placeholder = this.#field.ariaLabel = settings.placeholder || t.placeholder;
    this.#sender.ariaLabel = t.send;
    if (server === this.#server) return this.#log.greet();
    this.#server = server;
    const { draft } = store.tab;
    this.restart();
    this.#write(draft);
  }

  restart(): void {
    this.#write();
    this.#log.begin();
  }

  #write(text = ""): void {
    this.#field.value = text;
    this.#written();
  }

  /** Keeps what is written, in case the visitor leaves. */
  #written(): void {
    this.#host.store.keep({ draft: this.#field.value });
    this.#grow();
  }

  #submit(event: Event): void {
    event.preventDefault();
    if (this.send(this.#field.value)) this.#write();
    this.#field.focus();
  }

  /** Gives a message that the server refused back to its writer. */
  #edit(turn: Turn): void {
    this.#log.conversation.remove(turn);
    this.#log.removed(turn);
    this.#write(turn.prompt + (this.#field.value && "\n" + this.#field.value));
    this.#field.focus();
  }

  #listen(): void {
    const field = this.#field;
    field.oninput = () => {
      this.#written();
      // By the time there is a message, there is a session to send it in.
      this.#log.conversation.transport.session().catch(() => {});
    };
    field.onkeydown = (event) => {
      // Enter also ends what an input method composes; Safari says so only by key code 229.
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229) this.#submit(event);
    };

    const dialog = this.#dialog;
    if (!dialog) return;
    dialog.onkeydown = (event) => {
      if (event.key !== "Escape" || event.isComposing) return;
      event.preventDefault();
      this.#host.close();
    };
    // The browser closes a dialog by a gesture, too.
    dialog.onclose = () => !dialog.open && this.#host.close();
  }

  /** Makes the field as high as its text. */
  #grow(): void {
    const { style } = this.#field;
    style.height = "";
    style.height = this.#field.scrollHeight + "px";
  }

  /**
   * Fits the window to the screen. On a small one the chat is all there is, above
   * what an on-screen keyboard takes; elsewhere the page stays usable beside it.
   */
  #fit(): void {
    const dialog = this.#dialog;
    if (!dialog) return;
    const { small } = this.#host;
    if (dialog.matches(".small") !== small) dialog.close();
    dialog.classList.toggle("small", small);
    if (small && !dialog.open) dialog.showModal();
    dialog.open = true;
    const view = visualViewport!;
    if (view.scale > 1.01) return; // the visitor looks closer at something
    dialog.style.setProperty("--height", view.height + "px");
    dialog.style.setProperty("--top", view.offsetTop + "px");
  }
}
