/** One event of a stream. */
export interface Piece {
  event?: string;
  data?: string;
  id?: string;
}

/**
 * Reads the events of a stream (WHATWG HTML, section 9.2.6). One that is cut off
 * is none. Lines of data are put together without line breaks, which JSON does
 * not need.
 */
export async function* events(body: ReadableStream<BufferSource>): AsyncGenerator<Piece> {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ; ) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).replace(/\r/g, "").split("\n\n");
    rest = parts.pop()!;
    for (const part of parts) {
      const piece: Record<string, string> = {};
      for (const [, name, value] of part.matchAll(/(?:^|\n)(\w+): ?([^\n]*)/g)) piece[name!] = (piece[name!] ?? "") + value;
      if (piece.data) yield piece;
    }
  }
}
