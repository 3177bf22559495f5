// The try-out on the page at /: it posts what is typed to /chat and shows the
// answer. What comes from the server becomes text nodes, never markup.

// Where the browser reached this server. Every path is relative to it.
const base = new URL(".", document.baseURI);

// A conversation lasts as long as the page.
const session = randomId();

const log = document.getElementById("log");
const composer = document.getElementById("composer");
const input = document.getElementById("prompt");
const hints = document.getElementById("hints");

function randomId() {
  return btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(24))));
}

/** Makes an element with properties and children. Strings become text nodes; what is empty is left out. */
function element(name, properties, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children.filter(Boolean));
  return node;
}

/** Returns an absolute URL, or null where the text is none. */
function resolve(text) {
  return URL.canParse(text, base) ? new URL(text, base) : null;
}

/** Posts an object as JSON and returns what comes back. */
async function post(url, body, headers) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  return { ok: response.ok, object: await response.json() };
}

/** Sends a prompt and puts the answer below it. */
async function send(prompt, shown = prompt) {
  hints?.remove();
  add(message("visitor", bubble(shown)));
  const waiting = add(message("bot waiting", bubble("…")));
  waiting.ariaHidden = "true";
  let answer;
  try {
    const headers = { "Idempotency-Key": randomId() };
    const { object } = await post(resolve("chat"), { prompt, session_id: session }, headers);
    answer = message("bot", ...render(object));
  } catch {
    answer = message("bot", bubble("No answer came. Is the server still running?"));
  }
  waiting.replaceWith(answer);
  scrollTo(answer);
}

function add(node) {
  log.append(node);
  scrollTo(node);
  return node;
}

/** Shows a message from its beginning, or to its end where that fits too. */
function scrollTo(node) {
  log.scrollTop = node.offsetTop - 16;
}

function message(who, ...nodes) {
  const speaker = element("span", { className: "unseen" }, who === "visitor" ? "You:" : "Answer:");
  return element("div", { className: `message ${who}` }, speaker, ...nodes);
}

function bubble(text) {
  return element("p", { className: "bubble", dir: "auto" }, text);
}

/** Returns what a reply looks like: its text, and below it what there is to interact with. */
function render(reply) {
  const text = reply.output ?? reply.message ?? reply.content ?? reply.error;
  const content = renderers[reply.content_type]?.(reply.content_attributes) ?? [];
  return [text && bubble(text), ...content];
}

const renderers = {
  article: ({ items }) => items.map(article),
  card: ({ cards }) => [...titles(cards), ...cards.cards.map(card)],
  form: (attributes) => [form(attributes.form)],
  quick_reply: ({ responses }) => [...titles(responses), choices(responses.responses)],
  canned_response: (attributes) => renderers.quick_reply(attributes),
};

function titles({ title, description }) {
  return [
    title && element("p", { className: "title" }, title),
    description && element("p", { className: "note" }, description),
  ];
}

/** Returns a link that opens beside the chat, or plain text where the address is no place to go. */
function link(className, address, ...children) {
  const href = resolve(address);
  if (!["http:", "https:", "mailto:", "tel:"].includes(href?.protocol)) {
    return element("div", { className }, ...children);
  }
  return element("a", { className, href, target: "_blank", rel: "noopener" }, ...children);
}

function article({ title, description, link: address }) {
  return link("panel", address,
    element("span", { className: "title" }, title),
    element("span", {}, description));
}

function card({ title, description, image, imageAlt, link: address, linkText, badge, price }) {
  const picture = element("img", { src: resolve(image) ?? "", alt: imageAlt ?? "" });
  picture.addEventListener("error", () => picture.remove());
  return element("div", { className: "panel card" },
    picture,
    badge && element("span", { className: "badge" }, badge),
    element("span", { className: "title" }, title),
    element("span", {}, description),
    price && element("span", { className: "price" }, price),
    address && link("button", address, linkText || "Learn More"));
}

