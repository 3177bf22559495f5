import type { Strings } from "./widget.d.ts";

// The words of the launcher, which are there before the chat itself is loaded.
export const launcherStrings = {
  open: "Open chat",
  close: "Close chat",
  unread: "New messages:",
  unavailable: "The chat could not be loaded.",
};

export const chatStrings: Omit<Strings, keyof typeof launcherStrings> = {
  title: "Chat",
  greeting: "Hello! How can I help you today?",
  placeholder: "Type a message…",
  send: "Send message",
  you: "You",
  agent: "Assistant",
  conversation: "Conversation",
  typing: "{0} is typing…",
  undelivered: "Not delivered.",
  retry: "Try again",
  edit: "Edit",
  jump: "New message",
  unloaded: "Earlier messages could not be loaded.",
  submit: "Submit",
  required: "This is required.",
  choose: "Please choose…",
  email: "Please enter an e-mail address.",
  invalid: "Please check this.",
  submitted: "Thank you!",
  learnMore: "Learn More",
  cards: "Cards",
};
