import type { Settings } from "./widget.d.ts";

const names =
  "webhookUrl title initialMessage sessionId csrfToken placeholder openByDefault className color agentName position theme locale launcherText launcherIcon suggestions inline".split(
    " ",
  ) as (keyof Settings)[];

// By its name in small letters, as HTML has it whichever way it was written.
const canonical = new Map(names.map((name) => [name.toLowerCase(), name] as const));

/** The attributes of <parley-chat>: webhook-url, and webhookurl for those who write webhookUrl. */
export const attributes: string[] = names.flatMap((name) => [
  name.toLowerCase(),
  name.replace(/[A-Z]/g, (letter) => "-" + letter.toLowerCase()),
]);

/** Reads one attribute, or one entry of a script's dataset. An attribute that is gone unsets its setting. */
export function setting(attribute: string, value: string | null = null): Settings {
  const name = canonical.get(attribute.replace(/-/g, "").toLowerCase());
  if (!name) return {};
  const parsed =
    name === "suggestions" ? value?.split("|") : name === "inline" || name === "openByDefault" ? value !== null && value !== "false" : value;
  return { [name]: parsed ?? undefined };
}

/** What the script tag says, and the folder that the script came from. */
export const page = { script: {} as Settings, base: "" };

/** Remembers where the widget came from: /widget.js, or a hashed file in /widget/. */
export function loadedFrom(url: string): void {
  page.base = url.replace(/(widget\/)?[^/]*$/, "");
}