/** Returns buttons that send a prompt. One click settles the choice. */
function choices(responses) {
  const buttons = responses.map(({ text, value }) => {
    const button = element("button", { type: "button" }, text);
    button.addEventListener("click", () => {
      for (const b of buttons) b.disabled = true;
      input.focus();
      send(value || text, text);
    });
    return button;
  });
  return element("div", { className: "choices" }, ...buttons);
}

/** Returns a form that posts its values to its submitUrl. */
function form({ title, description, submitLabel, submitUrl, fields }) {
  const controls = fields.map(control);
  const failure = element("p", { className: "error" });
  const submit = element("button", { type: "submit" }, submitLabel || "Submit");
  const node = element("form", { className: "panel form", ariaLabel: title || "Form" },
    ...titles({ title, description }), ...controls.map((c) => c.node), failure, submit);

  node.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    failure.textContent = "";
    try {
      const values = Object.fromEntries(controls.map((c) => [c.id, c.value()]));
      const { ok, object } = await post(resolve(submitUrl), values);
      if (ok) {
        node.replaceWith(bubble(object.message ?? "Thank you!"));
        input.focus();
        return;
      }
      for (const c of controls) c.complain(object.errors?.[c.id] ?? "");
      if (!object.errors) failure.textContent = object.error;
      controls.find((c) => object.errors?.[c.id])?.focus();
    } catch {
      failure.textContent = "The form could not be sent. From this page, forms reach this server only.";
    }
    submit.disabled = false;
  });
  return node;
}

/** Returns a field of a form: its node, its value as it is posted, and how to complain about it. */
function control(field) {
  const several = field.type === "radio" || field.options?.length;
  const build = field.type === "select" ? single : several ? group : field.type === "checkbox" ? checkbox : single;
  const { node, inputs, value } = build(field);
  const error = element("p", { className: "error", id: randomId() });
  node.append(error);
  for (const i of inputs) i.setAttribute("aria-describedby", error.id);
  return {
    id: field.id,
    node,
    value,
    complain(text) {
      error.textContent = text;
      for (const i of inputs) i.ariaInvalid = String(text !== "");
    },
    focus: () => inputs[0].focus(),
  };
}

/** A text of one line or many, or a choice from a list that drops down. */
function single({ type, label, placeholder, required, options }) {
  const id = randomId();
  const properties = { id, required: Boolean(required) };
  let control;
  if (type === "select") {
    control = element("select", properties,
      new Option(placeholder || "Choose…", ""), ...options.map((o) => new Option(o.label, o.value)));
  } else if (type === "textarea") {
    control = element("textarea", { ...properties, placeholder: placeholder ?? "" });
  } else {
    control = element("input", { ...properties, type, placeholder: placeholder ?? "" });
  }
  const node = element("div", { className: "field" }, element("label", { htmlFor: id }, label), control);
  return { node, inputs: [control], value: () => control.value };
}

function checkbox({ label, required }) {
  const box = element("input", { type: "checkbox", required: Boolean(required) });
  const node = element("div", { className: "field" }, element("label", { className: "option" }, box, label));
  return { node, inputs: [box], value: () => box.checked };
}

/** A list of options of which one (radio) or any number (checkbox) may be chosen. */
function group({ type, label, required, options }) {
  const properties = { type, name: randomId(), required: type === "radio" && Boolean(required) };
  const inputs = options.map(({ value }) => element("input", { ...properties, value }));
  const node = element("fieldset", { className: "field" },
    element("legend", {}, label),
    ...options.map((o, i) => element("label", { className: "option" }, inputs[i], o.label)));
  const chosen = () => inputs.filter((i) => i.checked).map((i) => i.value);
  return { node, inputs, value: () => (type === "radio" ? chosen()[0] ?? "" : chosen()) };
}

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  send(input.value);
  input.value = "";
});

for (const button of hints?.querySelectorAll("button") ?? []) {
  button.addEventListener("click", () => {
    input.focus();
    send(button.textContent);
  });
}

// The server guessed its address from the request; the browser knows it.
for (const node of document.querySelectorAll("[data-guessed] .base")) {
  node.textContent = base.href.replace(/\/$/, "");
}
add(message("bot", bubble("Hello! How can I help you today?")));
composer.hidden = false;
if (hints) hints.hidden = false;
