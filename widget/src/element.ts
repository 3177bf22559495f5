import type { Events, ParleyChatElement, Settings, Strings, User } from "./widget.d.ts";
import { h, icon, sheet } from "./dom.ts";
import css from "./launcher.css";
import type { Kit } from "./kit.ts";
import { attributes, page, setting } from "./settings.ts";
import { Store } from "./store.ts";
import { launcherStrings } from "./strings.ts";

// Where the chat itself is, below the place that the script came from, and its
// Subresource Integrity hash; the bundler knows.
declare const CHAT_PATH: string;
declare const CHAT_INTEGRITY: string;

/** The chat itself, as its launcher knows it. */
export interface Chat {
  show(focus: boolean): void;
  hide(): void;
  /** Sends a message, or returns nothing where there is none or the page canceled it. */
  send(text: string): Promise<void> | undefined;
  /** Takes over the settings. */
  update(): void;
  /** Forgets what is shown; another visitor is here. */
  restart(): void;
}

/** What the chat itself works with. */
export type Host = Pick<
  ParleyChat,
  "root" | "settings" | "strings" | "server" | "store" | "small" | "rtl" | "shown" | "unread" | "close" | "emit"
>;

const kit: Kit = [h, icon, sheet];

const rightToLeft = /^(ar|fa|he|ps|ur|yi)\b/;

// Servers that render pages have no HTMLElement, and never make this element.
const Base = globalThis.HTMLElement ?? (class {} as typeof HTMLElement);

/** Makes the browser know <parley-chat>. On a server that renders pages, it does nothing. */
export function define(): void {
  if (globalThis.customElements && !customElements.get("parley-chat")) customElements.define("parley-chat", ParleyChat);
}

/** Returns the page's chat. */
export function find(): ParleyChat | null {
  return document.querySelector<ParleyChat>("parley-chat");
}

/** Makes a chat that stands in no page yet. */
export function make(): ParleyChat {
  return h("parley-chat") as ParleyChat;
}

/**
 * The element <parley-chat>: a launcher, the settings, and what a page can do
 * with the chat. The chat itself is loaded when it is first needed.
 */
export class ParleyChat extends Base implements ParleyChatElement {
  static observedAttributes = attributes;

  readonly root = this.attachShadow({ mode: "open" });
  shown = false;
  #own: Settings = {};
  #store?: Store;
  #paint = sheet("");
  #face = h("span", { class: "face" });
  #badge = h("span", { class: "badge" });
  #launcher = h("button", { class: "launcher", onclick: () => this.toggle() }, this.#face, this.#badge);
  #link: HTMLLinkElement | undefined; // to the chat itself
  #loading: Promise<Chat> | undefined;
  #chat?: Chat;
  #failed = true; // to load the chat, or to know its server
  #tries = 0;
  #left?: AbortController; // ends what the element listens to in its page

