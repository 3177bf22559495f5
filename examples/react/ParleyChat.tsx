import { useEffect, useRef } from "react";
import type { ParleyChatElement, Settings } from "./widget"; // the server's /widget.d.ts

declare module "react" {
  namespace JSX {
    interface IntrinsicElements {
      "parley-chat": React.HTMLAttributes<ParleyChatElement> & React.RefAttributes<ParleyChatElement>;
    }
  }
}

interface Props extends Settings {
  /** Where Parley runs, such as https://chat.example.com */
  server: string;
  /** Who is signed in; another visitor gets a conversation of their own. */
  user?: string | undefined;
}

/** The chat as a component. It can be rendered on a server, where it is an empty element. */
export function ParleyChat({ server, user, ...settings }: Props) {
  const ref = useRef<ParleyChatElement>(null);
  const widget = `${server}/widget.mjs`;
  const known = JSON.stringify(settings);
  const signedIn = useRef<string>(undefined);

  useEffect(() => {
    let left = false;
    // From the server, not from the bundle: the chat is as new as its server.
    import(/* @vite-ignore */ /* webpackIgnore: true */ widget).then(() => {
      if (left || !ref.current) return;
      ref.current.configure(JSON.parse(known));
      if (user !== undefined) ref.current.identify(user);
      else if (signedIn.current !== undefined) ref.current.logout();
      signedIn.current = user;
    });
    return () => void (left = true);
  }, [widget, known, user]);

  return <parley-chat ref={ref} />;
}
