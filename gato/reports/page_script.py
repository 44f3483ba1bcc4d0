"""The one script of our pages and its rules of style: tables that sort, panels behind tabs, an episode by timesteps.

It builds what it shows out of text nodes and attributes, never out of markup, so that no content can become code.
Everything that it hides stands in the page and is seen where scripts are off, but for the timesteps.
"""

from typing import Final

SCRIPT: Final = r"""
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

  // Tables. What holds no number, such as a dash, stays at the end in both directions.
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
      const pressed = button(heading.textContent, sort, {title: "sort"});
      heading.replaceChildren(pressed);
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
      leaf.binned ? ["element", "id", "bin", "observed", "read as"] : ["element", "id", "observed", "read as"],
      step.ids.map((id, i) => [`${step.first + i}`, `${id}`, ...(leaf.binned ? [`${id - leaf.first_id}`] : []),
        step.observed[i], step.read[i]])),
    text: (leaf, step) => make("p", {class: "pieces"}, ...step.ids.map((id, i) =>
      make("span", {title: `element ${step.first + i}, id ${id}`}, step.pieces[i]))),
    picture: (leaf, step) => make("div", {class: "patches", style: `--columns:${leaf.columns};--rows:${leaf.rows}`},
      make("img", {src: step.image, alt: "the picture as it is cut into patches"}),
      make("div", {}, ...Array.from({length: leaf.rows * leaf.columns}, (_, i) =>
        make("span", {}, `${step.first + i}`)))),
  };
  const token = (one) => make("div", {class: "token"},
    make("p", {}, `${one.field}: element ${one.element}, id ${one.id} of ${one.legal}, which means ${one.value}`),
    make("ul", {}, ...one.options.map(([id, value, share, told]) =>
      make("li", id === one.id ? {class: "chosen"} : {},
        make("span", {}, `${value} (id ${id})`),
        make("i", {style: `--share:${share}`}),
        make("b", {}, told)))),
    make("p", {class: "quiet"}, one.rest));
  for (const root of document.querySelectorAll(".scrubber")) {
    const {leaves, separator, steps, num_timesteps: total} = JSON.parse(root.querySelector("script").textContent);
    let place = 0;
    let timer = null;
    const told = make("output", {});
    const picture = make("img", {alt: "the environment as it is drawn at this timestep"});
    const drawn = make("div", {class: "drawn"}, picture);
    const details = make("div", {class: "details"});
    const slider = make("input", {type: "range", min: "0", max: `${steps.length - 1}`, value: "0",
      "aria-label": "timestep"});
    const show = (wanted) => {
      place = Math.min(Math.max(wanted, 0), steps.length - 1);
      const step = steps[place];
      slider.value = `${place}`;
      told.textContent = `timestep ${step.timestep} of ${total}, reward ${step.reward}, return ${step.total}`;
      drawn.hidden = !step.frame;
      if (step.frame) picture.setAttribute("src", step.frame);
      details.replaceChildren(
        make("p", {class: "quiet"}, step.context),
        ...leaves.flatMap((leaf, i) => [make("h4", {}, leaf.title), seen[leaf.kind](leaf, step.seen[i])]),
        make("p", {class: "quiet"}, `Element ${step.separator}: the separator, id ${separator}.`),
        make("h4", {}, "action"),
        ...step.action.map(token));
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
"""

SCRIPT_RULES: Final = """
[hidden]{display:none!important}
button{font:inherit;color:inherit;background:none;border:1px solid var(--line);border-radius:6px;padding:.15rem .6rem;
 cursor:pointer}
button:hover,button:focus-visible{border-color:var(--primary)}
button[aria-selected=true]{border-color:var(--primary);color:var(--primary);font-weight:600}
th button{border:0;padding:0;border-radius:0}
th button:hover,th button:focus-visible{text-decoration:underline}
th[aria-sort] button{color:var(--text)}
th[aria-sort=ascending] button::after{content:" ▲"}
th[aria-sort=descending] button::after{content:" ▼"}
.choices{display:flex;flex-wrap:wrap;gap:.4rem .5rem;align-items:center;margin:.8rem 0;font-size:.92rem}
.choices input{flex:1 1 12rem;min-width:8rem;accent-color:var(--primary)}
.choices output{flex-basis:100%;color:var(--muted);font-variant-numeric:tabular-nums}
.scrubber{border:1px solid var(--line);border-radius:10px;padding:.2rem 1rem 1rem;margin:1rem 0}
.timestep{display:flex;flex-wrap:wrap;gap:1rem 1.6rem;align-items:flex-start}
.drawn{flex:0 1 15rem}
.drawn img{border-radius:6px;outline:1px solid var(--line);width:100%}
.details{flex:1 1 20rem;min-width:0}
.details h4{margin:1rem 0 .3rem;font-size:.95rem}
.details p{margin:.3rem 0;font-size:.94rem;overflow-wrap:anywhere}
.details .quiet{color:var(--muted);font-size:.86rem}
.low{max-height:17rem;overflow:auto}
.low table{width:auto;margin:.2rem 0;font-size:.88rem}
.low td,.low th{padding:.15rem 1.2rem .15rem 0}
.pieces{white-space:pre-wrap;line-height:2}
.pieces span{border:1px solid var(--line);border-radius:4px;padding:.1rem .15rem;margin-right:1px}
.patches{position:relative;width:min(100%,20rem)}
.patches img{width:100%;image-rendering:pixelated}
.patches div{position:absolute;inset:0;display:grid;grid-template:repeat(var(--rows),1fr)/repeat(var(--columns),1fr)}
.patches span{outline:1px solid #fff9;color:#fff;font:10px/1.2 monospace;padding:1px 2px;overflow:hidden;
 text-shadow:0 0 2px #000,0 0 3px #000}
.token{margin:.3rem 0 .8rem}
.token ul{list-style:none;margin:.3rem 0;padding:0;font-size:.88rem;font-variant-numeric:tabular-nums}
.token li{display:grid;grid-template-columns:minmax(5rem,1fr) 2fr 3.6rem;gap:.6rem;align-items:center}
.token li span{overflow-wrap:anywhere}
.token li b{font-weight:400;text-align:right}
.token li.chosen span,.token li.chosen b{font-weight:650}
.token i{height:.7rem;border-radius:3px;background:var(--surface)
 linear-gradient(var(--primary),var(--primary)) left/calc(var(--share)*100%) 100% no-repeat}
"""
