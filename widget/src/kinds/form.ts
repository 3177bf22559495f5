import type { Child } from "../dom.ts";
import { h, icon } from "../kit.ts";
import type { Failure } from "../transport.ts";
import type { Values } from "../widget.d.ts";
import { heading } from "./heading.ts";
import type { Renderer } from "./kinds.ts";

interface Field {
  id: string;
  type: string;
  label: string;
  placeholder?: string;
  required?: boolean;
  options?: { value: string; label: string }[] | null;
  validation?: { pattern?: string; message?: string } | null;
  maxLength?: number;
}

let problems = 0;

/** A form in the conversation. Problems show at their fields; values stay until they are accepted. */
export const form: Renderer = ({ form }, log, turn) => {
  const { strings: t, host } = log;
  const fields: Field[] = form.fields;
  const trouble = h("span", { class: "trouble", role: "alert" });
  const button = h("button", { class: "submit" }, form.submitLabel || t.submit);
  const shows: ((text?: string | false) => HTMLElement | false)[] = []; // by field
  const root = h(
    "form",
    { class: "form", noValidate: true, onsubmit, "aria-label": form.title || t.submit },
    heading(form),
    fields.map(line),
    trouble,
    button,
  );
  const sent = (message: string) => h("div", { class: "form sent" }, icon("M5 12.5l4.5 4.5L19 7.5"), h("p", { tabIndex: -1 }, message));
  return turn.done == null ? root : sent(turn.done);

  async function onsubmit(event: Event): Promise<void> {
    event.preventDefault();
    const values = collect();
    const url = form.submitUrl;
    if (button.ariaDisabled || mark((field) => check(field, values[field.id]!)) || !host.emit("beforesubmit", { values, url })) return;
    button.ariaDisabled = "true";
    trouble.textContent = "";
    try {
      turn.done = (url && (await log.conversation.transport.submit(url, values))) || t.submitted;
      log.conversation.save();
      const success = sent(turn.done!);
      root.replaceWith(success);
      success.querySelector("p")!.focus();
      log.announce("formSubmitted", values);
    } catch (error) {
      const { message, ...failure } = error as Failure;
      const errors: Record<string, string> = { __proto__: null as never, ...failure.errors }; // or a field could be called constructor
      if (!mark(({ id }) => errors[id])) trouble.textContent = message || t.undelivered;
    }
    button.ariaDisabled = null;
  }

  /** Makes a field with its label and the place for its problem. */
  function line({ id: name, type, label, required, options, placeholder, maxLength }: Field): HTMLElement {
    const id = "problem" + ++problems; // shared by all that is in the chat
    const problem = h("span", { class: "problem", id });
    const star = required && h("span", { class: "star" }, " *");
    const props = { name, "aria-describedby": id, required: required && !options, oninput: () => show() };
    const option = (value: string, ...text: Child[]) =>
      h("label", { class: "option" }, h("input", { ...props, type, value }), h("span", {}, text));
    const control = <K extends "input" | "select" | "textarea">(tag: K, more: object, children?: Child[]) =>
      h("label", {}, h("span", {}, label, star), h(tag, { ...props, class: "control", placeholder, maxLength, required, ...more }, children));

    const box = h(
      /radio|checkbox/.test(type) && options?.length ? "fieldset" : "div",
      { class: "field" },
      !/radio|checkbox/.test(type)
        ? [
            type === "select"
              ? control(type, {}, [{ value: "", label: placeholder || t.choose }, ...options!].map(({ value, label }) => h("option", { value }, label)))
              : type === "textarea"
                ? control(type, { rows: 3 })
                : control("input", { type, autocomplete: type !== "text" ? type : name === "name" && name }),
          ]
        : options?.length
          ? [h("legend", {}, label, star), ...options.map(({ value, label }) => option(value, label))]
          : [option("on", label, star)],
      problem,
    );
    const show = (text?: string | false) => {
      problem.textContent = text || "";
      const controls = box.querySelectorAll<HTMLElement>("[name]");
      for (const control of controls) control.ariaInvalid = text ? "true" : null;
      return !!text && controls[0]!;
    };
    shows.push(show);
    return box;
  }

  function collect(): Values {
    const data = new FormData(root);
    const values: Values = {};
    for (const { id, type, options } of fields) {
      const given = data.getAll(id).map((value) => String(value).trim());
      values[id] = type !== "checkbox" ? (given[0] ?? "") : options?.length ? given : given.length > 0;
    }
    return values;
  }

  /** Returns what cannot be right about a value, or nothing. */
  function check({ type, required, validation }: Field, value: Values[string]): string | false | undefined {
    const text = String(value || "");
    if (!text) return required && t.required;
    if (type === "email" && !/^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(text)) return t.email;
    return validation?.pattern && !matches(validation.pattern, text) && (validation.message || t.invalid);
  }

  /** Shows what is wrong at each field, moves to the first, and reports whether there is one. */
  function mark(problem: (field: Field) => string | false | undefined): boolean {
    const [first] = fields.map((field, i) => shows[i]!(problem(field))).filter(Boolean) as HTMLElement[];
    first?.focus();
    return !!first;
  }
};

/** Searches for a pattern as the server does. One that this browser does not understand forbids nothing. */
function matches(pattern: string, value: string): boolean {
  try {
    return new RegExp(pattern).test(value);
  } catch {
    return true;
  }
}
