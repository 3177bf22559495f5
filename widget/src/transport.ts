import type { Host } from "./element.ts";
import type { Reply, Values } from "./widget.d.ts";
import { uuid } from "./uuid.ts";

/** An answered turn, as the server's history has it. */
export interface Past {
  seq: number;
  prompt: string;
  reply: Reply;
  time: string;
}

/** What went wrong with a request. */
export interface Failure {
  message: string; // the server's words for the visitor, or none
  again: boolean; // trying again can help
  status?: number; // none where no answer came
  wait?: number; // how long the server wants to be left alone, in milliseconds
  errors?: Record<string, string>; // of a form, by field
}

const invalidToken = "Invalid session token";
const longestWait = 10_000;
const patience = 120_000; // longer than a server takes for an answer

const lost: Failure = { message: "", again: true };
const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const words = (value: unknown) => (typeof value === "string" ? value : "");

/** Talks to the server. Here is the place for answers that come in pieces. */
export class Transport {
  /** Whether the server gives no session tokens, and so no history. */
  plain: boolean;
  #host: Host;
  #signal: AbortSignal;
  #opening: Promise<void> | undefined;

  constructor(host: Host, signal: AbortSignal) {
    this.#host = host;
    this.#signal = signal;
    this.plain = !!host.store.tab.plain;
  }

  /**
   * Asks for the reply to a prompt. What may pass by itself is tried again with
   * the same idempotency key, so that the server takes it for one message.
   */
  async ask(prompt: string, key: string): Promise<Reply> {
    const { store, settings, server } = this.#host;
    for (let tries = 0; ; tries++) {
      try {
        await this.session();
        // A server without session tokens may allow no other headers than the contract's.
        const headers: Record<string, string> = this.plain ? {} : { "Idempotency-Key": key };
        const id = settings.sessionId || store.tab.id || uuid();
        store.keep({ id });
        const reply = normal(await this.#call(server, { prompt, session_id: id }, headers));
        if (this.plain) store.keep({ plain: true });
        return reply;
      } catch (error) {
        const { message, again, wait = 400 * 2 ** tries * (1 + Math.random()) } = error as Failure;
        const most = this.plain ? 1 : 2; // without keys, a server may take it for two messages
        this.plain = !!store.tab.plain;
        if (message === invalidToken && !tries) store.share({ token: undefined });
        else if (!again || tries >= most || wait > longestWait) throw error;
        else await sleep(wait);
      }
    }
  }

  /** Gets a session token, where the server gives any. */
  async session(): Promise<void> {
    if (this.plain || this.#host.store.shared.token) return;
    await (this.#opening ??= this.#open().finally(() => (this.#opening = undefined)));
  }

  async #open(): Promise<void> {
    const { store } = this.#host;
    try {
      const { session_token: token } = await this.#call(this.#sibling("session"), {}, {});
      // Of two tabs that ask at the same time, the first one wins.
      if (token) store.share({ token: store.shared.token ?? words(token) });
      else this.plain = true;
    } catch (error) {
      const { status, again } = error as Failure;
      if (again && status! > 200) throw error;
      // There is no such endpoint, or none that this page may use.
      this.plain = true;
    }
  }

  /** Returns turns before a number, or the newest, oldest first. A token that is not valid any more has none. */
  async history(before?: number): Promise<{ turns: Past[]; more: boolean }> {
    try {
      const url = this.#sibling("history?limit=50" + (before ? "&before=" + before : ""));
      return (await this.#call(url, undefined, {})) as unknown as { turns: Past[]; more: boolean };
    } catch (error) {
      if ((error as Failure).message !== invalidToken) throw error;
      this.#host.store.share({ token: undefined });
      return { turns: [], more: false };
    }
  }

  /** Posts what a visitor filled into a form, and returns what the server says to it. */
  async submit(url: string, values: Values): Promise<string> {
    const { success, error, message } = await this.#call(new URL(url, document.baseURI).href, values);
    if (success === false) throw { message: words(error), again: true } satisfies Failure;
    return words(message);
  }

  #sibling(name: string): string {
    return new URL(name, this.#host.server).href;
  }

  /** Sends a request, with what proves who sends it, unless it has no headers. */
  async #call(url: string, body?: object, headers?: Record<string, string>): Promise<Record<string, unknown>> {
    const { store, settings } = this.#host;
    const { token } = store.shared;
    if (headers && token) headers["X-Parley-Session"] = token;
    if (headers && settings.csrfToken) headers["X-CSRFToken"] = settings.csrfToken;
    const ended = this.#signal;
    let response: Response | undefined;
    let answer: any;
    try {
      response = await fetch(url, {
        method: body ? "POST" : "GET",
        headers: { "Content-Type": "application/json", ...headers },
        body: body ? JSON.stringify(body) : null,
        signal: AbortSignal.any?.([ended, AbortSignal.timeout(patience)]) ?? ended,
      });
      answer = await response.json();
    } catch {
      // No answer, or none that is JSON.
    }
    // Who waits for an answer to another visitor waits forever.
    if (ended.aborted) await new Promise(() => {});
    if (!response) throw lost;
    const { headers: got, status, ok } = response;
    const fresh = got.get("X-Parley-Session");
    if (fresh) store.share({ token: fresh });
    if (ok && answer && typeof answer === "object") return answer;
    const wait = parseInt(got.get("Retry-After")!) * 1000;
    throw {
      message: words(answer?.error) || words(answer?.output),
      again: ok || status === 429 || status >= 500,
      status,
      ...(wait >= 0 && { wait }),
      errors: answer?.errors,
    } satisfies Failure;
  }
}

/** Reads a reply in any of the forms that servers send it in. */
function normal({ output, message, content, content_type: type, content_attributes: attributes }: Record<string, unknown>): Reply {
  const text = [content, output, message].find((value) => typeof value === "string") as string | undefined;
  if (type) return { content: text, content_type: type, content_attributes: attributes } as Reply;
  if (text == null) throw lost;
  return { output: text };
}
