import type { Turn } from "./conversation.ts";

/** What all tabs of the page know. */
interface Shared {
  epoch: string; // names the visitor; see Store.rotate
  user?: string | undefined;
  token?: string | undefined;
}

/** What one tab knows. */
interface Tab {
  epoch: string;
  id?: string | undefined; // the session id for servers without session tokens
  plain?: boolean; // the server is such a server
  open?: boolean | undefined;
  unread?: number;
  draft?: string;
  turns?: Turn[]; // those that the server will not give back
}

/**
 * Remembers a visitor's conversation with one server, in the browser's storage,
 * or for as long as the page lives where that is forbidden or full. Nothing is
 * stored before there is something to remember.
 */
export class Store {
  readonly server: string;
  /** What this tab knows of the visitor who is here now. */
  tab!: Tab;
  #shared: Shared = { epoch: "" };

  constructor(server: string) {
    this.server = server;
    this.tab = this.#read(() => sessionStorage) as Tab;
    this.refresh();
  }

  get shared(): Shared {
    return (this.#read(() => localStorage) as Shared) ?? this.#shared;
  }

  keep(change: Partial<Tab>): void {
    this.#write(() => sessionStorage, Object.assign(this.tab, change));
  }

  /** Keeps a change, unless another tab has changed the visitor in the meantime. */
  share(change: Partial<Shared>): void {
    const { shared } = this;
    if (shared.epoch === this.tab.epoch) this.#write(() => localStorage, (this.#shared = { ...shared, ...change }));
  }

  /** Catches up with other tabs, and reports whether one of them has changed the visitor. */
  refresh(): boolean {
    const { epoch } = this.shared;
    if (this.tab?.epoch === epoch) return false;
    this.tab = { epoch };
    return true;
  }

  /**
   * Begins anew with another visitor. The new epoch disowns what is stored in
   * every tab of this page, those included that sleep now and wake up later.
   */
  rotate(user?: string): void {
    const { open } = this.tab;
    this.tab = { epoch: String(Math.random()) }; // another than before is all it must be
    this.#shared = { epoch: this.tab.epoch, user };
    this.#write(() => localStorage, this.#shared);
    this.keep({ open });
  }

  // Where storage is forbidden, its mere mention throws.
  #read(storage: () => Storage): unknown {
    try {
      return JSON.parse(storage().getItem("parley " + this.server)!);
    } catch {
      return null;
    }
  }

  #write(storage: () => Storage, value: Shared | Tab): void {
    try {
      storage().setItem("parley " + this.server, JSON.stringify(value));
    } catch {
      // It is remembered by this object.
    }
  }
}
