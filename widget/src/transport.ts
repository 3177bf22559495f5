import type { Turn } from "./conversation.ts";
import type { Host } from "./element.ts";
import { events, type Piece } from "./events.ts";
import type { Reply, Values } from "./widget.d.ts";
import { uuid } from "./uuid.ts";

/** An answered turn, as the server's history has it. */
export interface Past {
  seq: number;
  prompt: string;
  reply: Reply;
  time: string;
}

/** A part of the history, oldest first. */
export interface Part {
  turns: Past[];
  more?: boolean; // there are earlier ones
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
/** The first of some values that is text. */
const words = (...values: unknown[]) => values.find((value) => typeof value === "string") as string | undefined;

/** Talks to the server. */
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
   * Asks for the reply to a turn, and keeps in the turn what comes of it early.
   * What may pass by itself is tried again with the same idempotency key, so that
   * the server takes it for one message. A turn without a key is one that another
   * page began: its prompt comes from the server, where there is such a turn.
   */
  async ask(turn: Turn, changed: () => void): Promise<Reply> {
    const { store, settings, server } = this.#host;
    let last: string | undefined; // event
    for (let tries = 0; ; tries++) {
      let goesOn = false;
      const hear = ({ event, data, id }: Piece) => {
        const { text, ...more } = JSON.parse(data!);
        if (event === "prompt") Object.assign(turn, more, { time: Date.parse(more.time) });
        else {
          // An id says whose turn it is, and how many bytes there are so far. What
          // does not go on after the last event is all of the reply.
          const before = id?.replace(/\d+$/, (bytes) => `${+bytes - new Blob([text]).size}`);
          turn.text = goesOn || (last && before === last) ? turn.text + text : text;
          goesOn = true;
          last = id;
        }
        changed();
      };
      try {
        await this.session();
        // A server without session tokens may allow no other headers than the contract's.
        const headers: Record<string, string> = this.plain ? {} : { ...(last && { "Last-Event-ID": last }), "Idempotency-Key": turn.key };
        const id = settings.sessionId || store.tab.id || uuid();
        store.keep({ id });
        const { key, prompt } = turn;
        const reply = normal(await this.#call(key ? server : "stream", key && { prompt, session_id: id }, headers, hear));
        if (!turn.prompt) throw lost;
        if (this.plain) store.keep({ plain: true });
        return reply;
      } catch (error) {
        const { message, again, wait = 1000 * (tries + Math.random()) } = error as Failure;
        const most = this.plain ? 1 : 2; // without keys, a server may take it for two messages
        this.plain = !!store.tab.plain;
        if (message === invalidToken && !tries) store.share({ token: undefined });
        else if (!again || !turn.prompt || tries >= most || wait > longestWait) throw error;
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
      const { session_token: token } = await this.#call("session", {});
      // Of two tabs that ask at the same time, the first one wins.
      if (token) store.share({ token: store.shared.token ?? token as string });
      else this.plain = true;
    } catch (error) {
      const { status, again } = error as Failure;
      if (again && status! > 200) throw error;
      // There is no such endpoint, or none that this page may use.
      this.plain = true;
    }
  }

  /** Returns turns before a number, or the newest, oldest first. A token that is not valid any more has none. */
  async history(before?: number): Promise<Part> {
    try {
      return (await this.#call("history?limit=50" + (before ? "&before=" + before : ""))) as unknown as Part;
    } catch (error) {
      if ((error as Failure).message !== invalidToken) throw error;
      this.#host.store.share({ token: undefined });
      return { turns: [] };
    }
  }

  /** Posts what a visitor filled into a form, and returns what the server says to it. */
  async submit(url: string, values: Values): Promise<string | undefined> {
    const { success, error, message } = await this.#call(new URL(url, document.baseURI).href, values);
    if (success === false) throw { message: words(error) ?? "", again: true } satisfies Failure;
    return words(message);
  }

  /**
   * Sends a request to a URL, which may be relative to the chat endpoint, and to
   * the chat's own server with what proves who sends it. The answer may come in
   * pieces, of which all but the last are heard.
   */
  async #call(url: string, body?: object | "", headers: Record<string, string> = {}, hear?: (piece: Piece) => void): Promise<Record<string, unknown>> {
    const { store, settings, server } = this.#host;
    const { token } = store.shared;
    const target = new URL(url, server);
    if (target.origin === new URL(server).origin) {
      if (token) headers["X-Parley-Session"] = token;
      if (settings.csrfToken) headers["X-CSRFToken"] = settings.csrfToken;
    }
    const ended = this.#signal;
    let response: Response | undefined;
    let status: number | undefined;
    let answer: any;
    try {
      response = await fetch(target, {
        method: body ? "POST" : "GET",
        headers: { "Content-Type": "application/json", Accept: "text/event-stream, application/json", ...headers },
        body: body ? JSON.stringify(body) : null,
        signal: AbortSignal.any?.([ended, AbortSignal.timeout(patience)]) ?? ended,
      });
      status = response.status;
      if (response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
        for await (const piece of events(response.body!)) {
          if (piece.event === "delta" || piece.event === "prompt") hear!(piece);
          else {
            answer = JSON.parse(piece.data!);
            if (piece.event === "error") status = answer.status;
            break;
          }
        }
      } else answer = await response.json();
    } catch {
      // No answer, or none that is JSON.
    }
    // Who waits for an answer to another visitor waits forever.
    if (ended.aborted) await new Promise(() => {});
    if (!response) throw lost;
    const fresh = response.headers.get("X-Parley-Session");
    if (fresh) store.share({ token: fresh });
    const ok = status! < 400;
    if (ok && answer && typeof answer === "object") return answer;
    const wait = parseInt(response.headers.get("Retry-After")!) * 1000;
    throw {
      message: words(answer?.error, answer?.output) ?? "",
      again: ok || status === 429 || status! >= 500,
      ...(status && { status }),
      ...(wait >= 0 && { wait }),
      errors: answer?.errors,
    } satisfies Failure;
  }
}

/** Reads a reply in any of the forms that servers send it in. */
function normal({ output, message, content, content_type: type, content_attributes: attributes }: Record<string, unknown>): Reply {
  const text = words(content, output, message);
  if (type) return { content: text, content_type: type, content_attributes: attributes } as Reply;
  if (text == null) throw lost;
  return { output: text };
}
