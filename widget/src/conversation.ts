import type { Host } from "./element.ts";
import type { Reply } from "./widget.d.ts";
import { uuid } from "./uuid.ts";
import { Transport, type Failure } from "./transport.ts";

/** A prompt and what became of it. */
export interface Turn {
  key: string;
  prompt: string;
  time: number; // of the prompt
  text?: string | undefined; // of the reply so far, where it comes in pieces
  reply?: Reply;
  failure?: Failure | undefined;
  seq?: number; // as the server counts; unknown for turns of this page
  done?: string | undefined; // what the server said when the reply's form was sent
}

/** Who shows a conversation. */
export interface Watcher {
  added(turn: Turn): void;
  changed(turn: Turn): void;
  /** There is more of the reply's text, or a turn that another page began. */
  streamed(turn: Turn): void;
  /** Turns have come that nobody saw coming. */
  begin(): Promise<void>;
}

const kept = 100; // turns that a tab remembers for servers that do not

/** The turns of a visitor, newest last. A prompt is sent when the one before it has its reply. */
export class Conversation {
  turns: Turn[];
  more: boolean | undefined; // the server has earlier turns
  readonly transport: Transport;
  #host: Host;
  #watcher: Watcher;
  #ended = new AbortController();
  #queue: Promise<void> = Promise.resolve();

  constructor(host: Host, watcher: Watcher) {
    this.#host = host;
    this.#watcher = watcher;
    this.transport = new Transport(host, this.#ended.signal);
    this.turns = host.store.tab.turns ?? [];
  }

  /** Ends all that goes on: nothing of it is heard of again. */
  end(): void {
    this.#ended.abort();
  }

  /** Takes up the conversation where it was left, by this page or another. */
  async load(): Promise<void> {
    const { store } = this.#host;
    const own = this.turns;
    const left = own.filter((turn) => !turn.reply);
    try {
      if (!this.transport.plain) this.turns = left;
      if (!store.shared.token) return;
      const past = await this.#past();
      // By the clocks of two machines, a turn is the one that is nearest.
      for (const { prompt, time, done } of own) {
        const far = (turn: Turn) => Math.abs(turn.time - time);
        const [same] = past.filter((turn) => turn.prompt === prompt).sort((a, b) => far(a) - far(b));
        if (done && same) same.done = done;
      }
      // A message that was sent when its page was left may have been answered since.
      const answered = past.slice(-left.length).map((turn) => turn.prompt);
      this.turns = [...past, ...left.filter((turn) => !answered.includes(turn.prompt))];
      // And another page may have sent one.
      if (store.shared.token && !this.waiting) this.#queue = this.#answer({ key: "", prompt: "", time: 0 });
    } finally {
      for (const turn of this.turns) if (!turn.reply && !turn.failure) this.#send(turn);
      const { signal } = this.#ended;
      // What no answer came to waits for the line to be back.
      const online = () => {
        for (const turn of this.turns) if (turn.failure && !turn.failure.status) this.retry(turn);
      };
      // The browser may keep a page that is left, to show it again as it was. Its
      // stream would stay open all the while, and the answer go on for nobody. So
      // the page ends it, and begins as after a reload when it comes back.
      const leave = () => {
        if (this.waiting) {
          addEventListener("pageshow", () => this.#watcher.begin(), { once: true });
          this.end();
        }
      };
      addEventListener("online", online, { signal });
      addEventListener("pagehide", leave, { signal });
    }
  }

  /** Returns turns before those that are there. */
  async earlier(): Promise<Turn[]> {
    const past = await this.#past(this.turns[0]?.seq);
    this.turns = [...past, ...this.turns];
    return past;
  }

  async #past(before?: number): Promise<Turn[]> {
    const { turns, more } = await this.transport.history(before);
    this.more = more;
    return turns.map(({ time, ...turn }) => ({ ...turn, key: "", time: Date.parse(time) }));
  }

  /** The first message that waits for its reply: the one that is being answered. */
  get waiting(): Turn | undefined {
    return this.turns.find((turn) => !turn.reply && !turn.failure);
  }

  /** Adds a message and sends it; resolves when it is answered or has failed. */
  send(prompt: string): Promise<void> {
    const turn: Turn = { key: uuid(), prompt, time: Date.now() };
    this.turns.push(turn);
    this.#watcher.added(turn);
    return this.#send(turn);
  }

  retry(turn: Turn): void {
    turn.failure = undefined;
    this.#watcher.changed(turn);
    this.#send(turn);
  }

  remove(turn: Turn): void {
    this.turns = this.turns.filter((other) => other !== turn);
    this.save();
  }

  /** Keeps in this tab what the server will not give back. */
  save(): void {
    this.#host.store.keep({ turns: this.transport.plain ? this.turns.slice(-kept) : this.turns.filter((turn) => turn.done || (turn.key && !turn.reply)) });
  }

  #send(turn: Turn): Promise<void> {
    this.save();
    return (this.#queue = this.#queue.then(() => this.#answer(turn)));
  }

  async #answer(turn: Turn): Promise<void> {
    try {
      turn.reply = await this.transport.ask(turn, () => {
        if (this.turns.includes(turn)) return this.#watcher.streamed(turn);
        this.turns.push(turn);
        this.#watcher.added(turn);
      });
    } catch (error) {
      // What another page asked is in the history by now, unless it has not asked.
      if (!turn.key) return turn.prompt ? this.#watcher.begin() : undefined;
      turn.failure = error as Failure;
      turn.text = undefined;
    }
    this.save();
    this.#watcher.changed(turn);
    if (turn.failure) this.#host.emit("error", turn.failure);
    else this.#host.emit("reply", { reply: turn.reply! });
  }
}
