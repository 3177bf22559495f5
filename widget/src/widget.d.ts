// The types of the Parley chat widget, served beside it as /widget.d.ts.

/** What a page can set: as data-* attributes of the script tag (data-agent-name), as attributes of <parley-chat> (agent-name), or in init(). */
export interface Settings {
  /** The full URL of the chat endpoint. Default: /chat on the server that the script came from. */
  webhookUrl?: string;
  /** The name at the top of the chat. Default: "Chat". */
  title?: string;
  /** What the chat says first. Empty for nothing. Default: "Hello! How can I help you today?" */
  initialMessage?: string;
  /** Names the conversation on servers without session tokens. Default: a random UUID for each tab. */
  sessionId?: string;
  /** Sent as X-CSRFToken to the chat's server, with messages and forms. */
  csrfToken?: string;
  /** What stands in the empty message field. Default: "Type a message…" */
  placeholder?: string;
  /** Opens the chat with the page, but not over the whole of a small screen. Default: false. */
  openByDefault?: boolean;
  /** Replaces the class of the <parley-chat> element. */
  className?: string;
  /** Any CSS color, for what the visitor says and presses; text on it adapts. Default: "#242424". */
  color?: string;
  /** Who answers, shown below the title. Default: nobody is named. */
  agentName?: string;
  /** The lower corner that the chat sits in. Default: where lines end, which is right, or left in right-to-left pages. */
  position?: "left" | "right";
  /** Default "auto": what the page declares with the CSS property color-scheme, else what the visitor's system prefers. */
  theme?: "light" | "dark" | "auto";
  /** A BCP 47 language tag for dates, times and the direction of writing. Default: the page's language. */
  locale?: string;
  /** A word or two on the launcher, beside its icon. */
  launcherText?: string;
  /** The URL of a picture in place of the launcher's icon. */
  launcherIcon?: string;
  /** Messages to begin with, one click each. In attributes, separated by "|". */
  suggestions?: string[];
  /** Fills the element that the chat stands in, without a launcher. Default: false. */
  inline?: boolean;
  /** Words in place of the widget's own. Only in JavaScript. */
  strings?: Partial<Strings>;
}

/** Every word that the widget says by itself. {0} stands for a name. */
export interface Strings {
  open: string;
  close: string;
  unread: string;
  unavailable: string;
  title: string;
  greeting: string;
  placeholder: string;
  send: string;
  you: string;
  agent: string;
  conversation: string;
  typing: string;
  undelivered: string;
  retry: string;
  edit: string;
  jump: string;
  unloaded: string;
  submit: string;
  required: string;
  choose: string;
  email: string;
  invalid: string;
  submitted: string;
  learnMore: string;
  cards: string;
}

/** A reply as it stands on the wire. */
export type Reply =
  | { output: string }
  | { content: string; content_type: string; content_attributes: Record<string, unknown> };

/** What happens, and the detail of each event. Those that begin with "before" can be canceled with preventDefault(). */
export interface Events {
  beforeopen: undefined;
  open: undefined;
  beforeclose: undefined;
  close: undefined;
  beforemessage: { text: string };
  message: { text: string };
  reply: { reply: Reply };
  /** Of a message that failed, or a chat that could not be loaded, which has a message alone. */
  error: { message: string; status?: number; again?: boolean; wait?: number };
  beforesubmit: { values: Values; url: string | undefined };
  /** Also dispatched on document. */
  formSubmitted: Values;
  /** Also dispatched on document. */
  cannedResponseSelected: { id: string; text: string; value: string };
}

export type Values = Record<string, string | boolean | string[]>;

/** Who the visitor is to your page: an id that stays the same, or an object with one. */
export type User = string | { id: string };

/** The element <parley-chat>, and in pages with widget.js the global Parley. */
export interface ParleyChatElement extends HTMLElement {
  open(): Promise<void>;
  close(): void;
  toggle(): Promise<void>;
  /** Sends a message as though the visitor had written it. Resolves when it is answered, or has failed. */
  send(text: string): Promise<void>;
  /** Begins a new conversation. */
  reset(): void;
  /** Says who the visitor is. Who was nobody until then goes on with their conversation; another visitor than before gets one of their own, and never sees the one before. */
  identify(user: User): void;
  /** Forgets the visitor and the conversation. */
  logout(): void;
  /** Calls a function for each event of a type. */
  on<K extends keyof Events>(type: K, listener: (event: CustomEvent<Events[K]>) => void): void;
  off<K extends keyof Events>(type: K, listener: (event: CustomEvent<Events[K]>) => void): void;
  /** Changes settings; those left out stay. */
  configure(settings: Settings): void;
  /** Changes settings, and puts the element into the page if it is in none: into the element that a CSS selector finds, which it then fills, or at the end. */
  init(settings?: Settings & { target?: string }): this;
}

/** Puts a chat into the page, or changes the settings of the one that is there; see ParleyChatElement.init. */
export function init(settings?: Settings & { target?: string }): ParleyChatElement;

declare global {
  interface Window {
    /** The page's chat, once widget.js has loaded. */
    Parley?: ParleyChatElement;
  }
  interface HTMLElementTagNameMap {
    "parley-chat": ParleyChatElement;
  }
}
