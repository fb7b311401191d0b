"use strict";
// The gallery of a report: reads the rows that data.py wrote, and shows those that fit the search and the filters.
// All text is set as text, never as markup.
(() => {
  const FIELDS = ["id", "group", "prompt", "state", "kind", "reason", "file", "thumb", "width", "height", "bytes", "usd",
    "attempts", "look", "vars", "tags", "made", "seconds", "change"];
  const STATES = { stored: "Images", failed: "Failed", held: "Held", pending: "To come", sent: "To come", received: "To come" };
  const MOST_VALUES = 30;   // a variable with more is searched for, not chosen from
  const CHUNK = 120;        // cards that are made at once: the first screens appear, the rest follows
  const PART = 60;          // cards of a shelf at most
  const VARIABLE = "v.";    // variables in the address, apart from the other facets
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);

  // An element; `properties` are its own, or attributes where the name has a dash or is `role`.
  const make = (tag, properties = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, value);
      else element[name] = value;
    }
    element.append(...children.filter((child) => child !== null));
    return element;
  };
  const number = (value) => value.toLocaleString("en");
  const money = (usd) => usd === null ? "no price" : "$" + (usd >= 1 || usd === 0 ? usd.toFixed(2) : usd.toFixed(usd >= 0.01 ? 4 : 6).replace(/0{1,4}$/, "").padEnd(4, "0"));
  const address = (path) => "./" + path.split("/").map(encodeURIComponent).join("/");

  // ---- the tasks

  let group = "", prompt = "";
  const tasks = data.tasks.map((row, place) => {
    const task = Object.fromEntries(FIELDS.map((name, at) => [name, row[at]]));
    if (task.group !== 0) group = task.group;
    if (Array.isArray(task.prompt)) {
      const [start, end, middle] = task.prompt;
      prompt = prompt.slice(0, start) + middle + prompt.slice(prompt.length - end);
    } else if (task.prompt !== 0) prompt = task.prompt;
    [task.model, task.parameters] = data.looks[task.look];
    const file = task.file && !task.file.includes("/") ? `images/${task.id}.${task.file}` : task.file;
    Object.assign(task, { place, group, prompt, path: file, href: file && address(file) });
    task.small = task.thumb ? address(`thumbs/${task.id}.${task.thumb}.webp`) : task.href;
    task.text = [task.id, prompt, task.reason, task.model, ...task.tags, ...Object.values(task.vars)].join(" ").toLowerCase();
    return task;
  });

  // ---- facets: what can be chosen from, found in the tasks themselves

  const values = {
    state: (task) => [STATES[task.state] ?? task.state],
    change: (task) => task.change ? [task.change] : [],
    tag: (task) => task.tags,
    model: (task) => [task.model],
  };
  for (const name of new Set(tasks.flatMap((task) => Object.keys(task.vars)))) {
    values[VARIABLE + name] = (task) => Object.hasOwn(task.vars, name) ? [task.vars[name]] : [];
  }
  const labels = { state: "State", change: "In the last run", tag: "Tag", model: "Model" };
  const facets = Object.keys(values).map((name) => {
    const all = [...new Set(tasks.flatMap(values[name]))];
    return { name, label: labels[name] ?? name.slice(VARIABLE.length), values: all, chosen: new Set() };
  }).filter((facet) => facet.values.length > 1 && facet.values.length <= MOST_VALUES);

  const words = () => $("query").value.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (task, wanted, but = null) => wanted.every((word) => task.text.includes(word))
    && facets.every((facet) => facet === but || !facet.chosen.size || values[facet.name](task).some((value) => facet.chosen.has(value)));

  const boxes = facets.map((facet) => {
    const box = make("fieldset", {}, make("legend", { textContent: facet.label, dir: "auto" }));
    facet.buttons = facet.values.map((value) => {
      const count = make("small");
      const button = make("button", { type: "button", dir: "auto", "aria-pressed": "false" }, value, " ", count);
      button.addEventListener("click", () => {
        if (!facet.chosen.delete(value)) facet.chosen.add(value);
        choose();
      });
      box.append(button);
      return { value, button, count };
    });
    return box;
  });
  // What became of the images is always in sight; the rest opens, so that the images come first.
  const folded = make("details", {}, make("summary", { textContent: "Filters" }), make("div", { className: "folded" }));
  const inSight = (at) => facets[at].name === "state" || facets[at].name === "change";
  $("facets").append(...boxes.filter((_, at) => inSight(at)));
  folded.lastChild.append(...boxes.filter((_, at) => !inSight(at)));
  if (folded.lastChild.childElementCount) $("facets").append(folded);

  const showCounts = (wanted) => {
    for (const facet of facets) {
      const counts = new Map();
      for (const task of tasks) {
        if (!fits(task, wanted, facet)) continue;
        for (const value of values[facet.name](task)) counts.set(value, (counts.get(value) ?? 0) + 1);
      }
      for (const { value, button, count } of facet.buttons) {
        const found = counts.get(value) ?? 0;
        count.textContent = number(found);
        button.setAttribute("aria-pressed", facet.chosen.has(value));
        button.classList.toggle("none", !found);
      }
    }
  };

  // ---- cards on shelves

  const factsOf = (task) => [
    task.model,
    task.width ? `${task.width} × ${task.height} px` : "",
    task.parameters.quality ?? "",
    task.file ? money(task.usd) : "",
  ].filter(Boolean);
  const factLine = (facts) => make("p", { className: "facts" }, ...facts.map((fact) => make("span", { textContent: fact })));
  // What a task without an image says to the writer: a title and what to do, or the plain state.
  const advice = (task) => data.advice[task.kind || "-"] ?? ["", "Not made yet; the next run goes on with it."];
  const absent = (task) => [make("b", { textContent: advice(task)[0] || STATES[task.state] }), " ", advice(task)[1]];

  // The thumbnail of a task, or the image itself where there is none or it does not load.
  const picture = (task, lazy) => {
    const image = make("img", { alt: task.prompt.slice(0, 300), width: task.width, height: task.height, decoding: "async", loading: lazy ? "lazy" : "eager" });
    image.addEventListener("error", () => { if (task.thumb) image.src = task.href; }, { once: true });
    image.src = task.small;
    return image;
  };

  const card = (task, { lazy = true, told = false } = {}) => {
    const caption = make("figcaption", {},
      told ? null : make("p", { className: "prompt", dir: "auto", textContent: task.prompt }),
      make("p", { className: "name", textContent: task.id }),
      factLine(factsOf(task)));
    if (task.change && task.change !== "new") caption.append(make("p", { className: task.change.includes("failed") ? "badge wrong" : "badge", textContent: task.change }));
    const link = make("a", { className: task.file ? "image" : "image absent", href: task.href || "#task=" + encodeURIComponent(task.id) },
      task.file ? picture(task, lazy) : make("span", {}, ...absent(task)));
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;   // as a link: a tab of its own
      event.preventDefault();
      view(task);
    });
    return make("figure", { className: "card" }, link, caption);
  };

  // One prompt may have thousands: only the parts in sight are laid out. A full part ends with a full row of 2 to 6 cards.
  const partsOf = (shelf) => {
    const shared = shelf.tasks.every((task) => task.prompt === shelf.tasks[0].prompt);
    const starts = Array.from({ length: Math.ceil(shelf.tasks.length / PART) }, (_, at) => at * PART);
    return starts.map((start) => ({ ...shelf, shared, goesOn: start > 0, tasks: shelf.tasks.slice(start, start + PART) }));
  };

  // Neighbours of one prompt stand together; those that are alone share a shelf.
  const shelvesOf = (shown) => {
    const shelves = [];
    for (const task of shown) {
      const last = shelves.at(-1);
      if (last && last.group === task.group) last.tasks.push(task);
      else shelves.push({ group: task.group, tasks: [task] });
    }
    const merged = [];
    for (const shelf of shelves) {
      const last = merged.at(-1);
      if (shelf.tasks.length > 1) merged.push(...partsOf(shelf));
      else if (last && !last.group && last.tasks.length < 24) last.tasks.push(...shelf.tasks);
      else merged.push({ group: "", tasks: shelf.tasks });
    }
    return merged;
  };

  const drawShelf = (shelf, first) => {
    const { tasks: inside, group: name, goesOn } = shelf;
    const shared = name !== "" && shelf.shared;
    const section = make("section", { className: goesOn ? "shelf goes-on" : "shelf" });
    if (name && !goesOn) {
      const beside = make("button", { type: "button", textContent: "Side by side", "aria-label": `${name} side by side` });
      beside.addEventListener("click", () => compare(name));
      section.append(make("header", {},
        make("div", { className: "title" }, make("h3", { dir: "auto", textContent: name }), beside),
        shared ? make("p", { className: "prompt", dir: "auto", textContent: inside[0].prompt }) : null));
    }
    section.append(make("div", { className: "grid" }, ...inside.map((task, at) => card(task, { lazy: first + at >= 12, told: shared }))));
    return section;
  };

  let shown = [], drawing = 0;
  const draw = () => {
    const turn = ++drawing;
    const wanted = words();
    const choosing = wanted.length > 0 || facets.some((facet) => facet.chosen.size);
    // Without a choice, what is still to come stays in its own list below.
    shown = tasks.filter((task) => fits(task, wanted) && (choosing || STATES[task.state] !== "To come"));
    showCounts(wanted);
    $("clear").hidden = !choosing;
    $("count").textContent = choosing ? `${number(shown.length)} of ${number(tasks.length)} shown` : "";
    const shelves = shelvesOf(shown);
    const gallery = $("gallery");
    gallery.replaceChildren();
    if (!shown.length && choosing) gallery.append(make("p", { className: "empty", textContent: "Nothing fits. Clear the search and the filters to see everything." }));
    let drawn = 0, next = 0;
    const more = () => {
      if (turn !== drawing) return;   // another choice was made meanwhile
      for (const until = drawn + CHUNK; next < shelves.length && drawn < until; next += 1) {
        gallery.append(drawShelf(shelves[next], drawn));
        drawn += shelves[next].tasks.length;
      }
      if (next < shelves.length) setTimeout(more);
    };
    more();
  };

  // ---- the address says what is chosen, so that a view can be shared

  const write = () => {
    const chosen = new URLSearchParams();
    if ($("query").value.trim()) chosen.set("q", $("query").value.trim());
    for (const facet of facets) for (const value of facet.chosen) chosen.append(facet.name, value);
    const text = chosen.toString();
    history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
  };
  const read = () => {
    const hash = location.hash.slice(1);
    if (hash && !hash.includes("=")) return;   // a place on the page
    const chosen = new URLSearchParams(hash);
    $("query").value = chosen.get("q") ?? "";
    for (const facet of facets) facet.chosen = new Set(chosen.getAll(facet.name).filter((value) => facet.values.includes(value)));
    folded.open ||= facets.some((facet, at) => facet.chosen.size && !inSight(at));
    draw();
    if (hash) $("images").scrollIntoView();
    const one = tasks.find((task) => task.id === chosen.get("task"));
    if (one) view(one);
  };
  const choose = () => { write(); draw(); };

  // ---- one image, large

  const viewer = $("viewer");
  let current = null;
  const row = (name, value, properties = {}) => value === "" || value === null ? null
    : make("div", {}, make("dt", { textContent: name, dir: "auto" }), make("dd", { textContent: value, dir: "auto", ...properties }));
  const size = (bytes) => bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : bytes ? `${Math.ceil(bytes / 1e3)} KB` : "";

  const details = (task) => make("dl", {},
    row("Task", task.id, { className: "name" }),
    row("Reason", task.reason),
    ...Object.entries(task.vars).map(([name, value]) => row(name, value)),
    row("Tags", task.tags.join(", ")),
    row("Model", task.model),
    ...Object.entries(task.parameters).map(([name, value]) => row(name, value)),
    row("Pixels", task.width ? `${task.width} × ${task.height}` : ""),
    row("Cost", task.file ? money(task.usd) : ""),
    row("Attempts", String(task.attempts)),
    row("Ordered", task.made ? task.made + " UTC" : ""),
    row("Took", task.seconds === null ? "" : `${task.seconds} s`),
    row("In the last run", task.change),
    row("File", task.path && `${task.path}${size(task.bytes) && ", " + size(task.bytes)}`));

  const large = (task) => {
    const image = task.file ? make("img", { src: task.href, alt: task.prompt.slice(0, 300), width: task.width, height: task.height })
      : make("p", { className: "image absent" }, ...absent(task));
    if (!task.file || !Object.hasOwn(data.old, task.id)) return make("div", { className: "stage" }, image);
    const [file, width, height] = data.old[task.id];
    const before = make("img", { src: address(file), alt: "The image before", width, height });
    return make("div", { className: "stage two" },
      make("figure", {}, before, make("figcaption", { textContent: "Before" })),
      make("figure", {}, image, make("figcaption", { textContent: "Now" })));
  };

  const step = (by) => {
    const list = shown.includes(current) ? shown : tasks;
    const next = list[list.indexOf(current) + by];
    if (next) view(next);
  };
  const closing = (dialog) => {
    const button = make("button", { type: "button", className: "close", textContent: "Close" });
    button.addEventListener("click", () => dialog.close());
    return button;
  };
  const view = (task) => {
    const label = viewer.contains(document.activeElement) ? document.activeElement.textContent : "Close";
    current = task;
    const list = shown.includes(task) ? shown : tasks;
    const at = list.indexOf(task);
    const previous = make("button", { type: "button", textContent: "Previous", disabled: at === 0 });
    const next = make("button", { type: "button", textContent: "Next", disabled: at === list.length - 1 });
    previous.addEventListener("click", () => step(-1));
    next.addEventListener("click", () => step(1));
    viewer.replaceChildren(
      make("div", { className: "bar" }, previous, next,
        make("output", { "aria-live": "polite", textContent: `${number(at + 1)} of ${number(list.length)}: ${task.id}` }), closing(viewer)),
      large(task),
      make("div", { className: "about", tabIndex: 0, role: "region", "aria-label": "About this image" },
        make("p", { className: "prompt", dir: "auto", textContent: task.prompt }),
        task.file ? make("p", { className: "actions" },
          make("a", { href: task.href, textContent: "Open the original", target: "_blank", rel: "noopener" }),
          make("a", { href: task.href, download: task.path.split("/").pop(), textContent: "Download" })) : null,
        details(task)));
    if (!viewer.open) viewer.showModal();
    const same = [...viewer.querySelectorAll("button:not(:disabled)")];
    (same.find((button) => button.textContent === label) ?? same.at(-1)).focus();
  };
  viewer.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by) { event.preventDefault(); step(by); }
  });

  // ---- the choices of one prompt side by side: the last variable across, the others down

  const board = $("compare");
  const compare = (name) => {
    const inside = tasks.filter((task) => task.group === name);
    const varied = Object.keys(inside[0].vars).filter((key) => new Set(inside.map((task) => task.vars[key])).size > 1);
    const across = varied.at(-1);
    const down = (task) => varied.slice(0, -1).map((key) => task.vars[key]).join(", ");
    const over = (task) => task.vars[across];
    const cards = (list) => list.map((task) => card(task, { lazy: false, told: true }));
    let body = make("div", { className: "grid" });
    if (across && new Set(inside.map(over)).size <= 12) {
      const columns = [...new Set(inside.map(over))];
      const head = make("tr", {}, make("td"), ...columns.map((text) => make("th", { scope: "col", dir: "auto", textContent: text })));
      const lines = [...new Set(inside.map(down))].map((line) => make("tr", {},
        make("th", { scope: "row", dir: "auto", textContent: line || across }),
        ...columns.map((column) => make("td", {}, ...cards(inside.filter((task) => down(task) === line && over(task) === column))))));
      body = make("table", {}, make("thead", {}, head), make("tbody", {}, ...lines));
    } else body.append(...cards(inside));
    board.replaceChildren(
      make("div", { className: "bar" }, make("h2", { textContent: name, dir: "auto" }), closing(board)),
      make("div", { className: "board", tabIndex: 0, role: "region", "aria-label": "The choices" }, body));
    board.showModal();
  };

  let timer = 0;
  $("query").addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(choose, 120); });
  $("clear").addEventListener("click", () => {
    $("query").value = "";
    for (const facet of facets) facet.chosen.clear();
    choose();
    $("query").focus();
  });
  const form = document.querySelector(".filter");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = !tasks.length;
  addEventListener("hashchange", read);
  if (location.hash.includes("=")) read();
  else draw();
})();
