// The server guessed its address from the request; the browser knows it.
const base = new URL(".", document.baseURI).href.replace(/\/$/, "");
for (const node of document.querySelectorAll("[data-guessed] .base")) {
  node.textContent = base;
}

if (document.querySelector("[data-csrf]")) {
  const { csrf_token } = await (await fetch("csrf-token")).json();
  document.querySelector("parley-chat").setAttribute("csrf-token", csrf_token);
}
