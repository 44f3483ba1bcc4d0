// The one script of the pages: tables that sort, panels behind tabs, an episode timestep by timestep.
// It builds what it shows from text nodes and attributes, never from markup, so that no content can become code.
// Everything that it hides stands in the page and is seen where scripts are off, except for the timesteps.
"use strict";
(() => {
  const make = (tag, attributes, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };
  const button = (text, pressed, attributes = {}) => {
    const node = make("button", {type: "button", ...attributes}, text);
    node.addEventListener("click", pressed);
    return node;
  };

  // Tables. A cell without a number, such as a dash, stays at the end in both directions.
  const keyOf = (text, numeric) => {
    if (!numeric) return text || null;
    const found = text.replace(/\u2212/g, "-").replace(/(\d),(?=\d{3})/g, "$1").match(/-?\d+(\.\d+)?(e[-+]?\d+)?/i);
    return found ? Number(found[0]) : null;
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const headings = [...table.querySelectorAll("th")];
    const body = table.querySelector("tbody");
    const rows = [...body.children];
    headings.forEach((heading, column) => {
      const numeric = heading.classList.contains("number");
      const sort = () => {
        const before = heading.getAttribute("aria-sort");
        const up = before ? before === "descending" : !numeric;
        for (const other of headings) other.removeAttribute("aria-sort");
        heading.setAttribute("aria-sort", up ? "ascending" : "descending");
        const keyed = rows.map((row) => [keyOf(row.children[column].textContent, numeric), row]);
        keyed.sort(([a], [b]) => {
          if (a === null || b === null) return (a === null) - (b === null);
          return (up ? 1 : -1) * (numeric ? a - b : a.localeCompare(b, "en", {numeric: true}));
        });
        body.append(...keyed.map(([, row]) => row));
      };
      heading.replaceChildren(button(heading.textContent, sort, {title: "sort"}));
    });
  }

  // Tabs.
  for (const tabs of document.querySelectorAll(".tabs")) {
    const panels = [...tabs.children];
    if (panels.length < 2) continue;
    const show = (chosen) => panels.forEach((panel, index) => {
      panel.hidden = index !== chosen;
      buttons[index].setAttribute("aria-selected", String(index === chosen));
    });
    const buttons = panels.map((panel, index) => {
      const title = panel.children[0];
      title.hidden = true;
      panel.setAttribute("role", "tabpanel");
      return button(title.textContent, () => show(index), {role: "tab"});
    });
    tabs.prepend(make("div", {role: "tablist", class: "choices"}, ...buttons));
    show(0);
  }

  // Timesteps.
  const table = (headings, rows) => make("div", {class: "scroll low"}, make("table", {},
    make("thead", {}, make("tr", {}, ...headings.map((text) => make("th", {class: "number"}, text)))),
    make("tbody", {}, ...rows.map((row) =>
      make("tr", {}, ...row.map((text) => make("td", {class: "number"}, text)))))));
  const seen = {
    numbers: (leaf, step) => table(
      leaf.binned ? ["token", "id", "bin", "observed", "read as"] : ["token", "id", "observed", "read as"],
      step.ids.map((id, i) => [`${step.tokens[i]}`, `${id}`, ...(leaf.binned ? [`${id - leaf.first_id}`] : []),
        step.observed[i], step.read[i]])),
    text: (leaf, step) => make("p", {class: "pieces"}, ...step.ids.map((id, i) =>
      make("span", {title: `token ${step.tokens[i]}, id ${id}`}, step.pieces[i]))),
    image: (leaf, step) => make("div", {class: "patches", style: `--columns:${leaf.columns};--rows:${leaf.rows}`},
      make("img", {src: step.image, alt: "the image as it is cut into patches"}),
      make("div", {}, ...step.tokens.map((token) => make("span", {}, `${token}`)))),
  };
  const tokenOf = (one) => make("div", {class: "token"},
    make("p", {}, `${one.field}: ${one.place}id ${one.id} of ${one.legal}, which means ${one.value}`),
    make("ul", {}, ...one.options.map(([id, value, share, told]) =>
      make("li", id === one.id ? {class: "chosen"} : {},
        make("span", {}, `${value} (id ${id})`),
        make("i", {style: `--share:${share}`}),
        make("b", {}, told)))),
    make("p", {class: "quiet"}, one.rest));
  for (const root of document.querySelectorAll(".scrubber")) {
    const {leaves, steps, num_timesteps: total} = JSON.parse(root.querySelector("script").textContent);
    let place = 0;
    let timer = null;
    const told = make("output", {});
    const frame = make("img", {alt: "the environment as it is drawn at this timestep"});
    const drawn = make("div", {class: "drawn"}, frame);
    const details = make("div", {class: "details"});
    const slider = make("input", {type: "range", min: "0", max: `${steps.length - 1}`, value: "0",
      "aria-label": "timestep"});
    const show = (wanted) => {
      place = Math.min(Math.max(wanted, 0), steps.length - 1);
      const step = steps[place];
      slider.value = `${place}`;
      told.textContent = `timestep ${step.timestep} of ${total}, reward ${step.reward}, return ${step.total}`;
      drawn.hidden = !step.frame;
      if (step.frame) frame.setAttribute("src", step.frame);
      details.replaceChildren(
        make("p", {class: "quiet"}, step.context),
        ...leaves.flatMap((leaf, i) => [make("h4", {}, leaf.title), seen[leaf.kind](leaf, step.seen[i])]),
        make("p", {class: "quiet"}, step.separator),
        make("h4", {}, "action"),
        ...(step.predicted ? [make("p", {class: "quiet"}, step.predicted)] : []),
        ...step.action.map(tokenOf));
    };
    const stop = () => {
      clearInterval(timer);
      timer = null;
      play.textContent = "play";
    };
    const play = button("play", () => {
      if (timer !== null) return stop();
      play.textContent = "stop";
      if (place === steps.length - 1) show(0);
      timer = setInterval(() => place < steps.length - 1 ? show(place + 1) : stop(), 250);
    });
    const walk = (by) => () => { stop(); show(place + by); };
    slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
    root.append(
      make("div", {class: "choices"}, button("‹", walk(-1), {"aria-label": "timestep before"}), slider,
        button("›", walk(1), {"aria-label": "next timestep"}), play, told),
      make("div", {class: "timestep"}, drawn, details));
    show(0);
  }
})();
