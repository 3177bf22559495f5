// The server guessed its address from the request; the browser knows it.
const base = new URL(".", document.baseURI).href.replace(/\/$/, "");
for (const node of document.querySelectorAll("[data-guessed] .base")) {
  node.textContent = base;
}
