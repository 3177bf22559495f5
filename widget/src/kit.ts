// What the launcher brings with it, for the chat to use: it need not be loaded twice.
import type { h as H, icon as Icon, sheet as Sheet } from "./dom.ts";

export let h: typeof H;
export let icon: typeof Icon;
export let sheet: typeof Sheet;

/** The launcher's tools. */
export type Kit = [typeof H, typeof Icon, typeof Sheet];

/** Takes the tools over, before anything else happens. */
export function use(kit: Kit): void {
  [h, icon, sheet] = kit;
}
