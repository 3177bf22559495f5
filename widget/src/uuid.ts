/** A random UUID (RFC 9562, section 5.4). Pages without https lack crypto.randomUUID. */
export function uuid(): string {
  return "xxxxxxxx-xxxx-4xxx-axxx-xxxxxxxxxxxx".replace(/x/g, () => (crypto.getRandomValues(new Uint8Array(1))[0]! % 16).toString(16));
}