  constructor() {
    super();
    this.root.adoptedStyleSheets = [this.#paint, sheet(css)];
    this.root.append(this.#launcher);
    this.#launcher.onpointerenter = this.#launcher.onfocus = () => this.#preload();
  }

  connectedCallback(): void {
    this.#left = new AbortController();
    const { signal } = this.#left;
    // Another tab may have changed the visitor, while this one slept even.
    const follow = () => this.store.refresh() && this.#restart();
    addEventListener("storage", follow, { signal });
    addEventListener("pageshow", follow, { signal });

    try {
      this.#failed = !this.server;
    } finally {
      this.#update();
    }
    const { inline, openByDefault } = this.settings;
    if (inline || (!this.small && (this.store.tab.open ?? openByDefault))) this.#show(false);
  }

  disconnectedCallback(): void {
    this.#left!.abort();
    this.shown = false;
    this.#chat?.hide();
  }

  attributeChangedCallback(name: string, _: string | null, value: string | null): void {
    if (name === "title") {
      // It would show as a tooltip wherever the pointer rests.
      if (value === null) return;
      this.removeAttribute(name);
    }
    this.configure(setting(name, value));
  }

  configure({ className, ...own }: Settings): void {
    if (className != null) this.className = className;
    Object.assign(this.#own, own);
    if (this.isConnected) this.#update();
  }

  init({ target, ...settings }: Settings & { target?: string } = {}): this {
    if (target) this.#own.inline = true;
    this.configure(settings);
    const place = (target && document.querySelector(target)) || document.body || document.documentElement;
    if (!this.isConnected) place.append(this);
    return this;
  }

  async open(): Promise<void> {
    if (!this.shown && this.emit("beforeopen", undefined)) await this.#show(true);
  }

  close(): void {
    if (!this.shown || this.settings.inline || !this.emit("beforeclose", undefined)) return;
    const within = this.root.activeElement;
    this.shown = false;
    this.store.keep({ open: false });
    this.#chat?.hide();
    this.#update();
    if (within) this.#launcher.focus();
    this.emit("close", undefined);
  }

  async toggle(): Promise<void> {
    return this.shown ? this.close() : this.open();
  }

  async send(text: string): Promise<void> {
    return (await this.#load()).send(text);
  }

  reset(): void {
    this.#rotate(this.store.shared.user);
  }

  identify(user: User): void {
    const id = String((user as { id: string }).id ?? user);
    const { shared } = this.store;
    if (shared.user && shared.user !== id) this.#rotate(id);
    // Who was nobody until now goes on with what they began.
    else this.store.share({ user: id });
  }

  logout(): void {
    this.#rotate();
  }

  on = this.addEventListener as ParleyChatElement["on"];
  off = this.removeEventListener as ParleyChatElement["off"];

  // What follows is not for the page but for the chat itself; see Host.

  get settings(): Settings {
    return { ...page.script, ...this.#own };
  }

  get strings(): Pick<Strings, keyof typeof launcherStrings> & Partial<Strings> {
    return { ...launcherStrings, ...this.settings.strings };
  }

  get store(): Store {
    const { server } = this;
    if (this.#store?.server !== server) this.#store = new Store(server);
    return this.#store!;
  }

  /** The URL of the chat endpoint. */
  get server(): string {
    const { href, protocol } = h("a", { href: this.settings.webhookUrl || page.base + "chat" });
    if (!/^http/.test(protocol)) throw Error("parley-chat: webhookUrl is no http URL: " + href);
    return href;
  }

  /** Whether the screen is so small that the chat fills it. */
  get small(): boolean {
    return !this.settings.inline && matchMedia("(max-width:480px),(max-height:420px)").matches;
  }

  get rtl(): boolean {
    const { locale } = this.settings;
    return locale ? rightToLeft.test(locale) : getComputedStyle(this).direction === "rtl";
  }

  /** How many replies came while nobody looked. */
  get unread(): number {
    return this.store.tab.unread ?? 0;
  }

  set unread(unread: number) {
    this.store.keep({ unread });
    this.#update();
  }

  /** Dispatches an event, and reports whether nobody canceled it. */
  emit<K extends keyof Events>(type: K, detail: Events[K]): boolean {
    return this.dispatchEvent(new CustomEvent(type, { detail, cancelable: type.startsWith("before") }));
  }

  /** Shows what the settings say. */
  #update(): void {
    const { strings: t, shown } = this;
    const { color = "", position, launcherText: text, launcherIcon, inline } = this.settings;
    const launcher = this.#launcher;
    const unread = !this.#failed && this.unread;
    const news = this.#failed ? t.unavailable : unread ? `${t.unread} ${unread}` : "";
    launcher.hidden = !!inline;
    launcher.title = news;
    launcher.ariaExpanded = `${shown}`;
    launcher.ariaLabel = `${shown ? t.close : text || t.open}. ${news}`;
    this.#badge.textContent = this.#failed ? "!" : `${unread || ""}`;
    this.#face.replaceChildren(
      shown
        ? icon("M6 9.5l6 6 6-6")
        : launcherIcon
          ? h("img", { src: launcherIcon, alt: "" })
          : icon("M4 20l1.3-3.9a8.3 7.7 0 1 1 3.2 2.6z"),
      (!shown && text) || "",
    );

    const side = position ?? (this.rtl ? "left" : "right");
    this.#paint.replaceSync(
      `:host{--own:${CSS.supports("color", color) ? color : "#242424"};display:${inline ? "block" : "contents"}}` +
        `button.launcher,dialog.window:not(.small){${side}:calc(var(--parley-inset,20px) + env(safe-area-inset-${side}))}`,
    );
    this.#chat?.update();
  }

  async #show(focus: boolean): Promise<void> {
    this.shown = true;
    this.#failed = false;
    this.#launcher.ariaBusy = "true";
    try {
      const chat = await this.#load();
      if (!this.shown) return; // closed in the meantime
      this.store.keep({ open: true, unread: 0 });
      this.#update();
      chat.show(focus);
      this.emit("open", undefined);
    } catch {
      this.shown = false;
      this.#failed = true;
      this.#update();
      this.emit("error", { message: this.strings.unavailable });
    } finally {
      this.#launcher.ariaBusy = null;
    }
  }

  /**
   * Fetches the chat ahead of its use and has the browser check it: what is
   * imported later is the module of this link, or nothing.
   */
  #preload(): void {
    // A module that failed to load has failed for good; with another query string it is another.
    this.#link ??= h("link", {
      rel: "modulepreload",
      crossOrigin: "",
      integrity: CHAT_INTEGRITY,
      href: page.base + CHAT_PATH + "?" + this.#tries++,
    });
    this.root.append(this.#link);
  }

  #load(): Promise<Chat> {
    this.#preload();
    return (this.#loading ??= import(this.#link!.href)
      .then(({ start }) => (this.#chat = start(this, kit)))
      .catch((error) => {
        this.#loading = this.#link = undefined;
        throw error;
      }));
  }

  #rotate(user?: string): void {
    this.store.rotate(user);
    this.#restart();
  }

  #restart(): void {
    this.#chat?.restart();
    this.#update();
  }
}
