"use strict";
(() => {
  const form = document.querySelector(".filter");
  const input = form.querySelector("input");
  const output = form.querySelector("output");
  const said = (element) => (element ? element.textContent.toLowerCase() : "");
  const items = Array.from(document.querySelectorAll(".card, .row"), (element) => {
    const heading = element.closest("section").querySelector(":scope > header");
    return { element, text: `${said(heading)} ${said(element)}` };
  });
  const sections = document.querySelectorAll(".shelf, .trouble");

  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { element, text } of items) {
      const fits = words.every((word) => text.includes(word));
      element.toggleAttribute("data-hidden", !fits);
      shown += fits;
    }
    for (const section of sections) {
      section.toggleAttribute("data-hidden", !section.querySelector(".card:not([data-hidden]), .row:not([data-hidden])"));
    }
    output.textContent = words.length ? `${shown.toLocaleString("en")} of ${items.length.toLocaleString("en")} shown` : "";
  };

  let timer = 0;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(apply, 120);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  apply();
})();
